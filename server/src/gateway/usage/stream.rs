//! Measures a stream as it passes.

use bytes::Bytes;
use serde_json::Value;

use super::number::Figure;
use super::tally::{Bounds, Known};
use super::{MeasuredTokens, Report, Shape, responses};
use crate::gateway::estimate::{Counted, add_output};
use crate::gateway::sse::{Elements, Event, Events};

enum Source {
    Events(Events),
    Elements(Elements),
}

/// Measures a stream as it passes.
pub struct Meter {
    source: Source,
    /// Whether the chunk with the usage is hidden from the client, who did not request it.
    hides_usage: bool,
    seen: Seen,
}

struct Seen {
    shape: Shape,
    bounds: Bounds,
    report: Report,
    /// Whether the answer has ended, so that the numbers are the last ones.
    finished: bool,
    /// Whether the provider's final numbers have arrived.
    complete: bool,
    /// Whether the protocol's last event has arrived.
    over: bool,
    text: Counted,
    stored: Vec<String>,
    /// The tokens of the text that the numbers include.
    reported_text: i64,
}

impl Meter {
    pub fn new(shape: Shape, is_events: bool, hides_usage: bool, bounds: Bounds) -> Self {
        let hides_usage = hides_usage && is_events;
        let source = if is_events {
            Source::Events(Events::keeping_raw(hides_usage))
        } else {
            Source::Elements(Elements::default())
        };
        let seen = Seen {
            shape,
            bounds,
            report: Report::default(),
            finished: false,
            complete: false,
            over: false,
            text: Counted::default(),
            stored: Vec::new(),
            reported_text: 0,
        };
        Self { source, hides_usage, seen }
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

    pub fn stored_ids(&self) -> &[String] {
        &self.seen.stored
    }

    /// `input` is the estimate from the request. The report of an interrupted stream may be too low.
    pub fn measured(&self, input: i64, ended: bool) -> MeasuredTokens {
        let Seen { shape, bounds, report, complete, text, reported_text, .. } = &self.seen;
        let text = text.tokens();
        let unreported = (text - reported_text).max(0);
        let mut measured = report.measured(*shape, &Known { input, text, unreported, bounds: *bounds });
        let is_last = *complete || (ended && *shape == Shape::Gemini);
        measured.estimated |= !is_last;
        measured
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
            self.complete |= self.report.has_usage();
            return false;
        }
        if event.cut {
            let report = Report::at_end(self.shape, &event.data);
            if report.has_usage() {
                self.add(report);
                self.complete = true;
                // Only the last event of a response contains all of it and can be this long.
                self.over |= self.shape == Shape::Responses;
            }
            return false;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&event.data) else { return false };
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let report = Report::read(self.shape, &value);
        let has_usage = report.has_usage();
        // Other events of responses repeat the text.
        if self.shape != Shape::Responses || kind.ends_with(".delta") {
            add_output(&value, &mut self.text);
        }
        self.add(report);
        match self.shape {
            Shape::OpenAi => {
                let choices = value.get("choices").and_then(Value::as_array);
                let is_empty = choices.is_some_and(Vec::is_empty);
                let ends = |choice: &Value| choice["finish_reason"].is_string();
                self.finished |= choices.is_some_and(|choices| choices.iter().any(ends));
                self.complete |= has_usage && (self.finished || is_empty);
                return has_usage && is_empty;
            }
            Shape::Responses => {
                if matches!(kind, "response.completed" | "response.incomplete" | "response.failed") {
                    self.complete |= has_usage;
                    self.stored = responses::stored_ids(&value);
                    self.over = true;
                }
            }
            Shape::Anthropic => {
                self.complete |= kind == "message_delta" && has_usage;
                self.over |= kind == "message_stop";
            }
            Shape::Gemini => {
                let finished = value.pointer("/candidates/0/finishReason").is_some_and(Value::is_string);
                self.complete |= finished && has_usage;
            }
        }
        false
    }

    /// A report includes the text before it when its output is larger than in the reports before, or large enough for all
    /// of the text. Some providers tell a number at the beginning and only repeat it.
    fn add(&mut self, report: Report) {
        let reported = |report: &Report| {
            let number = |figure| report.figures.get(figure).reported().unwrap_or(0);
            (number(Figure::Output), number(Figure::Total))
        };
        let has_output =
            [Figure::Output, Figure::Total].iter().any(|figure| report.figures.get(*figure).is_there());
        let before = reported(&self.report);
        self.report.and(report);
        let (output, total) = reported(&self.report);
        let text = self.text.tokens();
        if has_output && (output > before.0 || total > before.1 || (output > 0 && text <= output)) {
            self.reported_text = text;
        }
    }
}
