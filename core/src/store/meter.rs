//! What a request in flight reserves of the limits that apply to it, and the functions that gateways call on Postgres.
//! `settlement` has how a reservation ends.
//!
//! Each step is atomic: on Postgres one call of a function, so that no lock lasts for a round trip and gateways in other
//! languages share it; on SQLite one transaction that has the write lock from its start. Both run the same statements, so
//! all statements of one step number their parameters alike.

use super::Unaudited;
use sqlx::{AssertSqlSafe, PgConnection};

use super::dialect::Dialect;
use super::grants::{budget_amount, granted};
use super::{Db, StoreError, Tx, Via, changed, run, settlement, statements};
use crate::domain::ids::{KeyId, OrgId, RequestId, SecretId, TeamId};
use crate::domain::limit_use::{HolderKind, Limited};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::window::WindowStarts;

/// Parameters of `keydesk_limits_v1`.
macro_rules! limits_v1_takes {
    () => {
        "org_id text, key_id text, team_id text, amount bigint, tokens bigint, at_ms bigint,
    month_start bigint, week_start bigint, day_start bigint"
    };
}
/// Parameters of `keydesk_limits_v2`.
macro_rules! limits_v2_takes {
    () => {
        concat!(limits_v1_takes!(), ", worst bigint")
    };
}
/// Parameters of `keydesk_limits_v3` and of the statement in it.
macro_rules! limits_takes {
    () => {
        concat!(limits_v2_takes!(), ", presumed_amount bigint, presumed_tokens bigint")
    };
}
/// Further parameters of the functions that reserve.
macro_rules! reserve_takes {
    () => {
        ", request_id text, secret_id text, model_id text, expires_at bigint"
    };
}
macro_rules! limits_v1_gives {
    () => {
        "holder_kind text, what text, \"limit\" bigint, used bigint, reserved bigint, remaining bigint,
    requested bigint, frees_at bigint, fits boolean"
    };
}
macro_rules! limits_v2_gives {
    () => {
        concat!(limits_v1_gives!(), ", worst_remaining bigint")
    };
}
const LIMITS_GIVES: &str = concat!(limits_v2_gives!(), ", enforced boolean");
/// Every limit that applies to a request, in the order of the gates. Sixty whole seconds and the running one count, so
/// that no sixty seconds exceed a limit; what a clock wrote that ran ahead by more than five seconds does not count, and
/// reservations that are leased for longer than anyone leases them do not either.
///
/// Money fits if the likely costs of all requests in flight and of this one fit, and all their worst costs but the largest
/// do. Where the organisation allows no overshoot, the worst cost takes the place of the likely one.
///
/// Limits that only report are among them, marked as not enforced. What is only presumed of the request shrinks for them as
/// a gateway shrinks it for the others (`ReservationRequest::presuming_less`).
const LIMITS: &str = concat!("WITH orgs_rule (never) AS (
            SELECT CASE o.overshoot WHEN 'none' THEN 1 ELSE 0 END FROM orgs o WHERE o.id = CAST($1 AS TEXT)
        ), reserved AS (
            SELECT r.key_id, r.team_id, CASE g.never WHEN 1 THEN r.worst ELSE r.amount END AS amount, r.worst, r.reserved_at
            FROM orgs_rule g CROSS JOIN reservations r
            WHERE r.org_id = CAST($1 AS TEXT) AND r.expires_at > CAST($6 AS BIGINT) AND r.expires_at <= CAST($6 AS BIGINT) + 300000
        ), holders (position, kind, id) AS (
            SELECT 1, 'key', CAST($2 AS TEXT) UNION ALL SELECT 2, 'team', CAST($3 AS TEXT) UNION ALL SELECT 3, 'org', CAST($1 AS TEXT)
        ), windows (period, start) AS (
            SELECT 'total', CAST(0 AS BIGINT) UNION ALL SELECT 'month', CAST($7 AS BIGINT)
            UNION ALL SELECT 'week', CAST($8 AS BIGINT) UNION ALL SELECT 'day', CAST($9 AS BIGINT)
        ), shadows (position, kind, id, what, max) AS (
            SELECT h.position, h.kind, h.id, s.what, s.amount FROM holders h
            JOIN shadow_limits s ON s.holder_kind = h.kind AND s.holder_id = h.id
        ), rates (position, kind, rpm, tpm, concurrent) AS (
            SELECT 1, 'key', k.rpm, k.tpm, k.concurrent FROM keys k WHERE k.id = $2
            UNION ALL SELECT 2, 'team', t.rpm, t.tpm, t.concurrent FROM teams t WHERE t.id = $3
        ), last_minute (kind, requests, tokens, first) AS (
            SELECT c.holder_kind, SUM(c.requests), SUM(c.tokens), MIN(c.second) FROM holders h
            JOIN rate_counts c ON c.holder_kind = h.kind AND c.holder_id = h.id AND c.second BETWEEN $6 / 1000 - 60 AND $6 / 1000 + 5
            GROUP BY c.holder_kind
        ), money (position, kind, id, period, start, max, enforced) AS (
            SELECT h.position, h.kind, h.id, w.period, w.start, ", budget_amount!("$6"), ", 1 FROM holders h
            JOIN budgets b ON b.holder_kind = h.kind AND b.holder_id = h.id JOIN windows w ON w.period = b.period
            UNION ALL
            SELECT s.position, s.kind, s.id, w.period, w.start, s.max, 0 FROM shadows s JOIN windows w ON w.period = s.what
            UNION ALL
            SELECT 4, 'org', o.id, 'balance', CAST(0 AS BIGINT),
                (SELECT CAST(COALESCE(SUM(l.amount), 0) AS BIGINT) FROM ledger l WHERE l.org_id = o.id), 1
            FROM orgs o WHERE o.id = $1 AND o.balance_enforced_at IS NOT NULL
        ), applicable (position, holder_kind, what, max, used, reserved, requested, presumed, frees_at, worst, largest, enforced) AS (
            SELECT m.position, m.kind, m.period, m.max, COALESCE(MAX(c.spent), 0), COALESCE(SUM(r.amount), 0),
                CASE g.never WHEN 1 THEN CAST($10 AS BIGINT) ELSE CAST($4 AS BIGINT) END,
                CASE g.never WHEN 1 THEN CAST(0 AS BIGINT) ELSE CAST($11 AS BIGINT) END, CAST(NULL AS BIGINT),
                COALESCE(SUM(r.worst), 0), CASE g.never WHEN 1 THEN NULL ELSE COALESCE(MAX(r.worst), 0) END, m.enforced
            FROM orgs_rule g CROSS JOIN money m
            LEFT JOIN counters c ON c.holder_kind = m.kind AND c.holder_id = m.id AND c.window_start = m.start
                AND c.period = CASE m.period WHEN 'balance' THEN 'total' ELSE m.period END
            LEFT JOIN reserved r ON r.reserved_at >= m.start
                AND CASE m.kind WHEN 'key' THEN r.key_id WHEN 'team' THEN r.team_id ELSE $1 END = m.id
            GROUP BY m.position, m.kind, m.period, m.max, m.enforced, g.never
            UNION ALL
            SELECT 4 + p.position, p.kind, 'requests', p.rpm, COALESCE(l.requests, 0), 0, 1, 0, (l.first + 61) * 1000, NULL, NULL, 1
            FROM rates p LEFT JOIN last_minute l ON l.kind = p.kind WHERE p.rpm IS NOT NULL
            UNION ALL
            SELECT 6 + p.position, p.kind, 'tokens', p.tpm, COALESCE(l.tokens, 0), 0, CAST($5 AS BIGINT), CAST($12 AS BIGINT),
                (l.first + 61) * 1000, NULL, NULL, 1
            FROM rates p LEFT JOIN last_minute l ON l.kind = p.kind WHERE p.tpm IS NOT NULL
            UNION ALL
            SELECT 8 + p.position, p.kind, 'concurrent', p.concurrent,
                (SELECT COUNT(*) FROM reserved r WHERE CASE p.kind WHEN 'key' THEN r.key_id = $2 ELSE r.team_id = $3 END), 0, 1, 0, NULL,
                NULL, NULL, 1
            FROM rates p WHERE p.concurrent IS NOT NULL
            UNION ALL
            SELECT CASE s.what WHEN 'requests' THEN 4 WHEN 'tokens' THEN 6 ELSE 8 END + s.position, s.kind, s.what, s.max,
                CASE s.what WHEN 'requests' THEN COALESCE(l.requests, 0) WHEN 'tokens' THEN COALESCE(l.tokens, 0) ELSE
                    (SELECT COUNT(*) FROM reserved r WHERE CASE s.kind WHEN 'key' THEN r.key_id = $2 ELSE r.team_id = $3 END) END,
                0, CASE s.what WHEN 'tokens' THEN CAST($5 AS BIGINT) ELSE 1 END,
                CASE s.what WHEN 'tokens' THEN CAST($12 AS BIGINT) ELSE 0 END,
                CASE s.what WHEN 'concurrent' THEN NULL ELSE (l.first + 61) * 1000 END, NULL, NULL, 0
            FROM shadows s LEFT JOIN last_minute l ON l.kind = s.kind WHERE s.what IN ('requests', 'tokens', 'concurrent')
        ), opens (position, holder_kind, what, max, used, reserved, requested, least, room, frees_at, worst, largest, enforced) AS (
            SELECT m.position, m.holder_kind, m.what, CAST(m.max AS BIGINT), CAST(m.used AS BIGINT), CAST(m.reserved AS BIGINT),
                m.requested, m.requested - m.presumed, CAST(CASE m.what WHEN 'tokens' THEN m.max ELSE m.max - m.used END AS BIGINT),
                m.frees_at, m.worst, m.largest, m.enforced
            FROM applicable m
        ), numbers (position, holder_kind, what, max, used, reserved, requested, frees_at, worst_remaining, enforced) AS (
            SELECT m.position, m.holder_kind, m.what, m.max, m.used, m.reserved,
                CASE WHEN m.enforced = 1 OR m.requested <= m.room OR m.least > m.room THEN m.requested
                    ELSE m.least + (m.room - m.least) / 2 END,
                m.frees_at, CAST(m.max - m.used - m.worst
                    - CASE WHEN m.largest IS NULL THEN CAST($10 AS BIGINT) WHEN m.largest > CAST($10 AS BIGINT)
                        THEN CAST($10 AS BIGINT) - m.largest ELSE 0 END AS BIGINT), m.enforced
            FROM opens m
        )
        SELECT n.holder_kind, n.what, n.max AS \"limit\", n.used, n.reserved,
            CASE WHEN n.max > n.used + n.reserved THEN n.max - n.used - n.reserved ELSE 0 END AS remaining, n.requested, n.frees_at,
            n.requested <= n.max - n.used - n.reserved
                AND (n.worst_remaining IS NULL OR n.worst_remaining >= 0 AND n.used < n.max) AS fits, n.worst_remaining,
            n.enforced = 1 AS enforced
        FROM numbers n ORDER BY n.position, n.what, n.enforced DESC");
