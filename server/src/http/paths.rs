//! Addresses that are not written plainly. Routes are chosen by the path as it was sent, and pages by the path as a browser
//! resolves it: what the two could read differently is no address here, so nothing is decided by one and done by the other.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;

pub async fn plain(request: Request, next: Next) -> Response {
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
}
