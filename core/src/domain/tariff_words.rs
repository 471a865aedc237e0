//! Tariffs as people read and write them: in words, on the command line, and how far two of them are apart.

use std::collections::BTreeSet;

use super::key_format::refuse_secret;
use super::meter::{Dimension, MAX_COUNT, Meter, Side, Unit};
use super::money::Money;
use super::numbers::grouped;
use super::parse_error::ParseError;
use super::tariff::{Exception, Line, Millionths, Rates, Tariff, parse_factor, write_factor};

/// A price whole, as what is billed must not be rounded where it is shown: `$1.50`, `$0.125`.
pub fn whole(price: Money) -> String {
    let text = price.input();
    match text.split_once('.') {
        Some((_, decimals)) if decimals.len() > 2 => format!("${text}"),
        _ => price.to_string(),
    }
}

impl Unit {
    /// What a price is for, after an amount.
    pub fn words(self) -> &'static str {
        match self {
            Unit::MillionTokens => "per 1M tokens",
            Unit::Thousand => "per 1,000",
            Unit::Each => "each",
        }
    }
}

impl Dimension {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Dimension::Tier => "Service tier",
            Dimension::Region => "Region",
            Dimension::Speed => "Speed",
        }
    }

    /// The dimension with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

impl Rates {
    /// `input $2.00, output $10.00`
    pub fn words(&self) -> String {
        let word =
            |(meter, price): (Meter, Money)| format!("{} {}", meter.label().to_lowercase(), whole(price));
        self.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

impl Line {
    /// `Above 272,000 input tokens`
    pub fn label(&self) -> String {
        format!("Above {} input tokens", grouped(self.above))
    }
}

impl Exception {
    /// `cached input $0.03`
    fn words(&self) -> String {
        let lines =
            self.lines.iter().map(|line| format!("{}: {}", line.label().to_lowercase(), line.rates.words()));
        std::iter::once(self.rates.words()).chain(lines).collect::<Vec<_>>().join(", ")
    }
}

impl Tariff {
    /// Factors and the prices beside them, each with whom it is for: `Service tier flex`, `× 0.5, cached input $0.03`.
    pub fn ways(&self) -> Vec<(String, String)> {
        let way = |((of, word), factor): (&(Dimension, String), &Millionths)| {
            let own = self.exceptions.get(&(*of, word.clone())).map(Exception::words);
            let own = own.map(|own| format!(", {own}")).unwrap_or_default();
            (format!("{} {word}", of.label()), format!("× {}{own}", write_factor(*factor)))
        };
        self.factors.iter().map(way).collect()
    }

    /// Every price, line and factor in one line.
    pub fn words(&self) -> String {
        let lines =
            self.lines.iter().map(|line| format!("{}: {}", line.label().to_lowercase(), line.rates.words()));
        let lower = |of: &str| {
            let mut letters = of.chars();
            letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect::<String>())
                .unwrap_or_default()
        };
        let factors = self.ways().into_iter().map(|(of, words)| format!("{} {words}", lower(&of)));
        let rates = (!self.rates.is_empty()).then(|| self.rates.words());
        let all: Vec<String> = rates.into_iter().chain(lines).chain(factors).collect();
        if all.is_empty() { "no price".into() } else { all.join("; ") }
    }

    /// What it has and `other` does not, to be put in words beside each other.
    #[must_use]
    pub fn without(&self, other: &Tariff) -> Tariff {
        let mut own = Tariff { rates: self.rates.without(&other.rates), ..self.clone() };
        own.lines.retain(|line| !other.lines.contains(line));
        let shared = |of: &(Dimension, String)| {
            self.factors.get(of) == other.factors.get(of)
                && self.exceptions.get(of) == other.exceptions.get(of)
        };
        own.factors.retain(|of, _| !shared(of));
        own
    }

    /// Whether what a meter costs moves to zero, from zero, or by more than ten times, on any side of a line or in any tier,
    /// region or speed. Where its own price goes, the one that stands in for it counts; a meter that had none of its own is
    /// not compared.
    pub fn moves_far(&self, to: &Tariff) -> bool {
        let far = |before: i128, after: i128| {
            (before == 0) != (after == 0) || after > before * 10 || before > after * 10
        };
        let lines = self.lines.iter().chain(&to.lines).map(|line| line.above + 1);
        let inputs: BTreeSet<i64> = lines.chain([0]).collect();
        // A tier that is not known any more is refused.
        let words: Vec<_> = to.factors.keys().map(Some).chain([None]).collect();
        inputs.into_iter().any(|input| {
            let priced = self.rates_at(input);
            let moves = |meter, word| far(self.price_of(meter, input, word), to.price_of(meter, input, word));
            // Searches and tool uses without a price are refused, and not free.
            let compared = |meter: &Meter| {
                let is_refused =
                    matches!(meter, Meter::Searches | Meter::ToolUses) && !to.prices_meter(*meter);
                priced.get(*meter).is_some() && !is_refused
            };
            let mut meters = Meter::ALL.into_iter().filter(compared);
            meters.any(|meter| words.iter().any(|word| moves(meter, *word)))
        })
    }

    /// Whether every side on which a request has tokens has a price.
    pub fn prices(&self, input: i64, output: i64) -> bool {
        let has = |side: Side, tokens: i64| {
            let meter = if side == Side::Input { Meter::Input } else { Meter::Output };
            tokens <= 0 || self.rates.get(meter).is_some()
        };
        has(Side::Input, input) && has(Side::Output, output)
    }
}

fn meter(name: &str) -> Result<Meter, ParseError> {
    Meter::parse(name.trim()).ok_or_else(|| {
        let names: Vec<&str> = Meter::ALL.into_iter().map(Meter::name).collect();
        ParseError::new(format!("{} is not a meter. Use one of {}.", name.trim(), names.join(", ")))
    })
}

/// Reads `cached_input=0.125`.
///
/// # Errors
/// When it has no such form, or names no meter, or the price is none.
pub fn parse_rate(text: &str) -> Result<(Meter, Money), ParseError> {
    let Some((name, price)) = text.split_once('=') else {
        return Err(ParseError::new("Write a price as METER=DOLLARS, such as cached_input=0.125."));
    };
    let (meter, price) = (meter(name)?, Money::parse(price)?);
    // Says so when it is too high.
    Rates::default().with(meter, price)?;
    Ok((meter, price))
}

/// Reads `input=4, output=15`; no text is no price.
///
/// # Errors
/// Like `parse_rate`, and when a meter is there twice.
pub fn parse_rates(text: &str) -> Result<Rates, ParseError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(parse_rate).try_fold(Rates::default(), |rates, rate| {
        let (meter, price) = rate?;
        match rates.get(meter) {
            Some(_) => Err(ParseError::new(format!("{} has two prices.", meter.name()))),
            None => rates.with(meter, price),
        }
    })
}

