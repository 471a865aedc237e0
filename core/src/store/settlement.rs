//! How a reservation ends: a finished request is settled, and one that was never forwarded is released. Like the steps in
//! `meter`, each is one function on Postgres and one transaction on SQLite.

use super::Unaudited;
use super::dialect::Dialect;
use super::spend::Usage;
use super::{Db, StoreError, Via, changed, run};
use crate::domain::ids::{PriceId, RequestId, TeamId};
use crate::domain::moment::{Day, Zone};
use crate::domain::window::WindowStarts;

/// Parameters of `keydesk_settle_v1`. Later versions take what is added after them.
const SETTLE_TAKES: &str = "request_id text, org_id text, key_id text, secret_id text, team_id text, model_id text, route text,
    status bigint, input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost bigint, started_at bigint,
    latency_ms bigint, first_byte_ms bigint, address text, user_agent text, estimated bigint,
    month_start bigint, week_start bigint, day_start bigint, day text";

const INSERT_USAGE: &str = "INSERT INTO usage (request_id, org_id, key_id, secret_id, team_id, owner_id, model_id, route, status,
            input_tokens, output_tokens, cached_tokens, cost, started_at, latency_ms, first_byte_ms, address, user_agent, estimated, error,
            meters, price_id, is_priced)
        VALUES ($1, $2, $3, $4, $5, (SELECT k.owner_id FROM keys k WHERE k.id = $3), $6, $7, $8, $9, $10, $11, $12, $13, $14,
            $15, $16, $17, $18, $23, $24, $25, $26)
        ON CONFLICT (request_id) DO NOTHING";
/// The owner is the usage row's, so both agree also when the key changes hands at this moment.
const ADD_TO_DAY: &str = "INSERT INTO spend_daily (key_id, day, model_id, team_id, owner_id, org_id, requests, input_tokens, output_tokens,
            cached_tokens, cost)
        VALUES ($3, $22, $6, COALESCE($5, ''), (SELECT u.owner_id FROM usage u WHERE u.request_id = $1), $2, 1, $9, $10, $11, $12)
        ON CONFLICT (key_id, day, model_id, team_id, owner_id) DO UPDATE SET requests = spend_daily.requests + 1,
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
    "SELECT 1 WHERE keydesk_settle_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)";
/// The body of `keydesk_settle_v2`, which other gateways call: their prices are their own, and so are their meters.
const SETTLE_WITHOUT_METERS: &str =
    "BEGIN RETURN keydesk_settle_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, $23, '', NULL, 1); END";
/// The body of `keydesk_settle_v1`.
const SETTLE_WITHOUT_ERROR: &str =
    "BEGIN RETURN keydesk_settle_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, ''); END";
const CALL_RELEASE: &str = "SELECT keydesk_release_v1($1)";

/// The end of the secret before it can depend on it.
const NOTE_FIRST_USE: &str =
    "UPDATE key_secrets SET first_used_at = $13 WHERE id = $4 AND first_used_at IS NULL";

/// The steps of a settlement after `INSERT_USAGE`. When that changes nothing, the request is settled already.
const SETTLE_STEPS: [&str; 5] =
    [ADD_TO_DAY, NOTE_FIRST_USE, SETTLE_RATES, DELETE_RESERVATION, ADD_TO_COUNTERS];
const RELEASE_STEPS: [&str; 2] = [RELEASE_RATES, DELETE_RESERVATION];

/// The statements of each database, for the test that prepares them.
pub(super) fn texts(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Sqlite => &[
            INSERT_USAGE,
            ADD_TO_DAY,
            NOTE_FIRST_USE,
            SETTLE_RATES,
            RELEASE_RATES,
            DELETE_RESERVATION,
            ADD_TO_COUNTERS,
        ],
        Dialect::Postgres => &[CALL_SETTLE, CALL_RELEASE],
    }
}

/// The functions that gateways call on Postgres: name, parameters, what it answers, and its body.
pub(super) fn functions(head: &str) -> Vec<(&'static str, String, String, String)> {
    let later = |steps: &[&str]| steps.iter().map(|step| format!("{step};\n")).collect::<String>();
    let gives = || format!("boolean LANGUAGE plpgsql {head}");
    let settle = format!(
        "BEGIN
            {INSERT_USAGE};
            IF NOT FOUND THEN {DELETE_RESERVATION}; RETURN false; END IF;
            {}
            RETURN true;
        END",
        later(&SETTLE_STEPS)
    );
    let release = format!("BEGIN {} RETURN FOUND; END", later(&RELEASE_STEPS));
    let v2 = format!("{SETTLE_TAKES}, error text");
    let v3 = format!("{v2}, meters text, price_id text, is_priced bigint");
    vec![
        ("keydesk_settle_v3", v3, gives(), settle),
        ("keydesk_settle_v2", v2, gives(), SETTLE_WITHOUT_METERS.into()),
        ("keydesk_settle_v1", SETTLE_TAKES.into(), gives(), SETTLE_WITHOUT_ERROR.into()),
        ("keydesk_release_v1", "request_id text".into(), gives(), release),
    ]
}

/// Runs one statement with the parameters of `keydesk_settle_v3`; answers how many rows it changed or selected.
async fn run_settle(
    via: &mut impl Via,
    text: &'static str,
    usage: &Usage,
    zone: &Zone,
) -> Result<u64, StoreError> {
    let starts = WindowStarts::at(usage.started_at, zone);
    let meters = &usage.bill.metered.json();
    changed!(
        via,
        sqlx::query(text)
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
    )
}

/// Writes a finished request, its counters and its day, and ends its reservation: once. The same request id again changes
/// nothing and answers `false`. `zone` is the organisation's; the windows are those of the request's start.
///
/// # Errors
/// When the database cannot be written.
pub async fn settle(db: &Db, usage: Usage, zone: Zone) -> Result<bool, StoreError> {
    match db {
        Db::Postgres(_) => {
            let mut call = db.read().await?;
            let is_new = record(&mut call, &usage, &zone).await?;
            call.done().await?;
            Ok(is_new)
        }
        Db::Sqlite { together, .. } => {
            together.run(db, move |tx| Box::pin(async move { record(tx, &usage, &zone).await })).await
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
