//! Rate limits and budgets as a key, a team or an organisation holds them, and how counts are written.
//!
//! Forms parse with it, pages summarise with it and admission reads its fields.
//! It refuses to count anything: what was used lives in the store.

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Zone};
use super::money::Money;
use super::numbers::{NumberError, grouped, read_billionths};
use super::parse_error::ParseError;
use super::window::Period;

const MAX: i64 = 1_000_000_000;

/// Reads a limit as people write it: `60`, `1,000`, `10k`, `1.5m`.
/// Refuses what is not a whole number from 1 to 1,000,000,000, each mistake in its own sentence.
///
/// # Errors
/// When it is not a whole number from 1 to 1,000,000,000.
pub fn parse_count(text: &str) -> Result<i64, ParseError> {
    let billionths = read_billionths(text).map_err(|field_error| {
        ParseError::new(match field_error {
            NumberError::Empty => "The number is empty. Enter one, such as 60, or choose No limit.",
            NumberError::Negative => "The number is negative. Enter 1 or more, or choose No limit.",
            NumberError::Separator => {
                "The number can be read in two ways. Write 1,000 or 1000, with a comma or a space only before every three digits."
            }
            NumberError::Junk => "This is not a number. Enter digits, such as 60, 1,000, 10k or 1.5m.",
            NumberError::TooFine => NOT_WHOLE,
            NumberError::TooLarge => TOO_LARGE,
        })
    })?;
    if billionths % 1_000_000_000 != 0 {
        return Err(ParseError::new(NOT_WHOLE));
    }
    match i64::try_from(billionths / 1_000_000_000) {
        Ok(0) => Err(ParseError::new("The number must be at least 1. Choose No limit to leave it open.")),
        Ok(count) if count <= MAX => Ok(count),
        Ok(_) | Err(_) => Err(ParseError::new(TOO_LARGE)),
    }
}

const NOT_WHOLE: &str = "This is not a whole number. Enter one without a fraction, such as 60 or 1.5k.";
const TOO_LARGE: &str = "The number is more than 1,000,000,000. Enter that or less, or choose No limit.";

/// A count short enough for a tile: `999`, `1.2k`, `100k`, `1.5m`, `2b`.
/// Cut and not rounded, so that it never claims more than there is.
pub fn short_count(count: i64) -> String {
    let sign = if count < 0 { "-" } else { "" };
    let size = count.unsigned_abs();
    let (unit, letter) = match size {
        0..1_000 => return count.to_string(),
        1_000..1_000_000 => (1_000, 'k'),
        1_000_000..1_000_000_000 => (1_000_000, 'm'),
        1_000_000_000.. => (1_000_000_000, 'b'),
    };
    let whole = grouped(i64::try_from(size / unit).unwrap_or(i64::MAX));
    match size % unit / (unit / 10) {
        0 => format!("{sign}{whole}{letter}"),
        tenths => format!("{sign}{whole}.{tenths}{letter}"),
    }
}

/// The form field under which a mistake about budgets as a whole is shown: the first one's, or the monthly one's.
pub fn budget_field(budgets: &[Budget]) -> &'static str {
    budgets.first().map_or("month", |budget| budget.period.as_str())
}

/// A limit on how fast a key may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Requests per minute.
    Rpm,
    /// Tokens per minute.
    Tpm,
    /// Requests under way at the same time.
    Concurrent,
}

impl Rate {
    /// Every one, in the order of forms.
    pub const ALL: [Rate; 3] = [Rate::Rpm, Rate::Tpm, Rate::Concurrent];

    /// The name of its field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rate::Rpm => "rpm",
            Rate::Tpm => "tpm",
            Rate::Concurrent => "concurrent",
        }
    }

    /// The words after its number.
    pub const fn unit(self) -> &'static str {
        match self {
            Rate::Rpm => "requests per minute",
            Rate::Tpm => "tokens per minute",
            Rate::Concurrent => "concurrent requests",
        }
    }

    /// A number with its unit: `1 request per minute`, `1,200 tokens per minute`.
    pub fn words(self, count: i64) -> String {
        let unit = match (self, count) {
            (Rate::Rpm, 1) => "request per minute",
            (Rate::Tpm, 1) => "token per minute",
            (Rate::Concurrent, 1) => "concurrent request",
            (rate, _) => rate.unit(),
        };
        format!("{} {unit}", grouped(count))
    }

    /// Its number among these limits; `None` is no limit.
    pub const fn of(self, limits: &Limits) -> Option<i64> {
        match self {
            Rate::Rpm => limits.rpm,
            Rate::Tpm => limits.tpm,
            Rate::Concurrent => limits.concurrent,
        }
    }
}

/// How fast a key may go. None is "No limit", chosen on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests per minute.
    pub rpm: Option<i64>,
    /// Tokens per minute.
    pub tpm: Option<i64>,
    /// Requests under way at the same time.
    pub concurrent: Option<i64>,
}

impl Limits {
    /// The limits that are set, in one line: `60 rpm · 100k tpm · 4 concurrent`, or `No limit`.
    pub fn summary(&self) -> String {
        let parts: Vec<String> = [(self.rpm, "rpm"), (self.tpm, "tpm"), (self.concurrent, "concurrent")]
            .into_iter()
            .filter_map(|(limit, unit)| limit.map(|limit| format!("{} {unit}", exact(limit))))
            .collect();
        if parts.is_empty() { "No limit".to_owned() } else { parts.join(" · ") }
    }
}

