//! A tariff as JSON, as the database, the catalogue and the command line have it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Exception, Line, Millionths, Rates, Tariff, add_line};
use crate::domain::meter::{Dimension, Meter};
use crate::domain::money::Money;
use crate::domain::parse_error::ParseError;

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
