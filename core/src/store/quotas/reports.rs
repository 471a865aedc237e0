//! Requests that were admitted from memory, counted at the limits that only report and would have rejected them.

use sqlx::AssertSqlSafe;

use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::quota::Holder;
use crate::store::dialect::Dialect;
use crate::store::{Db, StoreError, Unaudited, changed};

/// So many requests would have been rejected by one limit within one hour.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Whose limit it is.
    pub holder: Holder,
    /// What it limits.
    pub what: Limited,
    /// How many requests.
    pub requests: i64,
    /// The first of them.
    pub first: Moment,
    /// The last, in the same hour.
    pub last: Moment,
}

/// A limit that was removed meanwhile counts nothing.
pub(super) fn text(dialect: Dialect) -> String {
    format!(
        "INSERT INTO shadow_rejections (holder_kind, holder_id, what, hour, org_id, requests, first_at, last_at)
        SELECT s.holder_kind, s.holder_id, s.what, CAST(j.value ->> 4 AS BIGINT) / 3600000, s.org_id, CAST(j.value ->> 3 AS BIGINT),
            CAST(j.value ->> 4 AS BIGINT), CAST(j.value ->> 5 AS BIGINT)
        FROM {} JOIN shadow_limits s
            ON s.holder_kind = (j.value ->> 0) AND s.holder_id = (j.value ->> 1) AND s.what = (j.value ->> 2)
        WHERE TRUE ORDER BY s.holder_kind, s.holder_id, s.what
        ON CONFLICT (holder_kind, holder_id, what, hour) DO UPDATE SET requests = shadow_rejections.requests + excluded.requests,
            last_at = CASE WHEN excluded.last_at > shadow_rejections.last_at THEN excluded.last_at ELSE shadow_rejections.last_at END",
        dialect.json_rows_in("$1")
    )
}

/// Adds these to what limits that only report would have rejected. No limit is twice in it with the same hour.
///
/// # Errors
/// When the database cannot be written; then nothing is.
pub async fn count_reports(db: &Db, reported: &[Reported]) -> Result<(), StoreError> {
    let rows: Vec<_> = reported
        .iter()
        .map(|one| {
            let (kind, what) = (one.holder.kind.as_str(), one.what.as_str());
            (kind, &*one.holder.id, what, one.requests, one.first.ms(), one.last.ms())
        })
        .collect();
    let rows = serde_json::to_string(&rows).unwrap_or_default();
    let mut tx = db.write().await?;
    let text = text(Dialect::of(&mut tx));
    changed!(&mut tx, sqlx::query(AssertSqlSafe(text)).bind(&rows))?;
    tx.save_unaudited(Unaudited::Usage).await
}