/// What `parse_rates` reads.
pub fn write_rates(rates: impl IntoIterator<Item = (Meter, Money)>) -> String {
    let write = |(meter, price): (Meter, Money)| format!("{}={}", meter.name(), price.input());
    rates.into_iter().map(write).collect::<Vec<_>>().join(", ")
}

/// Reads the number of input tokens above which a line's prices hold: `272000`, `272,000` or `272k`.
///
/// # Errors
/// When it is no whole number from 1 to 1,000,000,000.
pub fn parse_above(text: &str) -> Result<i64, ParseError> {
    super::model::parse_tokens(text, MAX_COUNT)
}

/// Reads `272000:input=4,output=15`.
///
/// # Errors
/// When a part of it cannot be read, or it has no price.
pub fn parse_line(text: &str) -> Result<Line, ParseError> {
    let Some((above, rates)) = text.split_once(':') else {
        return Err(ParseError::new(
            "Write a line as TOKENS:METER=DOLLARS,…, such as 272000:input=4,output=15.",
        ));
    };
    let line = Line { above: parse_above(above)?, rates: parse_rates(rates)? };
    // Says so when it has no price.
    Tariff::default().with_line(line.clone())?;
    Ok(line)
}

/// Reads `tier:flex=0.5`.
///
/// # Errors
/// When it has no such form, or a part of it cannot be read.
pub fn parse_factor_of(text: &str) -> Result<(Dimension, String, Millionths), ParseError> {
    let parts = text.split_once('=').and_then(|(of, factor)| Some((of.split_once(':')?, factor)));
    let Some(((dimension, word), factor)) = parts else {
        return Err(ParseError::new("Write a factor as KIND:NAME=FACTOR, such as tier:flex=0.5."));
    };
    let Some(dimension) = Dimension::parse(dimension.trim()) else {
        return Err(ParseError::new("A factor is by tier, region or speed, such as tier:flex=0.5."));
    };
    refuse_secret(word)?;
    let factor = parse_factor(factor)?;
    Tariff::default().with_factor(dimension, word, factor)?;
    Ok((dimension, word.trim().to_lowercase(), factor))
}

/// Prices that a tier, region or speed has beside its factor, as people write them.
pub struct OwnPrices {
    dimension: Dimension,
    word: String,
    above: Option<i64>,
    rates: Rates,
}

