//! All the SQL there is. One text serves SQLite and Postgres; what differs stands in `dialect`.
//!
//! Reads take anything that has a connection (`Via`); writes take a `Tx`, and those that people ask for a permit, which
//! they compare with the row and charge to the transaction (see `tx`). The store decides nothing: it finds (`Option`),
//! lists, writes and says how many rows changed.

pub mod admission;
pub mod alert_channels;
pub mod alert_outbox;
pub mod alert_sources;
pub mod alerts;
pub mod asks;
pub mod attempts;
pub mod audit;
pub mod audit_list;
pub mod backup;
pub mod bench_baseline;
pub mod bench_usage;
pub mod budget_marks;
pub mod bulk;
pub mod config_changes;
mod config_watch;
mod constraints;
pub mod dialect;
mod error;
mod foreign_lock;
pub mod grants;
mod group_commit;
pub mod installation;
pub mod installation_keys;
pub mod invitations;
pub mod kept_forms;
pub mod key_list;
mod key_list_sql;
mod key_row;
pub mod keys;
pub mod leaks;
pub mod ledger;
pub mod links;
pub mod members;
pub mod meter;
pub mod models;
pub mod months;
pub mod names;
pub mod nodes;
mod open;
pub mod org_queues;
pub mod orgs;
pub mod overview;
pub mod past_usage;
pub mod people;
mod permit;
mod pooler;
mod pools;
pub mod present_spend;
pub mod prices;
pub mod provider_watch;
pub mod providers;
pub mod quotas;
pub mod readiness;
pub mod rejections;
pub mod repair;
pub mod report;
pub mod requests;
mod requests_sql;
pub mod rerating;
pub mod retention;
pub mod rollups;
mod search;
mod search_sql;
pub mod second_factor;
pub mod secrets;
pub mod serving_lock;
pub mod sessions;
pub mod settlement;
pub mod settlement_writer;
pub mod shadow_limits;
pub mod spend;
pub mod spend_checks;
pub mod sums;
pub mod support;
pub mod teams;
pub mod throttle;
mod tx;
pub mod verify;

pub use config_watch::{ConfigWatch, Lease, Seen};
pub use constraints::ConstraintViolation;
pub use error::StoreError;
pub use open::SchemaState;
pub use tx::{Tx, Unaudited};

use std::path::PathBuf;

use crate::domain::moment::Moment;
use sqlx::{Executor, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

/// Declares statements, and `ALL` of a file's for the test that prepares each on both databases.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$doc])* const $name: &str = $text;)+
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}
pub(super) use statements;

/// Runs one query on whichever database the connection belongs to: text, binds and row type are written once, and each
/// arm compiles them against its own driver.
macro_rules! run {
    ($via:expr, $how:ident, $query:expr) => {
        match $crate::store::Via::conn($via) {
            $crate::store::Conn::Sqlite(conn) => {
                $query.$how(conn).await.map_err($crate::store::StoreError::from)
            }
            $crate::store::Conn::Postgres(conn, keep) => {
                $query.persistent(keep).$how(conn).await.map_err($crate::store::StoreError::from)
            }
        }
    };
}
pub(super) use run;

/// Like `run!` for a statement that answers no rows; gives how many rows it changed.
macro_rules! changed {
    ($via:expr, $query:expr) => {
        match $crate::store::Via::conn($via) {
            $crate::store::Conn::Sqlite(conn) => $query
                .execute(conn)
                .await
                .map(|done| done.rows_affected())
                .map_err($crate::store::StoreError::from),
            $crate::store::Conn::Postgres(conn, keep) => $query
                .persistent(keep)
                .execute(conn)
                .await
                .map(|done| done.rows_affected())
                .map_err($crate::store::StoreError::from),
        }
    };
}
pub(super) use changed;

const POSTGRES_CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// One file, made when it is missing.
    Sqlite(PathBuf),
    /// A `postgres://` address; kept out of `Debug` elsewhere, as it may contain a password.
    Postgres(String),
}

