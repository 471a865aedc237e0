//! `POST /v1/key/rotate`, as a program with a key meets it.

use keydesk_core::ops::keys;
use serde_json::json;

use super::support::*;

const PATH: &str = "/v1/key/rotate";

#[tokio::test]
async fn a_key_gets_its_new_secret_once() {
    let desk = installation().await;
    let key = desk.create("mine", |form| form.self_rotation = "yes".into()).await;
    let old = key.secret.reveal();
    let rotated = desk.send(TestRequest::post_json(PATH, "").bearer(old)).await;
    assert_eq!(rotated.status, 200);
    let body = rotated.json();
    let new = body["secret"].as_str().unwrap();
    assert_eq!(body["object"], "key.rotation");
    assert_eq!(body["hint"], json!(format!("sk-…{}", &new[new.len() - 4..])));
    assert_eq!(body["previous_expires_at"], json!(START.plus_ms(DAY).rfc3339()));
    let old_answer = desk.send(ask("/v1/models").bearer(old)).await;
    assert_eq!(old_answer.status, 200);
    assert!(old_answer.headers.contains_key("x-keydesk-secret-expires"));
    assert_eq!(desk.send(ask("/v1/models").bearer(new)).await.status, 200);
    // With both in use it is not rotated again, whichever asks.
    desk.clock.advance(120_000);
    for (secret, words) in [(old, "replaced this secret"), (new, "A rotation is in progress")] {
        let again = desk.send(TestRequest::post_json(PATH, "").bearer(secret)).await;
        assert_eq!(again.status, 409);
        assert!(again.json()["error"]["message"].as_str().unwrap().contains(words), "{}", again.json());
        assert_eq!(again.headers["x-should-retry"], "false");
    }
    assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 2);
}

#[tokio::test]
async fn a_key_that_may_not_rotate_itself_is_told_whom_to_ask_in_its_protocol() {
    let desk = installation().await;
    let key = desk.create("mine", |_| {}).await;
    let refused = desk.send(TestRequest::post_json(PATH, "").bearer(key.secret.reveal())).await;
    assert_eq!(refused.status, 403);
    let sentence =
        "This key may not rotate itself. Ask Ada to allow it in the key's settings, or to rotate the key.";
    let error = &refused.json()["error"];
    assert_eq!((&error["message"], &error["code"]), (&json!(sentence), &json!("not_allowed")));
    let anthropic = TestRequest::post_json(PATH, "")
        .header("x-api-key", key.secret.reveal())
        .header("anthropic-version", "1");
    let refused = desk.send(anthropic).await;
    assert_eq!(refused.json()["error"], json!({"type": "permission_error", "message": sentence}));
    assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 1);
}

#[tokio::test]
async fn what_is_asked_wrongly_changes_nothing() {
    let desk = installation().await;
    let key = desk.create("mine", |form| form.self_rotation = "yes".into()).await;
    let secret = key.secret.reveal();
    for body in [r#"{"grace":"soon"}"#, r#"{"grace":1}"#, r#"{"until":"now"}"#, "[]x", "grace=now"] {
        let answer = desk.send(TestRequest::post_json(PATH, body).bearer(secret)).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let long = desk.send(TestRequest::post_json(PATH, &" ".repeat(5_000)).bearer(secret)).await;
    assert_eq!(long.status, 400);
    let repeat = TestRequest::post_json(PATH, "").bearer(secret).header("idempotency-key", &"x".repeat(256));
    assert_eq!(desk.send(repeat).await.status, 400);
    assert_eq!(desk.send(ask(PATH).bearer(secret)).await.status, 405);
    assert_eq!(desk.send(TestRequest::post_json(PATH, "")).await.status, 401);
    // Gate 4 applies.
    keys::disable(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
    assert_eq!(desk.send(TestRequest::post_json(PATH, "").bearer(secret)).await.status, 401);
    assert_eq!(desk.number("SELECT COUNT(*) FROM key_secrets").await, 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_its_idempotency_key() {
    let desk = installation().await;
    let key = desk.create("mine", |form| form.self_rotation = "yes".into()).await;
    let old = key.secret.reveal();
    let request = |repeat: &str| {
        let body = r#"{"grace": "2h_after_first_use"}"#;
        TestRequest::post_json(PATH, body).bearer(old).header("idempotency-key", repeat)
    };
    let lost = desk.send(request("one")).await.json();
    assert_eq!(
        (&lost["previous_expires_at"], &lost["previous_expires_hours_after_first_use"]),
        (&json!(null), &json!(2))
    );
    let soon = desk.send(request("one")).await;
    assert_eq!((soon.status, soon.headers["retry-after"].to_str().unwrap()), (429, "2"));
    desk.clock.advance(2_000);
    let again = desk.send(request("one")).await;
    assert_eq!(again.status, 200);
    let secret = again.json()["secret"].as_str().unwrap().to_owned();
    assert_ne!(lost["secret"], json!(secret));
    // Used, though that is not written yet.
    assert_eq!(desk.send(ask("/v1/models").bearer(&secret)).await.status, 200);
    desk.clock.advance(2_000);
    assert_eq!(desk.send(request("one")).await.status, 409);
    assert_eq!(desk.send(ask("/v1/models").bearer(lost["secret"].as_str().unwrap())).await.status, 401);
}
