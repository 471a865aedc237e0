//! Where models are served, for operators, at the desk or on the command line. For anyone else none
//! of this is there. It belongs to no organisation, so the installation's audit records it, never with a credential, of
//! which only the variable's name or its last four characters are known.

use std::collections::{BTreeMap, BTreeSet};

use super::OpError;
use super::access::Caller;
use super::edit::{Outcome, conflict, lost_race};
use super::orgs::OperatorActor;
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::ProviderId;
use crate::domain::model::KnownModel;
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::OrgName;
use crate::domain::person::fold;
use crate::domain::policy::{Action, OperatorPermit, PlatformRole};
use crate::domain::provider::{
    EditProvider, ListedProvider, Provider, ProviderKind, ProviderSpec, RouteModels,
};
use crate::domain::provider_failure::{FailureCount, ProviderHealth};
use crate::store::{ConstraintViolation, StoreError, Tx, Via, models, people, provider_watch, providers};

impl OperatorActor<'_> {
    /// # Errors
    /// `NotFound` for who is no operator.
    pub fn must_operate(&self) -> Result<(), OpError> {
        match self {
            OperatorActor::Operator(caller) if caller.person.platform != PlatformRole::Operator => {
                Err(OpError::NotFound)
            }
            OperatorActor::Operator(_) | OperatorActor::CommandLine => Ok(()),
        }
    }
}

pub(super) fn provider_event(kind: EventKind, provider: &Provider, changes: Vec<Change>) -> Event {
    Event::new(kind, provider.id.as_str(), &provider.spec.name).with(changes)
}

/// What the list of providers is drawn from.
pub struct ProvidersView {
    /// The providers in use, by name.
    pub providers: Vec<ListedProvider>,
    /// How requests to each went last; none is there of a provider that was not used.
    pub health: BTreeMap<ProviderId, ProviderHealth>,
    /// When it was read.
    pub now: Moment,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
}

/// # Errors
/// `NotFound` for who is no operator, here and below.
pub async fn list(desk: &Desk, caller: &Caller) -> Result<ProvidersView, OpError> {
    OperatorActor::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    let providers = providers::list(&mut read).await?;
    let health = provider_watch::health(&mut read).await?;
    let now = desk.now();
    Ok(ProvidersView { providers, health, now, own: people::orgs_of(&mut read, &caller.person.id).await? })
}

/// For the command line.
///
/// # Errors
/// When the database cannot be read.
pub async fn every(desk: &Desk) -> Result<Vec<ListedProvider>, OpError> {
    Ok(providers::list(&mut desk.db.read().await?).await?)
}

/// One provider, and the models that it serves or could serve.
pub struct ProviderView {
    /// The provider.
    pub listed: ListedProvider,
    /// What it serves as the first provider.
    pub served: Vec<KnownModel>,
    /// What it serves besides another one, with its weight.
    pub further: Vec<(KnownModel, i64)>,
    /// How requests to it went last.
    pub health: ProviderHealth,
    /// What went wrong there, the newest first.
    pub failures: Vec<FailureCount>,
    /// When it was read.
    pub now: Moment,
    /// What else could be routed to it: models of the vendor whose protocol it speaks, and all that no provider serves. Not
    /// what it serves already beside another one.
    pub others: Vec<KnownModel>,
    /// Ids of those models that its newest test found at it.
    pub found: BTreeSet<String>,
    /// What it offers besides, by its own names: not in the catalogue.
    pub unknown: Vec<String>,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
}

