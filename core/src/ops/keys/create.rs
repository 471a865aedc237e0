//! A new key: what its form is drawn from, and making it.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org, person_of};
use super::super::windows::{PresentWindows, windows_of};
use super::find_seen;
use super::place::{self, bounds_of, may_go_without_team, owners_to_choose, teams_to_choose};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::bounds::Bounds;
use crate::domain::edit::Editable;
use crate::domain::expiry::{ExpiryRules, KeyDraft};
use crate::domain::ids::{KeyId, PersonId, SecretId, TeamId};
use crate::domain::key::{Key, KeySpec, Names};
use crate::domain::key_format::PlainSecret;
use crate::domain::model::Model;
use crate::domain::moment::Moment;
use crate::domain::org::Org;
use crate::domain::person::{PersonName, fold};
use crate::domain::policy::{Action, KeyFacts, On, Permit};
use crate::domain::team::Team;
use crate::store::keys::{self, NewKey};
use crate::store::{ConstraintViolation, StoreError, Tx, models, teams};

/// What the form for a key is drawn from.
pub struct FormView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The team that a new key begins in, and what it allows.
    pub team: Option<(TeamId, Bounds)>,
    /// The models to choose from: the catalogue, and the demonstration model while there is no provider.
    pub models: Vec<Model>,
    /// Those the caller may put a key in.
    pub teams: Vec<Team>,
    /// Whether the key may be without a team.
    pub may_go_without_team: bool,
    /// Those the caller may give the key to, themselves among them.
    pub owners: Vec<PersonName>,
    /// When it was read.
    pub now: Moment,
    /// What is spent in the windows of the budgets, and when the next ones begin.
    pub windows: PresentWindows,
    /// The key as it stands, when it is edited.
    pub key: Option<Key>,
}

/// The form of a new key. `team` is the id or the name of the team to begin with, or empty.
///
/// # Errors
/// `Forbidden` when the caller may not create keys here.
pub async fn blank(desk: &Desk, caller: &Caller, slug: &str, team: &str) -> Result<FormView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::CreateKey, On::Org)?;
    let models = models::offered(&mut read, desk.now()).await?;
    let teams = teams_to_choose(&mut read, &context).await?;
    let owners = owners_to_choose(&mut read, &context).await?;
    let may_go_without_team = may_go_without_team(&context);
    let chosen = teams.iter().find(|known| known.id.as_str() == team || fold(&known.name) == fold(team));
    // Who has to choose a team finds the first one chosen.
    let chosen = chosen.or_else(|| teams.first().filter(|_| !may_go_without_team));
    let team = match chosen {
        Some(Team { id, .. }) => {
            let bounds = bounds_of(&mut read, &context, id.as_str(), now).await?;
            Some((id.clone(), bounds.map_or_else(Bounds::default, |(_, bounds)| bounds)))
        }
        None => None,
    };
    let windows = windows_of(&mut read, (&context.org.id, &context.org.zone), None, now).await?;
    Ok(FormView { context, team, models, teams, may_go_without_team, owners, now, windows, key: None })
}

/// What another key's form begins with: the settings of this one.
///
/// # Errors
/// `NotFound` when the caller may not see the key.
pub async fn settings_of(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<KeySpec, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    Ok(find_seen(&mut read, &context, id, desk.now()).await?.spec())
}

/// A key that was just made, with its secret: the one answer that holds one.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key's id.
    pub id: KeyId,
    /// The secret in plain text; the database keeps only its hash.
    pub secret: PlainSecret,
}

/// Creates a key in the organisation with this slug.
///
/// # Errors
/// `Invalid` with every mistake; `ReauthRequired` when the key is for another person and the caller has not
/// authenticated lately.
pub async fn create(desk: &Desk, caller: &Caller, org: &str, draft: &KeyDraft) -> Result<IssuedKey, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    context.permit(Action::CreateKey, On::Org)?;
    let org = &context.org;
    let spec = draft.resolve(&expiry_rules(org, None, now))?;
    let owner = place::check(&mut tx, &context, &spec, None, now).await?;
    if owner.id != caller.person.id {
        caller.require_recent_auth(now)?;
    }
    let facts = KeyFacts { id: None, team: spec.team.as_ref(), owner: &owner.id };
    let permit = context.permit(Action::CreateKey, On::Key(facts))?;
    let spec = KeySpec { owner: Some(owner.id.clone()), ..spec };
    let issued = issue(desk, &mut tx, &permit, &org.key_prefix, &owner.id, &spec, now).await?;
    let teams = teams::in_use(&mut tx, &org.id).await?;
    let changes = spec.changes_since(&KeySpec::default(), &Names { teams, people: vec![owner] });
    let event = Event::new(EventKind::KeyCreated, issued.id.as_str(), &spec.name).with_new(changes);
    tx.save(&permit, event, now).await?;
    Ok(issued)
}

/// Mints a secret and writes key and hash. For `create`, and for seeds that have a system's permit.
///
/// # Errors
/// `Invalid` when a live key of the same team has the name; `Conflict` when the prefix is not a valid one.
pub async fn issue(
    desk: &Desk,
    tx: &mut Tx,
    permit: &Permit,
    prefix: &str,
    owner: &PersonId,
    spec: &KeySpec,
    now: Moment,
) -> Result<IssuedKey, OpError> {
    let secret = PlainSecret::mint(prefix, &mut |bytes| desk.random.fill(bytes))
        .map_err(|problem| OpError::Conflict(problem.to_string()))?;
    let id = KeyId::new(now, desk.id_entropy());
    let new = NewKey {
        id: &id,
        owner,
        created_by: person_of(permit),
        spec,
        secret_id: &SecretId::new(now, desk.id_entropy()),
        hash: &secret.hash(),
        prefix,
        last_four: secret.last_four(),
        now,
    };
    keys::insert(tx, permit, &new).await.map_err(|error| name_taken(error, spec))?;
    Ok(IssuedKey { id, secret })
}

/// What decides about a key's expiry in this organisation. `current` is the key as it stands, in an edit.
pub(super) fn expiry_rules<'a>(org: &'a Org, current: Option<&'a KeySpec>, now: Moment) -> ExpiryRules<'a> {
    ExpiryRules { now, zone: &org.zone, rules: &org.rules, defaults: &org.defaults, current }
}

pub(super) fn name_taken(error: StoreError, spec: &KeySpec) -> OpError {
    match error {
        StoreError::ConstraintViolation(ConstraintViolation::KeyName) => taken(spec),
        error => error.into(),
    }
}

/// Another live key has the name of `spec` where the key would be.
pub(super) fn taken(spec: &KeySpec) -> OpError {
    let among = if spec.team.is_some() { "in this team" } else { "without a team" };
    OpError::say("name", format!("A live key {among} is already named {}. Choose another name.", spec.name))
}
