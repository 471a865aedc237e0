//! The price book of one model: its prices over time, for operators. A new price comes with an edit of the model
//! (`models`), with an import (`catalogue`) or from here, where it goes back to the catalogue's.

use super::access::Caller;
use super::edit::lost_race;
use super::models::find;
use super::new_price::{of_catalogue, set};
use super::orgs::OperatorActor;
use super::{OpError, catalogue};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::failover::FurtherProvider;
use crate::domain::ids::PriceId;
use crate::domain::model::{KnownModel, Model};
use crate::domain::moment::Moment;
use crate::domain::org::OrgName;
use crate::domain::policy::Action;
use crate::domain::price::{PastPrice, Price, PriceOrigin};
use crate::domain::provider::Provider;
use crate::store::{Via, models, people, prices, providers};

/// What the page of a model is drawn from.
pub struct PriceBook {
    /// The model, with the price in force.
    pub known: KnownModel,
    /// Who serves it besides its first provider, the largest share first.
    pub further: Vec<(Provider, FurtherProvider)>,
    /// Every price, the last to start first; withdrawn ones too.
    pub prices: Vec<PastPrice>,
    /// What the catalogue asks, where an operator's own price, or none, is in force in its place.
    pub catalogue: Option<Price>,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
    /// When it was read.
    pub now: Moment,
}

impl PriceBook {
    /// Those that will start, the next one first.
    pub fn coming(&self) -> Vec<&PastPrice> {
        self.prices.iter().rev().filter(|past| past.is_coming(self.now)).collect()
    }
}

/// # Errors
/// `NotFound` unless the caller is an operator, and when the model is not in the catalogue.
pub async fn show(desk: &Desk, caller: &Caller, id: &str) -> Result<PriceBook, OpError> {
    OperatorActor::Operator(caller).must_operate()?;
    let mut read = desk.db.read().await?;
    let own = people::orgs_of(&mut read, &caller.person.id).await?;
    Ok(PriceBook { own, ..book(&mut read, id, desk.now()).await? })
}

/// For the command line.
///
/// # Errors
/// `Conflict` with a sentence when the model is not in the catalogue.
pub async fn by_id(desk: &Desk, id: &str) -> Result<PriceBook, OpError> {
    let found = book(&mut desk.db.read().await?, id, desk.now()).await;
    found.map_err(|error| super::models::not_there(error, id))
}

async fn book(via: &mut impl Via, id: &str, now: Moment) -> Result<PriceBook, OpError> {
    let known = find(via, id, now).await?;
    let prices = prices::history(via, id).await?;
    let catalogue = catalogue_price(&known.model, &prices);
    let found = if known.model.further.is_empty() { Vec::new() } else { providers::further(via, id).await? };
    let with_provider = |one: &FurtherProvider| {
        Some((found.iter().find(|provider| provider.id == one.id)?.clone(), one.clone()))
    };
    let further = known.model.further.iter().filter_map(with_provider).collect();
    Ok(PriceBook { known, further, prices, catalogue, own: Vec::new(), now })
}

/// What the catalogue asks, if something else is in force: the one that comes with the program, or else the last that was
/// imported.
fn catalogue_price(model: &Model, history: &[PastPrice]) -> Option<Price> {
    if model.price.as_ref().is_some_and(|price| price.origin == PriceOrigin::Catalogue) {
        return None;
    }
    let shipped = catalogue::shipped().into_iter().find(|entry| entry.id == model.id);
    let shipped = shipped.and_then(|entry| Some((entry.tariff?, entry.source)));
    let imported = || {
        let of_catalogue = |past: &&PastPrice| past.price.origin == PriceOrigin::Catalogue;
        let price = &history.iter().find(of_catalogue)?.price;
        Some((price.tariff.clone(), price.source.clone()))
    };
    let (tariff, source) = shipped.or_else(imported)?;
    Some(of_catalogue(tariff, source))
}

/// Puts the catalogue's price in force in place of an operator's. Gives the model's id.
///
/// # Errors
/// `NotFound` unless an operator or the command line acts, and when the model is not in the catalogue; `Conflict` when the
/// catalogue has no other price for it, or another person changed the model.
pub async fn take_catalogue_price(desk: &Desk, by: OperatorActor<'_>, id: &str) -> Result<String, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let PriceBook { known, catalogue, .. } = book(&mut tx, id, now).await?;
    let Some(price) = catalogue else {
        return Err(OpError::Conflict(format!("The catalogue has no other price for {id}.")));
    };
    let permit = by.operator_permit(Action::SetPrice, id)?;
    if !models::touch(&mut tx, &permit, id, known.version).await? {
        return Err(lost_race("this model"));
    }
    let event = set(desk, &mut tx, &permit, (id, known.model.price.as_ref()), price, None).await?;
    tx.save(&permit, event, now).await?;
    Ok(known.model.id)
}

/// Withdraws a price that has not started. Gives the model's id.
///
/// # Errors
/// `NotFound` unless an operator or the command line acts, and when there is no such price; `Conflict` when it has started or
/// was withdrawn before.
pub async fn withdraw(
    desk: &Desk,
    by: OperatorActor<'_>,
    model: &str,
    price: &str,
) -> Result<String, OpError> {
    by.must_operate()?;
    let now = desk.now();
    let id = PriceId::parse(price).ok_or(OpError::NotFound)?;
    let mut tx = desk.db.write().await?;
    let PriceBook { known, prices, .. } = book(&mut tx, model, now).await?;
    let past = prices.iter().find(|past| past.price.id == id).ok_or(OpError::NotFound)?;
    let permit = by.operator_permit(Action::WithdrawPrice, model)?;
    if !prices::withdraw(&mut tx, &permit, model, &id, now).await? {
        return Err(OpError::Conflict(
            "This price has started or was withdrawn already. Reload the page.".into(),
        ));
    }
    let starts = Change::removed("price_starts", ChangeValue::Expiry(Some(past.price.starts_at)));
    let gone = past.price.changes_since(None).into_iter().map(|change| Change {
        before: change.after,
        after: None,
        ..change
    });
    let event = Event::new(EventKind::PriceWithdrawn, model, model).with([starts].into_iter().chain(gone));
    tx.save(&permit, event, now).await?;
    Ok(known.model.id)
}
