//! Keydesk's own form: a list of models, or an object with it in `models`. A wrong entry refuses the file.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::unreadable;
use crate::domain::imported::Imported;
use crate::domain::meter::{MAX_COUNT, Meter};
use crate::domain::model::{parse_output_tokens, parse_upstream_name};
use crate::domain::money::Money;
use crate::domain::numbers::grouped;
use crate::domain::parse_error::ParseError;
use crate::domain::tariff::{Rates, Tariff};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "about")]
    _about: Option<IgnoredAny>,
    models: Vec<Entry>,
}

/// One model. What is not there stays as it was.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// Whose model it is.
    provider: String,
    price: Option<Tariff>,
    /// Where the price stands.
    source: Option<String>,
    /// The three prices of older files, in dollars for a million tokens.
    input: Option<String>,
    output: Option<String>,
    cached: Option<String>,
    context_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
    /// The name of the provider that serves it, or empty quotes when not served.
    route: Option<String>,
    /// What that provider calls it.
    upstream: Option<String>,
    /// Output tokens reserved for a request that sets no maximum.
    default_output_tokens: Option<i64>,
}

pub(super) fn read(text: &str) -> Result<Vec<Imported>, ParseError> {
    let entries = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str::<File>(text).map(|file| file.models)
    };
    entries.map_err(|error| unreadable(&error))?.into_iter().map(read_entry).collect()
}

fn read_entry(entry: Entry) -> Result<Imported, ParseError> {
    let named = entry.id.clone();
    let wrong = |what: &'static str| {
        let named = named.clone();
        move |problem: ParseError| ParseError::new(format!("{named}: {what}: {problem}"))
    };
    let mut model = Imported::new(&entry.id, &entry.provider).map_err(wrong("id"))?;
    let old = [
        (Meter::Input, "input", &entry.input),
        (Meter::Output, "output", &entry.output),
        (Meter::CachedInput, "cached", &entry.cached),
    ];
    let mut rates = Rates::default();
    for (meter, name, text) in old {
        if let Some(text) = text {
            let price = Money::parse(text).map_err(wrong(name))?;
            rates = rates.with(meter, price).map_err(wrong(name))?;
        }
    }
    model.tariff = match (entry.price, rates.is_empty()) {
        (tariff, true) => tariff,
        (None, false) => Some(Tariff { rates, ..Tariff::default() }),
        (Some(_), false) => {
            return Err(wrong("price")(ParseError::new(
                "It is there twice. Leave out input, output and cached.",
            )));
        }
    };
    model.source = entry.source.unwrap_or_default();
    let size = |what, count: Option<i64>| match count {
        Some(count) if !(1..=MAX_COUNT).contains(&count) => {
            let max = grouped(MAX_COUNT);
            Err(wrong(what)(ParseError::new(format!("It is a whole number of tokens from 1 to {max}."))))
        }
        count => Ok(count),
    };
    model.context_tokens = size("context_tokens", entry.context_tokens)?;
    model.max_output_tokens = size("max_output_tokens", entry.max_output_tokens)?;
    model.route = entry.route;
    if let Some(name) = &entry.upstream {
        let name = parse_upstream_name(name).map_err(wrong("upstream"))?;
        model.upstream = Some(if name == model.id { String::new() } else { name });
    }
    if let Some(count) = entry.default_output_tokens {
        let count = parse_output_tokens(&count.to_string()).map_err(wrong("default_output_tokens"))?;
        model.default_output_tokens = Some(count);
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_price_in_whole_or_the_three_of_older_files() {
        let text = r#"{"about": {"day": "2026-11-27"}, "models": [
            {"id": "a", "provider": "X", "price": {"input": "1", "lines": [{"above": 9, "input": "2"}]},
             "source": "https://x.example", "context_tokens": 1000, "max_output_tokens": 100},
            {"id": "b", "provider": "X", "input": "1", "output": "2", "cached": "0.1", "route": "", "upstream": "b"},
            {"id": "c", "provider": "X"}]}"#;
        let [a, b, c] = &read(text).unwrap()[..] else { panic!("three models") };
        assert_eq!(
            (a.context_tokens, a.max_output_tokens, a.source.as_str()),
            (Some(1_000), Some(100), "https://x.example")
        );
        assert_eq!(a.tariff.as_ref().unwrap().lines[0].above, 9);
        assert_eq!(
            b.tariff,
            Tariff::flat(
                Money::parse("1").unwrap(),
                Money::parse("0.1").unwrap(),
                Money::parse("2").unwrap()
            )
            .ok()
        );
        assert_eq!((b.route.as_deref(), b.upstream.as_deref()), (Some(""), Some("")));
        assert_eq!((c.tariff.as_ref(), c.route.as_ref()), (None, None));
    }

    #[test]
    fn a_mistake_names_the_entry() {
        for (more, begins) in [
            (r#""price": {"input": "1"}, "input": "1""#, "m: price: It is there twice"),
            (r#""input": "1.0000000001""#, "m: input:"),
            (r#""context_tokens": 0"#, "m: context_tokens:"),
            (r#""upstream": "a b""#, "m: upstream:"),
            (r#""default_output_tokens": 0"#, "m: default_output_tokens:"),
            (r#""price": {"inputs": "1"}"#, "The file is not a list of models: line 1"),
            (r#""x": 1"#, "The file is not a list of models: line 1"),
        ] {
            let error = read(&format!(r#"[{{"id": "m", "provider": "X", {more}}}]"#)).unwrap_err();
            assert!(error.sentence().starts_with(begins), "{more}: {error}");
        }
        assert!(read(r#"[{"id": "m*", "provider": "X"}]"#).unwrap_err().sentence().starts_with("m*: id:"));
    }
}
