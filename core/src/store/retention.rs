//! Deletes single requests that an organisation no longer keeps, a few in each transaction. What is added up from them
//! stays, and so do requests that were re-rated, as their corrections are never deleted. `ops::retention` calls it.

use super::{StoreError, Tx, changed, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Day, Moment};

/// Requests of one transaction.
const MAX_REQUESTS: i64 = 1_000;

macro_rules! oldest {
    () => {
        "(SELECT u.request_id FROM usage u WHERE u.org_id = $1 AND u.started_at < $2 AND u.booked < $3
            AND NOT EXISTS (SELECT 1 FROM usage_corrections c WHERE c.request_id = u.request_id)
        ORDER BY u.started_at, u.request_id LIMIT $4)"
    };
}

statements! {
    IS_OLDER = "SELECT COUNT(*) FROM (SELECT 1 FROM usage WHERE org_id = $1 AND started_at < $2 AND booked < $3 LIMIT 1) older";
    KEEP_FROM = "UPDATE orgs SET raw_from = $2 WHERE id = $1 AND (raw_from IS NULL OR raw_from < $2)";
    /// Of the same requests as `DELETE`.
    DELETE_ATTEMPTS = concat!("DELETE FROM request_attempts WHERE request_id IN ", oldest!());
    DELETE = concat!("DELETE FROM usage WHERE request_id IN ", oldest!());
}

/// Deletes some of the requests before a day, which begins at `start` or a little earlier, and remembers that day first.
/// Answers whether there may be more.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete_some(tx: &mut Tx, org: &OrgId, day: Day, start: Moment) -> Result<bool, StoreError> {
    let (org, first) = (org.as_str(), day.to_string());
    let older = run!(
        &mut *tx,
        fetch_one,
        sqlx::query_scalar::<_, i64>(IS_OLDER).bind(org).bind(start.ms()).bind(&first)
    )?;
    if older == 0 {
        return Ok(false);
    }
    changed!(&mut *tx, sqlx::query(KEEP_FROM).bind(org).bind(&first))?;
    changed!(
        &mut *tx,
        sqlx::query(DELETE_ATTEMPTS).bind(org).bind(start.ms()).bind(&first).bind(MAX_REQUESTS)
    )?;
    let deleted =
        changed!(&mut *tx, sqlx::query(DELETE).bind(org).bind(start.ms()).bind(&first).bind(MAX_REQUESTS))?;
    Ok(i64::try_from(deleted).unwrap_or(MAX_REQUESTS) >= MAX_REQUESTS)
}