const INSERT_RESERVATION: &str = "INSERT INTO reservations (request_id, org_id, key_id, team_id, secret_id, model_id, amount, worst, tokens,
            reserved_at, expires_at)
        VALUES ($13, $1, $2, $3, $14, $15, $4, $10, $5, $6, $16)";
/// The same for a request of a node.
const INSERT_OF_NODE: &str =
    "INSERT INTO reservations (request_id, org_id, key_id, team_id, secret_id, model_id, amount, worst,
            tokens, reserved_at, expires_at, counted, node_id)
        VALUES ($13, $1, $2, $3, $14, $15, $4, $10, $5, $6, $16, $17, $18)";
/// Only for holders with such a limit; the key's row before the team's, so that two requests cannot deadlock.
macro_rules! count_rate {
    ($which:literal) => {
        concat!(
            "INSERT INTO rate_counts (holder_kind, holder_id, second, requests, tokens)
        SELECT p.kind, p.id, CAST($6 AS BIGINT) / 1000, 1, CAST($5 AS BIGINT) FROM (
            SELECT 1 AS position, 'key' AS kind, k.id, k.rpm, k.tpm FROM keys k WHERE k.id = $2
            UNION ALL SELECT 2, 'team', t.id, t.rpm, t.tpm FROM teams t WHERE t.id = $3
        ) p WHERE (p.rpm IS NOT NULL OR p.tpm IS NOT NULL OR EXISTS (SELECT 1 FROM shadow_limits s
            WHERE s.holder_kind = p.kind AND s.holder_id = p.id AND s.what IN ('requests', 'tokens')))",
            $which,
            " ORDER BY p.position
        ON CONFLICT (holder_kind, holder_id, second) DO UPDATE SET
            requests = rate_counts.requests + 1, tokens = rate_counts.tokens + excluded.tokens"
        )
    };
}
const COUNT_RATE: &str = count_rate!("");
/// Only of holders that the database judges.
const COUNT_RATE_OF: &str = count_rate!(" AND ' ' || $17 || ' ' LIKE '% ' || p.kind || ' %'");
/// Counts an admitted request at the limits that only report and would have rejected it: ` key:month team:tokens `.
macro_rules! count_shadow {
    ($would_reject:literal) => {
        concat!(
            "INSERT INTO shadow_rejections (holder_kind, holder_id, what, hour, org_id, requests, first_at, last_at)
        SELECT s.holder_kind, s.holder_id, s.what, CAST($6 AS BIGINT) / 3600000, s.org_id, 1, CAST($6 AS BIGINT), CAST($6 AS BIGINT)
        FROM shadow_limits s
        WHERE s.org_id = $1 AND (s.holder_kind = 'key' AND s.holder_id = $2 OR s.holder_kind = 'team' AND s.holder_id = $3)
            AND ",
            $would_reject,
            " LIKE '% ' || s.holder_kind || ':' || s.what || ' %'
        ORDER BY s.holder_kind, s.what
        ON CONFLICT (holder_kind, holder_id, what, hour) DO UPDATE SET requests = shadow_rejections.requests + 1,
            last_at = CASE WHEN excluded.last_at > shadow_rejections.last_at THEN excluded.last_at ELSE shadow_rejections.last_at END"
        )
    };
}
const COUNT_SHADOW: &str = count_shadow!("$17");

