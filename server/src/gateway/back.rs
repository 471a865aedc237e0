//! What comes back from a provider, on its way to the client: counted as it passes, and settled before the client has seen
//! its end.
//!
//! A whole answer is gathered first, so that its headers can tell what it cost; its client may hang up meanwhile, and it is
//! paid all the same. A stream goes on as it comes; when its client hangs up, the provider is stopped.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use keydesk_core::Desk;
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::usage::Tokens;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ask::Route;
use super::holding::Holding;
use super::pass::Server;
use super::protocol::{Asker, Fault};
use super::told;
use super::upstream::{Answer, Chunks, Failure};
use super::usage::{Measured, Meter, output_of, told_whole};

/// Up to here a whole answer is gathered. A longer one goes on as it comes.
const MAX_GATHERED: usize = 16 << 20;
/// Of a longer one, where its usage stands.
const END_KEPT: usize = 64 << 10;
/// Chunks on their way to a client that reads slowly.
const CHUNKS_WAITING: usize = 16;
/// A client that reads slowly has this long to see that an answer broke off.
const BROKEN_WITHIN: Duration = Duration::from_secs(30);
/// The usual number for a client that hung up.
pub const HUNG_UP: i64 = 499;

type Deadline = Pin<Box<Sleep>>;
type Outlet = mpsc::Sender<Result<Bytes, Failure>>;

/// A request that was let in, until it is settled.
pub struct Flight {
    pub desk: Desk,
    pub stop: CancellationToken,
    pub asker: Asker,
    pub holding: Holding,
    pub limits: Vec<LimitUse>,
    pub started_at: Moment,
    pub model: Model,
    pub server: Server,
    pub route: Route,
    /// Estimated.
    pub input: i64,
    pub hides_usage: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failure {}

impl Flight {
    pub async fn back(
        mut self,
        back: Answer,
        streams: bool,
        answer: oneshot::Sender<Response>,
        deadline: Deadline,
    ) {
        let first_byte_ms = self.elapsed();
        self.holding.expect(|used| used.first_byte_ms = Some(first_byte_ms));
        let content_type =
            back.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_events = content_type.starts_with("text/event-stream");
        let is_list = streams && self.route == Route::StreamGenerate;
        if back.status.is_success() && (is_events || is_list) {
            self.stream(back, is_events, answer, deadline).await;
        } else {
            self.whole(back, answer, deadline).await;
        }
    }

    async fn whole(mut self, mut back: Answer, answer: oneshot::Sender<Response>, mut deadline: Deadline) {
        let mut gathered = BytesMut::new();
        loop {
            match next(&mut back.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => gathered.extend_from_slice(&bytes),
                Some(Err(failure)) => {
                    self.settle_failed(failure).await;
                    let _ = answer.send(self.fault(failure).into_response());
                    return;
                }
                None => break,
            }
            if gathered.len() > MAX_GATHERED {
                return self.long(back, gathered.freeze(), answer, deadline).await;
            }
        }
        let body = gathered.freeze();
        let measured = self.measured(back.status, &body, false);
        let cost = measured.tokens.cost(&self.model);
        self.settle(i64::from(back.status.as_u16()), measured, None).await;
        let _ = answer.send(self.head(&back, Some(cost), Body::from(body)));
    }

    /// The last chunk is kept back until it is settled.
    async fn long(
        mut self,
        mut back: Answer,
        start: Bytes,
        answer: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let (outlet, body) = outlet();
        let _ = answer.send(self.head(&back, None, body));
        let status = i64::from(back.status.as_u16());
        let mut end = Vec::new();
        let mut last = start;
        let failure = loop {
            end.extend_from_slice(last.get(last.len().saturating_sub(END_KEPT)..).unwrap_or_default());
            end.drain(..end.len().saturating_sub(END_KEPT));
            match next(&mut back.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => {
                    // Whoever hung up pays it all the same; whoever does not read stops at the deadline.
                    if let Err(failure) =
                        release(&outlet, Ok(std::mem::take(&mut last)), &mut deadline, &self.stop).await
                    {
                        break Some(failure);
                    }
                    last = bytes;
                }
                Some(Err(failure)) => break Some(failure),
                None => break None,
            }
        };
        match failure {
            Some(failure) => {
                self.settle(i64::from(failure.status().as_u16()), self.estimate(), None).await;
                broken_off(&outlet, failure).await;
            }
            None => {
                let measured = self.measured(back.status, &end, true);
                self.settle(status, measured, None).await;
                let _ = release(&outlet, Ok(last), &mut deadline, &self.stop).await;
            }
        }
    }

