//! What gateways write: what a request holds while it is under way, and what it used when it is done.
//!
//! Each of these is one step that happens whole or not at all: on Postgres one call of a function, so that locks are held
//! for no round trip and gateways in other languages share it; on SQLite one transaction that has the write lock from its
//! start. Both run the same statements, which is why all statements of one step count their parameters alike.

use super::Unaudited;
use sqlx::{AssertSqlSafe, PgConnection};

use super::dialect::Dialect;
use super::spend::Usage;
use super::{Conn, Db, Reader, StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{KeyId, OrgId, RequestId, SecretId, TeamId};
use crate::domain::limit_use::{HolderKind, Limited};
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::window::WindowStarts;

/// Parameters of `keydesk_limits_v1` and of the statements in it.
const LIMITS_TAKES: &str =
    "org_id text, key_id text, team_id text, amount bigint, tokens bigint, at_ms bigint,
    month_start bigint, week_start bigint, day_start bigint";
/// Those of `keydesk_reserve_v1`: the same and four more.
const RESERVE_TAKES: &str = "org_id text, key_id text, team_id text, amount bigint, tokens bigint, at_ms bigint,
    month_start bigint, week_start bigint, day_start bigint, request_id text, secret_id text, model_id text, expires_at bigint";
const LIMITS_GIVES: &str =
    "holder_kind text, what text, \"limit\" bigint, used bigint, reserved bigint, remaining bigint,
    requested bigint, frees_at bigint, fits boolean";
const SETTLE_TAKES: &str = "request_id text, org_id text, key_id text, secret_id text, team_id text, model_id text, route text,
    status bigint, input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost bigint, started_at bigint,
    latency_ms bigint, first_byte_ms bigint, address text, user_agent text, estimated bigint,
    month_start bigint, week_start bigint, day_start bigint, day text";

/// Every limit that applies to a request, in the order of the gates. Sixty whole seconds and the one that runs are
/// counted, so that no sixty seconds ever hold more than the limit.
const LIMITS: &str = "WITH held AS (
            SELECT r.key_id, r.team_id, r.amount, r.reserved_at FROM reservations r
            WHERE r.org_id = CAST($1 AS TEXT) AND r.expires_at > CAST($6 AS BIGINT)
        ), holders (place, kind, id) AS (
            SELECT 1, 'key', CAST($2 AS TEXT) UNION ALL SELECT 2, 'team', CAST($3 AS TEXT) UNION ALL SELECT 3, 'org', CAST($1 AS TEXT)
        ), windows (period, start) AS (
            SELECT 'total', CAST(0 AS BIGINT) UNION ALL SELECT 'month', CAST($7 AS BIGINT)
            UNION ALL SELECT 'week', CAST($8 AS BIGINT) UNION ALL SELECT 'day', CAST($9 AS BIGINT)
        ), paced (place, kind, rpm, tpm, concurrent) AS (
            SELECT 1, 'key', k.rpm, k.tpm, k.concurrent FROM keys k WHERE k.id = $2
            UNION ALL SELECT 2, 'team', t.rpm, t.tpm, t.concurrent FROM teams t WHERE t.id = $3
        ), lately (kind, requests, tokens, first) AS (
            SELECT c.holder_kind, SUM(c.requests), SUM(c.tokens), MIN(c.second) FROM holders h
            JOIN rate_counts c ON c.holder_kind = h.kind AND c.holder_id = h.id AND c.second >= $6 / 1000 - 60
            GROUP BY c.holder_kind
        ), met (place, holder_kind, what, max, used, reserved, requested, frees_at) AS (
            SELECT h.place, h.kind, b.period, b.amount, COALESCE(c.spent, 0),
                (SELECT COALESCE(SUM(r.amount), 0) FROM held r WHERE r.reserved_at >= w.start
                    AND CASE h.kind WHEN 'key' THEN r.key_id WHEN 'team' THEN r.team_id ELSE $1 END = h.id),
                CAST($4 AS BIGINT), CAST(NULL AS BIGINT)
            FROM holders h
            JOIN budgets b ON b.holder_kind = h.kind AND b.holder_id = h.id
            JOIN windows w ON w.period = b.period
            LEFT JOIN counters c ON c.holder_kind = h.kind AND c.holder_id = h.id AND c.period = w.period AND c.window_start = w.start
            UNION ALL
            SELECT 4, 'org', 'balance', (SELECT COALESCE(SUM(l.amount), 0) FROM ledger l WHERE l.org_id = o.id),
                COALESCE((SELECT c.spent FROM counters c WHERE c.holder_kind = 'org' AND c.holder_id = o.id
                    AND c.period = 'total' AND c.window_start = 0), 0),
                (SELECT COALESCE(SUM(r.amount), 0) FROM held r), $4, NULL
            FROM orgs o WHERE o.id = $1 AND o.balance_enforced_at IS NOT NULL
            UNION ALL
            SELECT 4 + p.place, p.kind, 'requests', p.rpm, COALESCE(l.requests, 0), 0, 1, (l.first + 61) * 1000
            FROM paced p LEFT JOIN lately l ON l.kind = p.kind WHERE p.rpm IS NOT NULL
            UNION ALL
            SELECT 6 + p.place, p.kind, 'tokens', p.tpm, COALESCE(l.tokens, 0), 0, CAST($5 AS BIGINT), (l.first + 61) * 1000
            FROM paced p LEFT JOIN lately l ON l.kind = p.kind WHERE p.tpm IS NOT NULL
            UNION ALL
            SELECT 8 + p.place, p.kind, 'concurrent', p.concurrent,
                (SELECT COUNT(*) FROM held r WHERE CASE p.kind WHEN 'key' THEN r.key_id = $2 ELSE r.team_id = $3 END), 0, 1, NULL
            FROM paced p WHERE p.concurrent IS NOT NULL
        ), numbers (place, holder_kind, what, max, used, reserved, requested, frees_at) AS (
            SELECT m.place, m.holder_kind, m.what, CAST(m.max AS BIGINT), CAST(m.used AS BIGINT), CAST(m.reserved AS BIGINT),
                m.requested, m.frees_at
            FROM met m
        )
        SELECT n.holder_kind, n.what, n.max AS \"limit\", n.used, n.reserved,
            CASE WHEN n.max > n.used + n.reserved THEN n.max - n.used - n.reserved ELSE 0 END AS remaining, n.requested, n.frees_at,
            n.requested <= n.max - n.used - n.reserved
                AND (n.what IN ('requests', 'tokens', 'concurrent') OR n.used < n.max) AS fits
        FROM numbers n ORDER BY n.place, n.what";
