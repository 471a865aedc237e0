//! Nothing that changes something is taken from another site. Asked before the session is read, of every request that
//! is not a plain read: browsers say where a request comes from, and one that says nothing is refused, because these
//! routes are for browsers only.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};

use keydesk_core::security_log;

use super::forms::accepts_html;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

pub async fn require(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || is_same_origin(request.headers(), &state.config.base_url()) {
        return next.run(request).await;
    }
    let facts = request.extensions().get::<RequestFacts>();
    let address =
        facts.and_then(|facts| facts.address).map(|address| address.to_string()).unwrap_or_default();
    let id = facts.map_or("", |facts| facts.id.as_str());
    security_log::refused("act", "from another site", "", (&address, id));
    let base = facts.filter(|facts| facts.elsewhere).map(|_| state.config.base_url());
    refused(base.as_deref(), accepts_html(request.headers()))
}

/// `base` is the right address, for a browser that is at another one.
fn refused(base: Option<&str>, in_browser: bool) -> Response {
    let said = "This request did not come from a page of this desk, so nothing was done.";
    let words = match base {
        None => format!("{said}\n"),
        Some(base) if !in_browser => format!("{said} Open the desk at its own address: {base}\n"),
        Some(base) => {
            let base = base.replace('&', "&amp;").replace('<', "&lt;");
            let page = format!(
                "<!doctype html><meta charset=utf-8><title>Wrong address</title><p>{said} Open the desk at its own address: <a href=\"{base}\">{base}</a>"
            );
            return (StatusCode::FORBIDDEN, Html(page)).into_response();
        }
    };
    (StatusCode::FORBIDDEN, words).into_response()
}

/// `Sec-Fetch-Site` decides where it is sent; else `Origin` must be this host, or the address that the installation is
/// known by.
fn is_same_origin(headers: &HeaderMap, base_url: &str) -> bool {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    };
    if headers.contains_key("sec-fetch-site") {
        return one("sec-fetch-site") == Some("same-origin");
    }
    let Some(origin) = one(header::ORIGIN.as_str()) else { return false };
    if origin == base_url {
        return true;
    }
    let host = one(header::HOST.as_str());
    origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        is_same_origin(&headers, "https://keys.example.com")
    }

    #[test]
    fn only_this_site_may_change_something() {
        assert!(judged(&[("sec-fetch-site", "same-origin")]));
        assert!(judged(&[("origin", "https://keys.example.com"), ("host", "10.0.0.1:3000")]));
        assert!(judged(&[("origin", "http://127.0.0.1:3000"), ("host", "127.0.0.1:3000")]));
        for refused in [
            &[][..],
            &[("host", "keys.example.com")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://keys.example.com")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example"), ("host", "keys.example.com")],
            &[("origin", "null"), ("host", "keys.example.com")],
            &[("origin", "https://keys.example.com.evil.example"), ("host", "keys.example.com")],
        ] {
            assert!(!judged(refused), "{refused:?}");
        }
    }
}
