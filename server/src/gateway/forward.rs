//! One request on its way to a model, from top to bottom: read, gate 6, its target, gates 7 and 8. `sending` sends it then,
//! and `relay` returns the response.
//!
//! Once its body is read, a request runs in a task of its own: a client that disconnects cannot interrupt it, and its usage
//! is written in any case.

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
use keydesk_core::domain::request_log::RequestFailure;
use keydesk_core::domain::route::Route;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::Instrument;

use super::body::{self, MAX_BODY};
use super::credentials::{Authenticated, described, note_failure, note_rejection, note_stop};
use super::failover::{self, Attempts, Plan};
use super::parsed_request::ParsedRequest;
use super::protocol::{ApiError, ClientContext};
use super::relay::{Relay, Reserved};
use super::room::{Holder, Share};
use super::sending::{Sending, deadline_of, wants_events};
use super::silence::{Framing, Front};
use super::tags::tags_of;
use super::usage::Bounds;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// A larger body is parsed on a thread for blocking work, so that other requests do not wait.
const LARGE_BODY: usize = 64 << 10;
/// After a body that takes longer to arrive, gates 1 to 5 are checked again.
const SLOW_BODY: Duration = Duration::from_secs(1);
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
            Ok(admitted) => {
                if let Some(sending) = self.begin(admitted, respond) {
                    sending.run().await;
                }
            }
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
        self.state.metrics.admitted();
        Ok(Admitted { model, plan, reservation, reserved })
    }

    /// Takes the first of the plan as the target.
    fn begin(self, admitted: Admitted, respond: oneshot::Sender<Response>) -> Option<Sending> {
        let Admitted { model, mut plan, reservation, reserved } = admitted;
        let first = plan.next()?;
        let deadline = deadline_of(&first.target);
        let (desk, watch) = (self.state.desk.clone(), self.state.gateway.watch.clone());
        let (metrics, request) = (self.state.metrics.clone(), reservation.request().clone());
        let attempts = Attempts::new(desk, watch, metrics, request, model.id.clone());
        let relay = self.relay(model, first.target, reservation, reserved);
        let Self { state, client: _, context: _, parsed, parts, mut room } = self;
        let streams = parsed.streams;
        let framing = Framing::of(parsed.route, wants_events(&parts));
        let front = Front::new(respond, streams, framing, state.gateway.patience);
        // Another attempt needs the request once more.
        if plan.has_next() && room.grow(parsed.body().len()).is_err() {
            plan.give_up();
        }
        Some(Sending {
            state,
            parts,
            parsed: Some(parsed),
            room,
            streams,
            front,
            relay,
            model: first.model,
            deadline,
            plan,
            attempts,
            reading: None,
        })
    }

    /// What settles the request from now on, and hands its response to the client.
    fn relay(&self, model: Model, target: Target, reservation: Reservation, reserved: Reserved) -> Relay {
        let (gateway, parsed) = (&self.state.gateway, &self.parsed);
        let is_providers = matches!(target, Target::Provider(_));
        Relay {
            uncounted: is_providers && parsed.has_uncounted(&model),
            desk: self.state.desk.clone(),
            stop: gateway.in_flight.stop.clone(),
            client: self.client.clone(),
            limits: reservation.limits.clone(),
            started_at: reservation.started_at(),
            request: reservation.request().clone(),
            guard: gateway.in_flight.guard(reservation, self.unsent()),
            model,
            target,
            route: parsed.route,
            input: parsed.input.likely,
            bounds: Bounds::new(parsed.input.likely, parsed.max_output, parsed.answers, reserved.output),
            asked: parsed.served_as().clone(),
            reserved,
            may_reason: parsed.may_reason(),
            key: self.context.key().clone(),
            readings: gateway.readings.clone(),
            room: gateway.responses.clone(),
            holder: Holder::of(&self.context),
            watch: gateway.watch.clone(),
            metrics: self.state.metrics.clone(),
            hides_usage: false,
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

/// The client's user agent, as it may be stored and shown.
pub fn user_agent(headers: &HeaderMap) -> String {
    let sent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let shown = sent.filter(|text| !has_secret(text)).unwrap_or_default();
    shown.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect()
}
