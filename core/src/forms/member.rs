//! The forms about the members of an organisation and about the keys of those who left.

use serde::{Deserialize, Serialize};

use crate::domain::field_error::FieldError;
use crate::domain::ids::{KeyId, PersonId};
use crate::domain::moment::Day;
use crate::domain::offboarding::{Offboard, Offboarding};
use crate::domain::policy::OrgRole;
use crate::domain::reauth::Reauth;

/// Disables, enables or removes a member.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberForm {
    /// The organisation's slug.
    pub org: String,
    /// The person's id.
    pub id: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

/// Changes a member's role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleForm {
    /// The organisation's slug.
    pub org: String,
    /// The person's id.
    pub id: String,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

impl RoleForm {
    /// # Errors
    /// `role` when it is none of the three.
    pub fn parse(&self) -> Result<OrgRole, Vec<FieldError>> {
        OrgRole::parse(&self.role)
            .ok_or_else(|| vec![FieldError::say("role", "Choose one of the roles that you can give.")])
    }
}

/// Leaves an organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveForm {
    /// The organisation's slug.
    pub org: String,
}

/// One action on the selected keys of a member who left, one key or many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OffboardForm {
    /// The organisation's slug.
    pub org: String,
    /// Who left.
    pub id: String,
    /// The ids of the selected keys.
    pub keys: Vec<String>,
    /// `reassign`, `keep` or `revoke`.
    pub act: String,
    /// The new owner's id.
    pub to: String,
    /// The last day that the keys work.
    pub until: String,
    /// How many keys are selected, typed to confirm that keys in use are revoked.
    pub count: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

impl OffboardForm {
    /// # Errors
    /// The first field that is missing or cannot be read.
    pub fn parse(&self) -> Result<Offboarding, Vec<FieldError>> {
        let wrong = |field, sentence| vec![FieldError::say(field, sentence)];
        let mut keys: Vec<KeyId> = self.keys.iter().filter_map(|id| KeyId::parse(id)).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Err(wrong("keys", "Select at least one key."));
        }
        let act = match self.act.as_str() {
            "reassign" => Offboard::Reassign {
                to: PersonId::parse(&self.to).ok_or_else(|| wrong("to", "Choose the new owner."))?,
            },
            "keep" => Offboard::KeepUntil {
                day: Day::parse(self.until.trim())
                    .ok_or_else(|| wrong("until", "Choose a day, such as 2027-01-31."))?,
            },
            "revoke" => Offboard::Revoke { confirmed: self.count.trim().parse().ok() },
            _ => return Err(wrong("act", "Choose an action.")),
        };
        Ok(Offboarding { keys, act })
    }
}
