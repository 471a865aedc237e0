//! Several providers of one model: when the next one is asked, when not, what is charged, and what whom is told.

use std::time::Duration;

use axum::response::Response;
use keydesk_core::ops::providers;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};
use crate::gateway::silence::Patience;

const ANSWER: &str =
    r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
const FIRST: &str = "prov_00000000000000000000000000000001";

fn chat() -> Value {
    json!({"model": "routed", "messages": [{"role": "user", "content": "Hi"}]})
}

fn streaming_chat() -> Value {
    json!({"model": "routed", "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
}

fn good() -> Response {
    whole(200, "application/json", ANSWER)
}

/// A port at which no one listens.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Further providers of `routed`, named by their number from 2 on, with their weights.
async fn also_served_by(desk: &Installation, others: &[(&str, i64)]) {
    for (number, (base_url, weight)) in (2..).zip(others) {
        desk.execute(&format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version)
            VALUES ('prov_0000000000000000000000000000000{number}', 'Other {number}', 'openai', '{base_url}', 'TEST_API_KEY', 500, 300, 3000, 0, 1);
            INSERT INTO model_providers (model_id, provider_id, weight, upstream_name)
            VALUES ('routed', 'prov_0000000000000000000000000000000{number}', {weight}, 'other-name')"
        ))
        .await;
    }
}

/// `routed` at a provider that answers so, and at one that is asked only when the first does not answer.
async fn served(
    first: impl Fn() -> Response + Clone + Send + Sync + 'static,
    second: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (Installation, [Upstream; 2], String) {
    let desk = installation().await;
    let (first, second) = (Upstream::answering(first).await, Upstream::answering(second).await);
    desk.served_by("openai", &first.base_url, "TEST_API_KEY").await;
    also_served_by(&desk, &[(&second.base_url, 0)]).await;
    let key = desk.every_key().await;
    (desk, [first, second], key)
}

/// Provider, status and kind of each attempt of all requests, in their order.
async fn attempts(desk: &Installation) -> Vec<String> {
    desk.texts(
        "SELECT provider_name || ' ' || status || ' ' || kind FROM request_attempts ORDER BY began_at, request_id, number",
    )
    .await
}

#[tokio::test]
async fn a_refusal_or_a_server_error_is_followed_by_the_next_provider_and_one_answer_is_charged() {
    let org = r#"{"error":{"message":"Organization org-Acme123 has no access to this project"}}"#;
    let cases: [(u16, &str, &str); 9] = [
        (401, r#"{"error":"bad key sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x"}"#, "credential"),
        (402, "{}", "credit"),
        (403, org, "refused"),
        (429, "{}", "limited"),
        (429, r#"{"error":{"code":"insufficient_quota","message":"org-Acme123"}}"#, "credit"),
        (500, "oops", "failed"),
        (502, "<html>", "failed"),
        (503, "{}", "overloaded"),
        (529, "{}", "overloaded"),
    ];
    for (status, body, kind) in cases {
        let failing = move || whole(status, "application/json", body);
        let (desk, [first, second], key) = served(failing, good).await;
        let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ANSWER), "{status}");
        assert_eq!(answer.find_header("x-keydesk-upstream"), None);
        assert_eq!(first.one().json()["model"], "real-name");
        assert_eq!(second.one().json()["model"], "other-name");
        assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)], "{status}");
        assert_eq!(attempts(&desk).await, [format!("Far {status} {kind}"), "Other 2 200 ".into()]);
        assert_eq!(
            desk.number("SELECT SUM(requests) FROM counters WHERE holder_kind = 'key' AND period = 'total'")
                .await,
            1
        );
    }
}

