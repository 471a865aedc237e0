//! An invitation to an organisation.

use super::ids::{InvitationId, OrgId, TeamId};
use super::member::TeamMembership;
use super::moment::Moment;
use super::person::Email;
use super::policy::OrgRole;
use super::team::TeamRole;

/// An open invitation: neither accepted nor withdrawn. It may have expired.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The invitation's id; the link has a token of its own.
    pub id: InvitationId,
    /// The organisation to join.
    pub org: OrgId,
    /// The first segment of the organisation's pages.
    pub org_slug: String,
    /// The organisation's name.
    pub org_name: String,
    /// Who is invited, and what they will sign in with.
    pub email: Email,
    /// The role to join with.
    pub role: OrgRole,
    /// The team to join, if it is still in use.
    pub team: Option<TeamMembership>,
    /// `None` when the command line invited.
    pub invited_by: Option<String>,
    /// When the first link was made.
    pub created_at: Moment,
    /// When the present link stops working.
    pub expires_at: Moment,
    /// When a mail with the present link was handed to the mail server.
    pub mailed_at: Option<Moment>,
}

impl Invitation {
    /// The team as the policy asks for it.
    pub fn team_ids(&self) -> Vec<TeamId> {
        self.team.iter().map(|place| place.team.id.clone()).collect()
    }

    /// Whether it grants more than a plain membership, which takes a recent sign-in.
    pub fn is_privileged(&self) -> bool {
        grants_privilege(self.role, self.team.as_ref())
    }
}

/// Whom to invite, and to what.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Who is invited.
    pub email: Email,
    /// The role to join with.
    pub role: OrgRole,
    /// The team to join.
    pub team: Option<InviteTeam>,
}

/// The team that an invitation leads to.
#[derive(Clone, Debug)]
pub struct InviteTeam {
    /// The team's id.
    pub team: TeamId,
    /// The role in the team.
    pub role: TeamRole,
}

/// Beside the role when it cannot be read or is not the inviter's to give.
pub const CHOOSE_ROLE: &str = "Choose one of the roles that you can give.";
/// Beside the team when it is not one that the inviter can invite to.
pub const CHOOSE_TEAM: &str = "Choose one of the teams that you can invite to.";

/// Whether an invitation with this role and team grants more than a plain membership.
pub fn grants_privilege(role: OrgRole, team: Option<&TeamMembership>) -> bool {
    role != OrgRole::Member || team.is_some_and(|place| place.role == TeamRole::Admin)
}
