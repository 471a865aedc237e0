//! Programs that are web pages in a window of their own, such as Electron and Tauri apps, send preflights and read an answer
//! only if it names their origin. The installation can list such origins; without a list nothing is answered to any.
//!
//! Only the routes with a key have this layer. It never allows credentials, so no cookie goes with such a request, and an
//! origin is compared as a whole: no pattern, no `null`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::AppState;

/// How long a program need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const MAX_ORIGIN: usize = 200;

/// An origin as a browser writes it: `app://obsidian.md`, `http://localhost:1420`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin(String);

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not an origin: a scheme and a host, with a port if it has one, such as app://obsidian.md or http://localhost:1420, in lower case, without a path or *"
            )
        };
        let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
        let in_scheme =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let in_authority =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
        let default_port = match scheme {
            "http" => authority.ends_with(":80"),
            "https" => authority.ends_with(":443"),
            _ => false,
        };
        let is_right = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(in_scheme)
            && !authority.is_empty()
            && authority.bytes().all(in_authority)
            && text.len() <= MAX_ORIGIN
            && !default_port;
        if is_right { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AllowedOrigin {
    /// Whether a browser may open a page there: http and https, but for this machine, where desktop programs have theirs.
    pub fn may_be_a_page(&self) -> bool {
        let Some((scheme, authority)) = self.0.split_once("://") else { return false };
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_here = host == "localhost"
            || host.ends_with(".localhost")
            || address.is_ok_and(|address| address.is_loopback());
        matches!(scheme, "http" | "https") && !is_here
    }
}

/// The request's origin, if it is listed.
pub fn allowed<'a>(state: &AppState, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    let is_listed = |listed: &AllowedOrigin| origin.as_bytes() == listed.0.as_bytes();
    state.config.allowed_origins.iter().any(is_listed).then_some(origin)
}

/// Answers the preflights of listed origins, and lets them read the other answers.
pub async fn allow(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if state.config.allowed_origins.is_empty() {
        return next.run(request).await;
    }
    let Some(origin) = allowed(&state, request.headers()).cloned() else {
        let mut response = next.run(request).await;
        response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
        return response;
    };
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { preflight(request.headers()) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // Everything but credentials: request ids, limits and when to retry.
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_static("origin"));
    response
}

/// Client libraries have many headers of their own, and none of them opens anything here.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desktop_program_is_told_from_a_web_page() {
        for (origin, may_be) in [
            ("app://obsidian.md", false),
            ("tauri://localhost", false),
            ("http://tauri.localhost", false),
            ("http://localhost:1420", false),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://[::1]", false),
            ("vscode-file://vscode-app", false),
            ("https://chat.example.com", true),
            ("https://chat.example.com:8443", true),
            ("http://10.0.0.5:8080", true),
            ("http://notlocalhost", true),
        ] {
            assert_eq!(origin.parse::<AllowedOrigin>().unwrap().may_be_a_page(), may_be, "{origin}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for right in [
            "app://obsidian.md",
            "tauri://localhost",
            "http://tauri.localhost",
            "http://localhost:1420",
            "https://chat.example.com",
            "https://chat.example.com:8443",
            "http://[::1]:8080",
            "vscode-file://vscode-app",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        ] {
            assert!(right.parse::<AllowedOrigin>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "*",
            "null",
            "file://",
            "https://*.example.com",
            "https://chat.example.com/",
            "https://chat.example.com/app",
            "https://Chat.example.com",
            "HTTPS://chat.example.com",
            "https://chat.example.com:443",
            "http://chat.example.com:80",
            "https://user@chat.example.com",
            "chat.example.com",
            "https://chat.example.com\r\nx: y",
        ] {
            assert!(wrong.parse::<AllowedOrigin>().is_err(), "{wrong}");
        }
    }
}