#[tokio::test]
async fn a_provider_without_a_connection_or_a_credential_is_followed_by_the_next_also_for_a_stream() {
    let chunks = [
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n",
    ];
    for (variable, kind) in [("TEST_API_KEY", "unreachable"), ("UNSET_API_KEY", "no_credential")] {
        let desk = installation().await;
        let second = Upstream::answering(move || parts("text/event-stream", &chunks, 1, Then::Ends)).await;
        desk.served_by("openai", &nowhere().await, variable).await;
        also_served_by(&desk, &[(&second.base_url, 0)]).await;
        let key = desk.every_key().await;
        let answer = desk.pass(post("/v1/chat/completions", &streaming_chat()).bearer(&key)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("Hi") && answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
        assert_eq!(desk.settled().await, [(200, 10, 5, 0, 0, 15_000)]);
        assert_eq!(attempts(&desk).await, [format!("Far 0 {kind}"), "Other 2 200 ".into()]);
    }
}

#[tokio::test]
async fn after_signs_of_life_the_next_provider_is_still_asked() {
    const WAIT: &str = ": wait\n\n";
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
    let ms = Duration::from_millis;
    for (status, text) in [(200, stream), (402, "{}")] {
        let mut desk = installation().await;
        desk.state.gateway.patience = Patience { head: ms(40), connecting: ms(10), beat: ms(50) };
        // The first client reads the system's certificates, which takes its time.
        desk.state.gateway.upstreams.client(500).unwrap();
        let failing = || whole(503, "application/json", "{}");
        // Before the provider's silence counts as a failure that may have cost something.
        let first = Upstream::answering_after(ms(220), failing).await;
        let kind = if status == 200 { "text/event-stream" } else { "application/json" };
        let second = Upstream::answering(move || whole(status, kind, text)).await;
        desk.served_by("openai", &first.base_url, "TEST_API_KEY").await;
        also_served_by(&desk, &[(&second.base_url, 0)]).await;
        let key = desk.every_key().await;
        let answer = desk.pass(post("/v1/chat/completions", &streaming_chat()).bearer(&key)).await;
        assert_eq!((answer.status, second.arrived().len()), (200, 1));
        assert!(answer.text.starts_with(WAIT), "{}", answer.text);
        let rest = answer.text.trim_start_matches(WAIT);
        match status {
            200 => assert!(rest.contains("Hi") && rest.ends_with("data: [DONE]\n\n"), "{rest}"),
            _ => assert!(rest.contains("no credit left at the provider Other 2"), "{rest}"),
        }
        let kind = if status == 200 { "" } else { "credit" };
        assert_eq!(attempts(&desk).await, ["Far 503 overloaded".into(), format!("Other 2 {status} {kind}")]);
        assert_eq!(desk.settled().await[0].5, if status == 200 { 15_000 } else { 0 });
    }
}

#[tokio::test]
async fn what_may_have_cost_is_charged_where_it_happened_and_not_sent_again() {
    let used = r#"{"error":{"message":"broke"},"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    type Answering = std::sync::Arc<dyn Fn() -> Response + Send + Sync>;
    let cases: [(Answering, u16); 4] = [
        // A server error that reports use.
        (std::sync::Arc::new(move || whole(500, "application/json", used)), 500),
        (std::sync::Arc::new(|| parts("application/json", &[], 0, Then::Hangs)), 504),
        (std::sync::Arc::new(|| parts("application/json", &["{\"a\":"], 5, Then::BreaksOff)), 502),
        // The client's own mistake.
        (std::sync::Arc::new(|| whole(400, "application/json", "{\"error\":{\"message\":\"no\"}}")), 400),
    ];
    for (answering, status) in cases {
        let (desk, [_first, second], key) = served(move || answering(), good).await;
        let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!(answer.status, status);
        assert_eq!(second.arrived().len(), 0, "{status}");
        assert_eq!(answer.find_header("x-keydesk-upstream"), Some("Far"));
        let settled = desk.settled().await;
        assert_eq!((settled.len(), settled[0].0), (1, i64::from(status)));
        assert_eq!(settled[0].5 > 0, status != 400, "{status}");
        assert_eq!(attempts(&desk).await.len(), 1);
        if status != 400 && status != 500 {
            assert_eq!(answer.find_header("x-should-retry"), Some("false"), "{status}");
        }
    }
}

#[tokio::test]
async fn after_the_first_byte_nothing_is_sent_again() {
    let begun = ["data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"];
    let breaking = move || parts("text/event-stream", &begun, 1, Then::BreaksOff);
    let (desk, [_first, second], key) = served(breaking, good).await;
    let response = desk.open(post("/v1/chat/completions", &streaming_chat()).bearer(&key)).await;
    assert_eq!(response.status(), 200);
    assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
    assert_eq!(desk.settled().await[0].0, 502);
    assert_eq!(second.arrived().len(), 0);
}

#[tokio::test]
async fn when_none_answers_the_client_is_told_in_our_words_after_three_attempts() {
    let desk = installation().await;
    let words = r#"{"error":{"message":"Your organization org-Acme123 is out of credit balance, see sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x","type":"billing_error"}}"#;
    let failing = move || whole(402, "application/json", words);
    let mut upstreams = Vec::new();
    for _ in 0..4 {
        upstreams.push(Upstream::answering(failing).await);
    }
    desk.served_by("openai", &upstreams[0].base_url, "TEST_API_KEY").await;
    let others: Vec<(&str, i64)> =
        upstreams[1..].iter().map(|upstream| (upstream.base_url.as_str(), 0)).collect();
    also_served_by(&desk, &others).await;
    let key = desk.every_key().await;
    let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.message(),
        "This installation has no credit left at the provider Other 3. Your key is valid. Tell your administrator."
    );
    assert_eq!(answer.find_header("x-keydesk-upstream"), Some("Other 3"));
    assert_eq!(answer.find_header("x-should-retry"), Some("false"));
    assert!(!answer.text.contains("org-Acme123"));
    let asked: Vec<usize> = upstreams.iter().map(|upstream| upstream.arrived().len()).collect();
    assert_eq!(asked, [1, 1, 1, 0]);
    assert_eq!(desk.settled().await, [(503, 0, 0, 0, 0, 0)]);
    // The log of the organisation has our words, and the operator the provider's, without the secret.
    assert!(!desk.texts("SELECT error FROM usage").await[0].contains("org-Acme123"));
    desk.state.gateway.watch.flush(&desk.state.desk.db).await.unwrap();
    let view = providers::show(&desk.state.desk, &desk.owner, FIRST).await.unwrap();
    let [failure] = view.failures.as_slice() else { panic!("{:?}", view.failures) };
    assert_eq!((failure.failure.as_str(), failure.times, failure.status), ("credit", 1, 402));
    assert!(
        failure.words.starts_with("Your organization org-Acme123 is out of credit balance"),
        "{failure:?}"
    );
    assert!(!failure.words.contains("sk-proj"), "{failure:?}");
    assert_eq!(view.health.state().label(), "Failing");
}

