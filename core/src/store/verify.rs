//! Compares what is added up with what it is added up from, part by part (`sums`), and each request with its price.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, impatient, patient};
use super::rerating::{ChargedRow, charged};
use super::sums::{Basis, Part, basis};
use super::{Reader, StoreError, prices, run, statements};
use crate::domain::ids::{OrgId, PriceId, RequestId};
use crate::domain::meter::Metered;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::price::Price;
use crate::domain::rerating::ChargedRequest;

statements! {
    /// What can be compared with its own meters or price, from a place on.
    CHARGED = concat!(charged!(), " WHERE org_id = $1 AND started_at >= $2 AND (started_at > $2 OR request_id > $3)
            AND (meters <> '' OR price_id IS NOT NULL) ORDER BY started_at, request_id LIMIT $4");
    /// Corrected requests that are charged something else than their last correction says.
    CORRECTED = "SELECT u.request_id, u.cost, c.cost_after FROM usage_corrections c JOIN usage u ON u.request_id = c.request_id
        WHERE c.org_id = $1 AND c.cost_after <> u.cost
            AND c.number = (SELECT MAX(l.number) FROM usage_corrections l WHERE l.request_id = c.request_id)
        ORDER BY u.request_id LIMIT $2";
    REQUESTS = "SELECT COUNT(*), CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM usage WHERE org_id = $1";
}

/// One line for each name that people read, at most `$3`.
fn comparison(part: Part, dialect: Dialect) -> String {
    let tokens = |side: &str| format!("{side}_input_tokens + {side}_output_tokens");
    format!(
        "SELECT {} AS label, CAST(SUM(counted_cost) AS BIGINT) AS counted, CAST(SUM(counted_requests) AS BIGINT) AS counted_requests,
            CAST(SUM({}) AS BIGINT) AS counted_tokens, CAST(SUM(summed_cost) AS BIGINT) AS summed,
            CAST(SUM(summed_requests) AS BIGINT) AS summed_requests, CAST(SUM({}) AS BIGINT) AS summed_tokens,
            CAST(SUM(ABS(counted_cost - summed_cost)) AS BIGINT) AS apart
        FROM ({}) differing GROUP BY 1 ORDER BY 1 LIMIT $3",
        part.label(),
        tokens("counted"),
        tokens("summed"),
        part.differing(dialect)
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    Part::ALL.map(|part| comparison(part, dialect)).to_vec()
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

/// Something that is added up and differs from its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs: `key key_…`, or `the days of key_… of person_… with gpt-5`.
    pub of: String,
    /// As it is stored, where it differs.
    pub counted: Sums,
    /// What it should be.
    pub summed: Sums,
}

/// What the comparisons found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// At most so many of each comparison as were asked for.
    pub differences: Vec<Difference>,
    /// By how much the comparison that differs most differs in money: higher and lower amounts are added, not set off.
    pub apart: Money,
}

#[derive(sqlx::FromRow)]
struct Row {
    label: String,
    counted: i64,
    counted_requests: i64,
    counted_tokens: i64,
    summed: i64,
    summed_requests: i64,
    summed_tokens: i64,
    apart: i64,
}

impl From<Row> for Difference {
    fn from(row: Row) -> Self {
        Self {
            of: row.label,
            counted: Sums {
                spent: Money::from_nanos(row.counted),
                requests: row.counted_requests,
                tokens: row.counted_tokens,
            },
            summed: Sums {
                spent: Money::from_nanos(row.summed),
                requests: row.summed_requests,
                tokens: row.summed_tokens,
            },
        }
    }
}

/// What differs in one organisation at `now`, at most `max` of each comparison. Reads all its requests, without a time limit.
///
/// # Errors
/// When the database cannot be read.
pub async fn differences(read: &mut Reader, org: &OrgId, now: Moment, max: i64) -> Result<Found, StoreError> {
    patient(read).await?;
    let found = compare(read, org, now, max).await;
    impatient(read).await?;
    found
}

/// Requests that are no longer kept may be deleted meanwhile, or the time zone may change, and then days and windows would
/// seem to be wrong. The first day moves before any request goes, and windows are only compared some days after a change of
/// zone, so what was found holds if both are still the same afterwards.
async fn compare(read: &mut Reader, org: &OrgId, now: Moment, max: i64) -> Result<Found, StoreError> {
    let (mut by, _) = basis(read, org).await?;
    loop {
        let found = compare_by(read, org, &by, now, max).await?;
        let (after, _) = basis(read, org).await?;
        if after == by {
            return Ok(found);
        }
        by = after;
    }
}

async fn compare_by(
    read: &mut Reader,
    org: &OrgId,
    by: &Basis,
    now: Moment,
    max: i64,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for part in Part::ALL {
        let text = comparison(part, Dialect::of(read));
        let rows: Vec<Row> = run!(
            &mut *read,
            fetch_all,
            sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
                .bind(org.as_str())
                .bind(by.range(part, now))
                .bind(max)
        )?;
        found.apart = found.apart.max(Money::from_nanos(rows.iter().map(|row| row.apart).sum()));
        found.differences.extend(rows.into_iter().map(Difference::from));
    }
    Ok(found)
}

/// How many requests the organisation has, of those that are still there, and what they cost.
///
/// # Errors
/// When the database cannot be read.
pub async fn requests(read: &mut Reader, org: &OrgId) -> Result<(i64, Money), StoreError> {
    patient(read).await?;
    let row = run!(&mut *read, fetch_one, sqlx::query_as::<_, (i64, i64)>(REQUESTS).bind(org.as_str()));
    impatient(read).await?;
    let (count, cost) = row?;
    Ok((count, Money::from_nanos(cost)))
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
