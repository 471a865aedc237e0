//! The form about a secret that leaked.

use serde::{Deserialize, Serialize};

use crate::domain::field_error::FieldError;
use crate::domain::leak::LeakAction;
use crate::domain::parse_error::ParseError;
use crate::domain::reauth::Reauth;

/// Reports that a secret leaked, and what is to be done about it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeakForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The secret's id.
    pub secret: String,
    /// `rotate`, `end` or `revoke`.
    pub action: String,
    /// Asked for another person's key.
    pub reauth: Reauth,
}

impl LeakForm {
    /// # Errors
    /// A sentence for the field `action`.
    pub fn action(&self) -> Result<LeakAction, Vec<FieldError>> {
        let problem = ParseError::new("Choose what to do about the secret.");
        LeakAction::parse(&self.action).ok_or_else(|| vec![FieldError::new("action", problem)])
    }
}
