//! Invitations: into an organisation, with a role and perhaps a team, by a link that works once, for seven days. The
//! token is given out once, by whoever makes the link; the database keeps its hash. Nobody grants more than they hold.

use crate::store::Unaudited;
use serde::{Deserialize, Serialize};

use super::access::{self, Caller, OrgContext, open_org, person_of};
use super::{OpError, links as link_ops};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{InvitationId, PersonId, TeamId};
use crate::domain::moment::Moment;
use crate::domain::person::{Email, visible_name};
pub use crate::domain::policy::Origin;
use crate::domain::policy::{self, Action, MemberFacts, On, OrgRole, Permit, PlatformRole, Principal};
use crate::domain::team::{Team, TeamRole};
use crate::forms::reauth::Reauth;
use crate::passwords::check_new;
use crate::store::invitations::{self, Invitation, NewRow};
use crate::store::people::{self, NewPerson};
use crate::store::teams::{self, NewTeamMember};
use crate::store::throttle::{self, Throttled};
use crate::store::{ConstraintViolation, StoreError, Tx, Via, members};

const DAY_MS: i64 = 86_400_000;
pub const DAYS: i64 = 7;
/// Links made for one organisation in an hour, first ones and new ones: mail in somebody's name is not for floods.
const AN_HOUR: i64 = 100;

/// Whom to invite, checked.
pub struct NewInvitation<'a> {
    pub email: &'a Email,
    pub role: OrgRole,
    /// The team to join, and whether to look after it.
    pub team: Option<(TeamId, bool)>,
}

/// Makes an invitation and its link inside the caller's transaction; the caller saves the event (`invited`). The token
/// is returned here and nowhere else.
///
/// # Errors
/// `Invalid` on `email` when there is an open invitation to the address already, on `team` when the team is not there.
pub async fn issue(
    desk: &Desk,
    tx: &mut Tx,
    permit: &Permit,
    new: &NewInvitation<'_>,
    now: Moment,
) -> Result<String, OpError> {
    Ok(issue_as(desk, tx, permit, new, now).await?.1)
}

async fn issue_as(
    desk: &Desk,
    tx: &mut Tx,
    permit: &Permit,
    new: &NewInvitation<'_>,
    now: Moment,
) -> Result<(InvitationId, String), OpError> {
    if let Some((team, _)) = &new.team
        && !teams::in_use(tx, permit.org()).await?.iter().any(|known| known.id == *team)
    {
        return Err(OpError::say("team", "That team is not there any more. Choose another."));
    }
    let token = link_ops::new_token(desk);
    let id = InvitationId::new(now, desk.id_entropy());
    let row = NewRow {
        id: &id,
        email: new.email,
        role: new.role,
        team: new.team.as_ref().map(|(team, admin)| (team, *admin)),
        hash: &link_ops::hash(&token),
        invited_by: person_of(permit),
        expires_at: now.plus_ms(DAYS * DAY_MS),
    };
    invitations::insert(tx, permit, &row, now).await.map_err(|error| match error {
        StoreError::ConstraintViolation(ConstraintViolation::Invitation) => OpError::say(
            "email",
            format!(
                "There is an open invitation to {} already. Send it again or withdraw it on the page Members.",
                new.email.as_str()
            ),
        ),
        other => other.into(),
    })?;
    Ok((id, token))
}

/// What the audit tells of a new invitation. `team` is the team's name.
pub fn invited(new: &NewInvitation<'_>, team: Option<&str>) -> Event {
    let mut changes = vec![after("role", new.role.as_str())];
    if let (Some(team), Some((_, admin))) = (team, &new.team) {
        changes.push(after("team", place_in(team, *admin)));
    }
    Event::new(EventKind::MemberInvited, new.email.as_str(), new.email.as_str()).with(changes)
}

fn after(field: &str, value: impl Into<String>) -> Change {
    Change { field: field.into(), before: None, after: Some(value.into()) }
}

/// A place in a team, in words.
pub fn place_in(team: &str, admin: bool) -> String {
    if admin { format!("{team}, team admin") } else { team.to_owned() }
}

