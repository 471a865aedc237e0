//! The response of a provider on its way to the client: measured as it passes, and settled before the client sees its end.
//!
//! A whole response is collected first, so that its headers can tell the remaining budget; it is charged also when the
//! client disconnects meanwhile. It is relayed as it arrives where there is no room for it. A stream is relayed as it
//! arrives; when its client disconnects, it is read on without one. Where its provider is silent, the client may have got
//! the head of its stream before.
//!
//! Here is what every response starts with. `whole` and `stream` relay the two kinds, `head` makes their heads, `settling`
//! says what each end is charged, and `notes` keeps what is told about it.

mod head;
mod notes;
mod settling;
mod stream;
mod whole;

use bytes::Bytes;
use futures_util::StreamExt;
use keydesk_core::Desk;
use keydesk_core::admission::{ProviderWatch, Target};
use keydesk_core::domain::ids::{KeyId, RequestId};
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::meter::ServedAs;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::route::Route;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::disconnect::{Reading, Readings};
use super::outlet::Deadline;
use super::protocol::{ApiError, ClientContext};
use super::reservation_guard::ReservationGuard;
use super::room::{Holder, Room};
use super::silence::{Front, Late};
use super::upstream::{Chunks, UpstreamError, UpstreamResponse};
use super::usage::{Bounds, word};
use crate::metrics::Metrics;
pub use whole::room;

/// The usual status for a client that disconnected.
pub const CLIENT_DISCONNECTED: i64 = 499;
/// For a client that did not have its whole response at the total timeout.
const CUT_OFF: i64 = 504;

/// What was reserved for a request at most.
#[derive(Clone, Copy, Default)]
pub struct Reserved {
    /// The upper bound of its cost.
    pub worst: Money,
    /// In tokens, of all its answers.
    pub output: i64,
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
    pub metrics: Metrics,
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

    fn provider_name(&self) -> &str {
        match &self.target {
            Target::Demonstration => "Demonstration",
            Target::Provider(provider) => &provider.spec.name,
        }
    }

    fn elapsed(&self) -> i64 {
        self.desk.now().ms().saturating_sub(self.started_at.ms()).max(0)
    }

    pub fn upstream_error(&self, error: UpstreamError) -> ApiError {
        self.client.upstream_error(error, self.provider_name())
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
