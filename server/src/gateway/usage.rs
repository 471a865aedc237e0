//! The usage that a provider reports, read from its response as it passes, whole or as a stream. Pure.
//!
//! It stores no text: the output is counted as it passes, in case the provider reports nothing.

use bytes::Bytes;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::route::Route;
use serde_json::Value;

use super::estimate::{Counted, MAX_TOKENS, add_output};
use super::sse::{Elements, Event, Events};

/// The form in which a route's responses report their usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Chat completions, completions and embeddings.
    OpenAi,
    Responses,
    Anthropic,
    Gemini,
}

impl Shape {
    pub fn of(route: Route) -> Self {
        match route {
            Route::ChatCompletions | Route::Completions | Route::Embeddings => Shape::OpenAi,
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

/// What is reported so far. Anthropic reports it in parts, and the parts of the input apart from each other.
#[derive(Clone, Copy, Debug, Default)]
struct ReportedUsage {
    input: Option<i64>,
    cached: Option<i64>,
    written: Option<i64>,
    output: Option<i64>,
}

impl ReportedUsage {
    fn read(shape: Shape, usage: &Value) -> Self {
        let number = |path: &str| usage.pointer(path).and_then(count);
        let sum = |one: &str, other: &str| match (number(one), number(other)) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
        match shape {
            Shape::OpenAi => {
                let input = number("/prompt_tokens");
                // Some providers count reasoning only in the total.
                let rest = input.zip(number("/total_tokens")).map(|(input, total)| (total - input).max(0));
                Self {
                    input,
                    cached: number("/prompt_tokens_details/cached_tokens"),
                    written: None,
                    output: number("/completion_tokens").map(|output| output.max(rest.unwrap_or(0))),
                }
            }
            Shape::Responses => Self {
                input: number("/input_tokens"),
                cached: number("/input_tokens_details/cached_tokens"),
                written: None,
                output: number("/output_tokens"),
            },
            Shape::Anthropic => Self {
                input: number("/input_tokens"),
                cached: number("/cache_read_input_tokens"),
                written: number("/cache_creation_input_tokens"),
                output: number("/output_tokens"),
            },
            Shape::Gemini => Self {
                input: sum("/promptTokenCount", "/toolUsePromptTokenCount"),
                cached: number("/cachedContentTokenCount"),
                written: None,
                output: sum("/candidatesTokenCount", "/thoughtsTokenCount"),
            },
        }
    }

    /// A later report replaces an earlier one.
    fn and(self, later: Self) -> Self {
        Self {
            input: later.input.or(self.input),
            cached: later.cached.or(self.cached),
            written: later.written.or(self.written),
            output: later.output.or(self.output),
        }
    }

    fn counts(self, shape: Shape) -> Option<Counts> {
        self.input.or(self.output)?;
        let cached = self.cached.unwrap_or(0);
        let mut input = self.input.unwrap_or(0);
        if shape == Shape::Anthropic {
            input += cached + self.written.unwrap_or(0);
        }
        Some(Counts::of_totals(input, cached, self.output.unwrap_or(0)))
    }
}

/// A number of tokens, limited to what is plausible.
fn count(value: &Value) -> Option<i64> {
    let number = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))?;
    Some(number.clamp(0, MAX_TOKENS))
}

/// The usage in one response or event.
fn usage_in(shape: Shape, value: &Value) -> Option<ReportedUsage> {
    let paths: &[&str] = match shape {
        Shape::OpenAi => &["/usage"],
        Shape::Responses => &["/usage", "/response/usage"],
        Shape::Anthropic => &["/usage", "/message/usage"],
        Shape::Gemini => &["/usageMetadata"],
    };
    let usage = paths.iter().filter_map(|path| value.pointer(path)).find(|usage| usage.is_object())?;
    Some(ReportedUsage::read(shape, usage))
}

/// The last usage in the end of a response that is too long to be read whole.
fn usage_at_end(shape: Shape, end: &[u8]) -> Option<ReportedUsage> {
    let name: &[u8] = if shape == Shape::Gemini { b"\"usageMetadata\"" } else { b"\"usage\"" };
    let starts =
        (0..end.len()).rev().filter(|start| end.get(*start..).is_some_and(|rest| rest.starts_with(name)));
    for start in starts {
        // Within a text, its quotes are escaped.
        let escaped = start.checked_sub(1).and_then(|before| end.get(before)) == Some(&b'\\');
        let rest = end.get(start + name.len()..).unwrap_or_default().trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b":").filter(|_| !escaped)
            && let Some(Ok(usage)) = serde_json::Deserializer::from_slice(rest).into_iter::<Value>().next()
            && usage.is_object()
        {
            return Some(ReportedUsage::read(shape, &usage));
        }
    }
    None
}

/// Tokens of a request, and whether they are an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredTokens {
    pub counts: Counts,
    pub estimated: bool,
}

impl MeasuredTokens {
    pub const NOTHING: Self = Self { counts: Counts::NONE, estimated: false };
}

