//! Who may do what: pure rules, in one place. The interface asks them only to hide buttons; what protects is the permit,
//! which every write in the store takes and compares with what it writes. These rules look nothing up: the principal and
//! the object's facts are passed in.

mod action;
mod permit;
mod principal;
mod roles;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use permit::{AccountPermit, Authority, Authorized, Chain, OperatorPermit, Permit, Scope};
pub use principal::{Origin, Principal};
pub use roles::{MembersCreate, OrgRole, PlatformRole};

use super::audit::Actor;
use super::ids::{InvitationId, KeyId, OrgId, PersonId, TeamId};

/// What the rules need to know about a key. For a new one: the team it is to be in, and its owner-to-be.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// `None` for a key that is yet to be made.
    pub id: Option<&'a KeyId>,
    /// The key's team; `None` for a key without one.
    pub team: Option<&'a TeamId>,
    /// The person who owns it, or is to own it.
    pub owner: &'a PersonId,
}

/// What the rules need to know about a person in the organisation.
#[derive(Clone, Copy, Debug)]
pub struct MemberFacts<'a> {
    /// The person's id.
    pub person: &'a PersonId,
    /// What they are, or are invited to be.
    pub role: OrgRole,
    /// What they are to become, when that is the question.
    pub becomes: Option<OrgRole>,
    /// The teams they are in, or are invited into.
    pub teams: &'a [TeamId],
}

