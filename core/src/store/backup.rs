//! Copies of a whole database: how one is made of an SQLite file while it is in use, whether the file is sound, and when the
//! last backup was made. Postgres is copied by its own tools.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, Executor};

use super::open::sqlite;
use super::{Db, StoreError, Unaudited, Via, changed, run, statements};
use crate::domain::moment::Moment;

statements! {
    RECORD = "INSERT INTO last_backup (only_row, made_at) VALUES (1, $1)
        ON CONFLICT (only_row) DO UPDATE SET made_at = excluded.made_at";
    LAST = "SELECT made_at FROM last_backup";
    /// A process that stopped removed its row.
    NODES = "SELECT COUNT(*) FROM gateway_nodes";
}

/// Twenty sentences at most.
const INTEGRITY: &str = "PRAGMA integrity_check(20)";

/// Writes all of the SQLite file `from`, as it is at one moment, into the empty file `into`. Others read and write `from`
/// meanwhile. The copy is one file, without a write-ahead log.
///
/// # Errors
/// When `from` cannot be read or `into` cannot be written.
pub async fn copy_sqlite(from: &Path, into: &Path) -> Result<(), StoreError> {
    // A connection of its own: on those that only read, SQLite refuses to write the copy.
    let mut conn = sqlite(from).connect().await?;
    let into = into.to_string_lossy().into_owned();
    let copied = sqlx::query("VACUUM INTO $1").bind(into).execute(&mut conn).await;
    conn.close().await?;
    copied?;
    Ok(())
}

/// Reads every page and index of an SQLite file and says what is wrong with it; nothing for a sound one, and for Postgres, which
/// checks its pages itself.
///
/// # Errors
/// When the database cannot be read.
pub async fn damage(db: &Db) -> Result<Vec<String>, StoreError> {
    let Db::Sqlite { readers, .. } = db else { return Ok(Vec::new()) };
    let mut found: Vec<String> = sqlx::query_scalar(INTEGRITY).fetch_all(readers).await?;
    found.retain(|line| line != "ok");
    if !readers.fetch_all("PRAGMA foreign_key_check").await?.is_empty() {
        found.push("rows point at rows that are not there".into());
    }
    Ok(found)
}

/// Whether processes that serve had not stopped when the database was as it is.
///
/// # Errors
/// When the database cannot be read.
pub async fn was_served(via: &mut impl Via) -> Result<bool, StoreError> {
    Ok(run!(via, fetch_one, sqlx::query_scalar::<_, i64>(NODES))? > 0)
}

/// Remembers that a backup was made.
///
/// # Errors
/// When the database cannot be written.
pub async fn record(db: &Db, at: Moment) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    changed!(&mut tx, sqlx::query(RECORD).bind(at.ms()))?;
    tx.save_unaudited(Unaudited::BackupMade).await
}

/// When the last backup was made; `None` when none is known of.
///
/// # Errors
/// When the database cannot be read.
pub async fn last(via: &mut impl Via) -> Result<Option<Moment>, StoreError> {
    let at = run!(via, fetch_optional, sqlx::query_scalar::<_, i64>(LAST))?;
    Ok(at.map(Moment::from_ms))
}
