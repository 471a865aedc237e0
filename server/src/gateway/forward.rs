//! One request on its way to a model, from top to bottom: read, gate 6, its target, gates 7 and 8, sent. `relay` returns
//! the response.
//!
//! Once its body is read, a request runs in a task of its own: a client that disconnects cannot interrupt it, and its usage
//! is written in any case.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::admission::{
    self, AdmissionError, AuthContext, Reservation, ReservationRequest, Settlement, Target,
};
use keydesk_core::domain::api_error::Stop;
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::org::Unpriced;
use keydesk_core::domain::provider::Provider;
use keydesk_core::domain::request_log::RequestFailure;
use keydesk_core::domain::route::Route;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::body::{self, MAX_BODY};
use super::credentials::{Authenticated, described, note_failure, note_rejection, note_stop};
use super::demo_model;
use super::failover::{self, Attempts, Ended, Plan};
use super::parsed_request::ParsedRequest;
use super::protocol::{ApiError, ClientContext};
use super::provider_answer::judge;
use super::relay::{CLIENT_DISCONNECTED, Relay, Reserved};
use super::room::{Holder, Share};
use super::silence::{Framing, Front};
use super::tags::tags_of;
use super::upstream::{
    Connecting, NoResponse, UpstreamError, UpstreamRequest, UpstreamResponse, milliseconds,
};
use super::usage::{Bounds, MeasuredTokens};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// A larger body is parsed on a thread for blocking work, so that other requests do not wait.
const LARGE_BODY: usize = 64 << 10;
/// After a body that takes longer to arrive, gates 1 to 5 are checked again.
const SLOW_BODY: Duration = Duration::from_secs(1);
/// The demonstration model answers at once.
const DEMO_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_USER_AGENT: usize = 200;
/// Forwards a request whose key has passed gates 1 to 5. `path_model` is the model in a Gemini path.
pub async fn forward(
    state: AppState,
    client: ClientContext,
    context: AuthContext,
    route: Route,
    path_model: Option<String>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let began = Instant::now();
    let mut room = state.gateway.bodies.share(Holder::of(&context));
    let body = match body::read(&parts.headers, body, MAX_BODY, state.gateway.body_timeout, &mut room).await {
        Ok(body) => body,
        Err(error) => {
            let named = path_model.as_deref().unwrap_or_default();
            note_failure(&state, &context, error.failure(), &described(&parts, named));
            return error.answer(&client).into_response();
        }
    };
    let internal_error = client.internal_error();
    let context = if began.elapsed() < SLOW_BODY {
        context
    } else {
        // A change of the key while the body arrived applies to this request.
        match Authenticated::from_request_parts(&mut parts, &state).await {
            Ok(Authenticated(context)) => context,
            Err(error) => return error.into_response(),
        }
    };
    let is_large = body.len() > LARGE_BODY;
    let named = path_model.clone().unwrap_or_default();
    let parse = move || ParsedRequest::parse(route, path_model.as_deref(), body);
    let parsed = if is_large { spawn_blocking(parse).await } else { Ok(parse()) };
    let parsed = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => {
            note_failure(&state, &context, RequestFailure::InvalidBody, &described(&parts, &named));
            return client.bad_request(error.sentence()).into_response();
        }
        Err(_) => return internal_error.into_response(),
    };
    let (respond, response) = oneshot::channel();
    let tasks = state.gateway.in_flight.tasks.clone();
    let request = ForwardRequest { state, client, context, parsed, parts, room };
    tasks.spawn(request.run(respond).in_current_span());
    response.await.unwrap_or_else(|_| internal_error.into_response())
}

/// What gates 6 to 8 found.
struct Admitted {
    model: Model,
    plan: Plan,
    reservation: Reservation,
    reserved: Reserved,
}

/// A request that is read and authenticated.
struct ForwardRequest {
    state: AppState,
    client: ClientContext,
    context: AuthContext,
    parsed: ParsedRequest,
    parts: Parts,
    /// What its body takes.
    room: Share,
}

impl ForwardRequest {
    async fn run(mut self, respond: oneshot::Sender<Response>) {
        match self.admit().await {
            Ok(admitted) => self.send(admitted, respond).await,
            Err(error) => {
                let _ = respond.send(error.into_response());
            }
        }
    }

    async fn admit(&mut self) -> Result<Admitted, ApiError> {
        self.check_scope()?;
        let (model, target) = self.find_target().await?;
        if !matches!(target, Target::Demonstration) {
            self.check_priced(&model)?;
        }
        let (desk, watch) = (&self.state.desk, &self.state.gateway.watch);
        let plan = failover::plan(desk, watch, &model, target).await;
        let plan = plan.map_err(|error| self.client.unavailable(&error))?;
        let (reservation, reserved) = self.reserve(&model).await?;
        Ok(Admitted { model, plan, reservation, reserved })
    }

