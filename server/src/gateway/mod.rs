//! The HTTP side of the gateway: what a client with a key reaches under `/v1` (OpenAI's and Anthropic's) and `/v1beta`
//! (Gemini's), and under `/gateway` what another gateway asks.
//!
//! `credentials` lets requests in, `pass` sends them on and `back` brings back what comes; `ask`, `estimate`, `usage` and
//! `sse` are pure; `holding` sees to it that each is settled once; `protocol` shapes every error.
//!
//! The routes are merged into the server's router, not nested: the protocol is read off the whole path. No answer
//! carries a CORS header and a preflight is refused: a key must never be used from a web page.

mod ask;
mod back;
mod bodies;
mod calls;
mod credentials;
mod echo;
mod estimate;
mod forward_auth;
mod holding;
mod key_view;
mod models;
mod pass;
mod protocol;
pub mod runtime;
mod sse;
#[cfg(test)]
mod tests;
mod told;
mod upstream;
mod usage;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::uri::PathAndQuery;
use axum::http::{Request, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};

use crate::state::AppState;
use ask::Route;
use credentials::Authenticated;
use protocol::{Asker, Fault};

/// Needs `RequestFacts` in the request's extensions, from `http::request::note` around it. Without them no address is
/// known, and keys that are bound to addresses are refused.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/models", only_get(get(models::list)))
        .route("/v1/models/", only_get(get(models::list)))
        .route("/v1/models/{*id}", only_get(get(models::find)).post(act))
        .route("/v1beta/models", only_get(get(models::list)))
        .route("/v1beta/models/", only_get(get(models::list)))
        .route("/v1beta/models/{*id}", only_get(get(models::find)).post(act))
        .route("/v1/chat/completions", passed(Route::ChatCompletions))
        .route("/v1/completions", passed(Route::Completions))
        .route("/v1/embeddings", passed(Route::Embeddings))
        .route("/v1/responses", passed(Route::Responses))
        .route("/v1/messages", passed(Route::Messages))
        .route("/v1/messages/count_tokens", passed(Route::CountMessageTokens))
        .route("/v1/key", only_get(get(key_view::show)))
        .route("/gateway/authorize", asked(post(calls::authorize)))
        .route("/gateway/settle", asked(post(calls::settle)))
        .route("/gateway/release", asked(post(calls::release)))
        .route("/gateway/renew", asked(post(calls::renew)))
        .route("/gateway/forward-auth", any(forward_auth::check))
        .route("/v1", nothing_here())
        .route("/v1/", nothing_here())
        .route("/v1/{*rest}", nothing_here())
        .route("/v1beta", nothing_here())
        .route("/v1beta/", nothing_here())
        .route("/v1beta/{*rest}", nothing_here())
}