const HOLD: &str = "INSERT INTO reservations (request_id, org_id, key_id, team_id, secret_id, model_id, amount, tokens, reserved_at, expires_at)
        VALUES ($10, $1, $2, $3, $11, $12, $4, $5, $6, $13)";
/// Only where there is such a limit; the key's row before the team's, so that no two requests wait for each other.
const COUNT_RATE: &str = "INSERT INTO rate_counts (holder_kind, holder_id, second, requests, tokens)
        SELECT p.kind, p.id, CAST($6 AS BIGINT) / 1000, 1, CAST($5 AS BIGINT) FROM (
            SELECT 1 AS place, 'key' AS kind, k.id, k.rpm, k.tpm FROM keys k WHERE k.id = $2
            UNION ALL SELECT 2, 'team', t.id, t.rpm, t.tpm FROM teams t WHERE t.id = $3
        ) p WHERE p.rpm IS NOT NULL OR p.tpm IS NOT NULL ORDER BY p.place
        ON CONFLICT (holder_kind, holder_id, second) DO UPDATE SET
            requests = rate_counts.requests + 1, tokens = rate_counts.tokens + excluded.tokens";

const INSERT_USAGE: &str = "INSERT INTO usage (request_id, org_id, key_id, secret_id, team_id, owner_id, model_id, route, status,
            input_tokens, output_tokens, cached_tokens, cost, started_at, latency_ms, first_byte_ms, address, user_agent, estimated)
        VALUES ($1, $2, $3, $4, $5, (SELECT k.owner_id FROM keys k WHERE k.id = $3), $6, $7, $8, $9, $10, $11, $12, $13, $14,
            $15, $16, $17, $18)
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
/// What was counted as the most it may use becomes what it used, in the second in which it began.
const TRUE_KEY_RATE: &str = "UPDATE rate_counts SET tokens = rate_counts.tokens - r.tokens + CAST($9 AS BIGINT) + CAST($10 AS BIGINT)
        FROM reservations r WHERE r.request_id = $1 AND rate_counts.holder_kind = 'key' AND rate_counts.holder_id = r.key_id
            AND rate_counts.second = r.reserved_at / 1000";