statements! {
    FIND = "SELECT org_id, key_id, team_id, secret_id, model_id, reserved_at FROM reservations
        WHERE request_id = $1 AND node_id IS NULL";
    SWEEP_RATES = "DELETE FROM rate_counts WHERE second < $1 OR second > $2";
}

const CALL_LIMITS: &str =
    "SELECT * FROM keydesk_limits_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const CALL_RESERVE: &str =
    "SELECT * FROM keydesk_reserve_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
/// For gateways that know no limits that only report: they take each line for one that rejects.
const LIMITS_ENFORCED: &str =
    "BEGIN RETURN QUERY SELECT l.holder_kind, l.what, l.\"limit\", l.used, l.reserved, l.remaining,
        l.requested, l.frees_at, l.fits, l.worst_remaining
        FROM keydesk_limits_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0) l WHERE l.enforced; END";
const RESERVE_ENFORCED: &str = "BEGIN RETURN QUERY SELECT l.holder_kind, l.what, l.\"limit\", l.used, l.reserved, l.remaining,
        l.requested, l.frees_at, l.fits, l.worst_remaining
        FROM keydesk_reserve_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11, $12, $13, $14) l WHERE l.enforced; END";
/// What gateways call that know one amount: it is both, so that no budget is passed by their requests.
const LIMITS_WITHOUT_WORST: &str = "BEGIN RETURN QUERY SELECT l.holder_kind, l.what, l.\"limit\", l.used, l.reserved, l.remaining,
        l.requested, l.frees_at, l.fits FROM keydesk_limits_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $4) l; END";
