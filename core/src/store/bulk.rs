//! Many keys at once, for seeds and benches: a hundred thousand keys through single inserts take too long to wait for.
//! It writes the same columns as `keys::insert`, with a permit, but no audit events; nothing that people do uses it.

use sqlx::{AssertSqlSafe, Connection};

use super::keys::{NewKey, scope_kind, self_rotation};
use super::permit::compare;
use super::{Db, StoreError, Tx, changed, search};
use crate::domain::ids::{PersonId, TeamId};
use crate::domain::key::Status;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::person::fold;
use crate::domain::policy::{Action, Permit};
use crate::domain::scope::ModelScope;

/// A new key with some of the life that others would give it later.
pub struct SeedKey<'a> {
    /// The key and its secret.
    pub new: NewKey<'a>,
    /// The key's status, since it was made.
    pub status: Status,
    /// `None` for a key that was never used.
    pub last_used_at: Option<Moment>,
    /// The month's start, and what the key's counter of that month holds.
    pub month: Option<(Moment, Money)>,
}

/// Rows of one statement. More would be slower: SQLite looks each parameter up by name among all the others.
const ROWS: usize = 50;

/// `INSERT INTO … VALUES ($1, $2), ($3, $4) …` for this many rows.
fn text(into: &str, columns: usize, rows: usize) -> String {
    let row = |row: usize| {
        let parameters: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", parameters.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {into} VALUES {}", rows.join(", "))
}

/// Runs one multi-row insert: the same binds, in the same order, for each row.
macro_rules! insert_rows {
    ($tx:expr, $into:expr, $columns:expr, $rows:expr, |$query:ident, $row:ident| $bound:expr) => {
        if !$rows.is_empty() {
            let statement = text($into, $columns, $rows.len());
            changed!($tx, {
                let mut $query = sqlx::query(AssertSqlSafe(statement.clone()));
                for $row in $rows.iter() {
                    $query = $bound;
                }
                $query
            })?;
        }
    };
}

