//! The people of an organisation: listed, shown, given another role, disabled and enabled, removed, leaving. Whoever is
//! disabled or removed is signed out everywhere at once. An organisation keeps an active owner, however many ask at once:
//! each change first holds the organisation, then reads the caller's own standing, then asks for another owner in the
//! very statement that takes one away.

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use super::support::{self, Look};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind, PastEvent};
use crate::domain::ids::{PersonId, TeamId};
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, MemberFacts, On, OrgRole, Permit, Scope};
use crate::domain::window::WindowStarts;
use crate::forms::reauth::Reauth;
use crate::store::invitations::{self, Invitation};
use crate::store::members::{self, Cursor, Member, MemberPage, MemberSummary};
use crate::store::{Tx, Via, audit, keys, sessions, spend, teams};

/// Far more open invitations than a person reads.
const MAX_INVITATIONS: i64 = 200;
const MAX_HISTORY: i64 = 30;

const LAST_OWNER: &str = "An organisation keeps at least one active owner, and this is the last one. Make somebody else an owner first.";

pub struct MembersView {
    pub context: OrgContext,
    pub page: MemberPage,
    /// In the order of the page.
    pub member_summary: Vec<MemberSummary>,
    /// Those that the caller could have sent.
    pub invitations: Vec<Invitation>,
    /// People who left, and how many of their live keys nobody has decided about.
    pub undecided: Vec<(PersonName, i64)>,
    pub now: Moment,
}

/// A page of people, narrowed to those whom the caller may see.
///
/// # Errors
/// `Forbidden` for members who look after no team.
pub async fn list(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    search: &str,
    page: Option<&Cursor>,
) -> Result<MembersView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListMembers, On::Org)?;
    let page = members::list(&mut read, &permit, search, page).await?;
    let ids: Vec<PersonId> = page.members.iter().map(|member| member.id.clone()).collect();
    let month = WindowStarts::at(now, &context.org.zone).month;
    let member_summary = members::member_summary(&mut read, &permit, &ids, month).await?;
    let mut invitations = match context.may(Action::Invite, On::Org) {
        true => invitations::list_open(&mut read, &context.org.id, MAX_INVITATIONS).await?,
        false => vec![],
    };
    invitations.retain(|invitation| super::invitations::is_theirs(&context, invitation));
    let undecided = match context.may(Action::EditKey, On::Org) {
        true => members::undecided(&mut read, &context.org.id).await?,
        false => vec![],
    };
    drop(read);
    support::trace(desk, &context, Look::List { of: "people", search }).await?;
    Ok(MembersView { context, page, member_summary, invitations, undecided, now })
}

pub struct MemberView {
    pub context: OrgContext,
    pub member: Member,
    /// All of theirs, for the rules.
    pub team_ids: Vec<TeamId>,
    /// The newest live ones that the caller may see.
    pub keys: Vec<Key>,
    /// Of teams, keys and spend, what the caller may see.
    pub member_summary: MemberSummary,
    pub history: Vec<PastEvent>,
    pub now: Moment,
}

impl MemberView {
    pub fn facts(&self) -> MemberFacts<'_> {
        MemberFacts { person: &self.member.id, role: self.member.role, becomes: None, teams: &self.team_ids }
    }
}

/// One person of the organisation, also one who left.
///
/// # Errors
/// `NotFound` when they are not the caller's to see.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<MemberView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let (member, team_ids) = find(&mut read, &context, id).await?;
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &team_ids };
    let permit = context.permit(Action::SeeMember, On::Member(facts))?;
    let starts = WindowStarts::at(now, &context.org.zone);
    let one = [member.id.clone()];
    let mut member_summary = members::member_summary(&mut read, &permit, &one, starts.month).await?;
    let mut member_summary = member_summary.pop().unwrap_or_default();
    let mut found = keys::list_of_owner(&mut read, &context.org.id, &member.id, false).await?;
    found.retain(|key| context.permit(Action::SeeKey, On::Key(key.facts())).is_ok());
    spend::fill(&mut read, &context.org.id, &mut found, starts).await?;
    if matches!(permit.scope(), Scope::OfPerson(_)) {
        member_summary.live_keys = found.len() as i64;
        member_summary.month_spent =
            found.iter().fold(Money::ZERO, |sum, key| sum.saturating_add(key.month_spent));
    }
    // What is their own, people see whole.
    if member.id == caller.person.id {
        let mine = context.principal.admin_of();
        let teams = teams::of_person(&mut read, &context.org.id, &member.id).await?;
        member_summary.teams = teams
            .into_iter()
            .map(|team| {
                let admin = mine.contains(&team.id);
                (team, admin)
            })
            .collect();
    }
    let history = match permit.scope() {
        Scope::Org => audit::of_subject(&mut read, &context.org.id, member.id.as_str(), MAX_HISTORY).await?,
        Scope::OfPerson(_) => vec![],
    };
    drop(read);
    support::trace(desk, &context, Look::Thing { id: member.id.as_str(), name: &member.name }).await?;
    Ok(MemberView { context, member, team_ids, keys: found, member_summary, history, now })
}

