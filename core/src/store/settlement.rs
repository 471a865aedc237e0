//! How a reservation ends: a finished request is settled, and one that was never forwarded is released. Like the steps in
//! `meter`, each is one function on Postgres and one transaction on SQLite. A settlement writes the request's row and
//! everything that is added up from rows: the day, the tags, the roll-ups, the counters, and the marks of budgets.

use sqlx::AssertSqlSafe;

use super::Unaudited;
use super::dialect::Dialect;
use super::spend::Usage;
use super::{Db, StoreError, Via, attempts, budget_marks, changed, rollups, run};
use crate::domain::failover::Attempt;
use crate::domain::ids::{PriceId, RequestId, TeamId};
use crate::domain::moment::{Day, Zone};
use crate::domain::tags::OTHER_TAGS;
use crate::domain::window::WindowStarts;

/// So many tags of a key count under their own names; the tables say so too.
pub const MAX_TAGS: i64 = 100;

/// Parameters of `keydesk_settle_v1`. Later versions take what is added after them.
const SETTLE_TAKES: &str = "request_id text, org_id text, key_id text, secret_id text, team_id text, model_id text, route text,
    status bigint, input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost bigint, started_at bigint,
    latency_ms bigint, first_byte_ms bigint, address text, user_agent text, estimated bigint,
    month_start bigint, week_start bigint, day_start bigint, day text";

const INSERT_USAGE: &str = "INSERT INTO usage (request_id, org_id, key_id, secret_id, team_id, owner_id, model_id, route, status,
            input_tokens, output_tokens, cached_tokens, cost, started_at, latency_ms, first_byte_ms, address, user_agent, estimated, error,
            meters, price_id, is_priced, tags, booked, provider)
        VALUES ($1, $2, $3, $4, $5, (SELECT k.owner_id FROM keys k WHERE k.id = $3), $6, $7, $8, $9, $10, $11, $12, $13, $14,
            $15, $16, $17, $18, $23, $24, $25, $26, $27, $28, COALESCE((SELECT m.provider FROM models m WHERE m.id = $6), ''))
        ON CONFLICT (request_id) DO NOTHING";
/// The owner and the provider are the usage row's, so both agree also when the key changes hands at this moment.
const ADD_TO_DAY: &str = "INSERT INTO spend_daily (key_id, day, model_id, provider, team_id, owner_id, org_id, requests, input_tokens,
            output_tokens, cached_tokens, cost)
        SELECT u.key_id, substr(u.booked, 1, 10), u.model_id, u.provider, COALESCE(u.team_id, ''), u.owner_id, u.org_id, 1,
            u.input_tokens, u.output_tokens, u.cached_tokens, u.cost
        FROM usage u WHERE u.request_id = $1
        ON CONFLICT (key_id, day, model_id, provider, team_id, owner_id) DO UPDATE SET requests = spend_daily.requests + 1,
            input_tokens = spend_daily.input_tokens + excluded.input_tokens,
            output_tokens = spend_daily.output_tokens + excluded.output_tokens,
            cached_tokens = spend_daily.cached_tokens + excluded.cached_tokens,
            cost = spend_daily.cost + excluded.cost";
