//! What a provider says that a request used, read from its answer as it passes, whole or as a stream. Pure.
//!
//! It keeps no text: what a model wrote is counted as it goes by, for the case that its provider never tells.

use bytes::Bytes;
use keydesk_core::domain::usage::Tokens;
use serde_json::Value;

use super::estimate::{Counted, MAX_TOKENS, add_output};
use super::sse::{Elements, Event, Events};

/// In whose words a route's answers tell their usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Chat completions, completions and embeddings.
    OpenAi,
    Responses,
    Anthropic,
    Gemini,
}

/// As far as it was told. Anthropic tells it in parts, and the parts of the input apart from each other.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    input: Option<i64>,
    cached: Option<i64>,
    written: Option<i64>,
    output: Option<i64>,
}

impl Told {
    fn read(shape: Shape, usage: &Value) -> Self {
        let number = |path: &str| usage.pointer(path).and_then(count);
        let sum = |one: &str, other: &str| match (number(one), number(other)) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
        match shape {
            Shape::OpenAi => {
                let input = number("/prompt_tokens");
                // Some count what a model thought in the total alone.
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

    /// What is told later counts.
    fn and(self, later: Self) -> Self {
        Self {
            input: later.input.or(self.input),
            cached: later.cached.or(self.cached),
            written: later.written.or(self.written),
            output: later.output.or(self.output),
        }
    }

    fn tokens(self, shape: Shape) -> Option<Tokens> {
        self.input.or(self.output)?;
        let cached = self.cached.unwrap_or(0);
        let mut input = self.input.unwrap_or(0);
        if shape == Shape::Anthropic {
            input += cached + self.written.unwrap_or(0);
        }
        Some(Tokens {
            input: input.min(MAX_TOKENS),
            output: self.output.unwrap_or(0).min(MAX_TOKENS),
            cached: cached.min(input),
        })
    }
}

/// A number of tokens, whatever a provider makes of it.
fn count(value: &Value) -> Option<i64> {
    let number = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))?;
    Some(number.clamp(0, MAX_TOKENS))
}

/// Where the usage stands in one answer or event.
fn told_in(shape: Shape, value: &Value) -> Option<Told> {
    let places: &[&str] = match shape {
        Shape::OpenAi => &["/usage"],
        Shape::Responses => &["/usage", "/response/usage"],
        Shape::Anthropic => &["/usage", "/message/usage"],
        Shape::Gemini => &["/usageMetadata"],
    };
    let usage = places.iter().filter_map(|place| value.pointer(place)).find(|usage| usage.is_object())?;
    Some(Told::read(shape, usage))
}

/// The last usage in the end of something that is too long to be read whole.
fn told_at_end(shape: Shape, end: &[u8]) -> Option<Told> {
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
            return Some(Told::read(shape, &usage));
        }
    }
    None
}

/// What a request used, and whether that is an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub tokens: Tokens,
    pub estimated: bool,
}

impl Measured {
    pub const NOTHING: Self = Self { tokens: Tokens { input: 0, output: 0, cached: 0 }, estimated: false };
}

/// Of a whole answer. `end_only` when only its end is there. `None` when the provider told nothing.
pub fn told_whole(shape: Shape, body: &[u8], end_only: bool) -> Option<Tokens> {
    let told = if end_only {
        told_at_end(shape, body)
    } else {
        serde_json::from_slice(body).ok().and_then(|value: Value| told_in(shape, &value))
    };
    told?.tokens(shape)
}

/// The tokens of the text in a whole answer.
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

/// Reads along with a stream.
pub struct Meter {
    shape: Shape,
    source: Source,
    /// The chunk with the usage is not for the client, who did not ask for it.
    hides_usage: bool,
    seen: Seen,
}

struct Seen {
    shape: Shape,
    told: Told,
    /// The provider's last number is there.
    complete: bool,
    /// The protocol's last word is there: nothing that counts comes after it.
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
        let told = Told::default();
        let seen = Seen { shape, told, complete: false, over: false, text: Counted::default() };
        Self { shape, source, hides_usage, seen }
    }

    /// Answers with what is for the client: the same bytes, or, where a chunk is hidden, whole events.
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

    /// The stream is at its end: what was kept back of it.
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

    /// `input` is the estimate from before. What was told of a stream that broke off may be too little.
    pub fn measured(&self, input: i64, ended: bool) -> Measured {
        let Seen { told, complete, text, .. } = self.seen;
        let estimate = text.tokens();
        match told.tokens(self.shape) {
            Some(tokens) if complete || (ended && self.shape == Shape::Gemini) => {
                Measured { tokens, estimated: false }
            }
            Some(tokens) => {
                let input = if told.input.is_some() { tokens.input } else { input };
                Measured {
                    tokens: Tokens { input, output: tokens.output.max(estimate), ..tokens },
                    estimated: true,
                }
            }
            None => Measured { tokens: Tokens { input, output: estimate, cached: 0 }, estimated: true },
        }
    }
}

impl Seen {
    /// Whether the event is OpenAI's that tells the usage and nothing else.
    fn read(&mut self, event: &Event) -> bool {
        if event.data.is_empty() {
            return false;
        }
        if event.data == b"[DONE]" {
            self.over = true;
            return false;
        }
        if event.cut {
            if let Some(told) = told_at_end(self.shape, &event.data) {
                self.told = self.told.and(told);
                self.complete = true;
                // A response is the only thing that is this long, and its last event the only one that has it whole.
                self.over |= self.shape == Shape::Responses;
            }
            return false;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&event.data) else { return false };
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let told = told_in(self.shape, &value);
        if let Some(told) = told {
            self.told = self.told.and(told);
        }
        match self.shape {
            Shape::OpenAi => {
                self.complete |= told.is_some();
                add_output(&value, &mut self.text);
                let is_empty = value.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
                return told.is_some() && is_empty;
            }
            Shape::Responses => {
                if kind.ends_with(".delta") {
                    add_output(&value, &mut self.text);
                }
                if matches!(kind, "response.completed" | "response.incomplete" | "response.failed") {
                    self.complete |= told.is_some();
                    self.over = true;
                }
            }
            Shape::Anthropic => {
                add_output(&value, &mut self.text);
                self.complete |= kind == "message_delta" && told.is_some();
                self.over |= kind == "message_stop";
            }
            Shape::Gemini => {
                add_output(&value, &mut self.text);
                let finished = value.pointer("/candidates/0/finishReason").is_some_and(Value::is_string);
                self.complete |= finished && told.is_some();
            }
        }
        false
    }
}