const RESERVE_WITHOUT_WORST: &str =
    "BEGIN RETURN QUERY SELECT l.holder_kind, l.what, l.\"limit\", l.used, l.reserved, l.remaining,
        l.requested, l.frees_at, l.fits
        FROM keydesk_reserve_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $4, $10, $11, $12, $13) l; END";
const CALL_RENEW: &str = "SELECT keydesk_renew_v1($1, $2)";

/// Of several reservations, which are locked in the order in which a settlement ends them.
fn in_order(dialect: Dialect, which: &str) -> String {
    let found = format!(
        "SELECT r.request_id FROM reservations r WHERE {which} ORDER BY r.request_id{}",
        dialect.for_update()
    );
    dialect.among("request_id", &found)
}

fn renew_text(dialect: Dialect) -> String {
    let which = dialect.any_of("r.request_id", "$1");
    format!(
        "UPDATE reservations SET expires_at = $2 WHERE (expires_at < $2 OR expires_at > $2 + 300000) AND {}",
        in_order(dialect, &which)
    )
}

fn sweep_text(dialect: Dialect) -> String {
    format!("DELETE FROM reservations WHERE {}", in_order(dialect, "r.expires_at < $1"))
}

/// The statements that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let steps: &[&str] = match dialect {
        Dialect::Sqlite => {
            &[LIMITS, INSERT_RESERVATION, COUNT_RATE, COUNT_SHADOW, INSERT_OF_NODE, COUNT_RATE_OF]
        }
        Dialect::Postgres => &[CALL_LIMITS, CALL_RESERVE, CALL_RENEW],
    };
    let steps = steps.iter().map(|text| (*text).to_owned()).chain(settlement::texts(dialect));
    steps.chain([renew_text(dialect), sweep_text(dialect)]).collect()
}

