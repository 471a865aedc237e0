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

/// The searches behind an answer, and whether it was looked up on maps. Before Gemini 3 a prompt costs one search, however
/// many queries it makes.
pub fn beside(value: &Value, report: &mut Report) {
    let candidates = value.get("candidates").and_then(Value::as_array).into_iter().flatten();
    let (mut queries, mut is_on_maps) = (0, false);
    for grounding in candidates.filter_map(|one| one.get("groundingMetadata")) {
        let list = |name: &str| grounding.get(name).and_then(Value::as_array).into_iter().flatten();
        queries += list("webSearchQueries").count();
        is_on_maps |= list("groundingChunks").any(|chunk| chunk.get("maps").is_some());
    }
    let version = value.get("modelVersion").and_then(Value::as_str).unwrap_or_default();
    let is_by_prompt = ["gemini-1", "gemini-2"].iter().any(|old| version.starts_with(old));
    let searches = if is_by_prompt { queries.min(1) } else { queries };
    for (figure, count) in [(Figure::Searches, searches), (Figure::ToolUses, usize::from(is_on_maps))] {
        if count > 0 {
            report.figures.note(figure, Number::of(i64::try_from(count).unwrap_or(i64::MAX)));
        }
    }
}
