//! A report of what was spent: which days, cut into what, grouped by what, of what alone; and the figures that it shows.
//!
//! The whole question is in a page's address. Pages and files read the same address, so they show the same.
//! It refuses nothing: what an address does not say, or says in words that are none, is as if it were not there.

mod span;

pub use span::{Grain, Preset, Span};

use std::ops::{Add, Sub};

use super::key_format::looks_like_secret;
use super::moment::Day;
use super::money::Money;

/// Rows on one page; what is beyond them is summed up.
pub const PAGE_GROUPS: usize = 50;
/// Series of a chart; what is beyond them is summed up.
pub const CHART_SERIES: usize = 5;
/// Characters of a value in an address; the longest id of a model has fewer.
const MAX_VALUE: usize = 256;
/// In an address, for what has no team.
const NOTHING: &str = "none";

/// What spend can be split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The key.
    Key,
    /// The team that the key was in at the time of the request.
    Team,
    /// The person who owned the key at the time of the request.
    Owner,
    /// The model.
    Model,
    /// The model's provider at the time of the request.
    Provider,
    /// What the request was tagged with. A request may have several tags, and counts for each.
    Tag,
}

impl Dimension {
    /// In the order of pages.
    pub const ALL: [Dimension; 6] = [
        Dimension::Model,
        Dimension::Key,
        Dimension::Team,
        Dimension::Owner,
        Dimension::Provider,
        Dimension::Tag,
    ];

    /// The word in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dimension::Key => "key",
            Dimension::Team => "team",
            Dimension::Owner => "owner",
            Dimension::Model => "model",
            Dimension::Provider => "provider",
            Dimension::Tag => "tag",
        }
    }

    /// What pages call it.
    pub const fn label(self) -> &'static str {
        match self {
            Dimension::Key => "Key",
            Dimension::Team => "Team",
            Dimension::Owner => "Owner",
            Dimension::Model => "Model",
            Dimension::Provider => "Provider",
            Dimension::Tag => "Tag",
        }
    }

    /// What pages call requests that have none.
    pub const fn nothing(self) -> &'static str {
        match self {
            Dimension::Key => "No key",
            Dimension::Team => "No team",
            Dimension::Owner => "No owner",
            Dimension::Model => "Unknown model",
            Dimension::Provider => "Unknown provider",
            Dimension::Tag => "No tag",
        }
    }

    /// Reads the word that [`Dimension::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == text)
    }

    /// What to split one value of it by, the most telling first.
    const fn next(self) -> [Dimension; 3] {
        match self {
            Dimension::Key => [Dimension::Model, Dimension::Owner, Dimension::Provider],
            Dimension::Team => [Dimension::Key, Dimension::Model, Dimension::Owner],
            Dimension::Owner => [Dimension::Key, Dimension::Model, Dimension::Team],
            Dimension::Model => [Dimension::Key, Dimension::Team, Dimension::Owner],
            Dimension::Provider => [Dimension::Model, Dimension::Key, Dimension::Team],
            Dimension::Tag => [Dimension::Model, Dimension::Key, Dimension::Team],
        }
    }
}

/// What is counted alone: one value at most of each dimension. An empty value is what has none, such as no team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters([Option<String>; 6]);

impl Filters {
    /// One value of one dimension.
    pub fn of(dimension: Dimension, value: impl Into<String>) -> Self {
        Self::default().with(dimension, value)
    }

    /// With one more value, or another.
    pub fn with(mut self, dimension: Dimension, value: impl Into<String>) -> Self {
        self.0[dimension as usize] = Some(value.into());
        self
    }

    /// Without a value of this dimension.
    pub fn without(mut self, dimension: Dimension) -> Self {
        self.0[dimension as usize] = None;
        self
    }

    /// The value of this dimension; `None` counts all.
    pub fn get(&self, dimension: Dimension) -> Option<&str> {
        self.0[dimension as usize].as_deref()
    }

    /// Those that are set, in the order of pages.
    pub fn set(&self) -> impl Iterator<Item = (Dimension, &str)> {
        Dimension::ALL.into_iter().filter_map(|dimension| Some((dimension, self.get(dimension)?)))
    }

    /// Whether all is counted.
    pub fn is_empty(&self) -> bool {
        self.set().next().is_none()
    }
}

/// What a report is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportQuery {
    /// Which days.
    pub preset: Preset,
    /// For days of one's own: the first.
    pub from: Option<Day>,
    /// For days of one's own: the last.
    pub to: Option<Day>,
    /// Cut into what; `None` is what suits the days.
    pub grain: Option<Grain>,
    /// Split by what; `None` is not at all.
    pub group: Option<Dimension>,
    /// Of what alone.
    pub filters: Filters,
    /// How many groups go before the first one that is shown.
    pub skip: usize,
}

impl Default for ReportQuery {
    /// This month by model.
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            from: None,
            to: None,
            grain: None,
            group: Some(Dimension::Model),
            filters: Filters::default(),
            skip: 0,
        }
    }
}

