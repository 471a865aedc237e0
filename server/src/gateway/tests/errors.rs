//! Every error of the API, word for word, in the three protocols: clients and people read them, so a change is meant.

use std::fmt::Write as _;

use axum::http::Method;
use keydesk_core::domain::key_format::PlainSecret;
use serde_json::json;

use super::support::*;
use crate::tests::words::retired_in;

/// A request for the model in each protocol.
fn each_protocol(model: &str) -> [(&'static str, TestRequest); 3] {
    let chat = json!({"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]});
    let parts = json!({"contents": [{"parts": [{"text": "Hi"}]}]});
    [
        ("OpenAI", post("/v1/chat/completions", &chat)),
        ("Anthropic", post("/v1/messages", &chat)),
        ("Gemini", post(&format!("/v1beta/models/{model}:generateContent"), &parts)),
    ]
}

/// Keeps each error as it was answered.
#[derive(Default)]
struct Errors(String);

impl Errors {
    async fn note(
        &mut self,
        desk: &Installation,
        what: &str,
        model: &str,
        with: impl Fn(TestRequest) -> TestRequest,
    ) {
        let _ = writeln!(self.0, "# {what}");
        for (protocol, ask) in each_protocol(model) {
            let answer = desk.send(with(ask)).await;
            assert!(answer.status >= 400, "{what}: {protocol} answered {} {}", answer.status, answer.text);
            let _ = write!(self.0, "{protocol}: {}", answer.status);
            for name in
                ["retry-after", "x-should-retry", "x-keydesk-rejected-by", "www-authenticate", "allow"]
            {
                if let Some(value) = answer.find_header(name) {
                    let _ = write!(self.0, ", {name}: {value}");
                }
            }
            let _ = writeln!(self.0, "\n{}", answer.text);
            assert_eq!(retired_in(&answer.message()), [""; 0], "{what}: {}", answer.text);
        }
        self.0.push('\n');
    }
}

#[tokio::test]
async fn every_error_says_what_it_said() {
    let desk = installation().await;
    let mut errors = Errors::default();
    let key = desk.every_key().await;
    let none = |ask: TestRequest| ask;

    errors.note(&desk, "no key", "gpt-5", none).await;
    errors.note(&desk, "another scheme", "gpt-5", |ask| ask.header("authorization", "Basic dGVzdA==")).await;
    let two = |ask: TestRequest| ask.bearer(&key).header("x-api-key", "sk-desk-another");
    errors.note(&desk, "two keys", "gpt-5", two).await;
    for (what, text) in [
        ("an empty key", ""),
        ("a masked key", "sk-desk-************a1B2"),
        ("a key that is cut off", &key[..30]),
        ("a key in quotation marks", &format!("\"{key}\"")),
        ("a key behind the word Bearer", &format!("Bearer {key}")),
        ("a key of OpenAI", "sk-proj-abcdefghijklmnopqrstuvwxyz"),
        (
            "a key with a wrong character",
            &key.replace(&key[20..21], if &key[20..21] == "a" { "b" } else { "a" }),
        ),
    ] {
        errors.note(&desk, what, "gpt-5", |ask| ask.bearer(text)).await;
    }
    let elsewhere = PlainSecret::mint("sk-desk-", &mut |bytes| bytes.fill(5)).unwrap();
    errors.note(&desk, "a key of another installation", "gpt-5", |ask| ask.bearer(elsewhere.reveal())).await;

    let states = [
        ("a revoked key", "UPDATE keys SET status = 'revoked'", "UPDATE keys SET status = 'active'"),
        ("a disabled key", "UPDATE keys SET status = 'disabled'", "UPDATE keys SET status = 'active'"),
        ("an expired key", "UPDATE keys SET expires_at = 1", "UPDATE keys SET expires_at = NULL"),
        (
            "a suspended organisation",
            "UPDATE orgs SET suspended_at = 1",
            "UPDATE orgs SET suspended_at = NULL",
        ),
        (
            "an address that is not allowed",
            "UPDATE keys SET addresses = '10.0.0.0/8'",
            "UPDATE keys SET addresses = ''",
        ),
    ];
    for (what, set, back) in states {
        desk.execute(set).await;
        errors.note(&desk, what, "gpt-5", |ask| ask.bearer(&key)).await;
        desk.execute(back).await;
    }
    errors.note(&desk, "a model that is not there", "nothing", |ask| ask.bearer(&key)).await;
    let narrow = desk.create("narrow", |form| {
        form.scope = "listed".into();
        form.patterns = "gpt-5-nano".into();
    });
    let narrow = narrow.await.secret.reveal().to_owned();
    errors.note(&desk, "a model that the key may not use", "gpt-5", |ask| ask.bearer(&narrow)).await;
    errors.note(&desk, "a model that no provider serves", "gpt-5", |ask| ask.bearer(&key)).await;
    errors.note(&desk, "a body that is no JSON", "gpt-5", |ask| ask.bearer(&key).body("{")).await;
    errors
        .note(&desk, "a method that is not there", "gpt-5", |ask| ask.bearer(&key).method(Method::PUT))
        .await;
    let nowhere =
        |ask: TestRequest| TestRequest { path: format!("{}/nowhere", ask.path), ..ask.bearer(&key) };
    errors.note(&desk, "a path that is not there", "gpt-5", nowhere).await;

    insta::assert_snapshot!("errors", errors.0);
}
