//! models.dev's `api.json`: an object of providers, each with its models. Prices are dollars for a million tokens.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::Decimal;
use super::draft::{Draft, Table, forget_repeated};
use super::{Catalogue, OTHER_VENDOR, Omissions, TWICE, VENDORS, unreadable};
use crate::domain::imported::Imported;
use crate::domain::meter::Meter;
use crate::domain::money::Money;
use crate::domain::parse_error::ParseError;
use crate::domain::price::parse_source;

/// From dollars for a million tokens to nano-dollars for a million, as a power of ten.
const PER_MILLION: i32 = 9;

const METERS: [(&str, Meter); 7] = [
    ("input", Meter::Input),
    ("cache_read", Meter::CachedInput),
    ("cache_write", Meter::CacheWriteShort),
    ("input_audio", Meter::AudioInput),
    ("output", Meter::Output),
    ("reasoning", Meter::Reasoning),
    ("output_audio", Meter::AudioOutput),
];

#[derive(Deserialize)]
struct Provider<'a> {
    #[serde(borrow, default)]
    models: BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    doc: String,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow, default)]
    cost: BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    limit: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct Tier {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    size: i64,
}

pub(super) fn read(text: &str) -> Result<Catalogue, ParseError> {
    let providers: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let mut omissions = Omissions::default();
    let mut models: BTreeMap<String, Imported> = BTreeMap::new();
    let known = VENDORS.into_iter().filter_map(|(_, key, vendor)| Some((key, vendor, *providers.get(key)?)));
    for (key, vendor, provider) in known {
        let Ok(provider) = serde_json::from_str::<Provider<'_>>(provider.get()) else {
            omissions.add("a provider", "it has no models", key);
            continue;
        };
        for (id, entry) in &provider.models {
            let named = format!("{key}/{id}");
            match read_model(id, vendor, &provider.doc, entry, &mut omissions) {
                Ok(model) if models.get(id).is_some_and(|there| there.tariff != model.tariff) => {
                    omissions.add("a model", TWICE, &named);
                }
                Ok(model) => _ = models.entry(id.clone()).or_insert(model),
                Err(problem) => omissions.add("a model", problem.sentence(), &named),
            }
        }
    }
    for key in providers.keys().filter(|key| !VENDORS.iter().any(|(_, name, _)| name == key)) {
        omissions.add("other providers", OTHER_VENDOR, key);
    }
    Ok(Catalogue { models: models.into_values().collect(), left_out: omissions.into_list() })
}

fn read_model(
    id: &str,
    vendor: &str,
    source: &str,
    entry: &RawValue,
    omissions: &mut Omissions,
) -> Result<Imported, ParseError> {
    let mut model = Imported::new(id, vendor)?;
    let entry: Model<'_> = serde_json::from_str(entry.get()).map_err(|error| unreadable(&error))?;
    model.tariff = read_cost(id, &entry.cost, omissions)?.tariff()?;
    model.source = parse_source(source).unwrap_or_default();
    let limit = |name: &str| entry.limit.get(name).copied().filter(|count| *count > 0);
    (model.context_tokens, model.max_output_tokens) = (limit("context"), limit("output"));
    Ok(model)
}

