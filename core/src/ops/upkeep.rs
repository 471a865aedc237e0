//! What the program does by itself, now and then.

use crate::domain::moment::Moment;
use crate::domain::window::WindowStarts;
use crate::store::Unaudited;
use crate::store::grants::{self, Ended};
use crate::store::{
    Db, StoreError, budget_marks, kept_forms, keys, meter, nodes, rejections, sessions, throttle,
};
use crate::{Clock, Desk};

const DAY_MS: i64 = 86_400_000;

/// How far this machine's clock may be from the database's, in milliseconds. Rates and throttles bear a few seconds.
const CLOCK_APART_MS: u64 = 2_000;

/// What is wrong with this machine's clock, in a sentence. Several nodes have to agree, and the database's clock is the measure.
///
/// # Errors
/// When the database cannot be read.
pub async fn clock_problem(db: &Db, clock: &dyn Clock) -> Result<Option<String>, StoreError> {
    let before = clock.now();
    let Some(theirs) = db.clock().await? else { return Ok(None) };
    // The answer took its time: the database's clock was read somewhere in between.
    let after = clock.now();
    let (early, late) = (before.min(after), before.max(after));
    let apart = (theirs.ms() - early.ms()).unsigned_abs().min((theirs.ms() - late.ms()).unsigned_abs());
    if early <= theirs && theirs <= late || apart < CLOCK_APART_MS {
        return Ok(None);
    }
    let word = if early > theirs { "ahead of" } else { "behind" };
    let seconds = apart / 1_000;
    Ok(Some(format!(
        "this machine's clock is {seconds} s {word} the database's. Rates, expiry and sign-in go by it: set it right, with NTP."
    )))
}

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

/// Marks the budgets that are nearly or wholly spent since a grant ended; grants count no more by themselves. `since` is what
/// the last turn answered.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn renew_after_grants(desk: &Desk, since: Moment) -> Result<Moment, StoreError> {
    let now = desk.now();
    let ended = grants::ended(&mut desk.db.read().await?, since, now).await?;
    for Ended { org, zone, kind, holder } in ended {
        let mut tx = desk.db.write().await?;
        budget_marks::renew(&mut tx, &org, kind, &[&holder], WindowStarts::at(now, &zone)).await?;
        tx.save_unaudited(Unaudited::Expiry).await?;
    }
    Ok(now)
}

/// Removes reservations whose lease ran out, as they count no more, and the rows of processes that ended without doing so.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep_reservations(desk: &Desk) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    meter::sweep(&mut tx, desk.now()).await?;
    nodes::sweep(&mut tx).await?;
    tx.save_unaudited(Unaudited::Sweep).await
}

/// Removes old sessions, rejections, failed attempts and kept forms. `session_ms` is the longest life of a session.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep_old(desk: &Desk, session_ms: i64) -> Result<(), StoreError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    // A month longer than they can live, so that an ended one can still be looked at.
    sessions::sweep(&mut tx, now.plus_ms(-(session_ms + 30 * DAY_MS))).await?;
    rejections::sweep(&mut tx, now.plus_ms(-30 * DAY_MS)).await?;
    throttle::sweep(&mut tx, now.plus_ms(-DAY_MS)..now.plus_ms(DAY_MS)).await?;
    kept_forms::sweep(&mut tx, now.plus_ms(-DAY_MS)).await?;
    tx.save_unaudited(Unaudited::Sweep).await
}
