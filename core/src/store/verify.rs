//! Compares counters and daily totals with the sum of the requests behind them, and each request with its price. Each
//! comparison of sums is one statement, so it sees one moment, also while requests are written. It relies on rows of `usage`
//! never being deleted.

use std::collections::BTreeMap;

use super::dialect::patient;
use super::rerating::{ChargedRow, charged};
use super::{Reader, StoreError, prices, run, statements};
use crate::domain::ids::{OrgId, PriceId, RequestId};
use crate::domain::meter::Metered;
use crate::domain::money::Money;
use crate::domain::price::Price;
use crate::domain::rerating::ChargedRequest;

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
    /// What can be compared with its own meters or price, from a place on.
    CHARGED = concat!(charged!(), " WHERE org_id = $1 AND started_at >= $2 AND (started_at > $2 OR request_id > $3)
            AND (meters <> '' OR price_id IS NOT NULL) ORDER BY started_at, request_id LIMIT $4");
    /// Corrected requests that are charged something else than their last correction says.
    CORRECTED = "SELECT u.request_id, u.cost, c.cost_after FROM usage_corrections c JOIN usage u ON u.request_id = c.request_id
        WHERE c.org_id = $1 AND c.cost_after <> u.cost
            AND c.number = (SELECT MAX(l.number) FROM usage_corrections l WHERE l.request_id = c.request_id)
        ORDER BY u.request_id LIMIT $2";
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

/// A request whose row does not say the same as its meters, its price or its corrections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mischarged {
    /// The request.
    pub request: RequestId,
    /// What it is charged.
    pub charged: Money,
    /// What does not agree.
    pub why: Why,
}

/// What does not agree with a request's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its meters cannot be read, or are not its input, cached and output tokens.
    Meters,
    /// The price that it names is not stored.
    NoPrice(PriceId),
    /// Its meters at its price come to this.
    Cost(Money),
    /// Whether everything that was used has a price: the row says this, and the price does not.
    Priced(bool),
    /// Its last correction says this.
    Correction(Money),
}

/// So many rows are read at once.
const CHUNK_ROWS: i64 = 1_000;

/// Requests that are not charged what their meters cost at the price that they name, at most `max`. Reads all of the
/// organisation's requests, a thousand at a time.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn mischarged(read: &mut Reader, org: &OrgId, max: usize) -> Result<Vec<Mischarged>, StoreError> {
    patient(read).await?;
    let mut stored: BTreeMap<PriceId, Option<Price>> = BTreeMap::new();
    let mut found = Vec::new();
    let (mut from, mut after) = (i64::MIN, String::new());
    loop {
        let rows: Vec<ChargedRow> = run!(
            &mut *read,
            fetch_all,
            sqlx::query_as::<_, ChargedRow>(CHARGED)
                .bind(org.as_str())
                .bind(from)
                .bind(&after)
                .bind(CHUNK_ROWS)
        )?;
        let is_last = (rows.len() as i64) < CHUNK_ROWS;
        for row in rows {
            let adds_up = adds_up(&row);
            let request = row.read()?;
            (from, after) = (request.started_at.ms(), request.id.to_string());
            if let Some(id) = request.price.as_ref().filter(|id| !stored.contains_key(id)) {
                let price = prices::by_id(read, id).await?.map(|(_, price)| price);
                stored.insert(id.clone(), price);
            }
            let price = request.price.as_ref().and_then(|id| stored.get(id)).and_then(Option::as_ref);
            let why = if adds_up { why(&request, price) } else { Some(Why::Meters) };
            found.extend(why.map(|why| Mischarged { request: request.id, charged: request.cost, why }));
            if found.len() >= max {
                return Ok(found);
            }
        }
        if is_last {
            break;
        }
    }
    let rows: Vec<(String, i64, i64)> = run!(
        &mut *read,
        fetch_all,
        sqlx::query_as::<_, (String, i64, i64)>(CORRECTED)
            .bind(org.as_str())
            .bind(i64::try_from(max - found.len()).unwrap_or(i64::MAX))
    )?;
    for (id, charged, last) in rows {
        let request = RequestId::parse(&id).ok_or(StoreError::Unreadable { column: "usage.request_id" })?;
        let why = Why::Correction(Money::from_nanos(last));
        found.push(Mischarged { request, charged: Money::from_nanos(charged), why });
    }
    Ok(found)
}

/// Rows without meters have nothing to compare.
fn adds_up(row: &ChargedRow) -> bool {
    row.meters.is_empty()
        || Metered::parse(&row.meters).is_some_and(|Metered { counts, .. }| {
            (counts.input(), counts.cached(), counts.output())
                == (row.input_tokens, row.cached_tokens, row.output_tokens)
        })
}

fn why(request: &ChargedRequest, price: Option<&Price>) -> Option<Why> {
    let id = request.price.as_ref()?;
    let Some(price) = price else { return Some(Why::NoPrice(id.clone())) };
    let cost = price.tariff.cost(&request.metered);
    if cost.amount != request.cost {
        return Some(Why::Cost(cost.amount));
    }
    (cost.is_priced != request.is_priced).then_some(Why::Priced(request.is_priced))
}
