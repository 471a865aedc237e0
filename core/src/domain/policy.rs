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

/// What one person is to one organisation, read fresh for each request.
#[derive(Clone, Debug)]
pub struct Standing {
    pub org: OrgId,
    pub person: PersonId,
    pub name: String,
    pub role: Option<OrgRole>,
    pub platform: PlatformRole,
    /// Teams this person looks after.
    pub admin_of: Vec<TeamId>,
    /// For the audit row: where the request came from and what it is called.
    pub address: String,
    pub request_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    ListKeys,
    SeeKey,
    CreateKey,
    EditKey,
    DisableKey,
    EnableKey,
    RevokeKey,
    /// Only ever the program's own: the set-up of an installation, and a password set through a one-time link.
    SetUp,
    ResetPassword,
}

/// What the rules need to know about the thing acted on. For a new key: the team it is to be in, and its owner-to-be.
#[derive(Clone, Debug)]
pub struct KeyFacts<'a> {
    pub team: Option<&'a TeamId>,
    pub owner: &'a PersonId,
}

/// Which rows a list may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Org,
    /// The keys this person owns, and those of the teams they look after.
    OfPerson(PersonId),
}

/// Why not. `Hidden` is answered as 404: what is not yours to see is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
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
pub fn permit(standing: &Standing, action: Action, key: Option<&KeyFacts<'_>>) -> Result<Permit, Denied> {
    let sees_org = matches!(standing.role, Some(OrgRole::Owner | OrgRole::Admin))
        || standing.platform == PlatformRole::Support;
    let in_org = standing.role.is_some() || standing.platform == PlatformRole::Support;
    if !in_org {
        return Err(Denied::Hidden);
    }
    if let Some(key) = key
        && action != Action::CreateKey
        && !(sees_org || *key.owner == standing.person || looks_after(standing, key))
    {
        return Err(Denied::Hidden);
    }
    if !allows(standing, action, key) {
        return Err(Denied::Forbidden);
    }
    Ok(Permit {
        org: standing.org.clone(),
        actor: Actor::Person { id: standing.person.clone(), name: standing.name.clone() },
        action,
        scope: if sees_org { Scope::Org } else { Scope::OfPerson(standing.person.clone()) },
        address: standing.address.clone(),
        request_id: standing.request_id.clone(),
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

fn looks_after(standing: &Standing, key: &KeyFacts<'_>) -> bool {
    key.team.is_some_and(|team| standing.admin_of.contains(team))
}

/// May they? Also asked by pages, to leave out the buttons that would be refused.
pub fn allows(standing: &Standing, action: Action, key: Option<&KeyFacts<'_>>) -> bool {
    let runs_org = matches!(standing.role, Some(OrgRole::Owner | OrgRole::Admin));
    let member = standing.role.is_some();
    let own = key.is_some_and(|key| member && *key.owner == standing.person);
    let in_my_team = key.is_some_and(|key| member && looks_after(standing, key));
    match action {
        Action::ListKeys | Action::SeeKey => member || standing.platform == PlatformRole::Support,
        // Without a key in mind: may they open the form at all?
        Action::CreateKey => {
            runs_org || if key.is_none() { member && !standing.admin_of.is_empty() } else { in_my_team }
        }
        // Raising one's own limits is not a member's business; taking one's own key out of use always is.
        Action::EditKey | Action::EnableKey => runs_org || in_my_team,
        Action::DisableKey | Action::RevokeKey => runs_org || in_my_team || own,
        Action::SetUp | Action::ResetPassword => false,
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
    fn standing(role: Option<OrgRole>, platform: PlatformRole, admin_of: Vec<TeamId>) -> Standing {
        Standing {
            org: OrgId::new(Moment::from_ms(1), [9; 10]),
            person: person(1),
            name: "Ana".into(),
            role,
            platform,
            admin_of,
            address: String::new(),
            request_id: String::new(),
        }
    }

    #[test]
    fn a_team_admin_cannot_revoke_another_teams_key() {
        let ana = standing(Some(OrgRole::Member), PlatformRole::None, vec![team(1)]);
        let (theirs, owner) = (team(2), person(2));
        let denied = permit(&ana, Action::RevokeKey, Some(&KeyFacts { team: Some(&theirs), owner: &owner }));
        assert_eq!(denied.unwrap_err(), Denied::Hidden);
        let ours = team(1);
        assert!(
            permit(&ana, Action::RevokeKey, Some(&KeyFacts { team: Some(&ours), owner: &owner })).is_ok()
        );
    }

    #[test]
    fn a_member_may_stop_their_own_key_but_not_widen_it() {
        let ana = standing(Some(OrgRole::Member), PlatformRole::None, vec![]);
        let me = person(1);
        let mine = KeyFacts { team: None, owner: &me };
        assert!(permit(&ana, Action::RevokeKey, Some(&mine)).is_ok());
        assert_eq!(permit(&ana, Action::EditKey, Some(&mine)).unwrap_err(), Denied::Forbidden);
        assert_eq!(permit(&ana, Action::CreateKey, Some(&mine)).unwrap_err(), Denied::Forbidden);
    }

    #[test]
    fn support_sees_every_key_and_changes_none() {
        let desk = standing(None, PlatformRole::Support, vec![]);
        let owner = person(2);
        let key = KeyFacts { team: None, owner: &owner };
        assert!(permit(&desk, Action::SeeKey, Some(&key)).is_ok());
        for action in
            [Action::EditKey, Action::DisableKey, Action::EnableKey, Action::RevokeKey, Action::CreateKey]
        {
            assert_eq!(permit(&desk, action, Some(&key)).unwrap_err(), Denied::Forbidden);
        }
    }

    #[test]
    fn running_the_installation_gives_no_sight_of_an_organisations_keys() {
        let operator = standing(None, PlatformRole::Operator, vec![]);
        assert_eq!(permit(&operator, Action::ListKeys, None).unwrap_err(), Denied::Hidden);
    }

    #[test]
    #[should_panic(expected = "a permit for SeeKey")]
    fn a_permit_for_one_thing_does_not_pay_for_another() {
        let owner = standing(Some(OrgRole::Owner), PlatformRole::None, vec![]);
        permit(&owner, Action::SeeKey, None).unwrap().must_be(&[Action::RevokeKey]);
    }
}