const TRUE_TEAM_RATE: &str = "UPDATE rate_counts SET tokens = rate_counts.tokens - r.tokens + CAST($9 AS BIGINT) + CAST($10 AS BIGINT)
        FROM reservations r WHERE r.request_id = $1 AND rate_counts.holder_kind = 'team' AND rate_counts.holder_id = r.team_id
            AND rate_counts.second = r.reserved_at / 1000";
const LET_GO: &str = "DELETE FROM reservations WHERE request_id = $1";
/// Key, team, organisation: one order everywhere, and last, because everybody's requests meet in the last of them.
const ADD_TO_COUNTERS: &str = "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
        SELECT h.kind, h.id, w.period, w.start, CAST($2 AS TEXT), CAST($12 AS BIGINT), 1, CAST($9 AS BIGINT) + CAST($10 AS BIGINT)
        FROM (SELECT 1 AS place, 'key' AS kind, CAST($3 AS TEXT) AS id UNION ALL SELECT 2, 'team', CAST($5 AS TEXT)
            UNION ALL SELECT 3, 'org', CAST($2 AS TEXT)) h
        CROSS JOIN (SELECT 1 AS place, 'total' AS period, CAST(0 AS BIGINT) AS start UNION ALL SELECT 2, 'month', CAST($19 AS BIGINT)
            UNION ALL SELECT 3, 'week', CAST($20 AS BIGINT) UNION ALL SELECT 4, 'day', CAST($21 AS BIGINT)) w
        WHERE h.id IS NOT NULL ORDER BY h.place, w.place
        ON CONFLICT (holder_kind, holder_id, period, window_start) DO UPDATE SET spent = counters.spent + excluded.spent,
            requests = counters.requests + 1, tokens = counters.tokens + excluded.tokens";

const GIVE_BACK_KEY_RATE: &str = "UPDATE rate_counts SET tokens = rate_counts.tokens - r.tokens
        FROM reservations r WHERE r.request_id = $1 AND rate_counts.holder_kind = 'key' AND rate_counts.holder_id = r.key_id
            AND rate_counts.second = r.reserved_at / 1000";
const GIVE_BACK_TEAM_RATE: &str = "UPDATE rate_counts SET tokens = rate_counts.tokens - r.tokens
        FROM reservations r WHERE r.request_id = $1 AND rate_counts.holder_kind = 'team' AND rate_counts.holder_id = r.team_id
            AND rate_counts.second = r.reserved_at / 1000";

statements! {
    HELD = "SELECT org_id, key_id, team_id, secret_id, model_id, reserved_at FROM reservations WHERE request_id = $1";
    SWEEP_HELD = "DELETE FROM reservations WHERE expires_at < $1";
    SWEEP_RATES = "DELETE FROM rate_counts WHERE second < $1";
}

const CALL_LIMITS: &str = "SELECT * FROM keydesk_limits_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const CALL_RESERVE: &str =
    "SELECT * FROM keydesk_reserve_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const CALL_SETTLE: &str =
    "SELECT keydesk_settle_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22)";
const CALL_RELEASE: &str = "SELECT keydesk_release_v1($1)";
const CALL_RENEW: &str = "SELECT keydesk_renew_v1($1, $2)";

