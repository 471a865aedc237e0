//! The catalogue's models, one at a time: what each costs and who serves it, for operators. Whole
//! lists are `catalogue`'s. The installation's audit records what changes.

use super::OpError;
use super::access::Caller;
use super::edit::{Outcome, conflict, lost_race};
use super::new_price;
use super::orgs::OperatorActor;
use super::providers::{Names, named, names_of, route_event, unknown};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::ids::ProviderId;
use crate::domain::list_filter::ModelFilter;
use crate::domain::model::{EditModel, KnownModel, Model};
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::OrgName;
use crate::domain::policy::Action;
use crate::domain::price::Price;
use crate::domain::provider::Provider;
use crate::domain::tariff::Tariff;
use crate::store::{Via, models, people, providers};

/// What the list of models is drawn from.
pub struct ModelsView {
    /// The models that match the filter, in its order.
    pub models: Vec<KnownModel>,
    /// How many there are without the filter.
    pub all: usize,
    /// Whether a provider that has answered serves one.
    pub served: bool,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
}

/// # Errors
/// `NotFound` for who is no operator, here and below.
pub async fn list(desk: &Desk, caller: &Caller, filter: &ModelFilter) -> Result<ModelsView, OpError> {
    OperatorActor::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    // A few hundred at most: the forms of keys show them all, too.
    let mut models = models::list_known(&mut read, desk.now()).await?;
    let all = models.len();
    models.retain(|known| filter.takes(known));
    models.sort_by_cached_key(|known| filter.sort.key(known));
    if filter.descending {
        models.reverse();
    }
    let served = models::any_served(&mut read).await?;
    Ok(ModelsView { models, all, served, own: people::orgs_of(&mut read, &caller.person.id).await? })
}

/// For the command line.
///
/// # Errors
/// When the database cannot be read.
pub async fn every(desk: &Desk) -> Result<Vec<KnownModel>, OpError> {
    Ok(models::list_known(&mut desk.db.read().await?, desk.now()).await?)
}

/// What the form of a model is drawn from.
pub struct ModelFormView {
    /// The model as it stands, when it is edited.
    pub known: Option<KnownModel>,
    /// Whom it can be routed to.
    pub providers: Vec<Provider>,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
}

/// The form of a new model.
///
/// # Errors
/// `NotFound` unless the caller is an operator.
pub async fn blank(desk: &Desk, caller: &Caller) -> Result<ModelFormView, OpError> {
    OperatorActor::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    view(&mut read, caller, None).await
}

/// What the pages of one model are drawn from.
///
/// # Errors
/// `NotFound` unless the caller is an operator, and when the model is not in the catalogue.
pub async fn show(desk: &Desk, caller: &Caller, id: &str) -> Result<ModelFormView, OpError> {
    OperatorActor::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    let known = find(&mut read, id, desk.now()).await?;
    view(&mut read, caller, Some(known)).await
}

async fn view(
    via: &mut impl Via,
    caller: &Caller,
    known: Option<KnownModel>,
) -> Result<ModelFormView, OpError> {
    let providers = providers::list(via).await?.into_iter().map(|listed| listed.provider).collect();
    Ok(ModelFormView { known, providers, own: people::orgs_of(via, &caller.person.id).await? })
}

/// Adds a model whose price starts now, or when `starts` says. Gives its id.
///
/// # Errors
/// `Invalid` when the id is in the catalogue already, or the price cannot start then.
pub async fn add(
    desk: &Desk,
    by: OperatorActor<'_>,
    model: &Model,
    starts: Option<Moment>,
) -> Result<String, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    if models::find(&mut tx, &model.id, now).await?.is_some() {
        let sentence = format!("{} is already in the catalogue. Edit it there.", model.id);
        return Err(OpError::say("id", sentence));
    }
    must_be_served(&mut tx, model).await?;
    let permit = by.operator_permit(Action::AddModel, &model.id)?;
    // One that comes back has its price still.
    let before = models::priced(&mut tx, &model.id, now).await?.and_then(|retired| retired.price);
    models::put(&mut tx, &permit, model, now).await?;
    let names = names_of(&mut tx).await?;
    let mut event = model_event(EventKind::ModelAdded, None, model, &names);
    if let Some(price) = next_price(before.as_ref(), model.price.as_ref(), starts) {
        let set = new_price::set(desk, &mut tx, &permit, (&model.id, None), price, starts).await?;
        event.changes.extend(set.changes);
    }
    tx.save(&permit, event, now).await?;
    Ok(model.id.clone())
}

