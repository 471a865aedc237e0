//! A provider that says nothing for a while: the clients of its streams get a head and signs of life, in three protocols,
//! and the truth when it fails after that.

use std::time::Duration;

use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};
use crate::gateway::silence::Patience;

const EVENTS: &str = "text/event-stream";
const WAIT: Duration = Duration::from_millis(500);

/// The head after 50 ms, once there is a connection, and a sign of life every 150 ms.
fn patience() -> Patience {
    let ms = Duration::from_millis;
    Patience { head: ms(50), connecting: ms(10), beat: ms(150) }
}

async fn waiting(
    kind: &str,
    wait: Duration,
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (Installation, Upstream, String) {
    let mut desk = installation().await;
    desk.state.gateway.patience = patience();
    // The first client reads the system's certificates, which takes its time.
    desk.state.gateway.upstreams.client(500).unwrap();
    let upstream = Upstream::answering_after(wait, answer).await;
    desk.served_by(kind, &upstream.base_url, "TEST_API_KEY").await;
    desk.execute("UPDATE providers SET idle_ms = 3000").await;
    let key = desk.every_key().await;
    (desk, upstream, key)
}

fn body() -> Value {
    json!({"model": "routed", "stream": true, "max_tokens": 9, "messages": [], "input": "Hi", "contents": []})
}

const GEMINI: &str = "/v1beta/models/routed:streamGenerateContent";
const GEMINI_EVENTS: &str = "/v1beta/models/routed:streamGenerateContent?alt=sse";

/// Protocol, route, what a client skips, and a stream of a provider.
const STREAMS: [(&str, &str, &str, &str, &str); 5] = [
    (
        "openai",
        "/v1/chat/completions",
        ": wait\n\n",
        EVENTS,
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n",
    ),
    (
        "openai",
        "/v1/responses",
        ": wait\n\n",
        EVENTS,
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    ),
    (
        "anthropic",
        "/v1/messages",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        EVENTS,
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    ("gemini", GEMINI_EVENTS, "\n", EVENTS, "data: {\"candidates\":[]}\n\n"),
    ("gemini", GEMINI, "\n", "application/json", "[{\"candidates\":[]}]"),
];

#[tokio::test]
async fn the_client_of_a_stream_gets_a_head_and_signs_of_life() {
    for (kind, path, beat, content_type, stream) in STREAMS {
        let provider = move || whole(200, content_type, stream);
        let (desk, upstream, key) = waiting(kind, WAIT, provider).await;
        let began = std::time::Instant::now();
        let opened = desk.open(post(path, &body()).bearer(&key)).await;
        assert!(began.elapsed() < WAIT, "{path}: no head before the provider's");
        assert_eq!(opened.status(), 200);
        let header = |name: &str| opened.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(content_type), "{path}");
        assert_eq!(header("x-accel-buffering"), "no");
        if kind == "anthropic" {
            assert_eq!(header("request-id"), "req_1");
        }
        let answer = desk.read(opened).await;
        let beats = answer.text.strip_suffix(stream).unwrap_or_else(|| panic!("{path}: {}", answer.text));
        let count = beats.matches(beat).count();
        assert!((2..=5).contains(&count) && beats == beat.repeat(count), "{path}: {beats:?}");
        assert_eq!((desk.settled().await[0].0, upstream.arrived().len()), (200, 1), "{path}");
    }
}

#[tokio::test]
async fn signs_of_life_stand_between_events() {
    let pieces = ["data: {\"choices\":[{\"delta\":", "{\"content\":\"Hi\"}}]}\n", "\n", "data: [DONE]\n\n"];
    let (desk, _upstream, key) =
        waiting("openai", Duration::ZERO, move || parts(EVENTS, &pieces, 400, Then::Ends)).await;
    let answer = desk.pass(post("/v1/chat/completions", &body()).bearer(&key)).await;
    let events: Vec<&str> = answer.text.split(": wait\n\n").filter(|text| !text.is_empty()).collect();
    assert_eq!(events, [pieces[..3].concat().as_str(), pieces[3]], "{}", answer.text);
    assert!(answer.text.matches(": wait").count() >= 4, "{}", answer.text);
}

#[tokio::test]
async fn a_whole_answer_has_no_head_before_the_providers() {
    let (desk, _upstream, key) =
        waiting("openai", WAIT, || whole(429, "application/json", "{\"error\":{\"message\":\"Slow\"}}"))
            .await;
    let mut chat = body();
    chat["stream"] = false.into();
    let answer = desk.pass(post("/v1/chat/completions", &chat).bearer(&key)).await;
    assert_eq!((answer.status, answer.message()), (429, "Slow".into()));
}

#[tokio::test]
async fn a_failure_after_the_head_is_the_last_event() {
    for (kind, path, beat, ..) in STREAMS {
        let provider = || {
            whole(500, "application/json", "{\"error\":{\"message\":\"It broke.\",\"type\":\"api_error\"}}")
        };
        let (desk, _upstream, key) = waiting(kind, WAIT, provider).await;
        let answer = desk.pass(post(path, &body()).bearer(&key)).await;
        let last = answer.text.trim_start_matches(beat);
        assert_eq!(answer.status, 200);
        assert_eq!(
            last.starts_with("event: error\ndata: {"),
            matches!(path, "/v1/messages" | "/v1/responses"),
            "{path}: {last}"
        );
        let data = last.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(last);
        let said: Value = serde_json::from_str(data).unwrap();
        let said = said.get(0).unwrap_or(&said);
        assert_eq!(said["error"]["message"], "It broke.", "{path}: {last}");
        assert_eq!(desk.settled().await[0].0, 500, "{path}");
    }
    // Without words of its own, and about the account of this installation.
    for (status, text, says) in [
        (503, "<html>", "The provider Far answered with the status 503."),
        (402, "{\"error\":{\"message\":\"Top up org-123.\"}}", "no credit left at the provider Far"),
        (401, "{}", "rejected this installation's credential"),
    ] {
        let (desk, _upstream, key) =
            waiting("openai", WAIT, move || whole(status, "application/json", text)).await;
        let answer = desk.pass(post("/v1/chat/completions", &body()).bearer(&key)).await;
        assert!(answer.text.contains(says) && !answer.text.contains("org-123"), "{}", answer.text);
        assert!(answer.text.ends_with("}\n\n"));
        assert_ne!(desk.settled().await[0].0, 200);
    }
}

#[tokio::test]
async fn a_whole_answer_in_place_of_a_stream_is_one_event_and_metered() {
    let text = "{\"choices\":[{\"message\":{\"content\":\"Hi\"}}],\n\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}";
    let (desk, _upstream, key) = waiting("openai", WAIT, move || whole(200, "application/json", text)).await;
    let answer = desk.pass(post("/v1/chat/completions", &body()).bearer(&key)).await;
    assert!(
        answer.text.ends_with("data: [DONE]\n\n") && answer.text.contains("\"content\":\"Hi\""),
        "{}",
        answer.text
    );
    assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)]);
}

#[tokio::test]
async fn a_client_that_leaves_after_the_early_head_pays_for_the_whole() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
    let (desk, upstream, key) = waiting("openai", WAIT, move || whole(200, EVENTS, stream)).await;
    let mut left = desk.open(post("/v1/chat/completions", &body()).bearer(&key)).await.into_body();
    assert_eq!(left.frame().await.unwrap().unwrap().into_data().unwrap(), ": wait\n\n");
    drop(left);
    assert_eq!(desk.settled().await, [(499, 10, 5, 0, 0, 15_000)]);
    assert_eq!(upstream.arrived().len(), 1);
}

#[tokio::test]
async fn while_there_is_no_connection_a_failure_is_a_status() {
    let mut desk = installation().await;
    desk.state.gateway.patience = Patience { head: Duration::ZERO, ..patience() };
    // Nothing listens there.
    desk.served_by("openai", "http://127.0.0.1:1", "TEST_API_KEY").await;
    let key = desk.every_key().await;
    let answer = desk.send(post("/v1/chat/completions", &body()).bearer(&key)).await;
    assert_eq!(answer.status, 502);
}