/// The thing acted on.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// The organisation as a whole, or: is there anything of the kind that they may do?
    Org,
    /// A key, also one that is yet to be made.
    Key(KeyFacts<'a>),
    /// A team.
    Team(&'a TeamId),
    /// A member, or a person who is to be invited.
    Member(MemberFacts<'a>),
    /// An open invitation; the facts are those of whom it invites.
    Invitation(&'a InvitationId, MemberFacts<'a>),
    /// A person's membership of one team.
    TeamMember(&'a TeamId, MemberFacts<'a>),
}

/// Why not. `Hidden` is answered as 404: what is not yours to see is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessDenied {
    /// The object is not theirs to see: 404.
    Hidden,
    /// The object is theirs to see, and the action is not theirs to do: 403.
    Forbidden,
}

/// The object of a permit, as the store compares it with the row that it writes.
fn object(principal: &Principal, action: Action, on: On<'_>) -> String {
    match on {
        _ if action.on_oneself() => principal.person().to_string(),
        On::Key(KeyFacts { id: Some(id), .. }) => id.to_string(),
        On::Org | On::Key(_) => principal.org().to_string(),
        On::Team(team) => team.to_string(),
        // Who is invited has no row yet.
        On::Member(_) if action == Action::Invite => principal.org().to_string(),
        On::Member(member) => member.person.to_string(),
        On::Invitation(invitation, _) => invitation.to_string(),
        On::TeamMember(team, member) => team_member(team, member.person),
    }
}

/// The object of a permit on a person's membership of a team.
pub(crate) fn team_member(team: &TeamId, person: &PersonId) -> String {
    format!("{team}/{person}")
}

/// A person's permit in an organisation.
///
/// # Errors
/// `Hidden` when the object is not theirs to see, `Forbidden` when it is theirs to see but not to do.
pub(crate) fn permit(principal: &Principal, action: Action, on: On<'_>) -> Result<Permit, AccessDenied> {
    if !sees(principal, action, on) {
        return Err(AccessDenied::Hidden);
    }
    if !allows(principal, action, on) {
        return Err(AccessDenied::Forbidden);
    }
    let sees_org = principal.runs_org() || principal.platform() == PlatformRole::Support;
    let scope = if sees_org { Scope::Org } else { Scope::OfPerson(principal.person().clone()) };
    let actor = Actor::Person { id: principal.person().clone(), name: principal.name().to_owned() };
    let (org, object) = (principal.org().clone(), object(principal, action, on));
    Ok(Permit::new(org, scope, actor, action, object, principal.origin().clone()))
}

/// The permit of a key that rotates itself; `allowed` is what its own settings or its organisation's say.
///
/// # Errors
/// `Forbidden` when they do not allow it.
pub(crate) fn permit_of_key(
    org: &OrgId,
    (key, name): (&KeyId, &str),
    allowed: bool,
    origin: Origin,
) -> Result<Permit, AccessDenied> {
    if !allowed {
        return Err(AccessDenied::Forbidden);
    }
    let actor = Actor::Key { id: key.clone(), name: name.to_owned() };
    Ok(Permit::new(org.clone(), Scope::Org, actor, Action::RotateKey, key.to_string(), origin))
}

/// A permit without a caller, for tests that prepare a database; the program is built without it.
#[cfg(feature = "testing")]
pub fn test_permit(org: &crate::domain::ids::OrgId, action: Action, object: &str) -> Permit {
    Permit::program(org, action, object, "test")
}

/// An operator's permit on the provider or model with the id `object`.
///
/// # Errors
/// `Hidden` unless the person is an operator.
pub(crate) fn operator_permit(
    (person, name, platform): (&PersonId, &str, PlatformRole),
    origin: Origin,
    action: Action,
    object: &str,
) -> Result<OperatorPermit, AccessDenied> {
    if platform != PlatformRole::Operator || !action.of_catalogue() {
        return Err(AccessDenied::Hidden);
    }
    let actor = Actor::Person { id: person.clone(), name: name.to_owned() };
    Ok(OperatorPermit::new(actor, action, object, origin))
}

/// Is the thing theirs to see at all?
fn sees(principal: &Principal, action: Action, on: On<'_>) -> bool {
    if action.of_installation() {
        return principal.platform() == PlatformRole::Operator;
    }
    if action == Action::SeeBalance && principal.platform() == PlatformRole::Operator {
        return true;
    }
    if principal.role().is_none() && principal.platform() != PlatformRole::Support {
        return false;
    }
    if principal.runs_org() || principal.platform() == PlatformRole::Support {
        return true;
    }
    let among = |teams: &[TeamId], mine: &[TeamId]| teams.iter().any(|team| mine.contains(team));
    match on {
        On::Org => true,
        // A key that is yet to be made hides nothing.
        On::Key(_) if action == Action::CreateKey => true,
        On::Key(key) => key.owner == principal.person() || administers(principal, key.team),
        On::Team(team) => principal.member_of().contains(team),
        On::Member(member) | On::Invitation(_, member) | On::TeamMember(_, member) => {
            member.person == principal.person() || among(member.teams, principal.admin_of())
        }
    }
}

fn administers(principal: &Principal, team: Option<&TeamId>) -> bool {
    team.is_some_and(|team| principal.admin_of().contains(team))
}

/// May they? Also asked by pages, to leave out the buttons that would be refused.
pub fn allows(principal: &Principal, action: Action, on: On<'_>) -> bool {
    let in_org = principal.role().is_some();
    match action {
        Action::ListKeys
        | Action::SeeKey
        | Action::ListTeams
        | Action::SeeTeam
        | Action::SeeMember
        | Action::SeeSpend => {
            (in_org || principal.platform() == PlatformRole::Support) && sees(principal, action, on)
        }
        Action::CreateKey
        | Action::EditKey
        | Action::RotateKey
        | Action::EnableKey
        | Action::DisableKey
        | Action::RevokeKey
        | Action::ReportLeak
        | Action::AskForMore => in_org && allows_key(principal, action, on),
        // Who may edit the budget, or create the key, may answer.
        Action::AnswerAsk => match on {
            On::Key(_) => in_org && allows_key(principal, action, on),
            On::Org | On::Team(_) | On::Member(_) | On::Invitation(..) | On::TeamMember(..) => {
                principal.runs_org()
            }
        },
        Action::CreateTeam | Action::EditTeam | Action::ArchiveTeam => principal.runs_org(),
        // A team admin looks after the team's people, and never after an owner or an admin.
        Action::ManageTeamPeople => {
            principal.runs_org()
                || match on {
                    On::Team(team) => principal.admin_of().contains(team),
                    On::TeamMember(team, member) => {
                        principal.admin_of().contains(team) && member.role == OrgRole::Member
                    }
                    On::Org | On::Key(_) | On::Member(_) | On::Invitation(..) => false,
                }
        }
        Action::ListMembers => {
            principal.runs_org()
                || principal.platform() == PlatformRole::Support
                || (in_org && !principal.admin_of().is_empty())
        }
        Action::Invite => allows_invitation(principal, on),
        Action::ChangeRole | Action::DisableMember | Action::EnableMember | Action::RemoveMember => {
            allows_member(principal, action, on)
        }
        Action::TestSecret | Action::ListAsks | Action::Leave | Action::OwnAccount | Action::Join => in_org,
        Action::SeeSettings
        | Action::EditSettings
        | Action::SeeAudit
        | Action::ExportAudit
        | Action::CheckSpend
        | Action::RepairSpend => principal.runs_org(),
        Action::CreateOrg
        | Action::SuspendOrg
        | Action::ResumeOrg
        | Action::ChangeBalance
        | Action::RerateSpend => principal.platform() == PlatformRole::Operator,
        Action::SeeBalance => principal.runs_org() || principal.platform() == PlatformRole::Operator,
        Action::AccessAsSupport => principal.is_support(),
        Action::SetUp | Action::ResetPassword | Action::SignEveryoneOut | Action::RotateCookieKey => false,
        Action::AddProvider
        | Action::EditProvider
        | Action::TestProvider
        | Action::RetireProvider
        | Action::AddModel
        | Action::EditModel
        | Action::RouteModel
        | Action::RetireModel
        | Action::SetPrice
        | Action::WithdrawPrice
        | Action::SeeInstallationAudit => principal.platform() == PlatformRole::Operator,
    }
}

fn allows_key(principal: &Principal, action: Action, on: On<'_>) -> bool {
    if principal.runs_org() {
        return true;
    }
    let On::Key(key) = on else {
        // Is there a key at all that they may create?
        return action == Action::CreateKey
            && (!principal.admin_of().is_empty()
                || match principal.members_create() {
                    MembersCreate::No => false,
                    MembersCreate::InTeams => !principal.member_of().is_empty(),
                    MembersCreate::Anywhere => true,
                });
    };
    let own = key.owner == principal.person();
    let in_my_team = administers(principal, key.team);
    match action {
        Action::CreateKey => {
            in_my_team
                || own
                    && match (principal.members_create(), key.team) {
                        (MembersCreate::No, _) | (MembersCreate::InTeams, None) => false,
                        (MembersCreate::Anywhere, None) => true,
                        (_, Some(team)) => principal.member_of().contains(team),
                    }
        }
        // Raising one's own limits is not a member's business; taking one's own key out of use or giving it a new secret
        // always is.
        Action::EditKey | Action::EnableKey | Action::AnswerAsk => in_my_team,
        _ => in_my_team || own,
    }
}

/// No one grants more than they have: only an owner makes an owner, and a team admin takes members into their team.
fn allows_invitation(principal: &Principal, on: On<'_>) -> bool {
    match on {
        On::Member(member) | On::Invitation(_, member) => match principal.role() {
            Some(OrgRole::Owner) => true,
            Some(OrgRole::Admin) => member.role != OrgRole::Owner,
            Some(OrgRole::Member) => {
                member.role == OrgRole::Member
                    && !member.teams.is_empty()
                    && member.teams.iter().all(|team| principal.admin_of().contains(team))
            }
            None => false,
        },
        On::Org | On::Key(_) | On::Team(_) | On::TeamMember(..) => {
            principal.runs_org() || (principal.role().is_some() && !principal.admin_of().is_empty())
        }
    }
}

/// An admin acts on no owner and makes none; no one disables or removes themselves (they leave).
fn allows_member(principal: &Principal, action: Action, on: On<'_>) -> bool {
    let On::Member(member) = on else { return principal.runs_org() };
    let own = member.person == principal.person();
    let touches_owner = member.role == OrgRole::Owner || member.becomes == Some(OrgRole::Owner);
    match principal.role() {
        Some(OrgRole::Owner) => action == Action::ChangeRole || !own,
        Some(OrgRole::Admin) => !touches_owner && (action == Action::ChangeRole || !own),
        Some(OrgRole::Member) | None => false,
    }
}
