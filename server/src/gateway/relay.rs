//! The response of a provider on its way to the client: measured as it passes, and settled before the client sees its end.
//!
//! A whole response is collected first, so that its headers can tell the remaining budget; it is charged also when the
//! client disconnects meanwhile. A stream is relayed as it arrives; when its client disconnects, the provider is stopped.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use keydesk_core::Desk;
use keydesk_core::admission::Target;
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::meter::ServedAs;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::request_log::plain_error;
use keydesk_core::domain::route::Route;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::protocol::{ApiError, ClientContext};
use super::rate_limit_headers;
use super::reservation_guard::ReservationGuard;
use super::upstream::{Chunks, UpstreamError, UpstreamResponse};
use super::usage::{Bounds, MeasuredTokens, Meter, Shape, measure_failure, measure_whole, stored_ids, word};

/// A whole response up to this size is collected. A longer one is relayed as it arrives.
const MAX_COLLECTED: usize = 16 << 20;
/// The end of a longer one, which contains its usage.
const END_KEPT: usize = 64 << 10;
/// Chunks that wait for a client that reads slowly.
const CHUNKS_WAITING: usize = 16;
/// How long a client that reads slowly has to receive the error at the end of its response.
const ERROR_TIMEOUT: Duration = Duration::from_secs(30);
/// The usual status for a client that disconnected.
pub const CLIENT_DISCONNECTED: i64 = 499;

type Deadline = Pin<Box<Sleep>>;
type Outlet = mpsc::Sender<Result<Bytes, UpstreamError>>;

/// An admitted request, until it is settled.
pub struct Relay {
    pub desk: Desk,
    pub stop: CancellationToken,
    pub client: ClientContext,
    pub guard: ReservationGuard,
    pub limits: Vec<LimitUse>,
    pub started_at: Moment,
    pub model: Model,
    pub target: Target,
    pub route: Route,
    /// Estimated input tokens.
    pub input: i64,
    /// What it can plausibly use.
    pub bounds: Bounds,
    /// How it is served where its response does not say.
    pub asked: ServedAs,
    /// Whether the usage in a stream is hidden, because the client did not request it.
    pub hides_usage: bool,
}

impl std::fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for UpstreamError {}

impl Relay {
    /// Returns the response to the client and settles the request.
    pub async fn run(
        mut self,
        response: UpstreamResponse,
        streams: bool,
        respond: oneshot::Sender<Response>,
        deadline: Deadline,
    ) {
        let first_byte_ms = self.elapsed();
        self.guard.expect(|settlement| settlement.first_byte_ms = Some(first_byte_ms));
        if let Some(tier) = response.service_tier.as_ref().and_then(|tier| tier.to_str().ok()) {
            let reported = ServedAs { tier: word(&Value::from(tier)), ..ServedAs::default() };
            self.asked = reported.or(&self.asked);
        }
        let content_type =
            response.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_events = content_type.starts_with("text/event-stream");
        let is_list = streams && self.route == Route::StreamGenerate;
        if response.status.is_success() && (is_events || is_list) {
            self.stream(response, is_events, respond, deadline).await;
        } else {
            self.whole(response, respond, deadline).await;
        }
    }

