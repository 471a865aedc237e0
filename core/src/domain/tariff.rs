//! What a model costs: the price of each meter, dearer prices above a number of input tokens, and factors for the service
//! tier, region and speed at which a request was served. All arithmetic is exact and rounded up once, at the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meter::{Dimension, MAX_COUNT, Meter, Metered, ServedAs, Side, Unit};
use super::money::Money;
use super::parse_error::ParseError;

/// The price of each meter; a meter without a price is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<Meter, Money>);

/// More than any provider asks for a million tokens. Products of such prices do not overflow.
const MAX_PRICE: Money = Money::from_nanos(1_000_000 * 1_000_000_000);

impl Rates {
    /// Of one meter, if it has a price of its own.
    pub fn get(&self, meter: Meter) -> Option<Money> {
        self.0.get(&meter).copied()
    }

    /// The same with a price for one meter.
    ///
    /// # Errors
    /// When the price is below zero or above a million dollars.
    pub fn with(mut self, meter: Meter, price: Money) -> Result<Self, ParseError> {
        if !(Money::ZERO..=MAX_PRICE).contains(&price) {
            return Err(ParseError::new("A price is at least $0 and at most $1,000,000."));
        }
        self.0.insert(meter, price);
        Ok(self)
    }

    /// The meters that have a price of their own.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, Money)> + '_ {
        self.0.iter().map(|(meter, price)| (*meter, *price))
    }

    /// Whether no meter has a price.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that `other` does not have.
    pub(super) fn without(&self, other: &Rates) -> Rates {
        let own = self.0.iter().filter(|(meter, price)| other.0.get(*meter) != Some(*price));
        Rates(own.map(|(meter, price)| (*meter, *price)).collect())
    }

    /// The meter at whose price one is charged, that price, and whether it is the true one. Cached input, image input and reasoning cost what
    /// other tokens of their side cost where they have no price of their own; for written and audio tokens and for image
    /// output that is not true of any provider, so that it stands in for a price that is missing.
    fn charged(&self, meter: Meter) -> (Meter, Money, bool) {
        if let Some(price) = self.get(meter) {
            return (meter, price, true);
        }
        let stands_in = |other: Meter, is_true: bool| match self.get(other) {
            Some(price) => (other, price, is_true),
            None => (other, Money::ZERO, false),
        };
        match meter {
            Meter::CachedInput | Meter::ImageInput => stands_in(Meter::Input, true),
            Meter::Reasoning => stands_in(Meter::Output, true),
            Meter::CacheWriteLong if self.get(Meter::CacheWriteShort).is_some() => {
                stands_in(Meter::CacheWriteShort, false)
            }
            Meter::CachedAudio if self.get(Meter::AudioInput).is_some() => stands_in(Meter::AudioInput, true),
            Meter::CacheWriteShort | Meter::CacheWriteLong | Meter::AudioInput | Meter::CachedAudio => {
                stands_in(Meter::Input, false)
            }
            Meter::AudioOutput | Meter::ImageOutput => stands_in(Meter::Output, false),
            Meter::Requests => (meter, Money::ZERO, true),
            Meter::Input | Meter::Output | Meter::Searches | Meter::ToolUses => (meter, Money::ZERO, false),
        }
    }

    /// These, and for meters that are not here those of `base`.
    fn over(&self, base: &Rates) -> Rates {
        let mut all = base.0.clone();
        all.extend(self.0.iter().map(|(meter, price)| (*meter, *price)));
        Rates(all)
    }
}

/// Prices that hold for the whole of a request with more input tokens than this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A request with more input tokens than this is above the line.
    pub above: i64,
    /// The prices above it; a meter that is not here keeps its price.
    pub rates: Rates,
}

/// Prices that a tier, region or speed has of its own, where its factor does not give them: a cached token that costs the
/// same in every tier, or a price that a provider rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// The prices; a meter that is not here costs its list price times the factor.
    pub rates: Rates,
    /// Ascending.
    pub lines: Vec<Line>,
}

/// The prices of a request with so many input tokens.
fn rates_at(rates: &Rates, lines: &[Line], input: i64) -> Rates {
    lines.iter().filter(|line| input > line.above).fold(rates.clone(), |rates, line| line.rates.over(&rates))
}

