//! Streams whose clients have left. They are read to the end, so that what is recorded is what the provider charges.
//!
//! A reading is bounded in time and size, and so is the number of them. What is not read to its end is charged the output
//! that was reserved for it, where the model may have reasoned unseen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keydesk_core::domain::ids::KeyId;
use tokio::time::Instant;

/// Longer than nearly every answer takes. Until then the request keeps its reservation from others.
const MAX_TIME: Duration = Duration::from_secs(300);
/// The longest answers of today, 128,000 tokens, with 500 bytes of an event around each.
const MAX_BYTES: usize = 64 << 20;
/// Each holds a connection to a provider, and many processes may have no more than 1,024 files open.
const MAX_READINGS: usize = 256;
/// One key has no more than this part of them, so that it leaves some to the others.
const SHARE: usize = 4;

/// Shared by all requests of the process.
#[derive(Clone)]
pub struct Readings {
    /// How many each key has.
    under_way: Arc<Mutex<HashMap<KeyId, usize>>>,
    max: usize,
    time: Duration,
    bytes: usize,
}

/// Why a stream is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// Its provider is set to be stopped, or its key has its share of readings.
    Stopped,
    /// All readings are taken, by other keys too.
    TooMany,
}

impl Default for Readings {
    fn default() -> Self {
        Self::new(MAX_READINGS, MAX_TIME, MAX_BYTES)
    }
}

impl Readings {
    /// So many at the same time, each for so long and so many bytes.
    pub fn new(max: usize, time: Duration, bytes: usize) -> Self {
        Self { under_way: Arc::default(), max, time, bytes }
    }

    /// How many are under way.
    #[cfg(test)]
    pub fn under_way(&self) -> usize {
        self.by_key(|by_key| by_key.values().sum())
    }

    fn by_key<T>(&self, look: impl FnOnce(&mut HashMap<KeyId, usize>) -> T) -> T {
        look(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One more for a key.
    ///
    /// # Errors
    /// When there are too many.
    pub fn begin(&self, key: &KeyId) -> Result<Reading, NotRead> {
        let taken = self.by_key(|by_key| {
            let all: usize = by_key.values().sum();
            let own = by_key.get(key).copied().unwrap_or(0);
            if own >= self.max.div_ceil(SHARE) {
                return Err(NotRead::Stopped);
            }
            if all >= self.max {
                return Err(NotRead::TooMany);
            }
            by_key.insert(key.clone(), own + 1);
            Ok(())
        });
        if let Err(why) = taken {
            tracing::warn!(%key, ?why, "too many streams without a client: the provider is stopped");
            return Err(why);
        }
        let until = Instant::now() + self.time;
        Ok(Reading { readings: self.clone(), key: key.clone(), until, bytes: self.bytes })
    }
}

/// One stream that is read on.
pub struct Reading {
    readings: Readings,
    key: KeyId,
    /// When it is given up.
    pub until: Instant,
    bytes: usize,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readings.by_key(|by_key| {
            if let Some(count) = by_key.get_mut(&self.key) {
                *count -= 1;
                if *count == 0 {
                    by_key.remove(&self.key);
                }
            }
        });
    }
}

impl Reading {
    /// Whether so many bytes more are within its bound.
    pub fn takes(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }
}
