//! Fills an empty database for the demonstration and the bench: the same rows, permits and audit events as people make, at
//! the time of the desk's clock, which may stand in the past. Rules of teams and organisations are not applied.

use std::collections::HashMap;

use super::OpError;
use super::access::{Caller, open_org, principal};
use super::keys::issue;
use crate::Desk;
use crate::domain::audit::{Change, Choice, Event, EventKind};
use crate::domain::edit::Editable;
use crate::domain::ids::{KeyId, OrgId, PersonId, SecretId, TeamId};
use crate::domain::key::{KeySpec, Names};
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::Org;
use crate::domain::person::{Email, Person, slug_of};
use crate::domain::policy::{self, Action, KeyFacts, On, OrgRole, Permit, PlatformRole};
use crate::domain::team::TeamRole;
use crate::domain::window::WindowStarts;
use crate::store::bulk::{self, SeedKey};
use crate::store::people::{self, NewPerson};
use crate::store::spend::Usage;
use crate::store::teams::{self, NewTeamMember};
use crate::store::{
    StoreError, Tx, Unaudited, admission, bench_usage, budget_marks, keys, members, past_usage, secrets,
    settlement,
};

/// A new person.
pub struct SeedPerson<'a> {
    /// The person's name.
    pub name: &'a str,
    /// What the person signs in with.
    pub email: &'a str,
    /// In the new organisation; `None` for who does not belong to it, or joins later.
    pub role: Option<OrgRole>,
    /// The role in the installation.
    pub platform: PlatformRole,
    /// As `Passwords::hash` makes it; with an empty one, no one can sign in.
    pub password_hash: &'a str,
}

/// # Errors
/// `Conflict` with a sentence when there are people already.
pub async fn require_empty(desk: &Desk) -> Result<(), OpError> {
    if people::none_yet(&mut desk.db.read().await?).await? {
        return Ok(());
    }
    Err(OpError::Conflict(
        "This database has people already, and the demonstration needs an empty one. Name another with --data or KEYDESK_DATABASE_URL."
            .into(),
    ))
}

/// An organisation with new people, the first of whom is its owner. Answers the people in the order given.
///
/// # Errors
/// `Conflict` when an email address is not one; `Store` when an address or a slug is taken.
pub async fn create_org(
    desk: &Desk,
    name: &str,
    zone: Zone,
    new: &[SeedPerson<'_>],
) -> Result<(Org, Vec<Person>), OpError> {
    let now = desk.now();
    let org = Org::new(OrgId::new(now, desk.id_entropy()), slug_of(name), name.to_owned(), zone);
    let permit = Permit::program(&org.id, Action::SetUp, org.id.as_str(), "set-up link");
    let mut tx = desk.db.write().await?;
    people::insert_org(&mut tx, &permit, &org, now).await?;
    let mut made = Vec::new();
    for person in new {
        let id = PersonId::new(now, desk.id_entropy());
        let email = Email::parse(person.email).map_err(|problem| OpError::Conflict(problem.to_string()))?;
        let (name, password_hash) = (person.name, person.password_hash);
        let row = NewPerson { id: &id, name, email: &email, password_hash, platform: person.platform };
        people::insert_person(&mut tx, &permit, &row, now).await?;
        if let Some(role) = person.role {
            people::insert_member(&mut tx, &permit, &org.id, &id, role, now).await?;
        }
        made.push(people::find(&mut tx, &id).await?.ok_or(OpError::NotFound)?);
    }
    let owner = made.first().map(|owner| Change::added("owner", owner.name.as_str()));
    let event = Event::new(EventKind::OrgCreated, org.id.as_str(), &org.name).with(owner);
    tx.save(&permit, event, now).await?;
    Ok((org, made))
}

/// The caller joins an organisation with a role, and teams in it. A member already only joins the teams.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn join(
    desk: &Desk,
    caller: &Caller,
    org: &Org,
    role: OrgRole,
    in_teams: &[(&TeamId, TeamRole)],
) -> Result<(), OpError> {
    let now = desk.now();
    let principal = principal(caller, &org.id, Some(role));
    let permit = policy::permit(&principal, Action::Join, On::Org)?;
    let person = &caller.person.id;
    let mut tx = desk.db.write().await?;
    members::join(&mut tx, &permit, person, role, now).await?;
    for &(team, role) in in_teams {
        teams::add_person(&mut tx, &permit, &NewTeamMember { team, person, role, now }).await?;
    }
    let event = Event::new(EventKind::MemberJoined, person.as_str(), &caller.person.name);
    let event = event.with([Change::added("role", Choice::from(role))]);
    Ok(tx.save(&permit, event, now).await?)
}