/// Replaces the tokens that a reservation counted, in the second in which it was made. The key's row comes before the
/// team's, as in `COUNT_RATE`.
macro_rules! correct_rates {
    ($correction:literal) => {
        concat!(
            "INSERT INTO rate_counts (holder_kind, holder_id, second, requests, tokens)
            SELECT c.holder_kind, c.holder_id, c.second, 0, ",
            $correction,
            " FROM reservations r
            CROSS JOIN (SELECT 'key' AS kind UNION ALL SELECT 'team') h
            JOIN rate_counts c ON c.holder_kind = h.kind AND c.second = r.reserved_at / 1000
                AND c.holder_id = CASE h.kind WHEN 'key' THEN r.key_id ELSE r.team_id END
            WHERE r.request_id = $1 ORDER BY c.holder_kind
            ON CONFLICT (holder_kind, holder_id, second) DO UPDATE SET tokens = rate_counts.tokens + excluded.tokens"
        )
    };
}
const SETTLE_RATES: &str = correct_rates!("CAST($9 AS BIGINT) + CAST($10 AS BIGINT) - r.tokens");
const RELEASE_RATES: &str = correct_rates!("-r.tokens");
const DELETE_RESERVATION: &str = "DELETE FROM reservations WHERE request_id = $1";
/// Key, team, organisation: the same order everywhere, and as the last step, because all requests of an organisation
/// share its rows.
const ADD_TO_COUNTERS: &str = "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
        SELECT h.kind, h.id, w.period, w.start, CAST($2 AS TEXT), CAST($12 AS BIGINT), 1, CAST($9 AS BIGINT) + CAST($10 AS BIGINT)
        FROM (SELECT 1 AS position, 'key' AS kind, CAST($3 AS TEXT) AS id UNION ALL SELECT 2, 'team', CAST($5 AS TEXT)
            UNION ALL SELECT 3, 'org', CAST($2 AS TEXT)) h
        CROSS JOIN (SELECT 1 AS position, 'total' AS period, CAST(0 AS BIGINT) AS start UNION ALL SELECT 2, 'month', CAST($19 AS BIGINT)
            UNION ALL SELECT 3, 'week', CAST($20 AS BIGINT) UNION ALL SELECT 4, 'day', CAST($21 AS BIGINT)) w
        WHERE h.id IS NOT NULL ORDER BY h.position, w.position
        ON CONFLICT (holder_kind, holder_id, period, window_start) DO UPDATE SET spent = counters.spent + excluded.spent,
            requests = counters.requests + 1, tokens = counters.tokens + excluded.tokens";

/// Selects a row when the request was not settled before.
const CALL_SETTLE: &str =
    "SELECT 1 WHERE keydesk_settle_v4($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)";
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

/// The end of the secret before it can depend on it.
const NOTE_FIRST_USE: &str =
    "UPDATE key_secrets SET first_used_at = $13 WHERE id = $4 AND first_used_at IS NULL";

/// The steps of a settlement after `INSERT_USAGE` and those for tags. When that changes nothing, the request is settled
/// already.
const SETTLE_STEPS: [&str; 6] = [
    NOTE_FIRST_USE,
    SETTLE_RATES,
    DELETE_RESERVATION,
    rollups::ADD_REQUEST,
    ADD_TO_COUNTERS,
    budget_marks::MARK,
];
const RELEASE_STEPS: [&str; 2] = [RELEASE_RATES, DELETE_RESERVATION];

/// A tag that is new to the key gets one of its hundred names, while there are some.
fn name_tags_text(dialect: Dialect) -> String {
    format!(
        "INSERT INTO key_tags (key_id, tag, org_id, number)
        SELECT CAST($3 AS TEXT), n.tag, CAST($2 AS TEXT), n.number FROM (
            SELECT l.line AS tag, ROW_NUMBER() OVER (ORDER BY l.line)
                + (SELECT COUNT(*) FROM key_tags k WHERE k.key_id = CAST($3 AS TEXT)) AS number
            FROM {} l WHERE NOT EXISTS (SELECT 1 FROM key_tags k WHERE k.key_id = CAST($3 AS TEXT) AND k.tag = l.line)
        ) n WHERE n.number <= {MAX_TAGS}
        ON CONFLICT DO NOTHING",
        dialect.lines_of("CAST($27 AS TEXT)")
    )
}

