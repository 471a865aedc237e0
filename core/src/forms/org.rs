//! The forms with which an operator creates, suspends and resumes organisations.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::field_error::FieldError;
use crate::domain::org::{NewOrg, parse_org_name, parse_zone};
use crate::domain::person::{Email, parse_slug, slug_of};

/// Creates an organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewOrgForm {
    /// The organisation's name.
    pub name: String,
    /// Empty: made from the name.
    pub slug: String,
    /// An IANA time zone, such as Europe/Zurich.
    pub zone: String,
    /// The owner's.
    pub email: String,
}

/// Suspends or resumes an organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrgStatusForm {
    /// The organisation's slug.
    pub org: String,
    /// Kept in the organisation's audit.
    pub reason: String,
}

impl NewOrgForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<NewOrg, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = errors.take("name", parse_org_name(&self.name));
        let slug = match (self.slug.trim(), &name) {
            ("", Some(name)) => Some(slug_of(name)),
            // The address follows the name, whose mistake is named already.
            ("", None) => None,
            (slug, _) => errors.take("slug", parse_slug(slug)),
        };
        let zone = errors.take("zone", parse_zone(&self.zone));
        let email = errors.take("email", Email::typed(&self.email));
        match (name, slug, zone, email) {
            (Some(name), Some(slug), Some(zone), Some(email)) => Ok(NewOrg { name, slug, zone, email }),
            _ => Err(errors),
        }
    }
}
/// Checks or repairs an organisation's spend.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpendCheckForm {
    /// The organisation's slug.
    pub org: String,
}
