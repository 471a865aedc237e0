//! LiteLLM's `model_prices_and_context_window.json`: an object of models. Prices are dollars for one token, in fields whose
//! names tell the meter, the line and the tier: `input_cost_per_token_above_272k_tokens_priority`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::decimal::Decimal;
use super::draft::{Draft, charge_like, forget_repeated};
use super::{Catalogue, OTHER_VENDOR, Omissions, TWICE, VENDORS, unreadable};
use crate::domain::imported::Imported;
use crate::domain::meter::{Dimension, Meter};
use crate::domain::money::Money;
use crate::domain::parse_error::ParseError;
use crate::domain::price::parse_source;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// From dollars for one token to nano-dollars for a million, as a power of ten.
const PER_TOKEN: i32 = 15;
/// From dollars for one search to nano-dollars for a thousand.
const PER_SEARCH: i32 = 12;
const PER_REQUEST: i32 = 9;
const MILLIONTHS: i32 = 6;

/// The fields of prices for tokens, and their meters.
const METERS: [(&str, Meter); 13] = [
    ("input_cost_per_token", Meter::Input),
    ("cache_read_input_token_cost", Meter::CachedInput),
    ("input_cost_per_token_cache_hit", Meter::CachedInput),
    ("cache_creation_input_token_cost", Meter::CacheWriteShort),
    ("cache_creation_input_token_cost_above_1hr", Meter::CacheWriteLong),
    ("cache_creation_input_token_cost_above_12hr", Meter::CacheWriteLong),
    ("input_cost_per_audio_token", Meter::AudioInput),
    ("cache_read_input_audio_token_cost", Meter::CachedAudio),
    ("input_cost_per_image_token", Meter::ImageInput),
    ("output_cost_per_token", Meter::Output),
    ("output_cost_per_reasoning_token", Meter::Reasoning),
    ("output_cost_per_audio_token", Meter::AudioOutput),
    ("output_cost_per_image_token", Meter::ImageOutput),
];

const TIERS: [&str; 4] = ["flex", "priority", "ultrafast", "balanced"];

const BATCHES: &str = "batches are not served";
const DOES_NOT_FIT: &str =
    "a price is not a whole number of nano-dollars for a million tokens; the model is not imported";

pub(super) fn read(text: &str) -> Result<Catalogue, ParseError> {
    let entries: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let mut omissions = Omissions::default();
    let mut models: Vec<Imported> = Vec::new();
    let mut names = BTreeMap::new();
    for (key, entry) in entries.iter().filter(|(key, _)| *key != "sample_spec") {
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(entry.get()) else {
            omissions.add("a model", "it is no object", key);
            continue;
        };
        let Some(model) = read_model(key, &fields, &mut omissions) else { continue };
        match names.get(&model.id) {
            None => {
                names.insert(model.id.clone(), models.len());
                models.push(model);
            }
            Some(there) if models.get(*there).is_some_and(|there| there.tariff == model.tariff) => {}
            Some(_) => omissions.add("a model", TWICE, key),
        }
    }
    Ok(Catalogue { models, left_out: omissions.into_list() })
}

fn text_of(fields: &Fields<'_>, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn size_of(fields: &Fields<'_>, name: &str) -> Option<i64> {
    Decimal::parse(fields.get(name)?.get())?.scaled(0).filter(|count| *count > 0)
}

fn read_model(key: &str, fields: &Fields<'_>, omissions: &mut Omissions) -> Option<Imported> {
    let provider = text_of(fields, "litellm_provider").unwrap_or_default();
    let Some((_, _, vendor)) = VENDORS.into_iter().find(|(name, ..)| *name == provider) else {
        omissions.add("other providers", OTHER_VENDOR, if provider.is_empty() { key } else { &provider });
        return None;
    };
    let mode = text_of(fields, "mode").unwrap_or_default();
    let is_image_of_gemini = mode == "image_generation" && provider == "gemini";
    if !matches!(mode.as_str(), "chat" | "completion" | "responses" | "embedding") && !is_image_of_gemini {
        omissions.add(&format!("mode {mode}"), "the gateway serves no such requests", key);
        return None;
    }
    let id = key.strip_prefix(&format!("{provider}/")).unwrap_or(key);
    let mut model = match Imported::new(id, vendor) {
        Ok(model) => model,
        Err(problem) => {
            omissions.add("a model", problem.sentence(), key);
            return None;
        }
    };
    let draft = read_prices(key, fields, mode == "embedding", omissions)?;
    match draft.tariff() {
        Ok(tariff) => model.tariff = tariff,
        Err(problem) => {
            omissions.add("a model", problem.sentence(), key);
            return None;
        }
    }
    model.source = parse_source(&text_of(fields, "source").unwrap_or_default()).unwrap_or_default();
    model.context_tokens = size_of(fields, "max_input_tokens");
    model.max_output_tokens = if mode == "embedding" { None } else { size_of(fields, "max_output_tokens") };
    Some(model)
}

