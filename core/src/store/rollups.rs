//! Usage added up by hour, day and month for each key, owner, team and organisation, so that no report adds up requests.
//! A settlement writes them (`settlement`) and a re-rating corrects them (`rerating`), in the transaction that changes the
//! requests; here are the statements that they share, and what fills in the hours of requests that are older than roll-ups.
//!
//! A bucket is that of the organisation's time zone when the request was made, as its row has it in `booked`: it stays
//! when the time zone changes.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, patient_within};
use super::{Db, StoreError, Tx, Unaudited, changed, run, statements};
use crate::domain::moment::{Moment, Zone};

/// The beginning of a statement that adds to roll-ups.
macro_rules! insert {
    () => {
        "INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens,
            output_tokens, cached_tokens, cost)
        "
    };
}
/// The holders of a request `u`, in the order in which their rows are locked.
macro_rules! holders {
    () => {
        "(SELECT 1 AS position, 'key' AS kind UNION ALL SELECT 2, 'owner' UNION ALL SELECT 3, 'team' UNION ALL SELECT 4, 'org') h"
    };
}
/// Which holder of a request `u` it is; a key without a team has none of that kind, see `has_holder`.
macro_rules! holder_id {
    () => {
        "CASE h.kind WHEN 'key' THEN u.key_id WHEN 'owner' THEN u.owner_id WHEN 'team' THEN u.team_id ELSE u.org_id END"
    };
}
macro_rules! has_holder {
    () => {
        "(h.kind <> 'team' OR u.team_id IS NOT NULL)"
    };
}
/// The lengths of a request's buckets.
macro_rules! grains {
    () => {
        "(SELECT 1 AS position, 'month' AS grain, 7 AS length UNION ALL SELECT 2, 'day', 10 UNION ALL SELECT 3, 'hour', 13) g"
    };
}
/// The end of a statement that adds to roll-ups.
macro_rules! add {
    () => {
        "
        ON CONFLICT (holder_kind, holder_id, grain, bucket, model_id, provider, org_id) DO UPDATE SET
            requests = rollups.requests + excluded.requests,
            input_tokens = rollups.input_tokens + excluded.input_tokens,
            output_tokens = rollups.output_tokens + excluded.output_tokens,
            cached_tokens = rollups.cached_tokens + excluded.cached_tokens,
            cost = rollups.cost + excluded.cost"
    };
}

/// Adds to what a bucket cost.
pub(super) const CORRECT: &str = "UPDATE rollups SET cost = cost + $7 WHERE holder_kind = $1 AND holder_id = $2 AND grain = $3 AND bucket = $4
            AND model_id = $5 AND provider = $6 AND org_id = $8";

