//! Streams whose clients have left. They are read to the end, so that what is recorded is what the provider charges.
//!
//! A reading is bounded in time and size, and so is the number of them. What is not read to its end is charged the output
//! that was reserved for it, where the model may have reasoned unseen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Longer than nearly every answer takes. Until then the request keeps its reservation from others.
const MAX_TIME: Duration = Duration::from_secs(300);
/// The longest answers of today, 128,000 tokens, with 500 bytes of an event around each.
const MAX_BYTES: usize = 64 << 20;
/// Each holds a connection to a provider, and many processes may have no more than 1,024 files open.
const MAX_READINGS: usize = 256;

/// Shared by all requests of the process.
#[derive(Clone)]
pub struct Readings {
    slots: Arc<Semaphore>,
    #[cfg(test)]
    max: usize,
    time: Duration,
    bytes: usize,
}

impl Default for Readings {
    fn default() -> Self {
        Self::new(MAX_READINGS, MAX_TIME, MAX_BYTES)
    }
}

impl Readings {
    /// So many at the same time, each for so long and so many bytes.
    pub fn new(count: usize, time: Duration, bytes: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(count)),
            #[cfg(test)]
            max: count,
            time,
            bytes,
        }
    }

    /// How many are under way.
    #[cfg(test)]
    pub fn under_way(&self) -> usize {
        self.max - self.slots.available_permits()
    }

    /// `None` when there are too many.
    pub fn begin(&self) -> Option<Reading> {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            tracing::warn!(
                "too many streams without a client: the provider is stopped and the reservation charged"
            );
            return None;
        };
        Some(Reading { _slot: slot, until: Instant::now() + self.time, bytes: self.bytes })
    }
}

/// One stream that is read on.
pub struct Reading {
    _slot: OwnedSemaphorePermit,
    /// When it is given up.
    pub until: Instant,
    bytes: usize,
}

impl Reading {
    /// Whether so many bytes more are within its bound.
    pub fn takes(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }
}