/// In which a settlement runs. `INSERT_USAGE` comes first and alone: when it changes nothing, the request was counted.
const SETTLE_STEPS: [&str; 5] = [ADD_TO_DAY, TRUE_KEY_RATE, TRUE_TEAM_RATE, LET_GO, ADD_TO_COUNTERS];
const RELEASE_STEPS: [&str; 3] = [GIVE_BACK_KEY_RATE, GIVE_BACK_TEAM_RATE, LET_GO];

fn renew_text(dialect: Dialect) -> String {
    format!(
        "UPDATE reservations SET expires_at = $2 WHERE expires_at < $2 AND request_id IN {}",
        dialect.json_list("$1")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let steps: &[&str] = match dialect {
        Dialect::Sqlite => &[LIMITS, HOLD, COUNT_RATE, INSERT_USAGE],
        Dialect::Postgres => &[CALL_LIMITS, CALL_RESERVE, CALL_SETTLE, CALL_RELEASE, CALL_RENEW],
    };
    let later = [&SETTLE_STEPS[..], &RELEASE_STEPS[..]].concat();
    let later = later.into_iter().filter(|_| dialect == Dialect::Sqlite);
    steps.iter().copied().chain(later).map(str::to_owned).chain([renew_text(dialect)]).collect()
}

/// Makes the functions that gateways on Postgres call, or replaces them by this program's. They run as their owner, so a
/// gateway needs no right on the tables behind them; what they see is pinned to this schema.
pub(super) async fn make_functions(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let schema: String =
        sqlx::query_scalar("SELECT quote_ident(current_schema())").fetch_one(&mut *conn).await?;
    // A plan made for each call would cost more than the call.
    let head = format!(
        "SECURITY DEFINER SET search_path = {schema}, pg_temp SET plan_cache_mode = force_generic_plan"
    );
    let later = |steps: &[&str]| steps.iter().map(|step| format!("{step};\n")).collect::<String>();
    let functions = [
        (
            "keydesk_limits_v1",
            LIMITS_TAKES,
            format!("TABLE ({LIMITS_GIVES}) LANGUAGE plpgsql STABLE {head}"),
            format!("BEGIN RETURN QUERY {LIMITS}; END"),
        ),
        (
            "keydesk_reserve_v1",
            RESERVE_TAKES,
            format!("TABLE ({LIMITS_GIVES}) LANGUAGE plpgsql {head} SET lock_timeout = '2s'"),
            // Requests of one organisation queue here, so that each sees what those before it hold. What is held need not
            // outlive the database's own crash, so nobody waits for the disk with the queue behind them.
            format!(
                "DECLARE stopped boolean := false;
                BEGIN
                    PERFORM set_config('synchronous_commit', 'off', true);
                    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, CAST(7 AS bigint)));
                    FOR holder_kind, what, \"limit\", used, reserved, remaining, requested, frees_at, fits IN {LIMITS} LOOP
                        stopped := stopped OR NOT fits;
                        RETURN NEXT;
                    END LOOP;
                    IF NOT stopped THEN
                        {HOLD};
                        {COUNT_RATE};
                    END IF;
                END"
            ),
        ),
        (
            "keydesk_settle_v1",
            SETTLE_TAKES,
            format!("boolean LANGUAGE plpgsql {head}"),
            format!(
                "BEGIN
                    {INSERT_USAGE};
                    IF NOT FOUND THEN {LET_GO}; RETURN false; END IF;
                    {}
                    RETURN true;
                END",
                later(&SETTLE_STEPS)
            ),
        ),
        (
            "keydesk_release_v1",
            "request_id text",
            format!("boolean LANGUAGE plpgsql {head}"),
            format!("BEGIN {} RETURN FOUND; END", later(&RELEASE_STEPS)),
        ),
        (
            "keydesk_renew_v1",
            "request_ids text, expires_at bigint",
            format!("bigint LANGUAGE plpgsql {head}"),
            format!(
                "DECLARE moved bigint; BEGIN {}; GET DIAGNOSTICS moved = ROW_COUNT; RETURN moved; END",
                renew_text(Dialect::Postgres)
            ),
        ),
        ("keydesk_midnight_v1", "zone text, day date", "bigint LANGUAGE sql STABLE".into(), MIDNIGHT.into()),
        (
            "keydesk_windows_v1",
            "zone text, at_ms bigint",
            "TABLE (month_start bigint, week_start bigint, day_start bigint, day text) LANGUAGE sql STABLE"
                .into(),
            WINDOWS.into(),
        ),
    ];
    for (name, takes, gives, body) in functions {
        let conflict = if gives.contains("plpgsql") { "#variable_conflict use_column\n" } else { "" };
        let make = format!(
            "CREATE OR REPLACE FUNCTION {name}({takes}) RETURNS {gives} AS $body$\n{conflict}{body}\n$body$"
        );
        sqlx::query(AssertSqlSafe(make)).execute(&mut *conn).await?;
        let types =
            takes.split(',').filter_map(|one| one.trim().rsplit(' ').next()).collect::<Vec<_>>().join(", ");
        // Everybody may call a new function unless that is taken away.
        let close = format!("REVOKE ALL ON FUNCTION {name}({types}) FROM PUBLIC");
        sqlx::query(AssertSqlSafe(close)).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The first moment of a day. Where clocks go back over midnight there are two; the earlier one begins the day.
const MIDNIGHT: &str = "SELECT CAST(EXTRACT(EPOCH FROM CASE
        WHEN ((day::timestamp AT TIME ZONE zone) - interval '1 hour') AT TIME ZONE zone = day::timestamp
        THEN (day::timestamp AT TIME ZONE zone) - interval '1 hour'
        ELSE day::timestamp AT TIME ZONE zone END) * 1000 AS bigint)";
