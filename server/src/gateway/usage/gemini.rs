//! Gemini's answers. Their tokens are told by modality too.

use serde_json::Value;

use super::Report;
use super::number::{Figure, Figures, Number};

pub fn usage(usage: &Value) -> Figures {
    let mut figures = Figures::default();
    let number = |name: &str| Number::read(usage.get(name));
    let of = |names: &[&str], modality: &str| {
        names.iter().fold(Number::default(), |sum, name| sum.plus(of_modality(usage.get(*name), modality)))
    };
    figures.note(Figure::Input, number("promptTokenCount").plus(number("toolUsePromptTokenCount")));
    figures.note(Figure::Output, number("candidatesTokenCount").plus(number("thoughtsTokenCount")));
    figures.note(Figure::Reasoning, number("thoughtsTokenCount"));
    figures.note(Figure::Cached, number("cachedContentTokenCount"));
    let input = ["promptTokensDetails", "toolUsePromptTokensDetails"];
    let cached_audio = of(&["cacheTokensDetails"], "AUDIO");
    figures.note(Figure::CachedAudio, cached_audio);
    figures.note(Figure::AudioInput, of(&input, "AUDIO").minus(cached_audio));
    figures.note(Figure::ImageInput, of(&input, "IMAGE").minus(of(&["cacheTokensDetails"], "IMAGE")));
    figures.note(Figure::AudioOutput, of(&["candidatesTokensDetails"], "AUDIO"));
    figures.note(Figure::ImageOutput, of(&["candidatesTokensDetails"], "IMAGE"));
    figures
}

fn of_modality(details: Option<&Value>, modality: &str) -> Number {
    let list = details.and_then(Value::as_array).into_iter().flatten();
    let these = list.filter(|part| part["modality"] == modality);
    these.fold(Number::default(), |sum, part| sum.plus(Number::read(part.get("tokenCount"))))
}

/// The searches behind an answer.
pub fn beside(value: &Value, report: &mut Report) {
    let candidates = value.get("candidates").and_then(Value::as_array).into_iter().flatten();
    let queries = candidates.filter_map(|one| one.pointer("/groundingMetadata/webSearchQueries")?.as_array());
    let count = queries.fold(0, |sum, queries| sum + queries.len());
    if count > 0 {
        report.figures.note(Figure::Searches, Number::of(i64::try_from(count).unwrap_or(i64::MAX)));
    }
}
