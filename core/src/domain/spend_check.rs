//! What a check of an organisation's spend found: whether counters and roll-ups are the sums of the requests.

use super::moment::Moment;
use super::money::Money;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendCheck {
    /// When it began.
    pub at: Moment,
    /// A person's id, or `system`.
    pub actor_id: String,
    /// The person's name, or `nightly check`.
    pub actor_name: String,
    /// How many requests were read.
    pub requests: i64,
    /// What they cost.
    pub spent: Money,
    /// By how much what is added up differs from them.
    pub difference: Money,
    /// How many things differ.
    pub differing: i64,
    /// Some of these, in words.
    pub details: Vec<String>,
}

impl SpendCheck {
    /// Whether nothing differs.
    pub fn adds_up(&self) -> bool {
        self.differing == 0
    }
}
