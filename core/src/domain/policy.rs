//! Who may do what: pure rules, in one place. The interface asks them only to hide buttons; what protects is the
//! `Permit`, which every write in the store takes as an argument and which only `permit` and `system_permit` can make.
//! These rules refuse to look anything up: the caller's standing and the thing's facts are passed in.

use super::audit::Actor;
use super::ids::{OrgId, PersonId, TeamId};

/// What somebody is in an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrgRole {
    Owner,
    Admin,
    Member,
}

impl OrgRole {
    pub fn as_str(self) -> &'static str {
        match self {
            OrgRole::Owner => "owner",
            OrgRole::Admin => "admin",
            OrgRole::Member => "member",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [OrgRole::Owner, OrgRole::Admin, OrgRole::Member].into_iter().find(|role| role.as_str() == text)
    }
}

/// What somebody is to the installation as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformRole {
    None,
    /// Looks up across organisations and changes nothing.
    Support,
    /// Runs the installation. Gives no sight of an organisation's keys by itself.
    Operator,
}

impl PlatformRole {
    pub fn as_str(self) -> &'static str {
        match self {
            PlatformRole::None => "none",
            PlatformRole::Support => "support",
            PlatformRole::Operator => "operator",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [PlatformRole::None, PlatformRole::Support, PlatformRole::Operator]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Whether members may create keys for themselves: an organisation's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MembersCreate {
    #[default]
    No,
    /// In the teams that they are in.
    InTeams,
    /// Also without a team.
    Anywhere,
}

impl MembersCreate {
    pub const ALL: [MembersCreate; 3] = [MembersCreate::No, MembersCreate::InTeams, MembersCreate::Anywhere];

    pub fn as_str(self) -> &'static str {
        match self {
            MembersCreate::No => "no",
            MembersCreate::InTeams => "in_teams",
            MembersCreate::Anywhere => "anywhere",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }
}

/// What one person is to one organisation, read fresh for each request.
#[derive(Clone, Debug)]
pub struct Principal {
    pub org: OrgId,
    pub person: PersonId,
    pub name: String,
    pub role: Option<OrgRole>,
    pub platform: PlatformRole,
    /// Teams this person looks after.
    pub admin_of: Vec<TeamId>,
    /// Teams this person is in, those they look after among them.
    pub member_of: Vec<TeamId>,
    /// The organisation's setting.
    pub members_create: MembersCreate,
    /// For the audit row: where the request came from and what it is called.
    pub address: String,
    pub request_id: String,
}

impl Principal {
    /// Owners and admins.
    pub fn runs_org(&self) -> bool {
        matches!(self.role, Some(OrgRole::Owner | OrgRole::Admin))
    }

    /// Sees the organisation as support does, also where they are a member of it: what they look at is written down.
    pub fn is_support(&self) -> bool {
        !self.runs_org() && self.platform == PlatformRole::Support
    }
}

/// Everything that can be asked for. docs/ROLES.md has a row for each, and a test compares it with `allows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    ListKeys,
    SeeKey,
    CreateKey,
    EditKey,
    DisableKey,
    EnableKey,
    RevokeKey,
    ListTeams,
    SeeTeam,
    CreateTeam,
    /// Its name, model scope, budgets and limits.
    EditTeam,
    ArchiveTeam,
    /// Who is in it, and who looks after it.
    ManageTeamPeople,
    ListMembers,
    SeeMember,
    Invite,
    ChangeRole,
    DisableMember,
    EnableMember,
    RemoveMember,
    Leave,
    SeeSettings,
    EditSettings,
    SeeAudit,
    ExportAudit,
    CreateOrg,
    SuspendOrg,
    ResumeOrg,
    /// What the organisation has left, and its ledger.
    SeeBalance,
    /// Credits, debits, and whether requests stop at nothing.
    ChangeBalance,
    /// A password, a second factor, sessions: one's own, told to the organisations that one belongs to.
    OwnAccount,
    /// Taking up an invitation.
    Join,
    /// A support person's look into an organisation, for its audit.
    AccessAsSupport,
    /// Only ever the program's own: the set-up of an installation, and a password set through a one-time link.
    SetUp,
    ResetPassword,
}

