//! What can be done with the keys of a member who left.

use super::ids::{KeyId, PersonId};
use super::moment::Day;

/// One action on keys of a member who left.
#[derive(Clone, Debug)]
pub struct Offboarding {
    /// The selected keys, each once, at least one.
    pub keys: Vec<KeyId>,
    /// What to do with them.
    pub act: Offboard,
}

/// What happens to the selected keys.
#[derive(Clone, Debug)]
pub enum Offboard {
    /// They get another owner and keep working.
    Reassign {
        /// The new owner.
        to: PersonId,
    },
    /// They keep working to the end of a day, or until they expire, if sooner.
    KeepUntil {
        /// In the organisation's time zone.
        day: Day,
    },
    /// They stop working at once.
    Revoke {
        /// How many keys the person says are selected: required when one of them is in use.
        confirmed: Option<usize>,
    },
}
