//! One request on its way to a model, from top to bottom: read, gate 6, who serves it, gates 7 and 8, sent. What comes
//! back is `back`'s business.
//!
//! From the moment that its body is read, a request lives in a task of its own: a client that hangs up cannot break it off
//! half way, and what was used is written in any case.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use keydesk_core::admission::{self, AdmissionError, AuthContext, Reserved, Used};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::model::{DEMO_ECHO, Model, demo_echo};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::provider::{Provider, ProviderKind};
use keydesk_core::domain::usage::Tokens;
use keydesk_core::store::{StoreError, models, providers};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::ask::{Ask, Route, Wrong};
use super::back::{Flight, HUNG_UP};
use super::credentials::{Authenticated, note_rejection};
use super::echo;
use super::protocol::{Asker, Fault};
use super::upstream::{Answer, Failure, Sending, milliseconds};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

pub const MAX_BODY: usize = 32 << 20;
/// Looked through beside everything else; a longer one would keep others waiting.
const LARGE_BODY: usize = 256 << 10;
/// A body that takes longer is asked about again at gates 1 to 5.
const SLOW_BODY: Duration = Duration::from_secs(1);
const BODY_WITHIN: Duration = Duration::from_secs(120);
/// The demonstration answers at once.
const DEMO_WITHIN: Duration = Duration::from_secs(60);
const MAX_USER_AGENT: usize = 200;

/// A request whose key has passed gates 1 to 5. `path_model` is the model in a Gemini path.
pub async fn pass(
    state: AppState,
    asker: Asker,
    context: AuthContext,
    route: Route,
    path_model: Option<String>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let began = Instant::now();
    let Some(room) = state.gateway.bodies.room_for(&parts.headers).await else {
        return asker.busy().into_response();
    };
    let body = match read(&parts.headers, body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return asker.too_large().into_response(),
        Err(Unread::TooSlow) => return asker.too_slow().into_response(),
        Err(Unread::Broken) => {
            return asker.bad_request("The request's body broke off before its end.").into_response();
        }
    };
    let broken = asker.broken();
    let context = if began.elapsed() < SLOW_BODY {
        context
    } else {
        // What was decided about the key while its request arrived holds for it.
        match Authenticated::from_request_parts(&mut parts, &state).await {
            Ok(Authenticated(context)) => context,
            Err(fault) => return fault.into_response(),
        }
    };
    let large = body.len() > LARGE_BODY;
    let reading = move || Ask::read(route, path_model.as_deref(), body);
    let read = if large { spawn_blocking(reading).await } else { Ok(reading()) };
    let ask = match read {
        Ok(Ok(ask)) => ask,
        Ok(Err(Wrong(sentence))) => return asker.bad_request(sentence).into_response(),
        Err(_) => return broken.into_response(),
    };
    let (answer, answered) = oneshot::channel();
    let tasks = state.gateway.under_way.tasks.clone();
    let passage = Passage { state, asker, context, ask, parts };
    let whole = async move {
        passage.run(answer).await;
        drop(room);
    };
    tasks.spawn(whole.in_current_span());
    answered.await.unwrap_or_else(|_| broken.into_response())
}

enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Unread> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Unread::TooLarge);
    }
    match timeout(BODY_WITHIN, to_bytes(body, MAX_BODY)).await {
        Err(_) => Err(Unread::TooSlow),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error))
            if error.source().is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) =>
        {
            Err(Unread::TooLarge)
        }
        Ok(Err(_)) => Err(Unread::Broken),
    }
}

/// Who answers.
pub enum Server {
    Demonstration,
    Provider(Box<Provider>),
}

impl Server {
    fn whole(&self) -> Duration {
        match self {
            Server::Demonstration => DEMO_WITHIN,
            Server::Provider(provider) => milliseconds(provider.whole_ms),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Server::Demonstration => "Demonstration",
            Server::Provider(provider) => &provider.name,
        }
    }
}

struct Passage {
    state: AppState,
    asker: Asker,
    context: AuthContext,
    ask: Ask,
    parts: Parts,
}