impl Action {
    /// Of the installation, not of one organisation.
    fn of_installation(self) -> bool {
        matches!(self, Action::CreateOrg | Action::SuspendOrg | Action::ResumeOrg | Action::ChangeBalance)
    }

    /// Still to be done in a suspended organisation: looking, taking keys out of use, leaving.
    pub fn while_suspended(self) -> bool {
        use Action as A;
        match self {
            A::ListKeys | A::SeeKey | A::DisableKey | A::RevokeKey => true,
            A::ListTeams | A::SeeTeam | A::ListMembers | A::SeeMember => true,
            A::DisableMember | A::RemoveMember | A::Leave => true,
            A::SeeSettings | A::SeeAudit | A::ExportAudit | A::AccessAsSupport => true,
            A::SuspendOrg | A::ResumeOrg | A::OwnAccount | A::ResetPassword => true,
            A::SeeBalance | A::ChangeBalance => true,
            A::CreateKey | A::EditKey | A::EnableKey => false,
            A::CreateTeam | A::EditTeam | A::ArchiveTeam | A::ManageTeamPeople => false,
            A::Invite | A::Join | A::ChangeRole | A::EnableMember | A::EditSettings => false,
            A::CreateOrg | A::SetUp => false,
        }
    }
}

/// What the rules need to know about a key. For a new one: the team it is to be in, and its owner-to-be.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    pub team: Option<&'a TeamId>,
    pub owner: &'a PersonId,
}

/// What the rules need to know about somebody in the organisation.
#[derive(Clone, Copy, Debug)]
pub struct MemberFacts<'a> {
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
    Key(KeyFacts<'a>),
    Team(&'a TeamId),
    Member(MemberFacts<'a>),
    /// Somebody's place in one team.
    TeamMember(&'a TeamId, MemberFacts<'a>),
}

/// Which rows a list may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Org,
    /// What is this person's own, and what is of the teams they look after.
    OfPerson(PersonId),
}

/// Why not. `Hidden` is answered as 404: what is not yours to see is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessDenied {
    Hidden,
    Forbidden,
}

/// Proof that somebody may do one thing in one organisation.
#[derive(Clone, Debug)]
pub struct Permit {
    org: OrgId,
    actor: Actor,
    action: Action,
    scope: Scope,
    address: String,
    request_id: String,
}

impl Permit {
    pub fn org(&self) -> &OrgId {
        &self.org
    }
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
    pub fn action(&self) -> Action {
        self.action
    }
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
    pub fn address(&self) -> &str {
        &self.address
    }
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Opens every write in the store, so that a permit for one thing cannot pay for another.
    pub fn must_be(&self, actions: &[Action]) {
        assert!(actions.contains(&self.action), "a permit for {:?} was used for {actions:?}", self.action);
    }
}

/// The one place where a person's permit is made.
///
/// # Errors
/// `Hidden` when the thing is not theirs to see, `Forbidden` when it is theirs to see but not to do.
pub fn permit(principal: &Principal, action: Action, on: On<'_>) -> Result<Permit, AccessDenied> {
    if !sees(principal, action, on) {
        return Err(AccessDenied::Hidden);
    }
    if !allows(principal, action, on) {
        return Err(AccessDenied::Forbidden);
    }
    let sees_org = principal.runs_org() || principal.platform == PlatformRole::Support;
    Ok(Permit {
        org: principal.org.clone(),
        actor: Actor::Person { id: principal.person.clone(), name: principal.name.clone() },
        action,
        scope: if sees_org { Scope::Org } else { Scope::OfPerson(principal.person.clone()) },
        address: principal.address.clone(),
        request_id: principal.request_id.clone(),
    })
}