fn add_line(lines: &mut Vec<Line>, line: Line) -> Result<(), ParseError> {
    if !(1..=MAX_COUNT).contains(&line.above) {
        return Err(ParseError::new("A line is above 1 to 1,000,000,000 input tokens."));
    }
    if line.rates.is_empty() {
        return Err(ParseError::new("A line needs a price of its own."));
    }
    match lines.binary_search_by_key(&line.above, |line| line.above) {
        Ok(_) => Err(ParseError::new("There are two lines at the same number of tokens.")),
        Err(place) => {
            lines.insert(place, line);
            Ok(())
        }
    }
}

/// A factor in millionths: 1,100,000 is 1.1 times the price.
pub type Millionths = i64;

const ONE: i128 = 1_000_000;
/// The greatest factor that a tariff can have: 100 times.
const MAX_FACTOR: Millionths = 100_000_000;

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In nano-dollars.
    pub amount: Money,
    /// Whether every meter and factor had a price. Where one had none, the amount may be too low.
    pub is_priced: bool,
}

/// What one meter of a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostPart {
    /// The meter.
    pub meter: Meter,
    /// How much of it was used.
    pub count: i64,
    /// Nano-dollars for its unit.
    pub price: Money,
    /// What tier, region and speed multiply it by, in millionths.
    pub factor: Millionths,
    /// Rounded up to a whole nano-dollar.
    pub amount: Money,
    /// Whether the price is the meter's own, or one that truly stands in for it.
    pub is_true: bool,
    /// In millionths of a millionth of a nano-dollar.
    exact: i128,
}

/// What a model costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tariff {
    /// The list prices.
    pub rates: Rates,
    /// Ascending.
    pub lines: Vec<Line>,
    /// Of tokens alone: searches and the like cost the same in any tier.
    pub factors: BTreeMap<(Dimension, String), Millionths>,
    /// Of tiers, regions and speeds that have a factor.
    pub exceptions: BTreeMap<(Dimension, String), Exception>,
}

impl Tariff {
    /// With a price for input, cached input and output alone.
    ///
    /// # Errors
    /// Like [`Rates::with`].
    pub fn flat(input: Money, cached: Money, output: Money) -> Result<Self, ParseError> {
        let rates = Rates::default()
            .with(Meter::Input, input)?
            .with(Meter::CachedInput, cached)?
            .with(Meter::Output, output)?;
        Ok(Self { rates, ..Self::default() })
    }

    /// Whether it has no price at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it is at no number of tokens, has no price, or is there already.
    pub fn with_line(mut self, line: Line) -> Result<Self, ParseError> {
        add_line(&mut self.lines, line)?;
        Ok(self)
    }

    /// Adds a factor, in millionths.
    ///
    /// # Errors
    /// When it is below zero or above 100, or its word is empty or means the list price.
    pub fn with_factor(
        mut self,
        dimension: Dimension,
        word: &str,
        factor: Millionths,
    ) -> Result<Self, ParseError> {
        let word = word.trim().to_lowercase();
        if dimension.is_standard(&word) {
            return Err(ParseError::new("The list prices hold there: a factor needs another name."));
        }
        if !(0..=MAX_FACTOR).contains(&factor) {
            return Err(ParseError::new("A factor is at least 0 and at most 100."));
        }
        self.factors.insert((dimension, word), factor);
        Ok(self)
    }

    /// Adds the prices that a tier, region or speed has of its own.
    ///
    /// # Errors
    /// When it has no factor, or the exception has no price.
    pub fn with_exception(
        mut self,
        dimension: Dimension,
        word: &str,
        exception: Exception,
    ) -> Result<Self, ParseError> {
        let key = (dimension, word.trim().to_lowercase());
        if !self.factors.contains_key(&key) {
            return Err(ParseError::new("Prices of their own are of a tier, region or speed with a factor."));
        }
        if exception.rates.is_empty() {
            return Err(ParseError::new("An exception needs a price of its own."));
        }
        self.exceptions.insert(key, exception);
        Ok(self)
    }

    /// The prices of a request with so many input tokens.
    pub(super) fn rates_at(&self, input: i64) -> Rates {
        rates_at(&self.rates, &self.lines, input)
    }

