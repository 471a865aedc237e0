//! The prices of a model as a file lists them, each tier whole, and the tariff that says the same with factors.

use std::collections::BTreeMap;

use crate::domain::meter::{Dimension, Meter};
use crate::domain::money::Money;
use crate::domain::parse_error::ParseError;
use crate::domain::tariff::{Exception, Line, Millionths, Rates, Tariff};

/// Prices by the number of input tokens above which they hold, 0 for the list prices, and the meter.
pub(super) type Table = BTreeMap<(i64, Meter), Money>;

/// What a file says about the price of a model.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) list: Table,
    /// The prices of ways to be served that the file lists whole.
    pub(super) ways: BTreeMap<(Dimension, String), Table>,
    pub(super) factors: BTreeMap<(Dimension, String), Millionths>,
}

impl Draft {
    /// The tariff; `None` when there is no price at all.
    ///
    /// # Errors
    /// When a price is higher than a tariff can say, or a tier has prices that the list does not have.
    pub(super) fn tariff(&self) -> Result<Option<Tariff>, ParseError> {
        if self.list.is_empty() {
            return Ok(None);
        }
        let (rates, lines) = split(&self.list)?;
        let mut tariff = Tariff { rates, ..Tariff::default() };
        for line in lines {
            tariff = tariff.with_line(line)?;
        }
        for ((dimension, word), factor) in &self.factors {
            tariff = tariff.with_factor(*dimension, word, *factor)?;
        }
        for ((dimension, word), served) in &self.ways {
            let factor = self.factor(served).ok_or_else(|| {
                ParseError::new(format!("{word} has prices, but not for what the list prices."))
            })?;
            tariff = tariff.with_factor(*dimension, word, factor)?;
            let own = self.beside(served, factor);
            if !own.is_empty() {
                let (rates, lines) = split(&own)?;
                tariff = tariff.with_exception(*dimension, word, Exception { rates, lines })?;
            }
        }
        Ok(Some(tariff))
    }

    /// What multiplies the list price of input, else of output, in millionths and rounded up.
    fn factor(&self, served: &Table) -> Option<Millionths> {
        [Meter::Input, Meter::Output].into_iter().find_map(|meter| {
            let (list, price) = (self.list.get(&(0, meter))?.nanos(), served.get(&(0, meter))?.nanos());
            let factor =
                (i128::from(price) * 1_000_000 + i128::from(list) - 1).checked_div(i128::from(list))?;
            i64::try_from(factor).ok()
        })
    }

    /// The prices of a tier that the factor does not give: of such a meter all.
    fn beside(&self, served: &Table, factor: Millionths) -> Table {
        let differs = |key: &(i64, Meter), price: &Money| {
            self.list.get(key).is_none_or(|list| {
                i128::from(list.nanos()) * i128::from(factor) != i128::from(price.nanos()) * 1_000_000
            })
        };
        let own = |meter: Meter| served.iter().any(|(key, price)| key.1 == meter && differs(key, price));
        served.iter().filter(|(key, _)| own(key.1)).map(|(key, price)| (*key, *price)).collect()
    }
}

/// Drops what only repeats the price that stands in for it.
pub(super) fn forget_repeated(table: &mut Table) {
    for (meter, like) in [(Meter::Reasoning, Meter::Output), (Meter::ImageInput, Meter::Input)] {
        let repeats = |((above, of), price): (&(i64, Meter), &Money)| {
            *of != meter || table.get(&(*above, like)) == Some(price)
        };
        if table.iter().all(repeats) {
            table.retain(|(_, of), _| *of != meter);
        }
    }
}

/// Gives a meter that has no price of its own the prices of another one.
pub(super) fn charge_like(table: &mut Table, meter: Meter, like: Meter) {
    if table.keys().all(|(_, of)| *of != meter) {
        let others: Vec<_> = table.iter().filter(|((_, of), _)| *of == like).collect();
        let copies: Table = others.into_iter().map(|((above, _), price)| ((*above, meter), *price)).collect();
        table.extend(copies);
    }
}

fn split(table: &Table) -> Result<(Rates, Vec<Line>), ParseError> {
    let mut rates: BTreeMap<i64, Rates> = BTreeMap::new();
    for ((above, meter), price) in table {
        let there = rates.remove(above).unwrap_or_default();
        rates.insert(*above, there.with(*meter, *price)?);
    }
    let list = rates.remove(&0).unwrap_or_default();
    Ok((list, rates.into_iter().map(|(above, rates)| Line { above, rates }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(prices: &[(i64, Meter, &str)]) -> Table {
        prices.iter().map(|(above, meter, price)| ((*above, *meter), Money::parse(price).unwrap())).collect()
    }

    #[test]
    fn tiers_become_factors_and_keep_the_prices_that_no_factor_gives() {
        let draft = Draft {
            list: table(&[
                (0, Meter::Input, "1.1"),
                (0, Meter::CachedInput, "0.25"),
                (0, Meter::Output, "4.4"),
                (272_000, Meter::CachedInput, "0.5"),
            ]),
            ways: BTreeMap::from([
                (
                    (Dimension::Tier, "flex".into()),
                    table(&[
                        (0, Meter::Input, "0.55"),
                        (0, Meter::CachedInput, "0.13"),
                        (0, Meter::Output, "2.2"),
                        (272_000, Meter::CachedInput, "0.25"),
                    ]),
                ),
                (
                    (Dimension::Tier, "priority".into()),
                    table(&[(0, Meter::Input, "2"), (0, Meter::Output, "8")]),
                ),
            ]),
            ..Draft::default()
        };
        let json = serde_json::to_value(draft.tariff().unwrap().unwrap()).unwrap();
        assert_eq!(json["factors"], serde_json::json!({"tier": {"flex": "0.5", "priority": "1.818182"}}));
        assert_eq!(
            json["exceptions"]["tier"],
            serde_json::json!({
                "flex": {"cached_input": "0.13", "lines": [{"above": 272_000, "cached_input": "0.25"}]},
                "priority": {"input": "2", "output": "8"},
            })
        );
    }

    #[test]
    fn a_free_model_has_a_price_and_a_tier_without_a_list_price_none() {
        let free = table(&[(0, Meter::Input, "0"), (0, Meter::Output, "0")]);
        assert!(Draft { list: free.clone(), ..Draft::default() }.tariff().unwrap().is_some());
        assert!(Draft::default().tariff().unwrap().is_none());
        let ways = BTreeMap::from([((Dimension::Tier, "flex".into()), table(&[(0, Meter::Input, "1")]))]);
        assert!(Draft { list: free, ways, ..Draft::default() }.tariff().is_err());
    }
}
