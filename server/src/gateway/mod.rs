//! The HTTP side of the gateway: for clients with a key `/v1` (OpenAI and Anthropic) and `/v1beta` (Gemini), for other
//! gateways `/gateway`.
//!
//! `credentials` authenticates, `forward` admits a request, `sending` sends it to its provider and `relay` returns the
//! response; `failover` chooses among several providers and `provider_answer` looks at an answer before it is relayed;
//! `disconnect` bounds what is read without a client, `silence` keeps the client of a stream waiting, `room` bounds the
//! memory that bodies and whole responses take together, and `drain` reads what is left of a rejected request's body.
//! `parsed_request`, `extras`, `estimate`, `usage`, `provider_error` and `sse` are pure; `reservation_guard` settles each
//! request once; `protocol` shapes every error.
//!
//! The routes are merged into the server's router, not nested, because the whole path tells the protocol. A preflight is
//! rejected, because a key must never be used from a web page, unless `origins` finds its origin listed.

pub mod body;
mod compression;
mod connection;
mod credentials;
mod demo_model;
mod disconnect;
pub mod drain;
pub mod estimate;
mod external_api;
mod extras;
mod failover;
mod forward;
mod forward_auth;
mod key_view;
pub mod limits_view;
pub mod missed;
mod models;
mod not_served;
pub mod origins;
mod outlet;
mod parsed_request;
mod protocol;
mod provider_answer;
mod provider_error;
pub mod proxies;
mod rate_limit_headers;
mod readable;
mod relay;
mod replaced_secret;
pub mod reservation_guard;
pub mod room;
pub mod runtime;
mod self_rotation;
mod sending;
pub mod silence;
mod sse;
mod tags;
#[cfg(test)]
pub mod tests;
pub mod upstream;
mod usage;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::UPGRADE;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use keydesk_core::admission;
use keydesk_core::domain::request_log::RequestFailure;
use keydesk_core::domain::route::Route;

use crate::request_facts::RequestFacts;
use crate::state::AppState;
pub use upstream::tls;

use credentials::{Authenticated, described, note_failure, presented};
use protocol::{ApiError, ClientContext, Protocol};

/// Needs `RequestFacts` in the request's extensions, from `http::request::note` around it. Without them no address is
/// known, and keys with an address list are rejected.
pub fn routes(state: &AppState) -> Router<AppState> {
    let with_a_key = Router::new()
        .route("/v1/models", only("GET, HEAD", get(models::list)))
        .route("/v1/models/", only("GET, HEAD", get(models::list)))
        .route("/v1/models/{*id}", only("GET, HEAD", get(models::find).post(model_action)))
        .route("/v1beta/models", only("GET, HEAD", get(models::list)))
        .route("/v1beta/models/", only("GET, HEAD", get(models::list)))
        .route("/v1beta/models/{*id}", only("GET, HEAD", get(models::find).post(model_action)))
        .route("/v1/chat/completions", forwarded(Route::ChatCompletions))
        .route("/v1/completions", forwarded(Route::Completions))
        .route("/v1/embeddings", forwarded(Route::Embeddings))
        .route("/v1/responses", forwarded(Route::Responses).get(responses_by_get))
        .route("/v1/responses/compact", forwarded(Route::CompactResponse))
        .route("/v1/responses/input_tokens", forwarded(Route::CountResponseTokens))
        .route("/v1/images/generations", forwarded(Route::GenerateImages))
        .route("/v1/moderations", forwarded(Route::Moderations))
        .route("/v1/messages", forwarded(Route::Messages))
        .route("/v1/messages/count_tokens", forwarded(Route::CountMessageTokens))
        .route("/v1/key", only("GET, HEAD", get(key_view::show)))
        .route("/v1/key/limits", only("GET, HEAD", get(limits_view::show)))
        .route("/v1/key/rotate", only("POST", post(self_rotation::rotate)))
        .route("/v1", unknown_path())
        .route("/v1/", unknown_path())
        .route("/v1/{*rest}", unknown_path())
        .route("/v1beta", unknown_path())
        .route("/v1beta/", unknown_path())
        .route("/v1beta/{*rest}", unknown_path())
        .layer(from_fn_with_state(state.clone(), origins::allow));
    Router::new()
        .route("/gateway/authorize", post_only(post(external_api::authorize)))
        .route("/gateway/settle", post_only(post(external_api::settle)))
        .route("/gateway/release", post_only(post(external_api::release)))
        .route("/gateway/renew", post_only(post(external_api::renew)))
        .route("/gateway/forward-auth", any(forward_auth::check))
        .merge(with_a_key)
        .layer(from_fn(replaced_secret::announce))
}