/// The usage in a whole response, or in its end when `end_only`. `None` when the provider reported none.
pub fn reported_usage(shape: Shape, body: &[u8], end_only: bool) -> Option<Counts> {
    let reported = if end_only {
        usage_at_end(shape, body)
    } else {
        serde_json::from_slice(body).ok().and_then(|value: Value| usage_in(shape, &value))
    };
    reported?.counts(shape)
}

/// The estimated tokens of the text in a whole response.
pub fn output_of(body: &[u8]) -> i64 {
    let mut counted = Counted::default();
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => add_output(&value, &mut counted),
        Err(_) => counted.text(&String::from_utf8_lossy(body)),
    }
    counted.tokens()
}

enum Source {
    Events(Events),
    Elements(Elements),
}

/// Measures a stream as it passes.
pub struct Meter {
    shape: Shape,
    source: Source,
    /// Whether the chunk with the usage is hidden from the client, who did not request it.
    hides_usage: bool,
    seen: Seen,
}

struct Seen {
    shape: Shape,
    reported: ReportedUsage,
    /// Whether the provider's final numbers have arrived.
    complete: bool,
    /// Whether the protocol's last event has arrived.
    over: bool,
    text: Counted,
}

impl Meter {
    pub fn new(shape: Shape, is_events: bool, hides_usage: bool) -> Self {
        let hides_usage = hides_usage && is_events;
        let source = if is_events {
            Source::Events(Events::keeping_raw(hides_usage))
        } else {
            Source::Elements(Elements::default())
        };
        let reported = ReportedUsage::default();
        let seen = Seen { shape, reported, complete: false, over: false, text: Counted::default() };
        Self { shape, source, hides_usage, seen }
    }

    /// Answers the bytes for the client: the same, or, where a chunk is hidden, whole events.
    pub fn feed(&mut self, bytes: Bytes) -> Bytes {
        let mut shown = Vec::new();
        let (seen, hides) = (&mut self.seen, self.hides_usage);
        let mut on = |event: Event| {
            let is_usage_alone = seen.read(&event);
            if hides && !is_usage_alone {
                shown.extend_from_slice(&event.raw);
            }
        };
        match &mut self.source {
            Source::Events(events) => events.feed(&bytes, &mut on),
            Source::Elements(elements) => elements.feed(&bytes, &mut on),
        }
        if hides { shown.into() } else { bytes }
    }

    /// Ends the stream; answers the bytes that were held back.
    pub fn finish(&mut self) -> Bytes {
        let mut shown = Vec::new();
        let seen = &mut self.seen;
        if let Source::Events(events) = &mut self.source {
            events.finish(&mut |event| {
                if !seen.read(&event) {
                    shown.extend_from_slice(&event.raw);
                }
            });
        }
        shown.into()
    }

    pub fn is_over(&self) -> bool {
        self.seen.over
    }

    /// `input` is the estimate from the request. The report of an interrupted stream may be too low.
    pub fn measured(&self, input: i64, ended: bool) -> MeasuredTokens {
        let Seen { reported, complete, text, .. } = self.seen;
        let estimate = text.tokens();
        match reported.counts(self.shape) {
            Some(counts) if complete || (ended && self.shape == Shape::Gemini) => {
                MeasuredTokens { counts, estimated: false }
            }
            Some(counts) => {
                let input = if reported.input.is_some() { counts.input() } else { input };
                let output = counts.output().max(estimate);
                MeasuredTokens { counts: Counts::of_totals(input, counts.cached(), output), estimated: true }
            }
            None => MeasuredTokens { counts: Counts::of_totals(input, 0, estimate), estimated: true },
        }
    }
}

impl Seen {
    /// Whether this is OpenAI's event with the usage and nothing else.
    fn read(&mut self, event: &Event) -> bool {
        if event.data.is_empty() {
            return false;
        }
        if event.data == b"[DONE]" {
            self.over = true;
            return false;
        }
        if event.cut {
            if let Some(reported) = usage_at_end(self.shape, &event.data) {
                self.reported = self.reported.and(reported);
                self.complete = true;
                // Only the last event of a response contains all of it and can be this long.
                self.over |= self.shape == Shape::Responses;
            }
            return false;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&event.data) else { return false };
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let reported = usage_in(self.shape, &value);
        if let Some(reported) = reported {
            self.reported = self.reported.and(reported);
        }
        match self.shape {
            Shape::OpenAi => {
                self.complete |= reported.is_some();
                add_output(&value, &mut self.text);
                let is_empty = value.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
                return reported.is_some() && is_empty;
            }
            Shape::Responses => {
                if kind.ends_with(".delta") {
                    add_output(&value, &mut self.text);
                }
                if matches!(kind, "response.completed" | "response.incomplete" | "response.failed") {
                    self.complete |= reported.is_some();
                    self.over = true;
                }
            }
            Shape::Anthropic => {
                add_output(&value, &mut self.text);
                self.complete |= kind == "message_delta" && reported.is_some();
                self.over |= kind == "message_stop";
            }
            Shape::Gemini => {
                add_output(&value, &mut self.text);
                let finished = value.pointer("/candidates/0/finishReason").is_some_and(Value::is_string);
                self.complete |= finished && reported.is_some();
            }
        }
        false
    }
}
