//! A key's or an organisation's requests as one list, newest first: settled ones (`usage`) and those that reached no
//! provider (`rejections`, counted by the minute). The list's text is put together in `requests_sql`.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::requests_sql::{Beyond, Bind, of_rejections, of_usage, rejection_place, text, usage_columns};
pub use super::requests_sql::{RequestFilter, SeenBy, every_text};
use super::{StoreError, Via, run, statements};
use crate::domain::gate::Gate;
use crate::domain::ids::{KeyId, OrgId, PersonId, PriceId, RequestId, TeamId};
use crate::domain::meter::{Counts, Metered};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::page::{Cursor, Page};
use crate::domain::request_log::{Outcome, RequestCorrection, RequestEntry, RequestUse};

/// Entries of a page of a key's requests.
pub const PAGE_ENTRIES: usize = 20;

statements! {
    FIND = concat!(of_usage!(), " WHERE request_id = $1 AND org_id = $2 UNION ALL ",
        of_rejections!(), " WHERE request_id = $1 AND org_id = $2 LIMIT 1");
    /// What a key settled, newest first, from a place on.
    SETTLED = concat!(of_usage!(), " WHERE key_id = $1 AND org_id = $2 AND started_at <= $3 AND (started_at < $3 OR request_id < $4)
        ORDER BY started_at DESC, request_id DESC LIMIT $5");
    /// Counted no further than to one more than what a page shows as a number.
    NOT_PRICED = "SELECT COUNT(*) FROM (SELECT 1 FROM usage WHERE key_id = $1 AND org_id = $2 AND is_priced = 0 LIMIT 10001) few";
    CORRECTIONS = "SELECT at, actor_name, cost_before, cost_after FROM usage_corrections
        WHERE request_id = $1 AND org_id = $2 ORDER BY number";
    /// For support alone.
    FIND_ANYWHERE = concat!(of_usage!(), " WHERE request_id = $1 UNION ALL ", of_rejections!(), " WHERE request_id = $1 LIMIT 1");
}

/// A statement with its parameters written out, for the test of its plan.
pub fn example(dialect: Dialect, org: &OrgId, of: &RequestFilter<'_>, at: Option<&Cursor>) -> String {
    let beyond = at.map_or(Beyond::START, Beyond::cursor);
    let Some((mut sql, binds)) = text(dialect, org, of, &beyond, PAGE_ENTRIES + 1) else {
        return String::new();
    };
    for (place, value) in binds.iter().enumerate().rev() {
        let value = match value {
            Bind::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Bind::Number(number) => number.to_string(),
        };
        sql = sql.replace(&format!("${}", place + 1), &value);
    }
    sql
}

#[derive(sqlx::FromRow)]
struct Row {
    key_id: String,
    team_id: Option<String>,
    owner_id: String,
    started_at: i64,
    first_at: i64,
    times: i64,
    request_id: String,
    model_id: String,
    route: String,
    status: i64,
    error: String,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cached_tokens: Option<i64>,
    cost: Option<i64>,
    estimated: Option<i64>,
    latency_ms: Option<i64>,
    address: String,
    gate: String,
    reason: String,
    place: String,
    meters: String,
    price_id: Option<String>,
    is_priced: i64,
    first_cost: Option<i64>,
    first_byte_ms: Option<i64>,
    user_agent: String,
    provider: String,
    tags: String,
}

/// Rows without meters, or with some that this version does not know, have their totals: input, cached and output tokens.
pub(super) fn read_metered(meters: &str, [input, cached, output]: [i64; 3]) -> Metered {
    Metered::parse(meters).unwrap_or_else(|| Counts::of_totals(input, cached, output).into())
}

impl Row {
    fn read(self) -> Result<RequestEntry, StoreError> {
        let totals =
            [self.input_tokens, self.cached_tokens, self.output_tokens].map(Option::unwrap_or_default);
        let used = self.cost.map(|cost| RequestUse {
            metered: read_metered(&self.meters, totals),
            estimated: self.estimated == Some(1),
            cost: Money::from_nanos(cost),
            is_priced: self.is_priced == 1,
            price: self.price_id.as_deref().and_then(PriceId::parse),
            first_cost: self.first_cost.map(Money::from_nanos),
            latency_ms: self.latency_ms.unwrap_or(0),
            first_byte_ms: self.first_byte_ms,
            provider: self.provider,
            user_agent: self.user_agent,
            tags: self.tags.lines().map(str::to_owned).collect(),
        });
        let (status, outcome) = match (&used, self.gate.is_empty()) {
            (Some(_), _) => (self.status, Outcome::of_status(self.status)),
            (None, true) => (RequestEntry::status_of(&self.reason), Outcome::Failed(Some(self.reason))),
            (None, false) => (RequestEntry::status_of(&self.reason), Outcome::Rejected(self.reason)),
        };
        Ok(RequestEntry {
            key: KeyId::parse(&self.key_id).ok_or(StoreError::Unreadable { column: "key_id" })?,
            team: self.team_id.as_deref().and_then(TeamId::parse),
            owner: PersonId::parse(&self.owner_id),
            gate: Gate::parse(&self.gate),
            at: Moment::from_ms(self.started_at),
            first_at: Moment::from_ms(self.first_at),
            times: self.times,
            request_id: self.request_id,
            model: self.model_id,
            route: self.route,
            status,
            outcome,
            error: self.error,
            used,
            address: self.address,
            place: self.place,
        })
    }
}

async fn read(
    via: &mut impl Via,
    org: &OrgId,
    of: &RequestFilter<'_>,
    beyond: &Beyond<'_>,
    max: usize,
) -> Result<Vec<RequestEntry>, StoreError> {
    let Some((sql, binds)) = text(Dialect::of(via), org, of, beyond, max) else { return Ok(Vec::new()) };
    let rows: Vec<Row> = run!(via, fetch_all, {
        let mut query = sqlx::query_as::<_, Row>(AssertSqlSafe(sql.clone()));
        for bind in &binds {
            query = match bind {
                Bind::Text(text) => query.bind(text.clone()),
                Bind::Number(number) => query.bind(*number),
            };
        }
        query
    })?;
    rows.into_iter().map(Row::read).collect()
}

/// A page of the list, newest first, of at most `max` entries.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(
    via: &mut impl Via,
    org: &OrgId,
    of: &RequestFilter<'_>,
    at: Option<&Cursor>,
    max: usize,
) -> Result<Page<RequestEntry>, StoreError> {
    let beyond = at.map_or(Beyond::START, Beyond::cursor);
    let rows = read(via, org, of, &beyond, max.saturating_add(1)).await?;
    Ok(Page::read_of(max, rows, at, |entry| (entry.place.clone(), entry.at.ms().to_string())))
}