    async fn send(self, admitted: Admitted, respond: oneshot::Sender<Response>) {
        let Admitted { model, mut plan, reservation, reserved } = admitted;
        let Some(mut serving) = plan.next() else { return };
        let mut deadline = Box::pin(sleep(timeout_of(&serving.target)));
        let limits = reservation.limits.clone();
        let started_at = reservation.started_at();
        let request = reservation.request().clone();
        let guard = self.state.gateway.in_flight.guard(reservation, self.unsent());
        let Self { state, client, context, parsed, parts, mut room } = self;
        let stop = state.gateway.in_flight.stop.clone();
        let watch = state.gateway.watch.clone();
        let is_providers = matches!(serving.target, Target::Provider(_));
        let bounds = Bounds::new(parsed.input.likely, parsed.max_output, parsed.answers, reserved.output);
        let mut attempts =
            Attempts::new(state.desk.clone(), watch.clone(), request.clone(), model.id.clone());
        let mut relay = Relay {
            uncounted: is_providers && parsed.has_uncounted(&model),
            desk: state.desk.clone(),
            stop: stop.clone(),
            client,
            guard,
            limits,
            started_at,
            model,
            target: serving.target,
            route: parsed.route,
            input: parsed.input.likely,
            bounds,
            asked: parsed.served_as().clone(),
            reserved,
            may_reason: parsed.may_reason(),
            key: context.key().clone(),
            readings: state.gateway.readings.clone(),
            room: state.gateway.responses.clone(),
            holder: Holder::of(&context),
            watch,
            request: request.clone(),
            hides_usage: false,
        };
        let (streams, route) = (parsed.streams, parsed.route);
        let framing = Framing::of(route, wants_events(&parts));
        let mut front = Front::new(respond, streams, framing, state.gateway.patience);
        // Another attempt needs the request once more.
        if plan.has_next() && room.grow(parsed.body().len()).is_err() {
            plan.give_up();
        }
        let mut parsed = Some(parsed);
        // From here on the provider may do its work, so an interruption is charged for the input.
        relay.expect_input();
        let mut reading = None;
        let (sent, connecting) = loop {
            let outgoing = if plan.has_next() { parsed.clone() } else { parsed.take() };
            let Some(outgoing) = outgoing else { return };
            let connecting = Connecting::default();
            let began_at = attempts.begin(&relay.target);
            let sent = {
                let sending = send(&state, &relay.target, serving.model, outgoing, &parts, &request);
                let judging = async {
                    let (response, hides_usage) = sending.await?;
                    Ok::<_, NoResponse>((judge(response, route, bounds).await?, hides_usage))
                };
                let mut sending = pin!(connecting.observe(judging));
                let ended = |error| Ok(Err(NoResponse { error, status: 0, words: String::new() }));
                loop {
                    tokio::select! {
                        sent = &mut sending => break Ok(sent),
                        () = &mut deadline => break ended(UpstreamError::TimedOut),
                        () = stop.cancelled() => break ended(UpstreamError::Broken),
                        () = front.timer.rings(), if reading.is_none() => {
                            front.wait(connecting.is_under_way(), |framing, body| relay.early_head(framing, body));
                        }
                        () = front.client.left(), if streams && reading.is_none() => {
                            match relay.leave(&mut deadline) {
                                Ok(begun) => reading = Some(begun),
                                Err(why) => break Err(why),
                            }
                        }
                    }
                }
            };
            let is_free = match &sent {
                Ok(Ok((judged, _))) => {
                    let status = i64::from(judged.response.status.as_u16());
                    attempts.note(
                        &relay.target,
                        began_at,
                        &Ended { status, failure: judged.failure.as_ref() },
                    );
                    judged.failure.is_some() && judged.is_free
                }
                Ok(Err(failed)) if !stop.is_cancelled() => {
                    let met = failed.met();
                    let ended = Ended { status: failed.status, failure: Some(&met) };
                    attempts.note(&relay.target, began_at, &ended);
                    !failed.error.may_cost()
                }
                _ => false,
            };
            // A client that left needs no other provider. One that got an early head has nothing of an answer yet.
            let may_go_on = is_free && reading.is_none() && !front.client.is_gone() && attempts.has_time();
            match plan.next().filter(|_| may_go_on) {
                None => break (sent, connecting),
                Some(next) => {
                    serving = next;
                    deadline.as_mut().reset(Instant::now() + timeout_of(&serving.target));
                    relay.target = serving.target;
                }
            }
        };
        drop(room);
        if plan.is_shared() {
            let kept = attempts.take();
            relay.guard.expect(|settlement| settlement.attempts = kept);
        }
        match sent {
            Ok(Ok((judged, hides_usage))) => {
                relay.hides_usage = hides_usage;
                relay.run(judged.response, streams, front, deadline, reading).await;
            }
            Ok(Err(failed)) if reading.is_some() => {
                relay.settle_left(CLIENT_DISCONNECTED, failed.error, relay.estimate(), None).await;
            }
            Ok(Err(failed)) => {
                relay.settle_failed(failed.error).await;
                front.fail(relay.upstream_error(failed.error)).await;
            }
            // Nothing was sent yet.
            Err(_) if connecting.is_under_way() => {
                relay.settle(CLIENT_DISCONNECTED, MeasuredTokens::NOTHING, None).await;
            }
            Err(why) => relay.settle_reserved(CLIENT_DISCONNECTED, relay.estimate(), None, why).await,
        }
    }