/// Creates or replaces the functions that gateways on Postgres call. They run as their owner, so a gateway needs no
/// right on the tables behind them; their search path is this schema.
pub(super) async fn make_functions(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let schema: String =
        sqlx::query_scalar("SELECT quote_ident(current_schema())").fetch_one(&mut *conn).await?;
    // A plan made for each call would cost more than the call.
    let head = format!(
        "SECURITY DEFINER SET search_path = {schema}, pg_temp SET plan_cache_mode = force_generic_plan"
    );
    let functions = [
        (
            "keydesk_limits_v3",
            limits_takes!(),
            format!("TABLE ({LIMITS_GIVES}) LANGUAGE plpgsql STABLE {head}"),
            format!("BEGIN RETURN QUERY {LIMITS}; END"),
        ),
        (
            "keydesk_limits_v2",
            limits_v2_takes!(),
            format!(concat!("TABLE (", limits_v2_gives!(), ") LANGUAGE plpgsql STABLE {}"), head),
            LIMITS_ENFORCED.into(),
        ),
        (
            "keydesk_limits_v1",
            limits_v1_takes!(),
            format!(concat!("TABLE (", limits_v1_gives!(), ") LANGUAGE plpgsql STABLE {}"), head),
            LIMITS_WITHOUT_WORST.into(),
        ),
        (
            "keydesk_reserve_v3",
            concat!(limits_takes!(), reserve_takes!()),
            format!("TABLE ({LIMITS_GIVES}) LANGUAGE plpgsql {head} SET lock_timeout = '2s'"),
            // Requests of one organisation queue at this lock, so that each sees the reservations before it. A reservation
            // need not survive a crash of the database, so the commit does not wait for the disk.
            format!(
                "DECLARE stopped boolean := false; would_reject text := ' ';
                BEGIN
                    PERFORM set_config('synchronous_commit', 'off', true);
                    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, CAST(7 AS bigint)));
                    FOR holder_kind, what, \"limit\", used, reserved, remaining, requested, frees_at, fits, worst_remaining, enforced IN {LIMITS} LOOP
                        stopped := stopped OR enforced AND NOT fits;
                        IF NOT enforced AND NOT fits THEN would_reject := would_reject || holder_kind || ':' || what || ' '; END IF;
                        RETURN NEXT;
                    END LOOP;
                    IF NOT stopped THEN
                        {INSERT_RESERVATION};
                        {COUNT_RATE};
                        IF would_reject <> ' ' THEN {}; END IF;
                    END IF;
                END",
                count_shadow!("would_reject")
            ),
        ),
        (
            "keydesk_reserve_v2",
            concat!(limits_v2_takes!(), reserve_takes!()),
            format!(concat!("TABLE (", limits_v2_gives!(), ") LANGUAGE plpgsql {}"), head),
            RESERVE_ENFORCED.into(),
        ),
        (
            "keydesk_reserve_v1",
            concat!(limits_v1_takes!(), reserve_takes!()),
            format!(concat!("TABLE (", limits_v1_gives!(), ") LANGUAGE plpgsql {}"), head),
            RESERVE_WITHOUT_WORST.into(),
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
    let own = functions.into_iter().map(|(name, takes, gives, body)| (name, takes.to_owned(), gives, body));
    for (name, takes, gives, body) in own.chain(settlement::functions(&head)) {
        let conflict = if gives.contains("plpgsql") { "#variable_conflict use_column\n" } else { "" };
        let make = format!(
            "CREATE OR REPLACE FUNCTION {name}({takes}) RETURNS {gives} AS $body$\n{conflict}{body}\n$body$"
        );
        sqlx::query(AssertSqlSafe(make)).execute(&mut *conn).await?;
        let types =
            takes.split(',').filter_map(|one| one.trim().rsplit(' ').next()).collect::<Vec<_>>().join(", ");
        // By default everyone may call a new function.
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

/// Who reserved what, as stored.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The request's id.
    pub request: RequestId,
    /// The organisation's id.
    pub org: OrgId,
    /// The key's id.
    pub key: KeyId,
    /// The id of the secret that the request presented.
    pub secret: SecretId,
    /// The team's id; `None` for a key without a team.
    pub team: Option<TeamId>,
    /// The model's id in the catalogue.
    pub model: String,
    /// When it was made; its windows are those of this moment.
    pub reserved_at: Moment,
}

/// A reservation that is not made yet.
#[derive(Clone, Debug)]
pub struct NewReservation {
    /// Who reserves, for which request.
    pub reservation: Reservation,
    /// What it is expected to cost.
    pub amount: Money,
    /// The most it may cost.
    pub worst: Money,
    /// The tokens that it is expected to use, input and output together.
    pub tokens: i64,
    /// What of `amount` is only presumed; only limits that report ask.
    pub presumed_amount: Money,
    /// What of `tokens` is only presumed; only limits that report ask.
    pub presumed_tokens: i64,
    /// When it stops counting, unless its gateway renews it.
    pub expires_at: Moment,
}

/// One limit that applies to a request, as it was before it. Money is nano-dollars.
#[derive(Clone, Debug)]
pub struct LimitRow {
    /// Whose limit it is.
    pub holder: HolderKind,
    /// What is limited.
    pub what: Limited,
    /// The limit itself; a balance's may be below zero.
    pub max: i64,
    /// Spent, sent or in flight, before this request.
    pub used: i64,
    /// Reserved by other requests in flight; zero for rate limits.
    pub reserved: i64,
    /// What this request is expected to add, or the most where the organisation allows no overshoot.
    pub requested: i64,
    /// When the oldest of the last sixty seconds no longer counts.
    pub frees_at: Option<Moment>,
    /// Whether the request fits.
    pub fits: bool,
    /// Of money: what remains if every request in flight and this one cost the most, without the dearest where the
    /// organisation allows one request more. Below zero it does not fit. `None` for rate limits.
    pub worst_remaining: Option<i64>,
    /// `false` for a limit that only reports: it rejects nothing.
    pub enforced: bool,
}

type LimitColumns = (String, String, i64, i64, i64, i64, i64, Option<i64>, bool, Option<i64>, bool);

fn limit_row(row: LimitColumns) -> Result<LimitRow, StoreError> {
    let (holder, what, max, used, reserved, _remaining, requested, frees_at, fits, worst_remaining, enforced) =
        row;
    Ok(LimitRow {
        holder: HolderKind::parse(&holder).ok_or(StoreError::Unreadable { column: "holder_kind" })?,
        what: Limited::parse(&what).ok_or(StoreError::Unreadable { column: "what" })?,
        max,
        used,
        reserved,
        requested,
        frees_at: frees_at.map(Moment::from_ms),
        fits,
        worst_remaining,
        enforced,
    })
}

/// Every limit that applies to a request, in the order of the gates, also those that only report; nothing is reserved.
async fn every_limit(
    via: &mut impl Via,
    new: &NewReservation,
    starts: WindowStarts,
) -> Result<Vec<LimitRow>, StoreError> {
    let text = match Dialect::of(via) {
        Dialect::Sqlite => LIMITS,
        Dialect::Postgres => CALL_LIMITS,
    };
    let rows: Vec<LimitColumns> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, LimitColumns>(text)
            .bind(new.reservation.org.as_str())
            .bind(new.reservation.key.as_str())
            .bind(new.reservation.team.as_ref().map(TeamId::as_str))
            .bind(new.amount.nanos())
            .bind(new.tokens)
            .bind(new.reservation.reserved_at.ms())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(new.worst.nanos())
            .bind(new.presumed_amount.nanos())
            .bind(new.presumed_tokens)
    )?;
    rows.into_iter().map(limit_row).collect()
}

