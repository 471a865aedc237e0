//! Money in whole nano-dollars, how people write it and how it is shown to them.
//!
//! Anything that prices, budgets or shows spend may use it.
//! It refuses floats, overflow and any rounding that would make spend look like nothing.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Serialize};

use super::numbers::{NumberError, grouped, read_billionths};
use super::parse_error::ParseError;

const NANOS_PER_DOLLAR: i64 = 1_000_000_000;
const NANOS_PER_CENT: u64 = 10_000_000;
const MAX_DOLLARS: i64 = 1_000_000_000;

/// An amount in nano-dollars: 1 USD is 1,000,000,000. May be negative, as a balance can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

impl Money {
    /// No money.
    pub const ZERO: Money = Money(0);
    /// The largest amount that people can type.
    pub const MAX_INPUT: Money = Money(MAX_DOLLARS * NANOS_PER_DOLLAR);

    /// The amount of `nanos` nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Money {
        Money(nanos)
    }

    /// The amount in nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Reads dollars as people write them: `50`, `$1,234.56`, `2k`, `1.5m`, up to nine decimals.
    /// Refuses nothing, negatives, more than $1,000,000,000 and whatever is not a number.
    ///
    /// ```rust
    /// use keydesk_core::domain::money::Money;
    ///
    /// let amount = Money::parse("$1,234.5").unwrap();
    /// assert_eq!(amount.nanos(), 1_234_500_000_000);
    /// assert_eq!(amount.to_string(), "$1,234.50");
    /// assert_eq!(amount.input(), "1234.5");
    /// assert_eq!(Money::from_nanos(1).to_string(), "$0.000000001");
    /// assert!(Money::parse("1,5").is_err());
    /// ```
    ///
    /// # Errors
    /// When it is empty, negative, above $1,000,000,000, has more than nine decimals or is no number.
    pub fn parse(text: &str) -> Result<Money, ParseError> {
        let bare = text.trim();
        let bare = bare.strip_prefix('$').unwrap_or(bare);
        let nanos = read_billionths(bare).map_err(|field_error| ParseError::new(sentence(field_error)))?;
        i64::try_from(nanos)
            .ok()
            .map(Money)
            .filter(|amount| *amount <= Money::MAX_INPUT)
            .ok_or_else(|| ParseError::new(sentence(NumberError::TooLarge)))
    }

    /// The exact amount for a text input: `50`, `12.5`, `0.0000001`.
    /// What [`Money::parse`] accepts reads back to the same value.
    pub fn input(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let whole = self.0.unsigned_abs() / NANOS_PER_DOLLAR.unsigned_abs();
        let rest = self.0.unsigned_abs() % NANOS_PER_DOLLAR.unsigned_abs();
        if rest == 0 {
            return format!("{sign}{whole}");
        }
        let decimals = format!("{rest:09}");
        format!("{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }

    /// The sum, held at the largest or smallest amount instead of wrapping.
    pub const fn saturating_add(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }

    /// The difference, held at the largest or smallest amount instead of wrapping.
    pub const fn saturating_sub(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }

    /// To the last digit: `$0.000123`.
    pub fn exact(self) -> String {
        format!("${}", self.input())
    }

    /// The sum, or None where it does not fit.
    pub fn checked_add(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }

    /// How much of `whole` this is, in percent from 0 to 999.
    /// Rounded down, so that 100 is only said when nothing is left; any amount of nothing is 100.
    pub fn percent_of(self, whole: Money) -> i64 {
        if self.0 <= 0 {
            return 0;
        }
        if whole.0 <= 0 {
            return 100;
        }
        let percent = i128::from(self.0) * 100 / i128::from(whole.0);
        i64::try_from(percent.min(999)).unwrap_or(999)
    }

    /// What `tokens` cost at a price per million tokens, rounded up to a whole nano-dollar
    /// so that use is never free. Fewer than no tokens cost nothing.
    pub fn for_tokens(tokens: i64, price_per_million: Money) -> Money {
        let millionths = i128::from(tokens.max(0)) * i128::from(price_per_million.0.max(0));
        let nanos = (millionths + 999_999) / 1_000_000;
        Money(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// Reads an amount that must be more than zero.
///
/// # Errors
/// As [`Money::parse`]; one sentence for zero and less.
pub fn parse_budget(text: &str) -> Result<Money, ParseError> {
    match Money::parse(text) {
        Ok(Money::ZERO) => Err(ParseError::new(MORE_THAN_ZERO)),
        Err(error) if error.sentence() == sentence(NumberError::Negative) => {
            Err(ParseError::new(MORE_THAN_ZERO))
        }
        parsed => parsed,
    }
}

const MORE_THAN_ZERO: &str = "Enter more than $0.";

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        if nanos > 0 && nanos < NANOS_PER_CENT {
            let decimals = format!("{:09}", four_digits(nanos));
            return write!(f, "{sign}$0.{}", decimals.trim_end_matches('0'));
        }
        // A dollar holds so many nanos that neither this sum nor the conversion can overflow.
        let cents = (nanos + NANOS_PER_CENT / 2) / NANOS_PER_CENT;
        let dollars = grouped(i64::try_from(cents / 100).unwrap_or(i64::MAX));
        write!(f, "{sign}${dollars}.{:02}", cents % 100)
    }
}

/// Sums hold at the largest amount instead of wrapping.
impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Money::saturating_add)
    }
}

