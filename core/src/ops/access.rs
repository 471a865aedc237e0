//! From a caller to what they may do. Every operation on an organisation begins here; a caller gets no organisation but
//! through `enter`, and no permit but through the policy.

use super::OpError;
use crate::Desk;
use crate::domain::audit::Actor;
use crate::domain::ids::{OrgId, SessionId};
use crate::domain::moment::Moment;
use crate::domain::org::{Org, OrgName};
use crate::domain::person::Person;
use crate::domain::policy::{self, Action, On, OrgRole, Origin, Permit, PlatformRole, Principal};
use crate::domain::team::TeamRole;
use crate::store::Via;
use crate::store::{alerts, people, sessions, teams};

/// How long after proving who they are a person may do what asks for a fresh sign-in.
pub const RECENT_AUTH_MS: i64 = 10 * 60_000;

/// A person signed in, and where the request came from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who is signed in.
    pub person: Person,
    /// The session that the request belongs to.
    pub session: SessionId,
    /// When this session's person last proved who they are, with password and second factor.
    pub reauthenticated_at: Moment,
    /// Where the request came from; empty when that is not known.
    pub address: String,
    /// The request's id, for the audit.
    pub request_id: String,
}

impl Caller {
    /// A person who has just proved who they are.
    pub fn just_authenticated(
        person: Person,
        session: SessionId,
        now: Moment,
        address: &str,
        request_id: &str,
    ) -> Self {
        Self {
            person,
            session,
            reauthenticated_at: now,
            address: address.into(),
            request_id: request_id.into(),
        }
    }

    /// Whether the last proof is younger than `RECENT_AUTH_MS`.
    pub fn recently_authenticated(&self, now: Moment) -> bool {
        // A clock that ran ahead then makes it no younger than it is.
        now.ms().abs_diff(self.reauthenticated_at.ms()) < RECENT_AUTH_MS.unsigned_abs()
    }

    /// Where the request came from, for the audit.
    pub fn origin(&self) -> Origin {
        Origin { address: self.address.clone(), request_id: self.request_id.clone() }
    }

    /// # Errors
    /// `ReauthRequired` when they have to prove again who they are.
    pub fn require_recent_auth(&self, now: Moment) -> Result<(), OpError> {
        if self.recently_authenticated(now) { Ok(()) } else { Err(OpError::ReauthRequired) }
    }
}

/// A caller inside an organisation that they may at least see.
#[derive(Clone, Debug)]
pub struct OrgContext {
    /// The organisation.
    pub org: Org,
    /// The caller's roles in it, for the policy.
    pub principal: Principal,
    /// Every organisation that the caller belongs to, by name.
    pub orgs: Vec<OrgName>,
    /// Unread entries of the caller's inbox here, counted to 100.
    pub unread: i64,
    /// How many open asks of others the caller may answer.
    pub open_asks: i64,
}

impl OrgContext {
    /// # Errors
    /// `NotFound` when the thing is not theirs to see, `Forbidden` when it is theirs to see but not to do, `Conflict` when
    /// the organisation is suspended.
    pub fn permit(&self, action: Action, on: On<'_>) -> Result<Permit, OpError> {
        let permit = policy::permit(&self.principal, action, on)?;
        if self.org.suspended && !action.while_suspended() {
            return Err(OpError::Conflict(format!(
                "{} is suspended. Nothing was saved. Your administrator can resume it.",
                self.org.name
            )));
        }
        Ok(permit)
    }

    /// For pages: whether to draw the button. What protects is the permit.
    pub fn may(&self, action: Action, on: On<'_>) -> bool {
        (!self.org.suspended || action.while_suspended()) && policy::allows(&self.principal, action, on)
    }
}

