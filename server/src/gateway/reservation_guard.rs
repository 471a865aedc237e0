//! Requests in flight: each reservation is settled exactly once. If its guard is dropped unsettled, because its task
//! panicked or the database was not available, it is queued here and a background job settles it.
//!
//! A crash of the process loses the queue; the reservations of such requests expire.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use keydesk_core::Desk;
use keydesk_core::admission::{self, Reservation, Settlement};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::store::StoreError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    requests: Arc<Mutex<BTreeSet<RequestId>>>,
    pending: Arc<Mutex<VecDeque<(Reservation, Settlement)>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InFlight {
    /// Guards a reservation. `expected` is what is settled if the request is interrupted.
    pub fn guard(&self, reservation: Reservation, expected: Settlement) -> ReservationGuard {
        locked(&self.requests).insert(reservation.request().clone());
        ReservationGuard { in_flight: self.clone(), open: Some((reservation, expected)) }
    }

    /// Extends the reservations of all requests in flight.
    ///
    /// # Errors
    /// When the database is not available; the reservations last long enough for further tries.
    pub async fn renew(&self, desk: &Desk) -> Result<(), StoreError> {
        let requests: Vec<RequestId> = locked(&self.requests).iter().cloned().collect();
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

    fn queue(&self, reservation: Reservation, settlement: Settlement) {
        let mut pending = locked(&self.pending);
        if pending.len() < MAX_PENDING {
            pending.push_back((reservation, settlement));
        } else {
            locked(&self.requests).remove(reservation.request());
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
            Ok(_) => self.close(),
            Err(error) => {
                tracing::error!(%error, request.id = %reservation.request(), "not settled yet: retried every second");
                if let Some((reservation, settlement)) = self.open.take() {
                    self.in_flight.queue(reservation, settlement);
                }
            }
        }
    }

    async fn write(mut self, desk: &Desk) -> Result<(), StoreError> {
        if let Some((reservation, settlement)) = &self.open {
            admission::settle(desk, reservation, settlement).await?;
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some((reservation, _)) = self.open.take() {
            locked(&self.in_flight.requests).remove(reservation.request());
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
