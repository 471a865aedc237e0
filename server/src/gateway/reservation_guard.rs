//! Requests in flight: each reservation is settled exactly once. If its guard is dropped unsettled, because its task
//! panicked or the database was not available, it is queued here and a background job settles it.
//!
//! A crash of the process loses the queue; the reservations of such requests expire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use keydesk_core::Desk;
use keydesk_core::admission::{self, Reservation, Settlement};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;

/// Settlements that wait for the database. Beyond this they are lost, and each loss is logged.
const MAX_PENDING: usize = 100_000;
/// So many of them are written together.
const TOGETHER: usize = 256;
/// How long a settlement may take once the process stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Every request in flight of this process.
#[derive(Clone, Default)]
pub struct InFlight {
    /// One for each request; a stop waits for them.
    pub tasks: TaskTracker,
    /// Cancelled when the process no longer waits for them.
    pub stop: CancellationToken,
    /// Since when each is over, and waits to be settled.
    requests: Arc<Mutex<BTreeMap<RequestId, Option<Instant>>>>,
    metrics: Metrics,
    pending: Arc<Mutex<VecDeque<(Reservation, Settlement)>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many requests are not settled yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// All of them, most of which are under way.
    pub reserved: usize,
    /// Those that are over.
    pub ended: usize,
    /// How long the first of these has been.
    pub lag: Duration,
    /// Those that could not be written.
    pub queued: usize,
}

impl InFlight {
    /// Whose settlements are counted.
    pub fn measured(metrics: Metrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// Guards a reservation. `expected` is what is settled if the request is interrupted.
    pub fn guard(&self, reservation: Reservation, expected: Settlement) -> ReservationGuard {
        locked(&self.requests).insert(reservation.request().clone(), None);
        ReservationGuard { in_flight: self.clone(), open: Some((reservation, expected)) }
    }

    /// Extends the reservations of all requests in flight.
    ///
    /// # Errors
    /// When the database is not available; the reservations last long enough for further tries.
    pub async fn renew(&self, desk: &Desk) -> Result<(), StoreError> {
        let requests: Vec<RequestId> = locked(&self.requests).keys().cloned().collect();
        if requests.is_empty() { Ok(()) } else { admission::renew(desk, &requests).await }
    }

    /// Settles what is queued.
    ///
    /// # Errors
    /// When the database is not available; what is not settled stays queued.
    pub async fn settle_pending(&self, desk: &Desk) -> Result<(), StoreError> {
        let mut left = locked(&self.pending).len();
        while left > 0 {
            let count = left.min(TOGETHER);
            left -= count;
            let some: Vec<_> = {
                let mut pending = locked(&self.pending);
                let count = count.min(pending.len());
                pending.drain(..count).collect()
            };
            // Their guards queue them again if this is interrupted.
            let guards = some
                .into_iter()
                .map(|open| ReservationGuard { in_flight: self.clone(), open: Some(open) })
                .collect::<Vec<_>>();
            for written in join_all(guards.into_iter().map(|guard| guard.write(desk))).await {
                written?;
            }
        }
        Ok(())
    }

    /// How many settlements are queued.
    pub fn pending(&self) -> usize {
        locked(&self.pending).len()
    }

    /// What waits now.
    pub fn unsettled(&self) -> Unsettled {
        let queued = self.pending();
        let requests = locked(&self.requests);
        let ended = requests.values().flatten();
        let lag = ended.clone().min().map(Instant::elapsed).unwrap_or_default();
        Unsettled { reserved: requests.len(), ended: ended.count(), lag, queued }
    }

    /// The request is over.
    fn end(&self, request: &RequestId) {
        if let Some(since) = locked(&self.requests).get_mut(request) {
            since.get_or_insert_with(Instant::now);
        }
    }

    fn queue(&self, reservation: Reservation, settlement: Settlement) {
        self.end(reservation.request());
        let mut pending = locked(&self.pending);
        if pending.len() < MAX_PENDING {
            pending.push_back((reservation, settlement));
        } else {
            locked(&self.requests).remove(reservation.request());
            self.metrics.settlement_lost();
            tracing::error!(request.id = %reservation.request(), ?settlement, "a settlement is lost: too many wait for the database");
        }
    }
}

/// A reservation that is not settled yet.
pub struct ReservationGuard {
    in_flight: InFlight,
    open: Option<(Reservation, Settlement)>,
}

impl ReservationGuard {
    /// Changes what is settled if the request is interrupted.
    pub fn expect(&mut self, change: impl FnOnce(&mut Settlement)) {
        if let Some((_, settlement)) = &mut self.open {
            change(settlement);
        }
    }

    /// Writes the settlement, or queues it when the database is not available. After the first call it does nothing.
    pub async fn settle(&mut self, desk: &Desk) {
        let Some((reservation, settlement)) = &self.open else { return };
        self.in_flight.end(reservation.request());
        // A stop does not wait for a database that is not available: the settlement is queued.
        let stop = &self.in_flight.stop;
        let out_of_time = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        let settled = tokio::select! {
            settled = admission::settle(desk, reservation, settlement) => settled,
            () = out_of_time => Err(StoreError::Lost),
        };
        match settled {
            Ok(counted) => self.close(counted),
            Err(error) => {
                self.in_flight.metrics.not_settled();
                tracing::error!(%error, request.id = %reservation.request(), "not settled yet: retried every second");
                if let Some((reservation, settlement)) = self.open.take() {
                    self.in_flight.queue(reservation, settlement);
                }
            }
        }
    }

    /// The same for a request that cost nothing: where no other request waits for what it frees, it is settled behind its
    /// answer, with others, while not too many are.
    pub async fn settle_behind(mut self, desk: &Desk) {
        let Some((reservation, settlement)) = &self.open else { return };
        if admission::end(reservation, settlement) && desk.settlements.has_room(&desk.db) {
            let (tasks, desk) = (self.in_flight.tasks.clone(), desk.clone());
            tasks.spawn(async move { self.settle(&desk).await });
        } else {
            self.settle(desk).await;
        }
    }

    async fn write(mut self, desk: &Desk) -> Result<(), StoreError> {
        if let Some((reservation, settlement)) = &self.open {
            let counted = admission::settle(desk, reservation, settlement).await?;
            self.close(counted);
        }
        Ok(())
    }

    /// It is settled, by this call or before.
    fn close(&mut self, counted: bool) {
        let Some((reservation, settlement)) = self.open.take() else { return };
        let since = locked(&self.in_flight.requests).remove(reservation.request()).flatten();
        if counted {
            let after = since.as_ref().map(Instant::elapsed).unwrap_or_default();
            self.in_flight.metrics.settled(settlement.bill.cost, after);
        }
    }
}

impl Drop for ReservationGuard {
    fn drop(&mut self) {
        if let Some((reservation, settlement)) = self.open.take() {
            self.in_flight.queue(reservation, settlement);
        }
    }
}
