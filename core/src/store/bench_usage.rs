//! Many requests at once, for the bench: made by the database itself from numbers, evenly over an organisation's keys and
//! over time; each key uses two models, in three hours of a day. Then they are added up. Nothing that people do uses it.

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, patient_within};
use super::{Db, StoreError, Tx, Unaudited, Via, changed, past_usage, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::Moment;

statements! {
    COUNTS = "SELECT (SELECT COUNT(*) FROM keys k JOIN key_secrets s ON s.key_id = k.id AND s.replaced_at IS NULL
            WHERE k.org_id = $1), (SELECT COUNT(*) FROM models WHERE retired_at IS NULL)";
    /// The bare query of a roll-up: what each model cost in a stretch of days.
    BY_MODEL = "SELECT model_id, CAST(SUM(cost) AS BIGINT) FROM rollups
        WHERE holder_kind = 'org' AND holder_id = $1 AND grain = 'day' AND bucket >= $2 AND bucket <= $3 GROUP BY model_id";
    HISTORY = "SELECT bucket, CAST(SUM(cost) AS BIGINT) FROM rollups
        WHERE holder_kind = 'key' AND holder_id = $1 AND grain = 'day' AND bucket >= $2 AND bucket <= $3 GROUP BY bucket";
    /// A bench's keys have a month's counter without requests, so that open windows are not compared, as after a change of zone.
    LEAVE_OUT_WINDOWS = "UPDATE orgs SET zone_since = $2 WHERE id = $1";
}

/// Requests of one transaction.
const PART: i64 = 500_000;
/// Over how many days they are spread.
const DAYS: i64 = 400;

fn insert_text(dialect: Dialect) -> String {
    let (numbers, id, hour) = match dialect {
        Dialect::Sqlite => (
            "(WITH RECURSIVE n (i) AS (SELECT CAST($3 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < CAST($4 AS INTEGER))
                SELECT i FROM n)",
            "printf('%032d', n.i)",
            "strftime('%Y-%m-%dT%H', n.at / 1000, 'unixepoch')",
        ),
        Dialect::Postgres => (
            "(SELECT i FROM generate_series(CAST($3 AS BIGINT), CAST($4 AS BIGINT)) AS n (i))",
            "lpad(CAST(n.i AS TEXT), 32, '0')",
            "to_char(to_timestamp(n.at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24')",
        ),
    };
    // The oldest day first, as requests come: otherwise each one would be written to another page of each index.
    format!(
        "INSERT INTO usage (request_id, org_id, key_id, secret_id, team_id, owner_id, model_id, route, status, input_tokens,
            output_tokens, cached_tokens, cost, started_at, latency_ms, first_byte_ms, address, user_agent, estimated, error,
            meters, price_id, is_priced, tags, booked, provider)
        SELECT 'req_' || {id}, k.org_id, k.id, k.secret_id, k.team_id, k.owner_id, m.id, '/v1/chat/completions', 200, 1000 + n.i % 977,
            100 + n.i % 89, 0, 1000000 + n.i % 1000003, n.at, 900, 200, '10.0.0.1', 'bench', 0, '', '', NULL, 1, '', {hour}, m.provider
        FROM (SELECT i, i % CAST($5 AS BIGINT) AS key, i / CAST($5 AS BIGINT) % 3 AS turn,
                CAST($2 AS BIGINT) - ({DAYS} - 1 - (i - 1) * {DAYS} / CAST($7 AS BIGINT)) * 86400000
                    - (i % CAST($5 AS BIGINT) * 5 + i / CAST($5 AS BIGINT) % 3) % 24 * 3600000 - i % 3600 * 1000 AS at
            FROM {numbers} i) n
        JOIN (
            SELECT k.id, k.org_id, k.team_id, k.owner_id, s.id AS secret_id, ROW_NUMBER() OVER (ORDER BY k.seq) - 1 AS number
            FROM keys k JOIN key_secrets s ON s.key_id = k.id AND s.replaced_at IS NULL WHERE k.org_id = CAST($1 AS TEXT)
        ) k ON k.number = n.key
        JOIN (SELECT id, provider, ROW_NUMBER() OVER (ORDER BY id) - 1 AS number FROM models WHERE retired_at IS NULL) m
            ON m.number = (n.key + n.turn % 2) % CAST($6 AS BIGINT)"
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![insert_text(dialect)]
}

/// Makes `count` requests of an organisation's keys in the 400 days before `until`, in the hours of UTC.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn insert(db: &Db, org: &OrgId, until: Moment, count: i64) -> Result<(), StoreError> {
    let (keys, models) = {
        let mut read = db.read().await?;
        run!(&mut read, fetch_one, sqlx::query_as::<_, (i64, i64)>(COUNTS).bind(org.as_str()))?
    };
    let mut first = 1;
    while first <= count {
        let last = count.min(first + PART - 1);
        let mut tx: Tx = db.write().await?;
        patient_within(&mut tx).await?;
        let text = insert_text(Dialect::of(&mut tx));
        changed!(
            &mut tx,
            sqlx::query(AssertSqlSafe(text.clone()))
                .bind(org.as_str())
                .bind(until.ms())
                .bind(first)
                .bind(last)
                .bind(keys)
                .bind(models)
                .bind(count)
        )?;
        tx.save_unaudited(Unaudited::Bench).await?;
        first = last + 1;
    }
    Ok(())
}

/// Adds up all requests of an organisation in which no one else writes.
///
/// # Errors
/// When the database cannot be written.
pub async fn add_up(db: &Db, org: &OrgId, now: Moment) -> Result<(), StoreError> {
    let mut tx: Tx = db.write().await?;
    patient_within(&mut tx).await?;
    past_usage::add_up(&mut tx, org, now).await?;
    changed!(&mut tx, sqlx::query(LEAVE_OUT_WINDOWS).bind(org.as_str()).bind(now.ms()))?;
    tx.save_unaudited(Unaudited::Bench).await
}

/// What each model cost an organisation between two days; says how many models.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_model(via: &mut impl Via, org: &OrgId, from: &str, to: &str) -> Result<usize, StoreError> {
    let rows: Vec<(String, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, i64)>(BY_MODEL).bind(org.as_str()).bind(from).bind(to)
    )?;
    Ok(rows.len())
}

/// What a key cost on each of these days; says how many days.
///
/// # Errors
/// When the database cannot be read.
pub async fn history(via: &mut impl Via, key: &str, from: &str, to: &str) -> Result<usize, StoreError> {
    let rows: Vec<(String, i64)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, i64)>(HISTORY).bind(key).bind(from).bind(to))?;
    Ok(rows.len())
}
