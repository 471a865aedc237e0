//! Invitations: to an organisation, with a role and perhaps a team, by a link that works once, for seven days. The token
//! is returned once, to the operation that makes the link; the database keeps its hash. A person cannot grant more than
//! their own role.

use super::access::{self, Caller, OrgContext, open_org, person_of};
use super::{OpError, links as link_ops};
use crate::Desk;
use crate::domain::audit::{Change, Choice, Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{InvitationId, PersonId, TeamId};
use crate::domain::invitation::{CHOOSE_ROLE, CHOOSE_TEAM, Invitation, Invite, grants_privilege};
use crate::domain::member::{Member, TeamMembership};
use crate::domain::moment::Moment;
use crate::domain::person::{Email, visible_name};
pub use crate::domain::policy::Origin;
use crate::domain::policy::{self, Action, MemberFacts, On, OrgRole, Permit, PlatformRole, Principal};
use crate::domain::team::Team;
use crate::passwords::check_new;
use crate::store::Unaudited;
use crate::store::invitations::{self, NewRow};
use crate::store::people::{self, NewPerson};
use crate::store::teams::{self, NewTeamMember};
use crate::store::throttle::{self, Throttled};
use crate::store::{ConstraintViolation, StoreError, Tx, Via, members};

const DAY_MS: i64 = 86_400_000;
/// How many days a link works.
pub const DAYS: i64 = 7;
/// Links made for one organisation in an hour, new and renewed: invitations are no way to flood people with mail.
const MAX_PER_HOUR: i64 = 100;

const NOT_OPEN: &str = "This invitation is no longer open: it was accepted or withdrawn.";

/// Whom to invite, checked.
pub struct NewInvitation<'a> {
    /// Who is invited.
    pub email: &'a Email,
    /// The role to join with.
    pub role: OrgRole,
    /// The team to join.
    pub team: Option<TeamMembership>,
}

/// Makes an invitation and its link inside the caller's transaction; the caller saves the event (`invited`). The token
/// is returned here and nowhere else.
///
/// # Errors
/// `Invalid` on `email` when the address has an open invitation already, on `team` when the team is not in use.
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
    if let Some(place) = &new.team
        && !teams::in_use(tx, permit.org()).await?.iter().any(|known| known.id == place.team.id)
    {
        return Err(OpError::say("team", "That team no longer exists. Choose another."));
    }
    let token = link_ops::new_token(desk);
    let id = InvitationId::new(now, desk.id_entropy());
    let row = NewRow {
        id: &id,
        email: new.email,
        role: new.role,
        team: new.team.as_ref(),
        hash: &link_ops::hash(&token),
        invited_by: person_of(permit),
        expires_at: now.plus_ms(DAYS * DAY_MS),
    };
    invitations::insert(tx, permit, &row, now).await.map_err(|error| match error {
        StoreError::ConstraintViolation(ConstraintViolation::Invitation) => OpError::say(
            "email",
            format!(
                "{} already has an open invitation. Resend or withdraw it on the Members page.",
                new.email.as_str()
            ),
        ),
        other => other.into(),
    })?;
    Ok((id, token))
}

/// The audit event of a new invitation.
pub fn invited(new: &NewInvitation<'_>) -> Event {
    let mut changes = vec![Change::added("role", Choice::from(new.role))];
    changes.extend(new.team.iter().flat_map(in_team));
    Event::new(EventKind::MemberInvited, new.email.as_str(), new.email.as_str()).with(changes)
}

fn in_team(place: &TeamMembership) -> [Change; 2] {
    [Change::added("team", place.team.name.as_str()), Change::added("team_role", Choice::from(place.role))]
}

/// What the form is drawn from.
pub struct InviteView {
    /// The organisation to invite to.
    pub context: OrgContext,
    /// The roles that the caller can give.
    pub roles: Vec<OrgRole>,
    /// The teams that the caller can invite to.
    pub teams: Vec<Team>,
    /// When it was read.
    pub now: Moment,
}

