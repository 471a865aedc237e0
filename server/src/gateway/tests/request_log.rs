//! Every failure of a known key's request leaves a trace, by real requests through the gateway.

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};
use crate::gateway::room::Room;
use crate::request_facts::RequestFacts;

type Answer = fn() -> axum::response::Response;

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]})
}

/// Reason, model, route and id of what was counted, by the time that it came.
async fn counted(desk: &Installation) -> Vec<String> {
    desk.state.rejections.flush(&desk.state.desk.db).await.unwrap();
    desk.texts("SELECT gate || '|' || reason || '|' || model_id || '|' || route || '|' || request_id FROM rejections ORDER BY reason")
        .await
}

#[tokio::test]
async fn failures_before_a_request_is_sent_are_counted() {
    let desk = installation().await;
    desk.served_by("anthropic", "http://127.0.0.1:1", "").await;
    let key = desk.every_key().await;
    let large = post("/v1/chat/completions", &chat("gpt-5")).header("content-length", "99999999999");
    for (ask, status) in [
        (post("/v1/chat/completions", &chat("gpt-5")), 503),
        (post("/v1/responses", &chat("nothing")), 404),
        (post("/v1/chat/completions", &chat("routed")), 400),
        (post("/v1/audio/speech", &chat("gpt-5")), 404),
        (ask("/v1/completions"), 405),
        (large, 413),
        (post("/v1/messages", &json!([])), 400),
    ] {
        assert_eq!(desk.send(ask.bearer(&key)).await.status, status);
    }
    assert_eq!(
        counted(&desk).await,
        [
            "|body_too_large||/v1/chat/completions|req_1",
            "|invalid_body||/v1/messages|req_1",
            "|model_not_served|gpt-5|/v1/chat/completions|req_1",
            "|unknown_model|nothing|/v1/responses|req_1",
            "|unknown_path||/v1/audio/speech|req_1",
            "|wrong_method||/v1/completions|req_1",
            "|wrong_protocol|routed|/v1/chat/completions|req_1",
        ]
    );
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 0);
}

#[tokio::test]
async fn a_gateway_without_memory_left_counts_what_it_turns_away() {
    let mut desk = installation().await;
    let key = desk.every_key().await;
    desk.state.gateway.bodies = Room::new(10, 1 << 20);
    assert_eq!(desk.send(post("/v1/chat/completions", &chat("gpt-5")).bearer(&key)).await.status, 503);
    assert_eq!(counted(&desk).await, ["|overloaded||/v1/chat/completions|req_1"]);
}

#[tokio::test]
async fn a_body_that_ends_early_or_does_not_arrive_is_counted() {
    let mut desk = installation().await;
    desk.state.gateway.body_timeout = std::time::Duration::from_millis(50);
    let key = desk.every_key().await;
    let begun = || Ok(Bytes::from_static(b"{"));
    let broken = stream::iter([begun(), Err(std::io::Error::other("gone"))]).boxed();
    let slow = || stream::iter([begun()]).chain(stream::pending()).boxed();
    for (path, body, status) in [
        ("/v1/chat/completions", broken, 400),
        ("/v1/chat/completions", slow(), 408),
        // These two are no requests to a model, and not counted.
        ("/v1/key/rotate", slow(), 408),
        ("/gateway/authorize", slow(), 408),
    ] {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {key}"))
            .header("x-keydesk-gateway", GATEWAY_TOKEN);
        let mut request = request.body(Body::from_stream(body)).unwrap();
        request.extensions_mut().insert(RequestFacts {
            id: "req_1".into(),
            address: None,
            elsewhere: false,
            at: None,
        });
        let answer = desk.read(desk.router().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.status, status);
        assert!(status != 408 || answer.text.contains("arrived too slowly"), "{}", answer.text);
    }
    let reasons = ["body_too_slow", "invalid_body"];
    assert_eq!(counted(&desk).await, reasons.map(|reason| format!("|{reason}||/v1/chat/completions|req_1")));
}

#[tokio::test]
async fn what_a_provider_says_is_stored_without_what_may_be_a_secret() {
    let secret = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x";
    for (status, body, expected) in [
        (400, r#"{"error": {"message": "Too long.\nShorten it."}}"#.to_owned(), "Too long. Shorten it."),
        (429, r#"[{"error": {"message": "Too many requests"}}]"#.to_owned(), "Too many requests"),
        (500, r#"{"detail": "Overloaded"}"#.to_owned(), "Overloaded"),
        (503, "<html>Bad</html>".to_owned(), ""),
        (422, json!({"error": format!("Key {secret} is wrong")}).to_string(), "Key … is wrong"),
        (200, r#"{"error": {"message": "fine"}}"#.to_owned(), ""),
    ] {
        let desk = installation().await;
        let said = body.clone();
        let upstream = Upstream::answering(move || whole(status, "application/json", &said)).await;
        desk.served_by("openai", &upstream.base_url, "").await;
        let key = desk.every_key().await;
        let answer = desk.pass(post("/v1/chat/completions", &chat("routed")).bearer(&key)).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (status, body.as_str()),
            "the client sees all of it"
        );
        assert_eq!(desk.texts("SELECT error FROM usage").await, [expected]);
        assert!(!desk.dump().await.contains(secret));
    }
}

#[tokio::test]
async fn failures_of_a_provider_are_stored_in_words() {
    let answers: [(Answer, &str, u16); 3] = [
        (
            || whole(401, "application/json", r#"{"error": "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x"}"#),
            "rejected this installation's credential",
            502,
        ),
        (|| whole(302, "text/plain", ""), "answered with a redirect", 502),
        (|| parts("application/json", &[], 0, Then::Hangs), "did not answer in time", 504),
    ];
    for (answer, words, status) in answers {
        let desk = installation().await;
        let upstream = Upstream::answering(answer).await;
        desk.served_by("openai", &upstream.base_url, "").await;
        let key = desk.every_key().await;
        assert_eq!(
            desk.send(post("/v1/chat/completions", &chat("routed")).bearer(&key)).await.status,
            status
        );
        let said = desk.texts("SELECT status || ' ' || error FROM usage").await;
        assert!(
            said[0].starts_with(&format!("{status} The provider Far ")) && said[0].contains(words),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn tags_are_stored_with_the_request_and_their_header_stays_here() {
    let desk = installation().await;
    let upstream = Upstream::answering(|| whole(200, "application/json", "{}")).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    let key = desk.every_key().await;
    let tagged = post("/v1/chat/completions", &chat("routed")).bearer(&key);
    let tagged = tagged.header("x-keydesk-tags", "team=search, sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa,job=1");
    assert_eq!(desk.pass(tagged).await.status, 200);
    assert_eq!(desk.texts("SELECT tags FROM usage").await, ["team=search\njob=1"]);
    assert_eq!(desk.texts("SELECT tag FROM usage_tags ORDER BY tag").await, ["job=1", "team=search"]);
    let arrived = upstream.one();
    assert!(arrived.headers.keys().all(|name| !name.as_str().contains("keydesk")), "{:?}", arrived.headers);
}