fn add_to_tags_text(dialect: Dialect) -> String {
    format!(
        "INSERT INTO tag_daily (key_id, day, tag, model_id, team_id, owner_id, org_id, requests, input_tokens, output_tokens,
            cached_tokens, cost)
        SELECT u.key_id, substr(u.booked, 1, 10), t.tag, u.model_id, COALESCE(u.team_id, ''), u.owner_id, u.org_id, 1,
            u.input_tokens, u.output_tokens, u.cached_tokens, u.cost
        FROM usage u CROSS JOIN (
            SELECT DISTINCT COALESCE(k.tag, '{OTHER_TAGS}') AS tag FROM {} l
            LEFT JOIN key_tags k ON k.key_id = CAST($3 AS TEXT) AND k.tag = l.line
        ) t WHERE u.request_id = $1 ORDER BY t.tag
        ON CONFLICT (key_id, day, tag, model_id, team_id, owner_id) DO UPDATE SET requests = tag_daily.requests + 1,
            input_tokens = tag_daily.input_tokens + excluded.input_tokens,
            output_tokens = tag_daily.output_tokens + excluded.output_tokens,
            cached_tokens = tag_daily.cached_tokens + excluded.cached_tokens,
            cost = tag_daily.cost + excluded.cost",
        dialect.lines_of("CAST($27 AS TEXT)")
    )
}

/// On Postgres: only for requests with tags, and one at a time while a key may still get names.
fn tags_step() -> String {
    let (name, add) = (name_tags_text(Dialect::Postgres), add_to_tags_text(Dialect::Postgres));
    format!(
        "IF $27 <> '' THEN
            IF (SELECT COUNT(*) FROM key_tags k WHERE k.key_id = $3) < {MAX_TAGS} AND EXISTS (
                SELECT 1 FROM {} l WHERE NOT EXISTS (SELECT 1 FROM key_tags k WHERE k.key_id = $3 AND k.tag = l.line)
            ) THEN
                PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($3, CAST(8 AS bigint)));
                {name};
            END IF;
            {add};
        END IF",
        Dialect::Postgres.lines_of("$27")
    )
}

/// The statements of each database, for the test that prepares them.
pub(super) fn texts(dialect: Dialect) -> Vec<String> {
    let fixed = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    match dialect {
        Dialect::Sqlite => [
            fixed(&[INSERT_USAGE, ADD_TO_DAY]),
            vec![name_tags_text(dialect), add_to_tags_text(dialect)],
            fixed(&SETTLE_STEPS),
            fixed(&RELEASE_STEPS),
        ]
        .concat(),
        Dialect::Postgres => fixed(&[CALL_SETTLE, CALL_RELEASE]),
    }
}

/// The functions that gateways call on Postgres: name, parameters, what it answers, and its body.
pub(super) fn functions(head: &str) -> Vec<(&'static str, String, String, String)> {
    let later = |steps: &[&str]| steps.iter().map(|step| format!("{step};\n")).collect::<String>();
    let gives = || format!("boolean LANGUAGE plpgsql {head}");
    let settle = format!(
        "BEGIN
            {FIND_HOUR};
            {INSERT_USAGE};
            IF NOT FOUND THEN {DELETE_RESERVATION}; RETURN false; END IF;
            {ADD_TO_DAY};
            {};
            {}
            RETURN true;
        END",
        tags_step(),
        later(&SETTLE_STEPS)
    );
    let release = format!("BEGIN {} RETURN FOUND; END", later(&RELEASE_STEPS));
    let v2 = format!("{SETTLE_TAKES}, error text");
    let v3 = format!("{v2}, meters text, price_id text, is_priced bigint");
    let v4 = format!("{v3}, tags text, booked text");
    vec![
        ("keydesk_settle_v4", v4, gives(), settle),
        ("keydesk_settle_v3", v3, gives(), SETTLE_WITHOUT_TAGS.into()),
        ("keydesk_settle_v2", v2, gives(), SETTLE_WITHOUT_METERS.into()),
        ("keydesk_settle_v1", SETTLE_TAKES.into(), gives(), SETTLE_WITHOUT_ERROR.into()),
        ("keydesk_release_v1", "request_id text".into(), gives(), release),
    ]
}