impl ReportQuery {
    /// Reads the parameters of an address.
    pub fn read(pairs: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = pairs.iter().find(|(found, value)| found == name && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        let (from, to) = (value("from").and_then(Day::parse), value("to").and_then(Day::parse));
        let own = from.is_some() || to.is_some();
        let preset = match value("period").and_then(Preset::parse) {
            _ if own => Preset::Custom,
            // Days of one's own without a day are none.
            Some(Preset::Custom) | None => Preset::default(),
            Some(preset) => preset,
        };
        let mut filters = Filters::default();
        for dimension in Dimension::ALL {
            let Some(text) = value(dimension.as_str()).filter(|text| !looks_like_secret(text)) else {
                continue;
            };
            let text: String = text.chars().filter(|one| *one != '\0').take(MAX_VALUE).collect();
            filters = filters.with(dimension, if text == NOTHING { String::new() } else { text });
        }
        let group = match value("group") {
            Some(NOTHING) => None,
            Some(word) => Dimension::parse(word).or(Some(Dimension::Model)),
            None => Some(Dimension::Model),
        };
        let skip = value("skip").and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
        let skip = usize::try_from(skip.min(1_000_000)).unwrap_or_default();
        Self { preset, from, to, grain: value("by").and_then(Grain::parse), group, filters, skip }
    }

    /// The parameters of its address. What is usual is left out.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        match self.preset {
            Preset::Custom => {
                let days = [("from", self.from), ("to", self.to)];
                pairs.extend(days.into_iter().filter_map(|(name, day)| Some((name, day?.to_string()))));
            }
            preset if preset == Preset::default() => {}
            preset => pairs.push(("period", preset.as_str().to_owned())),
        }
        pairs.extend(self.grain.map(|grain| ("by", grain.as_str().to_owned())));
        match self.group {
            Some(Dimension::Model) => {}
            group => pairs.push(("group", group.map_or(NOTHING, Dimension::as_str).to_owned())),
        }
        let word = |value: &str| if value.is_empty() { NOTHING.to_owned() } else { value.to_owned() };
        pairs.extend(self.filters.set().map(|(dimension, value)| (dimension.as_str(), word(value))));
        if self.skip > 0 {
            pairs.push(("skip", self.skip.to_string()));
        }
        pairs
    }

    /// The same of one group alone, split by what tells most of it.
    pub fn into_group(&self, dimension: Dimension, value: &str) -> Self {
        let filters = self.filters.clone().with(dimension, value);
        let group = dimension.next().into_iter().find(|next| filters.get(*next).is_none());
        Self { filters, group, skip: 0, ..self.clone() }
    }

    /// The same of other days.
    pub fn during(&self, preset: Preset) -> Self {
        Self { preset, from: None, to: None, grain: None, skip: 0, ..self.clone() }
    }

    /// The same cut into something else.
    pub fn by(&self, grain: Grain) -> Self {
        Self { grain: Some(grain), ..self.clone() }
    }

    /// The same split by something else.
    pub fn grouped(&self, group: Option<Dimension>) -> Self {
        Self { group, skip: 0, ..self.clone() }
    }

    /// The same counting more: without this filter.
    pub fn without(&self, dimension: Dimension) -> Self {
        Self { filters: self.filters.clone().without(dimension), skip: 0, ..self.clone() }
    }
}

/// What requests used and cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many.
    pub requests: i64,
    /// Input tokens, those from a cache among them.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Input tokens that came from a cache.
    pub cached_tokens: i64,
    /// What they cost.
    pub cost: Money,
}

impl Sums {
    /// Whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Sums::default()
    }
}

impl Add for Sums {
    type Output = Sums;

    fn add(self, other: Sums) -> Sums {
        Sums {
            requests: self.requests.saturating_add(other.requests),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            cost: self.cost.saturating_add(other.cost),
        }
    }
}

impl Sub for Sums {
    type Output = Sums;

    fn sub(self, other: Sums) -> Sums {
        Sums {
            requests: self.requests.saturating_sub(other.requests),
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_sub(other.cached_tokens),
            cost: self.cost.saturating_sub(other.cost),
        }
    }
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(all: I) -> Sums {
        all.fold(Sums::default(), Sums::add)
    }
}

/// What one key spent on one day on one model of one provider, in one team and with one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The organisation's day.
    pub day: Day,
    /// The key's id.
    pub key: String,
    /// The model's id; empty where it is unknown.
    pub model: String,
    /// The provider's name at the time; empty where it is unknown.
    pub provider: String,
    /// The team's id at the time; empty for none.
    pub team: String,
    /// The owner's id at the time.
    pub owner: String,
    /// What it used and cost.
    pub sums: Sums,
}

/// Tenths of a per cent, rounded to the nearest; `None` where there is no whole.
fn per_mille(part: i64, whole: i64) -> Option<i128> {
    let (part, whole) = (i128::from(part), i128::from(whole));
    (whole > 0).then(|| (part * 2_000 + whole * part.signum()) / (whole * 2))
}