/// `None` when a price cannot be said exactly: without it the model would look priced and be too cheap.
fn read_prices(key: &str, fields: &Fields<'_>, embeds: bool, omissions: &mut Omissions) -> Option<Draft> {
    let mut draft = Draft::default();
    let mut all_fit = true;
    for (name, value) in fields.iter().filter(|(_, value)| value.get() != "null") {
        let fits = match name.as_str() {
            "search_context_cost_per_query" => read_search(key, value, &mut draft, omissions),
            "provider_specific_entry" => read_factors(key, value, &mut draft, omissions),
            name => read_price(key, name, value, &mut draft, omissions),
        };
        if !fits {
            omissions.add(name, DOES_NOT_FIT, key);
        }
        all_fit &= fits;
    }
    if embeds {
        draft.list.remove(&(0, Meter::Output));
    }
    // Without a price of its own the map charges audio like text.
    if fields.get("supports_audio_input").is_some_and(|value| value.get() == "true") {
        for (meter, like) in [(Meter::AudioInput, Meter::Input), (Meter::CachedAudio, Meter::CachedInput)] {
            draft
                .ways
                .values_mut()
                .chain([&mut draft.list])
                .for_each(|table| charge_like(table, meter, like));
        }
    }
    for table in draft.ways.values_mut().chain([&mut draft.list]) {
        forget_repeated(table);
    }
    all_fit.then_some(draft)
}

/// Says whether the price is exact, or none.
fn read_price(key: &str, name: &str, value: &RawValue, draft: &mut Draft, omissions: &mut Omissions) -> bool {
    let number = Decimal::parse(value.get());
    let is_zero = number.is_some_and(Decimal::is_zero);
    match Field::parse(name) {
        Field::Price { meter, above, tier } => {
            if is_zero && matches!(meter, Meter::CacheWriteShort | Meter::CacheWriteLong) {
                // The map says so of providers that have no price for writing.
                return true;
            }
            let Some(nanos) = number.and_then(|number| number.scaled(PER_TOKEN)) else { return false };
            let table = match tier {
                "" => &mut draft.list,
                tier => draft.ways.entry((Dimension::Tier, tier.to_owned())).or_default(),
            };
            table.entry((above, meter)).or_insert(Money::from_nanos(nanos));
        }
        Field::Request => {
            let Some(nanos) = number.and_then(|number| number.scaled(PER_REQUEST)) else { return false };
            draft.list.insert((0, Meter::Requests), Money::from_nanos(nanos));
        }
        Field::LeftOut(BATCHES) => omissions.add("prices of batches", BATCHES, key),
        Field::LeftOut(why) if !is_zero => omissions.add(name, why, key),
        Field::LeftOut(_) | Field::NoPrice => {}
    }
    true
}

