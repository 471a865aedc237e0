//! The catalogue's models, one at a time: what each costs and who serves it, for whoever runs the installation. Whole
//! lists are `catalogue`'s. The installation's audit records what changes.

use super::OpError;
use super::access::Caller;
use super::merge::{EditConflict, merge};
use super::orgs::By;
use super::providers::{Names, named, names_of, route_event, unknown};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::ids::ProviderId;
use crate::domain::list_filter::ModelFilter;
use crate::domain::model::{KnownModel, Model};
use crate::domain::org::OrgName;
use crate::domain::policy::Action;
use crate::domain::provider::Provider;
use crate::forms::model::{AddForm, ModelForm, RetireForm, SaveForm};
use crate::store::{Via, models, people, providers};

pub struct ModelsView {
    pub models: Vec<KnownModel>,
    /// How many there are without the filter.
    pub all: usize,
    /// Whether there is any provider to route them to.
    pub providers: bool,
    pub own: Vec<OrgName>,
}

/// # Errors
/// `NotFound` for who is no operator, here and below.
pub async fn list(desk: &Desk, caller: &Caller, filter: &ModelFilter) -> Result<ModelsView, OpError> {
    By::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    // A few hundred at most: the forms of keys show them all, too.
    let mut models = models::list_known(&mut read).await?;
    let all = models.len();
    models.retain(|known| filter.takes(known));
    models.sort_by_cached_key(|known| filter.sort.key(known));
    if filter.descending {
        models.reverse();
    }
    let providers = providers::any(&mut read).await?;
    Ok(ModelsView { models, all, providers, own: people::orgs_of(&mut read, &caller.person.id).await? })
}

/// For the command line.
pub async fn every(desk: &Desk) -> Result<Vec<KnownModel>, OpError> {
    Ok(models::list_known(&mut desk.db.read().await?).await?)
}

pub struct ModelFormView {
    pub form: ModelForm,
    /// The model as it stands, when it is edited.
    pub known: Option<KnownModel>,
    /// Whom it can be routed to.
    pub providers: Vec<Provider>,
    pub own: Vec<OrgName>,
}

pub async fn blank(desk: &Desk, caller: &Caller) -> Result<ModelFormView, OpError> {
    By::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    view(&mut read, caller, ModelForm::with_defaults(), None).await
}

/// What the pages of one model are drawn from.
pub async fn show(desk: &Desk, caller: &Caller, id: &str) -> Result<ModelFormView, OpError> {
    By::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    let known = find(&mut read, id).await?;
    view(&mut read, caller, ModelForm::of(&known.model), Some(known)).await
}

async fn view(
    via: &mut impl Via,
    caller: &Caller,
    form: ModelForm,
    known: Option<KnownModel>,
) -> Result<ModelFormView, OpError> {
    let providers = providers::list(via).await?.into_iter().map(|listed| listed.provider).collect();
    Ok(ModelFormView { form, known, providers, own: people::orgs_of(via, &caller.person.id).await? })
}

/// Gives its id.
///
/// # Errors
/// `Invalid` with every mistake, an id that is in the catalogue already among them.
pub async fn add(desk: &Desk, by: By<'_>, form: &AddForm) -> Result<String, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let model = form.model.parse().map_err(OpError::Invalid)?;
    let mut tx = desk.db.write().await?;
    if models::find(&mut tx, &model.id).await?.is_some() {
        let sentence = format!("{} is already in the catalogue. Edit it there.", model.id);
        return Err(OpError::say("id", sentence));
    }
    must_be_there(&mut tx, model.route.as_ref()).await?;
    let permit = by.operator_permit(Action::AddModel, &model.id)?;
    models::put(&mut tx, &permit, &model, now).await?;
    let names = names_of(&mut tx).await?;
    tx.save(&permit, model_event(EventKind::ModelAdded, None, &model, &names), now).await?;
    Ok(model.id)
}

#[derive(Debug)]
pub enum Saved {
    Saved(String),
    Nothing(String),
    /// Somebody saved first.
    EditConflict(Box<EditConflict<ModelForm>>),
}

