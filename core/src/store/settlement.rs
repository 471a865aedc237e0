//! How a reservation ends: finished requests are settled, and one that was never forwarded is released. A settlement writes
//! the requests' rows and everything that is added up from rows: the days, the tags, the roll-ups, the counters, and the
//! marks of budgets. `SettlementWriter` gathers the requests that are settled together.
//!
//! All that a batch adds to one row is added at once, and rows are locked in one order: table by table as the steps stand
//! here, and within a table as `Part::order` says. Whatever else locks several of these rows keeps to that order, so that
//! gateways cannot deadlock. On Postgres the steps are one function, so that no lock lasts for a round trip; on SQLite they
//! are statements of one transaction.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::Unaudited;
use super::dialect::Dialect;
use super::quotas::NodeBatch;
use super::spend::Usage;
use super::sums::{MEASURES, Part};
use super::{Db, StoreError, Tx, Via, attempts, budget_marks, changed, quotas, rollups, run};
use crate::domain::failover::Attempt;
use crate::domain::ids::{PriceId, RequestId, TeamId};
use crate::domain::moment::Zone;
use crate::domain::tags::OTHER_TAGS;
use crate::domain::window::WindowStarts;

/// So many tags of a key count under their own names; the tables say so too.
pub const MAX_TAGS: i64 = 100;

/// Parameters of `keydesk_settle_v1`. Later versions take what is added after them. An element of the list that
/// `keydesk_settle_batch_v1` takes has them by these names, without `day` and with `attempts`.
const SETTLE_TAKES: &str = "request_id text, org_id text, key_id text, secret_id text, team_id text, model_id text, route text,
    status bigint, input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost bigint, started_at bigint,
    latency_ms bigint, first_byte_ms bigint, address text, user_agent text, estimated bigint,
    month_start bigint, week_start bigint, day_start bigint, day text";

/// What a request's row has of its element.
const USAGE_COLUMNS: &str = "request_id text, org_id text, key_id text, secret_id text, team_id text, model_id text, route text,
    status bigint, input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost bigint, started_at bigint,
    latency_ms bigint, first_byte_ms bigint, address text, user_agent text, estimated bigint, error text, meters text,
    price_id text, is_priced bigint, tags text, booked text";
/// What counters are added up from.
const COUNTED_COLUMNS: &str =
    "request_id text, org_id text, key_id text, team_id text, input_tokens bigint, output_tokens bigint,
    cost bigint, started_at bigint, month_start bigint, week_start bigint, day_start bigint";

const DELETE_RESERVATION: &str = "DELETE FROM reservations WHERE request_id = $1";

/// Selects the ids of the requests that were not settled before.
const CALL_SETTLE: &str = "SELECT keydesk_settle_batch_v1(CAST($1 AS JSONB), $2)";
/// The body of `keydesk_settle_v3`. Its callers tell no tags, and the hour follows from the time zone.
const SETTLE_WITHOUT_TAGS: &str =
    "BEGIN RETURN keydesk_settle_v4($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, '', NULL); END";
/// The body of `keydesk_settle_v2`, which other gateways call: their prices are their own, and so are their meters.
const SETTLE_WITHOUT_METERS: &str =
    "BEGIN RETURN keydesk_settle_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, $23, '', NULL, 1); END";
/// The body of `keydesk_settle_v1`.
const SETTLE_WITHOUT_ERROR: &str =
    "BEGIN RETURN keydesk_settle_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, ''); END";
const CALL_RELEASE: &str = "SELECT keydesk_release_v1($1)";
/// The hour of the day that the caller counts the request in. Where clocks go back over midnight the old day's last hour
/// comes again, and belongs to the new day.
const FIND_HOUR: &str = "booked := COALESCE(booked, (SELECT $22 || CASE WHEN to_char(t.here, 'YYYY-MM-DD') = $22
            THEN to_char(t.here, '\"T\"HH24') ELSE 'T00' END
        FROM (SELECT to_timestamp($13 / 1000.0) AT TIME ZONE o.zone AS here FROM orgs o WHERE o.id = $2) t), $22 || 'T00')";

fn names(columns: &str) -> impl Iterator<Item = &str> {
    columns.split(',').filter_map(|column| column.split_whitespace().next())
}

/// The requests of the JSON list `$1` as a table `u` of these columns.
fn given(dialect: Dialect, columns: &str) -> String {
    match dialect {
        Dialect::Sqlite => {
            let columns: Vec<String> =
                names(columns).map(|name| format!("j.value ->> '{name}' AS {name}")).collect();
            // Read once, however often a column is named.
            format!(
                "(WITH read AS MATERIALIZED (SELECT {} FROM json_each($1) j) SELECT * FROM read) u",
                columns.join(", ")
            )
        }
        Dialect::Postgres => format!("jsonb_to_recordset($1) AS u ({columns})"),
    }
}

