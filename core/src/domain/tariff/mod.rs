//! What a model costs: the price of each meter, dearer prices above a number of input tokens, and factors for the service
//! tier, region and speed at which a request was served. All arithmetic is exact and rounded up once, at the end.

mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::meter::{Dimension, MAX_COUNT, Meter, Metered, ServedAs, Side, Unit};
use super::money::Money;
use super::parse_error::ParseError;
pub use json::{parse_factor, write_factor};

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
