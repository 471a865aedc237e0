//! The catalogue that comes with the program: it is what its head says, each model is priced completely, and it gives the
//! costs that providers charge.

use sha2::{Digest, Sha256};

use super::{SHIPPED, read};
use crate::domain::imported::Imported;
use crate::domain::meter::{Counts, Dimension, Meter, Metered, ServedAs, Unit};
use crate::domain::tariff::Tariff;

fn shipped() -> Vec<Imported> {
    read(SHIPPED).unwrap().models
}

fn tariff(models: &[Imported], id: &str) -> Tariff {
    let model = models.iter().find(|model| model.id == id);
    model.unwrap_or_else(|| panic!("no {id}")).tariff.clone().unwrap()
}

#[test]
fn the_file_is_what_its_head_says() {
    let (head, models) = SHIPPED.split_once("\"models\": [\n").unwrap();
    let about: serde_json::Value = serde_json::from_str(&format!("{head}\"models\": []}}")).unwrap();
    let hash: String = Sha256::digest(models).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(about["about"]["models_sha256"], hash, "scripts/catalogue.py was not run");
    for source in ["from", "completed_from"] {
        let source = &about["about"][source];
        assert_eq!(source["sha256"].as_str().map(str::len), Some(64), "{source}");
        assert!(source["licence"].as_str().is_some_and(|licence| licence.starts_with("MIT, Copyright")));
    }
}

/// The meters that a model's provider reports.
fn reported(model: &Imported) -> Vec<Meter> {
    let (id, vendor) = (model.id.as_str(), model.vendor.as_str());
    if id.contains("embed") {
        return vec![Meter::Input];
    }
    let is_image = id.contains("image") || id.contains("banana");
    let mut meters = vec![Meter::Input, Meter::CachedInput, Meter::Output];
    let also = |condition: bool, more: &[Meter]| if condition { more.to_vec() } else { Vec::new() };
    let writes = match vendor {
        "Anthropic" => true,
        "OpenAI" => id.starts_with("gpt-5.6") || id.starts_with("gpt-6"),
        "Moonshot AI" => id.starts_with("kimi-k3"),
        _ => false,
    };
    meters.extend(also(writes, &[Meter::CacheWriteShort, Meter::CacheWriteLong]));
    meters.extend(also(vendor == "Google", &[Meter::AudioInput, Meter::CachedAudio]));
    meters.extend(also(
        vendor == "OpenAI" && id.contains("audio"),
        &[Meter::AudioInput, Meter::CachedAudio, Meter::AudioOutput],
    ));
    meters.extend(also(vendor == "Google" && is_image, &[Meter::ImageOutput]));
    let searches = matches!(vendor, "OpenAI" | "Anthropic" | "Meta")
        || (vendor == "Google" && id != "gemini-3.1-flash-lite-image")
        || (vendor == "Groq" && id.starts_with("openai/"));
    meters.extend(also(searches, &[Meter::Searches]));
    meters.extend(also(matches!(vendor, "OpenAI" | "Anthropic"), &[Meter::ToolUses]));
    meters
}