/// As a browser sends it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InviteForm {
    pub org: String,
    pub email: String,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// A team's id; empty is no team.
    pub team: String,
    /// `admin` or `member`; without a team it says nothing.
    pub team_role: String,
    pub reauth: Reauth,
}

/// What the form is drawn from.
pub struct InviteView {
    pub context: OrgContext,
    /// What the caller may grant.
    pub roles: Vec<OrgRole>,
    /// Those the caller may invite into.
    pub teams: Vec<Team>,
    pub now: Moment,
}

/// # Errors
/// `Forbidden` when the caller may invite nobody.
pub async fn blank(desk: &Desk, caller: &Caller, slug: &str) -> Result<InviteView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::Invite, On::Org)?;
    let teams = teams_to_choose(&mut read, &context).await?;
    Ok(InviteView { roles: roles_to_grant(&context.principal), teams, context, now: desk.now() })
}

/// The roles that somebody of this standing may give.
pub fn roles_to_grant(principal: &Principal) -> Vec<OrgRole> {
    match principal.role() {
        Some(OrgRole::Owner) => vec![OrgRole::Member, OrgRole::Admin, OrgRole::Owner],
        Some(OrgRole::Admin) => vec![OrgRole::Member, OrgRole::Admin],
        Some(OrgRole::Member) | None => vec![OrgRole::Member],
    }
}

async fn teams_to_choose(via: &mut impl Via, context: &OrgContext) -> Result<Vec<Team>, OpError> {
    let mut teams = teams::in_use(via, &context.org.id).await?;
    if !context.principal.runs_org() {
        teams.retain(|team| context.principal.admin_of().contains(&team.id));
    }
    Ok(teams)
}

/// A link that was just made: the one answer that holds its token.
pub struct Issued {
    pub id: InvitationId,
    pub token: Hidden,
    pub email: Email,
    pub org_name: String,
    pub invited_by: String,
    pub role: OrgRole,
}

/// # Errors
/// `Invalid` with every mistake; `Forbidden` when the caller may not grant that much; `ReauthRequired` when an owner or an admin
/// is invited and the caller is not fresh.
pub async fn invite(desk: &Desk, caller: &Caller, form: &InviteForm) -> Result<Issued, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, &form.org).await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    context.permit(Action::Invite, On::Org)?;
    let teams = teams_to_choose(&mut tx, &context).await?;
    let (email, role, team) = parse(form, &context, &teams).map_err(OpError::Invalid)?;
    let known = members::find_by_email(&mut tx, &context.org.id, &email).await?;
    let nobody = PersonId::new(now, desk.id_entropy());
    let invited_teams: Vec<TeamId> = team.iter().map(|(team, _)| team.id.clone()).collect();
    let person = known.as_ref().map_or(&nobody, |member| &member.id);
    let facts = MemberFacts { person, role, becomes: None, teams: &invited_teams };
    let permit = context.permit(Action::Invite, On::Member(facts))?;
    if let Some(member) = &known {
        if member.active() {
            let sentence = format!("{} is in {} already.", email.as_str(), context.org.name);
            return Err(OpError::say("email", sentence));
        }
        // Who is disabled was so on purpose: they come back through whoever may enable them.
        let there = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &[] };
        if member.removed_at.is_none() && !context.may(Action::EnableMember, On::Member(there)) {
            let sentence = format!(
                "{} is disabled in {}. An owner or an admin can enable them.",
                member.name, context.org.name
            );
            return Err(OpError::say("email", sentence));
        }
    }
    if role != OrgRole::Member || team.is_some_and(|(_, admin)| admin) {
        caller.require_recent_auth(now)?;
    }
    count(&mut tx, &permit, now).await?;
    let place = team.map(|(team, admin)| (team.id.clone(), admin));
    let new = NewInvitation { email: &email, role, team: place };
    let (id, token) = issue_as(desk, &mut tx, &permit, &new, now).await?;
    let event = invited(&new, team.map(|(team, _)| team.name.as_str()));
    tx.save(&permit, event, now).await?;
    Ok(Issued {
        id,
        token: Hidden::new(token),
        role,
        email,
        org_name: context.org.name,
        invited_by: caller.person.name.clone(),
    })
}