/// What an empty form is drawn from.
///
/// # Errors
/// `Forbidden` when the caller may not invite.
pub async fn blank(desk: &Desk, caller: &Caller, slug: &str) -> Result<InviteView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::Invite, On::Org)?;
    let teams = teams_to_choose(&mut read, &context).await?;
    Ok(InviteView { roles: roles_to_grant(&context.principal), teams, context, now: desk.now() })
}

/// The roles that this principal can give.
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

/// A link that was just made: the one answer with its token.
pub struct Issued {
    /// The invitation's id.
    pub id: InvitationId,
    /// The last part of the link.
    pub token: Hidden,
    /// Who is invited.
    pub email: Email,
    /// The organisation's name, for the mail.
    pub org_name: String,
    /// The inviter's name, for the mail.
    pub invited_by: String,
    /// The role to join with.
    pub role: OrgRole,
}

/// Invites a person to the organisation with the slug `org`.
///
/// # Errors
/// `Invalid` with the field that is wrong; `Forbidden` when the caller may not grant that much; `ReauthRequired` when more
/// than a plain membership is granted and the caller signed in too long ago.
pub async fn invite(desk: &Desk, caller: &Caller, org: &str, invite: &Invite) -> Result<Issued, OpError> {
    let now = desk.now();
    let (email, role) = (&invite.email, invite.role);
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, org).await?;
    let context = open_org(&mut tx, caller, org).await?;
    context.permit(Action::Invite, On::Org)?;
    if !roles_to_grant(&context.principal).contains(&role) {
        return Err(OpError::say("role", CHOOSE_ROLE));
    }
    let team = choose_team(&mut tx, &context, invite).await?;
    let known = members::find_by_email(&mut tx, &context.org.id, email).await?;
    let stranger = PersonId::new(now, desk.id_entropy());
    let invited_teams: Vec<TeamId> = team.iter().map(|place| place.team.id.clone()).collect();
    let person = known.as_ref().map_or(&stranger, |member| &member.id);
    let facts = MemberFacts { person, role, becomes: None, teams: &invited_teams };
    let permit = context.permit(Action::Invite, On::Member(facts))?;
    if let Some(member) = &known {
        check_known(&context, member)?;
    }
    if grants_privilege(role, team.as_ref()) {
        caller.require_recent_auth(now)?;
    }
    count(&mut tx, &permit, now).await?;
    let new = NewInvitation { email, role, team };
    let (id, token) = issue_as(desk, &mut tx, &permit, &new, now).await?;
    tx.save(&permit, invited(&new), now).await?;
    Ok(Issued {
        id,
        token: Hidden::new(token),
        role,
        email: email.clone(),
        org_name: context.org.name,
        invited_by: caller.person.name.clone(),
    })
}

/// The team of an invitation, if it is the caller's to invite to. Only owners and admins invite without one.
async fn choose_team(
    via: &mut impl Via,
    context: &OrgContext,
    invite: &Invite,
) -> Result<Option<TeamMembership>, OpError> {
    let Some(wish) = &invite.team else {
        return match context.principal.runs_org() {
            true => Ok(None),
            false => Err(OpError::say("team", CHOOSE_TEAM)),
        };
    };
    let mut teams = teams_to_choose(via, context).await?.into_iter();
    let team = teams.find(|team| team.id == wish.team).ok_or_else(|| OpError::say("team", CHOOSE_TEAM))?;
    Ok(Some(TeamMembership { team, role: wish.role }))
}

/// Whether a person who is or was a member may be invited. A disabled one comes back only through a caller who may enable
/// them: they were disabled on purpose.
fn check_known(context: &OrgContext, member: &Member) -> Result<(), OpError> {
    let org = &context.org.name;
    if member.active() {
        return Err(OpError::say("email", format!("{} is already in {org}.", member.email)));
    }
    let facts = MemberFacts { person: &member.id, role: member.role, becomes: None, teams: &[] };
    if member.removed_at.is_none() && !context.may(Action::EnableMember, On::Member(facts)) {
        let sentence = format!("{} is disabled in {org}. An owner or an admin can enable them.", member.name);
        return Err(OpError::say("email", sentence));
    }
    Ok(())
}