impl Passage {
    async fn run(self, answer: oneshot::Sender<Response>) {
        match self.admitted().await {
            Ok((model, server, reserved)) => self.sent(model, server, reserved, answer).await,
            Err(fault) => {
                let _ = answer.send(fault.into_response());
            }
        }
    }

    async fn admitted(&self) -> Result<(Model, Server, Reserved), Fault> {
        self.in_scope()?;
        let (model, server) = self.served().await?;
        let reserved = self.reserve(&model).await?;
        Ok((model, server, reserved))
    }

    async fn sent(
        self,
        model: Model,
        server: Server,
        reserved: Reserved,
        mut answer: oneshot::Sender<Response>,
    ) {
        let mut deadline = Box::pin(sleep(server.whole()));
        let limits = reserved.limits.clone();
        let started_at = reserved.started_at();
        let request = reserved.request().clone();
        let holding = self.state.gateway.under_way.hold(reserved, self.nothing_yet());
        let Self { state, asker, ask, parts, .. } = self;
        let stop = state.gateway.under_way.stop.clone();
        let mut flight = Flight {
            desk: state.desk.clone(),
            stop: stop.clone(),
            asker,
            holding,
            limits,
            started_at,
            model,
            server,
            route: ask.route,
            input: ask.input,
            hides_usage: false,
        };
        let streams = ask.streams;
        // If this breaks off from here on, the provider may have done its work.
        flight.will_have_used_input();
        let sending =
            send(&state, &flight.server, flight.model.name_upstream().to_owned(), ask, &parts, &request);
        let sent = tokio::select! {
            sent = sending => sent,
            () = &mut deadline => Err(Failure::TimedOut),
            () = stop.cancelled() => Err(Failure::Broken),
            () = answer.closed(), if streams => {
                return flight.settle(HUNG_UP, flight.estimate(), None).await;
            }
        };
        match sent {
            Ok((back, hides_usage)) => {
                flight.hides_usage = hides_usage;
                flight.back(back, streams, answer, deadline).await;
            }
            Err(failure) => {
                flight.settle_failed(failure).await;
                let _ = answer.send(flight.fault(failure).into_response());
            }
        }
    }

    /// Gate 6. What a key may not use, it does not learn about either.
    fn in_scope(&self) -> Result<(), Fault> {
        if looks_like_secret(&self.ask.model) {
            return Err(self.asker.model_not_found("There is no model of this name."));
        }
        self.context.model(&self.ask.model).map_err(|rejection| self.refused(&rejection))
    }

    fn refused(&self, rejection: &Rejection) -> Fault {
        note_rejection(&self.parts, &self.state, &self.context.known(), rejection);
        self.asker.refused(rejection)
    }

    /// One lookup, and for the demonstration's name another one.
    async fn served(&self) -> Result<(Model, Server), Fault> {
        let (id, asker) = (&self.ask.model, &self.asker);
        let (base, kind) = (&asker.base_url, self.ask.route.kind());
        match find(&self.state, id).await.map_err(|error| asker.unavailable(&error))? {
            Found::Nothing => {
                let shown: String = id.chars().filter(|c| !c.is_control()).take(100).collect();
                Err(asker.model_not_found(&format!(
                    "The model {shown} is not in this installation's catalogue. GET {base}/v1/models lists those this key may use."
                )))
            }
            Found::Unrouted(_) => Err(asker.not_served(&format!(
                "The model {id} is in the catalogue, but no provider serves it here yet. Whoever runs this installation adds one under Providers."
            ))),
            Found::Served(model, Server::Provider(provider)) if provider.kind != kind => {
                let right = match provider.kind {
                    ProviderKind::OpenAi => "/v1/chat/completions".to_owned(),
                    ProviderKind::Anthropic => "/v1/messages".to_owned(),
                    ProviderKind::Gemini => format!("/v1beta/models/{}:generateContent", model.id),
                };
                Err(asker.bad_request(&format!(
                    "The model {id} speaks the protocol of {}, and nothing is translated. Send it to POST {base}{right}.",
                    provider.kind.label()
                )))
            }
            Found::Served(model, server) => Ok((*model, server)),
        }
    }

