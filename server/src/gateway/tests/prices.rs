//! Prices that change while requests run, and models without one.

use http_body_util::BodyExt;
use keydesk_core::domain::limits::Limits;
use keydesk_core::forms::parts::{LimitField, LimitFields};
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};

const CHUNKS: [&str; 3] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500}}\n\n",
    "data: [DONE]\n\n",
];

fn chat(stream: bool) -> Value {
    json!({"model": "routed", "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]})
}

/// From now on the model costs a hundred times as much.
async fn reprice(desk: &Installation) {
    desk.clock.advance(1);
    desk.execute(&format!(
        "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
        VALUES ('price_00000000000000000000000000000002', 'routed', {}, 'operator', '',
            '{{\"input\":\"100\",\"output\":\"100\"}}', 0, '')",
        desk.state.desk.now().ms()
    ))
    .await;
}

#[tokio::test]
async fn a_stream_costs_the_price_at_which_it_began_and_the_next_request_the_new_one() {
    let desk = installation().await;
    let upstream = Upstream::answering(|| parts("text/event-stream", &CHUNKS, 120, Then::Ends)).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    let key = desk.every_key().await;
    let mut body = desk.open(post("/v1/chat/completions", &chat(true)).bearer(&key)).await.into_body();
    body.frame().await.unwrap().unwrap();
    reprice(&desk).await;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    assert_eq!(desk.settled().await, [(200, 1000, 500, 0, 0, 1_500_000)]);
    desk.pass(post("/v1/chat/completions", &chat(true)).bearer(&key)).await;
    let costs: Vec<i64> = desk.settled().await.into_iter().map(|settled| settled.5).collect();
    assert_eq!(costs, [1_500_000, 150_000_000]);
    // Each names the price that it was paid at.
    let prices = desk.texts("SELECT price_id FROM usage ORDER BY rowid").await;
    assert_eq!(prices, ["price_00000000000000000000000000000001", "price_00000000000000000000000000000002"]);
}

#[tokio::test]
async fn another_gateways_request_costs_the_price_at_its_reservation() {
    let desk = installation().await;
    desk.served_by("openai", "http://127.0.0.1:1", "").await;
    let key = desk.every_key().await;
    let call = |path: &str, body: &Value| post(path, body).header("x-keydesk-gateway", GATEWAY_TOKEN);
    let asked = json!({"model": "routed", "input_tokens": 1000, "max_output_tokens": 500});
    let let_in = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await.json();
    reprice(&desk).await;
    let after = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await.json();
    for (admitted, cost) in [(let_in, 1_500_000), (after, 150_000_000)] {
        assert_eq!(admitted["reserved"]["nanos"], cost);
        let settle = json!({"request_id": admitted["request_id"], "status": 200, "input_tokens": 1000, "output_tokens": 500});
        let settled = desk.send(call("/gateway/settle", &settle)).await.json();
        assert_eq!(settled["cost"]["nanos"], cost);
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_to_a_key_with_a_budget_in_every_protocol() {
    let desk = installation().await;
    let answer = "{\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500}}";
    let upstream = Upstream::answering(move || whole(200, "application/json", answer)).await;
    desk.served_by("openai", &upstream.base_url, "").await;
    desk.execute("UPDATE prices SET tariff = '{}' WHERE model_id = 'routed'").await;
    let free = desk.create("free", |form| {
        form.scope = "every".into();
        form.limits = LimitFields::of(&[], &Limits::default());
    });
    let free = free.await.secret.reveal().to_owned();
    assert_eq!(desk.pass(post("/v1/chat/completions", &chat(false)).bearer(&free)).await.status, 200);
    let key = desk.create("limited", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("50");
    });
    let key = key.await.secret.reveal().to_owned();
    let refused = desk.send(post("/v1/chat/completions", &chat(false)).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("model_not_priced")));
    assert!(refused.message().contains("The model routed has no price here"), "{}", refused.text);
    desk.execute("UPDATE providers SET kind = 'anthropic'").await;
    let refused = desk.send(post("/v1/messages", &chat(false)).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (403, &json!("permission_error")));
    desk.execute("UPDATE providers SET kind = 'gemini'").await;
    let refused = desk.send(post("/v1beta/models/routed:generateContent", &json!({})).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    let call = post("/gateway/authorize", &json!({"model": "routed", "input_tokens": 1}));
    let refused = desk.send(call.header("x-keydesk-gateway", GATEWAY_TOKEN).bearer(&key)).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    // Nothing is reserved, nothing was sent, and the key's page says why.
    assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0);
    assert_eq!(upstream.arrived().len(), 1);
    desk.state.rejections.flush(&desk.state.desk.db).await.unwrap();
    assert_eq!(
        desk.number(
            "SELECT CAST(SUM(times) AS INTEGER) FROM rejections WHERE reason = 'no_price' AND gate = 'budget'"
        )
        .await,
        4
    );
}
