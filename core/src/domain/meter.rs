//! What providers charge for: the meters, how much of each a request used, and how it was served.

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// How the price of a meter is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nano-dollars for a million tokens.
    MillionTokens,
    /// Nano-dollars for a thousand.
    Thousand,
    /// Nano-dollars for each.
    Each,
}

/// On which side of a request a meter's tokens count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Input tokens.
    Input,
    /// Output tokens.
    Output,
    /// No tokens.
    Neither,
}

/// The kinds of use. No token counts in two of them: `Input` is what is left of the input when cached, written, audio and
/// image tokens are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// Input tokens without a meter of their own.
    Input,
    /// Input tokens read from the provider's cache.
    CachedInput,
    /// Input tokens written to the cache for its short time: 5 minutes at Anthropic, 30 at OpenAI.
    CacheWriteShort,
    /// Input tokens written to the cache for its long time: 1 hour at Anthropic, 12 at OpenAI.
    CacheWriteLong,
    /// Audio input tokens.
    AudioInput,
    /// Audio input tokens read from the cache.
    CachedAudio,
    /// Image input tokens.
    ImageInput,
    /// Output tokens without a meter of their own.
    Output,
    /// Output tokens that a model spends on reasoning.
    Reasoning,
    /// Audio output tokens.
    AudioOutput,
    /// Image output tokens.
    ImageOutput,
    /// Searches that the provider made.
    Searches,
    /// Other uses of the provider's own tools.
    ToolUses,
    /// The request itself.
    Requests,
}

impl Meter {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// In the order in which prices are listed.
    pub const ALL: [Meter; Self::COUNT] = [
        Meter::Input,
        Meter::CachedInput,
        Meter::CacheWriteShort,
        Meter::CacheWriteLong,
        Meter::AudioInput,
        Meter::CachedAudio,
        Meter::ImageInput,
        Meter::Output,
        Meter::Reasoning,
        Meter::AudioOutput,
        Meter::ImageOutput,
        Meter::Searches,
        Meter::ToolUses,
        Meter::Requests,
    ];

    /// In JSON, forms and the database.
    pub fn name(self) -> &'static str {
        match self {
            Meter::Input => "input",
            Meter::CachedInput => "cached_input",
            Meter::CacheWriteShort => "cache_write_short",
            Meter::CacheWriteLong => "cache_write_long",
            Meter::AudioInput => "audio_input",
            Meter::CachedAudio => "cached_audio",
            Meter::ImageInput => "image_input",
            Meter::Output => "output",
            Meter::Reasoning => "reasoning",
            Meter::AudioOutput => "audio_output",
            Meter::ImageOutput => "image_output",
            Meter::Searches => "searches",
            Meter::ToolUses => "tool_uses",
            Meter::Requests => "requests",
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Meter::Input => "Input",
            Meter::CachedInput => "Cached input",
            Meter::CacheWriteShort => "Cache write, short",
            Meter::CacheWriteLong => "Cache write, long",
            Meter::AudioInput => "Audio input",
            Meter::CachedAudio => "Cached audio input",
            Meter::ImageInput => "Image input",
            Meter::Output => "Output",
            Meter::Reasoning => "Reasoning",
            Meter::AudioOutput => "Audio output",
            Meter::ImageOutput => "Image output",
            Meter::Searches => "Searches",
            Meter::ToolUses => "Other tool uses",
            Meter::Requests => "Request",
        }
    }

    /// The meter with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.name() == name)
    }

    /// How its price is stated.
    pub fn unit(self) -> Unit {
        match self {
            Meter::Searches | Meter::ToolUses => Unit::Thousand,
            Meter::Requests => Unit::Each,
            _ => Unit::MillionTokens,
        }
    }

    /// Where its tokens count.
    pub fn side(self) -> Side {
        match self {
            Meter::Input
            | Meter::CachedInput
            | Meter::CacheWriteShort
            | Meter::CacheWriteLong
            | Meter::AudioInput
            | Meter::CachedAudio
            | Meter::ImageInput => Side::Input,
            Meter::Output | Meter::Reasoning | Meter::AudioOutput | Meter::ImageOutput => Side::Output,
            Meter::Searches | Meter::ToolUses | Meter::Requests => Side::Neither,
        }
    }
}

