//! An admitted request on its way to its providers: sent to one after the other until one answers, and the answer handed to
//! `relay`. Meanwhile the client may leave, or get the head of its stream; `failover` says whether another one is asked.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use axum::http::request::Parts;
use keydesk_core::admission::{self, Target};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::provider::Provider;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::demo_model;
use super::disconnect::{NotRead, Reading};
use super::failover::{Attempts, Ended, Plan, Serving};
use super::outlet::Deadline;
use super::parsed_request::ParsedRequest;
use super::provider_answer::{Judged, judge};
use super::relay::{CLIENT_DISCONNECTED, Relay};
use super::room::Share;
use super::silence::Front;
use super::upstream::{
    Connecting, NoResponse, UpstreamError, UpstreamRequest, UpstreamResponse, milliseconds,
};
use super::usage::MeasuredTokens;
use crate::state::AppState;

/// The demonstration model answers at once.
const DEMO_TIMEOUT: Duration = Duration::from_secs(60);

/// An admitted request, until its answer is relayed.
pub struct Sending {
    pub state: AppState,
    pub parts: Parts,
    /// `None` once it is sent for the last time.
    pub parsed: Option<ParsedRequest>,
    /// What its body takes.
    pub room: Share,
    pub streams: bool,
    pub front: Front,
    /// Its target is the one that is asked now.
    pub relay: Relay,
    /// That one's name of the model.
    pub model: String,
    pub deadline: Deadline,
    /// Who is asked after it.
    pub plan: Plan,
    pub attempts: Attempts,
    /// Since the client of a stream left.
    pub reading: Option<Reading>,
}

/// How an attempt ended: with an answer, and whether the usage in its stream is hidden from the client, or without one.
type Sent = Result<(Judged, bool), NotAnswered>;

enum NotAnswered {
    Failed(NoResponse),
    /// The client left and the stream is not read on.
    Abandoned(NotRead),
}

impl Sending {
    pub async fn run(mut self) {
        // From here on the provider may do its work, so an interruption is charged for the input.
        self.relay.expect_input();
        loop {
            let outgoing = if self.plan.has_next() { self.parsed.clone() } else { self.parsed.take() };
            let Some(outgoing) = outgoing else { return };
            let connecting = Connecting::default();
            let began_at = self.attempts.begin(&self.relay.target);
            let sent = self.attempt(outgoing, &connecting).await;
            let may_go_on = self.note(&sent, began_at) && self.may_go_on();
            match self.plan.next().filter(|_| may_go_on) {
                None => return self.finish(sent, &connecting).await,
                Some(next) => self.turn_to(next),
            }
        }
    }

    /// Sends it to the target, and waits for the answer together with its client.
    async fn attempt(&mut self, outgoing: ParsedRequest, connecting: &Connecting) -> Sent {
        let Self { state, parts, streams, front, relay, model, deadline, reading, .. } = self;
        let relay = &*relay;
        let answering = async {
            let (response, hides_usage) =
                send(state, &relay.target, model.clone(), outgoing, parts, &relay.request).await?;
            Ok::<_, NoResponse>((judge(response, relay.route, relay.bounds).await?, hides_usage))
        };
        let mut answering = pin!(connecting.observe(answering));
        let ended = |error| Err(NotAnswered::Failed(NoResponse { error, status: 0, words: String::new() }));
        loop {
            tokio::select! {
                answer = &mut answering => return answer.map_err(NotAnswered::Failed),
                () = &mut *deadline => return ended(UpstreamError::TimedOut),
                () = relay.stop.cancelled() => return ended(UpstreamError::Broken),
                () = front.timer.rings(), if reading.is_none() => {
                    front.wait(connecting.is_under_way(), |framing, body| relay.early_head(framing, body));
                }
                () = front.client.left(), if *streams && reading.is_none() => {
                    match relay.leave(deadline) {
                        Ok(begun) => *reading = Some(begun),
                        Err(why) => return Err(NotAnswered::Abandoned(why)),
                    }
                }
            }
        }
    }

    /// Notes how an attempt ended; answers whether it failed and cost nothing.
    fn note(&mut self, sent: &Sent, began_at: Moment) -> bool {
        let target = &self.relay.target;
        match sent {
            Ok((judged, _)) => {
                let status = i64::from(judged.response.status.as_u16());
                self.attempts.note(target, began_at, &Ended { status, failure: judged.failure.as_ref() });
                judged.failure.is_some() && judged.is_free
            }
            Err(NotAnswered::Failed(failed)) if !self.relay.stop.is_cancelled() => {
                let met = failed.met();
                self.attempts.note(target, began_at, &Ended { status: failed.status, failure: Some(&met) });
                !failed.error.may_cost()
            }
            _ => false,
        }
    }