/// Short where that loses nothing: 1,250 must not read as another limit, 1.2k.
fn exact(count: i64) -> String {
    let short = short_count(count);
    match read_billionths(&short) {
        Ok(read) if read == u128::from(count.unsigned_abs()) * 1_000_000_000 => short,
        Ok(_) | Err(_) => grouped(count),
    }
}

/// The most that may be spent in each window of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How long each window is.
    pub period: Period,
    /// What may be spent in one window.
    pub amount: Money,
}

impl Budget {
    /// The budget in words: `$50.00 per month`.
    pub fn summary(&self) -> String {
        format!("{} {}", self.amount, self.period.label())
    }
}

/// More of a budget than its amount, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The sum of the grants that run.
    pub amount: Money,
    /// When the first of them ends.
    pub until: Moment,
}

impl Granted {
    /// `of which $50.00 until Fri 27 Nov 2026`
    pub fn words(&self, zone: &Zone) -> String {
        format!("of which {} until {}", self.amount, self.until.last_day(zone))
    }
}

/// A budget and what was spent of it in the window that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// The budget.
    pub budget: Budget,
    /// Spent in the current window; reservations are not counted.
    pub spent: Money,
    /// What is granted beyond the budget's amount, for a time.
    pub granted: Option<Granted>,
}

impl BudgetUse {
    /// What may be spent in the current window: the budget's amount and what is granted beyond it.
    pub fn limit(&self) -> Money {
        let granted = self.granted.map_or(Money::ZERO, |granted| granted.amount);
        self.budget.amount.saturating_add(granted)
    }

    /// The budget as it counts now, with what is granted.
    pub fn effective(&self) -> Budget {
        Budget { amount: self.limit(), ..self.budget }
    }

    /// Whether all of it is spent, so that further requests are rejected.
    pub fn is_over(&self) -> bool {
        self.spent >= self.limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_may_write_counts_in_many_ways() {
        for (text, count) in [
            ("60", 60),
            (" 1,000 ", 1_000),
            ("10k", 10_000),
            ("1.5m", 1_500_000),
            ("1.5 M", 1_500_000),
            ("1.234k", 1_234),
            ("5.0", 5),
            ("1", 1),
            ("1000m", 1_000_000_000),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
    }

    #[test]
    fn each_mistake_in_a_count_has_its_own_sentence() {
        let mut sentences: Vec<String> = ["", "-1", "1,5", "ten", "1.5", "0", "1001m"]
            .into_iter()
            .map(|text| parse_count(text).unwrap_err().to_string())
            .collect();
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), 7);
        assert_eq!(parse_count("1.2345k").unwrap_err().sentence(), NOT_WHOLE);
        assert_eq!(parse_count("0.0000000001").unwrap_err().sentence(), NOT_WHOLE);
        assert_eq!(parse_count("$5").unwrap_err(), parse_count("ten").unwrap_err());
    }

    #[test]
    fn one_of_a_rate_is_not_many() {
        assert_eq!(Rate::Rpm.words(1), "1 request per minute");
        assert_eq!(Rate::Tpm.words(1_200), "1,200 tokens per minute");
        assert_eq!(Rate::Concurrent.words(1), "1 concurrent request");
    }

    #[test]
    fn a_short_count_is_cut_and_never_rounded_up() {
        for (count, short) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_250, "1.2k"),
            (100_000, "100k"),
            (999_999, "999.9k"),
            (1_234_567, "1.2m"),
            (1_500_000, "1.5m"),
            (2_000_000_000, "2b"),
            (-1_250, "-1.2k"),
            (i64::MIN, "-9,223,372,036.8b"),
        ] {
            assert_eq!(short_count(count), short);
        }
    }

    #[test]
    fn a_summary_names_only_the_limits_that_are_set() {
        let all = Limits { rpm: Some(60), tpm: Some(100_000), concurrent: Some(4) };
        assert_eq!(all.summary(), "60 rpm · 100k tpm · 4 concurrent");
        assert_eq!(Limits { rpm: None, ..all }.summary(), "100k tpm · 4 concurrent");
        assert_eq!(Limits::default().summary(), "No limit");
    }

    #[test]
    fn a_summary_never_shows_a_limit_as_another_one() {
        let odd = Limits { rpm: Some(1_250), tpm: Some(1_000_000_000), concurrent: None };
        assert_eq!(odd.summary(), "1,250 rpm · 1,000,000,000 tpm");
    }

    #[test]
    fn a_budget_is_told_with_its_period() {
        let budget = |period| Budget { period, amount: Money::from_nanos(50_000_000_000) }.summary();
        assert_eq!(budget(Period::Month), "$50.00 per month");
        assert_eq!(budget(Period::Total), "$50.00 total");
    }

    proptest! {
        #[test]
        fn a_grouped_count_reads_back(count in 1..=MAX) {
            prop_assert_eq!(parse_count(&grouped(count)), Ok(count));
            prop_assert_eq!(parse_count(&count.to_string()), Ok(count));
            if count < MAX {
                prop_assert_eq!(parse_count(&exact(count)), Ok(count));
            }
        }

        #[test]
        fn a_short_count_reads_back_as_no_more(count in 1..MAX) {
            let read = parse_count(&short_count(count)).unwrap();
            prop_assert!(read <= count && count - read <= count / 10);
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = parse_count(&text);
        }
    }
}
