//! The demonstration: what answers while there is no provider.

use keydesk_core::admission::note_answer;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::forms::parts::LimitField;
use serde_json::{Value, json};

use super::support::*;
use crate::gateway::estimate;

const START: &str = "This is a demonstration: no provider is connected. You said: ";

fn bodies() -> Vec<(&'static str, Value)> {
    let said = json!([{"role": "user", "content": "Good morning"}]);
    vec![
        ("/v1/chat/completions", json!({"model": "demo/echo", "messages": said})),
        ("/v1/completions", json!({"model": "demo/echo", "prompt": "Good morning"})),
        ("/v1/responses", json!({"model": "demo/echo", "input": "Good morning"})),
        ("/v1/messages", json!({"model": "demo/echo", "max_tokens": 1000, "messages": said})),
        (
            "/v1beta/models/demo/echo:generateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "Good morning"}]}]}),
        ),
    ]
}

#[tokio::test]
async fn every_route_answers_in_its_shape_and_is_paid() {
    let desk = installation().await;
    let key = desk.every_key().await;
    for (path, body) in bodies() {
        let answer = desk.pass(post(path, &body).bearer(&key)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(answer.text.contains(&format!("{START}Good morning")), "{path}: {}", answer.text);
    }
    let input = |body: &Value| estimate::of_request("demo/echo", body.to_string().as_bytes()).unwrap().likely;
    let output = estimate::of_text(&format!("{START}Good morning"));
    for ((_, body), row) in bodies().iter().zip(desk.settled().await) {
        let (status, told_input, told_output, cached, estimated, cost) = row;
        assert_eq!((status, told_input, told_output, cached, estimated), (200, input(body), output, 0, 0));
        assert_eq!(cost, (told_input + told_output) * 100_000);
    }
}

#[tokio::test]
async fn streams_hold_the_same_text_and_the_same_usage() {
    let desk = installation().await;
    let key = desk.every_key().await;
    for (path, mut body) in bodies() {
        let path = match path.strip_suffix("generateContent") {
            Some(model) => format!("{model}streamGenerateContent?alt=sse"),
            None => {
                body["stream"] = json!(true);
                path.to_owned()
            }
        };
        let answer = desk.pass(post(&path, &body).bearer(&key)).await;
        assert_eq!(answer.find_header("content-type"), Some("text/event-stream"), "{path}");
        let mut said = String::new();
        for line in answer.text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            let places = [
                "/choices/0/delta/content",
                "/choices/0/text",
                "/delta/text",
                "/delta",
                "/candidates/0/content/parts/0/text",
            ];
            said.extend(places.iter().find_map(|place| event.pointer(place)?.as_str()));
            assert!(event["usage"].is_null() || !event["choices"].is_array(), "{line}");
        }
        assert_eq!(said, format!("{START}Good morning"), "{path}: {}", answer.text);
    }
    let output = estimate::of_text(&format!("{START}Good morning"));
    for (status, input, told, _, estimated, _) in desk.settled().await {
        assert_eq!((status, told, estimated), (200, output, 0));
        assert!(input > 0);
    }
    let list = desk
        .pass(post("/v1beta/models/demo/echo:streamGenerateContent", &json!({"contents": []})).bearer(&key))
        .await;
    assert!(serde_json::from_str::<Vec<Value>>(&list.text).unwrap().len() > 1);
}

#[tokio::test]
async fn embeddings_and_counts_are_answered_too() {
    let desk = installation().await;
    let key = desk.every_key().await;
    let asked = |more: Value| {
        let mut body = json!({"model": "demo/echo", "input": ["a", "b"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        desk.pass(post("/v1/embeddings", &body).bearer(&key))
    };
    let plain = asked(json!({})).await.json();
    assert_eq!(plain["data"].as_array().unwrap().len(), 2);
    assert_eq!(plain["data"][0]["embedding"].as_array().unwrap().len(), 16);
    assert_eq!(plain["data"][0]["embedding"], asked(json!({})).await.json()["data"][0]["embedding"]);
    assert_ne!(plain["data"][0]["embedding"], plain["data"][1]["embedding"]);
    let encoded = asked(json!({"encoding_format": "base64"})).await.json();
    assert_eq!(encoded["data"][0]["embedding"].as_str().unwrap().len(), 88);
    let body = json!({"model": "demo/echo", "messages": [{"role": "user", "content": "abc"}]});
    let count = desk.pass(post("/v1/messages/count_tokens", &body).bearer(&key)).await.json();
    assert!(count["input_tokens"].as_i64().unwrap() > 9);
    let path = "/v1beta/models/demo/echo:countTokens";
    let count = desk.pass(post(path, &json!({"contents": []})).bearer(&key)).await.json();
    assert!(count["totalTokens"].as_i64().unwrap() < 9);
    let last = desk.settled().await.pop().unwrap();
    assert_eq!(last, (200, 0, 0, 0, 0, 0));
}

#[tokio::test]
async fn a_maximum_cuts_the_text_and_two_cents_are_soon_spent() {
    let desk = installation().await;
    let key = desk.create("two cents", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("0.02");
    });
    let key = key.await.secret.reveal().to_owned();
    let body =
        json!({"model": "demo/echo", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    let answer = desk.pass(post("/v1/chat/completions", &body).bearer(&key)).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    let mut body = body;
    body["max_tokens"] = Value::Null;
    for times in 1..20 {
        let status = desk.pass(post("/v1/chat/completions", &body).bearer(&key)).await.status;
        if status == 429 {
            assert!(times > 1, "the first was refused already");
            return;
        }
    }
    panic!("two cents were never spent");
}

#[tokio::test]
async fn the_demonstration_is_listed_first_and_only_for_keys_that_may_use_it() {
    let desk = installation().await;
    let provider = desk.provider_of(ProviderKind::OpenAi, &["gpt-5", "gpt-5-mini"]).await;
    let key = desk.every_key().await;
    let list = async |key: &str| desk.send(ask("/v1/models").bearer(key)).await.ids();
    assert_eq!(list(&key).await, ["demo/echo", "gpt-5", "gpt-5-mini"]);
    assert_eq!(desk.status(ask("/v1/models/demo/echo").bearer(&key)).await, 200);
    let narrow = desk.create("narrow", |form| form.models = vec!["gpt-5".into()]).await;
    assert_eq!(list(narrow.secret.reveal()).await, ["gpt-5"]);
    // It ends with the first answer of a provider.
    note_answer(&desk.state.desk, &provider.id).await.unwrap();
    assert_eq!(list(&key).await, ["gpt-5", "gpt-5-mini"]);
    assert_eq!(desk.status(ask("/v1/models/demo/echo").bearer(&key)).await, 404);
}