/// The page that begins with this entry.
pub fn page_of(entry: &RequestEntry) -> Cursor {
    Cursor::including(format!("{}0", entry.place), entry.at.ms().to_string())
}

/// Up to `max` entries nearest to a moment, of those before it and of those after it; newest first.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn nearest(
    via: &mut impl Via,
    org: &OrgId,
    of: &RequestFilter<'_>,
    moment: Moment,
    max: usize,
) -> Result<Vec<RequestEntry>, StoreError> {
    let after = Beyond { backwards: true, at: moment, place: "" };
    let before = Beyond { backwards: false, ..after };
    let mut rows = read(via, org, of, &after, max).await?;
    rows.extend(read(via, org, of, &before, max).await?);
    rows.sort_by_key(|entry| entry.at.ms().abs_diff(moment.ms()));
    rows.truncate(max);
    rows.sort_by(|a, b| (b.at, &b.place).cmp(&(a.at, &a.place)));
    Ok(rows)
}

/// A key's settled requests, newest first: `max` of them, those before `before` alone.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn settled(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    before: Option<&RequestEntry>,
    max: usize,
) -> Result<Vec<RequestEntry>, StoreError> {
    let (at, id) = before.map_or((i64::MAX, ""), |entry| (entry.at.ms(), entry.request_id.as_str()));
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(SETTLED)
            .bind(key.as_str())
            .bind(org.as_str())
            .bind(at)
            .bind(id)
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
    )?;
    rows.into_iter().map(Row::read).collect()
}

/// How many of a key's requests used something without a price, counted to 10,001.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_not_priced(via: &mut impl Via, org: &OrgId, key: &KeyId) -> Result<i64, StoreError> {
    run!(via, fetch_one, sqlx::query_scalar::<_, i64>(NOT_PRICED).bind(key.as_str()).bind(org.as_str()))
}

/// The entry with this request id in an organisation. Of requests that are counted together only the newest one's id is
/// stored.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find(
    via: &mut impl Via,
    org: &OrgId,
    id: &RequestId,
) -> Result<Option<RequestEntry>, StoreError> {
    let row: Option<Row> =
        run!(via, fetch_optional, sqlx::query_as::<_, Row>(FIND).bind(id.as_str()).bind(org.as_str()))?;
    row.map(Row::read).transpose()
}

/// `find` across organisations. Who may ask is decided in `ops::support`, which also tells the organisation.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find_anywhere(via: &mut impl Via, id: &RequestId) -> Result<Option<RequestEntry>, StoreError> {
    let row: Option<Row> =
        run!(via, fetch_optional, sqlx::query_as::<_, Row>(FIND_ANYWHERE).bind(id.as_str()))?;
    row.map(Row::read).transpose()
}

/// What re-ratings changed of a request, the first one first.
///
/// # Errors
/// When the database cannot be read.
pub async fn corrections(
    via: &mut impl Via,
    org: &OrgId,
    id: &RequestId,
) -> Result<Vec<RequestCorrection>, StoreError> {
    type Found = (i64, String, i64, i64);
    let rows: Vec<Found> =
        run!(via, fetch_all, sqlx::query_as::<_, Found>(CORRECTIONS).bind(id.as_str()).bind(org.as_str()))?;
    let read = |(at, by, before, after): Found| RequestCorrection {
        at: Moment::from_ms(at),
        by,
        before: Money::from_nanos(before),
        after: Money::from_nanos(after),
    };
    Ok(rows.into_iter().map(read).collect())
}
