//! `keydesk rotate` against a served program, and requests that go on while a key is rotated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keydesk_core::domain::expiry::{Expiry, KeyDraft};
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::ops::{catalogue, keys};

use super::serving::Serving;
use super::support::{Place, Ran, both, program, seed_org};

/// An organisation with a key that may rotate itself, or not; its secret.
pub async fn with_key(place: &Place, rotates_itself: bool) -> String {
    #[expect(clippy::disallowed_methods, reason = "the program beside this test reads the real clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let past = Moment::from_ms(now.as_millis() as i64 - 3_600_000);
    let desk = place.desk(past).await;
    catalogue::seed(&desk).await.unwrap();
    let (org, caller) = seed_org(&desk).await;
    let spec =
        KeySpec { name: "ci-prod".into(), models: ModelScope::Every, rotates_itself, ..KeySpec::default() };
    let draft = KeyDraft { spec, expiry: Expiry::Never };
    let issued = keys::create(&desk, &caller, &org.slug, &draft).await.unwrap();
    desk.db.close().await;
    issued.secret.reveal().to_owned()
}

fn rotate(serving: &Serving, secret: &str, more: &[&str]) -> Ran {
    let base = format!("http://{}", serving.address);
    let mut command = program(&["rotate", "--with-env", "KEY", "--base-url", &base]);
    command.args(more).env("KEY", secret).output().unwrap().into()
}

pub fn client() -> reqwest::Client {
    // Everything here is plain HTTP, but no client is made without it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub async fn status(client: &reqwest::Client, serving: &Serving, secret: &str) -> u16 {
    let url = format!("http://{}/v1/models", serving.address);
    client.get(url).bearer_auth(secret).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_rotates_its_own_key() {
    for place in both().await {
        let old = with_key(&place, true).await;
        let serving = Serving::start(&place);
        let ran = rotate(&serving, &old, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let new = ran.out.strip_suffix('\n').unwrap();
        assert!(new.starts_with("sk-desk-") && !new.contains(char::is_whitespace), "{}", ran.out.len());
        assert!(ran.err.contains("The previous secret works until 20"), "{}", ran.err);
        assert!(!ran.err.contains(&old[8..]) && !ran.err.contains(&new[8..]));
        let client = client();
        assert_eq!((status(&client, &serving, &old).await, status(&client, &serving, new).await), (200, 200));
        // Nothing is printed when it fails.
        let again = rotate(&serving, new, &["--grace", "now"]);
        assert_eq!((again.code, again.out.as_str()), (Some(1), ""), "{}", again.err);
        assert!(again.err.contains("A rotation is in progress"), "{}", again.err);
        let of = "SELECT COUNT(*) FROM audit_events WHERE kind = 'key.rotated' AND actor_id = subject_id";
        assert_eq!(place.number(of).await, 1);
        serving.terminate();
        let ended = serving.ended();
        assert!(!ended.err.contains(&old[8..]) && !ended.err.contains(&new[8..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_program_from_rotating_is_said_without_its_secret() {
    let place = Place::sqlite();
    let secret = with_key(&place, false).await;
    let serving = Serving::start(&place);
    let not_allowed = rotate(&serving, &secret, &[]);
    assert_eq!((not_allowed.code, not_allowed.out.as_str()), (Some(1), ""));
    assert!(not_allowed.err.contains("This key may not rotate itself. Ask Ana Ruiz"), "{}", not_allowed.err);
    let run = |args: &[&str], key: Option<&str>| -> Ran {
        let mut command = program(&[&["rotate", "--with-env", "KEY"], args].concat());
        if let Some(key) = key {
            command.env("KEY", key);
        }
        command.output().unwrap().into()
    };
    let far = ["--base-url", "http://keys.example.com"];
    for (args, key, words) in [
        (&far[..], Some(secret.as_str()), "another computer"),
        (&[][..], Some(&secret), "--base-url or KEYDESK_BASE_URL"),
        (&["--base-url", "ftp://x"][..], Some(&secret), "http:// or https://"),
        (&["--base-url", "https://u:p@keys.example.com"][..], Some(&secret), "and a host"),
        (&["--base-url", "http://127.0.0.1:1", "--grace", "soon"][..], Some(&secret), "The grace period"),
        (&["--base-url", "http://127.0.0.1:1"][..], None, "KEY is not set"),
        (
            &["--base-url", "http://127.0.0.1:1"][..],
            Some("sk-desk-cut-off"),
            "does not have a Keydesk secret",
        ),
    ] {
        let ran = run(args, key);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains(&secret[8..]) && !ran.err.contains("cut-off"), "{args:?}");
    }
    assert_eq!(run(&["--no-such-option"], Some(&secret)).code, Some(2));
}

const REQUESTS: usize = 2_000;
const A_SECOND: usize = 1_000;
const AT_ONCE: usize = 64;

/// Requests with the old secret, and with both from the rotation on: none is rejected.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_rejected_while_a_key_is_rotated() {
    for place in both().await {
        let old = with_key(&place, true).await;
        let serving = Serving::start(&place);
        let client = client();
        let new = Arc::new(std::sync::OnceLock::<String>::new());
        let with_new = Arc::new(AtomicUsize::new(0));
        let slots = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let mut tasks = tokio::task::JoinSet::new();
        let mut every = tokio::time::interval(Duration::from_micros(1_000_000 / A_SECOND as u64));
        for number in 0..REQUESTS {
            every.tick().await;
            if number == REQUESTS / 2 {
                let url = format!("http://{}/v1/key/rotate", serving.address);
                let (client, old, new) = (client.clone(), old.clone(), new.clone());
                tasks.spawn(async move {
                    let answer = client.post(url).bearer_auth(old).send().await.unwrap();
                    let status = answer.status().as_u16();
                    let body: serde_json::Value =
                        serde_json::from_str(&answer.text().await.unwrap()).unwrap();
                    new.set(body["secret"].as_str().unwrap().to_owned()).unwrap();
                    status
                });
            }
            let slot = slots.clone().acquire_owned().await.unwrap();
            let secret = match new.get().filter(|_| number % 2 == 0) {
                Some(new) => {
                    with_new.fetch_add(1, Ordering::Relaxed);
                    new.clone()
                }
                None => old.clone(),
            };
            let base = format!("http://{}", serving.address);
            // Some of them are billed.
            let request = if number % 4 < 2 {
                let body = r#"{"model":"demo/echo","messages":[{"role":"user","content":"Hello"}]}"#;
                let request = client.post(format!("{base}/v1/chat/completions")).body(body);
                request.header("content-type", "application/json")
            } else {
                client.get(format!("{base}/v1/models"))
            };
            tasks.spawn(async move {
                let status = request.bearer_auth(secret).send().await.unwrap().status().as_u16();
                drop(slot);
                status
            });
        }
        let answers = tasks.join_all().await;
        let rejected: Vec<u16> = answers.iter().copied().filter(|status| *status != 200).collect();
        assert_eq!((answers.len(), rejected), (REQUESTS + 1, vec![]), "{}", place.name());
        assert!(with_new.load(Ordering::Relaxed) > 100, "the new secret was hardly used");
        assert_eq!(place.number("SELECT COUNT(*) FROM key_secrets").await, 2);
    }
}
