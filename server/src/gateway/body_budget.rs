//! A limit on the memory that request bodies take together, so that clients with large or slow bodies wait for each other
//! and not everyone for them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The longest body, in bytes.
pub const MAX_BODY: usize = 32 << 20;
/// KiB for all bodies together. While a body is parsed, there may be three copies of it.
const BUDGET_KIB: usize = 512 << 10;
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Gives back what a body does not need, once it is read: its length may have been unknown.
pub fn keep_for(share: &mut OwnedSemaphorePermit, bytes: usize) {
    let spare = share.num_permits().saturating_sub(kib(bytes));
    drop(share.split(spare));
}

fn kib(bytes: usize) -> usize {
    bytes / 1024 + 1
}

/// Shared by all requests of the process.
#[derive(Clone)]
pub struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_KIB)))
    }
}

impl BodyBudget {
    /// Takes as much as the announced length, or as the longest body when none is announced or it is compressed, until it
    /// is dropped. `None` when there is not enough in time.
    pub async fn acquire(&self, headers: &HeaderMap) -> Option<OwnedSemaphorePermit> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .filter(|_| !headers.contains_key(CONTENT_ENCODING))
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let kib = kib(announced.unwrap_or(MAX_BODY).min(MAX_BODY));
        let share = self.0.clone().acquire_many_owned(u32::try_from(kib).ok()?);
        timeout(MAX_WAIT, share).await.ok()?.ok()
    }
}
