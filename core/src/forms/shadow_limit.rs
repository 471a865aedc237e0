//! The forms about limits that only report, of a key or a team.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::field_error::FieldError;
use crate::domain::limit_use::Limited;
use crate::domain::limits::parse_count;
use crate::domain::money::parse_budget;
use crate::domain::shadow_limit::{SetShadow, ShadowLimit, ShadowRef, parse_choice, parse_holder};

/// Sets a limit that only reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetShadowForm {
    /// The organisation's slug.
    pub org: String,
    /// `key` or `team`.
    pub holder: String,
    /// The key's or the team's id.
    pub id: String,
    /// What is limited: a period, `requests`, `tokens` or `concurrent`.
    pub what: String,
    /// Dollars of a budget, otherwise a count, as people write them.
    pub amount: String,
}

impl SetShadowForm {
    /// # Errors
    /// Each mistake, for the fields `shadow_what` and `shadow_amount`.
    pub fn parse(&self) -> Result<SetShadow, Vec<FieldError>> {
        let mut errors = Vec::new();
        let what = parse_choice(&self.what);
        if what.is_none() {
            errors.push(FieldError::say("shadow_what", "Choose what to limit."));
        }
        let amount = match what {
            Some(Limited::Budget(_)) => {
                errors.take("shadow_amount", parse_budget(&self.amount)).map(|amount| amount.nanos())
            }
            _ => errors.take("shadow_amount", parse_count(&self.amount)),
        };
        match (parse_holder(&self.holder), what, amount) {
            (Some(kind), Some(what), Some(amount)) => Ok(SetShadow {
                org: self.org.clone(),
                kind,
                id: self.id.clone(),
                limit: ShadowLimit { what, amount },
            }),
            _ => Err(errors),
        }
    }
}

/// Names a limit that only reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShadowRefForm {
    /// The organisation's slug.
    pub org: String,
    /// `key` or `team`.
    pub holder: String,
    /// The key's or the team's id.
    pub id: String,
    /// What is limited: a period, `requests`, `tokens` or `concurrent`.
    pub what: String,
    /// `yes` where the person saw that enforcing it stops requests at once.
    pub confirmed: String,
}

impl ShadowRefForm {
    /// # Errors
    /// A sentence for the field `shadow_what`.
    pub fn parse(&self) -> Result<ShadowRef, Vec<FieldError>> {
        match (parse_holder(&self.holder), parse_choice(&self.what)) {
            (Some(kind), Some(what)) => Ok(ShadowRef {
                org: self.org.clone(),
                kind,
                id: self.id.clone(),
                what,
                confirmed: self.confirmed == "yes",
            }),
            _ => Err(vec![FieldError::say("shadow_what", "The form is incomplete. Reload and try again.")]),
        }
    }
}