/// What a provider's pages are drawn from.
///
/// # Errors
/// `NotFound` unless the caller is an operator, and when no provider in use has this id.
pub async fn show(desk: &Desk, caller: &Caller, id: &str) -> Result<ProviderView, OpError> {
    OperatorActor::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    let listed = find(&mut read, id).await?;
    let (id, vendor) = (&listed.provider.id, vendor_of(listed.provider.spec.kind));
    let all = models::list_known(&mut read, desk.now()).await?;
    // What this provider may list that is in the catalogue.
    let names: BTreeSet<&str> = all
        .iter()
        .map(|known| &known.model)
        .flat_map(|model| [Some(model.id.as_str()), Some(model.name_upstream()), model.name_at(id)])
        .flatten()
        .collect();
    let (served, rest): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|known| known.model.route.as_ref() == Some(id));
    let (further, rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|known| known.model.name_at(id).is_some());
    let weight = |known: KnownModel| {
        let weight = known.model.further.iter().find(|one| one.id == *id)?.weight;
        Some((known, weight))
    };
    let further = further.into_iter().filter_map(weight).collect();
    let others = rest.into_iter().filter(|known| known.served_by.is_none() || known.model.provider == vendor);
    let others: Vec<KnownModel> = others.collect();
    let own = people::orgs_of(&mut read, &caller.person.id).await?;
    let offered: BTreeSet<&str> =
        listed.test.iter().flat_map(|test| &test.models).map(String::as_str).collect();
    let is_offered = |known: &&KnownModel| offered.contains(known.model.name_upstream());
    let found = served.iter().chain(&others).filter(is_offered).map(|known| known.model.id.clone()).collect();
    let unknown = offered.difference(&names).map(|name| (*name).to_owned()).collect();
    let health = provider_watch::health(&mut read).await?.remove(id).unwrap_or_default();
    let failures = provider_watch::failures(&mut read, id).await?;
    let now = desk.now();
    Ok(ProviderView { served, further, others, found, unknown, health, failures, now, own, listed })
}

/// Who made the models that speak this protocol at home, in the catalogue's words.
pub const fn vendor_of(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "OpenAI",
        ProviderKind::Anthropic => "Anthropic",
        ProviderKind::Gemini => "Google",
    }
}

/// # Errors
/// `Invalid` when the name is taken.
pub async fn add(desk: &Desk, by: OperatorActor<'_>, spec: &ProviderSpec) -> Result<Provider, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    must_be_free(&mut tx, &spec.name, None).await?;
    let provider = spec.clone().with_id(ProviderId::new(now, desk.id_entropy()));
    let permit = by.operator_permit(Action::AddProvider, provider.id.as_str())?;
    let added = providers::insert(&mut tx, &permit, &provider, now).await;
    added.map_err(|error| name_taken(error, &provider.spec.name))?;
    let changes = provider.spec.changes_since(None);
    tx.save(&permit, provider_event(EventKind::ProviderAdded, &provider, changes), now).await?;
    Ok(provider)
}

/// Requests that start after the answer go where it says now; earlier ones finish where they were sent.
///
/// # Errors
/// `Invalid` when the name is taken; `NotFound` when it was retired meanwhile.
pub async fn save(
    desk: &Desk,
    by: OperatorActor<'_>,
    edit: &EditProvider,
) -> Result<Outcome<ProviderSpec, ProviderSpec>, OpError> {
    by.must_operate()?;
    let mut tx = desk.db.write().await?;
    let listed = find(&mut tx, &edit.id).await?;
    let (mine, current) = (&edit.mine, listed.provider.spec.clone());
    if edit.version != listed.version {
        let three = (edit.base.as_ref().unwrap_or(&current), mine, &current);
        return Ok(Outcome::Conflict(Box::new(conflict(
            "This provider was changed",
            three,
            &(),
            &Zone::utc(),
        ))));
    }
    if *mine == current && edit.key.is_none() {
        return Ok(Outcome::Unchanged(current));
    }
    let id = &listed.provider.id;
    if mine.stored_key && edit.key.is_none() && listed.provider.sealed_key.is_none() {
        return Err(OpError::say("secret", "Paste the API key."));
    }
    must_be_free(&mut tx, &mine.name, Some(id)).await?;
    let permit = by.operator_permit(Action::EditProvider, id.as_str())?;
    let saved = providers::update(&mut tx, &permit, id, edit.version, mine).await;
    if !saved.map_err(|error| name_taken(error, &mine.name))? {
        return Err(lost_race("this provider"));
    }
    let mut changes = mine.changes_since(Some(&current));
    match &edit.key {
        Some(key) if mine.stored_key => {
            changes.push(put_key(desk, &mut tx, &permit, &listed.provider, key.as_str()).await?);
        }
        _ if !mine.stored_key && listed.provider.sealed_key.is_some() => {
            providers::drop_key(&mut tx, &permit, id).await?;
        }
        _ => {}
    }
    if mine.is_elsewhere(&current) || edit.key.is_some() {
        providers::drop_test(&mut tx, &permit, id).await?;
    }
    tx.save(&permit, provider_event(EventKind::ProviderEdited, &listed.provider, changes), desk.now())
        .await?;
    Ok(Outcome::Saved(mine.clone()))
}