/// Whether `column` is the id of a request that this settlement wrote: the JSON list `$2`, or a variable of the function.
fn is_new(dialect: Dialect, column: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("{column} IN (SELECT value FROM json_each($2))"),
        Dialect::Postgres => format!("{column} = ANY (written)"),
    }
}

/// The owner and the provider are those of now, and everything that is added up has them from here, so that all agree
/// also when the key changes hands at this moment.
fn insert_text(dialect: Dialect) -> String {
    let columns = names(USAGE_COLUMNS).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO usage ({columns}, owner_id, provider)
        SELECT {columns}, (SELECT k.owner_id FROM keys k WHERE k.id = u.key_id),
            COALESCE((SELECT m.provider FROM models m WHERE m.id = u.model_id), '')
        FROM {} WHERE TRUE ORDER BY u.request_id
        ON CONFLICT (request_id) DO NOTHING RETURNING request_id",
        given(dialect, USAGE_COLUMNS)
    )
}

/// Adds to the rows of a part what a subquery finds for them.
fn add_text(part: Part, found: &str) -> String {
    let (table, keys) = (part.table(), part.keys().join(", "));
    let measures = |each: &dyn Fn(&str, usize) -> String| {
        let measures = part.measures().iter();
        measures.map(|(name, place)| each(name, *place)).collect::<Vec<_>>().join(", ")
    };
    format!(
        "INSERT INTO {table} ({keys}, org_id, {}) SELECT {keys}, org_id, {} FROM ({found}) s WHERE TRUE ORDER BY {}, org_id
        ON CONFLICT ({}) DO UPDATE SET {}",
        measures(&|name, _| name.to_owned()),
        measures(&|_, place| MEASURES[place].to_owned()),
        part.order(),
        part.unique(),
        measures(&|name, _| format!("{name} = {table}.{name} + excluded.{name}"))
    )
}

/// The windows of counters of all new requests, and what is added to each.
fn counted_text(dialect: Dialect) -> String {
    format!(
        "SELECT h.kind AS holder_kind,
            CASE h.kind WHEN 'key' THEN u.key_id WHEN 'team' THEN u.team_id ELSE u.org_id END AS holder_id, p.period,
            CASE p.period WHEN 'total' THEN 0 WHEN 'month' THEN u.month_start WHEN 'week' THEN u.week_start ELSE u.day_start END
                AS window_start,
            MIN(u.org_id) AS org_id, COUNT(*) AS requests, CAST(SUM(u.input_tokens + u.output_tokens) AS BIGINT) AS input_tokens,
            CAST(SUM(u.cost) AS BIGINT) AS cost, MAX(u.started_at) AS at
        FROM {} CROSS JOIN (SELECT 'key' AS kind UNION ALL SELECT 'team' UNION ALL SELECT 'org') h
        CROSS JOIN (SELECT 'total' AS period UNION ALL SELECT 'month' UNION ALL SELECT 'week' UNION ALL SELECT 'day') p
        WHERE {} AND (h.kind <> 'team' OR u.team_id IS NOT NULL)
        GROUP BY h.kind, 2, p.period, 4",
        given(dialect, COUNTED_COLUMNS),
        is_new(dialect, "u.request_id")
    )
}

/// Replaces the tokens that reservations counted, in the second in which each was made. The keys' rows come before the
/// teams', as where a reservation counts them.
fn correct_rates_text(reservations: &str, which: &str, correction: &str) -> String {
    format!(
        "INSERT INTO rate_counts (holder_kind, holder_id, second, requests, tokens)
        SELECT s.holder_kind, s.holder_id, s.second, 0, s.tokens FROM (
            SELECT c.holder_kind, c.holder_id, c.second, CAST(SUM({correction}) AS BIGINT) AS tokens FROM {reservations}
            CROSS JOIN (SELECT 'key' AS kind UNION ALL SELECT 'team') h CROSS JOIN rate_counts c
            WHERE {which} AND c.holder_kind = h.kind AND c.second = r.reserved_at / 1000
                AND c.holder_id = CASE h.kind WHEN 'key' THEN r.key_id ELSE r.team_id END
                AND ' ' || r.counted || ' ' LIKE '% ' || h.kind || ' %'
            GROUP BY c.holder_kind, c.holder_id, c.second
        ) s WHERE TRUE ORDER BY s.holder_kind, s.holder_id, s.second
        ON CONFLICT (holder_kind, holder_id, second) DO UPDATE SET tokens = rate_counts.tokens + excluded.tokens"
    )
}

