//! The database admits requests of one organisation one after the other. On Postgres each request that waits there takes
//! a connection, so most of them wait here, and one organisation's requests leave connections to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Db, StoreError};
use crate::domain::ids::OrgId;

/// Requests of one organisation at the database at the same time.
const MAX_AT_DATABASE: usize = 4;
const MAX_WAIT: Duration = Duration::from_secs(5);
/// With this many queues, those without waiting requests are dropped.
const MAX_QUEUES: usize = 1_000;

/// One queue for each organisation; clones share them.
#[derive(Clone, Default)]
pub struct OrgQueues(Arc<Mutex<HashMap<OrgId, Arc<Semaphore>>>>);

impl OrgQueues {
    /// A turn at the database, until it is dropped. SQLite has one writer and no connections to save, so it has no queue.
    ///
    /// # Errors
    /// `Lost` when there is no turn in time.
    pub async fn turn(&self, db: &Db, org: &OrgId) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        if matches!(db, Db::Sqlite { .. }) {
            return Ok(None);
        }
        let queue = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if queues.len() >= MAX_QUEUES {
                queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            }
            queues.entry(org.clone()).or_insert_with(|| Arc::new(Semaphore::new(MAX_AT_DATABASE))).clone()
        };
        match timeout(MAX_WAIT, queue.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            _ => Err(StoreError::Lost),
        }
    }
}
