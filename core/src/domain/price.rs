//! The prices of a model over time. A price is never changed: another one starts later, and what a request cost stays as it
//! was.

use super::ids::PriceId;
use super::moment::Moment;
use super::tariff::Tariff;

/// Where a price came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceOrigin {
    /// An operator set it. An import of a catalogue leaves it in force.
    Operator,
    /// A catalogue.
    Catalogue,
}

impl PriceOrigin {
    /// In the database.
    pub fn name(self) -> &'static str {
        match self {
            PriceOrigin::Operator => "operator",
            PriceOrigin::Catalogue => "catalogue",
        }
    }

    /// The origin with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [PriceOrigin::Operator, PriceOrigin::Catalogue].into_iter().find(|origin| origin.name() == name)
    }
}

/// What a model costs from a moment on, until the next price starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Usage names the price at which it was paid.
    pub id: PriceId,
    /// A request costs the price that holds when it is admitted.
    pub starts_at: Moment,
    /// Who set it.
    pub origin: PriceOrigin,
    /// Where the figures stand, in words or as an address; may be empty.
    pub source: String,
    /// The figures.
    pub tariff: Tariff,
}

impl Price {
    /// Of an operator, and not stored yet.
    pub fn unrecorded(tariff: Tariff) -> Self {
        let at = Moment::from_ms(0);
        Self {
            id: PriceId::new(at, [0; 10]),
            starts_at: at,
            origin: PriceOrigin::Operator,
            source: String::new(),
            tariff,
        }
    }
}