/// The most of one meter that a request is believed to have used: more than any model accepts or gives out. Sums and prices
/// of such numbers do not overflow.
pub const MAX_COUNT: i64 = 1_000_000_000;

/// How much of each meter a request used. Never below zero or above `MAX_COUNT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([i64; Meter::COUNT]);

impl Counts {
    /// Nothing of any meter.
    pub const NONE: Self = Self([0; Meter::COUNT]);

    /// Of the three meters that every protocol reports. Whatever is claimed, cached tokens are no more than the input.
    pub fn of_totals(input: i64, cached: i64, output: i64) -> Self {
        let input = input.clamp(0, MAX_COUNT);
        let cached = cached.clamp(0, input);
        Self::NONE
            .with(Meter::Input, input - cached)
            .with(Meter::CachedInput, cached)
            .with(Meter::Output, output)
    }

    /// Of one meter.
    pub fn get(&self, meter: Meter) -> i64 {
        self.0.get(meter as usize).copied().unwrap_or_default()
    }

    /// Of one meter, held within the bounds.
    pub fn set(&mut self, meter: Meter, count: i64) {
        if let Some(there) = self.0.get_mut(meter as usize) {
            *there = count.clamp(0, MAX_COUNT);
        }
    }

    /// The same with another count of one meter.
    #[must_use]
    pub fn with(mut self, meter: Meter, count: i64) -> Self {
        self.set(meter, count);
        self
    }

    /// The tokens of one side.
    pub fn tokens(&self, side: Side) -> i64 {
        self.used().filter(|(meter, _)| meter.side() == side).map(|(_, count)| count).sum()
    }

    /// All input tokens, cached and written ones included.
    pub fn input(&self) -> i64 {
        self.tokens(Side::Input)
    }

    /// All output tokens, reasoning included.
    pub fn output(&self) -> i64 {
        self.tokens(Side::Output)
    }

    /// Input tokens read from the provider's cache.
    pub fn cached(&self) -> i64 {
        self.get(Meter::CachedInput) + self.get(Meter::CachedAudio)
    }

    /// What a rate limit counts.
    pub fn all_tokens(&self) -> i64 {
        self.input() + self.output()
    }

    /// The meters that were used.
    pub fn used(&self) -> impl Iterator<Item = (Meter, i64)> + '_ {
        Meter::ALL.into_iter().map(|meter| (meter, self.get(meter))).filter(|(_, count)| *count > 0)
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (meter, count) in self.used() {
            map.serialize_entry(meter.name(), &count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Counts;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("how much of each meter was used")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
                let mut counts = Counts::NONE;
                while let Some((name, count)) = map.next_entry::<String, i64>()? {
                    let meter = Meter::parse(&name).ok_or_else(|| A::Error::custom("an unknown meter"))?;
                    counts.set(meter, count);
                }
                Ok(counts)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// What a price can depend on besides the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// The service tier, such as `flex` or `priority`.
    Tier,
    /// Where the request was served, such as `us`.
    Region,
    /// How fast, such as `fast`.
    Speed,
}

impl Dimension {
    /// In the order in which they are listed.
    pub const ALL: [Dimension; 3] = [Dimension::Tier, Dimension::Region, Dimension::Speed];

    /// In JSON and forms.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Tier => "tier",
            Dimension::Region => "region",
            Dimension::Speed => "speed",
        }
    }