/// In the place of all that, where the gateway has a port of its own.
pub fn elsewhere() -> Router<AppState> {
    ["/v1", "/v1/", "/v1/{*rest}", "/v1beta", "/v1beta/", "/v1beta/{*rest}", "/gateway/{*rest}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, any(not_here)))
}

/// No key is looked at.
async fn not_here(asker: Asker) -> Fault {
    let base = &asker.base_url;
    asker.not_found(&format!("This address has the desk's pages alone. The gateway's is {base}."))
}

/// What clients call and this gateway does not pass on yet.
const NOT_YET: [&str; 7] = [
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/batches",
    "/v1/files",
    "/v1/images/generations",
    "/v1/moderations",
];

/// Gemini writes what to do with a model behind its name: `/v1beta/models/NAME:generateContent`.
const ACTIONS_NOT_YET: [&str; 2] = ["embedContent", "batchEmbedContents"];

const SERVED: [&str; 9] = [
    "/v1/key",
    "/v1/models",
    "/v1beta/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
];

fn only_get(route: MethodRouter<AppState>) -> MethodRouter<AppState> {
    route.options(no_preflight_for_get).fallback(wrong_method)
}

fn passed(route: Route) -> MethodRouter<AppState> {
    let pass = move |State(state): State<AppState>,
                     asker: Asker,
                     Authenticated(context): Authenticated,
                     request| { pass::pass(state, asker, context, route, None, request) };
    post(pass).options(no_preflight_for_post).fallback(wrong_method_for_post)
}

fn asked(route: MethodRouter<AppState>) -> MethodRouter<AppState> {
    route.options(no_preflight_for_post).fallback(no_preflight_for_post)
}

/// Gemini's actions. An id may hold slashes and colons; the action stands behind the last colon.
async fn act(
    State(state): State<AppState>,
    asker: Asker,
    Authenticated(context): Authenticated,
    path: Result<Path<String>, PathRejection>,
    request: axum::extract::Request,
) -> Response {
    let path = path.map(|Path(path)| path).unwrap_or_default();
    let (model, action) = path.trim_end_matches('/').rsplit_once(':').unwrap_or((&path, ""));
    match Route::of_action(action) {
        Some(route) if !model.is_empty() => {
            pass::pass(state, asker, context, route, Some(model.to_owned()), request).await
        }
        _ => no_such_action(&asker, action).into_response(),
    }
}

fn no_such_action(asker: &Asker, action: &str) -> Fault {
    match ACTIONS_NOT_YET.iter().find(|known| **known == action) {
        Some(action) => asker.not_found(&format!("This installation does not serve {action} yet.")),
        None => asker.method_not_allowed("GET, HEAD"),
    }
}

async fn no_preflight_for_post(asker: Asker) -> Fault {
    asker.method_not_allowed("POST")
}

async fn wrong_method_for_post(asker: Asker, _key: Authenticated) -> Fault {
    asker.method_not_allowed("POST")
}

fn nothing_here() -> MethodRouter<AppState> {
    any(lost).options(no_preflight)
}

/// A preflight never has a key, so there is none to check.
async fn no_preflight_for_get(asker: Asker) -> Fault {
    asker.method_not_allowed("GET, HEAD")
}

async fn no_preflight(asker: Asker) -> Fault {
    asker.method_not_allowed("")
}

async fn wrong_method(asker: Asker, _key: Authenticated) -> Fault {
    asker.method_not_allowed("GET, HEAD")
}

/// Everything else under `/v1` and `/v1beta`. What was asked for is never repeated: somebody's key may stand in it.
async fn lost(asker: Asker, _key: Authenticated, uri: Uri) -> Fault {
    let base = &asker.base_url;
    let path = uri.path();
    let version = if path.starts_with("/v1beta") { "/v1beta" } else { "/v1" };
    asker.not_found(&match meant(path) {
        Some(known) if NOT_YET.contains(&known) && path.trim_end_matches('/') == known => {
            format!("This installation does not serve {known} yet. GET {base}{version}/models lists the models of a key.")
        }
        Some(known) => format!(
            "This URL has a slash or a version too many. The right one is {base}{known}: set the client's base URL without a slash at its end, and with {version} only if the client does not add it itself."
        ),
        None => format!(
            "Nothing is served at this URL. GET {base}{version}/models lists the models of a key; the base URL for clients is {base}{version}."
        ),
    })
}

/// The known path that remains when empty parts and repeated versions are left out; the last version counts.
fn meant(path: &str) -> Option<&'static str> {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    let mut version = "v1";
    while let Some(part) = parts.next_if(|part| matches!(*part, "v1" | "v1beta")) {
        version = part;
    }
    let mut whole = format!("/{version}");
    parts.for_each(|part| whole.extend(["/", part]));
    SERVED.into_iter().chain(NOT_YET).find(|known| *known == whole)
}

/// Makes `//v1/models` into `/v1/models`: a client whose base URL ends with a slash sends the former. Any other path
/// stays as it is.
///
/// Routes are chosen before a router's own layers run, so this goes around the whole router:
/// `MapRequestLayer::new(gateway::collapse_leading_slashes).layer(router)`, and that service is what is served
/// (`axum::ServiceExt::into_make_service_with_connect_info`).
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
