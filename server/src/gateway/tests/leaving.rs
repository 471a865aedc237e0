//! Clients that leave a stream before its end, at every event and before the head: what is recorded is what the provider
//! reports, or what was reserved.

use std::time::Duration;

use axum::response::Response;
use http_body_util::BodyExt;
use keydesk_core::forms::parts::LimitField;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Then, Upstream, parts};
use crate::gateway::disconnect::Readings;

/// A stream and what its provider reports: input, cached and output tokens, of which the text is a small part.
struct Streamed {
    kind: &'static str,
    path: &'static str,
    content_type: &'static str,
    events: &'static [&'static str],
    reported: (i64, i64, i64),
}

const EVENTS: &str = "text/event-stream";

const CHAT: [&str; 5] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":40,\"prompt_tokens_details\":{\"cached_tokens\":8},\"completion_tokens\":6000,\"completion_tokens_details\":{\"reasoning_tokens\":5900}}}\n\n",
    "data: [DONE]\n\n",
];

const STREAMS: [Streamed; 5] = [
    Streamed {
        kind: "openai",
        path: "/v1/chat/completions",
        content_type: EVENTS,
        events: &CHAT,
        reported: (40, 8, 6000),
    },
    Streamed {
        kind: "openai",
        path: "/v1/responses",
        content_type: EVENTS,
        events: &[
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"error\":null,\"usage\":null}}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello\"}\n\n",
            "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"Hello\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"error\":null,\"usage\":{\"input_tokens\":40,\"input_tokens_details\":{\"cached_tokens\":8},\"output_tokens\":6000,\"output_tokens_details\":{\"reasoning_tokens\":5900}}}}\n\n",
        ],
        reported: (40, 8, 6000),
    },
    Streamed {
        kind: "anthropic",
        path: "/v1/messages",
        content_type: EVENTS,
        events: &[
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":32,\"cache_read_input_tokens\":8,\"cache_creation_input_tokens\":0,\"output_tokens\":1}}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":6000}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ],
        reported: (40, 8, 6000),
    },
    Streamed {
        kind: "gemini",
        path: "/v1beta/models/routed:streamGenerateContent?alt=sse",
        content_type: EVENTS,
        events: &[
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}]}}],\"usageMetadata\":{\"promptTokenCount\":40,\"cachedContentTokenCount\":8}}\r\n\r\n",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}]}}]}\r\n\r\n",
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":40,\"cachedContentTokenCount\":8,\"candidatesTokenCount\":100,\"thoughtsTokenCount\":5900}}\r\n\r\n",
        ],
        reported: (40, 8, 6000),
    },
    Streamed {
        kind: "gemini",
        path: "/v1beta/models/routed:streamGenerateContent",
        content_type: "application/json",
        events: &[
            "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]}}],\"usageMetadata\":{\"promptTokenCount\":40,\"cachedContentTokenCount\":8}}",
            ",\r\n{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":40,\"cachedContentTokenCount\":8,\"candidatesTokenCount\":100,\"thoughtsTokenCount\":5900}}",
            "]",
        ],
        reported: (40, 8, 6000),
    },
];

fn body() -> Value {
    json!({"model": "routed", "stream": true, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]})
}