/// Another price applies to requests that start after the answer, or after the moment that the edit names. Saves the model's
/// id.
///
/// # Errors
/// `Invalid` when its provider is gone or the price cannot start then; `NotFound` when it was retired meanwhile.
pub async fn save(
    desk: &Desk,
    by: OperatorActor<'_>,
    edit: &EditModel,
) -> Result<Outcome<String, Model>, OpError> {
    by.must_operate()?;
    let mut tx = desk.db.write().await?;
    let mine = &edit.mine;
    let now = desk.now();
    let known = find(&mut tx, &mine.id, now).await?;
    let current = known.model.as_edited();
    if edit.version != known.version {
        let providers = providers::list(&mut tx).await?;
        let three = (edit.base.as_ref().unwrap_or(&current), mine, &current);
        return Ok(Outcome::Conflict(Box::new(conflict(
            "This model was changed",
            three,
            &providers,
            &Zone::utc(),
        ))));
    }
    let price = next_price(known.model.price.as_ref(), mine.price.as_ref(), edit.starts);
    let is_edited = Model { price: None, ..mine.clone() } != Model { price: None, ..current };
    let mut events = Vec::new();
    if is_edited {
        must_be_served(&mut tx, mine).await?;
        let permit = by.operator_permit(Action::EditModel, &mine.id)?;
        if !models::update(&mut tx, &permit, edit.version, mine).await? {
            return Err(lost_race("this model"));
        }
        let names = names_of(&mut tx).await?;
        events.push((permit, model_event(EventKind::ModelEdited, Some(&known.model), mine, &names)));
    }
    if let Some(price) = price {
        let permit = by.operator_permit(Action::SetPrice, &mine.id)?;
        if !is_edited && !models::touch(&mut tx, &permit, &mine.id, edit.version).await? {
            return Err(lost_race("this model"));
        }
        let before = (mine.id.as_str(), known.model.price.as_ref());
        let event = new_price::set(desk, &mut tx, &permit, before, price, edit.starts).await?;
        events.push((permit, event));
    }
    if events.is_empty() {
        return Ok(Outcome::Unchanged(mine.id.clone()));
    }
    tx.save_all(events, now).await?;
    Ok(Outcome::Saved(mine.id.clone()))
}

/// The price to store, if it is another one, or is to start at a certain moment. No price after one is a price of its own,
/// which says so.
fn next_price(before: Option<&Price>, after: Option<&Price>, starts: Option<Moment>) -> Option<Price> {
    let same = match (before, after) {
        (Some(before), Some(after)) => before.says_the_same(after),
        (before, after) => before.is_none() && after.is_none(),
    };
    let next = || after.cloned().unwrap_or_else(|| Price::unrecorded(Tariff::default()));
    (!same || starts.is_some()).then(next)
}

/// Takes a model out of the catalogue; what was spent on it stays written. Gives its id.
///
/// # Errors
/// `NotFound` unless an operator or the command line acts, and when the model is not in the catalogue.
pub async fn retire(desk: &Desk, by: OperatorActor<'_>, id: &str) -> Result<String, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let known = find(&mut tx, id, now).await?;
    let permit = by.operator_permit(Action::RetireModel, &known.model.id)?;
    if !models::retire(&mut tx, &permit, &known.model.id, now).await? {
        return Err(OpError::NotFound);
    }
    let id = known.model.id.as_str();
    tx.save(&permit, Event::new(EventKind::ModelRetired, id, id), now).await?;
    Ok(known.model.id)
}

