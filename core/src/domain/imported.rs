//! Models as a catalogue's file has them, and what importing them would change. Readers of file formats are pure functions
//! from text to `Imported`; `ops::catalogue` compares a list with the models in use, and imports it.

use std::collections::BTreeSet;

use super::model::{parse_model_id, parse_vendor};
use super::parse_error::ParseError;
use super::tariff::Tariff;

/// A model as a file has it. What the file does not say stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The name that clients send.
    pub id: String,
    /// Whose model it is.
    pub vendor: String,
    /// What it costs; `None` when the file has no price for it.
    pub tariff: Option<Tariff>,
    /// Where the price stands, in words or as an address; may be empty.
    pub source: String,
    /// The most tokens that it accepts.
    pub context_tokens: Option<i64>,
    /// The most tokens that it gives out.
    pub max_output_tokens: Option<i64>,
    /// The name of the provider that serves it; empty when not served.
    pub route: Option<String>,
    /// What that provider calls it; empty when it has the same name there.
    pub upstream: Option<String>,
    /// Output tokens reserved for a request that sets no maximum.
    pub default_output_tokens: Option<i64>,
}

impl Imported {
    /// With a name and a vendor alone.
    ///
    /// # Errors
    /// Like `parse_model_id` and `parse_vendor`.
    pub fn new(id: &str, vendor: &str) -> Result<Self, ParseError> {
        Ok(Self { id: parse_model_id(id)?, vendor: parse_vendor(vendor)?, ..Self::default() })
    }
}

/// Why a price of a file is not taken over until it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// An operator set the price in force. Confirmed only by the model's name.
    OperatorPrice,
    /// A price moves to zero, from zero, or by more than ten times.
    FarMove,
}

/// What an import does to one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The name that clients send.
    pub id: String,
    /// Whether it is not in use yet.
    pub is_new: bool,
    /// The price in force.
    pub before: Option<Tariff>,
    /// The file's price; the one in force when the file has none.
    pub after: Option<Tariff>,
    /// Whether anything besides the price changes.
    pub other_changes: bool,
    /// Why the price stays as it is; `None` when it does not differ, or is taken over.
    pub unconfirmed: Option<Unconfirmed>,
}

impl Planned {
    /// Whether the file has another price than the one in force.
    pub fn moves_price(&self) -> bool {
        self.before != self.after
    }

    /// Whether the import leaves the model as it is.
    pub fn is_unchanged(&self) -> bool {
        !self.is_new && !self.other_changes && !self.moves_price()
    }
}

/// What an import would do, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Each model of the file, in its order.
    pub models: Vec<Planned>,
    /// The models that are retired, as the file does not name them.
    pub retired: Vec<String>,
}

/// Which prices are taken over although they would be held back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// All that move far. An operator's price is not among them.
    pub every_far_move: bool,
    /// Those of these models, whatever holds them back.
    pub models: BTreeSet<String>,
}

impl Confirmed {
    /// Whether this price is taken over.
    pub fn covers(&self, id: &str, unconfirmed: Unconfirmed) -> bool {
        self.models.contains(id) || (self.every_far_move && unconfirmed == Unconfirmed::FarMove)
    }
}