async fn served(
    kind: &str,
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (Installation, Upstream, String) {
    let desk = installation().await;
    let upstream = Upstream::answering(answer).await;
    desk.served_by(kind, &upstream.base_url, "").await;
    desk.execute("UPDATE providers SET idle_ms = 60000, whole_ms = 60000").await;
    let key = desk.every_key().await;
    (desk, upstream, key)
}

/// Asks, reads so many bytes and leaves. What is hidden from the client never comes.
async fn leave_after(desk: &Installation, path: &str, key: &str, bytes: usize) {
    let mut open = desk.open(post(path, &body()).bearer(key)).await.into_body();
    let mut seen = 0;
    while seen < bytes
        && let Some(frame) = open.frame().await
    {
        seen += frame.unwrap().into_data().unwrap().len();
    }
}

#[tokio::test]
async fn a_client_that_leaves_at_any_event_pays_what_the_provider_reports() {
    for Streamed { kind, path, content_type, events, reported } in STREAMS {
        let (desk, _upstream, key) = served(kind, || parts(content_type, events, 40, Then::Ends)).await;
        for read in 0..=events.len() {
            let bytes = events[..read].iter().map(|event| event.len()).sum();
            leave_after(&desk, path, &key, bytes).await;
            let settled = desk.settled().await;
            assert_eq!(settled.len(), read + 1, "{path} after {read}");
            let (status, input, output, cached, estimated, cost) = settled[read];
            assert_eq!(
                (input, cached, output, estimated),
                (reported.0, reported.1, reported.2, 0),
                "{path} after {read}"
            );
            // A dollar for a million tokens, half for cached ones.
            assert_eq!(cost, 6_036_000, "{path} after {read}");
            assert!(
                status == 499 || (read + 1 >= events.len() && status == 200),
                "{path} after {read}: {status}"
            );
        }
        assert_eq!(desk.state.gateway.readings.under_way(), 0);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_pays_what_the_provider_reports() {
    for Streamed { kind, path, content_type, events, reported } in STREAMS {
        let desk = installation().await;
        let answer = || parts(content_type, events, 1, Then::Ends);
        let upstream = Upstream::answering_after(Duration::from_millis(150), answer).await;
        desk.served_by(kind, &upstream.base_url, "").await;
        let key = desk.every_key().await;
        let asked = desk.open(post(path, &body()).bearer(&key));
        assert!(
            tokio::time::timeout(Duration::from_millis(60), asked).await.is_err(),
            "it answered too soon"
        );
        assert_eq!(desk.settled().await, [(499, reported.0, reported.2, reported.1, 0, 6_036_000)], "{path}");
    }
}

#[tokio::test]
async fn a_budget_is_not_evaded_by_leaving_when_the_text_has_ended() {
    // 60,000 tokens at a dollar a million are 6 cents.
    const DEAR: [&str; 4] = [
        CHAT[1],
        CHAT[2],
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":40,\"completion_tokens\":60000,\"completion_tokens_details\":{\"reasoning_tokens\":59900}}}\n\n",
        CHAT[4],
    ];
    let (desk, upstream, _) = served("openai", || parts(EVENTS, &DEAR, 40, Then::Ends)).await;
    let key = desk.create("small", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("0.10");
    });
    let key = key.await.secret.reveal().to_owned();
    let mut refused = 0;
    for _ in 0..40 {
        let answer = desk.open(post("/v1/chat/completions", &body()).bearer(&key)).await;
        if answer.status() != 200 {
            assert_eq!(answer.status(), 429);
            refused += 1;
            continue;
        }
        let mut open = answer.into_body();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("\"stop\"") {
            seen.extend(open.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        drop(open);
        desk.settled().await;
    }
    let paid = upstream.arrived().len();
    assert_eq!((paid, refused), (2, 38));
    let settled = desk.settled().await;
    assert!(settled.iter().all(|row| *row == (499, 40, 60_000, 0, 0, 60_040_000)), "{settled:?}");
    assert_eq!(settled.len(), paid);
}

#[tokio::test]
async fn a_provider_that_is_set_to_stop_is_stopped_and_the_reservation_charged() {
    let (desk, upstream, key) = served("openai", || parts(EVENTS, &CHAT[..2], 5, Then::Hangs)).await;
    desk.execute("UPDATE providers SET on_disconnect = 'stop'").await;
    leave_after(&desk, "/v1/chat/completions", &key, CHAT[0].len() + 1).await;
    // All of max_tokens, and more input than is likely.
    let is_worst = |settled: &[super::support::Settled]| {
        let [(status, input, output, _, estimated, cost)] = settled else { return false };
        (*status, *output, *estimated) == (499, 100, 1) && *cost > (input + output) * 1_000
    };
    assert!(is_worst(&desk.settled().await));
    assert_eq!(upstream.arrived().len(), 1);

    let desk = installation().await;
    let answer = || parts(EVENTS, &CHAT, 1, Then::Ends);
    let upstream = Upstream::answering_after(Duration::from_secs(2), answer).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    desk.execute("UPDATE providers SET on_disconnect = 'stop', idle_ms = 3000, connect_ms = 3000").await;
    let key = desk.every_key().await;
    let arrived = async {
        while upstream.arrived().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = desk.open(post("/v1/chat/completions", &body()).bearer(&key)) => panic!("it answered too soon"),
        () = arrived => {}
    }
    assert!(is_worst(&desk.settled().await));
}

#[tokio::test]
async fn what_is_not_read_to_its_end_is_charged_what_the_model_may_have_reasoned() {
    let path = "/v1/chat/completions";
    let long = Duration::from_secs(60);
    let cases = [
        ("time", Readings::new(8, Duration::from_millis(50), 1 << 20)),
        ("size", Readings::new(8, long, 100)),
        ("number", Readings::new(0, long, 1 << 20)),
    ];
    for (what, readings) in cases {
        let repeated: Vec<&str> = std::iter::repeat_n(CHAT[1], 30).collect();
        let (mut desk, _upstream, key) =
            served("openai", move || parts(EVENTS, &repeated, 5, Then::Hangs)).await;
        desk.state.gateway.readings = readings;
        leave_after(&desk, path, &key, 1).await;
        let (status, input, output, cached, estimated, cost) = desk.settled().await[0];
        assert_eq!((status, output, cached, estimated), (499, 100, 0, 1), "{what}");
        // One that its key has too many of is charged its worst cost.
        assert_eq!(cost > (input + output) * 1_000, what == "number", "{what}");
        assert!(cost >= (input + output) * 1_000, "{what}");
    }
    // A model that was told not to reason wrote what was seen.
    let (mut desk, _upstream, key) = served("openai", || parts(EVENTS, &CHAT[..2], 5, Then::Hangs)).await;
    desk.state.gateway.readings = Readings::new(8, Duration::from_millis(50), 1 << 20);
    let mut plain = body();
    plain["reasoning_effort"] = json!("none");
    let mut open = desk.open(post(path, &plain).bearer(&key)).await.into_body();
    open.frame().await.unwrap().unwrap();
    drop(open);
    let (status, _, output, _, estimated, _) = desk.settled().await[0];
    assert_eq!((status, output, estimated), (499, 2, 1));
}

#[tokio::test]
async fn a_client_that_waits_for_nothing_pays_what_the_model_may_have_reasoned() {
    let path = "/v1/chat/completions";
    for (streams, sent) in [(false, 0), (true, 0), (true, 2)] {
        for (effort, output) in [("high", 100), ("none", sent)] {
            let (desk, _upstream, key) =
                served("openai", move || parts(EVENTS, &CHAT[..sent as usize], 5, Then::Hangs)).await;
            desk.execute("UPDATE providers SET idle_ms = 200, whole_ms = 200").await;
            let mut body = body();
            body["stream"] = json!(streams);
            body["reasoning_effort"] = json!(effort);
            let open = desk.open(post(path, &body).bearer(&key)).await;
            let _ = open.into_body().collect().await;
            let (status, input, charged, _, estimated, cost) = desk.settled().await[0];
            assert_eq!((status, charged, estimated), (504, output, 1), "{streams}, {sent}, {effort}");
            assert_eq!(cost, (input + output) * 1_000, "{streams}, {sent}, {effort}");
        }
    }
}

#[tokio::test]
async fn a_key_that_leaves_many_streams_leaves_readings_to_others() {
    let path = "/v1/chat/completions";
    let (mut desk, _upstream, key) = served("openai", || parts(EVENTS, &CHAT[..2], 5, Then::Hangs)).await;
    // Each key may have two of these.
    desk.state.gateway.readings = Readings::new(8, Duration::from_secs(60), 1 << 20);
    let read_on = async |key: &str| {
        leave_after(&desk, path, key, 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        (desk.state.gateway.readings.under_way(), desk.number("SELECT COUNT(*) FROM usage").await)
    };
    assert_eq!(read_on(&key).await, (1, 0));
    assert_eq!(read_on(&key).await, (2, 0));
    assert_eq!(read_on(&key).await, (2, 1));
    let other = desk.create("other", |form| form.scope = "every".into()).await;
    assert_eq!(read_on(other.secret.reveal()).await, (3, 1));
    let worst = desk.number("SELECT cost FROM usage").await;

    // Where others have them all, it is charged its output and not its worst cost.
    let (mut desk, _upstream, key) = served("openai", || parts(EVENTS, &CHAT[..2], 5, Then::Hangs)).await;
    desk.state.gateway.readings = Readings::new(1, Duration::from_secs(60), 1 << 20);
    leave_after(&desk, path, &key, 1).await;
    let other = desk.create("other", |form| form.scope = "every".into()).await;
    leave_after(&desk, path, other.secret.reveal(), 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage WHERE output_tokens = 100").await, 1);
    let cost = desk.number("SELECT cost FROM usage").await;
    assert_eq!(cost, desk.number("SELECT (input_tokens + output_tokens) * 1000 FROM usage").await);
    assert!(cost < worst);
}

#[tokio::test]
async fn a_client_that_leaves_after_the_last_event_needs_no_reading() {
    for Streamed { kind, path, content_type, events, .. } in &STREAMS[..3] {
        let (desk, _upstream, key) = served(kind, || parts(content_type, events, 1, Then::Hangs)).await;
        let last = events.last().unwrap();
        let mut open = desk.open(post(path, &body()).bearer(&key)).await.into_body();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(last) {
            seen.extend(open.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        drop(open);
        let (status, .., cost) = desk.settled().await[0];
        assert_eq!((status, cost), (200, 6_036_000), "{path}");
        assert!(desk.state.gateway.in_flight.tasks.is_empty(), "{path} is still read");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_there_is_a_connection_pays_nothing() {
    // It takes a connection, and never answers the greeting.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let desk = installation().await;
    desk.served_by("openai", &format!("https://{}", listener.local_addr().unwrap()), "").await;
    desk.execute("UPDATE providers SET on_disconnect = 'stop', connect_ms = 5000").await;
    let key = desk.every_key().await;
    let asked = desk.open(post("/v1/chat/completions", &body()).bearer(&key));
    assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err(), "it answered");
    assert_eq!(desk.settled().await, [(499, 0, 0, 0, 0, 0)]);
}

#[tokio::test]
async fn an_error_about_the_account_in_a_stream_reaches_neither_the_client_nor_the_list_of_requests() {
    let events = [
        CHAT[1],
        "data: {\"error\":{\"message\":\"Rate limit reached for gpt-5 in organization org-abc123\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}\n\n",
    ];
    let (desk, _upstream, key) = served("openai", move || parts(EVENTS, &events, 5, Then::Ends)).await;
    let open = desk.open(post("/v1/chat/completions", &body()).bearer(&key)).await;
    let sent = open.into_body().collect().await.unwrap().to_bytes();
    let sent = String::from_utf8_lossy(&sent);
    assert!(sent.contains("The provider Far limits how much") && !sent.contains("org-abc123"), "{sent}");
    assert_eq!(desk.settled().await[0].0, 503);
    let stored = desk.texts("SELECT error FROM usage").await;
    assert!(stored[0].starts_with("The provider Far limits how much"), "{stored:?}");
}

#[tokio::test]
async fn a_stop_of_the_gateway_settles_a_stream_without_a_client_as_it_stands() {
    let (desk, _upstream, key) = served("openai", || parts(EVENTS, &CHAT[..2], 5, Then::Hangs)).await;
    leave_after(&desk, "/v1/chat/completions", &key, CHAT[0].len() + 1).await;
    let in_flight = &desk.state.gateway.in_flight;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((in_flight.tasks.len(), desk.state.gateway.readings.under_way()), (1, 1));
    in_flight.stop.cancel();
    let (status, input, output, _, estimated, cost) = desk.settled().await[0];
    assert_eq!((status, output, estimated, cost), (499, 100, 1, (input + 100) * 1_000));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_pays_what_the_provider_reports() {
    let mut events: Vec<&str> = std::iter::repeat_n(CHAT[1], 60).collect();
    events.extend(&CHAT[2..]);
    let (desk, _upstream, key) = served("openai", move || parts(EVENTS, &events, 1, Then::Ends)).await;
    // Long enough for the head of the answer on a busy machine.
    desk.execute("UPDATE providers SET idle_ms = 1500, whole_ms = 1500").await;
    let open = desk.open(post("/v1/chat/completions", &body()).bearer(&key)).await;
    // Nothing is read before the request is settled.
    assert_eq!(desk.settled().await, [(504, 40, 6000, 8, 0, 6_036_000)]);
    assert!(open.into_body().collect().await.is_err(), "it looks complete");
}

#[tokio::test]
async fn a_stream_that_takes_longer_than_the_total_timeout_is_cut_off_and_read_on() {
    let (desk, _upstream, key) = served("openai", || parts(EVENTS, &CHAT, 100, Then::Ends)).await;
    desk.execute("UPDATE providers SET idle_ms = 300, whole_ms = 300").await;
    let open = desk.open(post("/v1/chat/completions", &body()).bearer(&key)).await;
    assert!(open.into_body().collect().await.is_err(), "it looks complete");
    assert_eq!(desk.settled().await, [(504, 40, 6000, 8, 0, 6_036_000)]);
}

#[tokio::test]
async fn an_error_that_ends_a_stream_is_in_the_log_with_its_status_whoever_leaves() {
    let cases = [
        (
            "openai",
            "/v1/chat/completions",
            EVENTS,
            [
                CHAT[1],
                "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}\n\n",
            ],
            500,
            "The server had an error",
        ),
        (
            "openai",
            "/v1/responses",
            EVENTS,
            [
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n",
                "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Slow down\"}}}\n\n",
            ],
            429,
            "Slow down",
        ),
        (
            "anthropic",
            "/v1/messages",
            EVENTS,
            [
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":40,\"output_tokens\":1}}}\n\n",
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
            ],
            529,
            "Overloaded",
        ),
        (
            "gemini",
            "/v1beta/models/routed:streamGenerateContent?alt=sse",
            EVENTS,
            [
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]}}],\"usageMetadata\":{\"promptTokenCount\":40}}\r\n\r\n",
                "data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
            ],
            503,
            "The model is overloaded",
        ),
        (
            "gemini",
            "/v1beta/models/routed:streamGenerateContent",
            "application/json",
            [
                "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]}}],\"usageMetadata\":{\"promptTokenCount\":40}}",
                ",\r\n{\n  \"error\": {\"code\":503,\"message\":\"The model is overloaded\",\"status\":\"UNAVAILABLE\",\"details\":[{}]}}\n]",
            ],
            503,
            "The model is overloaded",
        ),
    ];
    for (kind, path, content_type, events, status, text) in cases {
        for leaves in [false, true] {
            let (desk, _upstream, key) =
                served(kind, move || parts(content_type, &events, 10, Then::Ends)).await;
            if leaves {
                leave_after(&desk, path, &key, 1).await;
            } else {
                let open = desk.open(post(path, &body()).bearer(&key)).await;
                open.into_body().collect().await.unwrap();
            }
            let settled = desk.settled().await;
            assert_eq!((settled[0].0, settled[0].4), (status, 1), "{path}, {leaves}: {settled:?}");
            assert_eq!(desk.texts("SELECT error FROM usage").await, [text], "{path}, {leaves}");
        }
    }
}
