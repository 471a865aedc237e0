//! The forms about the people of a team.

use serde::{Deserialize, Serialize};

use crate::domain::field_error::FieldError;
use crate::domain::ids::PersonId;
use crate::domain::member::{AddToTeam, NewTeamPerson};
use crate::domain::person::Email;
use crate::domain::reauth::Reauth;
use crate::domain::team::TeamRole;

/// Adds a member to a team.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddForm {
    /// The organisation's slug.
    pub org: String,
    /// The team's id.
    pub id: String,
    /// Chosen from a list; `None` where the form has none.
    pub person: Option<String>,
    /// Typed where there is no list.
    pub email: String,
    /// `admin` or `member`.
    pub role: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

impl AddForm {
    /// # Errors
    /// The first field that is missing or cannot be read.
    pub fn parse(&self) -> Result<AddToTeam, Vec<FieldError>> {
        let role = parse_role(&self.role)?;
        let who = match &self.person {
            Some(id) if !id.is_empty() || self.email.is_empty() => {
                let chosen = PersonId::parse(id).map(NewTeamPerson::Chosen);
                chosen.ok_or_else(|| vec![FieldError::say("person", "Choose a member.")])?
            }
            _ => {
                let address = Email::typed(&self.email).map(NewTeamPerson::Address);
                address.map_err(|problem| vec![FieldError::new("email", problem)])?
            }
        };
        Ok(AddToTeam { who, role })
    }
}

/// Changes a person's role in a team.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleForm {
    /// The organisation's slug.
    pub org: String,
    /// The team's id.
    pub id: String,
    /// The person's id.
    pub person: String,
    /// `admin` or `member`.
    pub role: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

impl RoleForm {
    /// # Errors
    /// `role` when it is neither.
    pub fn parse(&self) -> Result<TeamRole, Vec<FieldError>> {
        parse_role(&self.role)
    }
}

fn parse_role(text: &str) -> Result<TeamRole, Vec<FieldError>> {
    TeamRole::parse(text).ok_or_else(|| vec![FieldError::say("role", "Choose Member or Team admin.")])
}

/// Removes a person from a team.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoveForm {
    /// The organisation's slug.
    pub org: String,
    /// The team's id.
    pub id: String,
    /// The person's id.
    pub person: String,
}