/// A permit for the program itself: set-up, seeds and the command line, where there is no caller to ask about.
pub fn system_permit(org: &OrgId, action: Action, why: &'static str) -> Permit {
    Permit {
        org: org.clone(),
        actor: Actor::System { why },
        action,
        scope: Scope::Org,
        address: String::new(),
        request_id: String::new(),
    }
}

/// Is the thing theirs to see at all?
fn sees(principal: &Principal, action: Action, on: On<'_>) -> bool {
    if action.of_installation() {
        return principal.platform == PlatformRole::Operator;
    }
    if action == Action::SeeBalance && principal.platform == PlatformRole::Operator {
        return true;
    }
    if principal.role.is_none() && principal.platform != PlatformRole::Support {
        return false;
    }
    if principal.runs_org() || principal.platform == PlatformRole::Support {
        return true;
    }
    let among = |teams: &[TeamId], mine: &[TeamId]| teams.iter().any(|team| mine.contains(team));
    match on {
        On::Org => true,
        // A key that is yet to be made hides nothing.
        On::Key(_) if action == Action::CreateKey => true,
        On::Key(key) => *key.owner == principal.person || administers(principal, key.team),
        On::Team(team) => principal.member_of.contains(team),
        On::Member(member) | On::TeamMember(_, member) => {
            *member.person == principal.person || among(member.teams, &principal.admin_of)
        }
    }
}

fn administers(principal: &Principal, team: Option<&TeamId>) -> bool {
    team.is_some_and(|team| principal.admin_of.contains(team))
}

/// May they? Also asked by pages, to leave out the buttons that would be refused.
pub fn allows(principal: &Principal, action: Action, on: On<'_>) -> bool {
    let in_org = principal.role.is_some();
    match action {
        Action::ListKeys | Action::SeeKey | Action::ListTeams | Action::SeeTeam | Action::SeeMember => {
            (in_org || principal.platform == PlatformRole::Support) && sees(principal, action, on)
        }
        Action::CreateKey | Action::EditKey | Action::EnableKey | Action::DisableKey | Action::RevokeKey => {
            in_org && allows_key(principal, action, on)
        }
        Action::CreateTeam | Action::EditTeam | Action::ArchiveTeam => principal.runs_org(),
        // A team admin looks after the team's people, and never after an owner or an admin.
        Action::ManageTeamPeople => {
            principal.runs_org()
                || match on {
                    On::Team(team) => principal.admin_of.contains(team),
                    On::TeamMember(team, member) => {
                        principal.admin_of.contains(team) && member.role == OrgRole::Member
                    }
                    On::Org | On::Key(_) | On::Member(_) => false,
                }
        }
        Action::ListMembers => {
            principal.runs_org()
                || principal.platform == PlatformRole::Support
                || (in_org && !principal.admin_of.is_empty())
        }
        Action::Invite => allows_invitation(principal, on),
        Action::ChangeRole | Action::DisableMember | Action::EnableMember | Action::RemoveMember => {
            allows_member(principal, action, on)
        }
        Action::Leave | Action::OwnAccount | Action::Join => in_org,
        Action::SeeSettings | Action::EditSettings | Action::SeeAudit | Action::ExportAudit => {
            principal.runs_org()
        }
        Action::CreateOrg | Action::SuspendOrg | Action::ResumeOrg | Action::ChangeBalance => {
            principal.platform == PlatformRole::Operator
        }
        Action::SeeBalance => principal.runs_org() || principal.platform == PlatformRole::Operator,
        Action::AccessAsSupport => principal.is_support(),
        Action::SetUp | Action::ResetPassword => false,
    }
}

