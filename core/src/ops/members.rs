//! The members of an organisation: listed, shown, given another role, disabled, enabled, removed, leaving. An organisation
//! keeps an active owner, however many requests come at once: each change locks the organisation's row, reads the
//! caller's own role, and changes the member under the condition that another active owner is left.
//!
//! Disabling and removing end all sessions of the person. Leaving does not: one session serves every organisation, and
//! membership is read for each request, so access to the one that is left ends at once.

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use super::report::{self, SpendCard};
use super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Choice, Event, EventKind, PastEvent};
use crate::domain::ids::{PersonId, TeamId};
use crate::domain::invitation::Invitation;
use crate::domain::key::Key;
use crate::domain::list_filter::MemberFilter;
use crate::domain::member::{Member, MemberSummary, UndecidedKeys};
use crate::domain::moment::{Day, Moment};
use crate::domain::page::Page;
use crate::domain::policy::{Action, MemberFacts, On, OrgRole, Permit, Scope};
use crate::domain::report::{Dimension, Filters};
use crate::domain::window::WindowStarts;
use crate::store::{Tx, Via, audit, invitations, keys, members, sessions, spend, teams};

/// Open invitations on one page.
const MAX_INVITATIONS: i64 = 200;
/// Events on a member's page.
const MAX_HISTORY: i64 = 30;

const LAST_OWNER: &str = "An organisation needs at least one active owner, and this is the last one. Make another member an owner first.";

/// The list of members and what stands around it.
pub struct MembersView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The members that match the filter.
    pub page: Page<Member>,
    /// In the order of the page.
    pub member_summary: Vec<MemberSummary>,
    /// Open invitations that the caller could have sent.
    pub invitations: Vec<Invitation>,
    /// People who left and whose live keys are still to be decided about.
    pub undecided: Vec<UndecidedKeys>,
    /// When it was read.
    pub now: Moment,
}

/// A page of the members that the caller may see.
///
/// # Errors
/// `Forbidden` for members who are no team's admin.
pub async fn list(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: &MemberFilter,
) -> Result<MembersView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListMembers, On::Org)?;
    let page = members::list(&mut read, &permit, filter).await?;
    let ids: Vec<PersonId> = page.rows.iter().map(|member| member.id.clone()).collect();
    let months = month_starts(now, &context);
    let member_summary = members::member_summary(&mut read, &permit, &ids, months).await?;
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
    record_support_access(desk, &context, SupportAccess::List { of: "people", search: &filter.search })
        .await?;
    Ok(MembersView { context, page, member_summary, invitations, undecided, now })
}

/// First days of this calendar month and of the one before, in the organisation's time zone.
fn month_starts(now: Moment, context: &OrgContext) -> (Day, Day) {
    let zone = &context.org.zone;
    let month = WindowStarts::at(now, zone).month;
    let before = WindowStarts::at(month.plus_ms(-1), zone).month;
    (Day::of(month, zone), Day::of(before, zone))
}

/// A member's page.
pub struct MemberView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The member, also one who left.
    pub member: Member,
    /// All of the member's teams, for the policy.
    pub team_ids: Vec<TeamId>,
    /// The newest live keys that the caller may see.
    pub keys: Vec<Key>,
    /// The teams, keys and spend that the caller may see.
    pub member_summary: MemberSummary,
    /// What was spent lately while they owned the keys: all of it, or what is the caller's to see.
    pub card: SpendCard,
    /// The member's audit events, newest first, up to 30; empty unless the caller sees the whole organisation.
    pub history: Vec<PastEvent>,
    /// When it was read.
    pub now: Moment,
}

impl MemberView {
    /// The member as the policy asks for them.
    pub fn facts(&self) -> MemberFacts<'_> {
        MemberFacts { person: &self.member.id, role: self.member.role, becomes: None, teams: &self.team_ids }
    }
}

