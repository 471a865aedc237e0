//! A key's or an organisation's requests as one list, newest first: settled ones (`usage`) and those that reached no
//! provider (`rejections`, counted by the minute). One statement, put together from closed sets of fragments; each half
//! reads no more rows from its index than the page has.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Via, run, statements};
use crate::domain::ids::{KeyId, OrgId, PriceId, RequestId};
use crate::domain::meter::{Counts, Metered};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::page::{Cursor, Page};
use crate::domain::request_log::{Outcome, RequestEntry, RequestUse, reasons_of};

/// Entries of a page.
pub const PAGE_ENTRIES: usize = 20;

macro_rules! of_usage {
    () => {
        "SELECT key_id, started_at, started_at AS first_at, CAST(1 AS BIGINT) AS times, request_id, model_id, route, status, error,
            input_tokens, output_tokens, cached_tokens, cost, estimated, latency_ms, address, '' AS gate, '' AS reason,
            request_id AS place, meters, price_id, is_priced,
            (SELECT c.cost_before FROM usage_corrections c WHERE c.request_id = usage.request_id AND c.number = 1) AS first_cost
        FROM usage"
    };
}

/// What tells rejections of one moment apart.
macro_rules! rejection_place {
    () => {
        "key_id || ' ' || gate || ' ' || reason || ' ' || model_id"
    };
}

macro_rules! of_rejections {
    () => {
        concat!("SELECT key_id, last_at AS started_at, first_at, times, request_id, model_id, route, CAST(0 AS BIGINT) AS status, '' AS error,
            CAST(NULL AS BIGINT) AS input_tokens, CAST(NULL AS BIGINT) AS output_tokens, CAST(NULL AS BIGINT) AS cached_tokens,
            CAST(NULL AS BIGINT) AS cost, CAST(NULL AS BIGINT) AS estimated, CAST(NULL AS BIGINT) AS latency_ms, address, gate, reason,
            ", rejection_place!(), " AS place, '' AS meters, CAST(NULL AS TEXT) AS price_id, CAST(1 AS BIGINT) AS is_priced,
            CAST(NULL AS BIGINT) AS first_cost
        FROM rejections")
    };
}

statements! {
    FIND = concat!(of_usage!(), " WHERE request_id = $1 AND org_id = $2 UNION ALL ",
        of_rejections!(), " WHERE request_id = $1 AND org_id = $2 LIMIT 1");
    /// What a key settled, newest first, from a place on.
    SETTLED = concat!(of_usage!(), " WHERE key_id = $1 AND org_id = $2 AND started_at <= $3 AND (started_at < $3 OR request_id < $4)
        ORDER BY started_at DESC, request_id DESC LIMIT $5");
    /// Counted no further than to one more than what a page shows as a number.
    NOT_PRICED = "SELECT COUNT(*) FROM (SELECT 1 FROM usage WHERE key_id = $1 AND org_id = $2 AND is_priced = 0 LIMIT 10001) few";
    /// For support alone.
    FIND_ANYWHERE = concat!(of_usage!(), " WHERE request_id = $1 UNION ALL ", of_rejections!(), " WHERE request_id = $1 LIMIT 1");
}

/// Which requests of an organisation.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFilter<'a> {
    /// Of this key; `None` is all keys.
    pub key: Option<&'a KeyId>,
    /// For exactly this model.
    pub model: Option<&'a str>,
    /// With this HTTP status.
    pub status: Option<i64>,
    /// From this moment on.
    pub since: Option<Moment>,
    /// Up to and with this moment.
    pub until: Option<Moment>,
    /// Only those that used something without a price.
    pub not_priced: bool,
}

enum Bind {
    Text(String),
    Number(i64),
}

/// A place in the list: a moment, and what tells entries of that moment apart.
struct Beyond<'a> {
    backwards: bool,
    at: Moment,
    place: &'a str,
}

impl<'a> Beyond<'a> {
    /// Before the first entry.
    const START: Beyond<'static> = Beyond { backwards: false, at: Moment::from_ms(i64::MAX), place: "" };

    fn cursor(at: &'a Cursor) -> Self {
        Self { backwards: at.backwards(), at: Moment::from_ms(at.seq()), place: at.value() }
    }
}

