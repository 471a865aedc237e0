//! What a person is in an organisation and in its teams.

use super::ids::{OrgId, PersonId};
use super::moment::Moment;
use super::money::Money;
use super::person::{Email, PersonName};
use super::policy::OrgRole;
use super::team::{Team, TeamRole};

/// One person of an organisation, also one who left.
#[derive(Clone, Debug)]
pub struct Member {
    /// The person's id, the same in every organisation.
    pub id: PersonId,
    /// As the person wrote it.
    pub name: String,
    /// What the person signs in with.
    pub email: String,
    /// The role, also of a member who is disabled or left.
    pub role: OrgRole,
    /// When the person joined, most recently.
    pub since: Moment,
    /// Also set when the member was removed or left.
    pub disabled_at: Option<Moment>,
    /// When the member was removed or left.
    pub removed_at: Option<Moment>,
    /// Signing in takes a code too.
    pub second_factor: bool,
    /// When one of the person's sessions was last used.
    pub seen_at: Option<Moment>,
}

impl Member {
    /// Neither disabled nor out.
    pub fn active(&self) -> bool {
        self.disabled_at.is_none()
    }
}

/// What a list shows of each member beside themselves.
#[derive(Clone, Debug, Default)]
pub struct MemberSummary {
    /// By name.
    pub teams: Vec<TeamMembership>,
    /// Keys of theirs that are neither revoked nor expired.
    pub live_keys: i64,
    /// What their keys spent this month, also keys that belong to others by now.
    pub month_spent: Money,
    /// The same in the month before.
    pub last_month_spent: Money,
}

/// A person who left and whose live keys are still to be decided about.
#[derive(Clone, Debug)]
pub struct UndecidedKeys {
    /// Who left.
    pub person: PersonName,
    /// How many live keys.
    pub keys: i64,
}

/// One organisation that a person belongs to.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The organisation's id.
    pub id: OrgId,
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// The organisation's name.
    pub name: String,
    /// The person's role there.
    pub role: OrgRole,
    /// The organisation requires a second factor of its owners and admins.
    pub second_factor: bool,
}

impl Membership {
    /// Whether the organisation requires a second factor of this person.
    pub fn requires_second_factor(&self) -> bool {
        self.second_factor && matches!(self.role, OrgRole::Owner | OrgRole::Admin)
    }
}

/// A team that a person is in or is invited to, and the role there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamMembership {
    /// The team.
    pub team: Team,
    /// The person's role in it.
    pub role: TeamRole,
}

impl TeamMembership {
    /// `Search`, or `Search, team admin`.
    pub fn words(&self) -> String {
        match self.role {
            TeamRole::Member => self.team.name.clone(),
            TeamRole::Admin => format!("{}, team admin", self.team.name),
        }
    }
}

/// One person of a team.
#[derive(Clone, Debug)]
pub struct TeamPerson {
    /// The person's id.
    pub id: PersonId,
    /// As the person wrote it.
    pub name: String,
    /// What the person signs in with.
    pub email: String,
    /// The role in the team.
    pub role: TeamRole,
    /// The role in the organisation.
    pub org_role: OrgRole,
    /// Disabled in the organisation.
    pub disabled: bool,
    /// Live keys that the person owns in this team.
    pub live_keys: i64,
}

/// Adds an active member of the organisation to a team.
#[derive(Clone, Debug)]
pub struct AddToTeam {
    /// Who is added.
    pub who: NewTeamPerson,
    /// The role in the team.
    pub role: TeamRole,
}

/// Who is added to a team. Only owners and admins choose from the organisation's members; team admins know an address.
#[derive(Clone, Debug)]
pub enum NewTeamPerson {
    /// Chosen from the list.
    Chosen(PersonId),
    /// Typed.
    Address(Email),
}
