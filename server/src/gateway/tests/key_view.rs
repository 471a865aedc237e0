//! What the holder of a key sees with it.

use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::keys;
use serde_json::json;

use super::support::*;

#[tokio::test]
async fn a_key_sees_its_limits_its_models_and_what_it_spent() {
    let desk = installation().await;
    let key = desk.create("mine", |form| {
        form.scope = "every".into();
        form.limits.month = LimitField::limit("0.5");
        form.limits.rpm = LimitField::limit("10");
    });
    let key = key.await;
    let body = json!({"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(desk.pass(post("/v1/chat/completions", &body).bearer(key.secret.reveal())).await.status, 200);
    let cost = desk.number("SELECT cost FROM usage").await;
    let seen = desk.send(ask("/v1/key").bearer(key.secret.reveal())).await.json();
    assert_eq!(
        (&seen["object"], &seen["status"], &seen["since"]),
        (&json!("key"), &json!("active"), &json!(null))
    );
    assert_eq!((&seen["name"], &seen["organisation"]), (&json!("mine"), &json!("Acme")));
    assert!(seen["hint"].as_str().unwrap().starts_with("sk-…"));
    assert_eq!(seen["contacts"], json!(["Ada"]));
    assert_eq!((&seen["spent"]["total_nanos"], &seen["spent"]["month_nanos"]), (&json!(cost), &json!(cost)));
    assert_eq!(seen["spent"]["requests"], 1);
    let budget = &seen["limits"].as_array().unwrap().iter().find(|limit| limit["kind"] == "budget").unwrap();
    assert_eq!(
        (&budget["holder"], &budget["period"], &budget["limit_dollars"]),
        (&json!("key"), &json!("month"), &json!("0.5"))
    );
    assert_eq!(budget["remaining"], json!(500_000_000 - cost));
    assert!(seen["models"].as_array().unwrap().len() > 3);
    assert!(!seen.to_string().contains(&key.secret.reveal()[8..20]));
}

#[tokio::test]
async fn a_key_that_works_no_more_learns_why_and_whom_to_ask() {
    let desk = installation().await;
    let key = desk.create("mine", |form| form.addresses = "203.0.113.0/24".into()).await;
    let secret = key.secret.reveal();
    let seen = async || desk.send(ask("/v1/key").bearer(secret)).await;
    keys::disable(&desk.state.desk, &desk.owner, &desk.org, key.id.as_str()).await.unwrap();
    assert_eq!(seen().await.json()["status"], "disabled");
    assert_eq!(seen().await.json()["name"], "mine");
    // From elsewhere it is nobody's business.
    assert_eq!(desk.send(ask("/v1/key").bearer(secret).from("198.51.100.1")).await.status, 403);
    desk.revoke(&key).await;
    let revoked = seen().await;
    assert_eq!((revoked.status, &revoked.json()["status"]), (200, &json!("revoked")));
    let revoked = revoked.json();
    let mut names: Vec<&String> = revoked.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["contacts", "message", "object", "since", "status"]);
    assert!(revoked["message"].as_str().unwrap().contains("was revoked"));
    assert_eq!(desk.send(ask("/v1/key").bearer("sk-desk-no")).await.status, 401);

    let short = desk.create("short", |form| form.expiry = "7".into()).await;
    desk.clock.advance(8 * DAY);
    let expired = desk.send(ask("/v1/key").bearer(short.secret.reveal())).await.json();
    assert_eq!((&expired["status"], &expired["name"]), (&json!("expired"), &json!("short")));
}
