//! What small budgets let through and stop, as clients meet it.

use keydesk_core::domain::gate::MAX_COUNTS;
use keydesk_core::forms::parts::LimitField;
use serde_json::{Map, Value, json};

use super::support::*;
use super::upstream::{Upstream, whole};

/// At a dollar a million tokens, with a key that may spend so much in a month, as fast as it likes.
async fn limited(kind: &str, dollars: &str, answer: &'static str) -> (Installation, Upstream, String) {
    let desk = installation().await;
    let upstream = Upstream::answering(move || whole(200, "application/json", answer)).await;
    desk.served_by(kind, &upstream.base_url, "").await;
    let key = desk.create("limited", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit(dollars);
        form.limits.rpm = LimitField::none();
        form.limits.tpm = LimitField::none();
    });
    let key = key.await.secret.reveal().to_owned();
    (desk, upstream, key)
}

/// Bodies of about 900 kB that nothing was counted of once.
fn evasions() -> Vec<Value> {
    let text = "word ".repeat(180_000);
    let names: Map<String, Value> =
        (0..30_000).map(|number| (format!("a property with a long name {number}"), json!(1))).collect();
    let floats: Vec<f64> = (0..100_000).map(|number| f64::from(number) + 0.125).collect();
    let tight = "dGhpcyBpcyB0ZXh0".repeat(56_000);
    [json!({"role": text}), json!({"properties": names}), json!({"enum": floats}), json!({"data": tight})]
        .into_iter()
        .map(|parameters| {
            let tool = json!({"type": "function", "function": {"name": "f", "parameters": parameters}});
            let messages = json!([{"role": "user", "content": "Hi"}]);
            json!({"model": "routed", "max_tokens": 16, "messages": messages, "tools": [tool]})
        })
        .collect()
}

#[tokio::test]
async fn a_small_budget_is_not_evaded_by_the_shape_of_a_body() {
    let (desk, upstream, key) = limited("openai", "0.05", "{}").await;
    for body in evasions() {
        let refused = desk.send(post("/v1/chat/completions", &body).bearer(&key)).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("insufficient_quota")));
    }
    assert_eq!(upstream.arrived().len(), 0);
}

#[tokio::test]
async fn a_large_body_whose_usage_is_not_reported_is_charged_by_its_size() {
    let (desk, _upstream, key) = limited("openai", "50", "{}").await;
    let bodies = evasions();
    for body in &bodies {
        assert_eq!(desk.pass(post("/v1/chat/completions", body).bearer(&key)).await.status, 200);
    }
    for ((_, input, ..), body) in desk.settled().await.into_iter().zip(&bodies) {
        assert!(input >= body.to_string().len() as i64 / 8, "{input}");
    }
}

#[tokio::test]
async fn what_a_provider_stores_counts_with_its_last_size_or_as_the_whole_context() {
    const ANSWER: &str =
        r#"{"id":"resp_1","conversation":{"id":"conv_1"},"usage":{"input_tokens":1000,"output_tokens":500}}"#;
    let (desk, upstream, key) = limited("openai", "0.05", ANSWER).await;
    let body = |previous: Option<&str>| json!({"model": "routed", "input": "Hi", "max_output_tokens": 100, "previous_response_id": previous});
    let ask = async |previous| desk.pass(post("/v1/responses", &body(previous)).bearer(&key)).await;
    let unknown = ask(Some("resp_1")).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (429, &json!("insufficient_quota")));
    assert_eq!(ask(None).await.status, 200);
    assert_eq!(ask(Some("resp_1")).await.status, 200);
    assert_eq!(ask(Some("resp_2")).await.status, 429);
    // A conversation may have grown since.
    let conversation =
        json!({"model": "routed", "input": "Hi", "max_output_tokens": 100, "conversation": "conv_1"});
    assert_eq!(desk.pass(post("/v1/responses", &conversation).bearer(&key)).await.status, 429);
    assert_eq!(upstream.arrived().len(), 2);
}

#[tokio::test]
async fn counting_tokens_has_a_limit_of_its_own_and_no_other() {
    let (desk, _upstream, key) = limited("anthropic", "0.0001", r#"{"input_tokens":5}"#).await;
    desk.execute("UPDATE keys SET rpm = 1").await;
    let body = json!({"model": "routed", "messages": [{"role": "user", "content": "Hi"}]});
    let count = async || desk.pass(post("/v1/messages/count_tokens", &body).bearer(&key)).await;
    for _ in 0..3 {
        assert_eq!(count().await.status, 200);
    }
    assert!(
        desk.settled().await.iter().all(|(status, input, .., cost)| (*status, *input, *cost) == (200, 0, 0))
    );
    let id = desk.texts("SELECT id FROM keys WHERE name = 'limited'").await.remove(0);
    let id = keydesk_core::domain::ids::KeyId::parse(&id).unwrap();
    for _ in 3..MAX_COUNTS {
        desk.state.desk.lately.count(&id, desk.state.desk.now()).unwrap();
    }
    let refused = count().await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(refused.find_header("retry-after").is_some());
    assert!(refused.message().contains("asked 1,000 times within a minute"), "{}", refused.text);
}

#[tokio::test]
async fn a_request_that_only_others_block_is_told_to_come_again() {
    let (desk, upstream, key) = limited("openai", "0.05", "{}").await;
    let body = json!({"model": "routed", "messages": [{"role": "user", "content": "Hi"}]});
    let key_id = desk.texts("SELECT id FROM keys WHERE name = 'limited'").await.remove(0);
    // One in flight that may cost more than is left.
    desk.execute(&format!(
        "INSERT INTO reservations (request_id, org_id, key_id, secret_id, model_id, amount, worst, tokens, reserved_at, expires_at)
        SELECT 'req_other', k.org_id, k.id, 's', 'routed', 1, 9000000000, 1, {now}, {now} + 60000 FROM keys k WHERE k.id = '{key_id}'",
        now = desk.state.desk.now().ms()
    ))
    .await;
    let refused = desk.send(post("/v1/chat/completions", &body).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(&refused.json()["error"]["type"], &json!("rate_limit_error"));
    assert_eq!(refused.find_header("retry-after"), Some("5"));
    assert_eq!(refused.find_header("x-keydesk-rejected-by"), Some("budget"));
    assert!(refused.message().contains("has to wait"), "{}", refused.text);
    assert_eq!(upstream.arrived().len(), 0);
}
