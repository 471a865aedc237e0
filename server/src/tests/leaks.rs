//! Reports of leaked secrets: signed as GitHub signs them, answered without the secret, and acted upon.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::mails::Outbox;
use super::support::{TestApp, TestRequest, TestResponse, Who, on_both};
use crate::config::LeakResponseArg;
use crate::leak_keys::LeakKeys;

fn signing_key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

fn keys() -> LeakKeys {
    let pem = signing_key(1).verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    let file = json!({"public_keys": [{"key_identifier": "first", "key": pem, "is_current": true}]});
    LeakKeys::parse(&file.to_string()).unwrap()
}

fn reported(secret: &str) -> String {
    json!([{
        "token": secret,
        "type": "keydesk_secret",
        "url": "https://github.com/acme/site/blob/0a1b/.env",
        "source": "content",
    }])
    .to_string()
}

async fn report(app: &TestApp, key: &SigningKey, id: &str, body: &str, signed: &str) -> TestResponse {
    let signature: DerSignature = key.sign(signed.as_bytes());
    let ask = TestRequest::post_json("/api/leaks", body)
        .header("github-public-key-identifier", id)
        .header("github-public-key-signature", &STANDARD.encode(signature.as_bytes()));
    app.ask(ask).await
}

on_both! {
    async fn a_signed_report_takes_the_key_out_of_use_and_tells_its_people(app: TestApp) {
        let cast = app.cast().await;
        let outbox = Arc::new(Outbox::default());
        for (response, works) in [
            (LeakResponseArg::Notify, true),
            (LeakResponseArg::Disable, false),
            (LeakResponseArg::Revoke, false),
        ] {
            let app = app.with_mailer(outbox.clone()).with_leak_keys(keys(), response);
            let key = app.key(&cast, &format!("{response:?}")).await;
            let body = reported(&key.secret);
            let answer = report(&app, &signing_key(1), "first", &body, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let hash = STANDARD.encode(Sha256::digest(key.secret.as_bytes()));
            let feedback = json!([{"token_hash": hash, "token_type": "keydesk_secret", "label": "true_positive"}]);
            assert_eq!(answer.json(), feedback);
            assert_eq!(app.try_key(&key.secret).await == 200, works, "{response:?}");
            let letters = letters(&outbox).await;
            assert!(letters.iter().any(|letter| letter.contains(&Who::KeyOwner.email())), "{letters:?}");
            for letter in letters {
                assert!(letter.contains("\nSecret scanning reported the secret"), "{letter}");
                assert!(letter.contains("github.com/acme/site") && !letter.contains(&key.secret[8..]), "{letter}");
            }
        }
    }
}

on_both! {
    async fn a_place_with_the_secret_in_it_is_neither_stored_nor_mailed(app: TestApp) {
        let cast = app.cast().await;
        let outbox = Arc::new(Outbox::default());
        let app = app.with_mailer(outbox.clone()).with_leak_keys(keys(), LeakResponseArg::Disable);
        let key = app.key(&cast, "ci").await;
        let body = reported(&key.secret).replace("0a1b", &key.secret);
        let answer = report(&app, &signing_key(1), "first", &body, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let letters = letters(&outbox).await;
        assert!(letters.iter().all(|letter| !letter.contains(&key.secret[8..])), "{letters:?}");
        assert!(!app.dump().await.contains(&key.secret[8..]));
    }
}

/// What was sent, once it was: a report is answered first.
async fn letters(outbox: &Outbox) -> Vec<String> {
    for _ in 0..200 {
        let sent: Vec<_> = std::mem::take(&mut *outbox.0.lock().unwrap());
        if !sent.is_empty() {
            return sent
                .iter()
                .map(|letter| format!("{}\n{}\n{}", letter.to, letter.subject, letter.text))
                .collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no letter was sent");
}

on_both! {
    async fn what_is_not_signed_with_a_configured_key_changes_nothing(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let body = reported(&key.secret);
        let unconfigured = report(&app, &signing_key(1), "first", &body, &body).await;
        assert_eq!(unconfigured.status, 404);
        let app = app.with_leak_keys(keys(), LeakResponseArg::Revoke);
        let spaced = format!("{body} ");
        for (signer, id, signed) in [(2, "first", &body), (1, "second", &body), (1, "first", &spaced)] {
            let answer = report(&app, &signing_key(signer), id, &body, signed).await;
            assert_eq!(answer.status, 401, "{signer} {id}");
        }
        let bare = app.ask(TestRequest::post_json("/api/leaks", &body)).await;
        assert_eq!(bare.status, 401);
        assert_eq!(app.try_key(&key.secret).await, 200);

        let elsewhere = "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE";
        let other = serde_json::json!([{"token": elsewhere, "type": "x"}, {"token": "ghp_123", "type": "y"}]).to_string();
        let answer = report(&app, &signing_key(1), "first", &other, &other).await;
        let labels: Vec<_> = answer.json().as_array().unwrap().iter().map(|one| one["label"].clone()).collect();
        assert_eq!(labels, ["false_positive", "false_positive"]);
        let many = format!("[{}]", vec!["{\"token\":\"x\",\"type\":\"y\"}"; 101].join(","));
        for wrong in ["{}", "[1]", "", &many] {
            let answer = report(&app, &signing_key(1), "first", wrong, wrong).await;
            assert_eq!(answer.status, 400, "{wrong}");
        }
    }
}

#[test]
fn a_file_that_has_no_keys_is_told_at_the_start() {
    for wrong in [
        "",
        "{}",
        "[]",
        r#"{"public_keys": []}"#,
        r#"{"public_keys": [{"key_identifier": "a", "key": "x"}]}"#,
    ] {
        assert!(LeakKeys::parse(wrong).is_err(), "{wrong}");
    }
}

on_both! {
    async fn a_leak_reported_at_the_desk_is_mailed_to_the_owner(app: TestApp) {
        let cast = app.cast().await;
        let outbox = Arc::new(Outbox::default());
        let app = app.with_mailer(outbox.clone());
        let key = app.key(&cast, "ci").await;
        let admin = app.sign_in(Who::Admin).await;
        let fields = [("form[org]", cast.org.slug.as_str()), ("form[q]", key.secret.as_str()), ("form[rest]", "")];
        let found = app.post(&admin, "keys/search", &fields).await;
        let path = found.location().to_owned();
        let page = app.get(&admin, &path).await;
        assert!(page.text.contains("it works") && !page.text.contains(&key.secret[8..40]), "{}", page.text);
        let secret = path.rsplit('/').next().unwrap();
        let id = key.id.to_string();
        let fields = [
            ("form[org]", cast.org.slug.as_str()),
            ("form[id]", id.as_str()),
            ("form[secret]", secret),
            ("form[action]", "rotate"),
        ];
        let done = app.post(&admin, "keys/report-leak", &fields).await;
        assert!(done.location().ends_with("/issued"), "{}", done.text);
        assert_eq!(app.try_key(&key.secret).await, 401);
        let letters = letters(&outbox).await;
        assert!(letters.iter().any(|letter| letter.contains(&Who::KeyOwner.email())), "{letters:?}");
        let to_admin = format!("{}\n", Who::Admin.email());
        assert!(!letters.iter().any(|letter| letter.starts_with(&to_admin)), "not the one who did it");
    }
}