fn percent_words(per_mille: i128) -> String {
    let size = per_mille.unsigned_abs();
    // Beyond ten per cent a tenth says nothing.
    if size >= 100 { format!("{} %", (size + 5) / 10) } else { format!("{}.{} %", size / 10, size % 10) }
}

/// How much of the whole this is: "24 %", "3.1 %", "<0.1 %"; empty where there is no whole.
pub fn share(part: Money, whole: Money) -> String {
    match per_mille(part.nanos(), whole.nanos()) {
        None => String::new(),
        Some(0) if part > Money::ZERO => "<0.1 %".into(),
        Some(share) => percent_words(share),
    }
}

/// How much more or less than before: "+12 %", "−3.1 %", "new" where there was nothing; empty where there is nothing at all.
pub fn change(now: Money, before: Money) -> String {
    match per_mille(now.saturating_sub(before).nanos(), before.nanos()) {
        None if now > Money::ZERO => "new".into(),
        None => String::new(),
        // A number with four digits is not read as a share.
        Some(more) if more >= 10_000 => format!("{} ×", (more + 1_500) / 1_000),
        Some(more) if more > 0 => format!("+{}", percent_words(more)),
        Some(less) if less < 0 => format!("−{}", percent_words(less)),
        Some(_) => "0 %".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> ReportQuery {
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        ReportQuery::read(&pairs)
    }

    fn written(query: &ReportQuery) -> String {
        let pairs = query.pairs();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn an_address_reads_back_to_the_same_report() {
        for address in [
            "",
            "period=last-month",
            "from=2026-11-02&to=2026-11-05&by=hour",
            "from=2026-11-02",
            "group=none",
            "group=team&model=gpt-5&key=key_1&team=none&skip=50",
            "period=7-days&by=day&group=tag&tag=nightly",
        ] {
            assert_eq!(written(&read(address)), address);
        }
        assert_eq!(read("team=none").filters.get(Dimension::Team), Some(""));
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_were_not_there() {
        let usual = ReportQuery::default();
        for address in
            ["period=decade", "period=custom", "from=soon", "by=minute", "group=colour", "skip=-1", "team="]
        {
            assert_eq!(read(address), usual, "{address}");
        }
        assert_eq!(read("period=today&from=2026-11-02").preset, Preset::Custom);
        assert_eq!(
            read("key=sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE"),
            usual,
            "a secret goes nowhere"
        );
        assert_eq!(read("tag=a\0b").filters.get(Dimension::Tag), Some("ab"));
    }

    #[test]
    fn a_click_narrows_and_splits_by_what_is_not_yet_one() {
        let team = read("group=team&skip=50").into_group(Dimension::Team, "team_1");
        assert_eq!(written(&team), "group=key&team=team_1");
        let key = team.into_group(Dimension::Key, "key_1");
        assert_eq!(written(&key), "key=key_1&team=team_1");
        let model = key.into_group(Dimension::Model, "gpt-5");
        assert_eq!(written(&model), "group=owner&model=gpt-5&key=key_1&team=team_1");
        let owner = model.into_group(Dimension::Owner, "per_1");
        assert_eq!(owner.group, None, "nothing is left to split by");
        assert_eq!(owner.without(Dimension::Key).filters.set().count(), 3);
    }

    #[test]
    fn shares_and_changes_are_said_as_exactly_as_helps() {
        let dollars = |cents: i64| Money::from_nanos(cents * 10_000_000);
        for (part, whole, words) in [
            (0, 100, "0.0 %"),
            (24, 100, "24 %"),
            (1, 3, "33 %"),
            (31, 1_000, "3.1 %"),
            (1, 100_000, "<0.1 %"),
            (100, 100, "100 %"),
            (0, 0, ""),
        ] {
            assert_eq!(share(dollars(part), dollars(whole)), words, "{part} of {whole}");
        }
        for (now, before, words) in [
            (112, 100, "+12 %"),
            (97, 100, "−3.0 %"),
            (0, 100, "−100 %"),
            (100, 100, "0 %"),
            (5, 0, "new"),
            (0, 0, ""),
            (1_200, 100, "12 ×"),
        ] {
            assert_eq!(change(dollars(now), dollars(before)), words, "{now} after {before}");
        }
    }

    proptest! {
        #[test]
        fn reading_an_address_never_panics_and_writing_it_changes_nothing(
            pairs in prop::collection::vec(("(period|from|to|by|group|key|team|model|tag|skip)", "[ -~]{0,20}|none|[0-9]{4}-[0-9]{2}-[0-9]{2}"), 0..8),
        ) {
            let query = ReportQuery::read(&pairs);
            let again: Vec<(String, String)> = query.pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            prop_assert_eq!(ReportQuery::read(&again), query);
        }

        #[test]
        fn shares_never_overflow(part: i64, whole: i64) {
            let _ = share(Money::from_nanos(part), Money::from_nanos(whole));
            let _ = change(Money::from_nanos(part), Money::from_nanos(whole));
        }
    }
}
