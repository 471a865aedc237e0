//! What the database alone takes: the rows of an operation, read through an index and nothing else. The bench compares
//! operations with these; nothing else uses them.

use super::Unaudited;
use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{Db, StoreError, Via, changed, run, settlement, statements};
use crate::domain::ids::OrgId;
use crate::domain::key_format::SecretHash;

type Row = (
    i64,
    String,
    String,
    String,
    Option<String>,
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    Option<i64>,
    i64,
    Option<i64>,
    i64,
);

statements! {
    NEWEST = "SELECT seq, id, name, note, team_id, owner_id, status, status_at, prefix, last_four, model_scope, addresses,
            expires_at, created_at, last_used_at, version
        FROM keys WHERE org_id = $1 AND status NOT IN ('expired', 'revoked') ORDER BY seq DESC LIMIT $2";
    PAGE_BY_NAME = "SELECT seq, id, name, note, team_id, owner_id, status, status_at, prefix, last_four, model_scope, addresses,
            expires_at, created_at, last_used_at, version
        FROM keys WHERE org_id = $1 AND status NOT IN ('expired', 'revoked') AND (name_folded, seq) > ($2, 0)
        ORDER BY name_folded, seq LIMIT $3";
    DURABLE_ROW = "INSERT INTO throttles (kind, subject, failures, last_at) VALUES ('search', $1, 1, 0)
        ON CONFLICT (kind, subject) DO UPDATE SET failures = throttles.failures + 1";
    SECRET_ROW = "SELECT key_id FROM key_secrets WHERE hash = $1";
    HASHES = "SELECT hash, key_id FROM key_secrets";
}

fn ids_text(dialect: Dialect) -> String {
    format!(
        "SELECT seq, id, name, note, team_id, owner_id, status, status_at, prefix, last_four, model_scope, addresses,
            expires_at, created_at, last_used_at, version
        FROM keys WHERE id IN {}",
        dialect.json_list("$1")
    )
}

/// The newest live keys; says how many.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest(via: &mut impl Via, org: &OrgId, rows: i64) -> Result<usize, StoreError> {
    let found: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(NEWEST).bind(org.as_str()).bind(rows))?;
    Ok(found.len())
}

/// Live keys from a name on; says how many.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_name(via: &mut impl Via, org: &OrgId, from: &str, rows: i64) -> Result<usize, StoreError> {
    let found: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(PAGE_BY_NAME).bind(org.as_str()).bind(from).bind(rows)
    )?;
    Ok(found.len())
}

/// These keys; `ids` is a JSON list. Says how many.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_ids(via: &mut impl Via, ids: &str) -> Result<usize, StoreError> {
    let text = ids_text(Dialect::of(via));
    let found: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())).bind(ids))?;
    Ok(found.len())
}

/// The one row of a secret.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_hash(via: &mut impl Via, hash: &SecretHash) -> Result<usize, StoreError> {
    let found: Option<String> = run!(
        via,
        fetch_optional,
        sqlx::query_scalar::<_, String>(SECRET_ROW).bind(hash.as_bytes().as_slice())
    )?;
    Ok(found.iter().len())
}

/// The key of every secret, for a map in memory. What is no hash is left out.
///
/// # Errors
/// When the database cannot be read.
pub async fn hashes(via: &mut impl Via) -> Result<Vec<([u8; 32], String)>, StoreError> {
    let rows: Vec<(Vec<u8>, String)> = run!(via, fetch_all, sqlx::query_as::<_, (Vec<u8>, String)>(HASHES))?;
    Ok(rows.into_iter().filter_map(|(hash, key)| Some((hash.try_into().ok()?, key))).collect())
}

/// The statements with which a request is settled or released, to tell them from the others of a request.
pub fn settlement_texts(db: &Db) -> Vec<String> {
    settlement::texts(match db {
        Db::Sqlite { .. } => Dialect::Sqlite,
        Db::Postgres(..) => Dialect::Postgres,
    })
}

/// Rows from a number on, written together so that they are there after a crash.
///
/// # Errors
/// When the database cannot be written.
pub async fn durable_rows(db: &Db, first: u64, count: u64) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    for number in first..first + count {
        changed!(&mut tx, sqlx::query(DURABLE_ROW).bind(format!("bench {number}")))?;
    }
    tx.save_unaudited(Unaudited::Bench).await
}