/// Seals a provider's API key and stores it; answers the change for the audit. The provider's row is locked before the key
/// that seals is read, so that a rotation of that key comes before or after.
pub(super) async fn put_key(
    desk: &Desk,
    tx: &mut Tx,
    permit: &OperatorPermit,
    provider: &Provider,
    key: &str,
) -> Result<Change, OpError> {
    if !providers::lock(tx, &provider.id).await? {
        return Err(OpError::NotFound);
    }
    let sealed = desk.provider_vault.seal(&provider.id, desk.bytes(), key).ok_or_else(no_sealing_key)?;
    providers::put_key(tx, permit, &provider.id, &sealed, desk.now()).await?;
    let hint = |last_four: &str| ChangeValue::from(format!("…{last_four}").as_str());
    let before = provider.sealed_key.as_ref().map(|before| hint(&before.last_four));
    Ok(Change { field: "api_key".into(), before, after: Some(hint(&sealed.last_four)) })
}

pub(super) fn no_sealing_key() -> OpError {
    OpError::say(
        "secret",
        "This process has no key to seal API keys with, so none can be stored. See --provider-key-file.",
    )
}

/// A provider that was taken out of use.
#[derive(Debug)]
pub struct Retired {
    /// The provider's name.
    pub name: String,
    /// The models that it served. No provider serves them now.
    pub unrouted: Vec<String>,
}

/// Takes a provider out of use, and its models with it, in one step.
///
/// # Errors
/// `NotFound` unless an operator or the command line acts, and when no provider in use has this id.
pub async fn retire(desk: &Desk, by: OperatorActor<'_>, id: &str) -> Result<Retired, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let listed = find(&mut tx, id).await?;
    let id = &listed.provider.id;
    // First the provider: what is routed to it at this moment waits, and then finds it gone.
    let permit = by.operator_permit(Action::RetireProvider, id.as_str())?;
    if !providers::retire(&mut tx, &permit, id, now).await? {
        return Err(OpError::NotFound);
    }
    let mut known = models::list_known(&mut tx, desk.now()).await?;
    known.retain(|known| known.model.providers().any(|provider| provider == id));
    let served: Vec<String> = known.iter().map(|known| known.model.id.clone()).collect();
    known.retain(|known| known.model.further.is_empty());
    let unrouted: Vec<String> = known.into_iter().map(|known| known.model.id).collect();
    models::unroute_all(&mut tx, &permit, id).await?;
    providers::drop_key(&mut tx, &permit, id).await?;
    let models = Change::removed("models", ChangeValue::List(served.clone()));
    let changes = if served.is_empty() { vec![] } else { vec![models] };
    tx.save(&permit, provider_event(EventKind::ProviderRetired, &listed.provider, changes), now).await?;
    let name = listed.provider.spec.name;
    Ok(Retired { name, unrouted })
}

/// What a change of a provider's models did.
#[derive(Debug, Default)]
pub struct Routed {
    /// The provider's name.
    pub name: String,
    /// How many models it serves now and did not serve before.
    pub added: usize,
    /// How many models it served before and no provider serves now.
    pub removed: usize,
}