    async fn stream(
        mut self,
        mut back: Answer,
        is_events: bool,
        answer: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let (outlet, body) = outlet();
        let response = self.head(&back, None, body);
        if answer.send(response).is_err() {
            self.settle(HUNG_UP, self.estimate(), None).await;
            return;
        }
        let status = i64::from(back.status.as_u16());
        let mut meter = Meter::new(self.route.shape(), is_events, self.hides_usage);
        let mut first = None;
        let ended = loop {
            let came = tokio::select! {
                came = next(&mut back.chunks, &mut deadline, &self.stop) => came,
                () = outlet.closed() => break Err(None),
            };
            let bytes = match came {
                Some(Ok(bytes)) => bytes,
                Some(Err(failure)) => break Err(Some(failure)),
                None => break Ok(()),
            };
            if first.is_none() {
                first = Some(self.elapsed());
            }
            let shown = meter.feed(bytes);
            let measured = meter.measured(self.input, false);
            self.will_have_used(status, measured, first);
            if meter.is_over() {
                // Its last word is the last that a client waits for.
                self.settle(status, meter.measured(self.input, true), first).await;
            }
            if !shown.is_empty() {
                match release(&outlet, Ok(shown), &mut deadline, &self.stop).await {
                    Ok(true) => {}
                    Ok(false) => break Err(None),
                    Err(failure) => break Err(Some(failure)),
                }
            }
        };
        // Nobody waits for the rest.
        drop(back);
        match ended {
            Ok(()) => {
                let shown = meter.finish();
                self.settle(status, meter.measured(self.input, true), first).await;
                if !shown.is_empty() {
                    let _ = release(&outlet, Ok(shown), &mut deadline, &self.stop).await;
                }
            }
            Err(None) => self.settle(HUNG_UP, meter.measured(self.input, false), first).await,
            Err(Some(failure)) => {
                let status = i64::from(failure.status().as_u16());
                self.settle(status, meter.measured(self.input, false), first).await;
                broken_off(&outlet, failure).await;
            }
        }
    }

    fn measured(&self, status: StatusCode, body: &[u8], end_only: bool) -> Measured {
        match told_whole(self.route.shape(), body, end_only) {
            _ if self.route.is_free() => Measured::NOTHING,
            Some(tokens) => Measured { tokens, estimated: false },
            None if !status.is_success() => Measured::NOTHING,
            None => {
                let output = if self.route == Route::Embeddings { 0 } else { output_of(body) };
                Measured { tokens: Tokens { input: self.input, output, cached: 0 }, estimated: true }
            }
        }
    }

    /// What the provider took in is paid where it may have begun.
    pub async fn settle_failed(&mut self, failure: Failure) {
        let measured = if failure.may_cost() { self.estimate() } else { Measured::NOTHING };
        self.settle(i64::from(failure.status().as_u16()), measured, None).await;
    }

    /// When nobody ever told.
    pub fn estimate(&self) -> Measured {
        if self.route.is_free() {
            return Measured::NOTHING;
        }
        Measured { tokens: Tokens { input: self.input, output: 0, cached: 0 }, estimated: true }
    }

    pub fn will_have_used_input(&mut self) {
        self.will_have_used(i64::from(StatusCode::INTERNAL_SERVER_ERROR.as_u16()), self.estimate(), None);
    }

    fn will_have_used(&mut self, status: i64, measured: Measured, first_byte_ms: Option<i64>) {
        let (cost, latency_ms) = (measured.tokens.cost(&self.model), self.elapsed());
        self.holding.expect(|used| {
            used.status = status;
            used.tokens = measured.tokens;
            used.cost = cost;
            used.estimated = measured.estimated;
            used.latency_ms = latency_ms;
            used.first_byte_ms = first_byte_ms.or(used.first_byte_ms);
        });
    }

    pub async fn settle(&mut self, status: i64, measured: Measured, first_byte_ms: Option<i64>) {
        self.will_have_used(status, measured, first_byte_ms);
        self.holding.settle(&self.desk).await;
    }

    fn elapsed(&self) -> i64 {
        self.desk.now().ms().saturating_sub(self.started_at.ms()).max(0)
    }

    pub fn fault(&self, failure: Failure) -> Fault {
        self.asker.upstream(failure.status(), &failure.sentence(self.server.name()))
    }

    /// Of the provider's headers, what a client gets.
    fn head(&self, back: &Answer, spent: Option<Money>, body: Body) -> Response {
        let mut response = body.into_response();
        *response.status_mut() = back.status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = &back.content_type {
            headers.insert(CONTENT_TYPE, value.clone());
        }
        if let Some(value) = &back.retry_after {
            headers.insert(RETRY_AFTER, value.clone());
        }
        if let Some(value) = &back.request_id {
            headers.insert("x-upstream-request-id", value.clone());
        }
        if spent.is_none() {
            // A proxy in front must not gather what is meant to arrive bit by bit.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        }
        told::add(headers, &self.limits, spent, self.desk.now());
        self.asker.name_request(headers);
        response
    }
}

/// The client sees that it broke off, and not an end.
async fn broken_off(outlet: &Outlet, failure: Failure) {
    let _ = timeout(BROKEN_WITHIN, outlet.send(Err(failure))).await;
}

fn outlet() -> (Outlet, Body) {
    let (outlet, mut chunks) = mpsc::channel(CHUNKS_WAITING);
    (outlet, Body::from_stream(stream::poll_fn(move |context| chunks.poll_recv(context))))
}

async fn next(
    chunks: &mut Chunks,
    deadline: &mut Deadline,
    stop: &CancellationToken,
) -> Option<Result<Bytes, Failure>> {
    tokio::select! {
        came = chunks.next() => came,
        () = deadline => Some(Err(Failure::TimedOut)),
        () = stop.cancelled() => Some(Err(Failure::Broken)),
    }
}

/// `false` when nobody is there to take it.
async fn release(
    outlet: &Outlet,
    bytes: Result<Bytes, Failure>,
    deadline: &mut Deadline,
    stop: &CancellationToken,
) -> Result<bool, Failure> {
    tokio::select! {
        sent = outlet.send(bytes) => Ok(sent.is_ok()),
        () = deadline => Err(Failure::TimedOut),
        () = stop.cancelled() => Err(Failure::Broken),
    }
}
