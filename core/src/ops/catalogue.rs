//! The catalogue of models as a whole: the one that comes with the program, what importing another would change, and
//! importing it.

use std::collections::BTreeMap;

use super::models::{model_event, must_be_there};
use super::providers::{named, names_of, unknown};
use super::{OpError, new_price};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::catalogue::{self, SHIPPED};
pub use crate::domain::catalogue_file::write;
use crate::domain::imported::{Confirmed, Imported, Planned, Preview, Unconfirmed};
use crate::domain::model::{KnownModel, Model};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, OperatorPermit};
use crate::domain::price::{Price, PriceOrigin};
use crate::store::{Via, models, prices};

/// The models of the catalogue that comes with the program.
pub fn shipped() -> Vec<Imported> {
    read(SHIPPED).unwrap_or_default()
}

/// The models of a file in one of the forms that `domain::catalogue` reads.
///
/// # Errors
/// A sentence that says what cannot be read and why.
pub fn read(text: &str) -> Result<Vec<Imported>, String> {
    catalogue::read(text).map(|read| read.models).map_err(|error| error.to_string())
}

/// What an import does to one model.
struct Step {
    /// The model after it, with the price in force before it.
    model: Model,
    /// The model as it is in use.
    known: Option<KnownModel>,
    /// The price to store.
    price: Option<Price>,
    planned: Planned,
}

impl Step {
    /// With its route as `model` has it already. An operator may have set the price in force, or have taken it away.
    fn new(
        entry: &Imported,
        mut model: Model,
        known: Option<KnownModel>,
        is_operators: bool,
        confirmed: &Confirmed,
    ) -> Self {
        model.provider.clone_from(&entry.vendor);
        model.upstream_name = entry.upstream.clone().unwrap_or(model.upstream_name);
        model.default_output_tokens = entry.default_output_tokens.unwrap_or(model.default_output_tokens);
        model.context_tokens = entry.context_tokens.or(model.context_tokens);
        model.max_output_tokens = entry.max_output_tokens.or(model.max_output_tokens);
        let before = model.price.as_ref().map(|price| price.tariff.clone());
        let after = entry.tariff.clone().or_else(|| before.clone());
        let unconfirmed =
            if before == after { None } else { unconfirmed(model.price.as_ref(), entry, is_operators) };
        let unconfirmed = unconfirmed.filter(|why| !confirmed.covers(&entry.id, *why));
        let price = after.clone().filter(|_| before != after && unconfirmed.is_none());
        let planned = Planned {
            id: entry.id.clone(),
            is_new: known.is_none(),
            before,
            after,
            other_changes: known.as_ref().is_some_and(|known| known.model != model),
            unconfirmed,
        };
        let price = price.map(|tariff| new_price::of_catalogue(tariff, entry.source.clone()));
        Self { model, known, price, planned }
    }
}

fn unconfirmed(in_force: Option<&Price>, entry: &Imported, is_operators: bool) -> Option<Unconfirmed> {
    let after = entry.tariff.as_ref()?;
    if is_operators {
        return Some(Unconfirmed::OperatorPrice);
    }
    in_force?.tariff.moves_far(after).then_some(Unconfirmed::FarMove)
}

async fn steps(
    via: &mut impl Via,
    list: &[Imported],
    confirmed: &Confirmed,
    now: Moment,
) -> Result<(Vec<Step>, Vec<KnownModel>), OpError> {
    let known = models::list_known(via, now).await?;
    let mut there: BTreeMap<String, KnownModel> =
        known.into_iter().map(|known| (known.model.id.clone(), known)).collect();
    let mut steps = Vec::new();
    for entry in list {
        let known = there.remove(&entry.id);
        let mut model = match &known {
            Some(known) => known.model.clone(),
            // A retired one comes back with its price.
            None => {
                let retired = models::priced(via, &entry.id, now).await?;
                Model {
                    price: retired.and_then(|retired| retired.price),
                    ..Model::unrouted(&entry.id, &entry.vendor)
                }
            }
        };
        match entry.route.as_deref() {
            None => {}
            // Not served is not served by further ones either.
            Some("") => (model.route, model.further) = (None, Vec::new()),
            Some(name) => match named(via, name).await? {
                Some(listed) => model.serve_first(listed.provider.id),
                None => return Err(unknown_in(&entry.id, unknown(via, name).await?)),
            },
        }
        let is_operators = match &model.price {
            Some(price) => price.origin == PriceOrigin::Operator,
            None => is_taken_away(via, &entry.id, now).await?,
        };
        steps.push(Step::new(entry, model, known, is_operators, confirmed));
    }
    Ok((steps, there.into_values().collect()))
}