/// The person, with the teams that they are in. Whether the caller may see them, the permit says.
pub(super) async fn find(
    via: &mut impl Via,
    context: &OrgContext,
    id: &str,
) -> Result<(Member, Vec<TeamId>), OpError> {
    let id = PersonId::parse(id).ok_or(OpError::NotFound)?;
    let member = members::find(via, &context.org.id, &id).await?.ok_or(OpError::NotFound)?;
    let teams = teams::places(via, &context.org.id, &id).await?;
    Ok((member, teams.into_iter().map(|(team, _)| team).collect()))
}

/// Names a person; some acts ask for a fresh proof.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberRef {
    pub org: String,
    pub id: String,
    pub reauth: Reauth,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleForm {
    pub org: String,
    pub id: String,
    /// `owner`, `admin` or `member`.
    pub role: String,
    pub reauth: Reauth,
}

/// What an act on somebody starts from: the organisation held, and standings read after that.
struct Act {
    tx: Tx,
    context: OrgContext,
    member: Member,
    permit: Permit,
}

async fn begin(
    desk: &Desk,
    caller: &Caller,
    org: &str,
    id: &str,
    action: Action,
    becomes: Option<OrgRole>,
) -> Result<Act, OpError> {
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, org).await?;
    let context = open_org(&mut tx, caller, org).await?;
    let (member, teams) = find(&mut tx, &context, id).await?;
    let facts = MemberFacts { person: &member.id, role: member.role, becomes, teams: &teams };
    let permit = context.permit(action, On::Member(facts))?;
    Ok(Act { tx, context, member, permit })
}

/// Returns the person's name.
///
/// # Errors
/// `Conflict` for the last active owner; `ReauthRequired` when the caller is not fresh.
pub async fn change_role(desk: &Desk, caller: &Caller, form: &RoleForm) -> Result<String, OpError> {
    let now = desk.now();
    let Some(role) = OrgRole::parse(&form.role) else {
        return Err(OpError::say("role", "Choose one of the roles that you may give."));
    };
    let act = begin(desk, caller, &form.org, &form.id, Action::ChangeRole, Some(role)).await?;
    let Act { mut tx, context, member, permit } = act;
    caller.require_recent_auth(now)?;
    if member.removed_at.is_some() {
        return Err(OpError::Conflict(format!("{} is not in {} any more.", member.name, context.org.name)));
    }
    if member.role == role {
        return Err(OpError::say("role", format!("{} has this role already.", member.name)));
    }
    if !members::set_role(&mut tx, &permit, &member.id, member.role, role).await? {
        return Err(OpError::Conflict(LAST_OWNER.into()));
    }
    let mut changes = vec![Change {
        field: "role".into(),
        before: Some(member.role.as_str().into()),
        after: Some(role.as_str().into()),
    }];
    if rank(role) < rank(member.role) {
        changes.extend(take_back_invitations(&mut tx, &permit, &member.id, now).await?);
    }
    let event = Event::new(EventKind::MemberRoleChanged, member.id.as_str(), &member.name);
    tx.save(&permit, event.with(changes), now).await?;
    Ok(member.name)
}

fn rank(role: OrgRole) -> u8 {
    match role {
        OrgRole::Member => 0,
        OrgRole::Admin => 1,
        OrgRole::Owner => 2,
    }
}

/// What somebody invited to by a standing that they have no more is not good any more either.
async fn take_back_invitations(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    now: Moment,
) -> Result<Option<Change>, OpError> {
    let count = invitations::withdraw_of(tx, permit, person, now).await?;
    Ok((count > 0).then(|| Change {
        field: "open invitations by them".into(),
        before: Some(count.to_string()),
        after: Some("withdrawn".into()),
    }))
}

/// Somebody who is out, and whether they have live keys to decide about.
pub struct Out {
    pub name: String,
    pub has_keys: bool,
}

/// Takes somebody out for now: their sessions end at once. Their role, teams and keys stay as they are.
///
/// # Errors
/// `Conflict` for the last active owner, and when they are disabled already.
pub async fn disable(desk: &Desk, caller: &Caller, form: &MemberRef) -> Result<Out, OpError> {
    let now = desk.now();
    let act = begin(desk, caller, &form.org, &form.id, Action::DisableMember, None).await?;
    let Act { mut tx, context, member, permit } = act;
    if !member.active() {
        return Err(OpError::Conflict(format!("{} is disabled already.", member.name)));
    }
    invitations::withdraw_for(&mut tx, &permit, &member.email, now).await?;
    if !members::disable(&mut tx, &permit, &member.id, now).await? {
        return Err(OpError::Conflict(LAST_OWNER.into()));
    }
    let changes: Vec<Change> =
        take_back_invitations(&mut tx, &permit, &member.id, now).await?.into_iter().collect();
    sessions::end_all(&mut tx, &permit, &member.id, now).await?;
    let has_keys = !keys::list_of_owner(&mut tx, &context.org.id, &member.id, true).await?.is_empty();
    let event = Event::new(EventKind::MemberDisabled, member.id.as_str(), &member.name);
    tx.save(&permit, event.with(changes), now).await?;
    Ok(Out { name: member.name, has_keys })
}