/// Every enforced limit that applies to a request, in the order of the gates; nothing is reserved.
///
/// # Errors
/// When the database cannot be read.
pub async fn limits(
    via: &mut impl Via,
    new: &NewReservation,
    starts: WindowStarts,
) -> Result<Vec<LimitRow>, StoreError> {
    let mut rows = every_limit(via, new, starts).await?;
    rows.retain(|row| row.enforced);
    Ok(rows)
}

/// Runs one statement with the parameters of `keydesk_reserve_v3`, and more after them.
async fn run_reserve(
    via: &mut impl Via,
    text: &'static str,
    new: &NewReservation,
    starts: WindowStarts,
    more: &[&str],
) -> Result<Vec<LimitRow>, StoreError> {
    let rows: Vec<LimitColumns> = run!(via, fetch_all, {
        let query = sqlx::query_as::<_, LimitColumns>(text)
            .bind(new.reservation.org.as_str())
            .bind(new.reservation.key.as_str())
            .bind(new.reservation.team.as_ref().map(TeamId::as_str))
            .bind(new.amount.nanos())
            .bind(new.tokens)
            .bind(new.reservation.reserved_at.ms())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(new.worst.nanos())
            .bind(new.presumed_amount.nanos())
            .bind(new.presumed_tokens)
            .bind(new.reservation.request.as_str())
            .bind(new.reservation.secret.as_str())
            .bind(&new.reservation.model)
            .bind(new.expires_at.ms());
        more.iter().fold(query, |query, text| query.bind(*text))
    })?;
    rows.into_iter().map(limit_row).collect()
}