fn settle_rates_text(dialect: Dialect) -> String {
    correct_rates_text(
        "usage u CROSS JOIN reservations r",
        &format!("{} AND r.request_id = u.request_id", is_new(dialect, "u.request_id")),
        "u.input_tokens + u.output_tokens - r.tokens",
    )
}

fn release_rates_text() -> String {
    correct_rates_text("reservations r", "r.request_id = $1", "-r.tokens")
}

/// Also of requests that were settled before.
fn end_reservations_text(dialect: Dialect) -> String {
    let all = match dialect {
        Dialect::Sqlite => "SELECT value ->> 'request_id' FROM json_each($1)".to_owned(),
        // Locked in this order by whatever locks several.
        Dialect::Postgres => format!(
            "SELECT r.request_id FROM reservations r
            WHERE r.request_id = ANY (ARRAY(SELECT j ->> 'request_id' FROM jsonb_array_elements($1) j))
            ORDER BY r.request_id{}",
            dialect.for_update()
        ),
    };
    format!("DELETE FROM reservations WHERE {}", dialect.among("request_id", &all))
}

/// The end of a secret's predecessor before it can depend on it.
fn first_use_text(dialect: Dialect) -> String {
    let new = is_new(dialect, "u.request_id");
    let unused = format!(
        "SELECT s.id FROM key_secrets s WHERE s.first_used_at IS NULL
            AND s.id IN (SELECT u.secret_id FROM usage u WHERE {new}) ORDER BY s.id{}",
        dialect.for_change()
    );
    format!(
        "UPDATE key_secrets SET first_used_at = (SELECT MIN(u.started_at) FROM usage u WHERE {new} AND u.secret_id = key_secrets.id)
        WHERE {}",
        dialect.among("id", &unused)
    )
}

/// Tags that are new to their key, with the first request that has each.
fn unnamed_tags(dialect: Dialect) -> String {
    format!(
        "(SELECT u.key_id, l.line AS tag, MIN(u.org_id) AS org_id, MIN(u.request_id) AS first
        FROM {} l JOIN usage u ON u.request_id = l.request_id
        WHERE NOT EXISTS (SELECT 1 FROM key_tags k WHERE k.key_id = u.key_id AND k.tag = l.line)
        GROUP BY u.key_id, l.line)",
        rollups::tag_lines(dialect, &is_new(dialect, "request_id"))
    )
}

/// A tag that is new to the key gets one of its hundred names, while there are some.
fn name_tags_text(dialect: Dialect) -> String {
    format!(
        "INSERT INTO key_tags (key_id, tag, org_id, number)
        SELECT n.key_id, n.tag, n.org_id, n.number FROM (
            SELECT t.key_id, t.tag, t.org_id, ROW_NUMBER() OVER (PARTITION BY t.key_id ORDER BY t.first, t.tag)
                + (SELECT COUNT(*) FROM key_tags k WHERE k.key_id = t.key_id) AS number
            FROM {} t
        ) n WHERE n.number <= {MAX_TAGS} ORDER BY n.key_id, n.number
        ON CONFLICT DO NOTHING",
        unnamed_tags(dialect)
    )
}

fn add_to_tags_text(dialect: Dialect) -> String {
    let lines = rollups::tag_lines(dialect, &is_new(dialect, "request_id"));
    add_text(Part::Tags, &rollups::tags_of(&lines, OTHER_TAGS))
}

/// On Postgres: only for requests with tags, and one at a time while a key may still get names.
fn tags_step() -> String {
    let dialect = Dialect::Postgres;
    format!(
        "IF EXISTS (SELECT 1 FROM usage u WHERE {} AND u.tags <> '') THEN
            PERFORM pg_catalog.pg_advisory_xact_lock(k.number) FROM (
                SELECT DISTINCT pg_catalog.hashtextextended(t.key_id, CAST(8 AS bigint)) AS number FROM {} t
                WHERE (SELECT COUNT(*) FROM key_tags k WHERE k.key_id = t.key_id) < {MAX_TAGS} ORDER BY 1
            ) k;
            IF FOUND THEN {}; END IF;
            {};
        END IF",
        is_new(dialect, "u.request_id"),
        unnamed_tags(dialect),
        name_tags_text(dialect),
        add_to_tags_text(dialect)
    )
}

