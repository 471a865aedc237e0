//! The API for other gateways: they authorise a request before they forward it, and settle it afterwards. They authenticate
//! with a token and send their client's key unchanged.
//!
//! A reservation expires after two minutes without `renew`.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::{
    self, AdmissionError, AuthContext, LEASE_MS, ModelLookup, Reservation, ReservationRequest, Settlement,
};
use keydesk_core::domain::api_error::{NoTarget, Stop};
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::expected_use::{AskedUse, InputTokens};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::meter::{Counts, Metered, ServedAs};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::request_log::plain_error;
use keydesk_core::domain::route::Route;
use keydesk_core::domain::tags::read_tags;
use keydesk_core::store::StoreError;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::body::{self, MAX_BODY};
use super::credentials::{described_at, note_rejection, note_stop, presented};
use super::estimate::{self, MAX_TOKENS};
use super::key_view::limit;
use super::parsed_request::ParsedRequest;
use super::protocol::{ApiError, ClientContext, json_response, protocol_of};
use super::rate_limit_headers;
use super::room::Holder;
use super::usage::word;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

const TOKEN: &str = "x-keydesk-gateway";
const MAX_REQUESTS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizeRequest {
    model: String,
    input_tokens: Option<i64>,
    /// The client's body, or any text, from which the input tokens are estimated.
    estimate: Option<Box<RawValue>>,
    max_output_tokens: Option<i64>,
    /// The client's address, for keys with an address list.
    address: Option<IpAddr>,
    #[serde(default)]
    route: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleRequest {
    request_id: RequestId,
    status: i64,
    #[serde(default)]
    input_tokens: i64,
    #[serde(default)]
    output_tokens: i64,
    #[serde(default)]
    cached_tokens: i64,
    /// How much of each meter, in place of the three numbers.
    meters: Option<Counts>,
    service_tier: Option<String>,
    region: Option<String>,
    speed: Option<String>,
    #[serde(default)]
    estimated: bool,
    #[serde(default)]
    latency_ms: i64,
    first_byte_ms: Option<i64>,
    #[serde(default)]
    route: String,
    address: Option<IpAddr>,
    #[serde(default)]
    user_agent: String,
    /// For reports.
    #[serde(default)]
    tags: Vec<String>,
    /// What the provider said of a failed request.
    #[serde(default)]
    error: String,
}

impl SettleRequest {
    fn metered(&self) -> Metered {
        let counts = self
            .meters
            .unwrap_or_else(|| Counts::of_totals(self.input_tokens, self.cached_tokens, self.output_tokens));
        let reported =
            |sent: &Option<String>| sent.as_deref().map(|sent| word(&sent.into())).unwrap_or_default();
        let served_as = ServedAs {
            tier: reported(&self.service_tier),
            region: reported(&self.region),
            speed: reported(&self.speed),
        };
        Metered { counts, served_as, ..Metered::NONE }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseRequest {
    request_id: RequestId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenewRequest {
    request_ids: Vec<RequestId>,
}

/// Gates 1 to 8, for a request that another gateway forwards.
pub async fn authorize(
    State(state): State<AppState>,
    mut client: ClientContext,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, wanted): (Parts, AuthorizeRequest) = read(&state, &client, request).await?;
    if !wanted.route.is_empty() {
        client.protocol = protocol_of(&wanted.route, &HeaderMap::new());
    }
    let described = described_at(&parts, &wanted.model, &wanted.route, wanted.address);
    let rejected = |error: AdmissionError| match error {
        AdmissionError::Rejected(rejection, key) => {
            if let Some(key) = key {
                note_rejection(&state, &key, &rejection, &described);
            }
            client.rejected(&rejection)
        }
        AdmissionError::Unavailable(error) => client.unavailable(&error),
    };
    let desk = &state.desk;
    let context =
        admission::authenticate(desk, &presented(&parts), wanted.address).await.map_err(rejected)?;
    state.last_used.note(context.key(), context.secret(), desk.now());
    context.admit_model(&wanted.model).map_err(|stop| {
        note_stop(&state, &context, &stop, &described);
        client.stopped(&stop, &wanted.model)
    })?;
    let found = admission::look_up_model(desk, &wanted.model).await;
    let model = match found.map_err(|error| client.unavailable(&error))? {
        // The other gateway knows who serves it.
        ModelLookup::Unrouted(model) | ModelLookup::Routed(model, _) => *model,
        ModelLookup::Unknown => {
            let stop = Stop::NoTarget(NoTarget::UnknownModel);
            note_stop(&state, &context, &stop, &described);
            return Err(client.stopped(&stop, &wanted.model));
        }
    };
    let asked = asked_use(&state, &model, &wanted);
    let expected = admission::expected_use(desk, &context, &model, &asked);
    let id = request_id(&parts).unwrap_or_else(|| RequestId::new(desk.now(), desk.id_entropy()));
    let request = ReservationRequest::new(id, &model, &expected);
    let (amount, worst, tokens) = (request.amount, request.worst, request.tokens);
    let (context, reservation) =
        reserve(&state, context, request).await.map_err(|_| client.internal_error())?;
    let reservation = reservation.map_err(rejected)?;
    state.metrics.admitted();
    let mut response = json_response(&json!({
        "request_id": reservation.request(),
        "key": {"id": context.key(), "name": context.key_name()},
        "organisation": context.org(),
        "team": context.team(),
        "model": model.id,
        "upstream_name": model.name_upstream(),
        "reserved": {"nanos": amount.nanos(), "dollars": amount.input(), "tokens": tokens,
            "worst_nanos": worst.nanos(), "worst_dollars": worst.input()},
        "lease_seconds": LEASE_MS / 1_000,
        "limits": reservation.limits.iter().map(limit).collect::<Vec<_>>(),
    }));
    rate_limit_headers::add(response.headers_mut(), &reservation.limits, None, desk.now());
    Ok(response)
}

/// What a request asks for: by its body, where that was sent, and by what the other gateway says of it.
fn asked_use(state: &AppState, model: &Model, wanted: &AuthorizeRequest) -> AskedUse {
    let route = Route::of_endpoint(&wanted.route);
    let read = |body: &RawValue| {
        let bytes = Bytes::from(body.get().to_owned());
        let Ok(mut parsed) = ParsedRequest::parse(route, Some(&wanted.model), bytes) else {
            // Some other text, or a body that names its model as its provider does.
            let input = estimate::of_request(&model.id, body.get().as_bytes());
            let input = input.unwrap_or(InputTokens { likely: MAX_TOKENS, max: MAX_TOKENS });
            return AskedUse::of(input, None);
        };
        parsed.add_stored(&state.desk.lately, model);
        parsed.asked()
    };
    let asked = wanted.estimate.as_deref().map(read);
    let mut asked = asked.unwrap_or_else(|| AskedUse::of(InputTokens::default(), None));
    if let Some(tokens) = wanted.input_tokens {
        asked.input = InputTokens::exactly(tokens);
    }
    asked.output = if route.has_output() { wanted.max_output_tokens.or(asked.output) } else { Some(0) };
    asked
}

type Reserved = (AuthContext, Result<Reservation, AdmissionError>);

/// In a task of its own: when the other gateway disconnects before it gets the answer, the reservation is released.
async fn reserve(
    state: &AppState,
    context: AuthContext,
    request: ReservationRequest,
) -> Result<Reserved, oneshot::error::RecvError> {
    let (respond, response) = oneshot::channel();
    let desk = state.desk.clone();
    state.gateway.in_flight.tasks.spawn(async move {
        let reservation = admission::reserve_for_other(&desk, &context, &request).await;
        let Err((_, Ok(reservation))) = respond.send((context, reservation)) else { return };
        if let Err(error) = admission::release(&desk, reservation.request()).await {
            tracing::error!(%error, request.id = %reservation.request(), "not released: the reservation of a gateway that disconnected expires");
        }
    });
    response.await
}

/// Writes what a request used, once.
pub async fn settle(
    State(state): State<AppState>,
    client: ClientContext,
    request: Request,
) -> Result<Response, ApiError> {
    let (_, sent): (_, SettleRequest) = read(&state, &client, request).await?;
    let unavailable = |error: StoreError| client.unavailable(&error);
    let desk = &state.desk;
    let settled_before = admission::settled_cost(desk, &sent.request_id).await.map_err(unavailable)?;
    if let Some(cost) = settled_before {
        return Ok(settlement_answer(cost, false));
    }
    let Some(reservation) = admission::find_reservation(desk, &sent.request_id).await.map_err(unavailable)?
    else {
        return Err(client.not_found(
            "There is no reservation for this request. It was released, or it expired more than two minutes ago.",
        ));
    };
    let model = admission::priced_model(desk, reservation.model(), reservation.started_at())
        .await
        .map_err(unavailable)?;
    let bill = Bill::at_price_of(&model, sent.metered(), sent.estimated);
    let cost = bill.cost;
    let plain = |text: &str| -> String {
        let shown = if has_secret(text) { "" } else { text };
        shown.chars().filter(|c| !c.is_control()).take(200).collect()
    };
    let settlement = Settlement {
        route: plain(&sent.route),
        status: sent.status.clamp(100, 999),
        bill,
        latency_ms: sent.latency_ms.max(0),
        first_byte_ms: sent.first_byte_ms.map(|ms| ms.max(0)),
        address: sent.address.map(|address| address.to_string()).unwrap_or_default(),
        user_agent: plain(&sent.user_agent),
        tags: read_tags(sent.tags.iter().map(String::as_str)),
        error: plain_error(&sent.error),
        attempts: Vec::new(),
    };
    let began = Instant::now();
    let counted = admission::settle(desk, &reservation, &settlement).await.map_err(unavailable)?;
    if counted {
        state.metrics.settled(cost, began.elapsed());
    }
    Ok(settlement_answer(cost, counted))
}

fn settlement_answer(cost: Money, counted: bool) -> Response {
    json_response(&json!({"cost": {"nanos": cost.nanos(), "dollars": cost.input()}, "counted": counted}))
}

/// Ends the reservation of a request that was never forwarded.
pub async fn release(
    State(state): State<AppState>,
    client: ClientContext,
    request: Request,
) -> Result<Response, ApiError> {
    let (_, sent): (_, ReleaseRequest) = read(&state, &client, request).await?;
    let released = admission::release(&state.desk, &sent.request_id).await;
    Ok(json_response(&json!({"released": released.map_err(|error| client.unavailable(&error))?})))
}

/// Extends the reservations of requests that are in flight.
pub async fn renew(
    State(state): State<AppState>,
    client: ClientContext,
    request: Request,
) -> Result<Response, ApiError> {
    let (_, sent): (_, RenewRequest) = read(&state, &client, request).await?;
    if sent.request_ids.len() > MAX_REQUESTS {
        return Err(client.bad_request("The list has more than 10,000 requests. Send them in several calls."));
    }
    let renewed = admission::renew(&state.desk, &sent.request_ids).await;
    renewed.map_err(|error| client.unavailable(&error))?;
    Ok(json_response(&json!({"lease_seconds": LEASE_MS / 1_000})))
}

pub fn request_id(parts: &Parts) -> Option<RequestId> {
    RequestId::parse(&parts.extensions.get::<RequestFacts>()?.id)
}

/// Checks the token before it reads the body.
async fn read<T: DeserializeOwned>(
    state: &AppState,
    client: &ClientContext,
    request: Request,
) -> Result<(Parts, T), ApiError> {
    let Some(token) = &state.gateway.token else {
        return Err(client.not_found(
            "The API for other gateways is off. Ask your administrator to set KEYDESK_GATEWAY_TOKEN.",
        ));
    };
    let (parts, body) = request.into_parts();
    let sent = parts.headers.get(TOKEN).map(|value| value.as_bytes()).unwrap_or_default();
    // Hashes have equal lengths, so the comparison takes constant time.
    let same = Sha256::digest(sent).ct_eq(&Sha256::digest(token.expose_secret().as_bytes()));
    if !bool::from(same) {
        return Err(client.invalid_gateway_token());
    }
    let mut room = state.gateway.bodies.share(Holder::named("gateways"));
    let body = body::read(&parts.headers, body, MAX_BODY, state.gateway.body_timeout, &mut room).await;
    let body = body.map_err(|error| error.answer(client))?;
    // A zero character is in no text that a database takes.
    let is_text = !body.windows(6).any(|piece| piece == br"\u0000");
    match serde_json::from_slice(&body) {
        Ok(body) if is_text => Ok((parts, body)),
        _ => Err(client.bad_request(
            "The body is not a JSON object with the members of this route. GATEWAY.md lists them.",
        )),
    }
}
