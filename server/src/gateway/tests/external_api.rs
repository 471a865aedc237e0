//! What other gateways and proxies ask.

use axum::http::Method;
use keydesk_core::admission::Node;
use keydesk_core::forms::parts::LimitField;
use keydesk_core::store::Db;
use serde_json::{Value, json};

use super::support::*;

fn call(path: &str, body: &Value) -> TestRequest {
    post(path, body).header("x-keydesk-gateway", GATEWAY_TOKEN)
}

async fn priced() -> (Installation, String) {
    let desk = installation().await;
    desk.served_by("openai", "http://127.0.0.1:1", "").await;
    let key = desk.create("other", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("0.01");
    });
    let key = key.await.secret.reveal().to_owned();
    (desk, key)
}

#[tokio::test]
async fn a_request_is_authorized_settled_once_and_paid() {
    let (desk, key) = priced().await;
    for (turn, spot) in SPOTS.into_iter().enumerate() {
        let asked = json!({"model": "routed", "input_tokens": 1000, "max_output_tokens": 500, "address": "203.0.113.7", "route": "/v1/chat/completions"});
        let let_in = desk.send(call("/gateway/authorize", &asked).key_in(spot, key.as_bytes())).await;
        assert_eq!(let_in.status, 200, "{}", let_in.text);
        assert!(let_in.find_header("x-keydesk-budget-remaining").is_some());
        let let_in = let_in.json();
        assert_eq!((&let_in["model"], &let_in["upstream_name"]), (&json!("routed"), &json!("real-name")));
        // Once the key has had a short answer, another one is likely.
        let (nanos, dollars) = if turn == 0 { (1_500_000, "0.0015") } else { (1_256_000, "0.001256") };
        assert_eq!(
            let_in["reserved"],
            json!({"nanos": nanos, "dollars": dollars, "tokens": nanos / 1_000, "worst_nanos": 1_500_000, "worst_dollars": "0.0015"})
        );
        assert_eq!(let_in["key"]["name"], "other");
        let settle = json!({"request_id": let_in["request_id"], "status": 200, "input_tokens": 800, "output_tokens": 200, "cached_tokens": 0, "latency_ms": 5});
        let settled = desk.send(call("/gateway/settle", &settle)).await.json();
        assert_eq!(settled, json!({"cost": {"nanos": 1_000_000, "dollars": "0.001"}, "counted": true}));
        let again = desk.send(call("/gateway/settle", &settle)).await.json();
        assert_eq!(again, json!({"cost": {"nanos": 1_000_000, "dollars": "0.001"}, "counted": false}));
    }
    assert_eq!(desk.settled().await, [(200, 800, 200, 0, 0, 1_000_000); 4]);
    let asked = json!({"model": "routed", "input_tokens": 10_000_000, "route": "/v1/messages"});
    let refused = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
}