type Parsed<'a> = (Email, OrgRole, Option<(&'a Team, bool)>);

fn parse<'a>(
    form: &InviteForm,
    context: &OrgContext,
    teams: &'a [Team],
) -> Result<Parsed<'a>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let email = Email::parse(&form.email).map_err(|p| errors.push(FieldError::new("email", p)));
    let role = OrgRole::parse(&form.role).filter(|role| roles_to_grant(&context.principal).contains(role));
    if role.is_none() {
        errors.push(FieldError::say("role", "Choose one of the roles that you may give."));
    }
    let team = teams.iter().find(|team| team.id.as_str() == form.team);
    if team.is_none() && (!form.team.is_empty() || !context.principal.runs_org()) {
        errors.push(FieldError::say("team", "Choose one of the teams that you may invite into."));
    }
    let admin = form.team_role == "admin";
    if !admin && !["", "member"].contains(&form.team_role.as_str()) {
        errors.push(FieldError::say("team_role", "Choose Member or Team admin."));
    }
    match (email, role, errors.is_empty()) {
        (Ok(email), Some(role), true) => Ok((email, role, team.map(|team| (team, admin)))),
        _ => Err(errors),
    }
}

/// Counts a link made for the organisation.
async fn count(tx: &mut Tx, permit: &Permit, now: Moment) -> Result<(), OpError> {
    let hour = now.ms() - now.ms().rem_euclid(3_600_000);
    let org = permit.org().as_str();
    throttle::count(tx, Throttled::Invitation, org, now, Moment::from_ms(hour)).await?;
    match throttle::find(tx, Throttled::Invitation, org).await? {
        Some((times, _)) if times > AN_HOUR => {
            Err(OpError::TooMany { retry_after_s: (hour + 3_600_000 - now.ms()) / 1_000 + 1 })
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvitationRef {
    pub org: String,
    pub id: String,
    pub reauth: Reauth,
}

/// The open invitation, if the caller could have sent it.
async fn find_open(
    via: &mut impl Via,
    context: &OrgContext,
    id: &str,
) -> Result<(Invitation, Permit), OpError> {
    context.permit(Action::Invite, On::Org)?;
    let id = InvitationId::parse(id).ok_or(OpError::NotFound)?;
    let invitation = invitations::find(via, &context.org.id, &id).await?.ok_or_else(|| {
        OpError::Conflict("This invitation is not open any more: it was taken up or withdrawn.".into())
    })?;
    let permit = permit_on(context, &invitation)?;
    Ok((invitation, permit))
}

fn permit_on(context: &OrgContext, invitation: &Invitation) -> Result<Permit, OpError> {
    let (nobody, teams) = (PersonId::new(Moment::from_ms(0), [0; 10]), invitation.team_ids());
    let facts = MemberFacts { person: &nobody, role: invitation.role, becomes: None, teams: &teams };
    context.permit(Action::Invite, On::Invitation(&invitation.id, facts))
}

/// Whether the caller could have sent it, and may so see it, send it again and withdraw it.
pub fn is_theirs(context: &OrgContext, invitation: &Invitation) -> bool {
    let (nobody, teams) = (PersonId::new(Moment::from_ms(0), [0; 10]), invitation.team_ids());
    let facts = MemberFacts { person: &nobody, role: invitation.role, becomes: None, teams: &teams };
    policy::allows(&context.principal, Action::Invite, On::Member(facts))
}

/// A new link for another seven days; the old one is dead.
///
/// # Errors
/// `Conflict` when the invitation was taken up or withdrawn; `TooMany` when the organisation sent very many.
pub async fn resend(desk: &Desk, caller: &Caller, form: &InvitationRef) -> Result<Issued, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, &form.org).await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let (invitation, permit) = find_open(&mut tx, &context, &form.id).await?;
    if invitation.role != OrgRole::Member || invitation.team.as_ref().is_some_and(|(_, admin)| *admin) {
        caller.require_recent_auth(now)?;
    }
    count(&mut tx, &permit, now).await?;
    let token = link_ops::new_token(desk);
    let expires_at = now.plus_ms(DAYS * DAY_MS);
    if !invitations::renew(
        &mut tx,
        &permit,
        (&invitation.id, &invitation.email),
        &link_ops::hash(&token),
        expires_at,
    )
    .await?
    {
        return Err(OpError::Conflict(
            "This invitation is not open any more: it was taken up or withdrawn.".into(),
        ));
    }
    let email = invitation.email.as_str();
    tx.save(&permit, Event::new(EventKind::InvitationResent, email, email), now).await?;
    Ok(Issued {
        id: invitation.id,
        token: Hidden::new(token),
        email: invitation.email,
        org_name: context.org.name,
        invited_by: caller.person.name.clone(),
        role: invitation.role,
    })
}

/// Ends the link at once. Returns the address that was invited.
///
/// # Errors
/// `Conflict` when it was taken up or withdrawn first.
pub async fn withdraw(desk: &Desk, caller: &Caller, form: &InvitationRef) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let (invitation, permit) = find_open(&mut tx, &context, &form.id).await?;
    if !invitations::withdraw(&mut tx, &permit, (&invitation.id, &invitation.email), now).await? {
        return Err(OpError::Conflict(
            "This invitation is not open any more: it was taken up or withdrawn.".into(),
        ));
    }
    let email = invitation.email.as_str().to_owned();
    tx.save(&permit, Event::new(EventKind::InvitationWithdrawn, &email, &email), now).await?;
    Ok(email)
}