/// Takes somebody disabled back in, as they were. Returns their name.
///
/// # Errors
/// `ReauthRequired` when they are an owner or an admin and the caller is not fresh; `Conflict` when they are not disabled.
pub async fn enable(desk: &Desk, caller: &Caller, form: &MemberRef) -> Result<String, OpError> {
    let now = desk.now();
    let act = begin(desk, caller, &form.org, &form.id, Action::EnableMember, None).await?;
    let Act { mut tx, context, member, permit } = act;
    if member.removed_at.is_some() {
        return Err(OpError::Conflict(format!(
            "{} was removed from {}. Invite them again.",
            member.name, context.org.name
        )));
    }
    if member.role != OrgRole::Member {
        caller.require_recent_auth(now)?;
    }
    invitations::withdraw_for(&mut tx, &permit, &member.email, now).await?;
    if !members::enable(&mut tx, &permit, &member.id).await? {
        return Err(OpError::Conflict(format!("{} is active already.", member.name)));
    }
    tx.save(&permit, Event::new(EventKind::MemberEnabled, member.id.as_str(), &member.name), now).await?;
    Ok(member.name)
}

/// Takes somebody out for good: out of every team, signed out at once. Their keys stay theirs until somebody decides.
///
/// # Errors
/// `Conflict` for the last active owner, and when they are out already; `ReauthRequired` when the caller is not fresh.
pub async fn remove(desk: &Desk, caller: &Caller, form: &MemberRef) -> Result<Out, OpError> {
    let now = desk.now();
    let act = begin(desk, caller, &form.org, &form.id, Action::RemoveMember, None).await?;
    let Act { tx, context, member, permit } = act;
    caller.require_recent_auth(now)?;
    take_out(tx, &context, &member, &permit, EventKind::MemberRemoved, now).await
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveForm {
    pub org: String,
}

/// Leaves the organisation. Sessions go on: the person may belong to others.
///
/// # Errors
/// `Conflict` for the last active owner.
pub async fn leave(desk: &Desk, caller: &Caller, form: &LeaveForm) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, &form.org).await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let permit = context.permit(Action::Leave, On::Org)?;
    let (member, _) = find(&mut tx, &context, caller.person.id.as_str()).await?;
    take_out(tx, &context, &member, &permit, EventKind::MemberLeft, now).await?;
    Ok(context.org.name)
}

async fn take_out(
    mut tx: Tx,
    context: &OrgContext,
    member: &Member,
    permit: &Permit,
    kind: EventKind,
    now: Moment,
) -> Result<Out, OpError> {
    if member.removed_at.is_some() {
        return Err(OpError::Conflict(format!("{} is not in {} any more.", member.name, context.org.name)));
    }
    let teams = teams::of_person(&mut tx, &context.org.id, &member.id).await?;
    invitations::withdraw_for(&mut tx, permit, &member.email, now).await?;
    if !members::remove(&mut tx, permit, &member.id, now).await? {
        return Err(OpError::Conflict(LAST_OWNER.into()));
    }
    let mut changes =
        vec![Change { field: "role".into(), before: Some(member.role.as_str().into()), after: None }];
    if !teams.is_empty() {
        let names: Vec<&str> = teams.iter().map(|team| team.name.as_str()).collect();
        changes.push(Change { field: "teams".into(), before: Some(names.join(", ")), after: None });
    }
    changes.extend(take_back_invitations(&mut tx, permit, &member.id, now).await?);
    let subject = match kind {
        EventKind::MemberLeft => member.role.as_str(),
        _ => {
            sessions::end_all(&mut tx, permit, &member.id, now).await?;
            member.name.as_str()
        }
    };
    let has_keys = !keys::list_of_owner(&mut tx, &context.org.id, &member.id, true).await?.is_empty();
    tx.save(permit, Event::new(kind, member.id.as_str(), subject).with(changes), now).await?;
    Ok(Out { name: member.name.clone(), has_keys })
}

/// What the page before leaving says.
pub struct LeaveView {
    pub context: OrgContext,
    pub live_keys: usize,
}

pub async fn leave_form(desk: &Desk, caller: &Caller, slug: &str) -> Result<LeaveView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::Leave, On::Org)?;
    let live = keys::list_of_owner(&mut read, &context.org.id, &caller.person.id, false).await?;
    Ok(LeaveView { context, live_keys: live.len() })
}

/// What the page before a removal is drawn from.
///
/// # Errors
/// `Conflict` when they are out already.
pub async fn remove_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<MemberView, OpError> {
    let view = show(desk, caller, slug, id).await?;
    view.context.permit(Action::RemoveMember, On::Member(view.facts()))?;
    if view.member.removed_at.is_some() {
        return Err(OpError::Conflict(format!(
            "{} is not in {} any more.",
            view.member.name, view.context.org.name
        )));
    }
    Ok(view)
}