/// Reserves what the request may use, unless an enforced limit does not fit: then nothing is reserved. Answers every enforced
/// limit that applies, in the order of the gates. An admitted request is counted at each limit that only reports and would
/// have rejected it. On Postgres it locks the organisation's admissions.
///
/// # Errors
/// When the database cannot be written, or the lock is not free in time.
pub async fn reserve(
    db: &Db,
    new: NewReservation,
    starts: WindowStarts,
) -> Result<Vec<LimitRow>, StoreError> {
    match db {
        Db::Postgres(..) => {
            let mut call = db.read().await?;
            let mut rows = run_reserve(&mut call, CALL_RESERVE, &new, starts, &[]).await?;
            call.done().await?;
            rows.retain(|row| row.enforced);
            Ok(rows)
        }
        Db::Sqlite { together, .. } => {
            together
                .run(db, move |tx| Box::pin(async move { reserve_in(tx, &new, starts, None).await }))
                .await
        }
    }
}

/// `reserve` on SQLite, inside a transaction. `of` is the node whose request it is, and whose limits the node has judged itself.
pub(super) async fn reserve_in(
    tx: &mut Tx,
    new: &NewReservation,
    starts: WindowStarts,
    of: Option<(&str, &[HolderKind])>,
) -> Result<Vec<LimitRow>, StoreError> {
    let mut rows = every_limit(tx, new, starts).await?;
    let is_judged = |kind| of.is_some_and(|(_, judged)| judged.contains(&kind));
    rows.retain(|row| !is_judged(row.holder));
    let would_reject: String = rows
        .iter()
        .filter(|row| !row.enforced && !row.fits)
        .map(|row| format!(" {}:{}", row.holder.as_str(), row.what.as_str()))
        .collect();
    rows.retain(|row| row.enforced);
    if rows.iter().all(|row| row.fits) {
        if let Some((node, _)) = of {
            let counted = [HolderKind::Key, HolderKind::Team].into_iter().filter(|kind| !is_judged(*kind));
            let counted = counted.map(HolderKind::as_str).collect::<Vec<_>>().join(" ");
            run_reserve(tx, INSERT_OF_NODE, new, starts, &[&counted, node]).await?;
            run_reserve(tx, COUNT_RATE_OF, new, starts, &[&counted]).await?;
        } else {
            for step in [INSERT_RESERVATION, COUNT_RATE] {
                run_reserve(tx, step, new, starts, &[]).await?;
            }
        }
        if !would_reject.is_empty() {
            run_reserve(tx, COUNT_SHADOW, new, starts, &[&format!("{would_reject} ")]).await?;
        }
    }
    Ok(rows)
}

