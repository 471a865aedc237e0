//! Responses that are no stream. They are collected first, so that their headers can tell the remaining budget; one is
//! relayed as it arrives where there is no room for it, or where it is too long.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use keydesk_core::domain::route::Route;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{CUT_OFF, Relay, next};
use crate::gateway::outlet::{Deadline, Outlet, PIECE, outlet, send_chunk, send_error};
use crate::gateway::provider_error;
use crate::gateway::room::{Room, Share};
use crate::gateway::silence::Late;
use crate::gateway::upstream::{UpstreamError, UpstreamResponse};
use crate::gateway::usage::{MeasuredTokens, stored_ids};

/// A whole response up to this size is collected. A longer one is relayed as it arrives.
const MAX_COLLECTED: usize = 16 << 20;
/// The end of a longer one, which contains its usage.
const END_KEPT: usize = 64 << 10;
/// For all that are collected and not yet sent.
const COLLECTED_SMALL: usize = 32 << 20;
const COLLECTED_LARGE: usize = 64 << 20;
/// A collected response up to this size is settled before it is sent; a larger one before its last piece, so that it counts
/// as in flight while its client does not read it.
const SENT_AT_ONCE: usize = 64 << 10;
/// The longest response in place of a stream that is passed on as an event.
const MAX_LATE: usize = 1 << 20;
/// How long a client may take to read a collected response.
const READ_WITHIN: Duration = Duration::from_secs(300);

/// For the responses of all requests.
pub fn room() -> Room {
    Room::new(COLLECTED_SMALL, COLLECTED_LARGE)
}

/// A collected response, with its room until the last of it is sent.
struct Collected {
    bytes: Bytes,
    _room: Share,
}

impl AsRef<[u8]> for Collected {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Appends, with a quarter of spare room at most: doubled, many responses together would take twice the room that they have.
fn append(collected: &mut Vec<u8>, bytes: &[u8]) {
    if collected.capacity() - collected.len() < bytes.len() {
        collected.reserve_exact(bytes.len().max(collected.len() / 4));
    }
    collected.extend_from_slice(bytes);
}

impl Relay {
    /// A response that is no stream, for a client that has the head of one: it gets an event.
    pub(super) async fn late(mut self, mut response: UpstreamResponse, late: Late, mut deadline: Deadline) {
        let mut collected = BytesMut::new();
        let mut room = self.room.share(self.holder.clone());
        let failure = loop {
            let bytes = match next(&mut response.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    self.note_provider_failure(error, "");
                    break Some(error);
                }
                None => break None,
            };
            if collected.len() + bytes.len() > MAX_LATE || room.grow(bytes.len()).is_err() {
                break Some(UpstreamError::Broken);
            }
            collected.extend_from_slice(&bytes);
        };
        let retry_after = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let failure = failure.or_else(|| {
            let refused = provider_error::of_account(response.status, retry_after, &collected)?;
            self.log_refused(refused, &provider_error::text_of(&collected));
            Some(refused)
        });
        if let Some(error) = failure {
            self.settle_failed(error).await;
            return late.fail(&self.upstream_error(error).body()).await;
        }
        let measured = self.measured(response.status, &collected, false);
        let is_success = response.status.is_success();
        if !is_success {
            self.note_error(&provider_error::text_of(&collected));
        }
        self.settle(i64::from(response.status.as_u16()), measured, None).await;
        let body = serde_json::from_slice::<Value>(&collected).ok();
        match body {
            Some(body) if is_success => late.answer(&body).await,
            Some(body) if body.get("error").is_some_and(Value::is_object) => late.fail(&body).await,
            _ => {
                let error = self.client.provider_answered(response.status, self.provider_name());
                late.fail(&error.body()).await;
            }
        }
    }