/// What follows the requests' rows, in the order of its locks: before the tags, and after them. Counters are the last that
/// requests of one organisation share.
fn steps(dialect: Dialect) -> [Vec<String>; 2] {
    let new = is_new(dialect, "u.request_id");
    let counted = counted_text(dialect);
    [
        vec![attempts::settle_text(dialect, &new), add_text(Part::Days, &rollups::days_of(&new))],
        vec![
            first_use_text(dialect),
            settle_rates_text(dialect),
            end_reservations_text(dialect),
            // The hours, days and months are one table.
            add_text(Part::Hours, &rollups::rollups_of(&new)),
            add_text(Part::Counters, &counted),
            budget_marks::settle_text(&counted),
        ],
    ]
}

/// On SQLite: the statement that writes the requests' rows, and what follows where it wrote any.
static SQLITE: LazyLock<(String, Vec<String>)> = LazyLock::new(|| {
    let dialect = Dialect::Sqlite;
    let [before, after] = steps(dialect);
    let tags = vec![name_tags_text(dialect), add_to_tags_text(dialect)];
    (insert_text(dialect), [before, tags, after].concat())
});

/// The statements of each database, for the test that prepares them.
pub(super) fn texts(dialect: Dialect) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => {
            let (insert, then) = &*SQLITE;
            let release = [release_rates_text(), DELETE_RESERVATION.to_owned()];
            [vec![insert.clone()], then.clone(), release.to_vec()].concat()
        }
        Dialect::Postgres => [CALL_SETTLE, CALL_RELEASE].map(str::to_owned).to_vec(),
    }
}

/// The functions that gateways call on Postgres: name, parameters, what it answers, and its body.
pub(super) fn functions(head: &str) -> Vec<(&'static str, String, String, String)> {
    let in_turn = |steps: &[String]| steps.iter().map(|step| format!("{step};\n")).collect::<String>();
    let dialect = Dialect::Postgres;
    let gives = || format!("boolean LANGUAGE plpgsql {head}");
    let [before, after] = steps(dialect);
    let batch = format!(
        "DECLARE written text[];
        BEGIN
            IF $2 IS NOT NULL THEN PERFORM set_config('lock_timeout', $2, true); END IF;
            WITH inserted AS ({}) SELECT ARRAY(SELECT i.request_id FROM inserted i) INTO written;
            IF cardinality(written) = 0 THEN {}; RETURN; END IF;
            {}
            {};
            {}
            RETURN QUERY SELECT unnest(written);
        END",
        insert_text(dialect),
        end_reservations_text(dialect),
        in_turn(&before),
        tags_step(),
        in_turn(&after)
    );
    let release = format!("BEGIN {}; {DELETE_RESERVATION}; RETURN FOUND; END", release_rates_text());
    let v2 = format!("{SETTLE_TAKES}, error text");
    let v3 = format!("{v2}, meters text, price_id text, is_priced bigint");
    let v4 = format!("{v3}, tags text, booked text");
    let element: Vec<String> =
        names(&v4).zip(1..).map(|(name, place)| format!("'{name}', ${place}")).collect();
    let one = format!(
        "BEGIN
            {FIND_HOUR};
            PERFORM * FROM keydesk_settle_batch_v1(jsonb_build_array(jsonb_build_object({})), NULL);
            RETURN FOUND;
        END",
        element.join(", ")
    );
    // A batch finds a few rows of large tables, each by its key. Plans are kept, also from when the tables were empty, so they
    // join in the order in which the statements name the tables, and read indexes.
    let batch_gives = format!(
        "SETOF text LANGUAGE plpgsql {head} SET join_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off
            SET enable_mergejoin = off"
    );
    vec![
        ("keydesk_settle_batch_v1", "settled jsonb, patience text".into(), batch_gives, batch),
        ("keydesk_settle_v4", v4, gives(), one),
        ("keydesk_settle_v3", v3, gives(), SETTLE_WITHOUT_TAGS.into()),
        ("keydesk_settle_v2", v2, gives(), SETTLE_WITHOUT_METERS.into()),
        ("keydesk_settle_v1", SETTLE_TAKES.into(), gives(), SETTLE_WITHOUT_ERROR.into()),
        ("keydesk_release_v1", "request_id text".into(), gives(), release),
    ]
}

/// A finished request as the statements read it.
#[derive(Serialize)]
struct Row<'a> {
    request_id: &'a str,
    org_id: &'a str,
    key_id: &'a str,
    secret_id: &'a str,
    team_id: Option<&'a str>,
    model_id: &'a str,
    route: &'a str,
    status: i64,
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    cost: i64,
    started_at: i64,
    latency_ms: i64,
    first_byte_ms: Option<i64>,
    address: &'a str,
    user_agent: &'a str,
    estimated: i64,
    month_start: i64,
    week_start: i64,
    day_start: i64,
    error: &'a str,
    meters: String,
    price_id: Option<&'a str>,
    is_priced: i64,
    tags: String,
    booked: String,
    attempts: Vec<Value>,
}