/// # Errors
/// `NotFound` for an organisation that does not exist or that the caller has no place in; `SecondFactor` when it asks
/// its owners and admins for one that the caller does not have.
pub async fn open_org(via: &mut impl Via, caller: &Caller, slug: &str) -> Result<OrgContext, OpError> {
    // Postgres takes no zero character in text, and no slug holds one.
    if slug.contains('\0') {
        return Err(OpError::NotFound);
    }
    let found = people::org_and_role(via, slug, &caller.person.id).await?;
    let (org, role, open_asks) = found.ok_or(OpError::NotFound)?;
    if role.is_none() && caller.person.platform != PlatformRole::Support {
        return Err(OpError::NotFound);
    }
    let principal = principal(caller, &org.id, role);
    if principal.runs_org() && org.rules.second_factor && !caller.person.second_factor {
        return Err(OpError::SecondFactor { org: org.name });
    }
    let (mut member_of, mut admin_of) = (Vec::new(), Vec::new());
    for membership in teams::memberships(via, &org.id, &caller.person.id).await? {
        if membership.role == TeamRole::Admin {
            admin_of.push(membership.team.id.clone());
        }
        member_of.push(membership.team.id);
    }
    let principal = principal.in_teams(member_of, admin_of, org.rules.members_create);
    let orgs = people::orgs_of(via, &caller.person.id).await?;
    let unread = match role {
        Some(_) => alerts::unread(via, &org.id, &caller.person.id).await?,
        None => 0,
    };
    Ok(OrgContext { org, principal, orgs, unread, open_asks })
}

/// The organisation as the caller may see it now, for work that goes on after the request that began it: who signed out
/// or lost their role meanwhile is refused.
///
/// # Errors
/// Those of `open_org`, and `Forbidden` when the session has ended.
pub(super) async fn reopen_org(
    via: &mut impl Via,
    caller: &Caller,
    slug: &str,
) -> Result<OrgContext, OpError> {
    let person = sessions::still(via, &caller.session).await?.ok_or(OpError::Forbidden)?;
    open_org(via, &Caller { person, ..caller.clone() }, slug).await
}

/// For everyone but support, what support does is not there.
pub(super) fn must_be_support(caller: &Caller) -> Result<(), OpError> {
    match caller.person.platform {
        PlatformRole::Support => Ok(()),
        PlatformRole::None | PlatformRole::Operator => Err(OpError::NotFound),
    }
}

/// `open_org` with a connection of its own.
///
/// # Errors
/// Those of `open_org`.
pub async fn read_org(desk: &Desk, caller: &Caller, slug: &str) -> Result<OrgContext, OpError> {
    open_org(&mut desk.db.read().await?, caller, slug).await
}

/// The organisations that the caller belongs to, by name.
///
/// # Errors
/// `Store` when the database cannot be read.
pub async fn own_orgs(desk: &Desk, caller: &Caller) -> Result<Vec<OrgName>, OpError> {
    Ok(people::orgs_of(&mut desk.db.read().await?, &caller.person.id).await?)
}

/// Where a person begins: in the organisation with this slug if they are still in it, else in one that they own, else in
/// their first by name. `None` for who belongs to none.
///
/// # Errors
/// `Store` when the database cannot be read.
pub async fn first_org(desk: &Desk, caller: &Caller, last: Option<&str>) -> Result<Option<String>, OpError> {
    let places = people::memberships_of(&mut desk.db.read().await?, &caller.person.id).await?;
    let found = places
        .iter()
        .find(|place| Some(place.slug.as_str()) == last)
        .or_else(|| places.iter().find(|place| place.role == OrgRole::Owner))
        .or(places.first());
    Ok(found.map(|place| place.slug.clone()))
}

/// A caller as they are to an organisation, without its teams: for operators, and for who is about to join.
pub(super) fn principal(caller: &Caller, org: &OrgId, role: Option<OrgRole>) -> Principal {
    let person = (caller.person.id.clone(), caller.person.name.clone());
    Principal::new(org.clone(), person, role, caller.person.platform, caller.origin())
}

/// The person behind a permit; `None` on the command line and for a key that acts on itself.
pub fn person_of(permit: &Permit) -> Option<&crate::domain::ids::PersonId> {
    match permit.actor() {
        Actor::Person { id, .. } => Some(id),
        Actor::Key { .. } | Actor::System { .. } => None,
    }
}