/// What the name of a field tells.
#[derive(Debug, PartialEq, Eq)]
enum Field<'a> {
    Price { meter: Meter, above: i64, tier: &'a str },
    Request,
    LeftOut(&'static str),
    NoPrice,
}

impl<'a> Field<'a> {
    fn parse(name: &'a str) -> Self {
        match name {
            "input_cost_per_request" => return Field::Request,
            "off_peak_pricing" => {
                return Field::LeftOut("the price depends on the hour; the dearer one is taken");
            }
            "tiered_pricing" => return Field::LeftOut("prices by ranges of their own are not read"),
            name if name.contains("uplift") => return Field::LeftOut("no answer tells whether it holds"),
            name if !name.contains("cost") => return Field::NoPrice,
            name if name.ends_with("_batches") => return Field::LeftOut(BATCHES),
            _ => {}
        }
        let tier = TIERS.into_iter().find_map(|tier| {
            let bare = name.strip_suffix(tier)?.strip_suffix('_')?;
            Some((bare, tier))
        });
        let (name, tier) = tier.unwrap_or((name, ""));
        let line = name.rsplit_once("_above_").and_then(|(bare, line)| {
            let thousands: i64 = line.strip_suffix("k_tokens")?.parse().ok()?;
            Some((bare, thousands.checked_mul(1_000)?))
        });
        let (name, above) = line.unwrap_or((name, 0));
        match METERS.into_iter().find(|(field, _)| *field == name) {
            Some((_, meter)) => Field::Price { meter, above, tier },
            None => Field::LeftOut("it is no price for tokens, searches or requests"),
        }
    }
}

/// The price of a search, by the size of its context. Says whether it is exact, or none.
fn read_search(key: &str, value: &RawValue, draft: &mut Draft, omissions: &mut Omissions) -> bool {
    let sizes: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
    let prices: Option<BTreeSet<i64>> =
        sizes.values().map(|price| Decimal::parse(price.get())?.scaled(PER_SEARCH)).collect();
    let Some(prices) = prices else { return false };
    match prices.first() {
        Some(price) if prices.len() == 1 => {
            draft.list.insert((0, Meter::Searches), Money::from_nanos(*price));
        }
        None => {}
        Some(_) => {
            let why = "it depends on how much is searched, which no answer tells";
            omissions.add("search_context_cost_per_query", why, key);
        }
    }
    true
}

/// `{"us": 1.1, "fast": 2}`. Says whether the factors are exact, or none.
fn read_factors(key: &str, value: &RawValue, draft: &mut Draft, omissions: &mut Omissions) -> bool {
    let words: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
    for (word, factor) in words {
        let dimension = match word.as_str() {
            "fast" => Dimension::Speed,
            "us" | "eu" => Dimension::Region,
            _ => {
                omissions.add(
                    &format!("provider_specific_entry.{word}"),
                    "what it is a factor of is not known",
                    key,
                );
                continue;
            }
        };
        match Decimal::parse(factor.get()).and_then(|factor| factor.scaled(MILLIONTHS)) {
            Some(factor) => _ = draft.factors.insert((dimension, word), factor),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::LeftOut;
    use super::*;

    const EXCERPT: &str = include_str!("../../../tests/catalogues/litellm.json");

    #[test]
    fn an_excerpt_of_the_map_is_read_exactly() {
        let Catalogue { models, left_out } = read(EXCERPT).unwrap();
        let told = |model: &Imported| {
            let tariff = serde_json::to_string(&model.tariff).unwrap();
            let sizes = (model.context_tokens, model.max_output_tokens);
            format!("{} ({}) {sizes:?}\n  {tariff}", model.id, model.vendor)
        };
        insta::assert_snapshot!("models", models.iter().map(told).collect::<Vec<_>>().join("\n"));
        let words: Vec<String> = left_out.iter().map(LeftOut::words).collect();
        insta::assert_snapshot!("left_out", words.join("\n"));
    }

    #[test]
    fn the_name_of_a_field_tells_meter_line_and_tier() {
        let price = |meter, above, tier| Field::Price { meter, above, tier };
        for (name, field) in [
            ("input_cost_per_token_above_272k_tokens_priority", price(Meter::Input, 272_000, "priority")),
            ("cache_creation_input_token_cost_above_1hr", price(Meter::CacheWriteLong, 0, "")),
            (
                "cache_creation_input_token_cost_above_12hr_above_272k_tokens_flex",
                price(Meter::CacheWriteLong, 272_000, "flex"),
            ),
            ("output_cost_per_audio_token", price(Meter::AudioOutput, 0, "")),
            ("max_input_tokens", Field::NoPrice),
            ("input_cost_per_token_batches", Field::LeftOut(BATCHES)),
            ("input_cost_per_second", Field::LeftOut("it is no price for tokens, searches or requests")),
        ] {
            assert_eq!(Field::parse(name), field, "{name}");
        }
    }
}