    /// The product of the factors, in millionths, and whether all of them are known. The dearest known one stands in for
    /// one that is not. `except` is left out.
    fn factor(&self, served_as: &ServedAs, except: Option<Dimension>) -> (i128, bool) {
        let mut is_known = true;
        let mut product = ONE;
        for dimension in Dimension::ALL {
            let word = served_as.word(dimension);
            if dimension.is_standard(word) || except == Some(dimension) {
                continue;
            }
            let factor = self.factors.get(&(dimension, word.to_lowercase())).copied();
            is_known &= factor.is_some();
            let factor = factor.map_or_else(|| self.dearest(dimension), i128::from);
            product = (product * factor + ONE - 1) / ONE;
        }
        (product, is_known)
    }

    /// The exceptions that hold for a request, each with the factor that is left.
    fn exceptions_of(&self, served_as: &ServedAs) -> Vec<(&Exception, i128)> {
        let exception = |of: Dimension| {
            self.exceptions.get(&(of, served_as.word(of).to_lowercase())).map(|own| (of, own))
        };
        let found = Dimension::ALL.into_iter().filter_map(exception);
        found.map(|(of, own)| (own, self.factor(served_as, Some(of)).0)).collect()
    }

    fn dearest(&self, dimension: Dimension) -> i128 {
        let of_dimension = self.factors.iter().filter(|((of, _), _)| *of == dimension);
        of_dimension.map(|(_, factor)| i128::from(*factor)).fold(ONE, i128::max)
    }

    /// What a meter costs in a request with so many input tokens, in millionths of a nano-dollar for each of its unit. `word`
    /// is the tier, region or speed in which it is served; `None` is the list price.
    pub(super) fn price_of(&self, meter: Meter, input: i64, word: Option<&(Dimension, String)>) -> i128 {
        let (charged_as, listed, _) = self.rates_at(input).charged(meter);
        let own = word.and_then(|word| self.exceptions.get(word)).and_then(|own| {
            let own = rates_at(&own.rates, &own.lines, input);
            own.get(meter).or_else(|| own.get(charged_as))
        });
        let factor = word.and_then(|word| self.factors.get(word)).map_or(ONE, |factor| i128::from(*factor));
        own.map_or(i128::from(listed.nanos()) * factor, |own| i128::from(own.nanos()) * ONE)
    }

    /// Whether the use of a meter has a true price.
    pub fn prices_meter(&self, meter: Meter) -> bool {
        self.rates.charged(meter).2
    }

    /// Whether it says what a request costs that is served in this way.
    pub fn knows(&self, dimension: Dimension, word: &str) -> bool {
        dimension.is_standard(word) || self.factors.contains_key(&(dimension, word.to_lowercase()))
    }

    /// What a request costs, rounded up once to a whole nano-dollar.
    pub fn cost(&self, metered: &Metered) -> Cost {
        let (_, is_known) = self.factor(&metered.served_as, None);
        let parts = self.parts(metered);
        let is_priced = is_known && !metered.uncounted && parts.iter().all(|part| part.is_true);
        Cost { amount: whole_nanos(parts.iter().map(|part| part.exact).sum()), is_priced }
    }

    /// What each meter of a request comes to. Together they are its cost, which is rounded only once.
    pub fn parts(&self, metered: &Metered) -> Vec<CostPart> {
        let (factor, _) = self.factor(&metered.served_as, None);
        let counts = metered.counts.with(Meter::Requests, 1);
        let input = counts.input();
        let rates = self.rates_at(input);
        let own: Vec<(Rates, i128)> = self
            .exceptions_of(&metered.served_as)
            .into_iter()
            .map(|(own, factor)| (rates_at(&own.rates, &own.lines, input), factor))
            .collect();
        let part = |(meter, count): (Meter, i64)| {
            let (charged_as, listed, is_true) = rates.charged(meter);
            let of = |(own, factor): &(Rates, i128)| {
                own.get(meter).or_else(|| own.get(charged_as)).map(|price| (price, *factor))
            };
            let (price, factor) = own.iter().find_map(of).unwrap_or((listed, factor));
            let amount = i128::from(count) * i128::from(price.nanos());
            let (exact, factor) = match meter.unit() {
                Unit::MillionTokens => (amount * factor, factor),
                Unit::Thousand => (amount * 1_000 * ONE, ONE),
                Unit::Each => (amount * ONE * ONE, ONE),
            };
            let factor = Millionths::try_from(factor).unwrap_or(Millionths::MAX);
            CostPart { meter, count, price, factor, amount: whole_nanos(exact), is_true, exact }
        };
        counts.used().map(part).collect()
    }