/// The five sums of rows `u`.
macro_rules! sums {
    () => {
        "CAST(SUM(u.requests) AS BIGINT) AS requests, CAST(SUM(u.input_tokens) AS BIGINT) AS input_tokens,
            CAST(SUM(u.output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(u.cached_tokens) AS BIGINT) AS cached_tokens,
            CAST(SUM(u.cost) AS BIGINT) AS cost"
    };
}
/// The same of requests.
macro_rules! request_sums {
    () => {
        "COUNT(*) AS requests, CAST(SUM(u.input_tokens) AS BIGINT) AS input_tokens,
            CAST(SUM(u.output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(u.cached_tokens) AS BIGINT) AS cached_tokens,
            CAST(SUM(u.cost) AS BIGINT) AS cost"
    };
}

/// `$2` in a statement that needs none: both databases want every parameter used.
pub(super) const ANY_RANGE: &str = "CAST($2 AS TEXT) = CAST($2 AS TEXT)";

/// The windows of counters in the JSON list `$2`: the period, where it starts, its first day and the first after it.
pub(super) fn windows(dialect: Dialect) -> String {
    format!(
        "(SELECT j.value ->> 0 AS period, CAST(j.value ->> 1 AS BIGINT) AS start, j.value ->> 2 AS from_day,
            j.value ->> 3 AS to_day FROM {})",
        dialect.json_rows_in("$2")
    )
}

/// What the counters of the windows `$2` should be, from the days of the organisation `$1`.
pub(super) fn counters(dialect: Dialect) -> String {
    format!(
        concat!(
            "SELECT h.kind AS holder_kind, ",
            holder_id!(),
            " AS holder_id, w.period, w.start AS window_start, CAST(SUM(u.requests) AS BIGINT) AS requests,
                CAST(SUM(u.input_tokens + u.output_tokens) AS BIGINT) AS input_tokens, 0 AS output_tokens, 0 AS cached_tokens,
                CAST(SUM(u.cost) AS BIGINT) AS cost
            FROM {} w JOIN spend_daily u ON u.day >= w.from_day AND u.day < w.to_day CROSS JOIN ",
            holders!(),
            " WHERE u.org_id = $1 AND h.kind <> 'owner' AND (h.kind <> 'team' OR u.team_id <> '')
            GROUP BY h.kind, 2, w.period, w.start"
        ),
        windows(dialect)
    )
}

/// The days of the requests `u` that `which` says.
pub(super) fn days_of(which: &str) -> String {
    format!(
        concat!(
            "SELECT u.key_id, substr(u.booked, 1, 10) AS day, u.model_id, u.provider, COALESCE(u.team_id, '') AS team_id, u.owner_id,
                MIN(u.org_id) AS org_id, ",
            request_sums!(),
            " FROM usage u WHERE {}
            GROUP BY u.key_id, substr(u.booked, 1, 10), u.model_id, u.provider, COALESCE(u.team_id, ''), u.owner_id"
        ),
        which
    )
}

/// The hours, days and months of the requests `u` that `which` says: twelve of a request, or nine without a team.
pub(super) fn rollups_of(which: &str) -> String {
    format!(
        concat!(
            "SELECT h.kind AS holder_kind, ",
            holder_id!(),
            " AS holder_id, g.grain, substr(u.booked, 1, g.length) AS bucket, u.model_id, u.provider, u.org_id, ",
            request_sums!(),
            " FROM usage u CROSS JOIN ",
            holders!(),
            " CROSS JOIN ",
            grains!(),
            " WHERE {} AND ",
            has_holder!(),
            " GROUP BY h.kind, 2, g.grain, substr(u.booked, 1, g.length), u.model_id, u.provider, u.org_id"
        ),
        which
    )
}

/// What the days should be, from the requests of the organisation `$1` since the day `$2`.
pub(super) fn days() -> String {
    days_of("u.org_id = $1 AND u.booked >= $2")
}

/// What the roll-ups by day and month should be, from the days of the organisation `$1`.
pub(super) fn days_and_months() -> String {
    concat!(
        "SELECT h.kind AS holder_kind, ",
        holder_id!(),
        " AS holder_id, g.grain, substr(u.day, 1, g.length) AS bucket, u.model_id, u.provider, ",
        sums!(),
        " FROM spend_daily u CROSS JOIN ",
        holders!(),
        " CROSS JOIN ",
        grains!(),
        " WHERE u.org_id = $1 AND g.grain <> 'hour' AND (h.kind <> 'team' OR u.team_id <> '')
        GROUP BY h.kind, 2, g.grain, substr(u.day, 1, g.length), u.model_id, u.provider"
    )
    .to_owned()
}

/// What the hours should be, from the requests of the organisation `$1` since the day `$2`.
pub(super) fn hours() -> String {
    concat!(
        "SELECT h.kind AS holder_kind, ",
        holder_id!(),
        " AS holder_id, 'hour' AS grain, u.booked AS bucket, u.model_id, u.provider, ",
        request_sums!(),
        " FROM usage u CROSS JOIN ",
        holders!(),
        " WHERE u.org_id = $1 AND u.booked >= $2 AND ",
        has_holder!(),
        " GROUP BY h.kind, 2, u.booked, u.model_id, u.provider"
    )
    .to_owned()
}

/// What the tags should be, from the requests of the organisation `$1` since the day `$2`.
pub(super) fn tags(dialect: Dialect, other: &str) -> String {
    tags_of(&tag_lines(dialect, "org_id = $1 AND booked >= $2"), other)
}

/// The tags of the requests that `which` says, a line for each: `request_id` and `line`.
pub(super) fn tag_lines(dialect: Dialect, which: &str) -> String {
    let which = format!("tags <> '' AND {which}");
    match dialect {
        Dialect::Sqlite => format!(
            "(WITH RECURSIVE cut (request_id, line, rest) AS (
                SELECT request_id, '', tags || char(10) FROM usage WHERE {which}
                UNION ALL SELECT request_id, substr(rest, 1, instr(rest, char(10)) - 1), substr(rest, instr(rest, char(10)) + 1)
                FROM cut WHERE rest <> '')
            SELECT request_id, line FROM cut WHERE line <> '')"
        ),
        Dialect::Postgres => format!(
            "(SELECT request_id, line FROM usage CROSS JOIN LATERAL unnest(string_to_array(tags, chr(10))) AS cut (line)
                WHERE {which} AND line <> '')"
        ),
    }
}

