//! To whom a request was sent, of models with several providers: written with its settlement, read at the request, and
//! deleted with its row (`retention`).

use serde_json::{Value, json};

use super::dialect::Dialect;
use super::{StoreError, Via, run, statements};
use crate::domain::failover::Attempt;
use crate::domain::ids::{OrgId, ProviderId, RequestId};
use crate::domain::moment::Moment;
use crate::domain::provider_failure::ProviderFailure;

statements! {
    LIST = "SELECT provider_id, provider_name, began_at, latency_ms, status, kind FROM request_attempts
        WHERE request_id = $1 AND org_id = $2 ORDER BY number";
}

/// The attempts of a request, as `settle_text` reads them.
pub(super) fn rows(attempts: &[Attempt]) -> Vec<Value> {
    let row = |attempt: &Attempt| {
        json!([
            attempt.provider.as_str(),
            attempt.provider_name,
            attempt.began_at.ms(),
            attempt.latency_ms,
            attempt.status,
            attempt.failure.map_or("", ProviderFailure::as_str)
        ])
    };
    attempts.iter().map(row).collect()
}

/// Writes the attempts of settled requests: of the JSON list `$1`, those that `which` says.
pub(super) fn settle_text(dialect: Dialect, which: &str) -> String {
    let requests = match dialect {
        Dialect::Sqlite => {
            "(SELECT r.value ->> 'request_id' AS request_id, r.value ->> 'org_id' AS org_id, a.key + 1 AS number, a.value
                FROM json_each($1) r CROSS JOIN json_each(r.value, '$.attempts') a)"
        }
        Dialect::Postgres => {
            "(SELECT r.request_id, r.org_id, a.number, a.value
                FROM jsonb_to_recordset($1) AS r (request_id text, org_id text, attempts jsonb)
                CROSS JOIN LATERAL jsonb_array_elements(r.attempts) WITH ORDINALITY AS a (value, number))"
        }
    };
    format!(
        "INSERT INTO request_attempts (request_id, number, org_id, provider_id, provider_name, began_at, latency_ms, status, kind)
        SELECT u.request_id, u.number, u.org_id, u.value ->> 0, u.value ->> 1, CAST(u.value ->> 2 AS BIGINT),
            CAST(u.value ->> 3 AS BIGINT), CAST(u.value ->> 4 AS BIGINT), u.value ->> 5
        FROM {requests} u WHERE {which} ON CONFLICT (request_id, number) DO NOTHING"
    )
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
