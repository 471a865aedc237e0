//! What can go wrong below an operation. Its text is for logs: nothing of it reaches a browser.

use super::constraints::ConstraintViolation;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A write broke a uniqueness rule; it changed no row.
    #[error("{0:?} is taken")]
    ConstraintViolation(ConstraintViolation),
    /// A stored value has no meaning for this program, such as a word that only a newer one knows.
    #[error("the column {column} holds what this program cannot read")]
    Unreadable {
        /// The column, usually with its table: `keys.status`.
        column: &'static str,
    },
    /// The SQLite that the program runs with is older than 3.51.3.
    #[error("SQLite {version} is too old: releases before 3.51.3 can corrupt a file that two programs write")]
    TooOld {
        /// The version that was found, such as `3.45.1`.
        version: String,
    },
    /// A mistake of the program: the write was stopped.
    #[error("{0}")]
    WrongPermit(String),
    /// A mistake of the program: the transaction was not committed.
    #[error("{0}")]
    Unaudited(String),
    /// A shared transaction was not committed, or there was no turn at the database in time.
    #[error("the transaction that this was a part of could not be written")]
    Lost,
    /// A migration failed, or the database has one that this program does not know.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database returned an error, cannot be reached, or had no connection free in time.
    #[error("database: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => {
                StoreError::ConstraintViolation(ConstraintViolation::of(database))
            }
            _ => StoreError::Database(error),
        }
    }
}

impl StoreError {
    /// The statement names a table that the database does not have.
    pub(super) fn is_missing_table(&self) -> bool {
        let StoreError::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().as_deref() == Some("42P01") || error.message().starts_with("no such table")
    }

    /// The login of this process may not do that, such as a gateway's with the least privileges.
    pub fn is_denied(&self) -> bool {
        let StoreError::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().as_deref() == Some("42501")
    }

    /// The database is away or overloaded, so that trying again later may help.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            StoreError::Lost
                | StoreError::Database(
                    sqlx::Error::Io(_)
                        | sqlx::Error::PoolTimedOut
                        | sqlx::Error::PoolClosed
                        | sqlx::Error::WorkerCrashed
                )
        )
    }
}
