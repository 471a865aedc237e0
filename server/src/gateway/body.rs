//! Reading the body of a request, after its key was checked: as its bytes come, into room that it shares with others,
//! within a time, and not slower than a least speed.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use keydesk_core::domain::request_log::RequestFailure;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::compression::Compression;
use super::protocol::{ApiError, ClientContext};
use super::room::{NoRoom, Room, Share};

/// The longest body, in bytes.
pub const MAX_BODY: usize = 32 << 20;
/// While a body is parsed, there may be three copies of it.
const ALL_SMALL: usize = 64 << 20;
const ALL_LARGE: usize = 512 << 20;
/// A body may pause this long, and longer for each KiB that it has sent.
const PATIENCE: Duration = Duration::from_secs(10);
const LEAST_BYTES_A_SECOND: u32 = 1 << 10;
/// A decoder takes up to 16 MiB, whatever the body's size is. None waits for a client: it begins when all is here.
static DECODERS: Semaphore = Semaphore::const_new(4);

const UNKNOWN_COMPRESSION: &str = "The request's body is compressed in an unknown way. Send it as gzip, deflate, br or zstd, or without content-encoding.";
const BROKEN_COMPRESSION: &str =
    "The request's body is not compressed as its content-encoding says, or is cut off.";
const CUT_OFF: &str = "The connection closed before the end of the request's body.";

/// For the bodies of all requests.
pub fn room() -> Room {
    Room::new(ALL_SMALL, ALL_LARGE)
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    TooSlow,
    NoRoom,
    UnknownCompression,
    BrokenCompression,
    CutOff,
}

impl From<NoRoom> for BodyError {
    fn from(_: NoRoom) -> Self {
        BodyError::NoRoom
    }
}

impl BodyError {
    /// As it is counted for a key.
    pub fn failure(self) -> RequestFailure {
        match self {
            BodyError::TooLarge => RequestFailure::BodyTooLarge,
            BodyError::TooSlow => RequestFailure::BodyTooSlow,
            BodyError::NoRoom => RequestFailure::Overloaded,
            BodyError::UnknownCompression | BodyError::BrokenCompression | BodyError::CutOff => {
                RequestFailure::InvalidBody
            }
        }
    }

    pub fn answer(self, client: &ClientContext) -> ApiError {
        match self {
            BodyError::TooLarge => client.too_large(),
            BodyError::TooSlow => client.too_slow(),
            BodyError::NoRoom => client.overloaded(),
            BodyError::UnknownCompression => client.bad_request(UNKNOWN_COMPRESSION),
            BodyError::BrokenCompression => client.bad_request(BROKEN_COMPRESSION),
            BodyError::CutOff => client.bad_request(CUT_OFF),
        }
    }
}

/// Reads a body of `max` bytes at most, compressed or not. The share is what it takes, also after it is read.
///
/// # Errors
/// When it is not read to its end. The rest of it is not read here.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    within: Duration,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(BodyError::TooLarge);
    }
    let compression = Compression::of(headers).map_err(|_| BodyError::UnknownCompression)?;
    let read = receive(body, max, within, share).await?;
    match compression {
        None => Ok(read),
        Some(compression) => inflate(compression, read, max, share).await,
    }
}

async fn receive(body: Body, max: usize, within: Duration, share: &mut Share) -> Result<Bytes, BodyError> {
    let began = Instant::now();
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    loop {
        let earned = Duration::from_secs(read.len() as u64) / LEAST_BYTES_A_SECOND;
        let until = began + within.min(PATIENCE + earned);
        let chunk = match timeout_at(until, chunks.next()).await.map_err(|_| BodyError::TooSlow)? {
            None => return Ok(Bytes::from(read)),
            Some(chunk) => chunk.map_err(|_| BodyError::CutOff)?,
        };
        add(&mut read, &chunk, max, share)?;
    }
}

async fn inflate(
    compression: Compression,
    compressed: Bytes,
    max: usize,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let _turn = DECODERS.acquire().await.map_err(|_| BodyError::NoRoom)?;
    let mut chunks = compression.inflate(stream::iter([io::Result::Ok(compressed)]), usize::MAX);
    let mut read = Vec::new();
    while let Some(chunk) = chunks.next().await {
        add(&mut read, &chunk.map_err(|_| BodyError::BrokenCompression)?, max, share)?;
        // Everything is here, so nothing else makes room for other requests.
        yield_now().await;
    }
    drop(chunks);
    share.keep(read.len());
    Ok(Bytes::from(read))
}

fn add(read: &mut Vec<u8>, chunk: &[u8], max: usize, share: &mut Share) -> Result<(), BodyError> {
    if read.len() + chunk.len() > max {
        return Err(BodyError::TooLarge);
    }
    share.grow(chunk.len())?;
    read.extend_from_slice(chunk);
    Ok(())
}