    pub(super) async fn whole(
        mut self,
        mut response: UpstreamResponse,
        respond: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let mut collected = Vec::new();
        let mut room = self.room.share(self.holder.clone());
        loop {
            let bytes = match next(&mut response.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    self.note_provider_failure(error, "");
                    self.settle_failed(error).await;
                    let _ = respond.send(self.upstream_error(error).into_response());
                    return;
                }
                None => break,
            };
            append(&mut collected, &bytes);
            let is_too_long = collected.len() > MAX_COLLECTED;
            // An error is looked at before it is passed on, whatever room there is for its beginning.
            let is_seen = response.status.is_success() || collected.len() > SENT_AT_ONCE;
            if (room.grow(bytes.len()).is_err() && is_seen) || is_too_long {
                let start = Bytes::from_owner(Collected { bytes: collected.into(), _room: room });
                return self.long(response, start, respond, deadline).await;
            }
        }
        let body = Bytes::from_owner(Collected { bytes: collected.into(), _room: room });
        let retry_after = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        if let Some(error) = provider_error::of_account(response.status, retry_after, &body) {
            self.log_refused(error, &provider_error::text_of(&body));
            self.settle_failed(error).await;
            let _ = respond.send(self.upstream_error(error).into_response());
            return;
        }
        let measured = self.measured(response.status, &body, false);
        let cost = self.bill(measured.clone()).cost;
        if self.route == Route::Responses
            && let Ok(value) = serde_json::from_slice(&body)
        {
            self.note_stored(&stored_ids(&value), &measured);
        }
        if response.status.is_client_error() || response.status.is_server_error() {
            self.note_error(&provider_error::text_of(&body));
        }
        let status = i64::from(response.status.as_u16());
        if body.len() <= SENT_AT_ONCE {
            self.settle(status, measured, None).await;
            let _ = respond.send(self.head(&response, Some(cost), Body::from(body)));
            return;
        }
        let (outlet, rest) = outlet();
        let mut answer = self.head(&response, Some(cost), rest);
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let _ = respond.send(answer);
        // The provider is done.
        drop(response);
        deadline.as_mut().reset(Instant::now() + READ_WITHIN);
        self.send_collected(status, measured, body, outlet, deadline).await;
    }

    /// The last piece is held back until the request is settled.
    async fn send_collected(
        mut self,
        status: i64,
        measured: MeasuredTokens,
        mut body: Bytes,
        outlet: Outlet,
        mut deadline: Deadline,
    ) {
        let last = body.split_off(body.len() - PIECE);
        // What a stop of the gateway cuts off was answered as far as the provider goes.
        self.expect(status, measured.clone(), None);
        match send_chunk(&outlet, body, &mut deadline, &self.stop).await {
            Ok(true) => {
                self.settle(status, measured, None).await;
                let _ = send_chunk(&outlet, last, &mut deadline, &self.stop).await;
            }
            Ok(false) => self.settle(status, measured, None).await,
            Err(error) => {
                self.settle(CUT_OFF, measured, None).await;
                send_error(&outlet, error).await;
            }
        }
    }

    /// The last chunk is held back until the request is settled.
    async fn long(
        mut self,
        mut response: UpstreamResponse,
        start: Bytes,
        respond: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let (outlet, body) = outlet();
        let _ = respond.send(self.head(&response, None, body));
        let status = i64::from(response.status.as_u16());
        let mut end = Vec::new();
        let mut last = start;
        let mut left = None;
        let failure = loop {
            end.extend_from_slice(last.get(last.len().saturating_sub(END_KEPT)..).unwrap_or_default());
            end.drain(..end.len().saturating_sub(END_KEPT));
            match next(&mut response.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => {
                    // A client that disconnected is still charged; one that does not read is cut off at the deadline.
                    let sent = std::mem::replace(&mut last, bytes);
                    if left.is_none()
                        && let Err(error) = send_chunk(&outlet, sent, &mut deadline, &self.stop).await
                    {
                        // A whole response is read whole, whatever the provider's setting for streams is.
                        left = self.read_on(&mut deadline).ok();
                        if left.is_none() || self.stop.is_cancelled() {
                            break Some(error);
                        }
                    }
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        match failure {
            Some(error) => {
                self.note_upstream_error(error);
                let measured = self.cut_short(error, self.estimate());
                self.settle(i64::from(error.status().as_u16()), measured, None).await;
                send_error(&outlet, error).await;
            }
            None if left.is_some() => {
                let measured = self.measured(response.status, &end, true);
                self.note_upstream_error(UpstreamError::TimedOut);
                self.settle(CUT_OFF, measured, None).await;
                send_error(&outlet, UpstreamError::TimedOut).await;
            }
            None => {
                let measured = self.measured(response.status, &end, true);
                self.settle(status, measured, None).await;
                let _ = send_chunk(&outlet, last, &mut deadline, &self.stop).await;
            }
        }
    }
}
