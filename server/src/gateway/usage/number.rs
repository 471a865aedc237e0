//! Numbers as providers tell them. One that is negative, no whole number, no number at all or more than any model's is odd:
//! it is not believed, and what stands in for it is an estimate.

use keydesk_core::domain::meter::MAX_COUNT;
use serde_json::Value;

/// One number, of all reports of a response together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
    reported: Option<i64>,
    is_odd: bool,
}

impl Number {
    pub fn of(reported: i64) -> Self {
        Self { reported: Some(reported), is_odd: false }
    }

    pub fn read(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::default(),
            Some(value) => match value.as_i64().filter(|number| (0..=MAX_COUNT).contains(number)) {
                Some(number) => Self::of(number),
                None => Self { reported: None, is_odd: true },
            },
        }
    }

    pub fn reported(self) -> Option<i64> {
        self.reported
    }

    /// Whether one of its reports was not believed.
    pub fn is_odd(self) -> bool {
        self.is_odd
    }

    /// Whether it was in a report at all.
    pub fn is_there(self) -> bool {
        self.reported.is_some() || self.is_odd
    }

    /// Numbers never shrink: some providers repeat a zero at the end of a stream.
    pub fn or_larger(self, other: Self) -> Self {
        Self { reported: self.reported.max(other.reported), is_odd: self.is_odd || other.is_odd }
    }

    /// With a number that it leaves out. Two numbers that were not told have no sum.
    pub fn plus(self, other: Self) -> Self {
        let reported = match (self.reported, other.reported) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        Self { reported, is_odd: self.is_odd || other.is_odd }
    }

    /// Without a number that is part of it.
    pub fn minus(self, part: Self) -> Self {
        let reported = self.reported.map(|reported| (reported - part.reported.unwrap_or(0)).max(0));
        Self { reported, is_odd: self.is_odd || part.is_odd }
    }
}

/// What protocols have numbers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// All input; in Anthropic's protocol what is neither read from the cache nor written to it.
    Input,
    /// All output.
    Output,
    /// Both.
    Total,
    /// Read from the cache, audio included.
    Cached,
    CachedAudio,
    /// Written to the cache, for any time.
    Written,
    WrittenShort,
    WrittenLong,
    /// Without cached audio.
    AudioInput,
    /// Without cached images.
    ImageInput,
    Reasoning,
    AudioOutput,
    ImageOutput,
    Searches,
    ToolUses,
}

impl Figure {
    const COUNT: usize = 15;
}

/// The numbers of one usage, or of all of a response together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures([Number; Figure::COUNT]);

impl Figures {
    pub fn get(&self, figure: Figure) -> Number {
        self.0.get(figure as usize).copied().unwrap_or_default()
    }

    /// Another place in which the same number can be.
    pub fn note(&mut self, figure: Figure, number: Number) {
        if let Some(there) = self.0.get_mut(figure as usize) {
            *there = there.or_larger(number);
        }
    }

    pub fn or_larger(&mut self, other: &Self) {
        for (one, other) in self.0.iter_mut().zip(other.0) {
            *one = one.or_larger(other);
        }
    }

    pub fn plus(&mut self, other: &Self) {
        for (one, other) in self.0.iter_mut().zip(other.0) {
            *one = one.plus(other);
        }
    }
}