    /// The most that a request with at most so many tokens on each side can cost: every token at the dearest meter of its
    /// side, in the dearest tier, region and speed that it can be served at. Where it asks for one, that is this one or as
    /// listed; else its provider chooses the tier and the region. What it asks for and is not known here may be any.
    pub fn worst(&self, input: i64, output: i64, asked: &ServedAs) -> Money {
        let dearest = |rates: &Rates, lines: &[Line], side: Side| {
            let reached = lines.iter().filter(|line| input > line.above).map(|line| &line.rates);
            let prices =
                reached.chain([rates]).flat_map(Rates::iter).filter(|(meter, _)| meter.side() == side);
            prices.map(|(_, price)| i128::from(price.nanos())).max().unwrap_or_default()
        };
        let reaches = |of: Dimension, word: &str| match asked.word(of) {
            "" => of != Dimension::Speed,
            asked => asked.eq_ignore_ascii_case(word) || !self.knows(of, asked),
        };
        let factor = |except: Option<Dimension>| {
            let others = Dimension::ALL.into_iter().filter(|of| Some(*of) != except);
            others.fold(ONE, |product, of| {
                let reached = self.factors.iter().filter(|((is, word), _)| *is == of && reaches(of, word));
                let dearest = reached.map(|(_, factor)| i128::from(*factor)).fold(ONE, i128::max);
                (product * dearest + ONE - 1) / ONE
            })
        };
        let side = |side: Side, tokens: i64| {
            let listed = dearest(&self.rates, &self.lines, side) * factor(None);
            let own = self.exceptions.iter().filter(|((of, word), _)| reaches(*of, word));
            let own = own.map(|((of, _), own)| dearest(&own.rates, &own.lines, side) * factor(Some(*of)));
            i128::from(tokens.clamp(0, MAX_COUNT)) * own.fold(listed, i128::max)
        };
        let request = self.rates.get(Meter::Requests).map_or(0, |price| i128::from(price.nanos()));
        whole_nanos(side(Side::Input, input) + side(Side::Output, output) + request * ONE * ONE)
    }
}

/// Millionths of a millionth of a nano-dollar, rounded up.
fn whole_nanos(total: i128) -> Money {
    Money::from_nanos(i64::try_from((total + ONE * ONE - 1) / (ONE * ONE)).unwrap_or(i64::MAX))
}

/// A price as a decimal text in dollars: `1.25`.
type Dollars = String;

/// A tariff in JSON: `{"input": "1.25", "output": "10", "lines": [{"above": 272000, "input": "2.5"}],
/// "factors": {"tier": {"flex": "0.5"}}, "exceptions": {"tier": {"flex": {"cached_input": "0.1"}}}}`. Prices are dollars, for a million tokens, for a thousand searches or tool uses, or
/// for a request.
#[derive(Serialize, Deserialize)]
struct TariffJson {
    #[serde(flatten)]
    rates: BTreeMap<String, Dollars>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineJson>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    factors: BTreeMap<Dimension, BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    exceptions: BTreeMap<Dimension, BTreeMap<String, ExceptionJson>>,
}

#[derive(Serialize, Deserialize)]
struct ExceptionJson {
    #[serde(flatten)]
    rates: BTreeMap<String, Dollars>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineJson>,
}

#[derive(Serialize, Deserialize)]
struct LineJson {
    above: i64,
    #[serde(flatten)]
    rates: BTreeMap<String, Dollars>,
}

fn read_rates(rates: BTreeMap<String, Dollars>) -> Result<Rates, ParseError> {
    rates.into_iter().try_fold(Rates::default(), |rates, (name, dollars)| {
        let meter = Meter::parse(&name).ok_or_else(|| ParseError::new(format!("{name} is not a meter.")))?;
        rates.with(meter, Money::parse(&dollars)?)
    })
}

fn write_rates(rates: &Rates) -> BTreeMap<String, Dollars> {
    rates.iter().map(|(meter, price)| (meter.name().to_owned(), price.input())).collect()
}

