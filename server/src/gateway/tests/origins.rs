//! Origins that the installation lists, and all others.

use std::sync::Arc;

use axum::http::Method;
use serde_json::json;
use tower::ServiceExt;

use super::support::*;
use super::upstream::{Upstream, whole};
use crate::config::ServeConfig;

const LISTED: &str = "app://obsidian.md";

async fn listing(origins: &[&str]) -> Installation {
    let mut desk = installation().await;
    let mut config = ServeConfig::clone(&desk.state.config);
    config.allowed_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    desk.state.config = Arc::new(config);
    desk
}

/// Without what `open` asserts of every other test: that no header of this kind is there.
async fn answer(desk: &Installation, ask: TestRequest) -> TestResponse {
    let mut request = axum::http::Request::builder().method(ask.method.clone()).uri(ask.uri());
    *request.headers_mut().unwrap() = ask.headers;
    let request = request.body(axum::body::Body::from(ask.body)).unwrap();
    desk.read(desk.router().oneshot(request).await.unwrap()).await
}

fn preflight(path: &str, origin: &str) -> TestRequest {
    TestRequest::get(path)
        .method(Method::OPTIONS)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-stainless-lang")
}

#[tokio::test]
async fn a_listed_origin_is_allowed_without_credentials() {
    let desk = listing(&["http://localhost:1420", LISTED]).await;
    let upstream = Upstream::answering(|| whole(200, "application/json", "{}")).await;
    desk.served_by("openai", &upstream.base_url, "TEST_API_KEY").await;
    let key = desk.every_key().await;
    for path in
        ["/v1/chat/completions", "/v1/messages", "/v1beta/models/routed:generateContent", "/v1/models"]
    {
        let asked = answer(&desk, preflight(path, LISTED)).await;
        assert_eq!((asked.status, asked.text.as_str()), (204, ""), "{path}");
        for (name, value) in [
            ("access-control-allow-origin", Some(LISTED)),
            ("access-control-allow-methods", Some("GET, POST")),
            ("access-control-allow-headers", Some("authorization,content-type,x-stainless-lang")),
            ("access-control-allow-credentials", None),
            ("vary", Some("origin")),
        ] {
            assert_eq!(asked.find_header(name), value, "{path} {name}");
        }
    }
    let body = json!({"model": "routed", "messages": []});
    let asked = post("/v1/chat/completions", &body).bearer(&key).header("origin", LISTED);
    let passed = answer(&desk, asked).await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    assert_eq!(passed.find_header("access-control-allow-origin"), Some(LISTED));
    assert_eq!(passed.find_header("access-control-expose-headers"), Some("*"));
    assert_eq!(passed.find_header("access-control-allow-credentials"), None);
    // A rejection can be read, too, and does not warn of a web page.
    let refused = answer(&desk, post("/v1/chat/completions", &body).header("origin", LISTED)).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.find_header("access-control-allow-origin"), Some(LISTED));
    assert!(!refused.message().contains(BROWSER), "{}", refused.text);
}

#[tokio::test]
async fn no_other_origin_is() {
    let desk = listing(&[LISTED]).await;
    for origin in ["https://evil.example", "app://obsidian.md.evil", "null", "APP://obsidian.md"] {
        let asked = answer(&desk, preflight("/v1/chat/completions", origin)).await;
        assert_eq!(asked.status, 405, "{origin}");
        let allowed = |name: &str| name.starts_with("access-control-");
        assert!(!asked.headers.keys().any(|name| allowed(name.as_str())), "{origin}");
        let refused = answer(&desk, ask("/v1/models").header("origin", origin)).await;
        assert!(
            refused.message().contains(BROWSER)
                && refused.find_header("access-control-allow-origin").is_none()
        );
        assert_eq!(refused.find_header("vary"), Some("origin"));
    }
    // Routes of other gateways have no origins, and two of them are none.
    assert_eq!(answer(&desk, preflight("/gateway/authorize", LISTED)).await.status, 405);
    let twice = preflight("/v1/models", LISTED).another("origin", LISTED);
    assert_eq!(answer(&desk, twice).await.status, 405);
    // Unless it is listed, nothing changes.
    let desk = listing(&[]).await;
    let asked = answer(&desk, preflight("/v1/models", LISTED)).await;
    assert_eq!((asked.status, asked.find_header("vary")), (405, None));
}