#[tokio::test]
async fn a_provider_that_failed_is_passed_over_for_a_while_and_tried_again() {
    let (desk, [first, second], key) = served(|| whole(401, "application/json", "{}"), good).await;
    let ask = async || desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await.status;
    for _ in 0..3 {
        assert_eq!(ask().await, 200);
    }
    assert_eq!((first.arrived().len(), second.arrived().len()), (1, 3));
    desk.clock.advance(5_001);
    assert_eq!(ask().await, 200);
    assert_eq!((first.arrived().len(), second.arrived().len()), (2, 4));
    // Twice as long the next time.
    desk.clock.advance(5_001);
    assert_eq!(ask().await, 200);
    assert_eq!(first.arrived().len(), 2);
}

#[tokio::test]
async fn a_provider_alone_is_asked_however_often_it_failed() {
    let desk = installation().await;
    let upstream = Upstream::answering(|| whole(401, "application/json", "{}")).await;
    desk.served_by("openai", &upstream.base_url, "TEST_API_KEY").await;
    let key = desk.every_key().await;
    for asked in 1..4 {
        let answer = desk.send(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!((answer.status, upstream.arrived().len()), (502, asked));
    }
    assert_eq!(attempts(&desk).await, [""; 0], "who else would it be");
}

#[tokio::test]
async fn requests_are_spread_by_the_weights() {
    let (desk, [first, second], key) = served(good, good).await;
    desk.execute("UPDATE model_providers SET weight = 1").await;
    for _ in 0..40 {
        desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    }
    let (first, second) = (first.arrived().len(), second.arrived().len());
    assert_eq!(first + second, 40);
    assert!(first.min(second) >= 5, "{first} and {second}");
    assert_eq!(desk.number("SELECT COUNT(*) FROM request_attempts").await, 40);
}

#[tokio::test]
async fn a_retired_provider_and_one_of_another_protocol_are_not_asked() {
    let (desk, [_first, second], key) = served(|| whole(500, "text/plain", ""), good).await;
    for change in ["kind = 'anthropic'", "kind = 'openai', retired_at = 1"] {
        desk.execute(&format!("UPDATE providers SET {change} WHERE name = 'Other 2'")).await;
        let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
        assert_eq!((answer.status, second.arrived().len()), (500, 0), "{change}");
    }
}
