//! Measures a stream as it passes.

use bytes::Bytes;
use serde_json::Value;

use super::number::Figure;
use super::tally::{Bounds, Known};
use super::{MeasuredTokens, Report, Shape, responses};
use crate::gateway::estimate::{Counted, add_output};
use crate::gateway::provider_error::replace_account_error;
use crate::gateway::sse::{Elements, Event, Events};
use crate::gateway::upstream::UpstreamError;

/// The error that a client gets in place of a provider's about the account of this installation.
pub type AccountError = Box<dyn Fn(UpstreamError) -> Value + Send + Sync>;

enum Source {
    Events(Events),
    Elements(Elements),
}

/// Measures a stream as it passes.
pub struct StreamMeter {
    source: Source,
    /// Whether events are held back until they are whole, as one can be left out or replaced.
    keeps_raw: bool,
    seen: Seen,
}

/// What the client gets of an event.
enum Shown {
    AsItIs,
    Nothing,
    Instead(Value),
}

struct Seen {
    shape: Shape,
    bounds: Bounds,
    /// Whether the chunk with the usage is hidden from the client, who did not request it.
    hides_usage: bool,
    account_error: Option<AccountError>,
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

impl StreamMeter {
    pub fn new(
        shape: Shape,
        is_events: bool,
        hides_usage: bool,
        bounds: Bounds,
        account_error: Option<AccountError>,
    ) -> Self {
        let hides_usage = hides_usage && is_events;
        let keeps_raw = hides_usage || account_error.is_some();
        let source = if is_events {
            Source::Events(Events::keeping_raw(keeps_raw))
        } else {
            Source::Elements(Elements::keeping_raw(keeps_raw))
        };
        let seen = Seen {
            shape,
            bounds,
            hides_usage,
            account_error,
            report: Report::default(),
            finished: false,
            complete: false,
            over: false,
            text: Counted::default(),
            stored: Vec::new(),
            reported_text: 0,
        };
        Self { source, keeps_raw, seen }
    }

    /// Answers the bytes for the client: the same, or, where events are held back, those of whole events.
    pub fn feed(&mut self, bytes: Bytes) -> Bytes {
        let shown = self.read(|source, mut on| match source {
            Source::Events(events) => events.feed(&bytes, &mut on),
            Source::Elements(elements) => elements.feed(&bytes, &mut on),
        });
        if self.keeps_raw { shown } else { bytes }
    }

    /// Ends the stream; answers the bytes that were held back.
    pub fn finish(&mut self) -> Bytes {
        self.read(|source, mut on| {
            if let Source::Events(events) = source {
                events.finish(&mut on);
            }
        })
    }

    /// Answers what the client gets of the events that `feed` passes on.
    fn read(&mut self, feed: impl FnOnce(&mut Source, &mut dyn FnMut(Event))) -> Bytes {
        let mut shown = Vec::new();
        let (seen, is_events) = (&mut self.seen, matches!(self.source, Source::Events(_)));
        feed(&mut self.source, &mut |event| match seen.read(&event) {
            Shown::AsItIs => shown.extend_from_slice(&event.raw),
            Shown::Nothing => {}
            Shown::Instead(value) => {
                let value = value.to_string();
                let bytes = if is_events { Event::with_data } else { Event::with_element };
                shown.extend(bytes(&event, value.as_bytes()));
            }
        });
        shown.into()
    }

    /// Whether something of the gateway's own may follow what the client has.
    pub fn is_between(&self) -> bool {
        self.keeps_raw
            && match &self.source {
                Source::Events(events) => events.is_between(),
                Source::Elements(elements) => elements.is_between(),
            }
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
    fn read(&mut self, event: &Event) -> Shown {
        if event.data.is_empty() {
            return Shown::AsItIs;
        }
        if event.data == b"[DONE]" {
            self.over = true;
            self.complete |= self.report.has_usage();
            return Shown::AsItIs;
        }
        if event.cut {
            let report = Report::at_end(self.shape, &event.data);
            if report.has_usage() {
                self.add(report);
                self.complete = true;
                // Only the last event of a response contains all of it and can be this long.
                self.over |= self.shape == Shape::Responses;
            }
            return Shown::AsItIs;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&event.data) else { return Shown::AsItIs };
        if self.count(&value) && self.hides_usage {
            return Shown::Nothing;
        }
        match &self.account_error {
            Some(instead) if replace_account_error(&mut value, instead) => Shown::Instead(value),
            _ => Shown::AsItIs,
        }
    }

    /// Counts an event. Answers whether this is OpenAI's with the usage and nothing else.
    fn count(&mut self, value: &Value) -> bool {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let report = Report::read(self.shape, value);
        let has_usage = report.has_usage();
        // Other events of responses repeat the text.
        if self.shape != Shape::Responses || kind.ends_with(".delta") {
            add_output(value, &mut self.text);
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
            // They are never streamed.
            Shape::Images => self.complete |= has_usage,
            Shape::Responses => {
                if matches!(kind, "response.completed" | "response.incomplete" | "response.failed") {
                    self.complete |= has_usage;
                    self.stored = responses::stored_ids(value);
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
