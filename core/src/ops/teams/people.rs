//! The people of a team and their roles there. A team admin acts on members, never on owners or admins of the
//! organisation. Making a team admin requires a recent sign-in. A person who is removed leaves their keys in the team.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{find_seen, must_be_in_use};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::PersonId;
use crate::domain::member::{AddToTeam, Member, NewTeamPerson, TeamPerson};
use crate::domain::moment::Moment;
use crate::domain::person::PersonName;
use crate::domain::policy::{Action, MemberFacts, On, OrgRole, Permit};
use crate::domain::team::{TeamRole, WholeTeam};
use crate::store::teams::{self, NewTeamMember};
use crate::store::{Tx, Via, invitations, members, people};

/// A list of people to choose from ends here.
const MAX_PEOPLE: i64 = 1_000;

/// What the form for adding a person is drawn from.
pub struct AddView {
    /// The team's organisation.
    pub context: OrgContext,
    /// The team.
    pub team: WholeTeam,
    /// Active members of the organisation who are not in the team; `None` where the caller types an address, because team
    /// admins have no list of the organisation's members.
    pub people: Option<Vec<PersonName>>,
    /// When it was read.
    pub now: Moment,
}

/// What the form for adding a person is drawn from.
///
/// # Errors
/// `Forbidden` when the caller may not manage the team's people; `Conflict` when the team is archived.
pub async fn add_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<AddView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let team = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let mut people = None;
    if context.principal.runs_org() {
        let org = &context.org.id;
        let inside = teams::people(&mut read, org, &team.id, MAX_PEOPLE).await?;
        let mut outside = people::active(&mut read, org, MAX_PEOPLE).await?;
        outside.retain(|person| !inside.iter().any(|other| other.id == person.id));
        people = Some(outside);
    }
    Ok(AddView { context, team, people, now })
}

/// Adds a person to the team with the id `team`. Returns the person's name.
///
/// # Errors
/// `Invalid` with the field that is wrong; `ReauthRequired` for a team admin when the caller signed in too long ago.
pub async fn add(
    desk: &Desk,
    caller: &Caller,
    org: &str,
    team: &str,
    new: &AddToTeam,
) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let team = find_seen(&mut tx, &context, team, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let member = find_member(&mut tx, &context, &new.who).await?;
    let permit = permit_for(&context, &team, &member)?;
    if new.role == TeamRole::Admin {
        caller.require_recent_auth(now)?;
    }
    let place = NewTeamMember { team: &team.id, person: &member.id, role: new.role, now };
    if !teams::add_person(&mut tx, &permit, &place).await? {
        let field = match &new.who {
            NewTeamPerson::Chosen(_) => "person",
            NewTeamPerson::Address(_) => "email",
        };
        return Err(OpError::say(field, format!("{} is already in this team.", member.name)));
    }
    let role = RoleChange { before: None, after: Some(new.role) };
    save(tx, &permit, EventKind::TeamPersonAdded, &team, &member, role, now).await?;
    Ok(member.name)
}

/// The active member who was chosen from the list or whose address was typed. Only owners and admins have the list.
async fn find_member(
    via: &mut impl Via,
    context: &OrgContext,
    who: &NewTeamPerson,
) -> Result<Member, OpError> {
    let org = &context.org.id;
    match who {
        NewTeamPerson::Chosen(id) => {
            let found = match context.principal.runs_org() {
                true => members::find(via, org, id).await?.filter(Member::active),
                false => None,
            };
            found.ok_or_else(|| {
                OpError::say("person", "This person is no longer active here. Choose another.")
            })
        }
        NewTeamPerson::Address(email) => {
            let found = members::find_by_email(via, org, email).await?.filter(Member::active);
            found.ok_or_else(|| {
                let (org, email) = (&context.org.name, email.as_str());
                let sentence =
                    format!("{org} has no active member {email}. Check the address, or invite them first.");
                OpError::say("email", sentence)
            })
        }
    }
}

/// For acting on this person in the team: a team admin acts on no owner or admin of the organisation.
fn permit_for(context: &OrgContext, team: &WholeTeam, member: &Member) -> Result<Permit, OpError> {
    let teams = [team.id.clone()];
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &teams };
    context.permit(Action::ManageTeamPeople, On::TeamMember(&team.id, facts))
}

/// The page of a person in a team.
pub struct PersonView {
    /// The team's organisation.
    pub context: OrgContext,
    /// The team.
    pub team: WholeTeam,
    /// The person.
    pub person: TeamPerson,
    /// When it was read.
    pub now: Moment,
}

/// The page of a person in a team.
///
/// # Errors
/// `NotFound` when they are not in the team; `Forbidden` when the caller may not act on them.
pub async fn person_form(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &str,
    person: &str,
) -> Result<PersonView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let team = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    let (person, member) = find_in_team(&mut read, &context, &team, person).await?;
    permit_for(&context, &team, &member)?;
    must_be_in_use(&team)?;
    Ok(PersonView { context, team, person, now })
}

