//! Storing another price of a model, wherever it comes from: an edit, an import, or the way back to the catalogue's.

use super::OpError;
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::PriceId;
use crate::domain::moment::Moment;
use crate::domain::policy::OperatorPermit;
use crate::domain::price::{Price, PriceOrigin};
use crate::domain::tariff::Tariff;
use crate::store::{Tx, prices};

/// A price of a catalogue that is not stored yet.
pub(super) fn of_catalogue(tariff: Tariff, source: String) -> Price {
    Price { origin: PriceOrigin::Catalogue, source, ..Price::unrecorded(tariff) }
}

/// Stores another price of a model, from now or from `starts` on, and gives its event. `None` as the price before is none.
pub(super) async fn set(
    desk: &Desk,
    tx: &mut Tx,
    permit: &OperatorPermit,
    (model, before): (&str, Option<&Price>),
    price: Price,
    starts: Option<Moment>,
) -> Result<Event, OpError> {
    let now = desk.now();
    let history = prices::history(tx, model).await?;
    let taken =
        |at: Moment| history.iter().any(|past| past.withdrawn_at.is_none() && past.price.starts_at == at);
    let starts_at = match starts {
        Some(at) if at <= now => {
            return Err(OpError::say(
                "starts",
                "This time is past. Choose a later one, or leave it empty to start now.",
            ));
        }
        Some(at) if taken(at) => {
            return Err(OpError::say(
                "starts",
                "Another price starts then. Withdraw it first, or choose another time.",
            ));
        }
        Some(at) => at,
        // Two prices within a millisecond follow each other.
        None => (0..).map(|ms| now.plus_ms(ms)).find(|at| !taken(*at)).unwrap_or(now),
    };
    let price = Price { id: PriceId::new(now, desk.id_entropy()), starts_at, ..price };
    prices::add(tx, permit, model, &price, now).await?;
    let mut changes = price.changes_since(before);
    changes.extend(starts.map(|at| Change::added("price_starts", ChangeValue::Expiry(Some(at)))));
    Ok(Event::new(EventKind::PriceSet, model, model).with(changes))
}
