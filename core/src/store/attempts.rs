//! To whom a request was sent, of models with several providers: written with its settlement, read at the request, and
//! deleted with its row (`retention`).

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::failover::Attempt;
use crate::domain::ids::{OrgId, ProviderId, RequestId};
use crate::domain::moment::Moment;
use crate::domain::provider_failure::ProviderFailure;

statements! {
    INSERT = "INSERT INTO request_attempts (request_id, number, org_id, provider_id, provider_name, began_at, latency_ms, status, kind)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (request_id, number) DO NOTHING";
    LIST = "SELECT provider_id, provider_name, began_at, latency_ms, status, kind FROM request_attempts
        WHERE request_id = $1 AND org_id = $2 ORDER BY number";
}

/// Writes the attempts of a request, once.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Tx,
    org: &OrgId,
    request: &RequestId,
    attempts: &[Attempt],
) -> Result<(), StoreError> {
    for (number, attempt) in (1_i64..).zip(attempts) {
        changed!(
            &mut *tx,
            sqlx::query(INSERT)
                .bind(request.as_str())
                .bind(number)
                .bind(org.as_str())
                .bind(attempt.provider.as_str())
                .bind(&attempt.provider_name)
                .bind(attempt.began_at.ms())
                .bind(attempt.latency_ms)
                .bind(attempt.status)
                .bind(attempt.failure.map_or("", ProviderFailure::as_str))
        )?;
    }
    Ok(())
}

/// The attempts of a request, the first one first; none where its model had one provider.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(via: &mut impl Via, org: &OrgId, request: &RequestId) -> Result<Vec<Attempt>, StoreError> {
    type Row = (String, String, i64, i64, i64, String);
    let rows: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(LIST).bind(request.as_str()).bind(org.as_str()))?;
    let read = |(id, provider_name, began_at, latency_ms, status, kind): Row| {
        let provider = ProviderId::parse(&id)
            .ok_or(StoreError::Unreadable { column: "request_attempts.provider_id" })?;
        let began_at = Moment::from_ms(began_at);
        Ok(Attempt {
            provider,
            provider_name,
            began_at,
            latency_ms,
            status,
            failure: ProviderFailure::parse(&kind),
        })
    };
    rows.into_iter().map(read).collect()
}