/// One member of the organisation, also one who left.
///
/// # Errors
/// `NotFound` when the caller may not see them.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<MemberView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let (member, team_ids) = find(&mut read, &context, id).await?;
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &team_ids };
    let permit = context.permit(Action::SeeMember, On::Member(facts))?;
    let starts = WindowStarts::at(now, &context.org.zone);
    let one = [member.id.clone()];
    let months = month_starts(now, &context);
    let mut summaries = members::member_summary(&mut read, &permit, &one, months).await?;
    let mut member_summary = summaries.pop().unwrap_or_default();
    let mut found = keys::list_of_owner(&mut read, &context.org.id, &member.id, false).await?;
    found.retain(|key| context.permit(Action::SeeKey, On::Key(key.facts())).is_ok());
    spend::fill(&mut read, &context.org.id, &mut found, starts).await?;
    if matches!(permit.scope(), Scope::OfPerson(_)) {
        member_summary.live_keys = found.len() as i64;
    }
    // Members see all of their own teams and spend.
    if member.id == caller.person.id {
        member_summary.teams = teams::memberships(&mut read, &context.org.id, &member.id).await?;
        member_summary.month_spent =
            members::month_spent(&mut read, &context.org.id, &member.id, months.0).await?;
    }
    let card =
        report::card(&mut read, &context, Filters::of(Dimension::Owner, member.id.as_str()), now).await?;
    let history = match permit.scope() {
        Scope::Org => audit::of_subject(&mut read, &context.org.id, member.id.as_str(), MAX_HISTORY).await?,
        Scope::OfPerson(_) => vec![],
    };
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: member.id.as_str(), name: &member.name })
        .await?;
    Ok(MemberView { context, member, team_ids, keys: found, member_summary, card, history, now })
}

/// The member and their teams. The caller checks with a permit whether they may be seen.
pub(super) async fn find(
    via: &mut impl Via,
    context: &OrgContext,
    id: &str,
) -> Result<(Member, Vec<TeamId>), OpError> {
    let id = PersonId::parse(id).ok_or(OpError::NotFound)?;
    let member = members::find(via, &context.org.id, &id).await?.ok_or(OpError::NotFound)?;
    let teams = teams::of_person(via, &context.org.id, &id).await?;
    Ok((member, teams.into_iter().map(|team| team.id).collect()))
}

/// What an action on a member starts from: the organisation locked, and roles read after that.
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

/// Returns the member's name. `org` is a slug and `id` a person's id, here and below.
///
/// # Errors
/// `Conflict` for the last active owner; `ReauthRequired` when the caller signed in too long ago.
pub async fn change_role(
    desk: &Desk,
    caller: &Caller,
    org: &str,
    id: &str,
    role: OrgRole,
) -> Result<String, OpError> {
    let now = desk.now();
    let Act { mut tx, context, member, permit } =
        begin(desk, caller, org, id, Action::ChangeRole, Some(role)).await?;
    caller.require_recent_auth(now)?;
    must_be_in(&context, &member)?;
    if member.role == role {
        return Err(OpError::say("role", format!("{} already has this role.", member.name)));
    }
    if !members::set_role(&mut tx, &permit, &member.id, member.role, role).await? {
        return Err(OpError::Conflict(LAST_OWNER.into()));
    }
    let mut changes = vec![Change::replaced("role", Choice::from(member.role), Choice::from(role))];
    if rank(role) < rank(member.role) {
        changes.extend(withdraw_sent_invitations(&mut tx, &permit, &member.id, now).await?);
    }
    let event = Event::new(EventKind::MemberRoleChanged, member.id.as_str(), &member.name);
    tx.save(&permit, event.with(changes), now).await?;
    Ok(member.name)
}

fn must_be_in(context: &OrgContext, member: &Member) -> Result<(), OpError> {
    match member.removed_at {
        None => Ok(()),
        Some(_) => Err(OpError::Conflict(format!("{} is no longer in {}.", member.name, context.org.name))),
    }
}

fn rank(role: OrgRole) -> u8 {
    match role {
        OrgRole::Member => 0,
        OrgRole::Admin => 1,
        OrgRole::Owner => 2,
    }
}

/// Invitations do not outlive the right to send them.
async fn withdraw_sent_invitations(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    now: Moment,
) -> Result<Option<Change>, OpError> {
    let count = invitations::withdraw_of(tx, permit, person, now).await?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Ok((count > 0).then(|| Change::removed("open_invitations", ChangeValue::Count(count))))
}

/// A member who was disabled or removed.
pub struct Out {
    /// The member's name.
    pub name: String,
    /// They have live keys to decide about.
    pub has_keys: bool,
}