    async fn whole(
        mut self,
        mut response: UpstreamResponse,
        respond: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let mut collected = BytesMut::new();
        loop {
            match next(&mut response.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => collected.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    self.settle_failed(error).await;
                    let _ = respond.send(self.upstream_error(error).into_response());
                    return;
                }
                None => break,
            }
            if collected.len() > MAX_COLLECTED {
                return self.long(response, collected.freeze(), respond, deadline).await;
            }
        }
        let body = collected.freeze();
        let measured = self.measured(response.status, &body, false);
        let cost = self.bill(measured.clone()).cost;
        if let Ok(value) = serde_json::from_slice(&body)
            && self.route == Route::Responses
        {
            self.note_stored(&stored_ids(&value), &measured);
        }
        if response.status.is_client_error() || response.status.is_server_error() {
            self.note_error(&error_of(&body));
        }
        self.settle(i64::from(response.status.as_u16()), measured, None).await;
        let _ = respond.send(self.head(&response, Some(cost), Body::from(body)));
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
        let failure = loop {
            end.extend_from_slice(last.get(last.len().saturating_sub(END_KEPT)..).unwrap_or_default());
            end.drain(..end.len().saturating_sub(END_KEPT));
            match next(&mut response.chunks, &mut deadline, &self.stop).await {
                Some(Ok(bytes)) => {
                    // A client that disconnected is still charged; one that does not read is cut off at the deadline.
                    if let Err(error) =
                        send_chunk(&outlet, Ok(std::mem::take(&mut last)), &mut deadline, &self.stop).await
                    {
                        break Some(error);
                    }
                    last = bytes;
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        match failure {
            Some(error) => {
                self.note_upstream_error(error);
                self.settle(i64::from(error.status().as_u16()), self.estimate(), None).await;
                send_error(&outlet, error).await;
            }
            None => {
                let measured = self.measured(response.status, &end, true);
                self.settle(status, measured, None).await;
                let _ = send_chunk(&outlet, Ok(last), &mut deadline, &self.stop).await;
            }
        }
    }

    async fn stream(
        mut self,
        mut response: UpstreamResponse,
        is_events: bool,
        respond: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let (outlet, body) = outlet();
        if respond.send(self.head(&response, None, body)).is_err() {
            self.settle(CLIENT_DISCONNECTED, self.estimate(), None).await;
            return;
        }
        let status = i64::from(response.status.as_u16());
        let mut meter = Meter::new(Shape::of(self.route), is_events, self.hides_usage, self.bounds);
        let mut first = None;
        let ended = loop {
            let chunk = tokio::select! {
                chunk = next(&mut response.chunks, &mut deadline, &self.stop) => chunk,
                () = outlet.closed() => break Err(None),
            };
            let bytes = match chunk {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => break Err(Some(error)),
                None => break Ok(()),
            };
            first = first.or_else(|| Some(self.elapsed()));
            let shown = meter.feed(bytes);
            let measured = meter.measured(self.input, false);
            self.expect(status, measured, first);
            if meter.is_over() {
                // Clients stop reading at the last event.
                let measured = meter.measured(self.input, true);
                self.note_stored(meter.stored_ids(), &measured);
                self.settle(status, measured, first).await;
            }
            if !shown.is_empty() {
                match send_chunk(&outlet, Ok(shown), &mut deadline, &self.stop).await {
                    Ok(true) => {}
                    Ok(false) => break Err(None),
                    Err(error) => break Err(Some(error)),
                }
            }
        };
        // Stops the provider.
        drop(response);
        match ended {
            Ok(()) => {
                let shown = meter.finish();
                self.settle(status, meter.measured(self.input, true), first).await;
                if !shown.is_empty() {
                    let _ = send_chunk(&outlet, Ok(shown), &mut deadline, &self.stop).await;
                }
            }
            Err(None) => self.settle(CLIENT_DISCONNECTED, meter.measured(self.input, false), first).await,
            Err(Some(error)) => {
                let status = i64::from(error.status().as_u16());
                self.note_upstream_error(error);
                self.settle(status, meter.measured(self.input, false), first).await;
                send_error(&outlet, error).await;
            }
        }
    }

    fn measured(&self, status: StatusCode, body: &[u8], end_only: bool) -> MeasuredTokens {
        let shape = Shape::of(self.route);
        if self.route.is_free() {
            MeasuredTokens::NOTHING
        } else if status.is_success() {
            measure_whole(shape, body, end_only, self.input, self.bounds)
        } else {
            measure_failure(shape, body, self.bounds)
        }
    }

    /// Charges the input where the provider may have begun its work.
    pub async fn settle_failed(&mut self, error: UpstreamError) {
        let measured = if error.may_cost() { self.estimate() } else { MeasuredTokens::NOTHING };
        self.note_upstream_error(error);
        self.settle(i64::from(error.status().as_u16()), measured, None).await;
    }

    /// The usage of a request whose provider reported none.
    pub fn estimate(&self) -> MeasuredTokens {
        if self.route.is_free() {
            return MeasuredTokens::NOTHING;
        }
        MeasuredTokens::estimate(self.input, 0)
    }

    fn bill(&self, measured: MeasuredTokens) -> Bill {
        let MeasuredTokens { mut metered, estimated } = measured;
        metered.served_as = metered.served_as.or(&self.asked);
        Bill::at_price_of(&self.model, metered, estimated)
    }

    pub fn expect_input(&mut self) {
        self.expect(i64::from(StatusCode::INTERNAL_SERVER_ERROR.as_u16()), self.estimate(), None);
    }

    fn expect(&mut self, status: i64, measured: MeasuredTokens, first_byte_ms: Option<i64>) {
        let (bill, latency_ms) = (self.bill(measured), self.elapsed());
        self.guard.expect(|settlement| {
            settlement.status = status;
            settlement.bill = bill;
            settlement.latency_ms = latency_ms;
            settlement.first_byte_ms = first_byte_ms.or(settlement.first_byte_ms);
        });
    }

    pub async fn settle(&mut self, status: i64, measured: MeasuredTokens, first_byte_ms: Option<i64>) {
        self.expect(status, measured, first_byte_ms);
        self.guard.settle(&self.desk).await;
    }

    /// What is stored with the settlement, in words.
    fn note_error(&mut self, text: &str) {
        let error = plain_error(text);
        self.guard.expect(|settlement| settlement.error = error);
    }

    fn note_upstream_error(&mut self, error: UpstreamError) {
        let sentence = error.sentence(self.provider_name());
        self.note_error(&sentence);
    }

    /// Remembers how large the conversation is that the provider stores.
    fn note_stored(&self, ids: &[String], measured: &MeasuredTokens) {
        for id in ids {
            self.desk.lately.note_stored(id, measured.metered.counts.all_tokens());
        }
    }

    fn provider_name(&self) -> &str {
        match &self.target {
            Target::Demonstration => "Demonstration",
            Target::Provider(provider) => &provider.name,
        }
    }

    fn elapsed(&self) -> i64 {
        self.desk.now().ms().saturating_sub(self.started_at.ms()).max(0)
    }

    pub fn upstream_error(&self, error: UpstreamError) -> ApiError {
        self.client.upstream_error(error.status(), &error.sentence(self.provider_name()))
    }

    /// The response's head: its status and those of the provider's headers that a client gets.
    fn head(&self, upstream: &UpstreamResponse, spent: Option<Money>, body: Body) -> Response {
        let mut response = body.into_response();
        *response.status_mut() = upstream.status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = &upstream.content_type {
            headers.insert(CONTENT_TYPE, value.clone());
        }
        if let Some(value) = &upstream.retry_after {
            headers.insert(RETRY_AFTER, value.clone());
        }
        if let Some(value) = &upstream.request_id {
            headers.insert("x-upstream-request-id", value.clone());
        }
        if let Some(value) = &upstream.service_tier {
            headers.insert("x-gemini-service-tier", value.clone());
        }
        if spent.is_none() {
            // A proxy must not buffer a stream.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        }
        rate_limit_headers::add(headers, &self.limits, spent, self.desk.now());
        self.client.name_request(headers);
        response
    }
}

/// What a provider's error says, in any of the shapes that providers use; empty when it has none of them.
fn error_of(body: &[u8]) -> String {
    let Ok(whole) = serde_json::from_slice::<Value>(body) else { return String::new() };
    // Gemini answers a stream's error as a list.
    let whole = whole.get(0).unwrap_or(&whole);
    let error = whole.get("error").unwrap_or(whole);
    let texts = [Some(error), error.get("message"), error.get("detail"), whole.get("message")];
    texts.into_iter().flatten().find_map(Value::as_str).unwrap_or_default().to_owned()
}

/// Ends the response with an error, so that the client does not take it for complete.
async fn send_error(outlet: &Outlet, error: UpstreamError) {
    let _ = timeout(ERROR_TIMEOUT, outlet.send(Err(error))).await;
}

fn outlet() -> (Outlet, Body) {
    let (outlet, mut chunks) = mpsc::channel(CHUNKS_WAITING);
    (outlet, Body::from_stream(stream::poll_fn(move |context| chunks.poll_recv(context))))
}

async fn next(
    chunks: &mut Chunks,
    deadline: &mut Deadline,
    stop: &CancellationToken,
) -> Option<Result<Bytes, UpstreamError>> {
    tokio::select! {
        chunk = chunks.next() => chunk,
        () = deadline => Some(Err(UpstreamError::TimedOut)),
        () = stop.cancelled() => Some(Err(UpstreamError::Broken)),
    }
}

/// `false` when the client is gone.
async fn send_chunk(
    outlet: &Outlet,
    bytes: Result<Bytes, UpstreamError>,
    deadline: &mut Deadline,
    stop: &CancellationToken,
) -> Result<bool, UpstreamError> {
    tokio::select! {
        sent = outlet.send(bytes) => Ok(sent.is_ok()),
        () = deadline => Err(UpstreamError::TimedOut),
        () = stop.cancelled() => Err(UpstreamError::Broken),
    }
}