fn allows_key(principal: &Principal, action: Action, on: On<'_>) -> bool {
    if principal.runs_org() {
        return true;
    }
    let On::Key(key) = on else {
        // Is there a key at all that they may create?
        return action == Action::CreateKey
            && (!principal.admin_of.is_empty()
                || match principal.members_create {
                    MembersCreate::No => false,
                    MembersCreate::InTeams => !principal.member_of.is_empty(),
                    MembersCreate::Anywhere => true,
                });
    };
    let own = *key.owner == principal.person;
    let in_my_team = administers(principal, key.team);
    match action {
        Action::CreateKey => {
            in_my_team
                || own
                    && match (principal.members_create, key.team) {
                        (MembersCreate::No, _) | (MembersCreate::InTeams, None) => false,
                        (MembersCreate::Anywhere, None) => true,
                        (_, Some(team)) => principal.member_of.contains(team),
                    }
        }
        // Raising one's own limits is not a member's business; taking one's own key out of use always is.
        Action::EditKey | Action::EnableKey => in_my_team,
        _ => in_my_team || own,
    }
}

/// Nobody grants more than they hold: only an owner makes an owner, and a team admin takes members into their team.
fn allows_invitation(principal: &Principal, on: On<'_>) -> bool {
    match on {
        On::Member(member) => match principal.role {
            Some(OrgRole::Owner) => true,
            Some(OrgRole::Admin) => member.role != OrgRole::Owner,
            Some(OrgRole::Member) => {
                member.role == OrgRole::Member
                    && !member.teams.is_empty()
                    && member.teams.iter().all(|team| principal.admin_of.contains(team))
            }
            None => false,
        },
        On::Org | On::Key(_) | On::Team(_) | On::TeamMember(..) => {
            principal.runs_org() || (principal.role.is_some() && !principal.admin_of.is_empty())
        }
    }
}