/// Routes what is newly ticked to the provider, and what no longer is to no provider: all of it, or nothing.
///
/// # Errors
/// `Conflict` when a model is routed otherwise by now than the form was drawn with.
pub async fn route(desk: &Desk, by: OperatorActor<'_>, routes: &RouteModels) -> Result<Routed, OpError> {
    by.must_operate()?;
    let mut tx = desk.db.write().await?;
    let listed = find(&mut tx, &routes.provider).await?;
    let (id, name) = (listed.provider.id, listed.provider.spec.name);
    if !providers::lock(&mut tx, &id).await? {
        return Err(OpError::NotFound);
    }
    if routes.models.iter().any(|model| !routes.was.contains_key(model)) {
        return Err(OpError::say("models", "A selected model was not on the page. Reload and try again."));
    }
    let mut routed = Routed { name, ..Routed::default() };
    let (mut events, names) = (Vec::new(), names_of(&mut tx).await?);
    let known = models::list_known(&mut tx, desk.now()).await?;
    for (model, from) in &routes.was {
        let ticked = routes.models.contains(model);
        let to = match (ticked, from.as_ref() == Some(&id)) {
            (true, false) => Some(&id),
            (false, true) => None,
            _ => continue,
        };
        // No id contains a zero character, which Postgres does not take.
        let permit = by.operator_permit(Action::RouteModel, model)?;
        if model.contains('\0') || !models::route(&mut tx, &permit, model, from.as_ref(), to).await? {
            return Err(OpError::Conflict(format!(
                "{model} was rerouted or retired in the meantime. Nothing was saved. Reload and try again."
            )));
        }
        match to {
            Some(_) => routed.added += 1,
            None => routed.removed += 1,
        }
        // What others serve too is still served.
        let next = || known.iter().find(|known| known.model.id == *model)?.model.next_provider();
        events.push((permit, route_event(model, from.as_ref(), to.or_else(next), &names)));
    }
    tx.save_all(events, desk.now()).await?;
    Ok(routed)
}

/// Names of the providers in use by their ids, for the audit.
pub(super) type Names = BTreeMap<ProviderId, String>;

pub(super) async fn names_of(via: &mut impl Via) -> Result<Names, OpError> {
    let listed = providers::list(via).await?;
    Ok(listed.into_iter().map(|listed| (listed.provider.id, listed.provider.spec.name)).collect())
}

pub(super) fn route_event(
    model: &str,
    from: Option<&ProviderId>,
    to: Option<&ProviderId>,
    names: &Names,
) -> Event {
    let name = |id: &ProviderId| names.get(id).cloned().unwrap_or_else(|| id.to_string()).into();
    let change = Change { field: "provider".into(), before: from.map(name), after: to.map(name) };
    Event::new(EventKind::ModelRouted, model, model).with([change])
}

/// By the name that people call it by; in any case, where only one is meant.
pub(super) async fn named(via: &mut impl Via, name: &str) -> Result<Option<ListedProvider>, OpError> {
    let mut list = providers::list(via).await?;
    if let Some(at) = list.iter().position(|listed| listed.provider.spec.name == name) {
        return Ok(Some(list.swap_remove(at)));
    }
    list.retain(|listed| fold(&listed.provider.spec.name) == fold(name.trim()));
    Ok(if list.len() == 1 { list.pop() } else { None })
}

/// For the command line.
///
/// # Errors
/// `Conflict` with a sentence that lists the names there are.
pub async fn by_name(desk: &Desk, name: &str) -> Result<ListedProvider, OpError> {
    let mut read = desk.db.read().await?;
    match named(&mut read, name).await? {
        Some(listed) => Ok(listed),
        None => Err(unknown(&mut read, name).await?),
    }
}

pub(super) async fn unknown(via: &mut impl Via, name: &str) -> Result<OpError, OpError> {
    let names: Vec<String> =
        providers::list(via).await?.into_iter().map(|listed| listed.provider.spec.name).collect();
    let there = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
    Ok(OpError::Conflict(format!("There is no provider {name}. There are: {there}.")))
}

pub(super) async fn find(via: &mut impl Via, id: &str) -> Result<ListedProvider, OpError> {
    let id = ProviderId::parse(id).ok_or(OpError::NotFound)?;
    providers::find(via, &id).await?.ok_or(OpError::NotFound)
}

/// Two names that differ only in case would be one to people.
async fn must_be_free(tx: &mut Tx, name: &str, own: Option<&ProviderId>) -> Result<(), OpError> {
    let folded = fold(name);
    let list = providers::list(tx).await?;
    let mut others = list.iter().filter(|listed| Some(&listed.provider.id) != own);
    match others.find(|listed| fold(&listed.provider.spec.name) == folded) {
        Some(other) => Err(taken(&other.provider.spec.name)),
        None => Ok(()),
    }
}

fn name_taken(error: StoreError, name: &str) -> OpError {
    match error {
        StoreError::ConstraintViolation(ConstraintViolation::ProviderName) => taken(name),
        other => other.into(),
    }
}

fn taken(name: &str) -> OpError {
    OpError::say(
        "name",
        format!("There is already a provider {name}. Choose another name, or edit that one."),
    )
}