/// Whether a model has no price because an operator took it away.
async fn is_taken_away(via: &mut impl Via, id: &str, now: Moment) -> Result<bool, OpError> {
    let history = prices::history(via, id).await?;
    let in_force = history.iter().find(|past| past.withdrawn_at.is_none() && past.price.starts_at <= now);
    Ok(in_force.is_some_and(|past| past.price.origin == PriceOrigin::Operator))
}

fn preview_of(steps: &[Step], retired: &[KnownModel], only: bool) -> Preview {
    let retired = retired.iter().filter(|_| only).map(|known| known.model.id.clone());
    Preview { models: steps.iter().map(|step| step.planned.clone()).collect(), retired: retired.collect() }
}

/// What `import` would do, and which prices it would hold back.
///
/// # Errors
/// Like `import`.
pub async fn preview(
    desk: &Desk,
    list: &[Imported],
    only: bool,
    confirmed: &Confirmed,
) -> Result<Preview, OpError> {
    must_be_once(list)?;
    let (steps, rest) = steps(&mut desk.db.read().await?, list, confirmed, desk.now()).await?;
    Ok(preview_of(&steps, &rest, only))
}

/// Adds and updates, all or nothing; with `only`, models that the list does not name are retired. What the list does not
/// say about a model in use stays as it is, and so does a price that is held back. Gives what was done.
///
/// # Errors
/// `Conflict` with a sentence when an entry names a provider that is not there, or a model is there twice.
pub async fn import(
    desk: &Desk,
    list: &[Imported],
    only: bool,
    confirmed: &Confirmed,
) -> Result<Preview, OpError> {
    must_be_once(list)?;
    let now = desk.now();
    let program = |action, id: &str| OperatorPermit::program(action, id, "command line");
    let mut tx = desk.db.write().await?;
    models::lock_all(&mut tx).await?;
    let (steps, rest) = steps(&mut tx, list, confirmed, now).await?;
    let done = preview_of(&steps, &rest, only);
    let (mut events, names) = (Vec::new(), names_of(&mut tx).await?);
    for Step { model, known, price, planned } in steps {
        let id = model.id.as_str();
        if planned.is_new || planned.other_changes {
            must_be_there(&mut tx, model.route.as_ref()).await?;
            let (action, kind) = match known {
                Some(_) => (Action::EditModel, EventKind::ModelEdited),
                None => (Action::AddModel, EventKind::ModelAdded),
            };
            let permit = program(action, id);
            models::put(&mut tx, &permit, &model, now).await?;
            let before = known.as_ref().map(|known| &known.model);
            events.push((permit, model_event(kind, before, &model, &names)));
        }
        let Some(price) = price else { continue };
        if let (true, Some((permit, event))) = (planned.is_new, events.last_mut()) {
            let set = new_price::set(desk, &mut tx, permit, (id, None), price, None).await?;
            event.changes.extend(set.changes);
            continue;
        }
        let permit = program(Action::SetPrice, id);
        if let Some(known) = known.filter(|_| !planned.other_changes) {
            models::touch(&mut tx, &permit, id, known.version).await?;
        }
        let event = new_price::set(desk, &mut tx, &permit, (id, model.price.as_ref()), price, None).await?;
        events.push((permit, event));
    }
    for known in rest.iter().filter(|_| only) {
        let id = known.model.id.as_str();
        let permit = program(Action::RetireModel, id);
        models::retire(&mut tx, &permit, id, now).await?;
        events.push((permit, Event::new(EventKind::ModelRetired, id, id)));
    }
    tx.save_all(events, now).await?;
    Ok(done)
}

/// Of two entries the second would silently win.
fn must_be_once(list: &[Imported]) -> Result<(), OpError> {
    let mut seen = std::collections::BTreeSet::new();
    match list.iter().find(|entry| !seen.insert(&entry.id)) {
        None => Ok(()),
        Some(twice) => {
            Err(OpError::Conflict(format!("{} is in the file twice. Nothing was imported.", twice.id)))
        }
    }
}

fn unknown_in(model: &str, error: OpError) -> OpError {
    match error {
        OpError::Conflict(sentence) => {
            OpError::Conflict(format!("{model}: route: {sentence} Nothing was imported."))
        }
        other => other,
    }
}

/// Fills a new database's catalogue with the one that comes with the program.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn seed(desk: &Desk) -> Result<(), OpError> {
    if !models::any(&mut desk.db.read().await?).await? {
        import(desk, &shipped(), false, &Confirmed::default()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_that_comes_with_the_program_reads() {
        let list = shipped();
        assert!(list.len() >= 12);
        assert!(list.iter().all(|entry| entry.tariff.is_some()));
    }
}
