//! Room in memory for the bodies of requests: clients that send much, or announce much and send it slowly, wait for each
//! other before they take what everybody needs.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::pass::MAX_BODY;

/// KiB, for all together. While a body is looked through, there may be three of it.
const ROOM: usize = 512 << 10;
const WAIT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

impl Bodies {
    /// Until it is dropped, there is room for a body as long as was announced, or for the longest when nothing was. `None`
    /// when others did not make room in time.
    pub async fn room_for(&self, headers: &HeaderMap) -> Option<OwnedSemaphorePermit> {
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let kib = announced.unwrap_or(MAX_BODY).min(MAX_BODY) / 1024 + 1;
        let room = self.0.clone().acquire_many_owned(u32::try_from(kib).ok()?);
        timeout(WAIT, room).await.ok()?.ok()
    }
}
