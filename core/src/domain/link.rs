//! One-time links, except invitations.

use super::ids::PersonId;

/// A one-time link that still works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeLink {
    /// Whose password it resets; `None` for a set-up link.
    pub person: Option<PersonId>,
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Makes the first organisation of an installation.
    Setup,
    /// Sets a new password.
    Reset,
}

impl LinkKind {
    /// The word that the database has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkKind::Setup => "setup",
            LinkKind::Reset => "reset",
        }
    }
}