/// Counts a link made for the organisation.
async fn count(tx: &mut Tx, permit: &Permit, now: Moment) -> Result<(), OpError> {
    let hour = now.ms() - now.ms().rem_euclid(3_600_000);
    let org = permit.org().as_str();
    let window = Moment::from_ms(hour)..Moment::from_ms(hour + 3_600_000);
    throttle::count(tx, Throttled::Invitation, org, now, window).await?;
    match throttle::find(tx, Throttled::Invitation, org).await? {
        Some((times, _)) if times > MAX_PER_HOUR => {
            Err(OpError::TooMany { retry_after_s: (hour + 3_600_000 - now.ms()) / 1_000 + 1 })
        }
        _ => Ok(()),
    }
}

/// The open invitation, if the caller could have sent it.
async fn find_open(
    via: &mut impl Via,
    context: &OrgContext,
    id: &str,
) -> Result<(Invitation, Permit), OpError> {
    context.permit(Action::Invite, On::Org)?;
    let id = InvitationId::parse(id).ok_or(OpError::NotFound)?;
    let invitation = invitations::find(via, &context.org.id, &id).await?;
    let invitation = invitation.ok_or_else(|| OpError::Conflict(NOT_OPEN.into()))?;
    let permit = permit_on(context, &invitation)?;
    Ok((invitation, permit))
}

fn permit_on(context: &OrgContext, invitation: &Invitation) -> Result<Permit, OpError> {
    let (stranger, teams) = (PersonId::new(Moment::from_ms(0), [0; 10]), invitation.team_ids());
    let facts = MemberFacts { person: &stranger, role: invitation.role, becomes: None, teams: &teams };
    context.permit(Action::Invite, On::Invitation(&invitation.id, facts))
}

/// Whether the caller could have sent the invitation, and so may see, resend and withdraw it.
pub fn is_theirs(context: &OrgContext, invitation: &Invitation) -> bool {
    permit_on(context, invitation).is_ok()
}

