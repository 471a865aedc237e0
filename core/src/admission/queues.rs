//! Requests of one organisation are let in one after the other by the database. On Postgres each that waits there has a
//! connection in its hands, so most of them wait here: one organisation's flood leaves connections to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::domain::ids::OrgId;
use crate::store::{Db, StoreError};

/// Of one organisation, at the database at once.
const AT_ONCE: usize = 4;
const WAIT: Duration = Duration::from_secs(5);
/// Organisations beyond which those without anybody waiting are forgotten.
const KEPT: usize = 1_000;

#[derive(Clone, Default)]
pub struct Queues(Arc<Mutex<HashMap<OrgId, Arc<Semaphore>>>>);

impl Queues {
    /// A turn, until it is dropped. SQLite has one writer and no connections to lose: there nobody waits here.
    ///
    /// # Errors
    /// `Lost` when it does not come in time.
    pub async fn turn(&self, db: &Db, org: &OrgId) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        if matches!(db, Db::Sqlite { .. }) {
            return Ok(None);
        }
        let queue = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if queues.len() >= KEPT {
                queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            }
            queues.entry(org.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        match timeout(WAIT, queue.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            _ => Err(StoreError::Lost),
        }
    }
}
