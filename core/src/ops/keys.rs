//! Keys: listed, looked up, created, edited, switched off and on, revoked.

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::{Caller, Visit, enter, person_of};
use super::spend::{KeySpend, of_key};
use crate::Desk;
use crate::domain::audit::{Event, EventKind, PastEvent};
use crate::domain::hidden::Hidden;
use crate::domain::ids::{KeyId, PersonId, SecretId};
use crate::domain::key::{Field, Key, KeySpec, State, Status};
use crate::domain::key_filter::{KeyFilter, StateFilter};
use crate::domain::key_form::{FieldError, FormContext, KeyForm};
use crate::domain::key_format::{self, PlainSecret};
use crate::domain::model::Model;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, KeyFacts, OrgRole, Permit};
use crate::domain::problem::Problem;
use crate::domain::scope::ModelScope;
use crate::domain::team::Team;
use crate::store::key_list::{self, KeyPage};
use crate::store::keys::NewKey;
use crate::store::spend::WindowStarts;
use crate::store::throttle::{self, Throttled};
use crate::store::{StoreError, Taken, Tx, Via, audit, keys, models, people, spend};

const DAY_MS: i64 = 86_400_000;
const HISTORY_MOST: i64 = 50;
/// Look-ups of whole secrets by one person in a minute: far more than a person needs, far fewer than a guesser.
const SECRET_SEARCHES_A_MINUTE: i64 = 60;

pub struct KeysView {
    pub visit: Visit,
    pub page: KeyPage,
    pub count: i64,
    /// The count stopped here: there may be more.
    pub capped: bool,
    /// The caller has no key to see here, in any state.
    pub none_at_all: bool,
    pub teams: Vec<Team>,
    pub now: Moment,
}

/// A page of keys, narrowed to what the caller may see.
pub async fn list(desk: &Desk, caller: &Caller, slug: &str, filter: &KeyFilter) -> Result<KeysView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, slug).await?;
    let permit = visit.permit(Action::ListKeys, None)?;
    let starts = WindowStarts::at(now, &visit.org.zone);
    let mut page = key_list::list(&mut read, &permit, filter, now, starts.month).await?;
    // A first page that is the only one has been counted by reading it.
    let count = match (&filter.page, &page.next) {
        (None, None) => page.keys.len() as i64,
        _ => key_list::count(&mut read, &permit, filter, now, starts.month).await?,
    };
    spend::fill(&mut read, &visit.org.id, &mut page.keys, starts).await?;
    let teams = people::teams(&mut read, &visit.org.id).await?;
    let mut none_at_all = false;
    if page.keys.is_empty() && filter.is_plain() {
        let revoked = KeyFilter { state: StateFilter::Only(Status::Revoked), ..filter.clone() };
        none_at_all = key_list::count(&mut read, &permit, &revoked, now, starts.month).await? == 0;
    }
    let capped = count > key_list::count_most(filter);
    Ok(KeysView { visit, page, count, capped, none_at_all, teams, now })
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchForm {
    pub org: String,
    /// Part of a name, last four characters, a key's id, or a whole secret.
    pub q: Hidden,
    /// The list's other parameters, to go on with.
    pub rest: String,
}

/// What a search comes to.
pub enum Found {
    Key(KeyId),
    /// The secret is one that a rotation replaced; its key lives on.
    RetiredSecretOf(KeyId),
    /// A secret that is not here, or not a secret; the sentence says which.
    NoSuchSecret(String),
    /// Not a secret and not an id: search the list for it.
    Text(String),
}

/// Whole secrets are looked up by their hash and go nowhere else: not to a log, not into an address.
pub async fn search(desk: &Desk, caller: &Caller, form: &SearchForm) -> Result<Found, OpError> {
    let text = form.q.as_str().trim();
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, &form.org).await?;
    visit.permit(Action::ListKeys, None)?;
    let found = if let Some(id) = KeyId::parse(text) {
        keys::find(&mut read, &visit.org.id, &id).await?.map(|key| (key, false))
    } else if key_format::looks_like_secret(text) {
        drop(read);
        count_secret_search(desk, caller).await?;
        read = desk.db.read().await?;
        let secret = match key_format::read(text) {
            Ok(secret) => secret,
            Err(why) => return Ok(Found::NoSuchSecret(why.sentence())),
        };
        match keys::find_by_hash(&mut read, &visit.org.id, &secret.hash()).await? {
            Some((id, ends)) => {
                let retired = ends.is_some_and(|at| at <= desk.now());
                keys::find(&mut read, &visit.org.id, &id).await?.map(|key| (key, retired))
            }
            None => None,
        }
    } else {
        return Ok(Found::Text(text.to_owned()));
    };
    // A key that is not theirs to see is not there.
    match found.filter(|(key, _)| visit.permit(Action::SeeKey, Some(&key.facts())).is_ok()) {
        Some((key, true)) => Ok(Found::RetiredSecretOf(key.id)),
        Some((key, false)) => Ok(Found::Key(key.id)),
        None if KeyId::parse(text).is_some() => Ok(Found::Text(text.to_owned())),
        None => Ok(Found::NoSuchSecret(
            "No key here has this secret. It is well formed, so it may belong to another organisation or installation."
                .into(),
        )),
    }
}