fn read_lines(lines: Vec<LineJson>) -> Result<Vec<Line>, ParseError> {
    let mut read = Vec::new();
    for line in lines {
        add_line(&mut read, Line { above: line.above, rates: read_rates(line.rates)? })?;
    }
    Ok(read)
}

fn write_lines(lines: &[Line]) -> Vec<LineJson> {
    lines.iter().map(|line| LineJson { above: line.above, rates: write_rates(&line.rates) }).collect()
}

/// Reads a factor: a decimal number with at most six decimals.
///
/// # Errors
/// When it is something else.
pub fn parse_factor(text: &str) -> Result<Millionths, ParseError> {
    let wrong = || ParseError::new("A factor is a number such as 0.5 or 1.1, with at most six decimals.");
    let nanos = Money::parse(text).map_err(|_| wrong())?.nanos();
    if nanos % 1_000 == 0 { Ok(nanos / 1_000) } else { Err(wrong()) }
}

/// What `parse_factor` reads.
pub fn write_factor(factor: Millionths) -> String {
    Money::from_nanos(factor.saturating_mul(1_000)).input()
}

impl Serialize for Tariff {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut factors: BTreeMap<Dimension, BTreeMap<String, String>> = BTreeMap::new();
        for ((dimension, word), factor) in &self.factors {
            factors.entry(*dimension).or_default().insert(word.clone(), write_factor(*factor));
        }
        let mut exceptions: BTreeMap<Dimension, BTreeMap<String, ExceptionJson>> = BTreeMap::new();
        for ((dimension, word), own) in &self.exceptions {
            let own = ExceptionJson { rates: write_rates(&own.rates), lines: write_lines(&own.lines) };
            exceptions.entry(*dimension).or_default().insert(word.clone(), own);
        }
        let (rates, lines) = (write_rates(&self.rates), write_lines(&self.lines));
        TariffJson { rates, lines, factors, exceptions }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tariff {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = TariffJson::deserialize(deserializer)?;
        read_tariff(json).map_err(|error| serde::de::Error::custom(error.sentence()))
    }
}