/// Replaces `routes` where the gateway has a port of its own.
pub fn moved_routes() -> Router<AppState> {
    ["/v1", "/v1/", "/v1/{*rest}", "/v1beta", "/v1beta/", "/v1beta/{*rest}", "/gateway/{*rest}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, any(not_on_this_port)))
}

/// No key is checked here.
async fn not_on_this_port(client: ClientContext) -> ApiError {
    let base = &client.base_url;
    client.not_found(&format!("The gateway is not served at this address. Its base URL is {base}."))
}

/// What is served, besides Gemini's actions.
const SERVED: [&str; 14] = [
    "/v1/key",
    "/v1/key/rotate",
    "/v1/models",
    "/v1beta/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/responses/compact",
    "/v1/responses/input_tokens",
    "/v1/images/generations",
    "/v1/moderations",
    "/v1/messages",
    "/v1/messages/count_tokens",
];

/// Adds the answer to every other method than `allowed`, which is counted for its key. A preflight never has one.
fn only(allowed: &'static str, route: MethodRouter<AppState>) -> MethodRouter<AppState> {
    let preflight = move |client: ClientContext| async move { client.method_not_allowed(allowed) };
    let other = move |State(state): State<AppState>,
                      client: ClientContext,
                      Authenticated(context): Authenticated,
                      parts: Parts| async move {
        note_failure(&state, &context, RequestFailure::WrongMethod, &described(&parts, ""));
        client.method_not_allowed(allowed)
    };
    route.options(preflight).fallback(other)
}

fn forwarded(route: Route) -> MethodRouter<AppState> {
    let forward =
        move |State(state): State<AppState>,
              client: ClientContext,
              Authenticated(context): Authenticated,
              request| { forward::forward(state, client, context, route, None, request) };
    only("POST", post(forward))
}

/// For other gateways, which have no key.
fn post_only(route: MethodRouter<AppState>) -> MethodRouter<AppState> {
    let other = |client: ClientContext| async move { client.method_not_allowed("POST") };
    route.options(other).fallback(other)
}

/// Some clients first try a WebSocket here. Its answer needs no key, because it is the same for everyone.
async fn responses_by_get(
    State(state): State<AppState>,
    client: ClientContext,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    if parts.headers.contains_key(UPGRADE) {
        let base = &client.base_url;
        let sentence = format!("WebSockets are not served. Use HTTP: POST {base}/v1/responses.");
        let mut response = client.upgrade_required(&sentence).into_response();
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
        return Ok(response);
    }
    let Authenticated(context) = Authenticated::from_request_parts(&mut parts, &state).await?;
    note_failure(&state, &context, RequestFailure::WrongMethod, &described(&parts, ""));
    Err(client.method_not_allowed("POST"))
}

/// Gemini's actions. An id may contain slashes and colons; the action follows the last colon.
async fn model_action(
    State(state): State<AppState>,
    client: ClientContext,
    Authenticated(context): Authenticated,
    path: Result<Path<String>, PathRejection>,
    request: axum::extract::Request,
) -> Response {
    let path = path.map(|Path(path)| path).unwrap_or_default();
    let (model, action) = path.trim_end_matches('/').rsplit_once(':').unwrap_or((&path, ""));
    match Route::of_action(action) {
        Some(route) if !model.is_empty() => {
            forward::forward(state, client, context, route, Some(model.to_owned()), request).await
        }
        _ => {
            let (failure, error) = no_such_action(&client, action);
            let (parts, _) = request.into_parts();
            note_failure(&state, &context, failure, &described(&parts, model));
            error.into_response()
        }
    }
}

fn no_such_action(client: &ClientContext, action: &str) -> (RequestFailure, ApiError) {
    match not_served::action(action) {
        Some(action) => (RequestFailure::UnknownPath, client.not_served(not_served::sentence(action))),
        None => (RequestFailure::WrongMethod, client.method_not_allowed("GET, HEAD")),
    }
}

fn unknown_path() -> MethodRouter<AppState> {
    any(not_found).options(|client: ClientContext| async move { client.method_not_allowed("") })
}

/// Every other path under `/v1` and `/v1beta`. It is wrong with any key, so the key is only looked up to count the request
/// for it. The answer never repeats the path, because it may contain a key.
async fn not_found(State(state): State<AppState>, client: ClientContext, parts: Parts) -> ApiError {
    let address = parts.extensions.get::<RequestFacts>().and_then(|facts| facts.address);
    if let Ok(context) = admission::authenticate(&state.desk, &presented(&parts), address).await {
        note_failure(&state, &context, RequestFailure::UnknownPath, &described(&parts, ""));
    }
    let base = &client.base_url;
    let path = parts.uri.path();
    let version = |path: &str| if path.starts_with("/v1beta") { "/v1beta" } else { "/v1" };
    if let Some(known) = not_served::of(path) {
        return client.not_served(not_served::sentence(&known));
    }
    client.not_found(&match meant(path) {
        Some(known) => format!(
            "This URL has an extra slash or version. Use {base}{known}: set the client's base URL without a slash at its end, and with {} only if the client does not add it.",
            version(known)
        ),
        // OpenAI's clients need the version in the base URL; the others add it.
        None if client.protocol == Protocol::OpenAi => format!(
            "Unknown URL. The base URL for clients is {base}/v1. GET {base}/v1/models lists the models of a key."
        ),
        None => format!(
            "Unknown URL. The base URL for clients is {base}. GET {base}{}/models lists the models of a key.",
            version(path)
        ),
    })
}

/// What stands before a version in the URLs of other gateways, and of Google's uploads.
const PREFIXES: [&str; 5] = ["api", "openai", "anthropic", "gemini", "upload"];

/// The known path that remains when everything else is left out.
fn meant(path: &str) -> Option<&'static str> {
    let whole = not_served::canonical(path);
    SERVED.into_iter().chain(not_served::paths()).find(|known| *known == whole)
}

/// Makes `//v1/models` into `/v1/models`, which a client sends whose base URL ends with a slash. Other paths stay.
///
/// A router chooses the route before its own layers run, so this must wrap the whole router:
/// `MapRequestLayer::new(gateway::collapse_leading_slashes).layer(router)`.
pub fn collapse_leading_slashes<B>(mut request: Request<B>) -> Request<B> {
    let path = request.uri().path();
    let rest = path.trim_start_matches('/');
    if !path.starts_with("//") || !(rest.starts_with("v1/") || rest.starts_with("v1beta/")) {
        return request;
    }
    let whole = match request.uri().query() {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(whole).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}