/// An open database; clones share its connections.
#[derive(Clone)]
pub enum Db {
    /// SQLite has one writer at a time, so one connection writes and the others read.
    Sqlite {
        /// One connection; a writer waits up to 5 seconds for it and the write lock.
        writer: SqlitePool,
        /// Up to eight connections, on which every write fails.
        readers: SqlitePool,
        /// Runs the small writes of concurrent requests in one transaction.
        together: group_commit::WriteBatcher,
        /// Turns with other programs that write, and whether one was lately found to hold the write lock.
        foreign_lock: foreign_lock::ForeignLock,
        /// What this process knows of changes to the configuration.
        config: ConfigWatch,
    },
    /// One pool of up to 16 connections, for reads and writes, and what this process knows of changes to the configuration.
    Postgres(PgPool, ConfigWatch),
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A borrowed connection, by its database.
pub enum Conn<'a> {
    /// To SQLite.
    Sqlite(&'a mut SqliteConnection),
    /// To Postgres, and whether it keeps prepared statements.
    Postgres(&'a mut PgConnection, bool),
}

/// Anything that statements can run on.
pub trait Via: Send {
    /// The connection that the next statement runs on.
    fn conn(&mut self) -> Conn<'_>;
}

/// A connection for reading.
pub enum Reader {
    /// From the pool of readers; every write on it fails.
    Sqlite(sqlx::pool::PoolConnection<Sqlite>),
    /// From the one pool; it can also write.
    Postgres(sqlx::pool::PoolConnection<Postgres>),
    /// Behind a pooler: a transaction, so that its statements reach one connection. What it wrote counts after `done`.
    Pooled(Transaction<'static, Postgres>),
    /// A transaction that sees one moment.
    SqliteMoment(Transaction<'static, Sqlite>),
    /// The same, and whether its connection keeps prepared statements.
    PostgresMoment(Transaction<'static, Postgres>, bool),
}

impl Reader {
    /// Keeps what was written through it; without this, a transaction behind a pooler writes nothing.
    pub(super) async fn done(self) -> Result<(), StoreError> {
        if let Reader::Pooled(tx) = self {
            tx.commit().await?;
        }
        Ok(())
    }
}

impl Via for Reader {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Reader::Sqlite(conn) => Conn::Sqlite(conn),
            Reader::Postgres(conn) => Conn::Postgres(conn, true),
            Reader::Pooled(tx) => Conn::Postgres(tx, false),
            Reader::SqliteMoment(tx) => Conn::Sqlite(tx),
            Reader::PostgresMoment(tx, keeps) => Conn::Postgres(tx, *keeps),
        }
    }
}

impl Db {
    /// The database's name for people: `SQLite` or `Postgres`.
    pub fn name(&self) -> &'static str {
        match self {
            Db::Sqlite { .. } => "SQLite",
            Db::Postgres(..) => "Postgres",
        }
    }

    /// Whether a pooler gives a connection for one transaction at a time.
    pub fn is_pooled(&self) -> bool {
        matches!(self, Db::Postgres(pool, _) if pooler::begin(pool).is_some())
    }

    /// A connection for reading; it returns to its pool when it is dropped.
    ///
    /// # Errors
    /// `Database` when no connection is free within 5 seconds or the database cannot be reached.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        Ok(match self {
            Db::Sqlite { readers, .. } => Reader::Sqlite(readers.acquire().await?),
            Db::Postgres(pool, _) => match pooler::begin(pool) {
                Some(begin) => Reader::Pooled(pool.begin_with(begin).await?),
                None => Reader::Postgres(pool.acquire().await?),
            },
        })
    }

    /// Like `read`, and every statement sees the same moment: for figures that are read apart and have to add up while
    /// requests are settled.
    ///
    /// # Errors
    /// As `read`.
    pub async fn read_one_moment(&self) -> Result<Reader, StoreError> {
        Ok(match self {
            Db::Sqlite { readers, .. } => Reader::SqliteMoment(readers.begin().await?),
            Db::Postgres(pool, _) => {
                let (mut tx, keeps) = match pooler::begin(pool) {
                    Some(begin) => (pool.begin_with(begin).await?, false),
                    None => (pool.begin().await?, true),
                };
                tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
                Reader::PostgresMoment(tx, keeps)
            }
        })
    }

    /// A transaction that will write. SQLite takes its one write lock now, so that two writers queue instead of one
    /// failing half way: a read that becomes a write cannot wait.
    ///
    /// # Errors
    /// `Database` when no connection or write lock is free in time, or the database cannot be reached.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Db::Sqlite { writer, foreign_lock, .. } => {
                Tx::sqlite(foreign_lock.begin(writer).await?, self.clone())
            }
            Db::Postgres(pool, _) => match pooler::begin(pool) {
                Some(begin) => Tx::postgres(pool.begin_with(begin).await?, false, self.clone()),
                None => Tx::postgres(pool.begin().await?, true, self.clone()),
            },
        })
    }

    /// What this process knows of changes to the configuration.
    pub fn config(&self) -> &ConfigWatch {
        match self {
            Db::Sqlite { config, .. } | Db::Postgres(_, config) => config,
        }
    }

    /// The same database for several transactions in a row, none of which waits until every node has seen it. Before they are
    /// answered, `wait_until_seen` has to be called.
    pub fn waiting_once(&self) -> Self {
        let mut same = self.clone();
        let (Db::Sqlite { config, .. } | Db::Postgres(_, config)) = &mut same;
        *config = config.waiting_once();
        same
    }

    /// Waits until every node has seen what is committed.
    pub async fn wait_until_seen(&self) {
        config_changes::wait_until_seen(self).await;
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut read = self.read().await?;
        run!(&mut read, fetch_one, sqlx::query_scalar::<_, i32>("SELECT 1"))?;
        Ok(())
    }

    /// The database's own clock; `None` on SQLite, which has the machine's.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn clock(&self) -> Result<Option<Moment>, StoreError> {
        if let Db::Sqlite { .. } = self {
            return Ok(None);
        }
        let mut read = self.read().await?;
        let ms = run!(&mut read, fetch_one, sqlx::query_scalar::<_, i64>(POSTGRES_CLOCK))?;
        Ok(Some(Moment::from_ms(ms)))
    }

    /// Closes all connections, after those in use have returned to their pool.
    pub async fn close(&self) {
        match self {
            Db::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Db::Postgres(pool, _) => pool.close().await,
        }
    }

    /// Refreshes what the planner knows about the tables; after a large load, and now and then.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn analyze(&self) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { writer, .. } => writer.execute("ANALYZE").await.map(|_| ())?,
            Db::Postgres(pool, _) => pool.execute("ANALYZE").await.map(|_| ())?,
        }
        Ok(())
    }
}

