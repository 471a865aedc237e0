//! Programs that write the same SQLite file. SQLite gives its write lock to the program that happens to ask at the right moment, and
//! a gateway under load leaves very few of them: so a program that is about to begin has a lock on a file beside the
//! database, and no other begins before it does.
//!
//! A program that does not know of this file may have the write lock, too. The first to find that has waited five seconds;
//! those who come within the next second wait only briefly, so that a request that writes several times waits once.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{Mutex as Queue, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

use super::StoreError;

/// For the connection that writes and for the lock together.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const BRIEFLY: Duration = Duration::from_millis(100);
const REMEMBERED: Duration = Duration::from_secs(1);
/// A program that waits asks SQLite at least every 100 ms, so this is enough for one that is not stopped.
const TURN_WITHIN: Duration = Duration::from_millis(250);
const TURN_ASKED_EVERY: Duration = Duration::from_millis(1);

/// Clones share it.
#[derive(Clone, Default)]
pub struct ForeignLock {
    /// When the write lock was last found to be taken.
    found: Arc<Mutex<Option<Instant>>>,
    /// `None` where the file cannot be made: then there are no turns.
    turns: Option<Arc<Turns>>,
}

struct Turns {
    file: File,
    /// This process's own tasks, which the file's lock does not tell apart.
    queue: Queue<()>,
}

/// Ended when dropped.
struct Turn<'a> {
    file: &'a File,
    _queue: MutexGuard<'a, ()>,
}

impl ForeignLock {
    /// For the database in this file.
    pub(super) fn beside(database: &Path) -> Self {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path(database));
        let turns = file.ok().map(|file| Arc::new(Turns { file, queue: Queue::default() }));
        Self { turns, ..Self::default() }
    }

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
        let begin = async {
            let _turn = self.turn().await;
            writer.begin_with("BEGIN IMMEDIATE").await
        };
        // Given up in the middle, the connection rolls back by itself before it is used again.
        let begun = timeout(patience, begin).await;
        let begun = begun.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(StoreError::from);
        let failed = begun.as_ref().is_err_and(StoreError::is_outage);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = failed.then(Instant::now);
        begun
    }

    fn found(&self) -> Option<Instant> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when another program has it for too long, as one does that is stopped, or does not get SQLite's lock either.
    async fn turn(&self) -> Option<Turn<'_>> {
        let turns = self.turns.as_deref()?;
        let queue = turns.queue.lock().await;
        let since = Instant::now();
        loop {
            match turns.file.try_lock() {
                Ok(()) => return Some(Turn { file: &turns.file, _queue: queue }),
                Err(TryLockError::WouldBlock) if since.elapsed() < TURN_WITHIN => {
                    sleep(TURN_ASKED_EVERY).await
                }
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _ = self.file.unlock();
    }
}

/// `keydesk.sqlite.turn` for `keydesk.sqlite`. The file stays, as the one of `ServingLock` does.
fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".turn");
    path.into()
}