async fn find_in_team(
    via: &mut impl Via,
    context: &OrgContext,
    team: &WholeTeam,
    person: &str,
) -> Result<(TeamPerson, Member), OpError> {
    let id = PersonId::parse(person).ok_or(OpError::NotFound)?;
    let org = &context.org.id;
    let inside = teams::person(via, org, &team.id, &id).await?.ok_or(OpError::NotFound)?;
    let member = members::find(via, org, &id).await?.ok_or(OpError::NotFound)?;
    Ok((inside, member))
}

/// Names a person in a team.
#[derive(Clone, Copy, Debug)]
pub struct TeamPersonRef<'a> {
    /// The organisation's slug.
    pub org: &'a str,
    /// The team's id.
    pub team: &'a str,
    /// The person's id.
    pub person: &'a str,
}

/// What an action on a person in a team starts from.
struct Act {
    tx: Tx,
    team: WholeTeam,
    person: TeamPerson,
    member: Member,
    permit: Permit,
}

async fn begin(desk: &Desk, caller: &Caller, on: TeamPersonRef<'_>, now: Moment) -> Result<Act, OpError> {
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, on.org).await?;
    let team = find_seen(&mut tx, &context, on.team, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    let (person, member) = find_in_team(&mut tx, &context, &team, on.person).await?;
    let permit = permit_for(&context, &team, &member)?;
    must_be_in_use(&team)?;
    Ok(Act { tx, team, person, member, permit })
}

/// Returns the person's name.
///
/// # Errors
/// `ReauthRequired` when the caller signed in too long ago; `Conflict` when the person has the role already.
pub async fn set_role(
    desk: &Desk,
    caller: &Caller,
    on: TeamPersonRef<'_>,
    role: TeamRole,
) -> Result<String, OpError> {
    let now = desk.now();
    let Act { mut tx, team, person, member, permit } = begin(desk, caller, on, now).await?;
    caller.require_recent_auth(now)?;
    if !teams::set_role(&mut tx, &permit, &team.id, &person.id, role).await? {
        let role = if role == TeamRole::Admin { "an admin" } else { "a member" };
        return Err(OpError::Conflict(format!("{} is already {role} of {}.", person.name, team.spec.name)));
    }
    if role == TeamRole::Member {
        withdraw_sent_invitations(&mut tx, &permit, &team, &member, now).await?;
    }
    let change = RoleChange { before: Some(person.role), after: Some(role) };
    save(tx, &permit, EventKind::TeamPersonChanged, &team, &member, change, now).await?;
    Ok(person.name)
}

/// Removes a person from the team and leaves their keys in it. Returns the person's name.
///
/// # Errors
/// `Conflict` when they are out already.
pub async fn remove(desk: &Desk, caller: &Caller, on: TeamPersonRef<'_>) -> Result<String, OpError> {
    let now = desk.now();
    let Act { mut tx, team, person, member, permit } = begin(desk, caller, on, now).await?;
    if !teams::remove_person(&mut tx, &permit, &team.id, &person.id).await? {
        return Err(OpError::Conflict(format!("{} is no longer in this team.", person.name)));
    }
    withdraw_sent_invitations(&mut tx, &permit, &team, &member, now).await?;
    let change = RoleChange { before: Some(person.role), after: None };
    save(tx, &permit, EventKind::TeamPersonRemoved, &team, &member, change, now).await?;
    Ok(person.name)
}

/// Invitations to the team do not outlive the right to send them, which owners and admins keep.
async fn withdraw_sent_invitations(
    tx: &mut Tx,
    permit: &Permit,
    team: &WholeTeam,
    member: &Member,
    now: Moment,
) -> Result<(), OpError> {
    if member.role == OrgRole::Member {
        invitations::withdraw_into(tx, permit, &team.id, Some(&member.id), now).await?;
    }
    Ok(())
}

/// A person's role in a team before and after; `None` is not in the team.
struct RoleChange {
    before: Option<TeamRole>,
    after: Option<TeamRole>,
}

/// The event names the person; its change says what they were and are.
async fn save(
    tx: Tx,
    permit: &Permit,
    kind: EventKind,
    team: &WholeTeam,
    member: &Member,
    role: RoleChange,
    now: Moment,
) -> Result<(), OpError> {
    let side = |role: Option<TeamRole>| {
        role.map(|role| ChangeValue::TeamMember { name: member.name.clone(), role: role.into() })
    };
    let change = Change { field: "person".into(), before: side(role.before), after: side(role.after) };
    let event = Event::new(kind, team.id.as_str(), &team.spec.name).with([change]);
    Ok(tx.save(permit, event, now).await?)
}