const WINDOWS: &str = "SELECT keydesk_midnight_v1(zone, date_trunc('month', t.here)::date),
        keydesk_midnight_v1(zone, date_trunc('week', t.here)::date),
        keydesk_midnight_v1(zone, t.here::date), to_char(t.here, 'YYYY-MM-DD')
    FROM (SELECT to_timestamp(at_ms / 1000.0) AT TIME ZONE zone AS here) t";

/// What a request holds from its admission on.
#[derive(Clone, Debug)]
pub struct Hold {
    pub request: RequestId,
    pub org: OrgId,
    pub key: KeyId,
    pub secret: SecretId,
    pub team: Option<TeamId>,
    pub model: String,
    /// The most it may cost.
    pub amount: Money,
    /// The most tokens it may use.
    pub tokens: i64,
    pub at: Moment,
    pub expires_at: Moment,
}

/// One limit that a request met, as stored.
#[derive(Clone, Debug)]
pub struct Met {
    pub holder: HolderKind,
    pub what: Limited,
    pub max: i64,
    pub used: i64,
    pub reserved: i64,
    pub requested: i64,
    pub frees_at: Option<Moment>,
    pub fits: bool,
}

#[derive(sqlx::FromRow)]
struct MetRow {
    holder_kind: String,
    what: String,
    #[sqlx(rename = "limit")]
    max: i64,
    used: i64,
    reserved: i64,
    requested: i64,
    frees_at: Option<i64>,
    fits: bool,
}

fn met(row: MetRow) -> Result<Met, StoreError> {
    Ok(Met {
        holder: HolderKind::parse(&row.holder_kind)
            .ok_or(StoreError::Unreadable { column: "holder_kind" })?,
        what: Limited::parse(&row.what).ok_or(StoreError::Unreadable { column: "what" })?,
        max: row.max,
        used: row.used,
        reserved: row.reserved,
        requested: row.requested,
        frees_at: row.frees_at.map(Moment::from_ms),
        fits: row.fits,
    })
}

