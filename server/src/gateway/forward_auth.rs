//! For proxies that authorise each request: nginx's `auth_request`, Caddy's `forward_auth`. They send headers and no body,
//! so an admitted request counts as one without tokens.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::admission::{self, AdmissionError, ModelLookup, ReservationRequest, Settlement};
use keydesk_core::domain::api_error::{NoTarget, Stop};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::model::catalogue_name;
use keydesk_core::domain::money::Money;

use super::credentials::{described_at, from_query, note_rejection, note_stop, presented};
use super::external_api::request_id;
use super::forward::user_agent;
use super::protocol::{ApiError, ClientContext, protocol_of};
use super::{rate_limit_headers, replaced_secret};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// Where a proxy puts its client's URL.
const ORIGINAL: [&str; 2] = ["x-original-uri", "x-forwarded-uri"];
const MODEL: &str = "x-keydesk-model";
/// In place of a model, when the request names none.
const NO_MODEL: &str = "-";

pub async fn check(State(state): State<AppState>, mut client: ClientContext, parts: Parts) -> Response {
    let original =
        ORIGINAL.iter().find_map(|name| parts.headers.get(*name)?.to_str().ok()).unwrap_or_default();
    let (path, query) = original.split_once('?').unwrap_or((original, ""));
    let path = if path.is_empty() { parts.uri.path() } else { path };
    client.protocol = protocol_of(path, &parts.headers);
    match admit(&state, &client, &parts, path, query).await {
        Ok(headers) => (headers, ()).into_response(),
        Err(error) => rejected(error, &parts),
    }
}

async fn admit(
    state: &AppState,
    client: &ClientContext,
    parts: &Parts,
    path: &str,
    query: &str,
) -> Result<HeaderMap, ApiError> {
    let desk = &state.desk;
    let address = parts.extensions.get::<RequestFacts>().and_then(|facts| facts.address);
    let named = parts.headers.get(MODEL).map(|model| String::from_utf8_lossy(model.as_bytes()).into_owned());
    let described = described_at(parts, named.as_deref().unwrap_or_default(), path, address);
    let rejected = |error: AdmissionError| match error {
        AdmissionError::Rejected(rejection, key) => {
            if let Some(key) = key {
                note_rejection(state, &key, &rejection, &described);
            }
            client.rejected(&rejection)
        }
        AdmissionError::Unavailable(error) => client.unavailable(&error),
    };
    let mut sent = presented(parts);
    from_query(&mut sent, query);
    let context = admission::authenticate(desk, &sent, address).await.map_err(rejected)?;
    state.last_used.note(context.key(), context.secret(), desk.now());
    replaced_secret::note(parts, &context);
    let model = named.as_deref().map_or(NO_MODEL, catalogue_name).to_owned();
    if model != NO_MODEL {
        context.admit_model(&model).map_err(|stop| {
            note_stop(state, &context, &stop, &described);
            client.stopped(&stop, &model)
        })?;
        let found =
            admission::look_up_model(desk, &model).await.map_err(|error| client.unavailable(&error))?;
        if let ModelLookup::Unknown = found {
            let stop = Stop::NoTarget(NoTarget::UnknownModel);
            note_stop(state, &context, &stop, &described);
            return Err(client.stopped(&stop, &model));
        }
    }
    let request = request_id(parts).unwrap_or_else(|| RequestId::new(desk.now(), desk.id_entropy()));
    let wanted = ReservationRequest {
        request,
        model,
        amount: Money::ZERO,
        worst: Money::ZERO,
        tokens: 0,
        presumed: admission::Presumed::default(),
        is_priced: true,
    };
    let route = if has_secret(path) { "" } else { path };
    let settlement = Settlement {
        route: route.chars().filter(|c| !c.is_control()).take(200).collect(),
        status: i64::from(StatusCode::OK.as_u16()),
        address: address.map(|address| address.to_string()).unwrap_or_default(),
        user_agent: user_agent(&parts.headers),
        ..Settlement::default()
    };
    // In a task of its own, so that the reservation is settled also when the proxy disconnects.
    let (own, in_flight) = (desk.clone(), state.gateway.in_flight.clone());
    let admitted = state.gateway.in_flight.tasks.spawn(async move {
        let reservation = admission::reserve(&own, &context, &wanted).await;
        if let Ok(reservation) = &reservation {
            in_flight.guard(reservation.clone(), settlement).settle_behind(&own).await;
        }
        (context, reservation)
    });
    let (context, reservation) = admitted.await.map_err(|_| client.internal_error())?;
    let reservation = reservation.map_err(rejected)?;
    state.metrics.admitted();
    let mut headers = HeaderMap::new();
    rate_limit_headers::add(&mut headers, &reservation.limits, Some(Money::ZERO), desk.now());
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("cache-control", "no-store");
    put("x-keydesk-key", context.key().as_str());
    put("x-keydesk-org", context.org().as_str());
    if let Some(team) = context.team() {
        put("x-keydesk-team", team.as_str());
    }
    put("x-keydesk-request-id", reservation.request().as_str());
    Ok(headers)
}

/// Nginx relays 401 and 403 and turns every other status into 500: with `?status=403`, headers carry the real one.
fn rejected(error: ApiError, parts: &Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default();
    let as_403 =
        form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "status" && value == "403");
    let status = error.status();
    // A header is one line of ASCII.
    let sentence: String =
        error.message().replace('…', "...").chars().filter(|c| (' '..='~').contains(c)).collect();
    let mut response = error.into_response();
    let headers = response.headers_mut();
    headers.insert("x-keydesk-status", HeaderValue::from(status.as_u16()));
    if let Ok(sentence) = HeaderValue::try_from(sentence) {
        headers.insert("x-keydesk-error", sentence);
    }
    if as_403 && status != StatusCode::UNAUTHORIZED {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}
