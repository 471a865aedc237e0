//! The response of a provider on its way to the client: measured as it passes, and settled before the client sees its end.
//!
//! A whole response is collected first, so that its headers can tell the remaining budget; it is charged also when the
//! client disconnects meanwhile. It is relayed as it arrives where there is no room for it. A stream is relayed as it
//! arrives; when its client disconnects, it is read on without one. Where its provider is silent, the client may have got
//! the head of its stream before.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use keydesk_core::Desk;
use keydesk_core::admission::{MetWith, ProviderWatch, Target};
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::ids::{KeyId, RequestId};
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::meter::{Counts, Meter, ServedAs};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::provider::OnDisconnect;
use keydesk_core::domain::request_log::plain_error;
use keydesk_core::domain::route::Route;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::disconnect::{NotRead, Reading, Readings};
use super::outlet::{Deadline, Outlet, PIECE, cut_off, outlet, send_chunk, send_error};
use super::protocol::{ApiError, ClientContext, header_name};
use super::provider_error::{self, StreamEnd, StreamError};
use super::rate_limit_headers;
use super::reservation_guard::ReservationGuard;
use super::room::{Holder, Room, Share};
use super::silence::{Framing, Front, Late};
use super::upstream::{Chunks, NoResponse, UpstreamError, UpstreamResponse};
use super::usage::{
    AccountError, Bounds, MeasuredTokens, Shape, StreamMeter, measure_failure, measure_whole, stored_ids,
    word,
};

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
/// The usual status for a client that disconnected.
pub const CLIENT_DISCONNECTED: i64 = 499;
/// For a client that did not have its whole response at the total timeout.
const CUT_OFF: i64 = 504;

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

/// What was reserved for a request at most.
#[derive(Clone, Copy, Default)]
pub struct Reserved {
    /// The upper bound of its cost.
    pub worst: Money,
    /// In tokens, of all its answers.
    pub output: i64,
}