impl OwnPrices {
    /// Reads `tier:flex:cached_input=0.03`, or `tier:flex:200000:cached_input=0.4` for requests above so many tokens.
    /// `None` when the text is no such thing, as `tier:flex=0.5` is.
    ///
    /// # Errors
    /// When a part of it cannot be read.
    pub fn parse(text: &str) -> Result<Option<Self>, ParseError> {
        let head = text.split('=').next().unwrap_or_default();
        let parts: Vec<&str> = head.split(':').collect();
        let (dimension, word, above) = match parts[..] {
            [dimension, word, _] => (dimension, word, None),
            [dimension, word, above, _] => (dimension, word, Some(parse_above(above)?)),
            _ => return Ok(None),
        };
        let Some(dimension) = Dimension::parse(dimension.trim()) else {
            return Err(ParseError::new(
                "Prices beside a factor are by tier, region or speed, such as tier:flex:cached_input=0.03.",
            ));
        };
        let start = head.rfind(':').map_or(0, |at| at + 1);
        let rates = parse_rates(text.get(start..).unwrap_or_default())?;
        Ok(Some(Self { dimension, word: word.trim().to_lowercase(), above, rates }))
    }

    /// The tariff with these prices. Those without a number of tokens come first.
    ///
    /// # Errors
    /// Like [`Tariff::with_exception`] and [`Tariff::with_line`].
    pub fn add_to(self, tariff: &Tariff) -> Result<Tariff, ParseError> {
        let there = tariff.exceptions.get(&(self.dimension, self.word.clone())).cloned();
        let own = match (self.above, there) {
            (None, None) => Exception { rates: self.rates, lines: Vec::new() },
            (None, Some(_)) => {
                return Err(ParseError::new(format!("{} has its own prices twice.", self.word)));
            }
            (Some(above), there) => {
                let there = there.unwrap_or_default();
                let with_line = Tariff { lines: there.lines, ..Tariff::default() };
                let lines = with_line.with_line(Line { above, rates: self.rates })?.lines;
                Exception { rates: there.rates, lines }
            }
        };
        tariff.clone().with_exception(self.dimension, &self.word, own)
    }
}

/// What `OwnPrices::parse` reads, each in a line.
pub fn write_own_prices(tariff: &Tariff) -> Vec<String> {
    let written = |((of, word), own): (&(Dimension, String), &Exception)| {
        let head = format!("{}:{word}", of.name());
        let list = format!("{head}: {}", write_rates(own.rates.iter()));
        let lines =
            own.lines.iter().map(|line| format!("{head}:{}: {}", line.above, write_rates(line.rates.iter())));
        std::iter::once(list).chain(lines).collect::<Vec<_>>()
    };
    tariff.exceptions.iter().flat_map(written).collect()
}

/// What `parse_line` reads.
pub fn write_line(line: &Line) -> String {
    format!("{}: {}", line.above, write_rates(line.rates.iter()))
}