/// The statement and its parameters.
fn text(
    dialect: Dialect,
    org: &OrgId,
    of: &RequestFilter<'_>,
    beyond: &Beyond<'_>,
    max: usize,
) -> (String, Vec<Bind>) {
    let mut binds = vec![
        Bind::Text(org.to_string()),
        Bind::Number(beyond.at.ms()),
        Bind::Text(beyond.place.to_owned()),
        Bind::Number(i64::try_from(max).unwrap_or(i64::MAX)),
    ];
    let mut bind = |value: Bind| {
        binds.push(value);
        format!("${}", binds.len())
    };
    let (whose, index) = match of.key {
        Some(key) => (format!("key_id = {} AND org_id = $1", bind(Bind::Text(key.to_string()))), "by_key"),
        None => ("org_id = $1".to_owned(), "by_org"),
    };
    let mut both = String::new();
    if let Some(model) = of.model {
        both += &format!(" AND model_id = {}", bind(Bind::Text(model.replace('\0', "\u{fffd}"))));
    }
    let (mut settled, mut counted) = (String::new(), String::new());
    for (moment, side) in [(of.since, ">="), (of.until, "<=")] {
        let Some(moment) = moment else { continue };
        let moment = bind(Bind::Number(moment.ms()));
        settled += &format!(" AND started_at {side} {moment}");
        counted += &format!(" AND last_at {side} {moment}");
    }
    if let Some(status) = of.status {
        settled += &format!(" AND status = {}", bind(Bind::Number(status)));
        let reasons = serde_json::to_string(&reasons_of(status)).unwrap_or_default();
        counted += &format!(" AND {}", dialect.any_of("reason", &bind(Bind::Text(reasons))));
    }
    if of.not_priced {
        settled += " AND is_priced = 0";
        // What reached no provider used nothing.
        counted += " AND 1 = 0";
    }
    let (side, way) = if beyond.backwards { (">", "ASC") } else { ("<", "DESC") };
    let half = |select: &str, table: &str, at: &str, place: &str, more: &str| {
        let through = match of.not_priced && of.key.is_some() && table == "usage" {
            true => dialect.through("usage_by_key_not_priced"),
            false => dialect.through(&format!("{table}_{index}")),
        };
        format!(
            "SELECT * FROM ({select}{through} WHERE {whose}{both}{more} AND {at} {side}= $2 AND ({at} {side} $2 OR {place} {side} $3)
            ORDER BY {at} {way}, {place} {way} LIMIT $4)"
        )
    };
    let sql = format!(
        "SELECT * FROM ({} AS settled UNION ALL {} AS counted) AS requests ORDER BY started_at {way}, place {way} LIMIT $4",
        half(of_usage!(), "usage", "started_at", "request_id", &settled),
        half(of_rejections!(), "rejections", "last_at", rejection_place!(), &counted),
    );
    (sql, binds)
}

/// A statement with its parameters written out, for the test of its plan.
pub fn example(dialect: Dialect, org: &OrgId, of: &RequestFilter<'_>, at: Option<&Cursor>) -> String {
    let (mut sql, binds) =
        text(dialect, org, of, &at.map_or(Beyond::START, Beyond::cursor), PAGE_ENTRIES + 1);
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
        });
        let (status, outcome) = match (&used, self.gate.is_empty()) {
            (Some(_), _) => (self.status, Outcome::of_status(self.status)),
            (None, true) => (RequestEntry::status_of(&self.reason), Outcome::Failed(Some(self.reason))),
            (None, false) => (RequestEntry::status_of(&self.reason), Outcome::Rejected(self.reason)),
        };
        Ok(RequestEntry {
            key: KeyId::parse(&self.key_id).ok_or(StoreError::Unreadable { column: "key_id" })?,
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
    let (sql, binds) = text(Dialect::of(via), org, of, beyond, max);
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

/// A page of the list, newest first.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(
    via: &mut impl Via,
    org: &OrgId,
    of: &RequestFilter<'_>,
    at: Option<&Cursor>,
) -> Result<Page<RequestEntry>, StoreError> {
    let beyond = at.map_or(Beyond::START, Beyond::cursor);
    let rows = read(via, org, of, &beyond, PAGE_ENTRIES + 1).await?;
    Ok(Page::read_of(PAGE_ENTRIES, rows, at, |entry| (entry.place.clone(), entry.at.ms().to_string())))
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

/// The texts that are put together, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let (org, key) = (OrgId::new(Moment::from_ms(0), [0; 10]), KeyId::new(Moment::from_ms(0), [0; 10]));
    let mut texts = Vec::new();
    for backwards in [false, true] {
        for bits in 0..32 {
            let some = |bit: u8| bits & bit != 0;
            let moment = some(8).then_some(Moment::from_ms(0));
            let of = RequestFilter {
                key: some(1).then_some(&key),
                model: some(2).then_some("m"),
                status: some(4).then_some(403),
                since: moment,
                until: moment,
                not_priced: some(16),
            };
            texts.push(text(dialect, &org, &of, &Beyond { backwards, ..Beyond::START }, 1).0);
        }
    }
    texts
}
