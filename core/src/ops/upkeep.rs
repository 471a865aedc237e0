//! What the program does by itself, now and then.

use crate::Desk;
use crate::store::Unaudited;
use crate::store::{StoreError, keys, meter, rejections, sessions, throttle};

const DAY_MS: i64 = 86_400_000;

/// Marks the keys whose end has come; answers how many.
///
/// # Errors
/// When the database cannot be written.
pub async fn expire_keys(desk: &Desk) -> Result<u64, StoreError> {
    let mut tx = desk.db.write().await?;
    let count = keys::expire_due(&mut tx, desk.now()).await?;
    tx.save_unaudited(Unaudited::Expiry).await?;
    Ok(count)
}

/// Removes reservations whose lease ran out: they count no more.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep_reservations(desk: &Desk) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    meter::sweep(&mut tx, desk.now()).await?;
    tx.save_unaudited(Unaudited::Sweep).await
}

/// Removes old sessions, rejections and failed attempts. `session_ms` is the longest life of a session.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep_old(desk: &Desk, session_ms: i64) -> Result<(), StoreError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    // A month longer than they can live, so that an ended one can still be looked at.
    sessions::sweep(&mut tx, now.plus_ms(-(session_ms + 30 * DAY_MS))).await?;
    rejections::sweep(&mut tx, now.plus_ms(-30 * DAY_MS)).await?;
    throttle::sweep(&mut tx, now.plus_ms(-DAY_MS)).await?;
    tx.save_unaudited(Unaudited::Sweep).await
}