async fn count_secret_search(desk: &Desk, caller: &Caller) -> Result<(), OpError> {
    let now = desk.now();
    let subject = caller.person.id.as_str();
    let mut tx = desk.db.write().await?;
    let minute = now.ms() - now.ms().rem_euclid(60_000);
    throttle::count(&mut tx, Throttled::Search, subject, now, Moment::from_ms(minute)).await?;
    let counted = throttle::find(&mut tx, Throttled::Search, subject).await?;
    tx.save_unaudited("a count of look-ups").await?;
    match counted {
        Some((times, _)) if times > SECRET_SEARCHES_A_MINUTE => Err(OpError::TooMany { retry_after_s: 60 }),
        _ => Ok(()),
    }
}

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
    visit.permit(Action::CreateKey, None)?;
    let models = models::list(&mut read).await?;
    let teams = teams_to_choose(&mut read, &visit).await?;
    Ok(FormView { form: KeyForm::fresh(&models), visit, models, teams, now: desk.now(), key: None })
}

async fn teams_to_choose(via: &mut impl Via, visit: &Visit) -> Result<Vec<Team>, OpError> {
    let mut teams = people::teams(via, &visit.org.id).await?;
    if !runs_org(visit) {
        teams.retain(|team| visit.standing.admin_of.contains(&team.id));
    }
    Ok(teams)
}

pub fn runs_org(visit: &Visit) -> bool {
    matches!(visit.standing.role, Some(OrgRole::Owner | OrgRole::Admin))
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
    visit.permit(Action::CreateKey, None)?;
    let context = FormContext { now, zone: &visit.org.zone, editing: None };
    let spec = form.key.parse(&context).map_err(OpError::Invalid)?;
    let teams = teams_to_choose(&mut tx, &visit).await?;
    check_team(&visit, &spec, &teams)?;
    let facts = KeyFacts { team: spec.team.as_ref(), owner: &caller.person.id };
    let permit = visit.permit(Action::CreateKey, Some(&facts))?;
    let issued = issue(desk, &mut tx, &permit, &visit.org.key_prefix, &caller.person.id, &spec, now).await?;
    let nothing = KeySpec {
        name: String::new(),
        note: String::new(),
        team: None,
        models: ModelScope::Listed(vec![]),
        addresses: Default::default(),
        budgets: vec![],
        limits: Default::default(),
        expires_at: None,
    };
    let mut changes = spec.changes_since(&nothing, &teams, &visit.org.zone);
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

fn name_taken(error: StoreError, name: &str) -> OpError {
    if !matches!(error, StoreError::Taken(Taken::KeyName)) {
        return error.into();
    }
    let sentence = format!("A live key of this team is already named {name}. Choose another name.");
    OpError::Invalid(vec![FieldError::new("name", Problem::new(sentence))])
}

fn check_team(visit: &Visit, spec: &KeySpec, teams: &[Team]) -> Result<(), OpError> {
    let wrong = |sentence: &str| Err(OpError::Invalid(vec![FieldError::say("team", sentence)]));
    match &spec.team {
        None if runs_org(visit) => Ok(()),
        None => wrong("Choose one of the teams you look after."),
        Some(team) if teams.iter().any(|known| known.id == *team) => Ok(()),
        Some(_) => wrong("That team is not there any more, or not yours. Choose another."),
    }
}

pub struct KeyView {
    pub visit: Visit,
    pub key: Key,
    pub spend: KeySpend,
    pub history: Vec<PastEvent>,
    pub teams: Vec<Team>,
    pub now: Moment,
}

async fn find_seen(via: &mut impl Via, visit: &Visit, id: &str, now: Moment) -> Result<Key, OpError> {
    let id = KeyId::parse(id).ok_or(OpError::NotFound)?;
    let key = keys::find(via, &visit.org.id, &id).await?.ok_or(OpError::NotFound)?;
    visit.permit(Action::SeeKey, Some(&key.facts()))?;
    let mut key = [key];
    spend::fill(via, &visit.org.id, &mut key, WindowStarts::at(now, &visit.org.zone)).await?;
    let [key] = key;
    Ok(key)
}

/// Everything about one key.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<KeyView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &visit, id, now).await?;
    let spend = of_key(&mut read, &visit.org, &key, now).await?;
    let history = audit::of_subject(&mut read, &visit.org.id, key.id.as_str(), HISTORY_MOST).await?;
    let teams = people::teams(&mut read, &visit.org.id).await?;
    Ok(KeyView { visit, key, spend, history, teams, now })
}

