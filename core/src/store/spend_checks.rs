//! What the checks of spend found, and which organisations the nightly job has still to check. `ops::spend_check` writes.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::spend_check::SpendCheck;

statements! {
    INSERT = "INSERT INTO spend_checks (org_id, at, actor_id, actor_name, requests, spent, difference, differing, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (org_id, at) DO NOTHING";
    LAST = "SELECT at, actor_id, actor_name, requests, spent, difference, differing, details FROM spend_checks
        WHERE org_id = $1 ORDER BY at DESC LIMIT $2";
    /// One node wins.
    CLAIM = "UPDATE orgs SET spend_checked_on = $2 WHERE id = $1 AND (spend_checked_on IS NULL OR spend_checked_on < $2)";
    FORGET = "DELETE FROM spend_checks WHERE org_id = $1 AND at < $2";
}

type Row = (i64, String, String, i64, i64, i64, i64, String);

/// Keeps what a check found.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, org: &OrgId, check: &SpendCheck) -> Result<(), StoreError> {
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(org.as_str())
            .bind(check.at.ms())
            .bind(&check.actor_id)
            .bind(&check.actor_name)
            .bind(check.requests)
            .bind(check.spent.nanos())
            .bind(check.difference.nanos())
            .bind(check.differing)
            .bind(check.details.join("\n"))
    )?;
    Ok(())
}

/// The last `max` checks, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn last(via: &mut impl Via, org: &OrgId, max: i64) -> Result<Vec<SpendCheck>, StoreError> {
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(LAST).bind(org.as_str()).bind(max))?;
    let read =
        |(at, actor_id, actor_name, requests, spent, difference, differing, details): Row| SpendCheck {
            at: Moment::from_ms(at),
            actor_id,
            actor_name,
            requests,
            spent: Money::from_nanos(spent),
            difference: Money::from_nanos(difference),
            differing,
            details: details.lines().map(str::to_owned).collect(),
        };
    Ok(rows.into_iter().map(read).collect())
}

/// Whether this node is the one to check the organisation on that day.
///
/// # Errors
/// When the database cannot be written.
pub async fn claim(tx: &mut Tx, org: &OrgId, day: Day) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(CLAIM).bind(org.as_str()).bind(day.to_string()))? == 1)
}

/// Deletes checks of before a moment.
///
/// # Errors
/// When the database cannot be written.
pub async fn forget(tx: &mut Tx, org: &OrgId, before: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(FORGET).bind(org.as_str()).bind(before.ms()))?;
    Ok(())
}