#[tokio::test]
async fn another_gateway_settles_by_meter() {
    let (desk, key) = priced().await;
    let settle = async |more: Value| {
        let asked = json!({"model": "routed", "input_tokens": 1000, "max_output_tokens": 500});
        let let_in = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await.json();
        let mut body = json!({"request_id": let_in["request_id"], "status": 502});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        desk.send(call("/gateway/settle", &body)).await
    };
    let meters = json!({"input": 600, "cached_input": 200, "output": 100, "reasoning": 100});
    // The three numbers do not count where there are meters.
    let more = json!({"meters": meters, "output_tokens": 9999, "service_tier": "default", "error": "Overloaded, sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE"});
    assert_eq!(settle(more).await.json()["cost"]["nanos"], 900_000);
    for wrong in [json!({"meters": {"tokens": 1}}), json!({"meters": {"input": 1.5}}), json!({"meters": []})]
    {
        assert_eq!(settle(wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(settle(json!({"meters": {"input": -5}, "region": "us"})).await.json()["cost"]["nanos"], 0);
    let rows = [(502, 800, 200, 200, 0, 900_000), (502, 0, 0, 0, 0, 0)];
    desk.execute("DELETE FROM reservations").await;
    assert_eq!(desk.settled().await, rows);
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage WHERE error = 'Overloaded, …'").await, 1);
}

#[tokio::test]
async fn a_body_is_read_for_all_that_it_asks() {
    let (desk, key) = priced().await;
    let price = |tariff: &str| format!("UPDATE prices SET tariff = '{tariff}' WHERE model_id = 'routed'");
    desk.execute(&price(r#"{"input":"1","output":"1","factors":{"tier":{"priority":"2"}}}"#)).await;
    desk.execute("UPDATE models SET context_tokens = 1000, max_output_tokens = 100 WHERE id = 'routed'")
        .await;
    let worst = async |route: &str, body: Value| {
        let mut asked = json!({"model": "routed", "route": route});
        asked.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let let_in = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await;
        assert_eq!(let_in.status, 200, "{}", let_in.text);
        let id = json!({"request_id": let_in.json()["request_id"]});
        assert_eq!(desk.status(call("/gateway/release", &id)).await, 200);
        let_in.json()["reserved"]["worst_nanos"].as_i64().unwrap()
    };
    let chat = "/v1/chat/completions";
    let standard = json!({"model": "routed", "service_tier": "default", "n": "3", "max_tokens": 40});
    let one = worst(chat, json!({"input_tokens": 10, "estimate": standard})).await;
    assert_eq!(one, (10 + 3 * 40) * 1_000);
    // The provider chooses the tier, or the client the dearest.
    for tier in [json!("auto"), json!(null), json!("priority")] {
        let body = json!({"model": "routed", "service_tier": tier, "max_tokens": 40});
        assert_eq!(worst(chat, json!({"input_tokens": 10, "estimate": body})).await, 2 * (10 + 40) * 1_000);
    }
    let stored = json!({"model": "routed", "service_tier": "default", "previous_response_id": "resp_1", "max_output_tokens": 1});
    assert_eq!(worst("/v1/responses", json!({"estimate": stored})).await, 1_001_000);
    let said = json!({"estimate": {"model": "named-otherwise", "input": "a"}, "max_output_tokens": 1});
    assert!(worst("/v1/responses", said).await < 2 * 50_000);
    // Embeddings have no output, and need no price for one.
    desk.execute(&price(r#"{"input":"1"}"#)).await;
    assert_eq!(worst("/v1/embeddings", json!({"input_tokens": 10})).await, 10_000);
    assert!(worst("/v1/embeddings", json!({"estimate": {"input": vec!["abc"; 800]}})).await > 2_000_000);
    let no_route = json!({"model": "routed", "input_tokens": 10});
    let refused = desk.send(call("/gateway/authorize", &no_route).bearer(&key)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("model_not_priced")));
}

#[tokio::test]
async fn what_was_never_passed_on_is_let_go() {
    let (desk, key) = priced().await;
    let asked = json!({"model": "routed", "estimate": {"messages": [{"role": "user", "content": "abc"}]}});
    let let_in = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await.json();
    assert_eq!(let_in["reserved"]["tokens"], 1014);
    let id = json!({"request_id": let_in["request_id"]});
    let renew = json!({"request_ids": [let_in["request_id"]]});
    assert_eq!(desk.send(call("/gateway/renew", &renew)).await.json()["lease_seconds"], 120);
    assert_eq!(desk.send(call("/gateway/release", &id)).await.json(), json!({"released": true}));
    assert_eq!(desk.send(call("/gateway/release", &id)).await.json(), json!({"released": false}));
    let late = json!({"request_id": let_in["request_id"], "status": 200});
    assert_eq!(desk.send(call("/gateway/settle", &late)).await.status, 404);
    assert!(desk.settled().await.is_empty());
}

#[tokio::test]
async fn nobody_asks_without_the_token() {
    let (mut desk, key) = priced().await;
    let asked = json!({"model": "routed"});
    for path in ["/gateway/authorize", "/gateway/settle", "/gateway/release", "/gateway/renew"] {
        assert_eq!(desk.status(post(path, &asked).bearer(&key)).await, 403, "{path}");
        let wrong =
            post(path, &asked).bearer(&key).header("x-keydesk-gateway", "gateway-token-0123456789abcdef0124");
        assert_eq!(desk.status(wrong).await, 403, "{path}");
        assert_eq!(desk.status(ask(path)).await, 405, "{path}");
        for body in ["", "[]", "{}", "{\"request_id\":\"req_1\"}", "{\"x\":1}"] {
            assert_eq!(desk.status(call(path, &asked).bearer(&key).body(body)).await, 400, "{path} {body}");
        }
    }
    desk.state.gateway.token = None;
    let answer = desk.send(call("/gateway/authorize", &asked).bearer(&key)).await;
    assert_eq!(answer.status, 404);
    assert!(answer.message().contains("KEYDESK_GATEWAY_TOKEN"));
}

#[tokio::test]
async fn a_proxy_asks_with_the_headers_alone() {
    let desk = installation().await;
    let key = desk.create("web", |form| {
        form.scope = "every".into();
        form.limits.rpm = LimitField::limit("4");
    });
    let key = key.await.secret.reveal().to_owned();
    let check = || ask("/gateway/forward-auth").method(Method::POST);
    let let_in = desk.pass(check().bearer(&key)).await;
    assert_eq!((let_in.status, let_in.text.as_str()), (200, ""));
    for name in ["x-keydesk-key", "x-keydesk-org", "x-keydesk-request-id", "x-ratelimit-remaining-requests"] {
        assert!(let_in.find_header(name).is_some(), "{name}");
    }
    for name in ["x-original-uri", "x-forwarded-uri"] {
        let by_query = check().header(name, &format!("/v1beta/models/x:generateContent?key={key}"));
        assert_eq!(desk.pass(by_query).await.status, 200, "{name}");
    }
    assert_eq!(desk.pass(check().bearer(&key).header("x-keydesk-model", "nothing")).await.status, 404);
    assert_eq!(desk.pass(check().bearer(&key).header("x-keydesk-model", "gpt-5")).await.status, 200);
    let stopped = desk.pass(check().bearer(&key)).await;
    assert_eq!((stopped.status, stopped.find_header("x-keydesk-status")), (429, Some("429")));
    let for_nginx = desk.pass(ask("/gateway/forward-auth?status=403").bearer(&key)).await;
    assert_eq!((for_nginx.status, for_nginx.find_header("x-keydesk-status")), (403, Some("429")));
    assert!(for_nginx.find_header("x-keydesk-error").unwrap().contains("requests per minute"));
    assert!(for_nginx.find_header("retry-after").is_some());
    assert_eq!(desk.pass(ask("/gateway/forward-auth?status=403")).await.status, 401);
    assert_eq!(desk.settled().await.len(), 4);
}

#[tokio::test]
async fn a_check_of_a_serving_process_is_answered_without_the_database() {
    let desk = installation().await;
    let key = desk.create("web", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("5");
        form.limits.rpm = LimitField::limit("4");
        form.limits.concurrent = LimitField::limit("1");
    });
    let key = key.await.secret.reveal().to_owned();
    let mut node = Node::new(&desk);
    node.look(&desk).await.unwrap();
    let check = || ask("/gateway/forward-auth").bearer(&key);
    assert_eq!(desk.pass(check()).await.status, 200);
    let Db::Sqlite { writer, readers, .. } = &desk.db else { panic!() };
    let mut all = vec![writer.acquire().await.unwrap()];
    for _ in 0..8 {
        all.push(readers.acquire().await.unwrap());
    }
    // Each has ended when it is answered, though nothing of it is written.
    for left in ["2", "1", "0"] {
        let let_in = desk.pass(check()).await;
        let remaining = let_in.find_header("x-ratelimit-remaining-requests");
        assert_eq!((let_in.status, remaining), (200, Some(left)), "{}", let_in.text);
    }
    let stopped = desk.pass(check()).await;
    assert_eq!((stopped.status, stopped.find_header("x-keydesk-status")), (429, Some("429")));
    drop(all);
    desk.state.gateway.in_flight.tasks.close();
    desk.state.gateway.in_flight.tasks.wait().await;
    assert_eq!(desk.settled().await.len(), 4);
    node.leave(&desk).await.unwrap();
    assert_eq!(desk.numbers("SELECT CAST(SUM(requests) AS BIGINT) FROM rate_counts").await, [4]);
}
