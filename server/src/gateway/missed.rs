//! Requests of API clients that miss the gateway, because their base URL has too little or too much in it. They are
//! answered in the client's protocol with the right one. No key is checked, and nothing of the request is repeated.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, ORIGIN};
use axum::http::{HeaderMap, Method, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::protocol::{ApiError, ClientContext, Protocol};
use super::{PREFIXES, meant, not_served};
use crate::state::AppState;

/// Stands around the desk's pages and actions, and takes what only an API client sends.
pub async fn help(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if misses(&request) { answer(State(state), request).await } else { next.run(request).await }
}

/// For every request that no route of the gateway takes.
pub async fn answer(State(state): State<AppState>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(client) = ClientContext::from_request_parts(&mut parts, &state).await;
    not_found(client, &parts).into_response()
}

fn not_found(mut client: ClientContext, parts: &request::Parts) -> ApiError {
    let path = parts.uri.path();
    client.protocol = protocol(path, &parts.headers);
    let gateway = &client.base_url;
    // OpenAI's clients need the version in it; the others add it.
    let base = if client.protocol == Protocol::OpenAi { format!("{gateway}/v1") } else { gateway.clone() };
    if let Some(known) = not_served::of(path) {
        return client.not_served(format!(
            "This installation does not serve {known} yet. The base URL for clients is {base}."
        ));
    }
    let sentence = match meant(path) {
        Some(known) => {
            format!("This URL is not served. Use {gateway}{known}: set the client's base URL to {base}.")
        }
        None => format!("This URL is not one of the gateway. Set the client's base URL to {base}."),
    };
    client.not_found(&sentence)
}

/// Whether no route of the desk is meant. What a browser opens is a page, and what it posts is asked where it comes from.
fn misses(request: &Request) -> bool {
    let headers = request.headers();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let from_browser = headers.contains_key("sec-fetch-site");
    match *request.method() {
        _ if route.is_some_and(|route| route.starts_with("/api/")) => false,
        Method::GET | Method::HEAD => {
            let wants_page = headers
                .get(ACCEPT)
                .is_some_and(|value| value.to_str().is_ok_and(|text| text.contains("text/html")));
            let missed = is_api(request.uri().path()) || (has_key(headers) && route.is_none());
            !from_browser && !wants_page && missed
        }
        ref method => {
            let by_program = *method == Method::POST && !from_browser && !headers.contains_key(ORIGIN);
            by_program || has_key(headers) || is_api(request.uri().path())
        }
    }
}

fn has_key(headers: &HeaderMap) -> bool {
    let bearer = |text: &str| text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
    headers.get(AUTHORIZATION).is_some_and(|value| value.to_str().is_ok_and(bearer))
        || ["x-api-key", "x-goog-api-key"].iter().any(|name| headers.contains_key(*name))
}

/// Whether a path is that of a call, with or without what other gateways have before it.
fn is_api(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [first, "v1" | "v1beta" | "deployments", ..] if PREFIXES.contains(first) => true,
        ["api", "event_logging", ..] | ["models", ..] => true,
        _ => not_served::is_live(path) || meant(path).is_some(),
    }
}

fn protocol(path: &str, headers: &HeaderMap) -> Protocol {
    let has = |name: &str| headers.contains_key(name);
    let in_path = |part: &str| path.split('/').any(|one| one == part);
    if has("x-goog-api-key")
        || has("x-goog-api-client")
        || path.contains(":generateContent")
        || in_path("v1beta")
    {
        Protocol::Gemini
    } else if has("anthropic-version") || has("x-api-key") || in_path("messages") || in_path("event_logging")
    {
        Protocol::Anthropic
    } else {
        Protocol::OpenAi
    }
}
