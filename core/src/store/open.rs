//! Opening a database, and how its schema compares with this program's.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::Executor;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{DatabaseUrl, Db, StoreError, meter, run, search};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// Older releases can corrupt a file that two programs write (fixed in 3.51.3).
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// How the schema of a database compares with this program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// No migration has run: the database is empty or another program's.
    None,
    /// All of this program's migrations have run, and no others.
    Current,
    /// This many of the program's migrations have not run.
    Older {
        /// How many; at least one.
        missing: usize,
    },
    /// A newer program ran migrations that this one does not know; `version` is the newest.
    Newer {
        /// The version of the database's newest migration.
        version: i64,
    },
    /// A migration has another text than here, or broke off.
    Different {
        /// The version of the first such migration.
        version: i64,
    },
}

impl Db {
    /// Opens a database for reading and writing, and makes an SQLite file that is missing. Does not migrate.
    ///
    /// # Errors
    /// When the database cannot be reached, or its SQLite is too old.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                let options = sqlite(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
                Self::open_sqlite(options).await
            }
            DatabaseUrl::Postgres(url) => Self::open_postgres(url, "off").await,
        }
    }

    /// Opens an existing database so that every write fails and no file is left behind.
    ///
    /// # Errors
    /// When the database is missing or cannot be reached, or its SQLite is too old.
    pub async fn open_readonly(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            // With SQLite's own read-only mode the files of the write-ahead log would be left behind.
            DatabaseUrl::Sqlite(path) => Self::open_sqlite(sqlite(path).pragma("query_only", "ON")).await,
            DatabaseUrl::Postgres(url) => Self::open_postgres(url, "on").await,
        }
    }

    async fn open_sqlite(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options.clone())
            .await?;
        let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&writer).await?;
        let numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
        if numbers.as_slice() < &OLDEST_SQLITE[..] {
            return Err(StoreError::TooOld { version });
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        Ok(Db::Sqlite { writer, readers, together: Default::default() })
    }

    async fn open_postgres(url: &str, read_only: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("keydesk").options([
            // Search and filters differ so much in what they match that one plan for all is a bad one.
            ("plan_cache_mode", "force_custom_plan"),
            // What is read often is in memory, so that a row by its index costs little more than the next one.
            ("random_page_cost", "1.1"),
            // Statements are short, so that starting workers or compiling takes longer than it saves.
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
            ("statement_timeout", "15000"),
            ("default_transaction_read_only", read_only),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await?;
        Ok(Db::Postgres(pool))
    }

    /// Brings the schema up to this program's, and makes what only the program can make of the rows. Running it again changes nothing.
    ///
    /// # Errors
    /// When a migration fails, or the database has one that this program does not know.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { writer, .. } => SQLITE.run(writer).await?,
            Db::Postgres(pool) => {
                // A migration of a large table takes longer than a statement may elsewhere.
                let unlimited =
                    PgConnectOptions::clone(&pool.connect_options()).options([("statement_timeout", "0")]);
                let apart = PgPoolOptions::new().max_connections(1).connect_with(unlimited).await?;
                POSTGRES.run(&apart).await?;
                apart.close().await;
                let mut tx = pool.begin().await?;
                // Two that replace one function at once disturb each other.
                tx.execute("SELECT pg_advisory_xact_lock(7)").await?;
                meter::make_functions(&mut tx).await?;
                tx.commit().await?;
            }
        }
        search::fill(self).await
    }

    /// Compares the migrations that have run with this program's, by version and checksum.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema(&self) -> Result<SchemaState, StoreError> {
        let mut read = self.read().await?;
        let applied = run!(
            &mut read,
            fetch_all,
            sqlx::query_as::<_, (i64, bool, Vec<u8>)>(
                "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version"
            )
        );
        let applied = match applied {
            Err(error) if error.is_missing_table() => return Ok(SchemaState::None),
            applied => applied?,
        };
        let known = match self {
            Db::Sqlite { .. } => &SQLITE,
            Db::Postgres(_) => &POSTGRES,
        };
        Ok(compare(known, &applied))
    }
}

fn sqlite(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF")
        // Without it, REPLACE deletes rows behind the back of the triggers that guard the audit.
        .pragma("recursive_triggers", "ON")
        .pragma("cache_size", "-65536")
}

/// `applied` is a version, whether it succeeded, and the checksum of its text.
fn compare(known: &Migrator, applied: &[(i64, bool, Vec<u8>)]) -> SchemaState {
    for (version, success, checksum) in applied {
        match known.iter().find(|migration| migration.version == *version) {
            None => {
                let newest = applied.last().map_or(*version, |(version, _, _)| *version);
                return SchemaState::Newer { version: newest };
            }
            Some(migration) if !success || *migration.checksum != **checksum => {
                return SchemaState::Different { version: *version };
            }
            Some(_) => {}
        }
    }
    match known.iter().count() - applied.len() {
        0 => SchemaState::Current,
        _ if applied.is_empty() => SchemaState::None,
        missing => SchemaState::Older { missing },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(count: usize) -> Vec<(i64, bool, Vec<u8>)> {
        SQLITE.iter().take(count).map(|one| (one.version, true, one.checksum.to_vec())).collect()
    }

    #[test]
    fn a_schema_is_compared_by_versions_and_checksums() {
        let all = SQLITE.iter().count();
        assert_eq!(compare(&SQLITE, &applied(all)), SchemaState::Current);
        assert_eq!(compare(&SQLITE, &applied(all - 1)), SchemaState::Older { missing: 1 });
        assert_eq!(compare(&SQLITE, &[]), SchemaState::None);

        // As many migrations as here, but not the same ones.
        let mut other = applied(all - 1);
        other.push((9_999, true, vec![1]));
        assert_eq!(compare(&SQLITE, &other), SchemaState::Newer { version: 9_999 });
        let mut rewritten = applied(all);
        rewritten[1].2[0] ^= 1;
        assert_eq!(compare(&SQLITE, &rewritten), SchemaState::Different { version: rewritten[1].0 });
        let mut broken_off = applied(all);
        broken_off[0].1 = false;
        assert_eq!(compare(&SQLITE, &broken_off), SchemaState::Different { version: broken_off[0].0 });
    }
}
