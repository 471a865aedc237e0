//! For proxies that ask before they pass a request on: nginx's `auth_request`, Caddy's `forward_auth`. It looks at the
//! headers and never at a body, so it knows no tokens: a request that it lets in is counted as one without any.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::admission::{self, AdmissionError, Used};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::usage::Tokens;

use super::calls::request_id;
use super::credentials::{from_query, note_rejection_at, presented};
use super::pass::{Found, find, user_agent};
use super::protocol::{Asker, Fault, Protocol};
use super::told;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// Where a proxy says what was asked of it.
const ORIGINAL: [&str; 2] = ["x-original-uri", "x-forwarded-uri"];
const MODEL: &str = "x-keydesk-model";
/// In the place of a model that nobody named.
const NO_MODEL: &str = "-";

pub async fn check(State(state): State<AppState>, mut asker: Asker, parts: Parts) -> Response {
    let original =
        ORIGINAL.iter().find_map(|name| parts.headers.get(*name)?.to_str().ok()).unwrap_or_default();
    let (path, query) = original.split_once('?').unwrap_or((original, ""));
    let path = if path.is_empty() { parts.uri.path() } else { path };
    asker.protocol = Protocol::of(path, &parts.headers);
    match admit(&state, &asker, &parts, path, query).await {
        Ok(headers) => (headers, ()).into_response(),
        Err(fault) => refused(fault, &parts),
    }
}

async fn admit(
    state: &AppState,
    asker: &Asker,
    parts: &Parts,
    path: &str,
    query: &str,
) -> Result<HeaderMap, Fault> {
    let desk = &state.desk;
    let address = parts.extensions.get::<RequestFacts>().and_then(|facts| facts.address);
    let stopped = |stopped: AdmissionError| match stopped {
        AdmissionError::Refused(rejection, key) => {
            if let Some(key) = key {
                note_rejection_at(parts, state, &key, &rejection, path, address);
            }
            asker.refused(&rejection)
        }
        AdmissionError::Unavailable(error) => asker.unavailable(&error),
    };
    let mut sent = presented(parts);
    from_query(&mut sent, query);
    let context = admission::authenticate(desk, &sent, address).await.map_err(stopped)?;
    state.last_used.note(context.key(), desk.now());
    let named = parts.headers.get(MODEL).map(|model| String::from_utf8_lossy(model.as_bytes()).into_owned());
    let model = named.unwrap_or_else(|| NO_MODEL.into());
    if looks_like_secret(&model) {
        return Err(asker.model_not_found("There is no model of this name."));
    }
    if model != NO_MODEL {
        context
            .model(&model)
            .map_err(|rejection| stopped(AdmissionError::Refused(rejection, Some(context.known()))))?;
        if let Found::Nothing = find(state, &model).await.map_err(|error| asker.unavailable(&error))? {
            return Err(asker.model_not_found("The model is not in this installation's catalogue."));
        }
    }
    let request = request_id(parts).unwrap_or_else(|| RequestId::new(desk.now(), desk.id_entropy()));
    let ask = admission::Ask { request, model, amount: Money::ZERO, tokens: 0 };
    let route = if path.split(['/', ':']).any(looks_like_secret) { "" } else { path };
    let used = Used {
        model: ask.model.clone(),
        route: route.chars().filter(|c| !c.is_control()).take(200).collect(),
        status: i64::from(StatusCode::OK.as_u16()),
        tokens: Tokens::default(),
        cost: Money::ZERO,
        estimated: false,
        latency_ms: 0,
        first_byte_ms: None,
        address: address.map(|address| address.to_string()).unwrap_or_default(),
        user_agent: user_agent(&parts.headers),
    };
    // In a task of its own: what it holds is let go of also when the proxy has gone.
    let (own, under_way) = (desk.clone(), state.gateway.under_way.clone());
    let asked = state.gateway.under_way.tasks.spawn(async move {
        let reserved = admission::reserve(&own, &context, &ask).await;
        if let Ok(reserved) = &reserved {
            under_way.hold(reserved.clone(), used).settle(&own).await;
        }
        (context, reserved)
    });
    let (context, reserved) = asked.await.map_err(|_| asker.broken())?;
    let reserved = reserved.map_err(stopped)?;
    let mut headers = HeaderMap::new();
    told::add(&mut headers, &reserved.limits, Some(Money::ZERO), desk.now());
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
    put("x-keydesk-request-id", reserved.request().as_str());
    Ok(headers)
}

/// Nginx passes 401 and 403 on and makes 500 of everything else: with `?status=403` it is told the rest in headers.
fn refused(fault: Fault, parts: &Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default();
    let as_403 =
        form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "status" && value == "403");
    let status = fault.status();
    // A header holds no line and nothing beyond ASCII.
    let sentence: String =
        fault.message().replace('…', "...").chars().filter(|c| (' '..='~').contains(c)).collect();
    let mut response = fault.into_response();
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
