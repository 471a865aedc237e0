//! The rows of processes that serve the gateway, by which they say that they live and which version of the configuration
//! they have seen (`config_changes`).

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{Db, StoreError, Tx, Unaudited, Via, changed, quotas, run, statements};

/// How often a process looks at the version.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long what a process keeps may be used, from when it sent its last look.
pub const LOOK_COUNTS: Duration = Duration::from_secs(2);
/// It gives it up so much earlier, as two clocks do not run at quite the same rate.
pub const GIVEN_UP_EARLY: Duration = Duration::from_millis(100);
/// For how long a row stays whose lease has ended.
const SWEPT_AFTER_MS: i64 = 60_000;

/// Its row's lease says how long a process is waited for that no longer looks.
pub fn row_lease(db: &Db) -> Duration {
    match db {
        // No other process has to be waited for here than the one that serves, and each renewal waits for the disk.
        Db::Sqlite { .. } => Duration::from_secs(60),
        Db::Postgres(..) => Duration::from_secs(2),
    }
}

/// How often a process renews its row where nothing changes.
pub fn renew_every(db: &Db) -> Duration {
    match db {
        Db::Sqlite { .. } => Duration::from_secs(20),
        Db::Postgres(..) => Duration::from_millis(400),
    }
}

statements! {
    LOOK = "SELECT v.version, n.turn FROM config_version v LEFT JOIN gateway_nodes n ON n.node_id = $1 AND n.token = $2";
    REMOVE = "DELETE FROM gateway_nodes WHERE node_id = $1";
    REMOVE_OTHERS = "DELETE FROM gateway_nodes WHERE node_id <> $1";
}

fn join_text(dialect: Dialect) -> String {
    let now = dialect.clock_ms();
    format!(
        "INSERT INTO gateway_nodes (node_id, token, turn, seen_version, lease_until)
        SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), 1, v.version, {now} + CAST($3 AS BIGINT) FROM config_version v WHERE true
        ON CONFLICT (node_id) DO UPDATE SET token = excluded.token, turn = excluded.turn,
            seen_version = excluded.seen_version, lease_until = excluded.lease_until
        RETURNING seen_version"
    )
}

fn renew_text(dialect: Dialect) -> String {
    let now = dialect.clock_ms();
    format!(
        "UPDATE gateway_nodes SET turn = turn + 1, seen_version = $4, lease_until = {now} + CAST($5 AS BIGINT)
        WHERE node_id = $1 AND token = $2 AND turn = $3"
    )
}

fn sweep_text(dialect: Dialect) -> String {
    format!("DELETE FROM gateway_nodes WHERE lease_until < {} - {SWEPT_AFTER_MS}", dialect.clock_ms())
}

/// The statements that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![join_text(dialect), renew_text(dialect), sweep_text(dialect)]
}

/// A process's row, as the process knows it.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// The process's id.
    pub id: String,
    /// Another one each time that the process begins anew.
    pub token: String,
    /// How often it was renewed.
    pub turn: i64,
    /// The version that it says is seen.
    pub seen_version: i64,
}

/// Makes or replaces the row of a process that has nothing in memory. Its version is the newest.
///
/// # Errors
/// When the database cannot be written.
pub async fn join(db: &Db, id: &str, token: String) -> Result<NodeRow, StoreError> {
    let mut tx = db.write().await?;
    let text = join_text(Dialect::of(&mut tx));
    let seen_version = run!(
        &mut tx,
        fetch_one,
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(text))
            .bind(id)
            .bind(&token)
            .bind(row_lease(db).as_millis() as i64)
    )?;
    tx.save_unaudited(Unaudited::Node).await?;
    Ok(NodeRow { id: id.to_owned(), token, turn: 1, seen_version })
}

/// The newest version; `None` when the database has not the row that the process knows. A database that was restored, or
/// replaced by a copy that lags, may lack changes as well as renewals.
///
/// # Errors
/// When the database cannot be read.
pub async fn look(via: &mut impl Via, row: &NodeRow) -> Result<Option<i64>, StoreError> {
    let (version, turn) =
        run!(via, fetch_one, sqlx::query_as::<_, (i64, Option<i64>)>(LOOK).bind(&row.id).bind(&row.token))?;
    Ok((turn == Some(row.turn) && version >= row.seen_version).then_some(version))
}

/// Renews the row and says which version is seen; `None` when it was not the row that the process knows.
///
/// # Errors
/// When the database cannot be written.
pub async fn renew(db: &Db, row: &NodeRow, seen_version: i64) -> Result<Option<NodeRow>, StoreError> {
    let mut tx = db.write().await?;
    let text = renew_text(Dialect::of(&mut tx));
    let rows = changed!(
        &mut tx,
        sqlx::query(AssertSqlSafe(text))
            .bind(&row.id)
            .bind(&row.token)
            .bind(row.turn)
            .bind(seen_version)
            .bind(row_lease(db).as_millis() as i64)
    )?;
    tx.save_unaudited(Unaudited::Node).await?;
    Ok((rows == 1).then(|| NodeRow { turn: row.turn + 1, seen_version, ..row.clone() }))
}

/// Removes a process's row, so that no one waits for it.
///
/// # Errors
/// When the database cannot be written; the row's lease then ends by itself.
pub async fn leave(db: &Db, id: &str) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    changed!(&mut tx, sqlx::query(REMOVE).bind(id))?;
    tx.save_unaudited(Unaudited::Node).await
}

/// Removes the rows of all other processes and what they had under way, for one that knows that it is the only one.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_others(db: &Db, id: &str) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    changed!(&mut tx, sqlx::query(REMOVE_OTHERS).bind(id))?;
    quotas::remove_others(&mut tx, id).await?;
    tx.save_unaudited(Unaudited::Node).await
}

/// Removes the rows of processes that ended without doing so.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx) -> Result<(), StoreError> {
    let text = sweep_text(Dialect::of(tx));
    changed!(tx, sqlx::query(AssertSqlSafe(text)))?;
    Ok(())
}