/// What the edit form is drawn from.
///
/// # Errors
/// `Conflict` when the key is revoked or expired: it cannot be edited any more.
pub async fn edit_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<FormView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &visit, id, now).await?;
    visit.permit(Action::EditKey, Some(&key.facts()))?;
    must_live(&key, now)?;
    let models = models::list(&mut read).await?;
    let teams = teams_to_choose(&mut read, &visit).await?;
    Ok(FormView { form: KeyForm::of(&key.spec(), &models), visit, models, teams, now, key: Some(key) })
}

fn must_live(key: &Key, now: Moment) -> Result<(), OpError> {
    match key.state(now) {
        State::Revoked => Err(OpError::Conflict(format!("The key {} is revoked. That is final.", key.name))),
        State::Expired { .. } => Err(OpError::Conflict(format!(
            "The key {} has expired. Create a new one in its place.",
            key.name
        ))),
        State::Active | State::ExpiresSoon { .. } | State::OverBudget { .. } | State::Disabled => Ok(()),
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditForm {
    pub org: String,
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    pub key: KeyForm,
}

pub enum Edited {
    Saved(KeyId),
    Nothing(KeyId),
    /// Somebody saved first. Nothing was written; `form` is the key as it stands with this person's changes in it.
    Clash(Box<Clash>),
}

pub struct Clash {
    pub id: KeyId,
    pub sentence: String,
    pub errors: Vec<FieldError>,
    pub form: KeyForm,
}

/// Writes the fields that the person changed, and only those, if the key is still as they saw it.
///
/// # Errors
/// `Invalid` with every mistake; `Conflict` when the key is revoked or expired.
pub async fn edit(desk: &Desk, caller: &Caller, form: &EditForm) -> Result<Edited, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let visit = enter(&mut tx, caller, &form.org).await?;
    let key = find_seen(&mut tx, &visit, &form.id, now).await?;
    let permit = visit.permit(Action::EditKey, Some(&key.facts()))?;
    must_live(&key, now)?;
    let current = key.spec();
    let context = FormContext { now, zone: &visit.org.zone, editing: Some(&current) };
    let was: KeyForm = serde_json::from_str(&form.was).map_err(|_| {
        OpError::Invalid(vec![FieldError::say("name", "The form is incomplete. Open it again.")])
    })?;
    let mine = form.key.parse(&context).map_err(OpError::Invalid)?;
    // A form that was drawn from an older state parses against today's rules all the same: it was valid then.
    let base = was.parse(&context).unwrap_or_else(|_| current.clone());
    let changed: Vec<Field> = Field::ALL.into_iter().filter(|field| mine.differs(&base, *field)).collect();
    let mut spec = current.clone();
    changed.iter().for_each(|field| spec.take(&mine, *field));

    let teams = people::teams(&mut tx, &visit.org.id).await?;
    if form.version != key.version {
        let who = audit::of_subject(&mut tx, &visit.org.id, key.id.as_str(), 1).await?;
        let who = who.first().map_or("Somebody", |event| event.actor_name.as_str());
        let reads = |spec: &KeySpec, field| spec.reads(field, &teams, &visit.org.zone);
        let errors = changed
            .iter()
            // A form says "keep" of an expiry that may have changed since, so there the two values are all there is.
            .filter(|field| {
                let kept = **field == Field::Expiry && was.expiry == "keep";
                current.differs(if kept { &mine } else { &base }, **field)
            })
            .map(|field| {
                let sentence =
                    format!("Now: {}. You entered: {}.", reads(&current, *field), reads(&mine, *field));
                FieldError::new(form_field(*field, &mine), Problem::new(sentence))
            })
            .collect();
        let models = models::list(&mut tx).await?;
        let mut merged = KeyForm::of(&spec, &models);
        if changed.contains(&Field::Expiry) {
            // The form would say "keep", which means the expiry as it stands and not the one chosen here.
            merged.expiry.clone_from(&form.key.expiry);
            merged.expires_on.clone_from(&form.key.expires_on);
        }
        return Ok(Edited::Clash(Box::new(Clash {
            id: key.id.clone(),
            sentence: format!(
                "{who} changed this key while you were editing. Your changes are below and not saved yet: look them over and save again."
            ),
            errors,
            form: merged,
        })));
    }
    if spec == current {
        return Ok(Edited::Nothing(key.id));
    }
    if spec.team != current.team {
        check_team(&visit, &spec, &teams_to_choose(&mut tx, &visit).await?)?;
    }
    let saved = keys::update(&mut tx, &permit, &key.id, key.version, &spec)
        .await
        .map_err(|error| name_taken(error, &spec.name))?;
    if !saved {
        return Err(OpError::Conflict("The key was changed at this very moment. Open it again.".into()));
    }
    let changes = spec.changes_since(&current, &teams, &visit.org.zone);
    let event = Event::new(EventKind::KeyEdited, key.id.as_str(), &spec.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Edited::Saved(key.id))
}

/// The form field under which a conflict about a field is shown: budgets have one field per period.
fn form_field(field: Field, mine: &KeySpec) -> &'static str {
    match field {
        Field::Budgets => mine.budgets.first().map_or("month", |budget| budget.period.as_str()),
        other => other.as_str(),
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyRef {
    pub org: String,
    pub id: String,
}

/// Takes a key out of use, reversibly. Returns its name.
pub async fn disable(desk: &Desk, caller: &Caller, form: &KeyRef) -> Result<String, OpError> {
    let (from, to) = (Status::Active, Status::Disabled);
    switch(desk, caller, form, Action::DisableKey, from, to, EventKind::KeyDisabled).await
}

/// Takes a disabled key back into use. Returns its name.
pub async fn enable(desk: &Desk, caller: &Caller, form: &KeyRef) -> Result<String, OpError> {
    let (from, to) = (Status::Disabled, Status::Active);
    switch(desk, caller, form, Action::EnableKey, from, to, EventKind::KeyEnabled).await
}

async fn switch(
    desk: &Desk,
    caller: &Caller,
    form: &KeyRef,
    action: Action,
    from: Status,
    to: Status,
    kind: EventKind,
) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let visit = enter(&mut tx, caller, &form.org).await?;
    let key = find_seen(&mut tx, &visit, &form.id, now).await?;
    let permit = visit.permit(action, Some(&key.facts()))?;
    must_live(&key, now)?;
    if !keys::switch(&mut tx, &permit, &key.id, from, to, now).await? {
        return Err(OpError::Conflict(format!("The key {} is {} already.", key.name, to.as_str())));
    }
    tx.save(&permit, Event::new(kind, key.id.as_str(), &key.name), now).await?;
    Ok(key.name)
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeForm {
    pub org: String,
    pub id: String,
    /// The key's name, typed; asked for only when the key is in use.
    pub name: String,
}

/// What the confirmation page says.
pub struct RevokeView {
    pub visit: Visit,
    pub key: Key,
    pub used_last_hour: i64,
    pub must_type_name: bool,
    pub now: Moment,
}

/// A key used in the last day is in use: revoking it will break something.
fn in_use(key: &Key, now: Moment) -> bool {
    key.last_used_at.is_some_and(|at| now.ms() - at.ms() < DAY_MS)
}

pub async fn revoke_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<RevokeView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &visit, id, now).await?;
    visit.permit(Action::RevokeKey, Some(&key.facts()))?;
    if key.status == Status::Revoked {
        return Err(OpError::Conflict(format!("The key {} is revoked already.", key.name)));
    }
    let used_last_hour =
        spend::requests_since(&mut read, &visit.org.id, &key.id, now.plus_ms(-3_600_000)).await?;
    Ok(RevokeView { must_type_name: in_use(&key, now), visit, key, used_last_hour, now })
}

/// Ends a key for good. When this has answered, no request that starts later is let in. Returns its name.
///
/// # Errors
/// `Invalid` when the key is in use and its name was not typed; `Conflict` when it was revoked already.
pub async fn revoke(desk: &Desk, caller: &Caller, form: &RevokeForm) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let visit = enter(&mut tx, caller, &form.org).await?;
    let key = find_seen(&mut tx, &visit, &form.id, now).await?;
    let permit = visit.permit(Action::RevokeKey, Some(&key.facts()))?;
    if in_use(&key, now) && form.name.trim() != key.name {
        let sentence =
            format!("This key was used in the last day. Type its name, {}, to revoke it.", key.name);
        return Err(OpError::Invalid(vec![FieldError::new("name", Problem::new(sentence))]));
    }
    if !keys::revoke(&mut tx, &permit, &key.id, now).await? {
        return Err(OpError::Conflict(format!("The key {} is revoked already.", key.name)));
    }
    tx.save(&permit, Event::new(EventKind::KeyRevoked, key.id.as_str(), &key.name), now).await?;
    Ok(key.name)
}
