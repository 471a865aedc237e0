//! Requests under way: what they hold is settled exactly once, whatever becomes of them. A request that ends without a word,
//! because its task broke down or the database was away, waits here and is settled by `jobs`.
//!
//! A crash of the program loses what is in here. What such requests held ends with their leases.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keydesk_core::Desk;
use keydesk_core::admission::{self, Reserved, Used};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::store::StoreError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Ended requests that wait for the database. Beyond this they are lost, and each loss is logged.
const MAX_WAITING: usize = 100_000;
/// Once the program has no more time.
const STOP_SETTLES_WITHIN: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub struct UnderWay {
    /// One for each request; a stop waits for them.
    pub tasks: TaskTracker,
    /// Tells them that there is no more time.
    pub stop: CancellationToken,
    requests: Arc<Mutex<BTreeSet<RequestId>>>,
    waiting: Arc<Mutex<VecDeque<(Reserved, Used)>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UnderWay {
    /// `used` is what it comes to if nobody ever says otherwise.
    pub fn hold(&self, reserved: Reserved, used: Used) -> Holding {
        locked(&self.requests).insert(reserved.request().clone());
        Holding { under_way: self.clone(), open: Some((reserved, used)) }
    }

    /// Moves the leases of what is under way on.
    ///
    /// # Errors
    /// When the database is away; the leases last long enough for more turns.
    pub async fn renew(&self, desk: &Desk) -> Result<(), StoreError> {
        let requests: Vec<RequestId> = locked(&self.requests).iter().cloned().collect();
        if requests.is_empty() { Ok(()) } else { admission::renew(desk, &requests).await }
    }

    /// Settles what waits.
    ///
    /// # Errors
    /// When the database is still away; what is not settled goes on waiting.
    pub async fn settle_waiting(&self, desk: &Desk) -> Result<(), StoreError> {
        let count = locked(&self.waiting).len();
        for _ in 0..count {
            let Some((reserved, used)) = locked(&self.waiting).pop_front() else { break };
            // Put away again if this is broken off.
            let holding = Holding { under_way: self.clone(), open: Some((reserved, used)) };
            holding.write(desk).await?;
        }
        Ok(())
    }

    pub fn waiting(&self) -> usize {
        locked(&self.waiting).len()
    }

    fn wait(&self, reserved: Reserved, used: Used) {
        let mut waiting = locked(&self.waiting);
        if waiting.len() < MAX_WAITING {
            waiting.push_back((reserved, used));
        } else {
            locked(&self.requests).remove(reserved.request());
            tracing::error!(request.id = %reserved.request(), ?used, "a settled request is lost: too many wait for the database");
        }
    }
}

/// A request that holds its part. Dropped unsettled, it waits to be settled as it stood.
pub struct Holding {
    under_way: UnderWay,
    open: Option<(Reserved, Used)>,
}

impl Holding {
    /// Changes what it comes to if this breaks off.
    pub fn expect(&mut self, change: impl FnOnce(&mut Used)) {
        if let Some((_, used)) = &mut self.open {
            change(used);
        }
    }

    /// Writes what it came to; when the database is away, it is written later. After the first time it does nothing.
    pub async fn settle(&mut self, desk: &Desk) {
        let Some((reserved, used)) = &self.open else { return };
        // A stop does not wait for a database that is away: what is not settled by then waits with the others.
        let stop = &self.under_way.stop;
        let out_of_time = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_SETTLES_WITHIN).await;
        };
        let settled = tokio::select! {
            settled = admission::settle(desk, reserved, used) => settled,
            () = out_of_time => Err(StoreError::Lost),
        };
        match settled {
            Ok(_) => self.done(),
            Err(error) => {
                tracing::error!(%error, request.id = %reserved.request(), "not settled yet: tried again every second");
                // Waits from now on, without another word here.
                if let Some((reserved, used)) = self.open.take() {
                    self.under_way.wait(reserved, used);
                }
            }
        }
    }

    async fn write(mut self, desk: &Desk) -> Result<(), StoreError> {
        if let Some((reserved, used)) = &self.open {
            admission::settle(desk, reserved, used).await?;
            self.done();
        }
        Ok(())
    }

    fn done(&mut self) {
        if let Some((reserved, _)) = self.open.take() {
            locked(&self.under_way.requests).remove(reserved.request());
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some((reserved, used)) = self.open.take() {
            self.under_way.wait(reserved, used);
        }
    }
}
