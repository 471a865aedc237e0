//! The forms that invite a person and that accept an invitation.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::TeamId;
use crate::domain::invitation::{CHOOSE_ROLE, CHOOSE_TEAM, Invite, InviteTeam};
use crate::domain::parse_error::ParseError;
use crate::domain::person::Email;
use crate::domain::policy::OrgRole;
use crate::domain::reauth::Reauth;
use crate::domain::team::TeamRole;

/// Invites a person.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InviteForm {
    /// The organisation's slug.
    pub org: String,
    /// Who is invited.
    pub email: String,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// A team's id; empty is no team.
    pub team: String,
    /// `admin`, `member` or empty; without a team it means nothing.
    pub team_role: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

impl InviteForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<Invite, Vec<FieldError>> {
        let mut errors = Vec::new();
        let email = errors.take("email", Email::typed(&self.email));
        let role = errors.take("role", OrgRole::parse(&self.role).ok_or(ParseError::new(CHOOSE_ROLE)));
        let role_in_team = match self.team_role.as_str() {
            "" => Some(TeamRole::Member),
            text => TeamRole::parse(text),
        };
        let choose = ParseError::new("Choose Member or Team admin.");
        let role_in_team = errors.take("team_role", role_in_team.ok_or(choose));
        let team = match self.team.as_str() {
            "" => None,
            id => errors.take("team", TeamId::parse(id).ok_or(ParseError::new(CHOOSE_TEAM))),
        };
        match (email, role, role_in_team) {
            (Some(email), Some(role), Some(role_in_team)) if errors.is_empty() => {
                Ok(Invite { email, role, team: team.map(|team| InviteTeam { team, role: role_in_team }) })
            }
            _ => Err(errors),
        }
    }
}

/// Resends or withdraws an invitation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvitationForm {
    /// The organisation's slug.
    pub org: String,
    /// The invitation's id.
    pub id: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

/// Accepts an invitation as a new person.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcceptForm {
    /// From the link.
    pub token: Hidden,
    /// The person's own name.
    pub name: String,
    /// The password to sign in with from now on.
    pub password: Hidden,
}

/// Accepts an invitation as the person who is signed in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JoinForm {
    /// From the link.
    pub token: Hidden,
}