/// A finished request as JSON. `zone` is the organisation's; the windows are those of the request's start. The attempts are
/// written where its model has several providers.
pub(super) fn row(usage: &Usage, attempts: &[Attempt], zone: &Zone) -> String {
    let starts = WindowStarts::at(usage.started_at, zone);
    let bill = &usage.bill;
    let row = Row {
        request_id: usage.request.as_str(),
        org_id: usage.org.as_str(),
        key_id: usage.key.as_str(),
        secret_id: usage.secret.as_str(),
        team_id: usage.team.as_ref().map(TeamId::as_str),
        model_id: &usage.model,
        route: &usage.route,
        status: usage.status,
        input_tokens: bill.metered.counts.input(),
        output_tokens: bill.metered.counts.output(),
        cached_tokens: bill.metered.counts.cached(),
        cost: bill.cost.nanos(),
        started_at: usage.started_at.ms(),
        latency_ms: usage.latency_ms,
        first_byte_ms: usage.first_byte_ms,
        address: &usage.address,
        user_agent: &usage.user_agent,
        estimated: i64::from(bill.is_estimated),
        month_start: starts.month.ms(),
        week_start: starts.week.ms(),
        day_start: starts.day.ms(),
        error: &usage.error,
        meters: bill.metered.json(),
        price_id: bill.price.as_ref().map(PriceId::as_str),
        is_priced: i64::from(bill.is_priced),
        tags: usage.tags.join("\n"),
        booked: usage.started_at.booked_hour(zone),
        attempts: attempts::rows(attempts),
    };
    serde_json::to_string(&row).unwrap_or_default()
}

/// Writes finished requests and all that is added up from them, and ends their reservations. `rows` is a JSON list of
/// different requests. Answers the ids of those that were not settled before; of the others nothing changes. On Postgres it
/// waits no longer than `patience` for a lock. `node` is what a node adds whose requests are among them.
///
/// # Errors
/// When the database cannot be written.
pub(super) async fn write(
    via: &mut impl Via,
    rows: &str,
    patience: Option<&str>,
    node: Option<&NodeBatch>,
) -> Result<Vec<String>, StoreError> {
    if Dialect::of(via) == Dialect::Postgres {
        return run!(via, fetch_all, sqlx::query_scalar::<_, String>(CALL_SETTLE).bind(rows).bind(patience));
    }
    let (insert, then) = &*SQLITE;
    let written: Vec<String> =
        run!(via, fetch_all, sqlx::query_scalar::<_, String>(insert.as_str()).bind(rows))?;
    let ids = serde_json::to_string(&written).unwrap_or_default();
    for text in then {
        changed!(via, sqlx::query(text.as_str()).bind(rows).bind(&ids))?;
    }
    if let Some(batch) = node {
        quotas::sqlite::settle(via, batch, &written).await?;
    }
    Ok(written)
}

/// Settles requests of one organisation as a part of a larger transaction.
///
/// # Errors
/// When the database cannot be written.
pub async fn record(via: &mut impl Via, requests: &[Usage], zone: &Zone) -> Result<(), StoreError> {
    const TOGETHER: usize = 256;
    for some in requests.chunks(TOGETHER) {
        let rows: Vec<String> = some.iter().map(|usage| row(usage, &[], zone)).collect();
        write(via, &format!("[{}]", rows.join(",")), None, None).await?;
    }
    Ok(())
}

/// Ends the reservation of a request that was never forwarded; `false` when there is none any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn release(db: &Db, request: &RequestId) -> Result<bool, StoreError> {
    match db {
        Db::Postgres(..) => {
            let mut call = db.read().await?;
            let was_there = run!(
                &mut call,
                fetch_one,
                sqlx::query_scalar::<_, bool>(CALL_RELEASE).bind(request.as_str())
            )?;
            call.done().await?;
            Ok(was_there)
        }
        Db::Sqlite { .. } => {
            let mut tx = db.write().await?;
            let was_there = release_in(&mut tx, request.as_str()).await?;
            tx.save_unaudited(Unaudited::Usage).await?;
            Ok(was_there)
        }
    }
}

/// The same on SQLite, inside a transaction.
pub(super) async fn release_in(tx: &mut Tx, request: &str) -> Result<bool, StoreError> {
    let mut deleted = 0;
    for step in [release_rates_text(), DELETE_RESERVATION.to_owned()] {
        deleted = changed!(&mut *tx, sqlx::query(AssertSqlSafe(step.clone())).bind(request))?;
    }
    Ok(deleted == 1)
}
