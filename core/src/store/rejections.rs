//! Requests of known keys that were rejected or failed before they were sent, counted by the minute. Repeated ones add to a
//! row instead of adding rows. They are read with the other requests (`requests`).

use super::{StoreError, Tx, changed, statements};
use crate::domain::ids::{KeyId, OrgId};
use crate::domain::moment::Moment;

statements! {
    RECORD = "INSERT INTO rejections (key_id, minute, gate, reason, model_id, org_id, times, first_at, last_at, route, address, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (key_id, minute, gate, reason, model_id) DO UPDATE SET times = rejections.times + excluded.times,
            first_at = CASE WHEN excluded.first_at < rejections.first_at THEN excluded.first_at ELSE rejections.first_at END,
            last_at = CASE WHEN excluded.last_at >= rejections.last_at THEN excluded.last_at ELSE rejections.last_at END,
            route = CASE WHEN excluded.last_at >= rejections.last_at THEN excluded.route ELSE rejections.route END,
            address = CASE WHEN excluded.last_at >= rejections.last_at THEN excluded.address ELSE rejections.address END,
            request_id = CASE WHEN excluded.last_at >= rejections.last_at THEN excluded.request_id ELSE rejections.request_id END";
    SWEEP = "DELETE FROM rejections WHERE last_at < $1";
}

/// Rejections of one key in one minute for one reason and model. Route, address and request are the newest one's.
#[derive(Clone, Debug)]
pub struct RejectionCount {
    /// The key's id.
    pub key: KeyId,
    /// The organisation's id.
    pub org: OrgId,
    /// Minutes since 1970 UTC.
    pub minute: i64,
    /// The gate, by its word in the database; empty where none rejected the request.
    pub gate: &'static str,
    /// The reason, by its word in the database.
    pub reason: &'static str,
    /// Empty is no model.
    pub model: String,
    /// How many requests.
    pub times: i64,
    /// When the oldest came.
    pub first_at: Moment,
    /// When the newest came.
    pub last_at: Moment,
    /// The request's path; empty when it might contain a secret.
    pub route: String,
    /// The client's IP address; empty when it is unknown.
    pub address: String,
    /// The request's id; empty when it has none.
    pub request_id: String,
}

/// Adds these counts to their rows.
///
/// # Errors
/// When the database cannot be written.
pub async fn record(tx: &mut Tx, counts: &[RejectionCount]) -> Result<(), StoreError> {
    for count in counts {
        changed!(
            &mut *tx,
            sqlx::query(RECORD)
                .bind(count.key.as_str())
                .bind(count.minute)
                .bind(count.gate)
                .bind(count.reason)
                .bind(&count.model)
                .bind(count.org.as_str())
                .bind(count.times)
                .bind(count.first_at.ms())
                .bind(count.last_at.ms())
                .bind(&count.route)
                .bind(&count.address)
                .bind(&count.request_id)
        )?;
    }
    Ok(())
}

/// Deletes counts whose newest request is older than `before`; answers how many rows.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, before: Moment) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(SWEEP).bind(before.ms()))
}