/// What `parse_factor_of` reads.
pub fn write_factor_of(dimension: Dimension, word: &str, factor: Millionths) -> String {
    format!("{}:{word}={}", dimension.name(), write_factor(factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tariff(json: &str) -> Tariff {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_price_is_shown_whole() {
        for (typed, shown) in [
            ("0", "$0.00"),
            ("10", "$10.00"),
            ("1.5", "$1.50"),
            ("1234.56", "$1,234.56"),
            ("0.125", "$0.125"),
            ("0.000000001", "$0.000000001"),
        ] {
            assert_eq!(whole(Money::parse(typed).unwrap()), shown);
        }
    }

    #[test]
    fn a_tariff_is_told_in_one_line() {
        let json = r#"{"input":"2","output":"10","searches":"10","lines":[{"above":272000,"output":"15"}],
            "factors":{"tier":{"flex":"0.5"}}}"#;
        assert_eq!(
            tariff(json).words(),
            "input $2.00, output $10.00, searches $10.00; above 272,000 input tokens: output $15.00; service tier flex × 0.5"
        );
        assert_eq!(Tariff::default().words(), "no price");
    }

    #[test]
    fn the_command_line_reads_prices_lines_and_factors_and_says_what_is_wrong() {
        assert_eq!(parse_rate("cached_input=0.125").unwrap().1.input(), "0.125");
        let line = parse_line("272k: input=4, output=15").unwrap();
        assert_eq!((line.above, write_rates(line.rates.iter())), (272_000, "input=4, output=15".to_owned()));
        assert_eq!(parse_factor_of("tier:Flex=0.5").unwrap(), (Dimension::Tier, "flex".into(), 500_000));
        for wrong in ["input", "inputs=1", "input=", "input=1000001", "input=-1", "input=0.0000000001"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        for wrong in ["272000", "272000:", "0:input=1", "1.5:input=1", "9:input=1,input=2"] {
            assert!(parse_line(wrong).is_err(), "{wrong}");
        }
        for wrong in ["tier:flex", "flex=0.5", "day:flex=1", "tier:default=1", "tier:flex=101"] {
            assert!(parse_factor_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn prices_beside_a_factor_read_back() {
        let json = r#"{"input":"2","cached_input":"0.2","factors":{"tier":{"flex":"0.5"}},
            "exceptions":{"tier":{"flex":{"cached_input":"0.2","lines":[{"above":200000,"cached_input":"0.4"}]}}}}"#;
        let whole = tariff(json);
        let lines = write_own_prices(&whole);
        assert_eq!(lines, ["tier:flex: cached_input=0.2", "tier:flex:200000: cached_input=0.4"]);
        let bare = Tariff { exceptions: std::collections::BTreeMap::new(), ..whole.clone() };
        let read = lines
            .iter()
            .try_fold(bare.clone(), |tariff, line| OwnPrices::parse(line)?.unwrap().add_to(&tariff));
        assert_eq!(read.unwrap(), whole);
        assert_eq!(
            whole.ways(),
            [(
                "Service tier flex".to_owned(),
                "× 0.5, cached input $0.20, above 200,000 input tokens: cached input $0.40".to_owned()
            )]
        );
        assert!(OwnPrices::parse("tier:flex=0.5").unwrap().is_none());
        for wrong in ["day:flex:input=1", "tier:flex:input=", "tier:flex:x:input=1", "tier:flex:inputs=1"] {
            assert!(OwnPrices::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["tier:scale:input=1", "tier:flex:9:"] {
            assert!(OwnPrices::parse(wrong).unwrap().unwrap().add_to(&bare).is_err(), "{wrong}");
        }
    }

    #[test]
    fn far_moves_are_told_from_near_ones() {
        let far = |before: &str, after: &str| tariff(before).moves_far(&tariff(after));
        let base = r#"{"input":"2","output":"10"}"#;
        assert!(!far(base, r#"{"input":"20","output":"1"}"#));
        assert!(far(base, r#"{"input":"20.1","output":"10"}"#));
        assert!(far(base, r#"{"input":"2","output":"0.99"}"#));
        assert!(far(base, r#"{"input":"0","output":"10"}"#));
        assert!(far(base, r#"{"input":"2"}"#));
        assert!(far(r#"{"input":"0","output":"10"}"#, base));
        // Where a price goes, another stands in for it.
        assert!(far(r#"{"input":"2","output":"2","image_output":"30"}"#, r#"{"input":"2","output":"2"}"#));
        assert!(!far(r#"{"input":"2","output":"4","reasoning":"9"}"#, r#"{"input":"2","output":"4"}"#));
        assert!(far(
            r#"{"input":"2","output":"9","factors":{"tier":{"flex":"0.5"}},"exceptions":{"tier":{"flex":{"input":"0.05"}}}}"#,
            r#"{"input":"2","output":"9","factors":{"tier":{"flex":"0.5"}}}"#
        ));
        // What is refused then is not free.
        assert!(!far(r#"{"input":"2","output":"4","searches":"10"}"#, r#"{"input":"2","output":"4"}"#));
        assert!(far(
            r#"{"input":"2","output":"4","searches":"10"}"#,
            r#"{"input":"2","output":"4","searches":"0"}"#
        ));
        // A price that is new is no move.
        assert!(!far(base, r#"{"input":"2","output":"10","cached_input":"0","audio_input":"40"}"#));
        assert!(!far(base, r#"{"input":"2","output":"10","lines":[{"above":200000,"input":"4"}]}"#));
        assert!(far(base, r#"{"input":"2","output":"10","lines":[{"above":200000,"input":"40"}]}"#));
        assert!(far(base, r#"{"input":"2","output":"10","factors":{"tier":{"flex":"0.01"}}}"#));
        assert!(!far(r#"{"output":"0","input":"1"}"#, r#"{"input":"1"}"#));
    }

    #[test]
    fn a_side_with_tokens_needs_a_price() {
        let embeddings = tariff(r#"{"input":"0.1"}"#);
        assert!(embeddings.prices(9, 0) && !embeddings.prices(9, 1) && !Tariff::default().prices(1, 0));
        assert!(Tariff::default().prices(0, 0));
    }
}