/// Makes the key that `spec` describes, its owner included. The secret is dropped unseen; usage names its id.
///
/// # Errors
/// `NotFound` without an owner; else as `keys::create`.
pub async fn create_key(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    spec: &KeySpec,
) -> Result<(KeyId, SecretId), OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let owner = spec.owner.as_ref().ok_or(OpError::NotFound)?;
    let permit =
        context.permit(Action::CreateKey, On::Key(KeyFacts { id: None, team: spec.team.as_ref(), owner }))?;
    let issued = issue(desk, &mut tx, &permit, &context.org.key_prefix, owner, spec, now).await?;
    let found = admission::find(&mut tx, &issued.secret.hash()).await?.ok_or(OpError::NotFound)?;
    let (teams, people) = (
        teams::in_use(&mut tx, &context.org.id).await?,
        people::active(&mut tx, &context.org.id, 1_000).await?,
    );
    let changes = spec.changes_since(&KeySpec::default(), &Names { teams, people });
    let event = Event::new(EventKind::KeyCreated, issued.id.as_str(), &spec.name).with_new(changes);
    tx.save(&permit, event, now).await?;
    Ok((issued.id, found.secret))
}

/// Changes a key to what `spec` describes; team and owner stay.
///
/// # Errors
/// `NotFound` when the key is not there.
pub async fn edit_key(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &KeyId,
    spec: &KeySpec,
) -> Result<(), OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let key = keys::find(&mut tx, &context.org.id, id).await?.ok_or(OpError::NotFound)?;
    let permit = context.permit(Action::EditKey, On::Key(key.facts()))?;
    let before = key.spec();
    let spec = KeySpec { team: before.team.clone(), owner: before.owner.clone(), ..spec.clone() };
    if !keys::update(&mut tx, &permit, id, key.version, &spec).await? {
        return Err(OpError::NotFound);
    }
    let starts = WindowStarts::at(now, &context.org.zone);
    budget_marks::renew(&mut tx, &context.org.id, HolderKind::Key, &[id.as_str()], starts).await?;
    let changes = spec.changes_since(&before, &Names::default());
    let event = Event::new(EventKind::KeyEdited, id.as_str(), &spec.name).with(changes);
    Ok(tx.save(&permit, event, now).await?)
}

/// Writes finished requests in one transaction, and when each key was last used.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn record_usage(desk: &Desk, zone: &Zone, requests: &[Usage]) -> Result<(), OpError> {
    let mut tx = desk.db.write().await?;
    settlement::record(&mut tx, requests, zone).await?;
    touch(&mut tx, requests).await?;
    Ok(tx.save_unaudited(Unaudited::Usage).await?)
}

/// Writes all finished requests that an organisation ever had, without tags, and when each key was last used: much faster
/// than one by one.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn record_history(desk: &Desk, org: &Org, requests: &[Usage]) -> Result<(), OpError> {
    let mut tx = desk.db.write().await?;
    past_usage::insert(&mut tx, &org.id, &org.zone, requests, desk.now()).await?;
    touch(&mut tx, requests).await?;
    Ok(tx.save_unaudited(Unaudited::Usage).await?)
}

/// When each key and secret of these requests was used first and last.
async fn touch(tx: &mut Tx, requests: &[Usage]) -> Result<(), StoreError> {
    let mut used: HashMap<(&KeyId, &SecretId), (Moment, Moment)> = HashMap::new();
    for usage in requests {
        let at = usage.started_at;
        let (first, last) = used.entry((&usage.key, &usage.secret)).or_insert((at, at));
        (*first, *last) = (at.min(*first), at.max(*last));
    }
    for ((key, secret), (first, last)) in used {
        keys::touch(tx, key, last).await?;
        secrets::touch(tx, secret, first, last).await?;
    }
    Ok(())
}

/// Many keys at once, without audit events: for the bench.
///
/// # Errors
/// `Store` when two live keys of one team have a name.
pub async fn insert_keys(desk: &Desk, org: &OrgId, rows: &[SeedKey<'_>]) -> Result<(), OpError> {
    let permit = Permit::program(org, Action::CreateKey, org.as_str(), "bench");
    let mut tx = desk.db.write().await?;
    bulk::insert_keys(&mut tx, &permit, rows).await?;
    Ok(tx.save_unaudited(Unaudited::Bench).await?)
}

/// The event that `insert_keys` left out, for a key whose history is looked at.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn record_creation(desk: &Desk, org: &OrgId, id: &KeyId, name: &str) -> Result<(), OpError> {
    let permit = Permit::program(org, Action::CreateKey, org.as_str(), "bench");
    let event = Event::new(EventKind::KeyCreated, id.as_str(), name);
    Ok(desk.db.write().await?.save(&permit, event, desk.now()).await?)
}

/// Makes many requests of the keys of an organisation in the 400 days before now, with nothing added up from them; `add_up`
/// does that.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn many_requests(desk: &Desk, org: &OrgId, count: i64) -> Result<(), OpError> {
    Ok(bench_usage::insert(&desk.db, org, desk.now(), count).await?)
}

/// Adds up what `many_requests` made.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn add_up(desk: &Desk, org: &OrgId) -> Result<(), OpError> {
    Ok(bench_usage::add_up(&desk.db, org, desk.now()).await?)
}