/// The tiers, regions and speeds that a model's provider offers for it, besides the listed ones.
fn offered(model: &Imported) -> Vec<(Dimension, &'static str)> {
    let id = model.id.as_str();
    let all = |dimension: Dimension, words: &[&'static str]| -> Vec<_> {
        words.iter().map(|word| (dimension, *word)).collect()
    };
    match model.vendor.as_str() {
        "OpenAI" if id.starts_with("gpt-6") || id.starts_with("gpt-5.6") => {
            all(Dimension::Tier, &["flex", "priority", "fast"])
        }
        "OpenAI"
            if matches!(
                id,
                "gpt-5" | "gpt-5-mini" | "gpt-5.1" | "gpt-5.2" | "gpt-5.4" | "gpt-5.5" | "o3" | "o4-mini"
            ) =>
        {
            all(Dimension::Tier, &["flex", "priority", "fast"])
        }
        "Anthropic" if !id.contains("-4-5") => {
            let fast =
                matches!(id, "claude-fable-5-2" | "claude-opus-5-5" | "claude-opus-5" | "claude-opus-4-8");
            let mut ways = all(Dimension::Region, &["us"]);
            ways.extend(all(Dimension::Speed, if fast { &["fast"] } else { &[] }));
            ways
        }
        "Google" if !id.contains("embed") && !id.contains("image") && !id.contains("banana") => {
            all(Dimension::Tier, &["flex", "priority"])
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_model_is_priced_completely() {
    for model in shipped() {
        let Imported { id, source, .. } = &model;
        let tariff = model.tariff.as_ref().unwrap_or_else(|| panic!("{id} has no price"));
        let meters = reported(&model);
        for meter in &meters {
            assert!(tariff.rates.get(*meter).is_some(), "{id} has no price for {}", meter.name());
        }
        // Above a line every kind of token has its own price again.
        for line in &tariff.lines {
            for meter in meters.iter().filter(|meter| meter.unit() == Unit::MillionTokens) {
                assert!(line.rates.get(*meter).is_some(), "{id} above {}: {}", line.above, meter.name());
            }
        }
        let counts = meters.iter().fold(Counts::NONE, |counts, meter| counts.with(*meter, 1));
        let ways = offered(&model);
        for (dimension, word) in [(Dimension::Tier, "")].into_iter().chain(ways) {
            let mut served_as = ServedAs::default();
            match dimension {
                Dimension::Tier => served_as.tier = word.into(),
                Dimension::Region => served_as.region = word.into(),
                Dimension::Speed => served_as.speed = word.into(),
            }
            assert!(tariff.cost(&Metered { counts, served_as, ..Metered::NONE }).is_priced, "{id}: {word}");
        }
        assert!(source.starts_with("https://"), "{id}: {source}");
        assert!(model.context_tokens.is_some(), "{id} has no context length");
        assert!(model.max_output_tokens.is_some() || id.contains("embed"), "{id} has no maximum of output");
    }
}

/// A price that a tier has of its own is about what its factor gives, or lies between that and the list price: a discount
/// that the tier does not have again.
#[test]
fn prices_of_a_tier_are_near_its_factor() {
    for Imported { id, tariff, .. } in shipped() {
        let tariff = tariff.unwrap();
        for (way, exception) in &tariff.exceptions {
            let factor = tariff.factors[way] as f64 / 1e6;
            let above = exception.lines.iter().map(|line| (line.above, &line.rates));
            for (above, rates) in [(0, &exception.rates)].into_iter().chain(above) {
                let listed = tariff.rates_at(above + 1);
                for (meter, price) in rates.iter() {
                    let own = price.nanos() as f64;
                    let list = listed.get(meter).map(|price| price.nanos() as f64);
                    let list = list.unwrap_or_else(|| panic!("{id}: {way:?} has {} alone", meter.name()));
                    let (low, high) = (list.min(list * factor), list.max(list * factor));
                    let name = meter.name();
                    // Providers round to a cent.
                    assert!((0.9 * low..=1.1 * high).contains(&own), "{id}: {way:?} {name} {own} of {list}");
                }
            }
        }
    }
}

#[test]
fn what_clients_ask_for_by_default_is_there() {
    let models = shipped();
    for id in [
        "claude-opus-4-8",
        "claude-haiku-4-5-20251001",
        "gpt-6.1-sol",
        "gpt-6-sol",
        "gemini-3.1-pro-preview",
        "gemini-3.5-flash-lite",
        "gemini-2.5-pro",
        "gpt-5",
        "gpt-5-mini",
        "gpt-5-nano",
        "gpt-4.1",
        "claude-haiku-4-5",
        "claude-opus-4-5",
        "claude-sonnet-4-5",
        "mistral-large-latest",
        "mistral-small-latest",
        "deepseek-chat",
        "text-embedding-3-large",
        "text-embedding-3-small",
    ] {
        assert!(models.iter().any(|model| model.id == id), "no {id}");
    }
}

/// What a provider reported, how it was served, and what it charges for that in nano-dollars.
type Row = (&'static str, &'static str, &'static [(Meter, i64)], (Dimension, &'static str), i64);

const LISTED: (Dimension, &str) = (Dimension::Tier, "");

#[test]
fn what_providers_charge_comes_out_to_the_nano_dollar() {
    use Meter::{
        AudioInput, AudioOutput, CacheWriteLong, CacheWriteShort, CachedInput, ImageOutput, Input, Output,
        Searches,
    };
    let rows: [Row; 37] = [
        ("plain", "gpt-5", &[(Input, 1_000), (Output, 200)], LISTED, 3_250_000),
        ("cached", "gpt-5", &[(Input, 784), (CachedInput, 9_216), (Output, 200)], LISTED, 4_132_000),
        ("reasoning", "gpt-5", &[(Input, 1_000), (Output, 5_000)], LISTED, 51_250_000),
        ("embeddings", "text-embedding-3-small", &[(Input, 50_000)], LISTED, 1_000_000),
        (
            "write 30 min",
            "gpt-6-sol",
            &[(Input, 3), (CacheWriteShort, 18_011), (Output, 5)],
            LISTED,
            45_083_500,
        ),
        ("write 12 h", "gpt-6-sol", &[(Input, 3), (CacheWriteLong, 18_011), (Output, 5)], LISTED, 90_111_000),
        (
            "above 272k",
            "gpt-6-sol",
            &[(Input, 200_000), (CachedInput, 100_000), (Output, 2_000)],
            LISTED,
            870_000_000,
        ),
        ("flex", "gpt-6-sol", &[(Input, 10_000), (Output, 1_000)], (Dimension::Tier, "flex"), 15_000_000),
        (
            "default",
            "gpt-6-sol",
            &[(Input, 10_000), (Output, 1_000)],
            (Dimension::Tier, "default"),
            30_000_000,
        ),
        (
            "priority",
            "gpt-6-sol",
            &[(Input, 10_000), (Output, 1_000)],
            (Dimension::Tier, "priority"),
            60_000_000,
        ),
        ("one search", "gpt-6-sol", &[(Input, 9_000), (Output, 300), (Searches, 1)], LISTED, 31_000_000),
        (
            "audio",
            "gpt-audio-1.5",
            &[(Input, 100), (AudioInput, 900), (Output, 100), (AudioOutput, 500)],
            LISTED,
            62_050_000,
        ),
        (
            "own names",
            "deepseek-chat",
            &[(Input, 1_000), (CachedInput, 9_000), (Output, 100)],
            LISTED,
            574_000,
        ),
        ("thinking", "claude-opus-5-5", &[(Input, 1_000), (Output, 6_000)], LISTED, 124_000_000),
        (
            "read",
            "claude-opus-5-5",
            &[(Input, 10), (CachedInput, 100_000), (Output, 200)],
            LISTED,
            24_040_000,
        ),
        (
            "write 5 min",
            "claude-opus-5-5",
            &[(Input, 10), (CacheWriteShort, 100_000), (Output, 10)],
            LISTED,
            500_240_000,
        ),
        (
            "write 1 h",
            "claude-opus-5-5",
            &[(Input, 10), (CacheWriteLong, 100_000), (Output, 10)],
            LISTED,
            800_240_000,
        ),
        (
            "agent's turn",
            "claude-opus-5-5",
            &[(Input, 12), (CachedInput, 150_000), (CacheWriteLong, 2_000), (Output, 600)],
            LISTED,
            58_048_000,
        ),
        (
            "Claude Code, first turn",
            "claude-opus-5-5",
            &[(Input, 12), (CacheWriteShort, 25_000), (Output, 60)],
            LISTED,
            126_248_000,
        ),
        (
            "Claude Code, tool turn",
            "claude-opus-5-5",
            &[(Input, 12), (CachedInput, 25_000), (CacheWriteShort, 1_000), (Output, 90)],
            LISTED,
            11_848_000,
        ),
        (
            "long context",
            "claude-sonnet-4-5",
            &[(Input, 200_000), (CachedInput, 50_000), (Output, 2_000)],
            LISTED,
            645_000_000,
        ),
        ("compaction", "claude-opus-5-5", &[(Input, 185_000), (Output, 3_700)], LISTED, 814_000_000),
        (
            "us",
            "claude-opus-5-5",
            &[(Input, 100_000), (Output, 2_000)],
            (Dimension::Region, "us"),
            484_000_000,
        ),
        (
            "fast",
            "claude-opus-5-5",
            &[(Input, 100_000), (Output, 2_000)],
            (Dimension::Speed, "fast"),
            880_000_000,
        ),
        (
            "three searches",
            "claude-opus-5-5",
            &[(Input, 9_000), (Output, 500), (Searches, 3)],
            LISTED,
            76_000_000,
        ),
        ("late zero", "claude-opus-5-5", &[(Input, 5_000), (Output, 20)], LISTED, 20_400_000),
        (
            "above 200k",
            "gemini-3.1-pro",
            &[(Input, 200_000), (CachedInput, 50_000), (Output, 2_000)],
            LISTED,
            856_000_000,
        ),
        (
            "audio in",
            "gemini-2.5-flash",
            &[(Input, 100), (AudioInput, 9_900), (Output, 50)],
            LISTED,
            10_055_000,
        ),
        (
            "image out",
            "gemini-2.5-flash-image",
            &[(Input, 20), (Output, 20), (ImageOutput, 1_290)],
            LISTED,
            38_756_000,
        ),
        ("listed", "gemini-3.1-pro", &[(Input, 100_000), (Output, 1_000)], LISTED, 212_000_000),
        (
            "priority",
            "gemini-3.1-pro",
            &[(Input, 100_000), (Output, 1_000)],
            (Dimension::Tier, "priority"),
            381_600_000,
        ),
        (
            "flex",
            "gemini-3.1-pro",
            &[(Input, 100_000), (Output, 1_000)],
            (Dimension::Tier, "flex"),
            106_000_000,
        ),
        // Cached tokens cost the same in the flex tier.
        (
            "flex, cached",
            "gemini-3.1-pro-preview",
            &[(Input, 200_000), (CachedInput, 50_000), (Output, 2_000)],
            (Dimension::Tier, "flex"),
            438_000_000,
        ),
        // No factor of six decimals gives $2 from $1.10.
        (
            "priority",
            "o4-mini",
            &[(Input, 1_000), (Output, 1_000)],
            (Dimension::Tier, "priority"),
            10_000_000,
        ),
        ("above 100k", "claude-haiku-5-5", &[(Input, 100_001), (Output, 100)], LISTED, 50_250_500),
        ("left at the last text", "gpt-5", &[(Input, 40), (Output, 6_000)], LISTED, 60_050_000),
        ("compressed answer", "gpt-5", &[(Input, 1_000), (Output, 500)], LISTED, 6_250_000),
    ];
    let models = shipped();
    for (what, id, counts, (dimension, word), nanos) in rows {
        let counts = counts.iter().fold(Counts::NONE, |counts, (meter, count)| counts.with(*meter, *count));
        let mut served_as = ServedAs::default();
        match dimension {
            Dimension::Tier => served_as.tier = word.into(),
            Dimension::Region => served_as.region = word.into(),
            Dimension::Speed => served_as.speed = word.into(),
        }
        let cost = tariff(&models, id).cost(&Metered { counts, served_as, ..Metered::NONE });
        assert_eq!((cost.amount.nanos(), cost.is_priced), (nanos, true), "{id}: {what}");
    }
}