/// Ends all sessions of the member at once. Role, teams and keys stay as they are.
///
/// # Errors
/// `Conflict` for the last active owner, and when the member is disabled already.
pub async fn disable(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<Out, OpError> {
    let now = desk.now();
    let Act { mut tx, context, member, permit } =
        begin(desk, caller, org, id, Action::DisableMember, None).await?;
    if !member.active() {
        return Err(OpError::Conflict(format!("{} is already disabled.", member.name)));
    }
    invitations::withdraw_for(&mut tx, &permit, &member.email, now).await?;
    if !members::disable(&mut tx, &permit, &member.id, now).await? {
        return Err(OpError::Conflict(LAST_OWNER.into()));
    }
    let changes = withdraw_sent_invitations(&mut tx, &permit, &member.id, now).await?;
    sessions::end_all(&mut tx, &permit, &member.id, now).await?;
    let has_keys = !keys::list_of_owner(&mut tx, &context.org.id, &member.id, true).await?.is_empty();
    let event = Event::new(EventKind::MemberDisabled, member.id.as_str(), &member.name);
    tx.save(&permit, event.with(changes), now).await?;
    Ok(Out { name: member.name, has_keys })
}

/// Gives a disabled member access again, with the same role and teams. Returns the name.
///
/// # Errors
/// `ReauthRequired` for an owner or an admin when the caller signed in too long ago; `Conflict` when the member is not
/// disabled.
pub async fn enable(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<String, OpError> {
    let now = desk.now();
    let Act { mut tx, context, member, permit } =
        begin(desk, caller, org, id, Action::EnableMember, None).await?;
    if member.removed_at.is_some() {
        return Err(OpError::Conflict(format!(
            "{} was removed from {}. Send a new invitation instead.",
            member.name, context.org.name
        )));
    }
    if member.role != OrgRole::Member {
        caller.require_recent_auth(now)?;
    }
    invitations::withdraw_for(&mut tx, &permit, &member.email, now).await?;
    if !members::enable(&mut tx, &permit, &member.id).await? {
        return Err(OpError::Conflict(format!("{} is already active.", member.name)));
    }
    tx.save(&permit, Event::new(EventKind::MemberEnabled, member.id.as_str(), &member.name), now).await?;
    Ok(member.name)
}

/// Takes the member out of the organisation and its teams, and ends all their sessions. Their keys stay theirs until an
/// admin decides about them.
///
/// # Errors
/// `Conflict` for the last active owner, and when they are out already; `ReauthRequired` when the caller signed in too
/// long ago.
pub async fn remove(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<Out, OpError> {
    let now = desk.now();
    let act = begin(desk, caller, org, id, Action::RemoveMember, None).await?;
    caller.require_recent_auth(now)?;
    take_out(act, EventKind::MemberRemoved, now).await
}

/// Leaves the organisation. Returns its name. The caller's sessions go on, for the other organisations; access to this
/// one ends with this write.
///
/// # Errors
/// `Conflict` for the last active owner.
pub async fn leave(desk: &Desk, caller: &Caller, org: &str) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, org).await?;
    let context = open_org(&mut tx, caller, org).await?;
    let permit = context.permit(Action::Leave, On::Org)?;
    let (member, _) = find(&mut tx, &context, caller.person.id.as_str()).await?;
    let name = context.org.name.clone();
    take_out(Act { tx, context, member, permit }, EventKind::MemberLeft, now).await?;
    Ok(name)
}

async fn take_out(act: Act, kind: EventKind, now: Moment) -> Result<Out, OpError> {
    let Act { mut tx, context, member, permit } = act;
    must_be_in(&context, &member)?;
    let teams = teams::of_person(&mut tx, &context.org.id, &member.id).await?;
    invitations::withdraw_for(&mut tx, &permit, &member.email, now).await?;
    if !members::remove(&mut tx, &permit, &member.id, now).await? {
        return Err(OpError::Conflict(LAST_OWNER.into()));
    }
    let mut changes = vec![Change::removed("role", Choice::from(member.role))];
    if !teams.is_empty() {
        let names = teams.iter().map(|team| team.name.clone()).collect();
        changes.push(Change::removed("teams", ChangeValue::List(names)));
    }
    changes.extend(withdraw_sent_invitations(&mut tx, &permit, &member.id, now).await?);
    if kind == EventKind::MemberRemoved {
        sessions::end_all(&mut tx, &permit, &member.id, now).await?;
    }
    let has_keys = !keys::list_of_owner(&mut tx, &context.org.id, &member.id, true).await?.is_empty();
    tx.save(&permit, Event::new(kind, member.id.as_str(), &member.name).with(changes), now).await?;
    Ok(Out { name: member.name, has_keys })
}

/// What the page before leaving says.
pub struct LeaveView {
    /// The organisation to leave.
    pub context: OrgContext,
    /// How many live keys the caller owns there.
    pub live_keys: usize,
}

/// # Errors
/// `Forbidden` for support, who cannot leave.
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
    must_be_in(&view.context, &view.member)?;
    Ok(view)
}
