//! How requests to providers went: what went wrong, counted by kind, and whether each fails now. Gateways write it every
//! second (`admission::ProviderWatch`), operators read it at the provider.

use std::collections::BTreeMap;

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::ProviderId;
use crate::domain::moment::Moment;
use crate::domain::provider_failure::{FailureCount, ProviderFailure, ProviderHealth};

statements! {
    /// After a day without a failure of this kind the count begins anew.
    COUNT_FAILURE = "INSERT INTO provider_failures (provider_id, kind, times, first_at, last_at, status, words, model_id, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (provider_id, kind) DO UPDATE SET
            times = excluded.times + CASE WHEN excluded.first_at - provider_failures.last_at > 86400000 THEN 0 ELSE provider_failures.times END,
            first_at = CASE WHEN excluded.first_at - provider_failures.last_at > 86400000 OR excluded.first_at < provider_failures.first_at
                THEN excluded.first_at ELSE provider_failures.first_at END,
            last_at = CASE WHEN excluded.last_at >= provider_failures.last_at THEN excluded.last_at ELSE provider_failures.last_at END,
            status = CASE WHEN excluded.last_at >= provider_failures.last_at THEN excluded.status ELSE provider_failures.status END,
            words = CASE WHEN excluded.last_at >= provider_failures.last_at THEN excluded.words ELSE provider_failures.words END,
            model_id = CASE WHEN excluded.last_at >= provider_failures.last_at THEN excluded.model_id ELSE provider_failures.model_id END,
            request_id = CASE WHEN excluded.last_at >= provider_failures.last_at THEN excluded.request_id ELSE provider_failures.request_id END";
    /// Several gateways write one row. Who saw an answer before its failures, or finds the provider healthy, tells since
    /// when it fails.
    SET_HEALTH = "INSERT INTO provider_health (provider_id, answered_at, failed_at, failing_since, kind) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (provider_id) DO UPDATE SET
            failing_since = CASE WHEN excluded.failing_since = 0 THEN provider_health.failing_since
                WHEN excluded.answered_at > 0 OR provider_health.answered_at >= provider_health.failed_at THEN excluded.failing_since
                ELSE provider_health.failing_since END,
            kind = CASE WHEN excluded.failed_at >= provider_health.failed_at AND excluded.failed_at > 0 THEN excluded.kind
                ELSE provider_health.kind END,
            answered_at = CASE WHEN excluded.answered_at > provider_health.answered_at THEN excluded.answered_at
                ELSE provider_health.answered_at END,
            failed_at = CASE WHEN excluded.failed_at > provider_health.failed_at THEN excluded.failed_at
                ELSE provider_health.failed_at END";
    FAILURES = "SELECT kind, times, first_at, last_at, status, words, model_id, request_id FROM provider_failures
        WHERE provider_id = $1 ORDER BY last_at DESC, kind";
    HEALTH = "SELECT provider_id, answered_at, failed_at, failing_since, kind FROM provider_health";
    /// The newest of each kind since a moment, of providers in use.
    RECENT = "SELECT p.id, p.name, f.kind, f.times, f.last_at, f.words FROM provider_failures f
        JOIN providers p ON p.id = f.provider_id AND p.retired_at IS NULL WHERE f.last_at >= $1";
}

/// Adds these failures of a provider to those of their kind.
///
/// # Errors
/// When the database cannot be written.
pub async fn count(tx: &mut Tx, provider: &ProviderId, failures: &[FailureCount]) -> Result<(), StoreError> {
    for one in failures {
        changed!(
            &mut *tx,
            sqlx::query(COUNT_FAILURE)
                .bind(provider.as_str())
                .bind(one.failure.as_str())
                .bind(one.times)
                .bind(one.first_at.ms())
                .bind(one.last_at.ms())
                .bind(one.status)
                .bind(&one.words)
                .bind(&one.model)
                .bind(&one.request)
        )?;
    }
    Ok(())
}

/// Notes how requests to a provider went since the last time.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_health(
    tx: &mut Tx,
    provider: &ProviderId,
    health: &ProviderHealth,
) -> Result<(), StoreError> {
    changed!(
        tx,
        sqlx::query(SET_HEALTH)
            .bind(provider.as_str())
            .bind(health.answered_at.ms())
            .bind(health.failed_at.ms())
            .bind(health.failing_since.ms())
            .bind(health.failure.map_or("", ProviderFailure::as_str))
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct FailureRow {
    kind: String,
    times: i64,
    first_at: i64,
    last_at: i64,
    status: i64,
    words: String,
    model_id: String,
    request_id: String,
}

/// What went wrong at a provider, the newest first. A kind that this version does not know is left out.
///
/// # Errors
/// When the database cannot be read.
pub async fn failures(via: &mut impl Via, provider: &ProviderId) -> Result<Vec<FailureCount>, StoreError> {
    let rows: Vec<FailureRow> =
        run!(via, fetch_all, sqlx::query_as::<_, FailureRow>(FAILURES).bind(provider.as_str()))?;
    let read = |row: FailureRow| {
        Some(FailureCount {
            failure: ProviderFailure::parse(&row.kind)?,
            times: row.times,
            first_at: Moment::from_ms(row.first_at),
            last_at: Moment::from_ms(row.last_at),
            status: row.status,
            words: row.words,
            model: row.model_id,
            request: row.request_id,
        })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// How requests to each provider went last.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn health(via: &mut impl Via) -> Result<BTreeMap<ProviderId, ProviderHealth>, StoreError> {
    type Row = (String, i64, i64, i64, String);
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(HEALTH))?;
    let read = |(id, answered, failed, since, kind): Row| {
        let id =
            ProviderId::parse(&id).ok_or(StoreError::Unreadable { column: "provider_health.provider_id" })?;
        let health = ProviderHealth {
            answered_at: Moment::from_ms(answered),
            failed_at: Moment::from_ms(failed),
            failing_since: Moment::from_ms(since),
            failure: ProviderFailure::parse(&kind),
        };
        Ok((id, health))
    };
    rows.into_iter().map(read).collect()
}

/// A failure of a kind that operators are alerted of.
#[derive(Clone, Debug)]
pub struct RecentFailure {
    /// The provider's id.
    pub provider: ProviderId,
    /// Its name.
    pub name: String,
    /// The kind.
    pub failure: ProviderFailure,
    /// How many there were.
    pub times: i64,
    /// When the newest came.
    pub last_at: Moment,
    /// The provider's own sentence, without secrets.
    pub words: String,
}

/// What operators are alerted of, with a failure at or after `since`.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn recent(via: &mut impl Via, since: Moment) -> Result<Vec<RecentFailure>, StoreError> {
    type Row = (String, String, String, i64, i64, String);
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(RECENT).bind(since.ms()))?;
    let mut found = Vec::new();
    for (id, name, kind, times, last_at, words) in rows {
        let provider = ProviderId::parse(&id).ok_or(StoreError::Unreadable { column: "providers.id" })?;
        let Some(failure) = ProviderFailure::parse(&kind).filter(|failure| failure.needs_operator()) else {
            continue;
        };
        found.push(RecentFailure {
            provider,
            name,
            failure,
            times,
            last_at: Moment::from_ms(last_at),
            words,
        });
    }
    Ok(found)
}
