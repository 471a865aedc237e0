//! Another program may have SQLite's write lock. The first to find that has waited five seconds; those who come
//! within the next second wait only briefly, so that a request that writes several times waits once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::time::{Instant, timeout};

use super::StoreError;

/// For the connection that writes and for the lock together.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const BRIEFLY: Duration = Duration::from_millis(100);
const REMEMBERED: Duration = Duration::from_secs(1);

/// When the lock was last found to be taken; clones share it.
#[derive(Clone, Default)]
pub struct ForeignLock(Arc<Mutex<Option<Instant>>>);

impl ForeignLock {
    /// A transaction that has the write lock.
    ///
    /// # Errors
    /// `Database` when it is not free in time.
    pub(super) async fn begin(
        &self,
        writer: &SqlitePool,
    ) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let is_locked = self.found().is_some_and(|found| found.elapsed() < REMEMBERED);
        let patience = if is_locked { BRIEFLY } else { PATIENCE };
        // Given up in the middle, the connection rolls back by itself before it is used again.
        let begun = timeout(patience, writer.begin_with("BEGIN IMMEDIATE")).await;
        let begun = begun.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(StoreError::from);
        let failed = begun.as_ref().is_err_and(StoreError::is_outage);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failed.then(Instant::now);
        begun
    }

    fn found(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