/// A new link for another seven days; the old one stops working.
///
/// # Errors
/// `Conflict` when the invitation was accepted or withdrawn; `TooMany` when the organisation sent very many.
pub async fn resend(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<Issued, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    members::lock_org(&mut tx, org).await?;
    let context = open_org(&mut tx, caller, org).await?;
    let (invitation, permit) = find_open(&mut tx, &context, id).await?;
    if invitation.is_privileged() {
        caller.require_recent_auth(now)?;
    }
    count(&mut tx, &permit, now).await?;
    let token = link_ops::new_token(desk);
    let expires_at = now.plus_ms(DAYS * DAY_MS);
    let named = (&invitation.id, &invitation.email);
    if !invitations::renew(&mut tx, &permit, named, &link_ops::hash(&token), expires_at).await? {
        return Err(OpError::Conflict(NOT_OPEN.into()));
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
/// `Conflict` when it was accepted or withdrawn first.
pub async fn withdraw(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let (invitation, permit) = find_open(&mut tx, &context, id).await?;
    if !invitations::withdraw(&mut tx, &permit, (&invitation.id, &invitation.email), now).await? {
        return Err(OpError::Conflict(NOT_OPEN.into()));
    }
    let email = invitation.email.as_str().to_owned();
    tx.save(&permit, Event::new(EventKind::InvitationWithdrawn, &email, &email), now).await?;
    Ok(email)
}

/// Notes that a mail with the link was handed to the mail server.
///
/// # Errors
/// `NotFound` when the caller may not see the organisation.
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
/// `NotFound` when it is not open or the caller may not see it.
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

/// What the page behind the link shows.
pub struct Offer {
    /// The invitation.
    pub invitation: Invitation,
    /// The address belongs to a person who signs in here already.
    pub known: bool,
}

/// `None` when the link is unknown, used, withdrawn or expired, or its organisation suspended.
///
/// # Errors
/// `Store` when the database cannot be read.
pub async fn find(desk: &Desk, token: &str) -> Result<Option<Offer>, OpError> {
    let mut read = desk.db.read().await?;
    let found = invitations::find_by_hash(&mut read, &link_ops::hash(token), desk.now()).await?;
    let Some(invitation) = found else { return Ok(None) };
    let known = people::has_email(&mut read, &invitation.email).await?;
    Ok(Some(Offer { invitation, known }))
}

/// Who becomes a member by accepting an invitation.
pub struct NewMember<'a> {
    /// Checked as every name is.
    pub name: &'a str,
    /// In the clear; checked and hashed.
    pub password: &'a Hidden,
}

/// A person who has just joined.
pub struct Joined {
    /// The person's id.
    pub person: PersonId,
    /// The organisation's slug.
    pub org_slug: String,
    /// The organisation's name.
    pub org_name: String,
}

/// Makes the person a member. They sign in with the invitation's address.
///
/// # Errors
/// `NotFound` when the link does not work; `Invalid` with every mistake; `Conflict` when a person signs in with the
/// address already.
pub async fn accept_new(
    desk: &Desk,
    token: &Hidden,
    member: &NewMember<'_>,
    from: &Origin,
) -> Result<Joined, OpError> {
    let offer = find(desk, token.as_str()).await?.ok_or(OpError::NotFound)?;
    let email = offer.invitation.email.clone();
    if offer.known {
        return Err(already_known(&email));
    }
    let mut errors = Vec::new();
    let name = visible_name(member.name, "Name", 100).map_err(|p| errors.push(FieldError::new("name", p)));
    let about = [email.as_str(), member.name, offer.invitation.org_name.as_str()];
    if let Err(problem) = check_new(member.password.as_str(), &about) {
        errors.push(FieldError::new("password", problem));
    }
    let (Ok(name), true) = (name, errors.is_empty()) else { return Err(OpError::Invalid(errors)) };
    let password_hash = desk
        .passwords
        .hash(member.password.as_str().to_owned(), desk.bytes())
        .await
        .ok_or_else(OpError::stopping)?;
    let now = desk.now();
    let id = PersonId::new(now, desk.id_entropy());
    let mut tx = desk.db.write().await?;
    let invitation = take(&mut tx, token, now).await?;
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
    OpError::Conflict(format!("There is already an account for {}. Sign in to join.", email.as_str()))
}

/// Makes a person who signs in here already a member.
///
/// # Errors
/// `NotFound` when the link does not work; `Conflict` when it is for another address than the caller's.
pub async fn accept_known(desk: &Desk, caller: &Caller, token: &Hidden) -> Result<Joined, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let invitation = take(&mut tx, token, now).await?;
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

/// Uses the link up, inside the transaction that adds the member.
async fn take(tx: &mut Tx, token: &Hidden, now: Moment) -> Result<Invitation, OpError> {
    let hash = link_ops::hash(token.as_str());
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
        return Err(OpError::Conflict(format!("You are already in {}.", invitation.org_name)));
    }
    let mut changes = vec![Change::added("role", Choice::from(invitation.role))];
    if let Some(place) = &invitation.team {
        let (team, role) = (&place.team.id, place.role);
        let new = NewTeamMember { team, person: principal.person(), role, now };
        teams::add_person(&mut tx, &permit, &new).await?;
        changes.extend(in_team(place));
    }
    changes.push(Change::added("email", invitation.email.as_str()));
    changes.push(Change::added("invited_by", invitation.invited_by.as_deref().unwrap_or("command line")));
    let event = Event::new(EventKind::MemberJoined, principal.person().as_str(), principal.name());
    tx.save(&permit, event.with(changes), now).await?;
    Ok(Joined {
        person: principal.person().clone(),
        org_slug: invitation.org_slug,
        org_name: invitation.org_name,
    })
}
