//! A person's password and two-factor code, to prove again who they are.

use serde::{Deserialize, Serialize};

use super::hidden::Hidden;

/// As a browser sends it, in a form that may have to be proved: empty while it need not be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reauth {
    /// The current password.
    pub password: Hidden,
    /// A two-factor code or a recovery code, where the person has a second factor.
    pub code: Hidden,
}
