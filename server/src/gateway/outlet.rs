//! The way of a response to its client, in pieces, so that what waits for one that reads slowly is bounded.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::upstream::UpstreamError;

/// What the provider sends is cut into pieces of this size.
pub const PIECE: usize = 16 << 10;
/// Pieces that wait for a client.
const PIECES_WAITING: usize = 8;
/// How long a client that reads slowly has to receive the error at the end of its response.
const ERROR_TIMEOUT: Duration = Duration::from_secs(30);

pub type Deadline = Pin<Box<Sleep>>;
pub type Outlet = mpsc::Sender<Result<Bytes, UpstreamError>>;

/// Ends the response of a client that may not read, without waiting for it.
pub fn cut_off(outlet: &Outlet) {
    let outlet = outlet.clone();
    tokio::spawn(async move { send_error(&outlet, UpstreamError::TimedOut).await });
}

/// Ends the response with an error, so that the client does not take it for complete.
pub async fn send_error(outlet: &Outlet, error: UpstreamError) {
    let _ = timeout(ERROR_TIMEOUT, outlet.send(Err(error))).await;
}

pub fn outlet() -> (Outlet, Body) {
    let (outlet, mut pieces) = mpsc::channel(PIECES_WAITING);
    (outlet, Body::from_stream(stream::poll_fn(move |context| pieces.poll_recv(context))))
}

/// Sends it in pieces, so that what waits for a client is bounded. `false` when the client is gone.
pub async fn send_chunk(
    outlet: &Outlet,
    mut bytes: Bytes,
    deadline: &mut Deadline,
    stop: &CancellationToken,
) -> Result<bool, UpstreamError> {
    while !bytes.is_empty() {
        // A piece of what was received would keep all of it.
        let piece = Bytes::copy_from_slice(&bytes.split_to(bytes.len().min(PIECE)));
        let is_sent = tokio::select! {
            sent = outlet.send(Ok(piece)) => sent.is_ok(),
            () = &mut *deadline => return Err(UpstreamError::TimedOut),
            () = stop.cancelled() => return Err(UpstreamError::Broken),
        };
        if !is_sent {
            return Ok(false);
        }
    }
    Ok(true)
}
