//! What a request used and what it is charged.

use super::ids::PriceId;
use super::meter::{Counts, Metered};
use super::model::Model;
use super::money::Money;

/// Stored with the request: a wrong price can be corrected later from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// As the provider reported it, or estimated.
    pub metered: Metered,
    /// Whether it is an estimate.
    pub is_estimated: bool,
    /// The stored price that `cost` is calculated at, exactly; `None` when the model has none, nothing was used, or the cost
    /// is from elsewhere.
    pub price: Option<PriceId>,
    /// What the request is charged, never below zero.
    pub cost: Money,
    /// Whether everything that was used had a price.
    pub is_priced: bool,
}

impl Bill {
    /// Of a request that used nothing.
    pub fn nothing() -> Self {
        Self { is_priced: true, ..Self::default() }
    }

    /// At the model's price.
    pub fn at_price_of(model: &Model, metered: Metered, is_estimated: bool) -> Self {
        if metered.counts == Counts::NONE {
            return Self { metered, is_estimated, ..Self::nothing() };
        }
        let cost = model.cost(&metered);
        let price = model.price.as_ref().filter(|price| price.is_recorded()).map(|price| price.id.clone());
        Self { metered, is_estimated, price, cost: cost.amount, is_priced: cost.is_priced }
    }

    /// Charges at least this much. A cost that is raised is not what the meters come to at the price.
    pub fn raise(&mut self, to: Money) {
        if to > self.cost {
            (self.cost, self.price) = (to, None);
        }
    }

    /// With a cost that was calculated elsewhere.
    pub fn of_cost(metered: impl Into<Metered>, cost: Money) -> Self {
        Self { metered: metered.into(), cost, ..Self::nothing() }
    }
}
