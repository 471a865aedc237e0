//! Names of keys, teams and people by their ids.

use std::collections::BTreeMap;

use super::ids::{KeyId, PersonId, TeamId};
use super::policy::KeyFacts;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name now.
    pub name: String,
    /// The team that a key is in now.
    pub team: Option<TeamId>,
    /// Who owns a key now.
    pub owner: Option<PersonId>,
}

/// Those that were asked for and are there.
#[derive(Clone, Debug, Default)]
pub struct Names(pub(crate) BTreeMap<String, Named>);

impl Names {
    /// The name, or the id where there is none.
    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, |named| named.name.as_str())
    }

    /// Whether it is there.
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// A key as it is now; `None` for one that is not there.
    pub fn key<'a>(&'a self, id: &'a KeyId) -> Option<KeyFacts<'a>> {
        let named = self.0.get(id.as_str())?;
        Some(KeyFacts { id: Some(id), team: named.team.as_ref(), owner: named.owner.as_ref()? })
    }
}