fn read_tariff(json: TariffJson) -> Result<Tariff, ParseError> {
    let (rates, lines) = (read_rates(json.rates)?, read_lines(json.lines)?);
    let mut tariff = Tariff { rates, lines, ..Tariff::default() };
    for (dimension, words) in json.factors {
        for (word, factor) in words {
            tariff = tariff.with_factor(dimension, &word, parse_factor(&factor)?)?;
        }
    }
    for (dimension, words) in json.exceptions {
        for (word, own) in words {
            let own = Exception { rates: read_rates(own.rates)?, lines: read_lines(own.lines)? };
            tariff = tariff.with_exception(dimension, &word, own)?;
        }
    }
    Ok(tariff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::meter::Counts;
    use proptest::prelude::*;

    fn tariff(json: &str) -> Tariff {
        serde_json::from_str(json).unwrap()
    }

    fn gpt() -> Tariff {
        tariff(
            r#"{"input":"2","cached_input":"0.2","cache_write_short":"2.5","output":"10",
                "lines":[{"above":272000,"input":"4","cached_input":"0.4","output":"15"}],
                "factors":{"tier":{"flex":"0.5","priority":"2"}},
                "exceptions":{"tier":{"flex":{"reasoning":"30"}}}}"#,
        )
    }

    fn used(counts: &[(Meter, i64)], tier: &str) -> Metered {
        let counts = counts.iter().fold(Counts::NONE, |counts, (meter, count)| counts.with(*meter, *count));
        Metered { counts, served_as: ServedAs { tier: tier.into(), ..ServedAs::default() }, uncounted: false }
    }

    fn nanos(tariff: &Tariff, counts: &[(Meter, i64)], tier: &str) -> (i64, bool) {
        let cost = tariff.cost(&used(counts, tier));
        (cost.amount.nanos(), cost.is_priced)
    }

    #[test]
    fn each_meter_is_paid_at_its_own_price() {
        let counts = [
            (Meter::Input, 3),
            (Meter::CachedInput, 10),
            (Meter::CacheWriteShort, 18_011),
            (Meter::Output, 5),
        ];
        assert_eq!(nanos(&gpt(), &counts, ""), (6_000 + 2_000 + 45_027_500 + 50_000, true));
    }

    #[test]
    fn above_a_line_the_whole_request_costs_its_prices() {
        let at = [(Meter::Input, 200_000), (Meter::CachedInput, 72_000), (Meter::Output, 2_000)];
        assert_eq!(nanos(&gpt(), &at, ""), (400_000_000 + 14_400_000 + 20_000_000, true));
        let above = [(Meter::Input, 200_000), (Meter::CachedInput, 100_000), (Meter::Output, 2_000)];
        assert_eq!(nanos(&gpt(), &above, ""), (800_000_000 + 40_000_000 + 30_000_000, true));
    }

    #[test]
    fn a_tier_multiplies_tokens_alone() {
        let tariff =
            tariff(r#"{"input":"2","output":"10","searches":"10","factors":{"tier":{"flex":"0.5"}}}"#);
        let counts = [(Meter::Input, 10_000), (Meter::Output, 1_000), (Meter::Searches, 1)];
        assert_eq!(nanos(&tariff, &counts, "default"), (30_000_000 + 10_000_000, true));
        assert_eq!(nanos(&tariff, &counts, "Flex"), (15_000_000 + 10_000_000, true));
    }

    #[test]
    fn a_tier_may_have_prices_of_its_own_that_only_the_other_factors_multiply() {
        let tariff = tariff(
            r#"{"input":"2","cached_input":"0.2","output":"10","lines":[{"above":200000,"cached_input":"0.4"}],
                "factors":{"tier":{"flex":"0.5"},"region":{"us":"1.1"}},
                "exceptions":{"tier":{"flex":{"cached_input":"0.2","lines":[{"above":200000,"cached_input":"0.4"}]}}}}"#,
        );
        let json = serde_json::to_string(&tariff).unwrap();
        assert_eq!(serde_json::from_str::<Tariff>(&json).unwrap(), tariff);
        let counts = [(Meter::Input, 1_000), (Meter::CachedInput, 10_000), (Meter::Output, 100)];
        assert_eq!(nanos(&tariff, &counts, "flex"), (1_000_000 + 2_000_000 + 500_000, true));
        let mut in_us = used(&counts, "Flex");
        in_us.served_as.region = "us".into();
        assert_eq!(tariff.cost(&in_us).amount.nanos(), 3_850_000);
        assert_eq!(nanos(&tariff, &[(Meter::CachedInput, 200_001)], "flex"), (80_000_400, true));
        assert_eq!(nanos(&tariff, &[(Meter::CachedInput, 200_001)], ""), (80_000_400, true));
    }

    #[test]
    fn what_has_no_price_is_marked_and_charged_at_what_stands_in() {
        assert_eq!(nanos(&gpt(), &[(Meter::Input, 1_000)], "scale"), (4_000_000, false));
        assert_eq!(nanos(&gpt(), &[(Meter::AudioOutput, 1_000)], ""), (10_000_000, false));
        assert_eq!(nanos(&gpt(), &[(Meter::CacheWriteLong, 1_000)], ""), (2_500_000, false));
        assert_eq!(nanos(&gpt(), &[(Meter::Searches, 1)], ""), (0, false));
        assert_eq!(nanos(&gpt(), &[(Meter::Reasoning, 1_000)], ""), (10_000_000, true));
        assert_eq!(nanos(&Tariff::default(), &[], ""), (0, true));
        let ran_code = Metered { uncounted: true, ..used(&[(Meter::Input, 1_000)], "") };
        let cost = gpt().cost(&ran_code);
        assert_eq!((cost.amount.nanos(), cost.is_priced), (2_000_000, false));
    }

    #[test]
    fn a_tariff_reads_back_and_refuses_what_it_cannot_say() {
        let json = serde_json::to_string(&gpt()).unwrap();
        assert_eq!(tariff(&json), gpt());
        for wrong in [
            r#"{"inputs":"2"}"#,
            r#"{"input":"0.0000000001"}"#,
            r#"{"input":"-1"}"#,
            r#"{"input":"1000001"}"#,
            r#"{"input":"1","lines":[{"above":0,"input":"1"}]}"#,
            r#"{"input":"1","lines":[{"above":9}]}"#,
            r#"{"input":"1","lines":[{"above":9,"input":"1"},{"above":9,"input":"2"}]}"#,
            r#"{"input":"1","factors":{"tier":{"default":"2"}}}"#,
            r#"{"input":"1","factors":{"tier":{"flex":"101"}}}"#,
            r#"{"input":"1","factors":{"tier":{"flex":"0.0000001"}}}"#,
            r#"{"input":"1","exceptions":{"tier":{"flex":{"input":"1"}}}}"#,
            r#"{"input":"1","factors":{"tier":{"flex":"0.5"}},"exceptions":{"tier":{"flex":{}}}}"#,
        ] {
            assert!(serde_json::from_str::<Tariff>(wrong).is_err(), "{wrong}");
        }
    }

    fn any_counts() -> impl Strategy<Value = Counts> {
        proptest::collection::vec(any::<i64>(), Meter::COUNT).prop_map(|counts| {
            Meter::ALL
                .into_iter()
                .zip(counts)
                .fold(Counts::NONE, |all, (meter, count)| all.with(meter, count))
        })
    }

    proptest! {
        #[test]
        fn no_numbers_of_a_provider_cost_less_than_nothing(counts in any_counts(), tier in "flex|priority|scale|") {
            let served_as = ServedAs { tier, ..ServedAs::default() };
            let metered = Metered { counts, served_as, ..Metered::NONE };
            prop_assert!(gpt().cost(&metered).amount >= Money::ZERO);
        }

        #[test]
        fn more_of_a_meter_never_costs_less(counts in any_counts(), meter in 0..Meter::COUNT, more in 0..1_000_000_i64) {
            let meter = Meter::ALL[meter];
            let fewer = Metered { counts, ..Metered::default() };
            let more = Metered { counts: counts.with(meter, counts.get(meter) + more), ..Metered::default() };
            prop_assert!(gpt().cost(&fewer).amount <= gpt().cost(&more).amount);
        }

        #[test]
        fn no_split_of_the_tokens_costs_more_than_the_most(
            input in 0..2_000_000_i64, cached in 0..2_000_000_i64, written in 0..2_000_000_i64,
            output in 0..200_000_i64, reasoning in 0..200_000_i64, asked in "flex|priority|default|scale|",
            chosen in "flex|priority|default|scale|",
        ) {
            let counts = [(Meter::Input, input), (Meter::CachedInput, cached), (Meter::CacheWriteShort, written),
                (Meter::Output, output), (Meter::Reasoning, reasoning)];
            let chosen = if asked.is_empty() { chosen } else { asked.clone() };
            let asked = ServedAs { tier: asked, ..ServedAs::default() };
            let worst = gpt().worst(input + cached + written, output + reasoning, &asked);
            // A tier that is not to be had may be answered as listed.
            for tier in [chosen.as_str(), "default"] {
                prop_assert!(gpt().cost(&used(&counts, tier)).amount <= worst, "{}", tier);
            }
        }

        #[test]
        fn what_nobody_asks_for_is_as_dear_as_its_provider_can_choose(tier in "priority|", region in "us|", speed in "fast|") {
            let tariff = tariff(
                r#"{"input":"5","output":"30","factors":{"tier":{"priority":"2.5"},"region":{"us":"1.1"},"speed":{"fast":"2"}},
                    "exceptions":{"region":{"us":{"output":"40"}}}}"#,
            );
            let served_as = ServedAs { tier, region, speed: speed.clone() };
            let asked = ServedAs { speed: speed.clone(), ..ServedAs::default() };
            let counts = Counts::of_totals(1_000, 0, 1_000);
            let worst = tariff.worst(1_000, 1_000, &asked);
            let metered = Metered { counts, served_as, ..Metered::default() };
            prop_assert!(tariff.cost(&metered).amount <= worst);
            // No provider is fast unasked.
            let fast = if speed.is_empty() { 1 } else { 2 };
            prop_assert_eq!(worst.nanos(), fast * (13_750_000 + 100_000_000));
            let listed = ServedAs { tier: "default".into(), region: "global".into(), speed: String::new() };
            prop_assert_eq!(tariff.worst(1_000, 1_000, &listed).nanos(), 35_000_000);
        }
    }
}