    /// Gate 6. It comes before the catalogue, so that a key cannot find out which models exist.
    fn check_scope(&self) -> Result<(), ApiError> {
        self.context.admit_model(&self.parsed.model).map_err(|stop| self.stopped(&stop))
    }

    fn stopped(&self, stop: &Stop) -> ApiError {
        note_stop(&self.state, &self.context, stop, &described(&self.parts, &self.parsed.model));
        self.client.stopped(stop, &self.parsed.model)
    }

    fn rejected(&self, rejection: &Rejection) -> ApiError {
        let request = described(&self.parts, &self.parsed.model);
        note_rejection(&self.state, &self.context.known(), rejection, &request);
        self.client.rejected(rejection)
    }

    async fn find_target(&self) -> Result<(Model, Target), ApiError> {
        let (id, client) = (&self.parsed.model, &self.client);
        let found = admission::look_up_model(&self.state.desk, id).await;
        let found = found.map_err(|error| client.unavailable(&error))?;
        found.for_route(self.parsed.route).map_err(|why| self.stopped(&Stop::NoTarget(why)))
    }

    /// Refuses what the model has no price for.
    fn check_priced(&self, model: &Model) -> Result<(), ApiError> {
        let allowed = self.context.unpriced() == Unpriced::Allow;
        self.parsed.check_priced(model, allowed).map_err(|error| {
            let request = described(&self.parts, &self.parsed.model);
            note_failure(&self.state, &self.context, RequestFailure::InvalidBody, &request);
            self.client.bad_request(error.sentence())
        })
    }

    /// Gates 7 and 8.
    async fn reserve(&mut self, model: &Model) -> Result<(Reservation, Reserved), ApiError> {
        let known = self.facts().and_then(|facts| RequestId::parse(&facts.id));
        let desk = &self.state.desk;
        let request = known.unwrap_or_else(|| RequestId::new(desk.now(), desk.id_entropy()));
        self.parsed.add_stored(&desk.lately, model);
        let mut bound = Reserved::default();
        let reserved = if self.parsed.route.is_free() {
            admission::count_tokens(desk, &self.context, request, model)
        } else {
            let expected = admission::expected_use(desk, &self.context, model, &self.parsed.asked());
            self.parsed.input.likely = expected.likely.input();
            let wanted = ReservationRequest::new(request, model, &expected);
            bound = Reserved { worst: wanted.worst, output: expected.max_output };
            admission::reserve(desk, &self.context, &wanted).await
        };
        let reservation = reserved.map_err(|error| match error {
            AdmissionError::Rejected(rejection, _) => self.rejected(&rejection),
            AdmissionError::Unavailable(error) => self.client.unavailable(&error),
        })?;
        Ok((reservation, bound))
    }

    fn facts(&self) -> Option<&RequestFacts> {
        self.parts.extensions.get::<RequestFacts>()
    }

    /// The settlement of a request that was never sent.
    fn unsent(&self) -> Settlement {
        let address = self.facts().and_then(|facts| facts.address);
        Settlement {
            route: self.parsed.route.path(&self.parsed.model),
            status: i64::from(StatusCode::INTERNAL_SERVER_ERROR.as_u16()),
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            user_agent: user_agent(&self.parts.headers),
            tags: tags_of(&self.parts.headers, &self.parsed),
            ..Settlement::default()
        }
    }
}

/// How long a whole answer may take.
fn timeout_of(target: &Target) -> Duration {
    match target {
        Target::Demonstration => DEMO_TIMEOUT,
        Target::Provider(provider) => milliseconds(provider.whole_ms),
    }
}

/// The client's user agent, as it may be stored and shown.
pub fn user_agent(headers: &HeaderMap) -> String {
    let sent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let shown = sent.filter(|text| !has_secret(text)).unwrap_or_default();
    shown.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect()
}

/// Whether a stream of Gemini's is asked for as events.
fn wants_events(parts: &Parts) -> bool {
    let is_alt_sse = |(name, value): (Cow<'_, str>, Cow<'_, str>)| name == "alt" && value == "sse";
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).any(is_alt_sse)
}

/// The first answer of a provider ends the demonstration. The client does not wait for that.
fn note_answer(state: &AppState, provider: &Provider) {
    let (desk, id) = (state.desk.clone(), provider.id.clone());
    state.gateway.in_flight.tasks.spawn(async move {
        if let Err(error) = admission::note_answer(&desk, &id).await {
            tracing::warn!(%error, "the first answer of a provider is not noted");
        }
    });
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
            parsed.omit(&provider.omitted);
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
