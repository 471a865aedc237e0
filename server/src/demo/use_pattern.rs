//! How keys of the demonstration are used, and the dice that its plan is thrown with.

/// Seeded, so that the same seed gives the same plan; never used for a secret or an id.
pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
    /// From 0 to `n` exclusive; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0.u64(..n.max(1))
    }
    /// From `low` to `high` exclusive; `low` when there is nothing between.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.i64(low..high.max(low + 1))
    }
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.0.usize(..from.len())]
    }
    /// From 0 to 1 exclusive.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }
}

/// How a key is used: when, how often, with which models and how much at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// People ask, at all hours but mostly by day.
    Chat,
    /// Runs on pushes, in working hours.
    Ci,
    /// Long tasks with much context.
    Agent,
    /// After midnight, every night.
    Nightly,
    /// Many tokens, little money.
    Embed,
    /// One person's own, in working hours and now and then.
    Person,
}

impl Use {
    /// Of each hour of the day.
    pub fn hours(self) -> [u64; 24] {
        match self {
            Use::Chat => [2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 11, 13, 14, 14, 13, 11, 9, 8, 7, 6, 5, 3],
            Use::Ci | Use::Person => {
                [0, 0, 0, 0, 0, 0, 0, 3, 9, 14, 15, 13, 6, 11, 14, 15, 13, 9, 4, 2, 1, 1, 0, 0]
            }
            Use::Agent => [2, 1, 1, 1, 1, 1, 2, 4, 8, 11, 12, 12, 9, 11, 12, 12, 12, 10, 8, 6, 5, 5, 4, 3],
            Use::Nightly => [4, 20, 24, 14, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            Use::Embed => [5, 6, 6, 5, 4, 4, 4, 4, 5, 6, 6, 6, 5, 5, 6, 6, 5, 5, 4, 4, 4, 4, 4, 4],
        }
    }

    pub fn weekend(self) -> f64 {
        match self {
            Use::Chat => 0.45,
            Use::Ci => 0.05,
            Use::Agent => 0.3,
            Use::Nightly => 0.9,
            Use::Embed => 0.8,
            Use::Person => 0.1,
        }
    }

    pub fn models(self) -> &'static [&'static str] {
        match self {
            Use::Chat => {
                &["gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash", "gpt-4.1", "mistral-large-latest"]
            }
            Use::Ci => &["gpt-5", "claude-sonnet-4-5", "gpt-5-mini", "deepseek-chat"],
            Use::Agent => &["claude-sonnet-4-5", "claude-opus-4-5", "gpt-5", "gemini-2.5-pro"],
            Use::Nightly => &["gemini-2.5-pro", "claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "deepseek-chat"],
            Use::Embed => &["text-embedding-3-large", "text-embedding-3-small"],
            Use::Person => {
                &["claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "gemini-2.5-flash", "claude-opus-4-5"]
            }
        }
    }

    /// Input and output tokens of a request, from and to.
    pub fn tokens(self) -> [(i64, i64); 2] {
        match self {
            Use::Chat => [(8_000, 90_000), (600, 6_000)],
            Use::Ci => [(40_000, 160_000), (2_000, 12_000)],
            Use::Agent => [(60_000, 190_000), (4_000, 24_000)],
            Use::Nightly => [(60_000, 190_000), (4_000, 24_000)],
            Use::Embed => [(90_000, 280_000), (0, 1)],
            Use::Person => [(10_000, 120_000), (800, 10_000)],
        }
    }

    pub fn address(self, dice: &mut Dice) -> String {
        let (a, b) = (dice.below(4), 10 + dice.below(200));
        match self {
            Use::Ci => format!("203.0.113.{b}"),
            Use::Person => format!("10.30.{a}.{b}"),
            Use::Chat | Use::Agent | Use::Nightly | Use::Embed => format!("10.20.{a}.{b}"),
        }
    }

    /// Networks that hold every address above.
    pub fn networks(self) -> &'static str {
        match self {
            Use::Ci => "203.0.113.0/24",
            Use::Person => "10.30.0.0/16\n2001:db8:30::/48",
            Use::Chat | Use::Agent | Use::Nightly | Use::Embed => "10.20.0.0/16\n198.51.100.7",
        }
    }
}