/// New prices hold for requests that start after the answer.
///
/// # Errors
/// `Invalid` with every mistake; `NotFound` when it was retired meanwhile.
pub async fn save(desk: &Desk, by: By<'_>, form: &SaveForm) -> Result<Saved, OpError> {
    by.must_operate()?;
    let mut tx = desk.db.write().await?;
    let known = find(&mut tx, &form.model.id).await?;
    let mine = form.model.parse().map_err(OpError::Invalid)?;
    if form.version != known.version {
        let was: ModelForm = serde_json::from_str(&form.was)
            .map_err(|_| OpError::say("vendor", "The form is incomplete. Reload and try again."))?;
        let list = providers::list(&mut tx).await?;
        let reads = |field: &str, value: &str| match (field, value) {
            ("route", "") => "Nobody".to_owned(),
            ("route", id) => {
                let found = list.iter().find(|listed| listed.provider.id.as_str() == id);
                found.map_or("a provider that was retired", |listed| listed.provider.name.as_str()).to_owned()
            }
            ("upstream", "") => "the same name".to_owned(),
            ("input" | "output" | "cached", amount) => format!("${amount}"),
            (_, text) => text.to_owned(),
        };
        let forms = (&was, &ModelForm::of(&mine), &ModelForm::of(&known.model));
        return Ok(Saved::EditConflict(Box::new(merge("model", forms, reads))));
    }
    if mine == known.model {
        return Ok(Saved::Nothing(mine.id));
    }
    must_be_there(&mut tx, mine.route.as_ref()).await?;
    let permit = by.operator_permit(Action::EditModel, &mine.id)?;
    if !models::update(&mut tx, &permit, form.version, &mine).await? {
        return Err(OpError::Conflict(
            "The model was changed at the same time. Reload and try again.".into(),
        ));
    }
    let names = names_of(&mut tx).await?;
    let event = model_event(EventKind::ModelEdited, Some(&known.model), &mine, &names);
    tx.save(&permit, event, desk.now()).await?;
    Ok(Saved::Saved(mine.id))
}

/// Takes a model out of the catalogue; what was spent on it stays written. Gives its id.
pub async fn retire(desk: &Desk, by: By<'_>, form: &RetireForm) -> Result<String, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let known = find(&mut tx, &form.id).await?;
    let permit = by.operator_permit(Action::RetireModel, &known.model.id)?;
    if !models::retire(&mut tx, &permit, &known.model.id, now).await? {
        return Err(OpError::NotFound);
    }
    let id = known.model.id.as_str();
    tx.save(&permit, Event::new(EventKind::ModelRetired, id, id), now).await?;
    Ok(known.model.id)
}

/// Routes models by their names to a provider by its name, or to nobody: all of them, or none.
///
/// # Errors
/// `Conflict` with a sentence that names what is not there.
pub async fn route(desk: &Desk, by: By<'_>, ids: &[String], to: Option<&str>) -> Result<(), OpError> {
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
        let known = find(&mut tx, id).await.map_err(|error| not_there(error, id))?;
        if known.model.route == to {
            continue;
        }
        let permit = by.operator_permit(Action::RouteModel, id)?;
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
    find(&mut desk.db.read().await?, id).await.map_err(|error| not_there(error, id))
}

/// For the command line: the provider's id for a form, from its name.
///
/// # Errors
/// `Conflict` with a sentence that lists the names there are.
pub async fn route_named(desk: &Desk, name: &str) -> Result<String, OpError> {
    let listed = super::providers::by_name(desk, name).await?;
    Ok(listed.provider.id.to_string())
}

fn not_there(error: OpError, id: &str) -> OpError {
    match error {
        OpError::NotFound => {
            OpError::Conflict(format!("{id} is not in the catalogue. `keydesk models list` shows it."))
        }
        other => other,
    }
}

async fn find(via: &mut impl Via, id: &str) -> Result<KnownModel, OpError> {
    // Postgres takes no zero character in text, and no id holds one.
    if id.contains('\0') {
        return Err(OpError::NotFound);
    }
    models::find(via, id).await?.ok_or(OpError::NotFound)
}

/// Held until the transaction ends, so that nobody retires it meanwhile.
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