    /// A client that left needs no other provider. One that got an early head has nothing of an answer yet.
    fn may_go_on(&self) -> bool {
        self.reading.is_none() && !self.front.client.is_gone() && self.attempts.has_time()
    }

    /// The next one is asked, within a deadline of its own.
    fn turn_to(&mut self, next: Serving) {
        self.deadline.as_mut().reset(Instant::now() + timeout_of(&next.target));
        self.relay.target = next.target;
        self.model = next.model;
    }

    /// Relays the answer, or settles what has none.
    async fn finish(self, sent: Sent, connecting: &Connecting) {
        let Self { parsed, room, streams, front, mut relay, deadline, plan, attempts, reading, .. } = self;
        drop((parsed, room));
        if plan.is_shared() {
            let kept = attempts.take();
            relay.guard.expect(|settlement| settlement.attempts = kept);
        }
        match sent {
            Ok((judged, hides_usage)) => {
                relay.hides_usage = hides_usage;
                relay.run(judged.response, streams, front, deadline, reading).await;
            }
            Err(NotAnswered::Failed(failed)) if reading.is_some() => {
                relay.settle_left(CLIENT_DISCONNECTED, failed.error, relay.estimate(), None).await;
            }
            Err(NotAnswered::Failed(failed)) => {
                relay.settle_failed(failed.error).await;
                front.fail(relay.upstream_error(failed.error)).await;
            }
            // Nothing was sent yet.
            Err(NotAnswered::Abandoned(_)) if connecting.is_under_way() => {
                relay.settle(CLIENT_DISCONNECTED, MeasuredTokens::NOTHING, None).await;
            }
            Err(NotAnswered::Abandoned(why)) => {
                relay.settle_reserved(CLIENT_DISCONNECTED, relay.estimate(), None, why).await;
            }
        }
    }
}

/// When an answer of this target must be whole.
pub fn deadline_of(target: &Target) -> Deadline {
    Box::pin(sleep(timeout_of(target)))
}

/// How long a whole answer may take.
fn timeout_of(target: &Target) -> Duration {
    match target {
        Target::Demonstration => DEMO_TIMEOUT,
        Target::Provider(provider) => milliseconds(provider.spec.whole_ms),
    }
}

/// Whether a stream of Gemini's is asked for as events.
pub fn wants_events(parts: &Parts) -> bool {
    let is_alt_sse = |(name, value): (Cow<'_, str>, Cow<'_, str>)| name == "alt" && value == "sse";
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).any(is_alt_sse)
}

/// The first answer of a provider ends the demonstration. The client does not wait for that.
fn note_answer(state: &AppState, provider: &Provider) {
    let (desk, id) = (state.desk.clone(), provider.id.clone());
    let note = async move {
        if let Err(error) = admission::note_answer(&desk, &id).await {
            tracing::warn!(%error, "the first answer of a provider is not noted");
        }
    };
    state.gateway.in_flight.tasks.spawn(note.in_current_span());
}

/// Sends a request to its target; answers the response, and whether the usage in its stream is hidden from the client.
async fn send(
    state: &AppState,
    target: &Target,
    model: String,
    parsed: ParsedRequest,
    parts: &Parts,
    request: &RequestId,
) -> Result<(UpstreamResponse, bool), NoResponse> {
    let (route, streams) = (parsed.route, parsed.streams);
    match target {
        Target::Demonstration => {
            let response = demo_model::answer(&parsed, wants_events(parts), request, state.desk.now());
            Ok((response, parsed.into_upstream(&model).1))
        }
        Target::Provider(provider) => {
            let mut parsed = parsed;
            parsed.omit(&provider.spec.omitted);
            let (body, hides_usage) = parsed.into_upstream(&model);
            let (query, headers) = (parts.uri.query(), &parts.headers);
            let request = UpstreamRequest { provider, route, model: &model, query, headers, body, streams };
            let response = state.gateway.upstreams.send(request).await?;
            if response.status.is_success() && provider.connected_at.is_none() {
                note_answer(state, provider);
            }
            Ok((response, hides_usage))
        }
    }
}