/// A query with the parameters that every statement of an admission counts alike.
macro_rules! about_limits {
    ($query:expr, $hold:expr, $starts:expr) => {
        $query
            .bind($hold.org.as_str())
            .bind($hold.key.as_str())
            .bind($hold.team.as_ref().map(TeamId::as_str))
            .bind($hold.amount.nanos())
            .bind($hold.tokens)
            .bind($hold.at.ms())
            .bind($starts.month.ms())
            .bind($starts.week.ms())
            .bind($starts.day.ms())
    };
}
macro_rules! about_hold {
    ($query:expr, $hold:expr, $starts:expr) => {
        about_limits!($query, $hold, $starts)
            .bind($hold.request.as_str())
            .bind($hold.secret.as_str())
            .bind(&$hold.model)
            .bind($hold.expires_at.ms())
    };
}

/// The limits that a request would meet; nothing is held.
pub async fn limits(read: &mut Reader, hold: &Hold, starts: WindowStarts) -> Result<Vec<Met>, StoreError> {
    let text = match Dialect::of(read) {
        Dialect::Sqlite => LIMITS,
        Dialect::Postgres => CALL_LIMITS,
    };
    let rows: Vec<MetRow> =
        run!(read, fetch_all, about_limits!(sqlx::query_as::<_, MetRow>(text), hold, starts))?;
    rows.into_iter().map(met).collect()
}

/// Holds what the request may use at most, unless one of the limits it meets does not fit: then nothing is held. Answers
/// every limit that applies, in the order of the gates.
pub async fn reserve(db: &Db, hold: Hold, starts: WindowStarts) -> Result<Vec<Met>, StoreError> {
    match db {
        Db::Postgres(pool) => {
            let query = about_hold!(sqlx::query_as::<_, MetRow>(CALL_RESERVE), hold, starts);
            query.fetch_all(pool).await?.into_iter().map(met).collect()
        }
        Db::Sqlite { together, .. } => {
            together.run(db, move |tx| Box::pin(async move { hold_on(tx, &hold, starts).await })).await
        }
    }
}

/// `reserve` on SQLite, inside a transaction.
async fn hold_on(tx: &mut Tx, hold: &Hold, starts: WindowStarts) -> Result<Vec<Met>, StoreError> {
    let rows: Vec<MetRow> =
        run!(&mut *tx, fetch_all, about_limits!(sqlx::query_as::<_, MetRow>(LIMITS), hold, starts))?;
    if rows.iter().all(|row| row.fits) {
        for step in [HOLD, COUNT_RATE] {
            changed!(&mut *tx, about_hold!(sqlx::query(step), hold, starts))?;
        }
    }
    rows.into_iter().map(met).collect()
}

macro_rules! about_usage {
    ($query:expr, $usage:expr, $zone:expr) => {{
        let starts = WindowStarts::at($usage.started_at, $zone);
        $query
            .bind($usage.request.as_str())
            .bind($usage.org.as_str())
            .bind($usage.key.as_str())
            .bind($usage.secret.as_str())
            .bind($usage.team.as_ref().map(TeamId::as_str))
            .bind(&$usage.model)
            .bind(&$usage.route)
            .bind($usage.status)
            .bind($usage.tokens.input)
            .bind($usage.tokens.output)
            .bind($usage.tokens.cached)
            .bind($usage.cost.nanos())
            .bind($usage.started_at.ms())
            .bind($usage.latency_ms)
            .bind($usage.first_byte_ms)
            .bind(&$usage.address)
            .bind(&$usage.user_agent)
            .bind(i64::from($usage.estimated))
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(Day::of($usage.started_at, $zone).to_string())
    }};
}

/// Writes a finished request, its counters and its day, and lets go of what it held: once. The same request id again
/// changes nothing and answers `false`. `zone` is the organisation's; the windows are those of the request's start.
pub async fn settle(db: &Db, usage: Usage, zone: Zone) -> Result<bool, StoreError> {
    match db {
        Db::Postgres(pool) => {
            let query = sqlx::query_scalar::<_, bool>(CALL_SETTLE);
            Ok(about_usage!(query, usage, &zone).fetch_one(pool).await?)
        }
        Db::Sqlite { together, .. } => {
            together.run(db, move |tx| Box::pin(async move { record(tx, &usage, &zone).await })).await
        }
    }
}

