//! The usage that a provider reports, read from its response as it passes, whole or as a stream. Pure.
//!
//! Each protocol has a file that finds the numbers; `tally` makes meters of them, and estimates what is not told or cannot
//! be believed. No text is stored: the output is counted as it passes, for those estimates.

mod anthropic;
mod gemini;
mod images;
mod number;
mod openai;
mod responses;
mod stream;
mod tally;

use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::meter::{Counts, Metered, ServedAs};
use keydesk_core::domain::route::Route;
use serde_json::Value;

use super::estimate::{Counted, add_output};
use number::{Figure, Figures};
pub use responses::stored_ids;
pub use stream::{AccountError, StreamMeter};
pub use tally::Bounds;
use tally::Known;

/// The form in which a route's responses report their usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Chat completions, completions and embeddings.
    OpenAi,
    Responses,
    /// OpenAI's images.
    Images,
    Anthropic,
    Gemini,
}

impl Shape {
    pub fn of(route: Route) -> Self {
        match route {
            Route::ChatCompletions | Route::Completions | Route::Embeddings | Route::Moderations => {
                Shape::OpenAi
            }
            Route::GenerateImages => Shape::Images,
            Route::Responses | Route::CompactResponse | Route::CountResponseTokens => Shape::Responses,
            Route::Messages | Route::CountMessageTokens => Shape::Anthropic,
            Route::Generate
            | Route::StreamGenerate
            | Route::CountTokens
            | Route::EmbedContent
            | Route::BatchEmbedContents => Shape::Gemini,
        }
    }
}

/// What a request used, and whether any of it is an estimate. `served_as` has only the words that the response has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasuredTokens {
    pub metered: Metered,
    pub estimated: bool,
}

impl MeasuredTokens {
    pub const NOTHING: Self = Self { metered: Metered::NONE, estimated: false };

    /// The estimate for a request that no usage is known of.
    pub fn estimate(input: i64, output: i64) -> Self {
        Self { metered: Counts::of_totals(input, 0, output).into(), estimated: true }
    }
}

/// Uses of the provider's own tools that were seen in a response.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    searches: i64,
    tool_uses: i64,
}

/// What one response or event tells, or all of a response together.
#[derive(Clone, Debug, Default)]
struct Report {
    figures: Figures,
    /// What passes used that the figures leave out.
    other_passes: Figures,
    served_as: ServedAs,
    seen: Seen,
    /// Whether it tells something whose price is not this model's.
    is_uncertain: bool,
    /// Whether it tells something that no meter counts.
    uncounted: bool,
}

impl Report {
    fn read(shape: Shape, value: &Value) -> Self {
        let mut report = Self::default();
        let paths: &[&str] = match shape {
            Shape::OpenAi | Shape::Images => &["/usage"],
            Shape::Responses => &["/usage", "/response/usage"],
            Shape::Anthropic => &["/usage", "/message/usage"],
            Shape::Gemini => &["/usageMetadata"],
        };
        for usage in paths.iter().filter_map(|path| value.pointer(path)) {
            report.add_usage(shape, usage);
        }
        match shape {
            Shape::OpenAi => openai::beside(value, &mut report),
            Shape::Responses => responses::beside(value, &mut report),
            Shape::Images => {}
            Shape::Anthropic => anthropic::beside(value, &mut report),
            Shape::Gemini => gemini::beside(value, &mut report),
        }
        if matches!(shape, Shape::OpenAi | Shape::Responses) {
            let tiers = ["/service_tier", "/response/service_tier"].map(|path| value.pointer(path));
            report.served_as.tier = tiers.into_iter().flatten().map(word).fold(report.served_as.tier, later);
        }
        report
    }

    /// The last usage in the end of a response that is too long to be read whole.
    fn at_end(shape: Shape, end: &[u8]) -> Self {
        let mut report = Self::default();
        let name = if shape == Shape::Gemini { "usageMetadata" } else { "usage" };
        if let Some(usage) = last_member(end, name, Value::is_object) {
            report.add_usage(shape, &usage);
        }
        if let Some(tier) = last_member(end, "service_tier", Value::is_string)
            && matches!(shape, Shape::OpenAi | Shape::Responses)
        {
            report.served_as.tier = later(report.served_as.tier, word(&tier));
        }
        report
    }

