//! Opening a database, and how its schema compares with this program's.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor};

use super::foreign_lock::{ForeignLock, PATIENCE};
use super::{ConfigWatch, DatabaseUrl, Db, StoreError, meter, pooler, rollups, run, search};

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
                make_private(path).map_err(sqlx::Error::Io)?;
                let options = sqlite(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
                Self::open_sqlite(options, ForeignLock::beside(path)).await
            }
            DatabaseUrl::Postgres(url) => {
                Ok(Db::Postgres(pooler::connect(url, false).await?, ConfigWatch::default()))
            }
        }
    }

    /// Opens an existing database so that every write fails and no file is left behind.
    ///
    /// # Errors
    /// When the database is missing or cannot be reached, or its SQLite is too old.
    pub async fn open_readonly(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            // With SQLite's own read-only mode the files of the write-ahead log would be left behind.
            DatabaseUrl::Sqlite(path) => {
                let options = sqlite(path).pragma("query_only", "ON");
                Self::open_sqlite(options, ForeignLock::default()).await
            }
            DatabaseUrl::Postgres(url) => {
                Ok(Db::Postgres(pooler::connect(url, true).await?, ConfigWatch::default()))
            }
        }
    }

    async fn open_sqlite(
        options: SqliteConnectOptions,
        foreign_lock: ForeignLock,
    ) -> Result<Self, StoreError> {
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            // A full disk can end a transaction behind the driver's back, and its roll-back then fails: such a connection
            // would refuse every transaction from then on. Another one takes its place.
            .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
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
        Ok(Db::Sqlite {
            writer,
            readers,
            together: Default::default(),
            foreign_lock,
            config: ConfigWatch::default(),
        })
    }

    /// Brings the schema up to this program's, and makes what only the program can make of the rows. Running it again changes nothing.
    ///
    /// # Errors
    /// When a migration fails, or the database has one that this program does not know.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { writer, .. } => SQLITE.run(writer).await?,
            Db::Postgres(pool, _) => {
                // One transaction for all of it, so that it also works behind a pooler, and is done whole or not at all.
                let mut tx = pool.begin().await?;
                // A migration of a large table takes longer than a statement may elsewhere, and so does waiting for another
                // node's.
                // Triggers that wait for the commit would keep a later statement from changing their table.
                tx.execute(
                    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET CONSTRAINTS ALL IMMEDIATE;
                    SELECT pg_advisory_xact_lock(7)",
                )
                .await?;
                // The migrator's statements have names, which a pooler's connection may have from another program.
                let forget = pooler::begin(pool).map_or("", |_| "DEALLOCATE ALL");
                tx.execute(forget).await?;
                let migrations = POSTGRES.migrations.clone();
                let migrator = Migrator { locking: false, migrations, ..Migrator::DEFAULT };
                migrator.run_direct(None, &mut *tx, false).await?;
                meter::make_functions(&mut tx).await?;
                tx.execute(forget).await?;
                tx.commit().await?;
            }
        }
        search::fill(self).await?;
        rollups::fill(self).await
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
            Db::Postgres(..) => &POSTGRES,
        };
        Ok(compare(known, &applied))
    }
}

/// Makes a missing file for its owner alone, whatever the folder allows. SQLite gives its other files the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn sqlite(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
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