/// The days of these tags, each under its own name or as one of the others.
pub(super) fn tags_of(lines: &str, other: &str) -> String {
    format!(
        concat!(
            "SELECT u.key_id, substr(u.booked, 1, 10) AS day, t.tag, u.model_id, COALESCE(u.team_id, '') AS team_id, u.owner_id,
                MIN(u.org_id) AS org_id, ",
            request_sums!(),
            " FROM (
                SELECT DISTINCT l.request_id, COALESCE(k.tag, '{}') AS tag FROM {} l JOIN usage r ON r.request_id = l.request_id
                LEFT JOIN key_tags k ON k.key_id = r.key_id AND k.tag = l.line
            ) t JOIN usage u ON u.request_id = t.request_id
            GROUP BY u.key_id, substr(u.booked, 1, 10), t.tag, u.model_id, COALESCE(u.team_id, ''), u.owner_id"
        ),
        other, lines
    )
}

statements! {
    ZONES = "SELECT id, zone FROM orgs";
}

fn not_booked_text(dialect: Dialect) -> String {
    let lock = dialect.for_change();
    format!(
        "SELECT request_id, org_id, started_at FROM usage WHERE booked IS NULL ORDER BY org_id, started_at LIMIT {CHUNK_ROWS}{lock}"
    )
}

/// Each element is a request's id and its hour.
fn book_text(dialect: Dialect) -> String {
    let list = dialect.json_rows_in("$1");
    format!(
        "UPDATE usage SET booked = j.value ->> 1,
            provider = COALESCE((SELECT m.provider FROM models m WHERE m.id = usage.model_id), '')
        FROM {list} WHERE usage.request_id = j.value ->> 0"
    )
}

fn hours_text(dialect: Dialect) -> String {
    format!(
        concat!(
            insert!(),
            "SELECT u.org_id, h.kind, ",
            holder_id!(),
            ", 'hour', u.booked, u.model_id, u.provider, COUNT(*), CAST(SUM(u.input_tokens) AS BIGINT),
                CAST(SUM(u.output_tokens) AS BIGINT), CAST(SUM(u.cached_tokens) AS BIGINT), CAST(SUM(u.cost) AS BIGINT)
            FROM usage u CROSS JOIN ",
            holders!(),
            " WHERE {} AND ",
            has_holder!(),
            " GROUP BY h.position, 1, 2, 3, 5, 6, 7 ORDER BY h.position, 3, 5, 6, 7",
            add!()
        ),
        dialect.any_of("u.request_id", "$1")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![CORRECT.to_owned(), not_booked_text(dialect), book_text(dialect), hours_text(dialect)]
}

const CHUNK_ROWS: usize = 2_000;

/// Gives requests of before the migration their hour, in the time zone of now, and adds them to the hours; the migration
/// itself made days and months. Goes on where it was interrupted; requests that are settled meanwhile have their hour.
pub(super) async fn fill(db: &Db) -> Result<(), StoreError> {
    loop {
        let mut tx = db.write().await?;
        patient_within(&mut tx).await?;
        let dialect = Dialect::of(&mut tx);
        let text = not_booked_text(dialect);
        let rows: Vec<(String, String, i64)> = run!(
            &mut tx,
            fetch_all,
            sqlx::query_as::<_, (String, String, i64)>(AssertSqlSafe(text.clone()))
        )?;
        if rows.is_empty() {
            return Ok(());
        }
        let zones = zones(&mut tx).await?;
        let hour = |org: &str, at: i64| zones.get(org).map(|zone| Moment::from_ms(at).booked_hour(zone));
        let booked: Vec<(&str, String)> =
            rows.iter().filter_map(|(id, org, at)| Some((id.as_str(), hour(org, *at)?))).collect();
        let ids: Vec<&str> = booked.iter().map(|(id, _)| *id).collect();
        let (ids, booked) = (json(&ids), json(&booked));
        let text = book_text(dialect);
        changed!(&mut tx, sqlx::query(AssertSqlSafe(text.clone())).bind(&booked))?;
        let text = hours_text(dialect);
        changed!(&mut tx, sqlx::query(AssertSqlSafe(text.clone())).bind(&ids))?;
        tx.save_unaudited(Unaudited::Usage).await?;
    }
}

fn json(list: &impl serde::Serialize) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

async fn zones(tx: &mut Tx) -> Result<BTreeMap<String, Zone>, StoreError> {
    let rows: Vec<(String, String)> = run!(tx, fetch_all, sqlx::query_as::<_, (String, String)>(ZONES))?;
    let read = |(id, zone): (String, String)| {
        Ok((id, Zone::parse(&zone).ok_or(StoreError::Unreadable { column: "orgs.zone" })?))
    };
    rows.into_iter().map(read).collect()
}
