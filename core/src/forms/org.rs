//! The forms with which an operator creates, suspends and resumes organisations.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewOrgForm {
    pub name: String,
    /// Empty: made from the name.
    pub slug: String,
    pub zone: String,
    /// The owner's.
    pub email: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrgStatusForm {
    pub org: String,
    /// Kept in the organisation's audit.
    pub reason: String,
}