/// # Errors
/// `ConstraintViolation(KeyName)` when two live keys of one team have a name.
pub async fn insert_keys(tx: &mut Tx, permit: &Permit, keys: &[SeedKey<'_>]) -> Result<(), StoreError> {
    compare(permit, &[Action::CreateKey], Some(permit.org().as_str()))?;
    let org = permit.org().as_str();
    for keys in keys.chunks(ROWS) {
        let into = "keys (id, org_id, team_id, owner_id, name, name_folded, note, status, status_at, status_by, prefix,
            last_four, model_scope, addresses, rpm, tpm, concurrent, expires_at, created_at, created_by, last_used_at, version,
            secret_created_at, rotate_days, self_rotation)";
        insert_rows!(&mut *tx, into, 25, keys, |query, key| {
            let (new, spec) = (&key.new, key.new.spec);
            query
                .bind(new.id.as_str())
                .bind(org)
                .bind(spec.team.as_ref().map(TeamId::as_str))
                .bind(new.owner.as_str())
                .bind(&spec.name)
                .bind(fold(&spec.name))
                .bind(&spec.note)
                .bind(key.status.as_str())
                .bind(new.now.ms())
                .bind(new.created_by.map(PersonId::as_str))
                .bind(new.prefix)
                .bind(new.last_four)
                .bind(scope_kind(&spec.models))
                .bind(spec.addresses.lines())
                .bind(spec.limits.rpm)
                .bind(spec.limits.tpm)
                .bind(spec.limits.concurrent)
                .bind(spec.expires_at.map(Moment::ms))
                .bind(new.now.ms())
                .bind(new.created_by.map(PersonId::as_str))
                .bind(key.last_used_at.map(Moment::ms))
                .bind(1_i64)
                .bind(new.now.ms())
                .bind(spec.rotate_days)
                .bind(self_rotation(spec))
        });
        // The rows of `keys` have made their own numbers.
        let texts =
            text("key_search (seq, org_id, text) SELECT k.seq, k.org_id, v.column2 FROM (", 2, keys.len());
        let statement = format!("{texts}) v JOIN keys k ON k.id = v.column1");
        changed!(&mut *tx, {
            let mut query = sqlx::query(AssertSqlSafe(statement.clone()));
            for key in keys {
                query = query.bind(key.new.id.as_str()).bind(search::text_of(key.new.spec));
            }
            query
        })?;
        let into = "key_secrets (id, org_id, key_id, hash, prefix, last_four, created_at)";
        insert_rows!(&mut *tx, into, 7, keys, |query, key| {
            let new = &key.new;
            query
                .bind(new.secret_id.as_str())
                .bind(org)
                .bind(new.id.as_str())
                .bind(new.hash.as_bytes().as_slice())
                .bind(new.prefix)
                .bind(new.last_four)
                .bind(new.now.ms())
        });
        let patterns: Vec<_> = keys
            .iter()
            .filter_map(|key| match &key.new.spec.models {
                ModelScope::Every => None,
                ModelScope::Listed(patterns) => Some((key.new.id, patterns)),
            })
            .flat_map(|(id, patterns)| patterns.iter().map(move |pattern| (id, pattern)))
            .collect();
        for patterns in patterns.chunks(ROWS) {
            let into = "scopes (holder_kind, holder_id, pattern, org_id)";
            insert_rows!(&mut *tx, into, 4, patterns, |query, row| {
                query.bind("key").bind(row.0.as_str()).bind(row.1.as_str()).bind(org)
            });
        }
        let budgets: Vec<_> = keys
            .iter()
            .flat_map(|key| key.new.spec.budgets.iter().map(move |budget| (key.new.id, budget)))
            .collect();
        for budgets in budgets.chunks(ROWS) {
            let into = "budgets (holder_kind, holder_id, period, org_id, amount)";
            insert_rows!(&mut *tx, into, 5, budgets, |query, row| {
                query
                    .bind("key")
                    .bind(row.0.as_str())
                    .bind(row.1.period.as_str())
                    .bind(org)
                    .bind(row.1.amount.nanos())
            });
        }
        let months: Vec<_> = keys
            .iter()
            .filter_map(|key| key.month.map(|(start, spent)| (key.new.id, start, spent)))
            .collect();
        let into = "counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)";
        insert_rows!(&mut *tx, into, 8, months, |query, row| {
            query
                .bind("key")
                .bind(row.0.as_str())
                .bind("month")
                .bind(row.1.ms())
                .bind(org)
                .bind(row.2.nanos())
                .bind(100_i64)
                .bind(1_000_000_i64)
        });
    }
    Ok(())
}

/// After a large load: what the database would do by itself in its own time, now.
///
/// # Errors
/// When the database cannot be written.
pub async fn settle(db: &Db) -> Result<(), StoreError> {
    let Db::Postgres(pool, _) = db else { return db.analyze().await };
    // The connection leaves the pool for good, so that its missing time limit is no one else's, whatever fails here.
    let mut conn = pool.acquire().await?.detach();
    sqlx::query("SET statement_timeout = 0").execute(&mut conn).await?;
    sqlx::query("VACUUM ANALYZE").execute(&mut conn).await?;
    Ok(conn.close().await?)
}

/// A database of its own on a Postgres server. `name` has only lower-case letters, digits and `_`.
///
/// # Errors
/// When the server cannot create it, for example because it exists.
pub async fn create_database(server: &Db, name: &str) -> Result<(), StoreError> {
    on_server(server, format!("CREATE DATABASE {}", checked(name))).await
}

/// Removes what `create_database` made.
///
/// # Errors
/// When the server cannot remove it; it need not exist.
pub async fn drop_database(server: &Db, name: &str) -> Result<(), StoreError> {
    on_server(server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", checked(name))).await
}

/// Names cannot be parameters, so this is what keeps them from being more than names.
fn checked(name: &str) -> &str {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!name.is_empty() && name.chars().all(plain), "{name:?} is not a plain name");
    name
}

async fn on_server(server: &Db, statement: String) -> Result<(), StoreError> {
    if let Db::Postgres(pool, _) = server {
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
    }
    Ok(())
}
