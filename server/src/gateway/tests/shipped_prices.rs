//! The whole chain at once: a client's request, a provider's answer, the relay, and the prices of the catalogue that comes
//! with the program. What is charged is what the provider charges, and `spend verify` finds nothing.

use std::sync::{Arc, Mutex};

use axum::response::Response;
use http_body_util::BodyExt;
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::forms::parts::LimitFields;
use keydesk_core::ops::orgs::{OperatorActor, plan, rerate};
use keydesk_core::ops::verify_spend;
use serde_json::{Value, json};

use super::provider_costs::{Case, cases, events, whole as whole_answer};
use super::support::*;
use super::upstream::{Then, Upstream, parts, whole};
use crate::gateway::usage::Shape;

/// What the provider answers next: its content type, and the parts of it.
type Next = Arc<Mutex<(&'static str, Vec<String>)>>;

/// An installation whose shipped models are served by one provider of each protocol.
async fn served() -> (Installation, Upstream, Next, String) {
    let desk = installation().await;
    let next: Next = Arc::default();
    let answer = next.clone();
    let upstream = Upstream::answering(move || -> Response {
        let (content_type, answer) = answer.lock().unwrap().clone();
        match answer.as_slice() {
            [body] => whole(200, content_type, body),
            events => {
                parts(content_type, &events.iter().map(String::as_str).collect::<Vec<_>>(), 1, Then::Ends)
            }
        }
    })
    .await;
    for (n, (kind, vendors)) in
        [("openai", "'OpenAI', 'DeepSeek'"), ("anthropic", "'Anthropic'"), ("gemini", "'Google'")]
            .into_iter()
            .enumerate()
    {
        desk.execute(&format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version)
            VALUES ('prov_0000000000000000000000000000000{n}', '{kind}', '{kind}', '{}', '', 500, 60000, 60000, 0, 1);
            UPDATE models SET provider_id = 'prov_0000000000000000000000000000000{n}', upstream_name = id WHERE provider IN ({vendors})",
            upstream.base_url
        ))
        .await;
    }
    let key = desk.create("unlimited", |form| {
        form.scope = "every".into();
        form.limits = LimitFields::of(&[], &Limits::default());
    });
    let key = key.await.secret.reveal().to_owned();
    (desk, upstream, next, key)
}

/// The name of a test's tariff in the catalogue; `None` where it has no such model.
fn shipped(model: &str) -> Option<&str> {
    match model {
        "claude-opus" => Some("claude-opus-5-5"),
        "kimi" => None,
        model => Some(model),
    }
}

fn request(case: &Case, model: &str, streams: bool) -> TestRequest {
    let path = match case.shape {
        Shape::OpenAi if case.what == "embeddings" => "/v1/embeddings".into(),
        Shape::OpenAi | Shape::Images => "/v1/chat/completions".into(),
        Shape::Responses => "/v1/responses".into(),
        Shape::Anthropic => "/v1/messages".into(),
        Shape::Gemini if streams => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        Shape::Gemini => format!("/v1beta/models/{model}:generateContent"),
    };
    let mut body = match case.shape {
        Shape::Gemini => json!({"contents": [{"parts": [{"text": "Hi"}]}]}),
        _ if case.what == "embeddings" => json!({"model": model, "input": "Hi"}),
        Shape::Responses => json!({"model": model, "input": "Hi", "stream": streams}),
        _ => json!({"model": model, "stream": streams, "messages": [{"role": "user", "content": "Hi"}]}),
    };
    if !case.asked.is_empty() {
        body["service_tier"] = json!(case.asked);
    }
    post(&path, &body)
}

async fn verified(desk: &Installation, requests: i64) {
    for report in verify_spend::spend_of_all(&desk.state.desk).await.unwrap() {
        assert!(report.adds_up(), "{:?} {:?}", report.differences, report.mischarged);
        assert_eq!(report.requests, requests);
    }
}

/// The last request: its cost, and whether everything in it had a price.
async fn last(desk: &Installation) -> (Money, bool) {
    desk.settled().await;
    let last = "FROM usage ORDER BY rowid DESC LIMIT 1";
    let cost = desk.number(&format!("SELECT cost {last}")).await;
    (Money::from_nanos(cost), desk.number(&format!("SELECT is_priced {last}")).await == 1)
}

