//! Who is in a team and what they are there. Somebody who looks after a team acts on its members and on no owner or admin;
//! making somebody a team's admin is a change of role and asks for a fresh sign-in. Whoever is removed leaves their keys
//! in the team.

use serde::{Deserialize, Serialize};

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{find_seen, must_be_in_use};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::ids::PersonId;
use crate::domain::moment::Moment;
use crate::domain::person::{Email, PersonName};
use crate::domain::policy::{Action, MemberFacts, On, OrgRole, Permit};
use crate::domain::team::{TeamRole, WholeTeam};
use crate::forms::reauth::Reauth;
use crate::store::members::{self, Member};
use crate::store::teams::{self, NewTeamMember, TeamPerson};
use crate::store::{Tx, Via, invitations, people};

/// A list of people to choose from ends here.
const MAX_PEOPLE: i64 = 1_000;

/// What the form for adding somebody is drawn from.
pub struct AddView {
    pub context: OrgContext,
    pub team: WholeTeam,
    /// Who is active in the organisation and not in the team; `None` where the caller has to type an address, because a
    /// team's admin has no list of the organisation's people.
    pub people: Option<Vec<PersonName>>,
    pub now: Moment,
}

/// # Errors
/// `Forbidden` when the caller does not look after the team's people; `Conflict` when the team is archived.
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

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddForm {
    pub org: String,
    pub id: String,
    /// Chosen from the list.
    pub person: String,
    /// Typed, where there is no list.
    pub email: String,
    pub role: String,
    pub reauth: Reauth,
}

/// Answers who was added.
///
/// # Errors
/// `Invalid` with the field that is wrong; `ReauthRequired` when a team's admin is made and the caller's proof is old.
pub async fn add(desk: &Desk, caller: &Caller, form: &AddForm) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let team = find_seen(&mut tx, &context, &form.id, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let role = parse_role(&form.role)?;
    let member = chosen(&mut tx, &context, form).await?;
    let permit = permit_for(&context, &team, &member)?;
    if role == TeamRole::Admin {
        caller.require_recent_auth(now)?;
    }
    let place = NewTeamMember { team: &team.id, person: &member.id, role, now };
    if !teams::add_person(&mut tx, &permit, &place).await? {
        let field = if form.person.is_empty() { "email" } else { "person" };
        return Err(OpError::say(field, format!("{} is in this team already.", member.name)));
    }
    save(tx, &permit, EventKind::TeamPersonAdded, &team, &member, (None, Some(role)), now).await?;
    Ok(member.name)
}

fn parse_role(text: &str) -> Result<TeamRole, OpError> {
    TeamRole::parse(text).ok_or_else(|| OpError::say("role", "Choose Member or Team admin."))
}

/// Who was chosen from the list, or whose address was typed.
async fn chosen(via: &mut impl Via, context: &OrgContext, form: &AddForm) -> Result<Member, OpError> {
    let org = &context.org.id;
    if !form.person.is_empty() && context.principal.runs_org() {
        let gone = || OpError::say("person", "That person is not active here any more. Choose another.");
        let id = PersonId::parse(&form.person).ok_or_else(gone)?;
        return members::find(via, org, &id).await?.filter(Member::active).ok_or_else(gone);
    }
    if form.email.trim().is_empty() && context.principal.runs_org() {
        return Err(OpError::say("person", "Choose somebody."));
    }
    let email = Email::parse(&form.email).map_err(|problem| OpError::say("email", problem.to_string()))?;
    let member = members::find_by_email(via, org, &email).await?.filter(Member::active);
    member.ok_or_else(|| {
        let sentence = format!(
            "Nobody active in {} has the address {}. Check it, or invite them first.",
            context.org.name,
            email.as_str()
        );
        OpError::say("email", sentence)
    })
}

/// For acting on this person's place in the team: somebody who looks after it acts on no owner or admin.
fn permit_for(context: &OrgContext, team: &WholeTeam, member: &Member) -> Result<Permit, OpError> {
    let teams = [team.id.clone()];
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &teams };
    context.permit(Action::ManageTeamPeople, On::TeamMember(&team.id, facts))
}

/// Somebody's place in a team, and what the caller may do about it.
pub struct PersonView {
    pub context: OrgContext,
    pub team: WholeTeam,
    pub person: TeamPerson,
    pub now: Moment,
}

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

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersonForm {
    pub org: String,
    pub id: String,
    pub person: String,
    pub role: String,
    pub reauth: Reauth,
}

/// Answers the person's name.
///
/// # Errors
/// `ReauthRequired` when the caller's proof is old; `Conflict` when they are that already.
pub async fn set_role(desk: &Desk, caller: &Caller, form: &PersonForm) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let team = find_seen(&mut tx, &context, &form.id, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    let (person, member) = find_in_team(&mut tx, &context, &team, &form.person).await?;
    let permit = permit_for(&context, &team, &member)?;
    must_be_in_use(&team)?;
    let role = parse_role(&form.role)?;
    caller.require_recent_auth(now)?;
    if !teams::set_role(&mut tx, &permit, &team.id, &person.id, role).await? {
        let sentence = format!("{} is {} of {} already.", person.name, words(role), team.spec.name);
        return Err(OpError::Conflict(sentence));
    }
    if role == TeamRole::Member {
        take_back_invitations(&mut tx, &permit, &team, &member, now).await?;
    }
    let change = (Some(person.role), Some(role));
    save(tx, &permit, EventKind::TeamPersonChanged, &team, &member, change, now).await?;
    Ok(person.name)
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoveForm {
    pub org: String,
    pub id: String,
    pub person: String,
}

/// Takes somebody out of the team, and leaves their keys in it. Answers the person's name.
pub async fn remove(desk: &Desk, caller: &Caller, form: &RemoveForm) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let team = find_seen(&mut tx, &context, &form.id, now).await?;
    context.permit(Action::ManageTeamPeople, On::Team(&team.id))?;
    let (person, member) = find_in_team(&mut tx, &context, &team, &form.person).await?;
    let permit = permit_for(&context, &team, &member)?;
    must_be_in_use(&team)?;
    if !teams::remove_person(&mut tx, &permit, &team.id, &person.id).await? {
        return Err(OpError::Conflict(format!("{} is not in this team any more.", person.name)));
    }
    take_back_invitations(&mut tx, &permit, &team, &member, now).await?;
    let change = (Some(person.role), None);
    save(tx, &permit, EventKind::TeamPersonRemoved, &team, &member, change, now).await?;
    Ok(person.name)
}

/// Invitations into the team do not outlive the right to send them; owners and admins keep it without a place in the team.
async fn take_back_invitations(
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

fn words(role: TeamRole) -> &'static str {
    match role {
        TeamRole::Member => "a member",
        TeamRole::Admin => "an admin",
    }
}

/// The event names the person; the role says what they were and are.
async fn save(
    tx: Tx,
    permit: &Permit,
    kind: EventKind,
    team: &WholeTeam,
    member: &Member,
    (before, after): (Option<TeamRole>, Option<TeamRole>),
    now: Moment,
) -> Result<(), OpError> {
    let side = |role: Option<TeamRole>| role.map(|role| format!("{}: {}", member.name, role.words()));
    let change = Change { field: "person".into(), before: side(before), after: side(after) };
    let event = Event::new(kind, team.id.as_str(), &team.spec.name).with(vec![change]);
    Ok(tx.save(permit, event, now).await?)
}