fn read_cost(
    id: &str,
    cost: &BTreeMap<String, &RawValue>,
    omissions: &mut Omissions,
) -> Result<Draft, ParseError> {
    let mut draft = Draft::default();
    read_rates(0, cost, &mut draft.list)?;
    for (name, value) in cost {
        match name.as_str() {
            "tiers" => {
                let tiers: Vec<BTreeMap<String, &RawValue>> =
                    serde_json::from_str(value.get()).map_err(|error| unreadable(&error))?;
                for rates in tiers {
                    match rates.get("tier").and_then(|tier| serde_json::from_str::<Tier>(tier.get()).ok()) {
                        Some(Tier { r#type, size }) if r#type == "context" => {
                            read_rates(size, &rates, &mut draft.list)?;
                        }
                        _ => omissions.add(name, "it is no line at a number of input tokens", id),
                    }
                }
            }
            // Of both spellings the list of tiers has the true number of tokens.
            "context_over_200k" if !cost.contains_key("tiers") => {
                let rates: BTreeMap<String, &RawValue> =
                    serde_json::from_str(value.get()).map_err(|error| unreadable(&error))?;
                read_rates(200_000, &rates, &mut draft.list)?;
            }
            "context_over_200k" => {}
            name if METERS.iter().any(|(field, _)| *field == name) => {}
            name => omissions.add(name, "it is no price for tokens", id),
        }
    }
    let list = |meter| draft.list.get(&(0, meter));
    // An embedding has no output, which the format writes as a price of 0.
    if list(Meter::Output) == Some(&Money::ZERO) && list(Meter::Input) > Some(&Money::ZERO) {
        draft.list.retain(|(_, meter), _| *meter != Meter::Output);
    }
    forget_repeated(&mut draft.list);
    Ok(draft)
}

fn read_rates(above: i64, cost: &BTreeMap<String, &RawValue>, table: &mut Table) -> Result<(), ParseError> {
    for (name, meter) in METERS {
        let Some(value) = cost.get(name).filter(|value| value.get() != "null") else { continue };
        let nanos = Decimal::parse(value.get()).and_then(|price| price.scaled(PER_MILLION));
        let nanos = nanos.ok_or_else(|| {
            ParseError::new(format!(
                "{name} is {}, which is not a whole number of nano-dollars for a million tokens; the model is not imported",
                value.get()
            ))
        })?;
        table.insert((above, meter), Money::from_nanos(nanos));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCERPT: &str = include_str!("../../../tests/catalogues/models-dev.json");

    #[test]
    fn an_excerpt_of_the_list_is_read_exactly() {
        let Catalogue { models, left_out } = read(EXCERPT).unwrap();
        let told = |id: &str| {
            let model = models.iter().find(|model| model.id == id).unwrap_or_else(|| panic!("no {id}"));
            serde_json::to_string(&model.tariff).unwrap()
        };
        assert_eq!(
            told("gpt-5.5"),
            r#"{"cached_input":"0.5","input":"5","output":"30","lines":[{"above":272000,"cached_input":"1","input":"10","output":"45"}]}"#
        );
        assert_eq!(
            told("gemini-3.1-pro-preview"),
            r#"{"audio_input":"2","cached_input":"0.2","input":"2","output":"12","lines":[{"above":200000,"cached_input":"0.4","input":"4","output":"18"}]}"#
        );
        assert_eq!(told("text-embedding-3-small"), r#"{"input":"0.02"}"#);
        assert_eq!(told("gpt-free"), "null");
        assert_eq!(told("grok-reasoner"), r#"{"input":"0.0000005","output":"0.5","reasoning":"0.75"}"#);
        let opus = models.iter().find(|model| model.id == "claude-opus-5-5").unwrap();
        assert_eq!(
            (opus.vendor.as_str(), opus.context_tokens, opus.max_output_tokens),
            ("Anthropic", Some(1_000_000), Some(128_000))
        );
        assert!(!models.iter().any(|model| model.id == "gpt-odd"));
        let words: Vec<String> = left_out.iter().map(super::super::LeftOut::words).collect();
        assert_eq!(
            words,
            [
                "Left out: a model (groq/openai/gpt-oss-120b): another model of the file has the same name at another price",
                "Left out: a model (openai/gpt-odd): input is 0.1234567891, which is not a whole number of nano-dollars for a million tokens; the model is not imported",
                "Left out: other providers (openrouter): its models are not read; set their prices with `keydesk models set`",
                "Left out: output_video (gemini-omni): it is no price for tokens",
                "Left out: tiers (gemini-omni): it is no line at a number of input tokens",
            ]
        );
    }
}