/// An admin acts on no owner and makes none; nobody disables or removes themselves (they leave).
fn allows_member(principal: &Principal, action: Action, on: On<'_>) -> bool {
    let On::Member(member) = on else { return principal.runs_org() };
    let own = *member.person == principal.person;
    let touches_owner = member.role == OrgRole::Owner || member.becomes == Some(OrgRole::Owner);
    match principal.role {
        Some(OrgRole::Owner) => action == Action::ChangeRole || !own,
        Some(OrgRole::Admin) => !touches_owner && (action == Action::ChangeRole || !own),
        Some(OrgRole::Member) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::moment::Moment;
    use super::*;

    fn person(n: u8) -> PersonId {
        PersonId::new(Moment::from_ms(1), [n; 10])
    }
    fn team(n: u8) -> TeamId {
        TeamId::new(Moment::from_ms(1), [n; 10])
    }
    fn principal(role: Option<OrgRole>, platform: PlatformRole, admin_of: Vec<TeamId>) -> Principal {
        Principal {
            org: OrgId::new(Moment::from_ms(1), [9; 10]),
            person: person(1),
            name: "Ana".into(),
            role,
            platform,
            member_of: admin_of.clone(),
            admin_of,
            members_create: MembersCreate::No,
            address: String::new(),
            request_id: String::new(),
        }
    }

    /// The columns of the table in docs/ROLES.md, in its order.
    fn columns() -> [(&'static str, Principal); 6] {
        [
            ("owner", principal(Some(OrgRole::Owner), PlatformRole::None, vec![])),
            ("admin", principal(Some(OrgRole::Admin), PlatformRole::None, vec![])),
            ("team admin", principal(Some(OrgRole::Member), PlatformRole::None, vec![team(1)])),
            (
                "member",
                Principal {
                    member_of: vec![team(1)],
                    ..principal(Some(OrgRole::Member), PlatformRole::None, vec![])
                },
            ),
            ("support", principal(None, PlatformRole::Support, vec![])),
            ("operator", principal(None, PlatformRole::Operator, vec![])),
        ]
    }

    const TABLE: &str = include_str!("../../../docs/ROLES.md");

    /// What a cell says about one thing: `all`, `no`, or a list of `own` and `team`.
    fn cell_says(cell: &str, own: bool, in_team: bool) -> bool {
        match cell {
            "all" => true,
            "no" => false,
            list => list.split(", ").any(|word| match word {
                "own" => own,
                "team" => in_team,
                other => panic!("docs/ROLES.md has a cell that says {other:?}"),
            }),
        }
    }

    fn action_named(words: &str) -> Action {
        match words {
            "see keys" => Action::SeeKey,
            "create keys" => Action::CreateKey,
            "edit keys, move them" => Action::EditKey,
            "enable keys" => Action::EnableKey,
            "disable keys" => Action::DisableKey,
            "revoke keys" => Action::RevokeKey,
            "see teams" => Action::SeeTeam,
            "create teams" => Action::CreateTeam,
            "edit a team's name and bounds" => Action::EditTeam,
            "archive teams" => Action::ArchiveTeam,
            "add and remove a team's people" => Action::ManageTeamPeople,
            "list people" => Action::ListMembers,
            "see a person" => Action::SeeMember,
            "invite members" => Action::Invite,
            "change a member's role" => Action::ChangeRole,
            "disable a member" => Action::DisableMember,
            "enable a member" => Action::EnableMember,
            "remove a member" => Action::RemoveMember,
            "leave" => Action::Leave,
            "see the settings" => Action::SeeSettings,
            "change the settings" => Action::EditSettings,
            "read the audit" => Action::SeeAudit,
            "export the audit" => Action::ExportAudit,
            "create organisations" => Action::CreateOrg,
            "suspend organisations" => Action::SuspendOrg,
            "resume organisations" => Action::ResumeOrg,
            "see the balance" => Action::SeeBalance,
            "change the balance" => Action::ChangeBalance,
            other => panic!("docs/ROLES.md has a row that no rule has: {other:?}"),
        }
    }

    #[test]
    fn the_rules_are_what_the_table_in_the_docs_says() {
        let rows: Vec<Vec<&str>> = TABLE
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let [head, rest @ ..] = rows.as_slice() else { panic!("docs/ROLES.md has no table") };
        let names: Vec<&str> = columns().iter().map(|(name, _)| *name).collect();
        assert_eq!(head[1..], names[..]);
        assert!(rest.len() >= 25, "the table lost rows");
        for row in rest {
            let action = action_named(row[0]);
            for ((name, principal), cell) in columns().iter().zip(&row[1..]) {
                for (own, in_team) in [(false, false), (true, false), (false, true), (true, true)] {
                    let who = if own { person(1) } else { person(2) };
                    let place = if in_team { team(1) } else { team(2) };
                    let teams = [place.clone()];
                    let member =
                        MemberFacts { person: &who, role: OrgRole::Member, becomes: None, teams: &teams };
                    let on = match action {
                        Action::SeeTeam | Action::EditTeam | Action::ArchiveTeam => On::Team(&place),
                        Action::ManageTeamPeople => On::TeamMember(&place, member),
                        Action::SeeMember
                        | Action::Invite
                        | Action::ChangeRole
                        | Action::DisableMember
                        | Action::EnableMember
                        | Action::RemoveMember => On::Member(member),
                        Action::SeeKey
                        | Action::CreateKey
                        | Action::EditKey
                        | Action::EnableKey
                        | Action::DisableKey
                        | Action::RevokeKey => On::Key(KeyFacts { team: Some(&place), owner: &who }),
                        _ => On::Org,
                    };
                    // Nobody disables or removes themselves, whatever else they may: that is to leave.
                    let leaving =
                        matches!(action, Action::DisableMember | Action::EnableMember | Action::RemoveMember);
                    let expected = cell_says(cell, own, in_team) && !(leaving && own);
                    let words = format!("{name}: {} (own {own}, in a team of theirs {in_team})", row[0]);
                    assert_eq!(allows(principal, action, on), expected, "{words}");
                    // What may be done is seen.
                    assert_eq!(permit(principal, action, on).is_ok(), expected, "{words}");
                }
            }
        }
    }

    #[test]
    fn a_team_admin_cannot_revoke_another_teams_key() {
        let ana = principal(Some(OrgRole::Member), PlatformRole::None, vec![team(1)]);
        let (theirs, owner) = (team(2), person(2));
        let key = On::Key(KeyFacts { team: Some(&theirs), owner: &owner });
        assert_eq!(permit(&ana, Action::RevokeKey, key).unwrap_err(), AccessDenied::Hidden);
    }

    #[test]
    fn a_team_admin_never_acts_on_an_owner_or_an_admin_in_their_team() {
        let ana = principal(Some(OrgRole::Member), PlatformRole::None, vec![team(1)]);
        let (them, ours) = (person(2), [team(1)]);
        for role in [OrgRole::Owner, OrgRole::Admin] {
            let member = MemberFacts { person: &them, role, becomes: None, teams: &ours };
            assert!(!allows(&ana, Action::ManageTeamPeople, On::TeamMember(&ours[0], member)));
            assert!(!allows(&ana, Action::DisableMember, On::Member(member)));
            assert!(!allows(&ana, Action::Invite, On::Member(member)));
        }
    }

    #[test]
    fn an_admin_acts_on_no_owner_and_makes_none() {
        let ana = principal(Some(OrgRole::Admin), PlatformRole::None, vec![]);
        let them = person(2);
        let member = |role, becomes| On::Member(MemberFacts { person: &them, role, becomes, teams: &[] });
        assert!(!allows(&ana, Action::DisableMember, member(OrgRole::Owner, None)));
        assert!(!allows(&ana, Action::ChangeRole, member(OrgRole::Owner, Some(OrgRole::Member))));
        assert!(!allows(&ana, Action::ChangeRole, member(OrgRole::Member, Some(OrgRole::Owner))));
        assert!(!allows(&ana, Action::Invite, member(OrgRole::Owner, None)));
        assert!(allows(&ana, Action::ChangeRole, member(OrgRole::Member, Some(OrgRole::Admin))));
    }

    #[test]
    fn what_members_may_create_is_the_organisations_choice() {
        let (me, other, mine, theirs) = (person(1), person(2), team(1), team(2));
        let member = |members_create| Principal {
            member_of: vec![team(1)],
            members_create,
            ..principal(Some(OrgRole::Member), PlatformRole::None, vec![])
        };
        let key = |team, owner| On::Key(KeyFacts { team, owner });
        let create = |choice, on| allows(&member(choice), Action::CreateKey, on);
        assert!(!create(MembersCreate::No, key(Some(&mine), &me)));
        assert!(create(MembersCreate::InTeams, key(Some(&mine), &me)));
        assert!(!create(MembersCreate::InTeams, key(None, &me)));
        assert!(create(MembersCreate::Anywhere, key(None, &me)));
        for choice in MembersCreate::ALL {
            assert!(!create(choice, key(Some(&theirs), &me)), "another team's");
            assert!(!create(choice, key(Some(&mine), &other)), "somebody else's");
        }
    }

    #[test]
    fn running_the_installation_gives_no_sight_of_an_organisations_keys() {
        let operator = principal(None, PlatformRole::Operator, vec![]);
        assert_eq!(permit(&operator, Action::ListKeys, On::Org).unwrap_err(), AccessDenied::Hidden);
    }

    #[test]
    #[should_panic(expected = "a permit for SeeKey")]
    fn a_permit_for_one_thing_does_not_pay_for_another() {
        let owner = principal(Some(OrgRole::Owner), PlatformRole::None, vec![]);
        permit(&owner, Action::SeeKey, On::Org).unwrap().must_be(&[Action::RevokeKey]);
    }
}
