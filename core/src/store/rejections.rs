//! Refused requests of known keys, counted by the minute. A flood adds to a row; it does not add rows.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::gate::RecentRejection;
use crate::domain::ids::{KeyId, OrgId};
use crate::domain::moment::Moment;

statements! {
    RECORD = "INSERT INTO rejections (key_id, minute, gate, reason, org_id, times, last_at, model_id, route, address, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (key_id, minute, gate, reason) DO UPDATE SET times = rejections.times + excluded.times,
            last_at = excluded.last_at, model_id = excluded.model_id, route = excluded.route,
            address = excluded.address, request_id = excluded.request_id";
    REFUSALS_OF_KEY = "SELECT reason, times, last_at, model_id, address FROM rejections
        WHERE org_id = $1 AND key_id = $2 AND minute >= $3 ORDER BY minute DESC LIMIT $4";
    SWEEP_REFUSALS = "DELETE FROM rejections WHERE last_at < $1";
}

/// What happened to one key in one minute for one reason; the details are the newest request's.
#[derive(Clone, Debug)]
pub struct Counted {
    pub key: KeyId,
    pub org: OrgId,
    pub minute: i64,
    pub gate: &'static str,
    pub reason: &'static str,
    pub times: i64,
    pub last_at: Moment,
    pub model: String,
    pub route: String,
    pub address: String,
    pub request_id: String,
}

pub async fn record(tx: &mut Tx, counted: &[Counted]) -> Result<(), StoreError> {
    for one in counted {
        changed!(
            &mut *tx,
            sqlx::query(RECORD)
                .bind(one.key.as_str())
                .bind(one.minute)
                .bind(one.gate)
                .bind(one.reason)
                .bind(one.org.as_str())
                .bind(one.times)
                .bind(one.last_at.ms())
                .bind(&one.model)
                .bind(&one.route)
                .bind(&one.address)
                .bind(&one.request_id)
        )?;
    }
    Ok(())
}

/// The newest minutes first, one entry for each reason and minute.
pub async fn of_key(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    since: Moment,
    max: i64,
) -> Result<Vec<RecentRejection>, StoreError> {
    type Row = (String, i64, i64, String, String);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(REFUSALS_OF_KEY)
            .bind(org.as_str())
            .bind(key.as_str())
            .bind(since.ms().div_euclid(60_000))
            .bind(max)
    )?;
    let read = |(reason, times, last_at, model, address): Row| RecentRejection {
        reason,
        times,
        last_at: Moment::from_ms(last_at),
        model,
        address,
    };
    Ok(rows.into_iter().map(read).collect())
}

pub async fn sweep(tx: &mut Tx, before: Moment) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(SWEEP_REFUSALS).bind(before.ms()))
}
