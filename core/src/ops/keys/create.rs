//! A new key: what its form is drawn from, and making it.

use serde::{Deserialize, Serialize};

use super::super::OpError;
use super::super::access::{Caller, Visit, enter, person_of};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::ids::{KeyId, PersonId, SecretId};
use crate::domain::key::{Key, KeySpec};
use crate::domain::key_form::{FieldError, FormContext, KeyForm};
use crate::domain::key_format::PlainSecret;
use crate::domain::model::Model;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, KeyFacts, On, Permit};
use crate::domain::problem::Problem;
use crate::domain::team::Team;
use crate::store::keys::NewKey;
use crate::store::{StoreError, Taken, Tx, Via, keys, models, people};

/// What the form for a new key is drawn from.
pub struct FormView {
    pub visit: Visit,
    pub form: KeyForm,
    pub models: Vec<Model>,
    /// Those the caller may put a key in.
    pub teams: Vec<Team>,
    pub now: Moment,
    /// The key as it stands, when it is edited.
    pub key: Option<Key>,
}

/// # Errors
/// `Forbidden` when the caller may not create keys here.
pub async fn blank(desk: &Desk, caller: &Caller, slug: &str) -> Result<FormView, OpError> {
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, slug).await?;
    visit.permit(Action::CreateKey, On::Org)?;
    let models = models::list(&mut read).await?;
    let teams = teams_to_choose(&mut read, &visit).await?;
    let mut form = KeyForm::fresh(&models);
    // Whoever looks after teams creates keys in one of them; let the first be chosen.
    if !visit.standing.runs_org() {
        form.team = teams.first().map(|team| team.id.to_string()).unwrap_or_default();
    }
    Ok(FormView { form, visit, models, teams, now: desk.now(), key: None })
}

pub(super) async fn teams_to_choose(via: &mut impl Via, visit: &Visit) -> Result<Vec<Team>, OpError> {
    let mut teams = people::teams(via, &visit.org.id).await?;
    if !visit.standing.runs_org() {
        teams.retain(|team| visit.standing.admin_of.contains(&team.id));
    }
    Ok(teams)
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateForm {
    pub org: String,
    pub key: KeyForm,
}

/// A key that was just made, with its secret: the one answer that holds one.
#[derive(Debug)]
pub struct IssuedKey {
    pub id: KeyId,
    pub secret: PlainSecret,
}

/// # Errors
/// `Invalid` with every mistake; `Forbidden` when the caller may not create keys in that team.
pub async fn create(desk: &Desk, caller: &Caller, form: &CreateForm) -> Result<IssuedKey, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let visit = enter(&mut tx, caller, &form.org).await?;
    visit.permit(Action::CreateKey, On::Org)?;
    let context = FormContext { now, zone: &visit.org.zone, editing: None };
    let spec = form.key.parse(&context).map_err(OpError::Invalid)?;
    let teams = teams_to_choose(&mut tx, &visit).await?;
    check_team(&visit, &spec, &teams)?;
    let facts = KeyFacts { team: spec.team.as_ref(), owner: &caller.person.id };
    let permit = visit.permit(Action::CreateKey, On::Key(facts))?;
    let issued = issue(desk, &mut tx, &permit, &visit.org.key_prefix, &caller.person.id, &spec, now).await?;
    let mut changes = spec.changes_since(&KeySpec::default(), &teams, &visit.org.zone);
    changes.iter_mut().for_each(|change| change.before = None);
    let event = Event::new(EventKind::KeyCreated, issued.id.as_str(), &spec.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(issued)
}

/// Mints a secret and writes key and hash. For `create`, and for seeds that have a system's permit.
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
    let id = KeyId::new(now, desk.ten());
    let new = NewKey {
        id: &id,
        owner,
        created_by: person_of(permit),
        spec,
        secret_id: &SecretId::new(now, desk.ten()),
        hash: &secret.hash(),
        prefix,
        last_four: secret.last_four(),
        now,
    };
    keys::insert(tx, permit, &new).await.map_err(|error| name_taken(error, &spec.name))?;
    Ok(IssuedKey { id, secret })
}

pub(super) fn name_taken(error: StoreError, name: &str) -> OpError {
    if !matches!(error, StoreError::Taken(Taken::KeyName)) {
        return error.into();
    }
    let sentence = format!("A live key of this team is already named {name}. Choose another name.");
    OpError::Invalid(vec![FieldError::new("name", Problem::new(sentence))])
}

pub(super) fn check_team(visit: &Visit, spec: &KeySpec, teams: &[Team]) -> Result<(), OpError> {
    let wrong = |sentence: &str| Err(OpError::Invalid(vec![FieldError::say("team", sentence)]));
    match &spec.team {
        None if visit.standing.runs_org() => Ok(()),
        None => wrong("Choose one of the teams you look after."),
        Some(team) if teams.iter().any(|known| known.id == *team) => Ok(()),
        Some(_) => wrong("That team is not there any more, or not yours. Choose another."),
    }
}
