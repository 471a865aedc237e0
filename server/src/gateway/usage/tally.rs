//! From the numbers of a provider to how much of each meter was used. Each token counts once, and where a number cannot be
//! believed an estimate stands in.

use keydesk_core::domain::meter::{Counts, Meter};

use super::number::{Figure, Figures, Number};
use super::{Report, Shape};

/// What is known of a request and its response besides the provider's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Estimated input tokens.
    pub input: i64,
    /// Estimated tokens of the text that was received.
    pub text: i64,
    /// Those of them that no report can include.
    pub unreported: i64,
    /// More than this is not believed.
    pub bounds: Bounds,
}

/// The most tokens that a request can plausibly use. They are wide: what is above them is replaced by an estimate, so that
/// a client must not be able to bring a true number above them.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub input: i64,
    pub output: i64,
}

/// More than any model reads.
const MAX_INPUT: i64 = 2_000_000;
/// More than nearly any model writes in one answer.
const MAX_OUTPUT: i64 = 500_000;
/// More than any request makes.
const MAX_USES: i64 = 1_000;

impl Bounds {
    /// For a request with this estimated input, this maximum for each of its answers, and this output of all of them
    /// reserved, which is what the model can give.
    pub fn new(input: i64, max_output: Option<i64>, answers: i64, reserved: i64) -> Self {
        let output = match max_output {
            Some(0) => 0,
            max => {
                let each = max.unwrap_or(0).saturating_mul(2).max(MAX_OUTPUT);
                each.saturating_mul(answers.max(1)).max(reserved)
            }
        };
        Self { input: input.saturating_mul(8).max(MAX_INPUT), output }
    }
}

/// How much of each meter was used, and whether any of it is an estimate.
pub fn counts(shape: Shape, report: &Report, known: &Known) -> (Counts, bool) {
    let (mut counts, mut is_estimated) = one_pass(shape, &report.figures, known);
    let nothing = Known { input: 0, text: 0, unreported: 0, ..*known };
    let (others, is_odd) = one_pass(shape, &report.other_passes, &nothing);
    for (meter, count) in others.used() {
        counts.set(meter, counts.get(meter) + count);
    }
    is_estimated |= is_odd || report.is_uncertain;
    for (meter, figure, seen) in [
        (Meter::Searches, Figure::Searches, report.seen.searches),
        (Meter::ToolUses, Figure::ToolUses, report.seen.tool_uses),
    ] {
        let number = report.figures.get(figure);
        let reported = number.reported().filter(|reported| *reported <= MAX_USES);
        is_estimated |= number.is_odd() || reported != number.reported();
        counts.set(meter, reported.unwrap_or(seen.min(MAX_USES)));
    }
    (counts, is_estimated)
}

fn one_pass(shape: Shape, figures: &Figures, known: &Known) -> (Counts, bool) {
    let get = |figure| figures.get(figure);
    let by_lifetime = get(Figure::WrittenShort).plus(get(Figure::WrittenLong));
    let written = get(Figure::Written).or_larger(by_lifetime);
    let input = match (shape, get(Figure::Input).reported()) {
        (Shape::Anthropic, Some(_)) => get(Figure::Input).plus(get(Figure::Cached)).plus(written),
        _ => get(Figure::Input),
    };
    let input = Side {
        total: input,
        estimate: known.input,
        unreported: 0,
        max: known.bounds.input,
        // Where they overlap, a token counts for the first.
        parts: &[
            (Meter::CachedAudio, get(Figure::CachedAudio)),
            (Meter::CacheWriteLong, get(Figure::WrittenLong)),
            (Meter::CacheWriteShort, written.minus(get(Figure::WrittenLong))),
            (Meter::AudioInput, get(Figure::AudioInput)),
            (Meter::CachedInput, get(Figure::Cached).minus(get(Figure::CachedAudio))),
            (Meter::ImageInput, get(Figure::ImageInput)),
        ],
        rest: Meter::Input,
    };
    let output = Side {
        total: all_output(shape, figures, known.bounds.output),
        estimate: known.text,
        unreported: known.unreported,
        max: known.bounds.output,
        parts: &[
            (Meter::AudioOutput, get(Figure::AudioOutput)),
            (Meter::ImageOutput, get(Figure::ImageOutput)),
            (Meter::Reasoning, get(Figure::Reasoning)),
        ],
        rest: Meter::Output,
    };
    let mut counts = Counts::NONE;
    let is_estimated = input.count(&mut counts) | output.count(&mut counts);
    (counts, is_estimated)
}

/// Some providers leave reasoning out of the output, and tell it in the total or beside.
fn all_output(shape: Shape, figures: &Figures, max: i64) -> Number {
    let output = figures.get(Figure::Output);
    if !matches!(shape, Shape::OpenAi | Shape::Responses) {
        return output;
    }
    let believed = |reported: i64| if reported <= max { Number::of(reported) } else { Number::default() };
    let rest = figures.get(Figure::Input).reported().zip(figures.get(Figure::Total).reported());
    let output = rest.map_or(output, |(input, total)| output.or_larger(believed((total - input).max(0))));
    match (output.reported(), figures.get(Figure::Reasoning).reported()) {
        (Some(reported), Some(reasoning)) if reasoning > reported => {
            output.or_larger(believed(reported + reasoning))
        }
        _ => output,
    }
}

/// The tokens of one side, in parts.
struct Side<'a> {
    total: Number,
    estimate: i64,
    unreported: i64,
    max: i64,
    parts: &'a [(Meter, Number)],
    /// The meter of what is in no part.
    rest: Meter,
}

impl Side<'_> {
    /// Whether any of it is an estimate.
    fn count(&self, counts: &mut Counts) -> bool {
        // No request is free of input, and no text of output.
        let reported = self
            .total
            .reported()
            .filter(|reported| *reported <= self.max && (*reported > 0 || self.estimate == 0));
        let believed = |part: Number| part.reported().filter(|part| *part <= self.max).unwrap_or(0);
        let largest = self.parts.iter().map(|(_, part)| believed(*part)).max().unwrap_or(0);
        let mut total = match reported {
            // A part that is larger than the whole: neither is certain.
            Some(reported) if largest > reported => reported.max(self.estimate),
            Some(reported) => reported,
            None => {
                let sum = self.parts.iter().map(|(_, part)| believed(*part)).fold(0, i64::saturating_add);
                self.estimate.max(sum).min(self.max)
            }
        };
        let is_odd = self.total.is_odd() || self.parts.iter().any(|(_, part)| part.is_odd());
        let is_unknown = reported.is_none() && (self.estimate > 0 || self.total.reported().is_some());
        let is_too_large =
            self.parts.iter().any(|(_, part)| part.reported().is_some_and(|part| part > total));
        let unreported = if reported.is_some() { self.unreported } else { 0 };
        total = total.saturating_add(unreported);
        let mut left = total;
        for (meter, part) in self.parts {
            let part = believed(*part).min(left);
            left -= part;
            counts.set(*meter, part);
        }
        counts.set(self.rest, left);
        is_odd
            || is_unknown
            || is_too_large
            || unreported > 0
            || reported.is_some_and(|reported| reported < largest)
    }
}