/// A mail with the link was handed over to the mail server.
pub async fn mailed(desk: &Desk, caller: &Caller, slug: &str, id: &InvitationId) -> Result<(), OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let (invitation, permit) = find_open(&mut tx, &context, id.as_str()).await?;
    invitations::mailed(&mut tx, &permit, &invitation.id, now).await?;
    Ok(tx.save_unaudited(Unaudited::InvitationMailed).await?)
}

/// One open invitation, for the page that shows its link once.
///
/// # Errors
/// `NotFound` when it is not open, or not the caller's to see.
pub async fn show(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &str,
) -> Result<(OrgContext, Invitation), OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let id = InvitationId::parse(id).ok_or(OpError::NotFound)?;
    let invitation = invitations::find(&mut read, &context.org.id, &id).await?.ok_or(OpError::NotFound)?;
    permit_on(&context, &invitation)?;
    Ok((context, invitation))
}

/// What the card behind the link shows.
pub struct Offer {
    pub invitation: Invitation,
    /// Somebody signs in with the address already: they only have to say yes.
    pub known: bool,
}

/// `None` when the link is unknown, used, withdrawn or late, or its organisation suspended.
pub async fn find(desk: &Desk, token: &str) -> Result<Option<Offer>, OpError> {
    let mut read = desk.db.read().await?;
    let found = invitations::find_by_hash(&mut read, &link_ops::hash(token), desk.now()).await?;
    let Some(invitation) = found else { return Ok(None) };
    let known = people::has_email(&mut read, &invitation.email).await?;
    Ok(Some(Offer { invitation, known }))
}

/// As a browser sends it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcceptForm {
    pub token: Hidden,
    pub name: String,
    pub password: Hidden,
}

/// Somebody who is in now.
pub struct Joined {
    pub person: PersonId,
    pub org_slug: String,
    pub org_name: String,
}

