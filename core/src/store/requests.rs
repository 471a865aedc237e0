//! A key's or an organisation's requests as one list, newest first: settled ones (`usage`) and those that reached no
//! provider (`rejections`, counted by the minute). One statement, put together from closed sets of fragments; each half
//! reads no more rows from its index than the page has.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Via, run, statements};
use crate::domain::ids::{KeyId, OrgId, RequestId};
use crate::domain::meter::Counts;
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
            request_id AS place FROM usage"
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
            ", rejection_place!(), " AS place FROM rejections")
    };
}

statements! {
    FIND = concat!(of_usage!(), " WHERE request_id = $1 AND org_id = $2 UNION ALL ",
        of_rejections!(), " WHERE request_id = $1 AND org_id = $2 LIMIT 1");
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
    let (side, way) = if beyond.backwards { (">", "ASC") } else { ("<", "DESC") };
    let half = |select: &str, table: &str, at: &str, place: &str, more: &str| {
        let through = dialect.through(&format!("{table}_{index}"));
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
}

impl Row {
    fn read(self) -> Result<RequestEntry, StoreError> {
        let used = self.cost.map(|cost| RequestUse {
            counts: Counts::of_totals(
                self.input_tokens.unwrap_or(0),
                self.cached_tokens.unwrap_or(0),
                self.output_tokens.unwrap_or(0),
            ),
            estimated: self.estimated == Some(1),
            cost: Money::from_nanos(cost),
            latency_ms: self.latency_ms.unwrap_or(0),
        });
        let (status, outcome) = match (used, self.gate.is_empty()) {
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
        for bits in 0..16 {
            let some = |bit: u8| bits & bit != 0;
            let moment = some(8).then_some(Moment::from_ms(0));
            let of = RequestFilter {
                key: some(1).then_some(&key),
                model: some(2).then_some("m"),
                status: some(4).then_some(403),
                since: moment,
                until: moment,
            };
            texts.push(text(dialect, &org, &of, &Beyond { backwards, ..Beyond::START }, 1).0);
        }
    }
    texts
}