/// Runs one statement with the parameters of `keydesk_settle_v4`; answers how many rows it changed or selected.
async fn run_settle(via: &mut impl Via, text: &str, usage: &Usage, zone: &Zone) -> Result<u64, StoreError> {
    let starts = WindowStarts::at(usage.started_at, zone);
    let meters = &usage.bill.metered.json();
    changed!(
        via,
        sqlx::query(AssertSqlSafe(text.to_owned()))
            .bind(usage.request.as_str())
            .bind(usage.org.as_str())
            .bind(usage.key.as_str())
            .bind(usage.secret.as_str())
            .bind(usage.team.as_ref().map(TeamId::as_str))
            .bind(&usage.model)
            .bind(&usage.route)
            .bind(usage.status)
            .bind(usage.bill.metered.counts.input())
            .bind(usage.bill.metered.counts.output())
            .bind(usage.bill.metered.counts.cached())
            .bind(usage.bill.cost.nanos())
            .bind(usage.started_at.ms())
            .bind(usage.latency_ms)
            .bind(usage.first_byte_ms)
            .bind(&usage.address)
            .bind(&usage.user_agent)
            .bind(i64::from(usage.bill.is_estimated))
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(Day::of(usage.started_at, zone).to_string())
            .bind(&usage.error)
            .bind(meters)
            .bind(usage.bill.price.as_ref().map(PriceId::as_str))
            .bind(i64::from(usage.bill.is_priced))
            .bind(usage.tags.join("\n"))
            .bind(usage.started_at.booked_hour(zone))
    )
}

/// Writes a finished request and all that is added up from it, and ends its reservation: once. The same request id again changes
/// nothing and answers `false`. `attempts` are written with it, where its model has several providers. `zone` is the organisation's; the windows are those of the request's start.
///
/// # Errors
/// When the database cannot be written.
pub async fn settle(db: &Db, usage: Usage, attempts: Vec<Attempt>, zone: Zone) -> Result<bool, StoreError> {
    match db {
        Db::Postgres(_) if !attempts.is_empty() => {
            let mut tx = db.write().await?;
            let is_new = record(&mut tx, &usage, &zone).await?;
            attempts::insert(&mut tx, &usage.org, &usage.request, &attempts).await?;
            tx.save_unaudited(Unaudited::Usage).await?;
            Ok(is_new)
        }
        Db::Postgres(_) => {
            let mut call = db.read().await?;
            let is_new = record(&mut call, &usage, &zone).await?;
            call.done().await?;
            Ok(is_new)
        }
        Db::Sqlite { together, .. } => {
            together
                .run(db, move |tx| {
                    Box::pin(async move {
                        let is_new = record(tx, &usage, &zone).await?;
                        attempts::insert(tx, &usage.org, &usage.request, &attempts).await?;
                        Ok(is_new)
                    })
                })
                .await
        }
    }
}

/// `settle` as a part of a larger transaction.
///
/// # Errors
/// When the database cannot be written.
pub async fn record(via: &mut impl Via, usage: &Usage, zone: &Zone) -> Result<bool, StoreError> {
    if Dialect::of(via) == Dialect::Postgres {
        return Ok(run_settle(via, CALL_SETTLE, usage, zone).await? == 1);
    }
    if run_settle(via, INSERT_USAGE, usage, zone).await? == 0 {
        changed!(via, sqlx::query(DELETE_RESERVATION).bind(usage.request.as_str()))?;
        return Ok(false);
    }
    run_settle(via, ADD_TO_DAY, usage, zone).await?;
    if !usage.tags.is_empty() {
        for step in [name_tags_text(Dialect::Sqlite), add_to_tags_text(Dialect::Sqlite)] {
            run_settle(via, &step, usage, zone).await?;
        }
    }
    for step in SETTLE_STEPS {
        run_settle(via, step, usage, zone).await?;
    }
    Ok(true)
}

/// Ends the reservation of a request that was never forwarded; `false` when there is none any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn release(db: &Db, request: &RequestId) -> Result<bool, StoreError> {
    match db {
        Db::Postgres(_) => {
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
            let mut deleted = 0;
            for step in RELEASE_STEPS {
                deleted = changed!(&mut tx, sqlx::query(step).bind(request.as_str()))?;
            }
            tx.save_unaudited(Unaudited::Usage).await?;
            Ok(deleted == 1)
        }
    }
}