/// Routes models by their names to a provider by its name, or to none, which takes them out of service: all of them, or none.
///
/// # Errors
/// `Conflict` with a sentence that names what is not there.
pub async fn route(
    desk: &Desk,
    by: OperatorActor<'_>,
    ids: &[String],
    to: Option<&str>,
) -> Result<(), OpError> {
    by.must_operate()?;
    let mut tx = desk.db.write().await?;
    let to = match to {
        None => None,
        Some(name) => match named(&mut tx, name).await? {
            Some(listed) => Some(listed.provider.id),
            None => return Err(unknown(&mut tx, name).await?),
        },
    };
    must_be_there(&mut tx, to.as_ref()).await?;
    let (mut events, names) = (Vec::new(), names_of(&mut tx).await?);
    for id in ids {
        let known = find(&mut tx, id, desk.now()).await.map_err(|error| not_there(error, id))?;
        if known.model.route == to {
            continue;
        }
        let permit = by.operator_permit(Action::RouteModel, id)?;
        if to.is_none() {
            models::drop_further(&mut tx, &permit, id).await?;
        }
        if !models::route(&mut tx, &permit, id, known.model.route.as_ref(), to.as_ref()).await? {
            return Err(OpError::Conflict(format!(
                "{id} was changed at the same time. Nothing was saved. Try again."
            )));
        }
        events.push((permit, route_event(id, known.model.route.as_ref(), to.as_ref(), &names)));
    }
    tx.save_all(events, desk.now()).await?;
    Ok(())
}

/// The event of a model that is added or changed.
pub(super) fn model_event(kind: EventKind, before: Option<&Model>, after: &Model, names: &Names) -> Event {
    let changes = after.changes_since(before, |id| names.get(id).cloned().unwrap_or_else(|| id.to_string()));
    Event::new(kind, &after.id, &after.id).with(changes)
}

/// For the command line.
///
/// # Errors
/// `Conflict` with a sentence when it is not in the catalogue.
pub async fn by_id(desk: &Desk, id: &str) -> Result<KnownModel, OpError> {
    find(&mut desk.db.read().await?, id, desk.now()).await.map_err(|error| not_there(error, id))
}

pub(super) fn not_there(error: OpError, id: &str) -> OpError {
    match error {
        OpError::NotFound => {
            OpError::Conflict(format!("{id} is not in the catalogue. `keydesk models list` shows it."))
        }
        other => other,
    }
}

pub(super) async fn find(via: &mut impl Via, id: &str, now: Moment) -> Result<KnownModel, OpError> {
    // Postgres takes no zero character in text, and no id holds one.
    if id.contains('\0') {
        return Err(OpError::NotFound);
    }
    models::find(via, id, now).await?.ok_or(OpError::NotFound)
}

/// Those who serve the model are there and speak one protocol; locked until the transaction ends.
async fn must_be_served(tx: &mut crate::store::Tx, model: &Model) -> Result<(), OpError> {
    must_be_there(tx, model.route.as_ref()).await?;
    if model.further.is_empty() {
        return Ok(());
    }
    let listed = providers::list(tx).await?;
    let find = |id: &ProviderId| listed.iter().map(|one| &one.provider).find(|one| one.id == *id);
    let Some(first) = model.route.as_ref().and_then(find) else {
        return Err(OpError::say("route", "Choose the first provider of the model, too."));
    };
    for one in &model.further {
        let gone = || OpError::say("further", "A provider does not exist any more. Reload and try again.");
        let provider = find(&one.id).ok_or_else(gone)?;
        if provider.spec.kind != first.spec.kind {
            let sentence = format!(
                "{} speaks the protocol of {}, and {} that of {}. Requests are not translated, so all providers of a model speak the same.",
                provider.spec.name,
                provider.spec.kind.label(),
                first.spec.name,
                first.spec.kind.label()
            );
            return Err(OpError::say("further", sentence));
        }
        if !providers::lock(tx, &one.id).await? {
            return Err(gone());
        }
    }
    Ok(())
}

/// Locked until the transaction ends, so that no one retires it meanwhile.
pub(super) async fn must_be_there(
    tx: &mut crate::store::Tx,
    route: Option<&ProviderId>,
) -> Result<(), OpError> {
    match route {
        Some(id) if !providers::lock(tx, id).await? => Err(OpError::say(
            "route",
            "This provider does not exist any more. Choose another, or Not served.",
        )),
        _ => Ok(()),
    }
}
