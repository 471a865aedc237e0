//! Request bodies that no handler read, because the request was answered before.
//!
//! A connection that is closed with unread bytes in it is reset, and the reset overtakes the answer: clients report a broken
//! pipe, and proxies make a 502 of it. So the rest of a body is read and thrown away, within bounds, and an answer whose
//! connection cannot be used again says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

/// Many clients read no answer while they still send, so it waits for them this long.
const BEFORE_ANSWER: Duration = Duration::from_secs(5);
/// The answer is sent then, and the rest is read this long from the beginning.
const IN_ALL: Duration = Duration::from_secs(20);
/// Twice the longest body that is accepted.
const MAX_DRAINED: usize = 64 << 20;

/// A body, until it is over.
#[derive(Default)]
struct Rest {
    body: Option<BodyDataStream>,
    is_begun: bool,
}

/// Stands around all routes, and reads what they leave of a body.
pub async fn unread(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let has_expect = parts.headers.contains_key(EXPECT);
    let version = parts.version;
    let rest = Arc::new(Mutex::new(Rest { body: Some(body.into_data_stream()), is_begun: false }));
    let shared = rest.clone();
    let body = stream::poll_fn(move |context| {
        let mut rest = shared.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_begun = true;
        let Some(stream) = &mut rest.body else { return Poll::Ready(None) };
        let polled = stream.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            rest.body = None;
        }
        polled
    });
    let mut response = next.run(Request::from_parts(parts, Body::from_stream(body))).await;
    let rest = std::mem::take(&mut *rest.lock().unwrap_or_else(PoisonError::into_inner));
    let Some(body) = rest.body else { return response };
    // A client that first asks whether to send has not sent anything yet, and is not told to.
    let is_over = (rest.is_begun || !has_expect) && discard(body).await;
    if !is_over && version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a body and throws it away; after a while it goes on in the background. `true` when it is over.
async fn discard(mut rest: BodyDataStream) -> bool {
    let reading = tokio::spawn(timeout(IN_ALL, async move {
        let mut left = MAX_DRAINED;
        while let Some(Ok(bytes)) = rest.next().await {
            match left.checked_sub(bytes.len()) {
                Some(fewer) => left = fewer,
                None => return false,
            }
        }
        true
    }));
    matches!(timeout(BEFORE_ANSWER, reading).await, Ok(Ok(Ok(true))))
}
