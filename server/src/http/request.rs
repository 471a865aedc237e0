//! What is known about every request before anything else is asked: its id and where it came from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::looks_like_secret;
use tracing::Instrument;

use super::access_line::AccessLine;
use super::base_address;
use crate::request_facts::RequestFacts;
use crate::state::AppState;
use crate::trace_context::trace_id;

/// Gives the request its id and address, and begins its line in the log. What is logged meanwhile has its id, and the id of its
/// client's trace.
pub async fn note(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
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
    let at = base_address::seen(&request, is_proxied).filter(|_| state.config.base_url.is_none());
    let span = tracing::info_span!("request", id = %id, trace_id = trace_id(request.headers()));
    let line = AccessLine::begin(state.metrics.clone(), span.clone(), &request, id.clone(), address, peer);
    request.extensions_mut().insert(RequestFacts { id: id.clone(), address, elsewhere, at });
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    line.with(response)
}

/// The nearest address to us that is not a trusted proxy's own. `None` when there is none or it cannot be read: then
/// the request's origin is unknown, and a key that is bound to addresses is refused.
fn forwarded_for(request: &Request, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let values = request.headers().get_all("x-forwarded-for").iter().rev();
    for value in values {
        for entry in value.to_str().ok()?.rsplit(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let address = written_address(entry)?.to_canonical();
            if !is_trusted(address) {
                return Some(address);
            }
        }
    }
    None
}

/// As proxies write one: with or without a port, and brackets around one of IPv6.
fn written_address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok();
    text.parse().ok().or_else(|| with_port().map(|with| with.ip())).or_else(|| bracketed().map(IpAddr::V6))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_brackets() {
        for (text, address) in [
            ("203.0.113.5", "203.0.113.5"),
            ("203.0.113.5:51234", "203.0.113.5"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
        ] {
            assert_eq!(written_address(text), address.parse().ok(), "{text}");
        }
        for text in
            ["", "unknown", "_hidden", "203.0.113.5:", "203.0.113.5:99999", "[203.0.113.5]", "[2001:db8::1"]
        {
            assert_eq!(written_address(text), None, "{text}");
        }
    }
}
