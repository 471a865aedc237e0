//! Single requests are deleted when an organisation keeps them no longer. Roll-ups, counters and prices stay.

use crate::Desk;
use crate::domain::moment::Day;
use crate::domain::org::Org;
use crate::store::{StoreError, Unaudited, orgs, retention};

/// A change of the time zone moves the beginning of a day by so much at most.
const ZONES_MS: i64 = 48 * 3_600_000;

/// Deletes some of what an organisation no longer keeps, by its settings of now; answers whether there may be more.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete_some(desk: &Desk, org: &Org) -> Result<bool, StoreError> {
    let mut tx = desk.db.write().await?;
    // Deleting takes many transactions, and who changes the setting meanwhile wants to keep what is left.
    let Some(org) = orgs::find_by_id(&mut tx, &org.id).await? else { return Ok(false) };
    let Some(days) = org.rules.raw_days.and_then(|days| u32::try_from(days).ok()) else { return Ok(false) };
    let first = Day::of(desk.now(), &org.zone).back(days);
    let start = first.start(&org.zone).plus_ms(ZONES_MS);
    let more = retention::delete_some(&mut tx, &org.id, first, start).await?;
    tx.save_unaudited(Unaudited::Retention).await?;
    Ok(more)
}
