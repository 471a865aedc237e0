//! The catalogue's own file: what `keydesk models export` writes and `keydesk models import` reads.

use serde::{Deserialize, Serialize};

use super::imported::Imported;
use super::meter::Meter;
use super::model::{KnownModel, parse_model_id, parse_output_tokens, parse_size, parse_upstream_name};
use super::money::Money;
use super::price::parse_source;
use super::tariff::{Rates, Tariff};

/// One entry. Prices are dollars as text, so that none is ever rounded. What is not there stays as it was.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// Whose model it is.
    provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<Tariff>,
    /// For a million tokens; files that are older than `price` have these three.
    #[serde(default, skip_serializing)]
    input: Option<String>,
    #[serde(default, skip_serializing)]
    output: Option<String>,
    #[serde(default, skip_serializing)]
    cached: Option<String>,
    /// Where the price stands.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context_tokens: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<i64>,
    /// The name of the provider that serves it, or empty quotes when not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// What that provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// Output tokens reserved for a request that sets no maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_output_tokens: Option<i64>,
}

/// # Errors
/// A sentence that says which entry cannot be read and why.
pub fn read(json: &str) -> Result<Vec<Imported>, String> {
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| {
        format!(
            "The file is not a list of models: line {}, column {}: {error}.",
            error.line(),
            error.column()
        )
    })?;
    entries.into_iter().map(read_entry).collect()
}

fn read_entry(entry: Entry) -> Result<Imported, String> {
    let wrong = |what: &str, why: &dyn std::fmt::Display| format!("{}: {what}: {why}", entry.id);
    let id = parse_model_id(&entry.id).map_err(|problem| wrong("id", &problem))?;
    let mut rates = Rates::default();
    let old =
        [(Meter::Input, &entry.input), (Meter::CachedInput, &entry.cached), (Meter::Output, &entry.output)];
    for (meter, text) in old {
        let Some(text) = text else { continue };
        let price = Money::parse(text).map_err(|problem| wrong(meter.name(), &problem))?;
        rates = rates.with(meter, price).map_err(|problem| wrong(meter.name(), &problem))?;
    }
    let tariff = match (entry.price.clone(), rates.is_empty()) {
        (tariff, true) => tariff.filter(|tariff| !tariff.is_empty()),
        (None, false) => Some(Tariff { rates, ..Tariff::default() }),
        (Some(_), false) => {
            return Err(wrong("price", &"it is there twice. Remove input, output and cached."));
        }
    };
    let source = parse_source(&entry.source).map_err(|problem| wrong("source", &problem))?;
    let upstream = entry.upstream.as_deref().map(parse_upstream_name).transpose();
    let upstream = upstream.map_err(|problem| wrong("upstream", &problem))?;
    let size =
        |what: &str, size: Option<i64>, parse: fn(&str) -> Result<i64, super::parse_error::ParseError>| {
            size.map(|size| parse(&size.to_string())).transpose().map_err(|problem| wrong(what, &problem))
        };
    Ok(Imported {
        upstream: upstream.map(|name| if name == id { String::new() } else { name }),
        id,
        vendor: entry.provider.clone(),
        tariff,
        source,
        context_tokens: size("context_tokens", entry.context_tokens, parse_size)?,
        max_output_tokens: size("max_output_tokens", entry.max_output_tokens, parse_size)?,
        default_output_tokens: size(
            "default_output_tokens",
            entry.default_output_tokens,
            parse_output_tokens,
        )?,
        route: entry.route.clone(),
    })
}

/// The form that `read` takes.
pub fn write(list: &[KnownModel]) -> String {
    let entries: Vec<Entry> = list
        .iter()
        .map(|KnownModel { model, served_by, .. }| Entry {
            id: model.id.clone(),
            provider: model.provider.clone(),
            price: model.price.as_ref().map(|price| price.tariff.clone()),
            input: None,
            output: None,
            cached: None,
            source: model.price.as_ref().map(|price| price.source.clone()).unwrap_or_default(),
            context_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            route: served_by.clone(),
            upstream: (!model.upstream_name.is_empty()).then(|| model.upstream_name.clone()),
            default_output_tokens: Some(model.default_output_tokens),
        })
        .collect();
    serde_json::to_string_pretty(&entries).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::Model;
    use crate::domain::price::Price;

    fn known(entry: &Imported) -> KnownModel {
        let price = entry.tariff.clone().map(Price::unrecorded);
        let price = price.map(|price| Price { source: entry.source.clone(), ..price });
        let model = Model {
            price,
            upstream_name: entry.upstream.clone().unwrap_or_default(),
            default_output_tokens: entry.default_output_tokens.unwrap(),
            context_tokens: entry.context_tokens,
            max_output_tokens: entry.max_output_tokens,
            ..Model::unrouted(&entry.id, &entry.vendor)
        };
        KnownModel { model, version: 1, served_by: entry.route.clone() }
    }

    #[test]
    fn a_model_is_written_whole_and_reads_back() {
        let file = r#"[{"id": "a/b", "provider": "Meta",
            "price": {"input": "1", "output": "2", "cached_input": "0.1", "cache_write_short": "1.25", "requests": "0.01",
                "lines": [{"above": 200000, "input": "2"}], "factors": {"tier": {"flex": "0.5"}}},
            "source": "https://example.com/pricing", "context_tokens": 1000000, "max_output_tokens": 64000,
            "route": "Fireworks", "upstream": "accounts/x/b", "default_output_tokens": 4000}]"#;
        let [entry] = &read(file).unwrap()[..] else { panic!("one entry") };
        let tariff = entry.tariff.as_ref().unwrap();
        assert_eq!((tariff.rates.iter().count(), tariff.lines.len(), tariff.factors.len()), (5, 1, 1));
        assert_eq!((entry.context_tokens, entry.max_output_tokens), (Some(1_000_000), Some(64_000)));
        assert_eq!(read(&write(&[known(entry)])).unwrap(), std::slice::from_ref(entry));
    }

    #[test]
    fn a_file_of_an_older_version_reads() {
        let file =
            r#"[{"id": "gpt-5", "provider": "OpenAI", "input": "1.25", "output": "10", "cached": "0.125"}]"#;
        let [entry] = &read(file).unwrap()[..] else { panic!("one entry") };
        let words = entry.tariff.as_ref().unwrap().words();
        assert_eq!(words, "input $1.25, cached input $0.125, output $10.00");
    }

    #[test]
    fn a_mistake_names_the_entry() {
        let entry = |id: &str, more: &str| {
            read(&format!(
                r#"[{{"id": "{id}", "provider": "OpenAI", "input": "1", "output": "2", "cached": "0.1"{more}}}]"#
            ))
        };
        assert!(entry("gpt-*", "").unwrap_err().starts_with("gpt-*: id:"));
        for (field, more) in [
            ("default_output_tokens", r#", "default_output_tokens": 0"#),
            ("context_tokens", r#", "context_tokens": 0"#),
            ("upstream", r#", "upstream": "a b""#),
            ("price", r#", "price": {"input": "1"}"#),
        ] {
            let wrong = entry("gpt-5", more).unwrap_err();
            assert!(wrong.starts_with(&format!("gpt-5: {field}:")), "{wrong}");
        }
        assert!(entry("gpt-5", r#", "x": 1"#).is_err());
        assert!(entry("gpt-5", "").is_ok());
    }
}
