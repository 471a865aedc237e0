//! What is known about every request before anything else is asked: its id and where it came from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::looks_like_secret;
use tracing::Instrument;

use super::base_address;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// Gives the request its id and address, and logs one line when it is answered. The line has no query string, no
/// header and no body: a secret could be in any of them.
pub async fn note(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = state.desk.now();
    let id = number_of(&request, &state);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let is_trusted =
        |peer: IpAddr| state.config.trusted_proxies.iter().any(|network| network.contains(&peer));
    let address = match peer {
        Some(peer) if is_trusted(peer) => forwarded_for(&request, is_trusted),
        peer => peer,
    };
    let is_proxied = peer.is_some_and(is_trusted);
    let elsewhere = base_address::is_elsewhere(&request, is_proxied, state.config.base_url.as_deref());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(RequestFacts { id: id.clone(), address, elsewhere });
    let span = tracing::info_span!("request", id = %id);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    tracing::info!(
        request.id = %id,
        %method,
        path = %shown_path(&path),
        status = response.status().as_u16(),
        duration_ms = state.desk.now().ms() - started.ms(),
        "answered"
    );
    response
}

/// The nearest address to us that is not a trusted proxy's own. `None` when there is none or it cannot be read: then
/// the request's origin is unknown, and a key that is bound to addresses is refused.
fn forwarded_for(request: &Request, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let values = request.headers().get_all("x-forwarded-for").iter().rev();
    for value in values {
        for entry in value.to_str().ok()?.rsplit(',') {
            let address = entry.trim().parse::<IpAddr>().ok()?.to_canonical();
            if !is_trusted(address) {
                return Some(address);
            }
        }
    }
    None
}

/// A request's number: the one it came with, if it is a plain word, or a new one. A request to the gateway always has a new
/// one: what it used is written once for each, so a client may not choose it.
fn number_of(request: &Request, state: &AppState) -> String {
    let path = request.uri().path();
    let is_metered = ["/v1/", "/v1beta/", "/gateway/"].iter().any(|under| path.starts_with(under));
    let sent = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        (8..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match sent.filter(|_| !is_metered).filter(plain).filter(|text| !looks_like_secret(text)) {
        Some(text) => text.to_owned(),
        None => RequestId::new(state.desk.now(), state.desk.id_entropy()).to_string(),
    }
}

/// One-time tokens stand in paths, and a key may be pasted into one; a log keeps the path without them.
fn shown_path(path: &str) -> String {
    for prefix in ["/setup/", "/reset/", "/invite/"] {
        if path.starts_with(prefix) {
            return format!("{prefix}…");
        }
    }
    let segment = |segment: &str| {
        let text = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
        if looks_like_secret(&text) { "…".to_owned() } else { segment.to_owned() }
    };
    let shown: Vec<String> = path.split('/').map(segment).collect();
    shown.join("/").chars().take(200).collect()
}