/// Every fixed statement, for the test that prepares each on both databases.
pub fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        admission::ALL,
        alert_channels::ALL,
        alert_outbox::ALL,
        alert_sources::ALL,
        alerts::ALL,
        asks::ALL,
        attempts::ALL,
        audit::ALL,
        audit_list::ALL,
        backup::ALL,
        bench_baseline::ALL,
        config_changes::ALL,
        grants::ALL,
        bench_usage::ALL,
        installation::ALL,
        invitations::ALL,
        kept_forms::ALL,
        keys::ALL,
        ledger::ALL,
        links::ALL,
        members::ALL,
        meter::ALL,
        models::ALL,
        nodes::ALL,
        orgs::ALL,
        overview::ALL,
        people::ALL,
        present_spend::ALL,
        prices::ALL,
        provider_watch::ALL,
        providers::ALL,
        quotas::ALL,
        leaks::ALL,
        readiness::ALL,
        rejections::ALL,
        search::ALL,
        repair::ALL,
        requests::ALL,
        rerating::ALL,
        retention::ALL,
        rollups::ALL,
        second_factor::ALL,
        secrets::ALL,
        sessions::ALL,
        shadow_limits::ALL,
        spend::ALL,
        spend_checks::ALL,
        sums::ALL,
        teams::ALL,
        support::ALL,
        throttle::ALL,
        verify::ALL,
    ]
    .concat()
}