impl<'a> Sum<&'a Money> for Money {
    fn sum<I: Iterator<Item = &'a Money>>(amounts: I) -> Money {
        amounts.copied().sum()
    }
}

/// Rounds half up to four significant digits, for amounts too small for cents.
fn four_digits(nanos: u64) -> u64 {
    let mut unit = 1;
    while nanos / unit >= 10_000 {
        unit *= 10;
    }
    (nanos + unit / 2) / unit * unit
}

fn sentence(field_error: NumberError) -> &'static str {
    match field_error {
        NumberError::Empty => "The amount is empty. Enter dollars, such as 12.50.",
        NumberError::Negative => "The amount is negative. Enter more than $0.",
        NumberError::Separator => {
            "The amount can be read in two ways. Write 1,234.56: a comma or a space before every three digits, and a point before decimals."
        }
        NumberError::Junk => "This is not an amount. Enter dollars, such as 12.50, 1,000 or 2k.",
        NumberError::TooFine => "The amount has more than 9 decimals. Enter 9 or fewer.",
        NumberError::TooLarge => "The amount is more than $1,000,000,000. Enter that or less.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dollars(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    fn rejection(text: &str) -> String {
        Money::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn people_may_write_dollars_in_many_ways() {
        for (text, nanos) in [
            ("50", 50_000_000_000),
            (" $ 1,234.56 ", 1_234_560_000_000),
            ("1 234", 1_234_000_000_000),
            ("1\u{a0}234,567.5", 1_234_567_500_000_000),
            ("2k", 2_000_000_000_000),
            ("1.5 M", 1_500_000_000_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("0.000000001", 1),
            ("000000000000000000000000000001", 1_000_000_000),
            ("0", 0),
            ("1,000,000,000", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(dollars(text).nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn a_decimal_comma_is_refused_and_not_read_as_a_larger_amount() {
        for text in ["1,5", "12,50", "1.234,56", "1,,000", ",5", "1,000,00", "0001,000", "1, 000"] {
            assert_eq!(rejection(text), sentence(NumberError::Separator), "{text}");
        }
    }

    #[test]
    fn every_mistake_has_its_own_sentence() {
        for (texts, field_error) in [
            (&["", "  ", "$", "$ "][..], NumberError::Empty),
            (&["-1", "$-1", "-$1", "−3"], NumberError::Negative),
            (&["abc", "1.2.3", ".", "1e9", "$$5", "5€", "k", "1kk", "٣", "+1", "inf"], NumberError::Junk),
            (&["0.0000000001"], NumberError::TooFine),
            (
                &["1,000,000,000.01", "1001m", "99999999999999999999m", "999999999999999999999"],
                NumberError::TooLarge,
            ),
        ] {
            for text in texts {
                assert_eq!(rejection(text), sentence(field_error), "{text}");
            }
        }
    }

    #[test]
    fn zero_and_less_are_one_mistake_in_a_budget() {
        for text in ["$0.00", "0", "-1", "-0.5"] {
            assert_eq!(parse_budget(text).unwrap_err().sentence(), "Enter more than $0.");
        }
        assert_eq!(parse_budget("0.000000001"), Ok(Money::from_nanos(1)));
    }

    #[test]
    fn amounts_are_shown_in_dollars_and_cents() {
        for (text, shown) in [
            ("0", "$0.00"),
            ("50", "$50.00"),
            ("1234.56", "$1,234.56"),
            ("1.005", "$1.01"),
            ("1.004999999", "$1.00"),
            ("0.999999999", "$1.00"),
            ("0.01", "$0.01"),
            ("0.0149", "$0.01"),
            ("1m", "$1,000,000.00"),
        ] {
            assert_eq!(dollars(text).to_string(), shown, "{text}");
        }
        assert_eq!(Money::from_nanos(-1_200_000_000).to_string(), "-$1.20");
        assert_eq!(Money::from_nanos(-1).to_string(), "-$0.000000001");
        assert_eq!(Money::from_nanos(i64::MIN).to_string(), "-$9,223,372,036.85");
    }

    #[test]
    fn a_value_below_a_cent_is_never_shown_as_zero() {
        for (text, shown) in [
            ("0.0012", "$0.0012"),
            ("0.001234567", "$0.001235"),
            ("0.009999999", "$0.01"),
            ("0.000099995", "$0.0001"),
            ("0.000000001", "$0.000000001"),
            ("0.000012344", "$0.00001234"),
        ] {
            assert_eq!(dollars(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn an_input_holds_the_exact_amount() {
        for text in ["50", "12.5", "0.0000001", "0", "1234.000000001"] {
            assert_eq!(dollars(text).input(), text);
        }
        assert_eq!(Money::from_nanos(-1_200_000_000).input(), "-1.2");
    }

    #[test]
    fn sums_never_wrap() {
        let max = Money::from_nanos(i64::MAX);
        let one = Money::from_nanos(1);
        assert_eq!(max.saturating_add(one), max);
        assert_eq!(Money::from_nanos(i64::MIN).saturating_sub(one).nanos(), i64::MIN);
        assert_eq!(max.checked_add(one), None);
        assert_eq!(one.checked_add(one), Some(Money::from_nanos(2)));
        assert_eq!([max, one].iter().sum::<Money>(), max);
        assert_eq!([one, one].into_iter().sum::<Money>(), Money::from_nanos(2));
    }

    #[test]
    fn a_hundred_percent_is_said_only_when_nothing_is_left() {
        let whole = dollars("50");
        assert_eq!(dollars("49.999999999").percent_of(whole), 99);
        assert_eq!(whole.percent_of(whole), 100);
        assert_eq!(dollars("75").percent_of(whole), 150);
        assert_eq!(dollars("1m").percent_of(Money::from_nanos(1)), 999);
        assert_eq!(Money::from_nanos(-1).percent_of(whole), 0);
        assert_eq!(Money::ZERO.percent_of(Money::ZERO), 0);
        assert_eq!(whole.percent_of(Money::ZERO), 100);
    }

    #[test]
    fn a_token_is_never_free_and_a_price_never_overflows() {
        assert_eq!(Money::for_tokens(1_000_000, dollars("2.5")), dollars("2.5"));
        assert_eq!(Money::for_tokens(1, Money::from_nanos(1)), Money::from_nanos(1));
        assert_eq!(Money::for_tokens(0, dollars("2.5")), Money::ZERO);
        assert_eq!(Money::for_tokens(-5, dollars("2.5")), Money::ZERO);
        assert_eq!(Money::for_tokens(i64::MAX, Money::from_nanos(i64::MAX)).nanos(), i64::MAX);
    }

    proptest! {
        #[test]
        fn what_an_input_holds_reads_back_to_the_same_amount(nanos in 0..=1_000_000_000_000_000_000_i64) {
            let amount = Money::from_nanos(nanos);
            prop_assert_eq!(Money::parse(&amount.input()), Ok(amount));
        }

        #[test]
        fn no_amount_but_zero_is_shown_as_zero(nanos: i64, small in -20_000_000..20_000_000_i64) {
            for nanos in [nanos, small] {
                let shown = Money::from_nanos(nanos).to_string();
                prop_assert_eq!(shown.contains(|c: char| ('1'..='9').contains(&c)), nanos != 0);
            }
        }

        #[test]
        fn shown_cents_read_back_within_half_a_cent(nanos in 10_000_000..=900_000_000_000_000_000_i64) {
            let shown = Money::parse(&Money::from_nanos(nanos).to_string()).unwrap();
            prop_assert!(shown.nanos().abs_diff(nanos) <= 5_000_000);
        }

        #[test]
        fn parsing_never_panics(text: String, number in "[-$0-9., kmKM]{0,40}") {
            let _ = Money::parse(&text);
            let _ = Money::parse(&number);
        }
    }
}