/// Extends these reservations to `expires_at`.
///
/// # Errors
/// When the database cannot be written.
pub async fn renew(db: &Db, requests: &[RequestId], expires_at: Moment) -> Result<(), StoreError> {
    let ids: Vec<&str> = requests.iter().map(RequestId::as_str).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    match db {
        Db::Postgres(..) => {
            let mut call = db.read().await?;
            changed!(&mut call, sqlx::query(CALL_RENEW).bind(&ids).bind(expires_at.ms()))?;
            call.done().await?;
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

/// The reservation of a request that another program made; `None` when there is none (any more).
///
/// # Errors
/// When the database cannot be read.
pub async fn find(via: &mut impl Via, request: &RequestId) -> Result<Option<Reservation>, StoreError> {
    type Row = (String, String, Option<String>, String, String, i64);
    let row: Option<Row> = run!(via, fetch_optional, sqlx::query_as::<_, Row>(FIND).bind(request.as_str()))?;
    let unreadable = || StoreError::Unreadable { column: "reservations" };
    row.map(|(org, key, team, secret, model, reserved_at)| {
        Ok(Reservation {
            request: request.clone(),
            org: OrgId::parse(&org).ok_or_else(unreadable)?,
            key: KeyId::parse(&key).ok_or_else(unreadable)?,
            team: team.map(|team| TeamId::parse(&team).ok_or_else(unreadable)).transpose()?,
            secret: SecretId::parse(&secret).ok_or_else(unreadable)?,
            model,
            reserved_at: Moment::from_ms(reserved_at),
        })
    })
    .transpose()
}

/// Deletes what no longer counts: reservations of crashed gateways, and seconds that are over.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, now: Moment) -> Result<(), StoreError> {
    const KEPT_MS: i64 = 120_000;
    let before = now.plus_ms(-KEPT_MS);
    let seconds = |at: Moment| at.ms().div_euclid(1_000);
    // In the order of a settlement.
    changed!(&mut *tx, sqlx::query(SWEEP_RATES).bind(seconds(before)).bind(seconds(now.plus_ms(10_000))))?;
    let text = sweep_text(Dialect::of(tx));
    changed!(&mut *tx, sqlx::query(AssertSqlSafe(text.clone())).bind(before.ms()))?;
    Ok(())
}
