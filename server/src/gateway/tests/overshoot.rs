//! Forty requests at once on fifty cents, with the shipped models, their prices, contexts and tiers: no answer costs more
//! than its request could cost at most, and the budget is passed by no more than is promised.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use keydesk_core::admission::{ModelLookup, look_up_model};
use keydesk_core::domain::expected_use::ExpectedUse;
use keydesk_core::domain::route::Route;
use keydesk_core::forms::parts::LimitField;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Upstream, whole};
use crate::gateway::parsed_request::ParsedRequest;

const HALF_DOLLAR: i64 = 500_000_000;

/// What a client sends, and the dearest answer that its provider may give.
struct Shape {
    what: &'static str,
    kind: &'static str,
    model: &'static str,
    route: Route,
    body: Value,
    answer: Value,
}

fn shapes() -> Vec<Shape> {
    let hi = json!([{"role": "user", "content": "Hi"}]);
    let silence = BASE64_STANDARD.encode(b"fLaC\0\0\0\x22 an hour of silence");
    vec![
        Shape {
            what: "a tier that the provider chose",
            kind: "openai",
            model: "gpt-5.5",
            route: Route::ChatCompletions,
            body: json!({"model": "gpt-5.5", "max_completion_tokens": 4_000,
                "messages": [{"role": "user", "content": "word ".repeat(1_000)}]}),
            answer: json!({"service_tier": "priority",
                "usage": {"prompt_tokens": 1_007, "completion_tokens": 4_000, "total_tokens": 5_007}}),
        },
        Shape {
            what: "a region that the provider chose",
            kind: "anthropic",
            model: "claude-opus-5-5",
            route: Route::Messages,
            body: json!({"model": "claude-opus-5-5", "max_tokens": 32_000, "system": "word ".repeat(18_000), "messages": hi}),
            answer: json!({"usage": {"input_tokens": 12, "cache_creation_input_tokens": 25_000, "output_tokens": 32_000,
                "cache_creation": {"ephemeral_1h_input_tokens": 25_000}, "inference_geo": "us"}}),
        },
        Shape {
            what: "a batch that is longer than one context",
            kind: "openai",
            model: "text-embedding-3-large",
            route: Route::Embeddings,
            body: json!({"model": "text-embedding-3-large", "input": vec!["word ".repeat(8_000); 6]}),
            answer: json!({"usage": {"prompt_tokens": 48_000, "total_tokens": 48_000}}),
        },
        Shape {
            what: "an item that the provider stores",
            kind: "openai",
            model: "gpt-5",
            route: Route::Responses,
            body: json!({"model": "gpt-5", "max_output_tokens": 2_000, "input": [hi[0], {"id": "msg_1"}]}),
            answer: json!({"id": "resp_1", "usage": {"input_tokens": 100_000, "output_tokens": 2_000, "total_tokens": 102_000}}),
        },
        Shape {
            what: "a number of answers as a text",
            kind: "gemini",
            model: "gemini-3.1-pro-preview",
            route: Route::Generate,
            body: json!({"contents": [{"parts": [{"text": "Hi"}]}],
                "generationConfig": {"candidateCount": "2", "maxOutputTokens": 8_000}}),
            answer: json!({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 16_000,
                "totalTokenCount": 16_003, "serviceTier": "PRIORITY"}}),
        },
        Shape {
            what: "packed audio",
            kind: "gemini",
            model: "gemini-3.1-pro-preview",
            route: Route::Generate,
            body: json!({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/flac", "data": silence}}]}],
                "generationConfig": {"maxOutputTokens": 100}}),
            answer: json!({"usageMetadata": {"promptTokenCount": 115_200, "candidatesTokenCount": 100, "totalTokenCount": 115_300,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 115_200}]}}),
        },
        Shape {
            what: "a conversation that is made shorter",
            kind: "anthropic",
            model: "claude-opus-5-5",
            route: Route::Messages,
            body: json!({"model": "claude-opus-5-5", "max_tokens": 100, "messages": hi,
                "context_management": {"edits": [{"type": "compact_20260112"}]}}),
            answer: json!({"usage": {"input_tokens": 5_000, "output_tokens": 100, "iterations": [
                {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
                {"type": "message", "input_tokens": 5_000, "output_tokens": 100}]}}),
        },
    ]
}

/// The most that a request costs.
async fn worst(desk: &Installation, shape: &Shape) -> i64 {
    let model = match look_up_model(&desk.state.desk, shape.model).await.unwrap() {
        ModelLookup::Routed(model, _) => *model,
        _ => panic!("{} is not served", shape.model),
    };
    let body = shape.body.to_string().into();
    let mut parsed = ParsedRequest::parse(shape.route, Some(shape.model), body).unwrap();
    parsed.add_stored(&desk.state.desk.lately, &model);
    ExpectedUse::new(&model, &parsed.asked(), None).worst_cost(&model).nanos()
}

/// Asks until the answer is not to come again; whether there was one.
async fn ask_patiently(desk: &Installation, shape: &Shape, key: &str) -> bool {
    for _ in 0..500 {
        let answer = desk.pass(post(&shape.route.path(shape.model), &shape.body).bearer(key)).await;
        match (answer.status, answer.find_header("retry-after")) {
            (200, _) => return true,
            (429, Some(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            (429, None) => return false,
            other => panic!("{}: {other:?} {}", shape.what, answer.text),
        }
    }
    panic!("{}: still blocked", shape.what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_shape_of_request_passes_a_budget_by_more_than_is_promised() {
    let desk = installation().await;
    let key = desk.create("half", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("0.50");
        form.limits.rpm = LimitField::none();
        form.limits.tpm = LimitField::none();
    });
    let key = key.await.secret.reveal().to_owned();
    for (number, shape) in shapes().iter().enumerate() {
        let answer = shape.answer.to_string();
        let respond = move || whole(200, "application/json", &answer);
        let upstream = Upstream::answering_after(Duration::from_millis(20), respond).await;
        let provider = format!("prov_{number:032}");
        desk.execute(&format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version)
            VALUES ('{provider}', '{number}', '{}', '{}', '', 5000, 30000, 60000, 0, 1);
            UPDATE models SET provider_id = '{provider}' WHERE id = '{}'",
            shape.kind, upstream.base_url, shape.model
        ))
        .await;
        let worst = worst(&desk, shape).await;
        for overshoot in ["one_request", "none"] {
            desk.execute(&format!("UPDATE orgs SET overshoot = '{overshoot}'")).await;
            let answered = join_all((0..40).map(|_| ask_patiently(&desk, shape, &key))).await;
            let answered = answered.into_iter().filter(|answered| *answered).count();
            let costs: Vec<i64> = desk.settled().await.into_iter().map(|(.., cost)| cost).collect();
            assert_eq!(costs.len(), answered, "{}", shape.what);
            assert!(
                costs.iter().all(|cost| (1..=worst).contains(cost)),
                "{}: {costs:?} of {worst}",
                shape.what
            );
            let spent: i64 = costs.iter().sum();
            let allowed = if overshoot == "none" { HALF_DOLLAR } else { HALF_DOLLAR + worst };
            assert!(spent <= allowed, "{}: {spent} of {allowed}", shape.what);
            assert!(answered > 0 || worst > HALF_DOLLAR && overshoot == "none", "{}", shape.what);
            for table in ["counters", "usage", "spend_daily"] {
                desk.execute(&format!("DELETE FROM {table}")).await;
            }
        }
    }
}
