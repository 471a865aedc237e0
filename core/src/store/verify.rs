//! Compares counters and daily totals with the sum of the requests behind them. Each comparison is one statement, so it sees
//! one moment, also while requests are written. It relies on rows of `usage` never being deleted.

use super::dialect::patient;
use super::{Reader, StoreError, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::money::Money;

statements! {
    /// Holders whose counter of all time differs from the sum of their requests.
    COUNTERS = "SELECT kind, id, CAST(SUM(counted) AS BIGINT) AS counted, CAST(SUM(counted_requests) AS BIGINT) AS counted_requests,
            CAST(SUM(counted_tokens) AS BIGINT) AS counted_tokens, CAST(SUM(summed) AS BIGINT) AS summed,
            CAST(SUM(summed_requests) AS BIGINT) AS summed_requests, CAST(SUM(summed_tokens) AS BIGINT) AS summed_tokens
        FROM (
            SELECT holder_kind AS kind, holder_id AS id, spent AS counted, requests AS counted_requests, tokens AS counted_tokens,
                0 AS summed, 0 AS summed_requests, 0 AS summed_tokens
            FROM counters WHERE org_id = $1 AND period = 'total'
            UNION ALL
            SELECT 'key', key_id, 0, 0, 0, SUM(cost), COUNT(*), SUM(input_tokens + output_tokens)
            FROM usage WHERE org_id = $1 GROUP BY key_id
            UNION ALL
            SELECT 'team', team_id, 0, 0, 0, SUM(cost), COUNT(*), SUM(input_tokens + output_tokens)
            FROM usage WHERE org_id = $1 AND team_id IS NOT NULL GROUP BY team_id
            UNION ALL
            SELECT 'org', org_id, 0, 0, 0, SUM(cost), COUNT(*), SUM(input_tokens + output_tokens)
            FROM usage WHERE org_id = $1 GROUP BY org_id
        ) pairs
        GROUP BY kind, id
        HAVING SUM(counted) <> SUM(summed) OR SUM(counted_requests) <> SUM(summed_requests)
            OR SUM(counted_tokens) <> SUM(summed_tokens)
        ORDER BY kind, id LIMIT $2";
    /// A day belongs to the time zone in which it was written, so days are compared as wholes: of each key, in each
    /// team, of each owner, with each model.
    DAYS = "SELECT key_id, team_id, owner_id, model_id, CAST(SUM(counted) AS BIGINT) AS counted,
            CAST(SUM(counted_requests) AS BIGINT) AS counted_requests, CAST(SUM(counted_tokens) AS BIGINT) AS counted_tokens,
            CAST(SUM(summed) AS BIGINT) AS summed, CAST(SUM(summed_requests) AS BIGINT) AS summed_requests,
            CAST(SUM(summed_tokens) AS BIGINT) AS summed_tokens
        FROM (
            SELECT key_id, team_id, owner_id, model_id, cost AS counted, requests AS counted_requests,
                input_tokens + output_tokens AS counted_tokens, cached_tokens AS counted_cached,
                0 AS summed, 0 AS summed_requests, 0 AS summed_tokens, 0 AS summed_cached
            FROM spend_daily WHERE org_id = $1
            UNION ALL
            SELECT key_id, COALESCE(team_id, ''), owner_id, model_id, 0, 0, 0, 0, SUM(cost), COUNT(*), SUM(input_tokens + output_tokens),
                SUM(cached_tokens)
            FROM usage WHERE org_id = $1 GROUP BY key_id, COALESCE(team_id, ''), owner_id, model_id
        ) pairs
        GROUP BY key_id, team_id, owner_id, model_id
        HAVING SUM(counted) <> SUM(summed) OR SUM(counted_requests) <> SUM(summed_requests)
            OR SUM(counted_tokens) <> SUM(summed_tokens) OR SUM(counted_cached) <> SUM(summed_cached)
        ORDER BY key_id, team_id, owner_id, model_id LIMIT $2";
    REQUESTS = "SELECT COUNT(*) FROM usage WHERE org_id = $1";
}

/// Money, requests and tokens, on either side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// What the requests cost.
    pub spent: Money,
    /// How many requests.
    pub requests: i64,
    /// Input and output tokens together.
    pub tokens: i64,
}

/// A counter or day that differs from its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs: `key key_…`, or `the days of key_… with gpt-5`.
    pub of: String,
    /// As the counter or the daily totals have it.
    pub counted: Sums,
    /// The sum of the requests themselves.
    pub summed: Sums,
}

#[derive(sqlx::FromRow)]
struct SumsRow {
    counted: i64,
    counted_requests: i64,
    counted_tokens: i64,
    summed: i64,
    summed_requests: i64,
    summed_tokens: i64,
}

impl SumsRow {
    fn difference(self, of: String) -> Difference {
        Difference {
            of,
            counted: Sums {
                spent: Money::from_nanos(self.counted),
                requests: self.counted_requests,
                tokens: self.counted_tokens,
            },
            summed: Sums {
                spent: Money::from_nanos(self.summed),
                requests: self.summed_requests,
                tokens: self.summed_tokens,
            },
        }
    }
}

#[derive(sqlx::FromRow)]
struct CounterRow {
    kind: String,
    id: String,
    #[sqlx(flatten)]
    sums: SumsRow,
}

#[derive(sqlx::FromRow)]
struct DayRow {
    key_id: String,
    team_id: String,
    owner_id: String,
    model_id: String,
    #[sqlx(flatten)]
    sums: SumsRow,
}

/// What differs in one organisation, at most `max` of each kind. Reads all its requests, without a time limit.
///
/// # Errors
/// When the database cannot be read.
pub async fn differences(read: &mut Reader, org: &OrgId, max: i64) -> Result<Vec<Difference>, StoreError> {
    patient(read).await?;
    let counters: Vec<CounterRow> =
        run!(&mut *read, fetch_all, sqlx::query_as::<_, CounterRow>(COUNTERS).bind(org.as_str()).bind(max))?;
    let days: Vec<DayRow> =
        run!(&mut *read, fetch_all, sqlx::query_as::<_, DayRow>(DAYS).bind(org.as_str()).bind(max))?;
    let counters = counters.into_iter().map(|row| {
        let of = if row.kind == "org" {
            "the organisation".to_owned()
        } else {
            format!("{} {}", row.kind, row.id)
        };
        row.sums.difference(of)
    });
    let days = days.into_iter().map(|row| {
        let team = if row.team_id.is_empty() { String::new() } else { format!(" in {}", row.team_id) };
        row.sums
            .difference(format!("the days of {}{team} of {} with {}", row.key_id, row.owner_id, row.model_id))
    });
    Ok(counters.chain(days).collect())
}

/// How many requests the organisation has.
///
/// # Errors
/// When the database cannot be read.
pub async fn requests(read: &mut Reader, org: &OrgId) -> Result<i64, StoreError> {
    patient(read).await?;
    run!(&mut *read, fetch_one, sqlx::query_scalar::<_, i64>(REQUESTS).bind(org.as_str()))
}