/// Makes the person and takes them in. The invitation's address is theirs to sign in with.
///
/// # Errors
/// `NotFound` when the link does not work; `Invalid` with every mistake; `Conflict` when somebody signs in with the
/// address already.
pub async fn accept_new(desk: &Desk, form: &AcceptForm, from: &Origin) -> Result<Joined, OpError> {
    let offer = find(desk, form.token.as_str()).await?.ok_or(OpError::NotFound)?;
    let email = offer.invitation.email.clone();
    if offer.known {
        return Err(already_known(&email));
    }
    let mut errors = Vec::new();
    let name = visible_name(&form.name, "Name", 100).map_err(|p| errors.push(FieldError::new("name", p)));
    let about = [email.as_str(), form.name.as_str(), offer.invitation.org_name.as_str()];
    if let Err(problem) = check_new(form.password.as_str(), &about) {
        errors.push(FieldError::new("password", problem));
    }
    let (Ok(name), true) = (name, errors.is_empty()) else { return Err(OpError::Invalid(errors)) };
    let password_hash = desk
        .passwords
        .hash(form.password.as_str().to_owned(), desk.bytes())
        .await
        .ok_or_else(OpError::stopping)?;
    let now = desk.now();
    let id = PersonId::new(now, desk.id_entropy());
    let mut tx = desk.db.write().await?;
    let invitation = take(&mut tx, form.token.as_str(), now).await?;
    let new = NewPerson {
        id: &id,
        name: &name,
        email: &email,
        password_hash: &password_hash,
        platform: PlatformRole::None,
    };
    let origin = Origin { address: from.address.clone(), request_id: from.request_id.clone() };
    let joiner = (id.clone(), name.clone());
    let principal =
        Principal::new(invitation.org.clone(), joiner, Some(invitation.role), PlatformRole::None, origin);
    let permit = policy::permit(&principal, Action::Join, On::Org)?;
    people::insert_person(&mut tx, &permit, &new, now).await.map_err(|error| match error {
        StoreError::ConstraintViolation(ConstraintViolation::Email) => already_known(&email),
        other => other.into(),
    })?;
    join(tx, invitation, &principal, now).await
}

fn already_known(email: &Email) -> OpError {
    OpError::Conflict(format!("Somebody signs in with {} already. Sign in to join.", email.as_str()))
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JoinForm {
    pub token: Hidden,
}

/// Takes in somebody who signs in here already.
///
/// # Errors
/// `NotFound` when the link does not work; `Conflict` when it is for another address than the caller's.
pub async fn accept_known(desk: &Desk, caller: &Caller, form: &JoinForm) -> Result<Joined, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let invitation = take(&mut tx, form.token.as_str(), now).await?;
    if invitation.email.as_str() != caller.person.email {
        return Err(OpError::Conflict(format!(
            "This invitation is for {}, and you are signed in as {}. Sign out first.",
            invitation.email.as_str(),
            caller.person.email
        )));
    }
    let principal = access::principal(caller, &invitation.org, Some(invitation.role));
    join(tx, invitation, &principal, now).await
}

/// Uses the link up, inside the transaction that takes its person in.
async fn take(tx: &mut Tx, token: &str, now: Moment) -> Result<Invitation, OpError> {
    let hash = link_ops::hash(token);
    let invitation = invitations::find_by_hash(tx, &hash, now).await?.ok_or(OpError::NotFound)?;
    match invitations::take(tx, &hash, now).await? {
        true => Ok(invitation),
        false => Err(OpError::NotFound),
    }
}

async fn join(
    mut tx: Tx,
    invitation: Invitation,
    principal: &Principal,
    now: Moment,
) -> Result<Joined, OpError> {
    let permit = policy::permit(principal, Action::Join, On::Org)?;
    if !members::join(&mut tx, &permit, principal.person(), invitation.role, now).await? {
        return Err(OpError::Conflict(format!("You are in {} already.", invitation.org_name)));
    }
    let mut changes = vec![after("role", invitation.role.as_str())];
    if let Some((team, admin)) = &invitation.team {
        let role = if *admin { TeamRole::Admin } else { TeamRole::Member };
        let place = NewTeamMember { team: &team.id, person: principal.person(), role, now };
        teams::add_person(&mut tx, &permit, &place).await?;
        changes.push(after("team", place_in(&team.name, *admin)));
    }
    changes.push(after("email", invitation.email.as_str()));
    changes.push(after("invited by", invitation.invited_by.as_deref().unwrap_or("command line")));
    let event = Event::new(EventKind::MemberJoined, principal.person().as_str(), invitation.role.as_str());
    tx.save(&permit, event.with(changes), now).await?;
    Ok(Joined {
        person: principal.person().clone(),
        org_slug: invitation.org_slug,
        org_name: invitation.org_name,
    })
}
