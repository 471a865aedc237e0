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

    /// The database is away, overloaded, full, locked or may only be read, so that trying again later may help.
    pub fn is_outage(&self) -> bool {
        match self {
            StoreError::Lost => true,
            StoreError::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_outage_code(&code))
            }
            StoreError::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::BeginFailed
                    | sqlx::Error::InvalidSavePointStatement
            ),
            _ => false,
        }
    }

    /// It would meet any other statement too.
    pub(super) fn is_everywhere(&self) -> bool {
        self.is_outage() && !self.is_contention()
    }

    /// On Postgres: a transaction met another one, or a statement took too long.
    pub(super) fn is_contention(&self) -> bool {
        let StoreError::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| is_contention_code(&code))
    }
}

fn is_contention_code(code: &str) -> bool {
    ["40001", "40P01", "55P03", "57014"].contains(&code)
}

/// Postgres has five characters, SQLite a number whose last eight bits say what happened.
fn is_outage_code(code: &str) -> bool {
    match code.parse::<u32>() {
        // Busy, locked, read-only, an error of the disk, full, cannot be opened.
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14),
        // Connection, resources, shutting down and the system; a deadlock, read-only, a lock or a statement that took too long.
        _ => {
            ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
                || code == "25006"
                || is_contention_code(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_an_outage_and_a_mistake_is_none() {
        for code in ["5", "517", "13", "8", "1032", "10", "778", "53100", "25006", "57P01", "55P03", "08006"]
        {
            assert!(is_outage_code(code), "{code}");
        }
        for code in ["1", "19", "2067", "1555", "42501", "23505", "22021", "42P01"] {
            assert!(!is_outage_code(code), "{code}");
        }
    }
}