    /// Gates 7 and 8.
    async fn reserve(&self, model: &Model) -> Result<Reserved, Fault> {
        let known = self.facts().and_then(|facts| RequestId::parse(&facts.id));
        let desk = &self.state.desk;
        let request = known.unwrap_or_else(|| RequestId::new(desk.now(), desk.id_entropy()));
        let asked = max(request, model, self.ask.input, self.ask.output(model.default_output_tokens));
        admission::reserve(desk, &self.context, &asked).await.map_err(|stopped| match stopped {
            AdmissionError::Refused(rejection, _) => self.refused(&rejection),
            AdmissionError::Unavailable(error) => self.asker.unavailable(&error),
        })
    }

    fn facts(&self) -> Option<&RequestFacts> {
        self.parts.extensions.get::<RequestFacts>()
    }

    fn nothing_yet(&self) -> Used {
        let address = self.facts().and_then(|facts| facts.address);
        Used {
            model: self.ask.model.clone(),
            route: self.ask.route.path(&self.ask.model),
            status: i64::from(StatusCode::INTERNAL_SERVER_ERROR.as_u16()),
            tokens: Tokens::default(),
            cost: Money::ZERO,
            estimated: false,
            latency_ms: 0,
            first_byte_ms: None,
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            user_agent: user_agent(&self.parts.headers),
        }
    }
}

/// What a request holds: its input, and the most that it may have as output.
pub fn max(request: RequestId, model: &Model, input: i64, output: i64) -> admission::Ask {
    let tokens = Tokens { input, output, cached: 0 };
    // Reading from a cache is cheaper almost everywhere; where it is not, all of it may be.
    let cached = Tokens { cached: input, ..tokens };
    admission::Ask {
        request,
        model: model.id.clone(),
        amount: tokens.cost(model).max(cached.cost(model)),
        tokens: tokens.all(),
    }
}

pub fn user_agent(headers: &HeaderMap) -> String {
    let sent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let shown = sent.filter(|text| !looks_like_secret(text)).unwrap_or_default();
    shown.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect()
}

/// A model and who serves it.
pub enum Found {
    Nothing,
    Unrouted(Box<Model>),
    Served(Box<Model>, Server),
}

pub async fn find(state: &AppState, id: &str) -> Result<Found, StoreError> {
    let mut read = state.desk.db.read().await?;
    Ok(match models::served(&mut read, id).await? {
        Some((model, Some(provider))) => Found::Served(Box::new(model), Server::Provider(Box::new(provider))),
        _ if id == DEMO_ECHO && !providers::any(&mut read).await? => {
            Found::Served(Box::new(demo_echo()), Server::Demonstration)
        }
        Some((model, None)) => Found::Unrouted(Box::new(model)),
        None => Found::Nothing,
    })
}

async fn send(
    state: &AppState,
    server: &Server,
    model: String,
    ask: Ask,
    parts: &Parts,
    request: &RequestId,
) -> Result<(Answer, bool), Failure> {
    let (route, streams) = (ask.route, ask.streams);
    match server {
        Server::Demonstration => {
            let asks = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
                name == "alt" && value == "sse"
            };
            let query = parts.uri.query().unwrap_or_default();
            let asked_events = form_urlencoded::parse(query.as_bytes()).any(asks);
            let answer = echo::answer(&ask, asked_events, request, state.desk.now());
            Ok((answer, ask.into_upstream(&model).1))
        }
        Server::Provider(provider) => {
            let (body, hides_usage) = ask.into_upstream(&model);
            let (query, headers) = (parts.uri.query(), &parts.headers);
            let sending = Sending { provider, route, model: &model, query, headers, body, streams };
            Ok((state.gateway.upstreams.send(sending).await?, hides_usage))
        }
    }
}