#[tokio::test]
async fn what_providers_charge_is_what_requests_cost_at_the_shipped_prices() {
    let (desk, _upstream, next, key) = served().await;
    let mut sent = 0;
    for case in cases() {
        let Some(model) = shipped(case.model) else { continue };
        let right = (Money::parse(case.dollars).unwrap(), true);
        *next.lock().unwrap() = ("application/json", vec![whole_answer(&case).to_string()]);
        let answer = desk.pass(request(&case, model, false).bearer(&key)).await;
        assert_eq!(answer.status, 200, "{}: {}", case.what, answer.text);
        assert_eq!(last(&desk).await, right, "{}, whole", case.what);
        sent += 1;
        if case.what == "embeddings" {
            continue;
        }
        let events = events(&case).iter().map(|event| format!("data: {event}\n\n")).collect();
        *next.lock().unwrap() = ("text/event-stream", events);
        for leaves in [false, true] {
            let mut open = desk.open(request(&case, model, true).bearer(&key)).await.into_body();
            if leaves {
                open.frame().await.unwrap().unwrap();
                drop(open);
            } else {
                open.collect().await.unwrap();
            }
            assert_eq!(last(&desk).await, right, "{}, streamed, left: {leaves}", case.what);
            sent += 1;
        }
    }
    assert!(sent > 100);
    verified(&desk, sent).await;
}

#[tokio::test]
async fn spend_adds_up_after_odd_usage_left_streams_and_a_corrected_price() {
    let (desk, _upstream, next, key) = served().await;
    let chat = |stream: bool| {
        let body = json!({"model": "gpt-5", "stream": stream, "max_tokens": 100,
            "messages": [{"role": "user", "content": "Hi"}]});
        post("/v1/chat/completions", &body).bearer(&key)
    };
    let mut sent = 0;
    for odd in
        [json!(-5), json!(1.5), json!(1e300), json!("12"), json!(u64::MAX), json!(0), Value::Null, json!(7)]
    {
        let usage = json!({"prompt_tokens": odd, "completion_tokens": odd, "prompt_tokens_details": {"cached_tokens": odd}});
        let message =
            json!({"message": {"content": "Hello"}, "delta": {"content": "Hello"}, "finish_reason": "stop"});
        let body = json!({"choices": [message], "usage": usage});
        *next.lock().unwrap() = ("application/json", vec![body.to_string()]);
        desk.pass(chat(false)).await;
        let event = format!("data: {body}\n\n");
        *next.lock().unwrap() = ("text/event-stream", vec![event.clone(), event]);
        let mut open = desk.open(chat(true)).await.into_body();
        open.frame().await.unwrap().unwrap();
        drop(open);
        sent += 2;
    }
    desk.settled().await;
    // Charged what was reserved, with a tool that has no price.
    desk.execute("UPDATE orgs SET unpriced = 'allow'; UPDATE providers SET on_disconnect = 'stop'").await;
    let body = json!({"model": "gpt-5", "stream": true, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "code_interpreter"}]});
    let slow = format!("data: {}\n\n", json!({"choices": [{"delta": {"content": "Hello"}}]}));
    *next.lock().unwrap() = ("text/event-stream", vec![slow; 200]);
    let mut open = desk.open(post("/v1/chat/completions", &body).bearer(&key)).await.into_body();
    open.frame().await.unwrap().unwrap();
    drop(open);
    let (raised, is_priced) = last(&desk).await;
    assert!(raised > Money::from_nanos(100 * 10_000) && !is_priced, "{raised:?}");
    // The same, to its end.
    let answer = json!({"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 200}});
    *next.lock().unwrap() = ("application/json", vec![answer.to_string()]);
    let body = json!({"model": "gpt-5", "messages": [], "tools": [{"type": "code_interpreter"}]});
    desk.pass(post("/v1/chat/completions", &body).bearer(&key)).await;
    assert_eq!(last(&desk).await, (Money::from_nanos(3_250_000), false));
    sent += 2;
    verified(&desk, sent).await;

    desk.clock.advance(1_000);
    desk.execute(&format!(
        "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
        VALUES ('price_00000000000000000000000000000002', 'gpt-5', {}, 'operator', '', '{{\"input\":\"100\",\"output\":\"100\"}}', 0, '')",
        desk.state.desk.now().ms()
    ))
    .await;
    let by = OperatorActor::CommandLine;
    let period = (Moment::from_ms(0), desk.state.desk.now().plus_ms(1));
    let of = plan(&desk.state.desk, &by, "gpt-5", period, "current").await.unwrap();
    let done = rerate(&desk.state.desk, &by, &of).await.unwrap();
    // What was reserved stays, and what cannot be counted stays marked.
    assert_eq!(done[0].totals.requests, sent - 1);
    assert_eq!(last(&desk).await, (Money::from_nanos(120_000_000), false));
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage WHERE is_priced = 0").await, 2);
    assert_eq!(desk.number(&format!("SELECT COUNT(*) FROM usage WHERE cost = {}", raised.nanos())).await, 1);
    verified(&desk, sent).await;
}