/// How a stream ended.
enum End {
    Finished,
    Failed(UpstreamError),
    /// The client left and the stream is not read on.
    Abandoned(NotRead),
}

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
    pub reserved: Reserved,
    /// Whether the model may reason without a word of it in the stream.
    pub may_reason: bool,
    /// Whether it may use something that no meter counts and no response tells.
    pub uncounted: bool,
    pub key: KeyId,
    pub readings: Readings,
    /// For what is collected of its response.
    pub room: Room,
    pub holder: Holder,
    /// Where failures of its provider are noted that come after the head of the response.
    pub watch: ProviderWatch,
    pub request: RequestId,
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
    /// Returns the response to the client and settles the request. `reading` is there when the client of a stream left.
    pub async fn run(
        mut self,
        response: UpstreamResponse,
        streams: bool,
        front: Front,
        deadline: Deadline,
        reading: Option<Reading>,
    ) {
        let first_byte_ms = self.elapsed();
        self.guard.expect(|settlement| settlement.first_byte_ms = Some(first_byte_ms));
        if let Some(tier) = response.headers.get("x-gemini-service-tier").and_then(|tier| tier.to_str().ok())
        {
            let reported = ServedAs { tier: word(&Value::from(tier)), ..ServedAs::default() };
            self.asked = reported.or(&self.asked);
        }
        let content_type =
            response.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_events = content_type.starts_with("text/event-stream");
        let is_list = streams && self.route == Route::StreamGenerate;
        if response.status.is_success() && (is_events || is_list) && front.takes(is_events) {
            return self.stream(response, is_events, front, deadline, reading).await;
        }
        match Late::of(front) {
            Err(respond) => self.whole(response, respond, deadline).await,
            Ok(late) => self.late(response, late, deadline).await,
        }
    }

    /// A response that is no stream, for a client that has the head of one: it gets an event.
    async fn late(mut self, mut response: UpstreamResponse, late: Late, mut deadline: Deadline) {
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

    async fn whole(
        mut self,
        mut response: UpstreamResponse,
        respond: oneshot::Sender<Response>,
        mut deadline: Deadline,
    ) {
        let mut collected = BytesMut::new();
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
            collected.extend_from_slice(&bytes);
            let is_too_long = collected.len() > MAX_COLLECTED;
            // An error is looked at before it is passed on, whatever room there is for its beginning.
            let is_seen = response.status.is_success() || collected.len() > SENT_AT_ONCE;
            if (room.grow(bytes.len()).is_err() && is_seen) || is_too_long {
                let start = Bytes::from_owner(Collected { bytes: collected.freeze(), _room: room });
                return self.long(response, start, respond, deadline).await;
            }
        }
        let body = Bytes::from_owner(Collected { bytes: collected.freeze(), _room: room });
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

    /// `reading` is there when the client left before the head.
    async fn stream(
        mut self,
        mut response: UpstreamResponse,
        is_events: bool,
        mut front: Front,
        mut deadline: Deadline,
        reading: Option<Reading>,
    ) {
        let framing = Framing::of(self.route, is_events);
        let outlet = front.begin(framing, |body| self.head(&response, None, body));
        let mut status = i64::from(response.status.as_u16());
        let mut left = reading;
        if left.is_some() {
            status = CLIENT_DISCONNECTED;
        }
        let (client, provider) = (self.client.clone(), self.provider_name().to_owned());
        let account_error: AccountError =
            Box::new(move |error| client.upstream_error(error, &provider).body());
        let shape = Shape::of(self.route);
        let mut meter =
            StreamMeter::new(shape, is_events, self.hides_usage, self.bounds, Some(account_error));
        let mut tail = StreamEnd::default();
        let mut first = None;
        let ended = loop {
            let chunk = tokio::select! {
                chunk = next(&mut response.chunks, &mut deadline, &self.stop) => chunk,
                () = outlet.closed(), if left.is_none() => {
                    // What is over is settled.
                    if meter.is_over() {
                        break End::Finished;
                    }
                    status = CLIENT_DISCONNECTED;
                    match self.leave(&mut deadline) {
                        Ok(reading) => left = Some(reading),
                        Err(why) => break End::Abandoned(why),
                    }
                    continue;
                }
                () = front.timer.rings(), if left.is_none() && meter.is_between() && !meter.is_over() => {
                    front.beat();
                    continue;
                }
            };
            let bytes = match chunk {
                Some(Ok(bytes)) => bytes,
                Some(Err(UpstreamError::TimedOut)) if left.is_none() && deadline.is_elapsed() => {
                    cut_off(&outlet);
                    if meter.is_over() {
                        break End::Finished;
                    }
                    status = CUT_OFF;
                    match self.leave(&mut deadline) {
                        Ok(reading) => left = Some(reading),
                        Err(why) => break End::Abandoned(why),
                    }
                    continue;
                }
                Some(Err(error)) => break End::Failed(error),
                None => break End::Finished,
            };
            if left.as_mut().is_some_and(|reading| !reading.takes(bytes.len())) {
                break End::Failed(UpstreamError::TimedOut);
            }
            first = first.or_else(|| Some(self.elapsed()));
            tail.feed(&bytes);
            let shown = meter.feed(bytes);
            let measured = meter.measured(self.input, false);
            self.expect(status, measured, first);
            if meter.is_over() {
                // Clients stop reading at the last event.
                let failure = self.note_stream_error(&tail, is_events);
                let measured = meter.measured(self.input, true);
                self.note_stored(meter.stored_ids(), &measured);
                self.settle(failure.unwrap_or(status), measured, first).await;
                if left.is_some() {
                    break End::Finished;
                }
            }
            if left.is_none() && !shown.is_empty() {
                match send_chunk(&outlet, shown, &mut deadline, &self.stop).await {
                    Ok(true) => {
                        front.timer.restart();
                        continue;
                    }
                    Ok(false) => status = CLIENT_DISCONNECTED,
                    Err(UpstreamError::TimedOut) => {
                        status = CUT_OFF;
                        cut_off(&outlet);
                    }
                    Err(error) => break End::Failed(error),
                }
                if meter.is_over() {
                    break End::Finished;
                }
                match self.leave(&mut deadline) {
                    Ok(reading) => left = Some(reading),
                    Err(why) => break End::Abandoned(why),
                }
            }
        };
        // Stops the provider.
        drop(response);
        let measured = meter.measured(self.input, false);
        if let Some(status) = self.note_stream_error(&tail, is_events) {
            self.settle(status, measured.clone(), first).await;
        }
        match ended {
            End::Finished => {
                let shown = meter.finish();
                self.settle(status, meter.measured(self.input, true), first).await;
                if left.is_none() && !shown.is_empty() {
                    let _ = send_chunk(&outlet, shown, &mut deadline, &self.stop).await;
                }
            }
            End::Abandoned(why) => self.settle_reserved(status, measured, first, why).await,
            End::Failed(error) if left.is_some() => self.settle_left(status, error, measured, first).await,
            End::Failed(error) => {
                if !deadline.is_elapsed() {
                    self.note_provider_failure(error, "");
                }
                self.note_upstream_error(error);
                let measured = self.cut_short(error, measured);
                self.settle(i64::from(error.status().as_u16()), measured, first).await;
                send_error(&outlet, error).await;
            }
        }
    }

    /// The client left or was cut off: reads on within a new deadline.
    ///
    /// # Errors
    /// When the provider is stopped instead, because its setting says so, or because too many streams are read on.
    pub fn leave(&self, deadline: &mut Deadline) -> Result<Reading, NotRead> {
        if let Target::Provider(provider) = &self.target
            && provider.on_disconnect == OnDisconnect::Stop
        {
            return Err(NotRead::Stopped);
        }
        self.read_on(deadline)
    }

    fn read_on(&self, deadline: &mut Deadline) -> Result<Reading, NotRead> {
        let reading = self.readings.begin(&self.key)?;
        deadline.as_mut().reset(reading.until);
        Ok(reading)
    }

    /// Charges what was reserved, because nothing says what the provider charges: the most that it can cost, or where
    /// other keys are the reason, all of the output. A usage that the provider reported is what it is.
    pub async fn settle_reserved(
        &mut self,
        status: i64,
        known: MeasuredTokens,
        first_byte_ms: Option<i64>,
        why: NotRead,
    ) {
        let is_estimated = known.estimated;
        self.expect(status, self.at_reserved_output(known), first_byte_ms);
        if is_estimated && why == NotRead::Stopped {
            let worst = self.reserved.worst;
            self.guard.expect(|settlement| settlement.bill.raise(worst));
        }
        self.guard.settle(&self.desk).await;
    }

    /// Settles a request that was read on and not to its end. A stop of the gateway gives it up, too.
    pub async fn settle_left(
        &mut self,
        status: i64,
        error: UpstreamError,
        known: MeasuredTokens,
        first_byte_ms: Option<i64>,
    ) {
        let is_stopped = self.stop.is_cancelled() && error.may_cost();
        let measured = self.cut_short(if is_stopped { UpstreamError::TimedOut } else { error }, known);
        self.note_upstream_error(error);
        self.settle(status, measured, first_byte_ms).await;
    }

    /// What is charged for a response that was not read to its end. Where the gateway gave it up, the model may have
    /// reasoned unseen, and the provider charges it.
    fn cut_short(&self, error: UpstreamError, known: MeasuredTokens) -> MeasuredTokens {
        match error {
            error if !error.may_cost() => MeasuredTokens::NOTHING,
            UpstreamError::TimedOut if self.may_reason => self.at_reserved_output(known),
            _ => known,
        }
    }

    /// With all of the output that was reserved.
    fn at_reserved_output(&self, mut known: MeasuredTokens) -> MeasuredTokens {
        if known.estimated {
            let counts = &mut known.metered.counts;
            let missing = self.reserved.output.saturating_sub(counts.output()).max(0);
            let output = counts.get(Meter::Output).saturating_add(missing);
            counts.set(Meter::Output, output);
        }
        known
    }

    /// Notes the error that ended a stream; answers its status.
    fn note_stream_error(&mut self, tail: &StreamEnd, is_events: bool) -> Option<i64> {
        let StreamError { status, text, of_account } = tail.error(is_events)?;
        let Some(error) = of_account else {
            self.note_error(&text);
            return Some(i64::from(status.as_u16()));
        };
        self.log_refused(error, &text);
        self.note_provider_failure(error, &text);
        self.note_upstream_error(error);
        Some(i64::from(error.status().as_u16()))
    }

    /// A provider's error about the account of this installation: only the operator reads its words.
    fn log_refused(&self, error: UpstreamError, text: &str) {
        let (provider, said) = (self.provider_name(), plain_error(text));
        tracing::warn!(provider, ?error, said, "a provider refuses this installation");
    }

    /// Notes for operators what went wrong at the provider after it had answered. A stop of the gateway is not its failure.
    fn note_provider_failure(&self, error: UpstreamError, text: &str) {
        let Target::Provider(provider) = &self.target else { return };
        if self.stop.is_cancelled() {
            return;
        }
        let met = NoResponse { error, status: 0, words: plain_error(text) }.met();
        let with = MetWith { model: &self.model.id, request: self.request.as_str() };
        self.watch.note_failure(&provider.id, &met, with, self.desk.now());
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
        let measured = self.cut_short(error, self.estimate());
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
        metered.uncounted |= self.uncounted && metered.counts != Counts::NONE;
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

    /// Remembers how large the conversation is that the provider stores. An estimate is no bound of it.
    fn note_stored(&self, ids: &[String], measured: &MeasuredTokens) {
        for id in ids.iter().filter(|_| !measured.estimated) {
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
        self.client.upstream_error(error, self.provider_name())
    }

    /// The response's head: its status and those of the provider's headers that a client gets.
    fn head(&self, upstream: &UpstreamResponse, spent: Option<Money>, body: Body) -> Response {
        let mut response = self.own_head(upstream.content_type.clone(), spent, body);
        *response.status_mut() = upstream.status;
        let headers = response.headers_mut();
        if upstream.status == StatusCode::GATEWAY_TIMEOUT {
            // It may have cost its input, and would again.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        headers.extend(upstream.headers.clone());
        if let Target::Provider(provider) = &self.target
            && (upstream.status.is_client_error() || upstream.status.is_server_error())
            && let Ok(name) = HeaderValue::try_from(header_name(&provider.name))
        {
            headers.insert("x-keydesk-upstream", name);
        }
        if let Some(value) = &upstream.request_id {
            headers.insert("x-upstream-request-id", value.clone());
        }
        response
    }

    /// The head of a stream whose provider has not answered yet.
    pub fn early_head(&self, framing: Framing, body: Body) -> Response {
        self.own_head(Some(framing.content_type()), None, body)
    }

    /// What does not come from the provider.
    fn own_head(&self, content_type: Option<HeaderValue>, spent: Option<Money>, body: Body) -> Response {
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, value);
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