/// `settle` as a part of something larger.
pub async fn record(tx: &mut Tx, usage: &Usage, zone: &Zone) -> Result<bool, StoreError> {
    match tx.conn() {
        Conn::Postgres(conn) => {
            let query = sqlx::query_scalar::<_, bool>(CALL_SETTLE);
            Ok(about_usage!(query, usage, zone).fetch_one(conn).await?)
        }
        Conn::Sqlite(conn) => {
            let done = about_usage!(sqlx::query(INSERT_USAGE), usage, zone).execute(&mut *conn).await?;
            if done.rows_affected() == 0 {
                sqlx::query(LET_GO).bind(usage.request.as_str()).execute(conn).await?;
                return Ok(false);
            }
            for step in SETTLE_STEPS {
                about_usage!(sqlx::query(step), usage, zone).execute(&mut *conn).await?;
            }
            Ok(true)
        }
    }
}

/// Lets go of what a request held that was never sent on; `false` when it held nothing (any more).
pub async fn release(db: &Db, request: &RequestId) -> Result<bool, StoreError> {
    match db {
        Db::Postgres(pool) => {
            Ok(sqlx::query_scalar::<_, bool>(CALL_RELEASE).bind(request.as_str()).fetch_one(pool).await?)
        }
        Db::Sqlite { .. } => {
            let mut tx = db.write().await?;
            let mut let_go = 0;
            for step in RELEASE_STEPS {
                let_go = changed!(&mut tx, sqlx::query(step).bind(request.as_str()))?;
            }
            tx.save_unaudited(Unaudited::Usage).await?;
            Ok(let_go == 1)
        }
    }
}

/// Moves the ends of what these requests hold on to `expires_at`.
pub async fn renew(db: &Db, requests: &[RequestId], expires_at: Moment) -> Result<(), StoreError> {
    let ids: Vec<&str> = requests.iter().map(RequestId::as_str).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    match db {
        Db::Postgres(pool) => {
            sqlx::query(CALL_RENEW).bind(&ids).bind(expires_at.ms()).execute(pool).await?;
        }
        Db::Sqlite { .. } => {
            let mut tx = db.write().await?;
            let text = renew_text(Dialect::Sqlite);
            changed!(&mut tx, sqlx::query(AssertSqlSafe(text.clone())).bind(&ids).bind(expires_at.ms()))?;
            tx.save_unaudited(Unaudited::Usage).await?;
        }
    }
    Ok(())
}

/// A request under way, as it was admitted.
#[derive(Clone, Debug)]
pub struct Held {
    pub org: OrgId,
    pub key: KeyId,
    pub team: Option<TeamId>,
    pub secret: SecretId,
    pub model: String,
    pub at: Moment,
}

pub async fn held(via: &mut impl Via, request: &RequestId) -> Result<Option<Held>, StoreError> {
    type Row = (String, String, Option<String>, String, String, i64);
    let row: Option<Row> = run!(via, fetch_optional, sqlx::query_as::<_, Row>(HELD).bind(request.as_str()))?;
    let unreadable = || StoreError::Unreadable { column: "reservations" };
    row.map(|(org, key, team, secret, model, at)| {
        Ok(Held {
            org: OrgId::parse(&org).ok_or_else(unreadable)?,
            key: KeyId::parse(&key).ok_or_else(unreadable)?,
            team: team.map(|team| TeamId::parse(&team).ok_or_else(unreadable)).transpose()?,
            secret: SecretId::parse(&secret).ok_or_else(unreadable)?,
            model,
            at: Moment::from_ms(at),
        })
    })
    .transpose()
}

/// Forgets what counts no more: what dead gateways held, and seconds that are long over.
pub async fn sweep(tx: &mut Tx, now: Moment) -> Result<(), StoreError> {
    const KEPT_MS: i64 = 120_000;
    let before = now.plus_ms(-KEPT_MS);
    changed!(&mut *tx, sqlx::query(SWEEP_HELD).bind(before.ms()))?;
    changed!(&mut *tx, sqlx::query(SWEEP_RATES).bind(before.ms().div_euclid(1_000)))?;
    Ok(())
}
