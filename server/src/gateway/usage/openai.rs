//! Chat completions, completions and embeddings, of OpenAI and of those who answer like it.

use serde_json::Value;

use super::Report;
use super::number::{Figure, Figures, Number};

pub fn usage(usage: &Value) -> Figures {
    let mut figures = Figures::default();
    let number = |name: &str| Number::read(usage.get(name));
    figures.note(Figure::Input, number("prompt_tokens"));
    figures.note(Figure::Output, number("completion_tokens"));
    figures.note(Figure::Total, number("total_tokens"));
    // Moonshot and DeepSeek have names of their own.
    figures.note(Figure::Cached, number("cached_tokens"));
    figures.note(Figure::Cached, number("prompt_cache_hit_tokens"));
    if !figures.get(Figure::Input).is_there() {
        let parts = number("prompt_cache_hit_tokens").plus(number("prompt_cache_miss_tokens"));
        figures.note(Figure::Input, parts);
    }
    figures.note(Figure::Searches, number("num_search_queries"));
    details(&mut figures, usage.get("prompt_tokens_details"), usage.get("completion_tokens_details"));
    figures
}

/// The parts of both sides, which responses have too.
pub fn details(figures: &mut Figures, input: Option<&Value>, output: Option<&Value>) {
    let input = |name: &str| input.and_then(|input| input.get(name));
    figures.note(Figure::Cached, Number::read(input("cached_tokens")));
    let of_cached = input("cached_tokens_details");
    let cached_audio = Number::read(of_cached.and_then(|details| details.get("audio_tokens")));
    let cached_images = Number::read(of_cached.and_then(|details| details.get("image_tokens")));
    figures.note(Figure::CachedAudio, cached_audio);
    figures.note(Figure::AudioInput, Number::read(input("audio_tokens")).minus(cached_audio));
    figures.note(Figure::ImageInput, Number::read(input("image_tokens")).minus(cached_images));
    figures.note(Figure::Written, Number::read(input("cache_write_tokens")));
    if let Some(Value::Object(lifetimes)) = input("cache_write_tokens_details") {
        let (mut short, mut long) = (Number::default(), Number::default());
        for (name, number) in lifetimes {
            let Some(lifetime) = name.strip_prefix("ttl_") else { continue };
            let sum = if is_long(lifetime) { &mut long } else { &mut short };
            *sum = sum.plus(Number::read(Some(number)));
        }
        figures.note(Figure::WrittenShort, short);
        figures.note(Figure::WrittenLong, long);
    }
    let output = |name: &str| Number::read(output.and_then(|output| output.get(name)));
    figures.note(Figure::Reasoning, output("reasoning_tokens"));
    figures.note(Figure::AudioOutput, output("audio_tokens"));
    figures.note(Figure::ImageOutput, output("image_tokens"));
}

/// Whether a lifetime such as `30m` or `12h` is one hour or more.
fn is_long(lifetime: &str) -> bool {
    match lifetime.strip_suffix('m').and_then(|minutes| minutes.parse::<u32>().ok()) {
        Some(minutes) => minutes >= 60,
        None => !lifetime.ends_with('s'),
    }
}

/// A chat that searched cites what it found, and each answer searches once.
pub fn beside(value: &Value, report: &mut Report) {
    let choices = value.get("choices").and_then(Value::as_array).into_iter().flatten();
    let cites = |choice: &&Value| {
        ["/message/annotations", "/delta/annotations"].iter().any(|path| {
            let notes = choice.pointer(path).and_then(Value::as_array);
            notes.is_some_and(|notes| notes.iter().any(|note| note["type"] == "url_citation"))
        })
    };
    let searches = choices.filter(cites).count();
    if searches > 0 {
        report.figures.note(Figure::Searches, Number::of(i64::try_from(searches).unwrap_or(i64::MAX)));
    }
}