    /// Whether the word says that the list prices hold.
    pub fn is_standard(self, word: &str) -> bool {
        match self {
            Dimension::Tier => matches!(word, "" | "default" | "standard" | "on_demand" | "unspecified"),
            Dimension::Region => matches!(word, "" | "global" | "not_available"),
            Dimension::Speed => matches!(word, "" | "standard"),
        }
    }
}

/// How a request was served, in the provider's own words, in lower case. Empty is as listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServedAs {
    /// The service tier.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tier: String,
    /// The region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The speed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub speed: String,
}

impl ServedAs {
    /// The word of one dimension.
    pub fn word(&self, dimension: Dimension) -> &str {
        match dimension {
            Dimension::Tier => &self.tier,
            Dimension::Region => &self.region,
            Dimension::Speed => &self.speed,
        }
    }

    /// These words, and where there is none those of `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let or = |word: String, other: &String| if word.is_empty() { other.clone() } else { word };
        Self {
            tier: or(self.tier, &other.tier),
            region: or(self.region, &other.region),
            speed: or(self.speed, &other.speed),
        }
    }
}

/// What a request used, as its provider reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// How it was served. Before the counts, which read every other name as a meter.
    #[serde(flatten)]
    pub served_as: ServedAs,
    /// Whether it may have used something that no meter counts, such as a container that is charged by time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
    /// How much of each meter.
    #[serde(flatten)]
    pub counts: Counts,
}

impl Metered {
    /// As usage rows store it: `{"tier":"flex","input":100,"output":20}`.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Metered::json`] writes; `None` for anything else.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

impl Metered {
    /// Nothing, served as listed.
    pub const NONE: Self = Self {
        counts: Counts::NONE,
        uncounted: false,
        served_as: ServedAs { tier: String::new(), region: String::new(), speed: String::new() },
    };
}

impl From<Counts> for Metered {
    /// Served as listed.
    fn from(counts: Counts) -> Self {
        Self { counts, ..Self::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_stand_at_their_own_place_and_have_their_own_name() {
        for (place, meter) in Meter::ALL.into_iter().enumerate() {
            assert_eq!(meter as usize, place);
            assert_eq!(Meter::parse(meter.name()), Some(meter));
        }
    }

    #[test]
    fn what_was_metered_reads_back() {
        let mut metered = Metered::from(Counts::of_totals(110, 10, 20));
        assert_eq!(metered.json(), r#"{"input":100,"cached_input":10,"output":20}"#);
        assert_eq!(Metered::parse(&metered.json()).as_ref(), Some(&metered));
        metered.served_as = ServedAs { tier: "flex".into(), region: "us".into(), speed: "fast".into() };
        metered.counts.set(Meter::Searches, 3);
        assert!(metered.json().starts_with(r#"{"tier":"flex","region":"us","speed":"fast","input":100,"#));
        assert_eq!(Metered::parse(&metered.json()).as_ref(), Some(&metered));
        metered.uncounted = true;
        assert!(metered.json().contains(r#""uncounted":true,"#));
        assert_eq!(Metered::parse(&metered.json()), Some(metered));
        assert_eq!(Metered::parse("{}"), Some(Metered::default()));
        for wrong in ["", "[]", r#"{"inputs":1}"#, r#"{"input":"1"}"#, r#"{"input":1.5}"#] {
            assert_eq!(Metered::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn counts_read_back_and_stay_within_bounds() {
        let counts =
            Counts::NONE.with(Meter::CacheWriteLong, 7).with(Meter::Output, i64::MAX).with(Meter::Input, -5);
        let json = serde_json::to_string(&counts).unwrap();
        assert_eq!(json, r#"{"cache_write_long":7,"output":1000000000}"#);
        assert_eq!(serde_json::from_str::<Counts>(&json).unwrap(), counts);
        assert!(serde_json::from_str::<Counts>(r#"{"inputs":1}"#).is_err());
        assert_eq!((counts.input(), counts.output(), counts.cached()), (7, MAX_COUNT, 0));
    }
}
