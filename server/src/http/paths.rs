//! Addresses that no page and no client has, refused before anyone reads them: those with a zero character, with very many
//! parameters, or that are not written plainly. Routes are chosen by the path as it was sent, and pages by the path as a browser
//! resolves it: what the two could read differently is no address here, so nothing is decided by one and done by the other.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;

/// Far more than any page has. What reads parameters compares each with the others.
const MAX_PARAMETERS: usize = 100;

pub async fn require(request: Request, next: Next) -> Response {
    if let Some(words) = problem(request.uri()) {
        return (StatusCode::BAD_REQUEST, words).into_response();
    }
    if is_plain(request.uri()) {
        return next.run(request).await;
    }
    let words = "This address is not one of this server. Send a path that begins with a slash, without \".\", \"..\" or \"\\\" as a part of it.\n";
    (StatusCode::NOT_FOUND, words).into_response()
}

/// Whether it has a path, in which no part leads elsewhere. `CONNECT` has none.
fn is_plain(uri: &Uri) -> bool {
    let leads_elsewhere = |part: &str| {
        let decoded = percent_decode_str(part).decode_utf8_lossy();
        decoded.split(['/', '\\']).any(|part| matches!(part, "." | "..")) || part.contains('\\')
    };
    let path = uri.path();
    path.starts_with('/') && !path.split('/').any(leads_elsewhere)
}

fn problem(address: &Uri) -> Option<&'static str> {
    let query = address.query().unwrap_or_default();
    // A zero character, which no database takes in a text.
    if address.path().contains("%00") || query.contains("%00") {
        return Some("The address contains a character that is not allowed.\n");
    }
    (query.bytes().filter(|byte| *byte == b'&').count() >= MAX_PARAMETERS)
        .then_some("The address has too many parameters.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_not_plain() {
        for path in [
            "/",
            "/acme/keys",
            "/acme/keys/",
            "//v1/models",
            "/v1/models/demo%2Fecho",
            "/v1/models/a..b:generateContent",
            "/...",
            "/x?next=/../y",
            "http://keys.example.com/acme",
        ] {
            assert!(is_plain(&path.parse().unwrap()), "{path}");
        }
        for path in [
            "/..",
            "/gateway/../acme/audit",
            "/gateway/%2e%2E/acme/audit",
            "/gateway/.%2e/acme",
            "/./acme",
            "/acme/.",
            "/gateway/..%2Facme",
            "/gateway\\..\\acme",
            "/a/..%5cb",
            "*",
            "keys.example.com:443",
            "http://keys.example.com/x/../acme",
        ] {
            assert!(!is_plain(&path.parse().unwrap()), "{path}");
        }
    }

    #[test]
    fn a_zero_character_and_a_hundred_parameters_are_refused() {
        let many = format!("/a?{}", "b=&".repeat(MAX_PARAMETERS));
        for (address, fine) in [
            ("/a%00", false),
            ("/a?b=%00", false),
            (many.as_str(), false),
            ("/a?b=%2500", true),
            ("/a?b&c", true),
        ] {
            assert_eq!(problem(&address.parse().unwrap()).is_none(), fine, "{address}");
        }
    }
}