    fn add_usage(&mut self, shape: Shape, usage: &Value) {
        let figures = match shape {
            Shape::OpenAi => openai::usage(usage),
            Shape::Responses => responses::usage(usage),
            Shape::Images => images::usage(usage),
            Shape::Anthropic => anthropic::usage(usage),
            Shape::Gemini => gemini::usage(usage),
        };
        self.figures.or_larger(&figures);
        if shape == Shape::Anthropic {
            anthropic::other_passes(usage, self);
        }
        let reported = |name: &str| usage.get(name).map(word).unwrap_or_default();
        let served_as = ServedAs {
            tier: later(reported("service_tier"), reported("serviceTier")),
            region: reported("inference_geo"),
            speed: reported("speed"),
        };
        self.served_as = served_as.or(&self.served_as);
    }

    /// Together with a later report: numbers never shrink, and of words the last counts.
    fn and(&mut self, next: Self) {
        self.figures.or_larger(&next.figures);
        self.other_passes.or_larger(&next.other_passes);
        self.served_as = next.served_as.or(&self.served_as);
        self.seen.searches += next.seen.searches;
        self.seen.tool_uses += next.seen.tool_uses;
        self.is_uncertain |= next.is_uncertain;
        self.uncounted |= next.uncounted;
    }

    /// Whether there was a usage at all.
    fn has_usage(&self) -> bool {
        [Figure::Input, Figure::Output, Figure::Total]
            .into_iter()
            .any(|figure| self.figures.get(figure).is_there())
    }

    fn measured(&self, shape: Shape, known: &Known) -> MeasuredTokens {
        let (counts, is_estimated) = tally::counts(shape, self, known);
        let metered = Metered { counts, served_as: self.served_as.clone(), uncounted: self.uncounted };
        MeasuredTokens { metered, estimated: is_estimated || !self.has_usage() }
    }
}

/// The longest word that is kept of how a request was served.
const MAX_WORD: usize = 40;

/// A word of how a request was, or is to be, served. `auto` leaves that to the provider, so it says nothing.
pub fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
    let text = text.trim().trim_start_matches("service_tier_");
    match text {
        "null" | "auto" | "standard_only" => String::new(),
        // It is stored.
        text if has_secret(text) => "unknown".into(),
        text => text.chars().filter(char::is_ascii_graphic).take(MAX_WORD).collect(),
    }
}

fn later(earlier: String, word: String) -> String {
    if word.is_empty() { earlier } else { word }
}

/// The value of the last member with this name in a piece of JSON.
fn last_member(end: &[u8], name: &str, is_right: fn(&Value) -> bool) -> Option<Value> {
    let name = format!("\"{name}\"").into_bytes();
    let starts =
        (0..end.len()).rev().filter(|start| end.get(*start..).is_some_and(|rest| rest.starts_with(&name)));
    for start in starts {
        // Within a text, its quotes are escaped.
        let escaped = start.checked_sub(1).and_then(|before| end.get(before)) == Some(&b'\\');
        let rest = end.get(start + name.len()..).unwrap_or_default().trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b":").filter(|_| !escaped)
            && let Some(Ok(value)) = serde_json::Deserializer::from_slice(rest).into_iter::<Value>().next()
            && is_right(&value)
        {
            return Some(value);
        }
    }
    None
}

/// What a whole response tells, or its end when `end_only`. `input` is the estimate from the request.
pub fn measure_whole(
    shape: Shape,
    body: &[u8],
    end_only: bool,
    input: i64,
    bounds: Bounds,
) -> MeasuredTokens {
    let (report, text) = match serde_json::from_slice::<Value>(body) {
        Ok(value) if !end_only && shape == Shape::Images => {
            (Report::read(shape, &value), images::estimate(&value))
        }
        Ok(value) if !end_only => (Report::read(shape, &value), output_of(&value)),
        // Images are no text.
        _ if shape == Shape::Images => (Report::at_end(shape, body), images::TOKENS),
        _ => (Report::at_end(shape, body), text_of(body)),
    };
    report.measured(shape, &Known { input, text: text.min(bounds.output), unreported: 0, bounds })
}

/// The usage in the answer of a request that failed; what it does not tell is not charged.
pub fn measure_failure(shape: Shape, body: &[u8], bounds: Bounds) -> MeasuredTokens {
    let report = serde_json::from_slice(body).map(|value| Report::read(shape, &value)).unwrap_or_default();
    if !report.has_usage() {
        return MeasuredTokens::NOTHING;
    }
    report.measured(shape, &Known { input: 0, text: 0, unreported: 0, bounds })
}

fn output_of(value: &Value) -> i64 {
    let mut counted = Counted::default();
    add_output(value, &mut counted);
    counted.tokens()
}

fn text_of(body: &[u8]) -> i64 {
    let mut counted = Counted::default();
    counted.text(&String::from_utf8_lossy(body));
    counted.tokens()
}
