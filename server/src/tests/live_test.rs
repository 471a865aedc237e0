//! The live test over a real network on this machine: the test's own gateway is the only host that it may call there.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::live_test::{NoAnswer, Probe, ProbeRequest};

use super::routes::{borrowed, fields_for};
use super::support::{Browser, PASSWORD, TestApp, Who, on_both};
use crate::gateway::tests::upstream::{Then, Upstream, parts, whole};
use crate::http::router::router;
use crate::live_test::Prober;
use crate::lookup::{Lookup, system_lookup};

const SECRET: &str = "live-test-canary-8231";
const JSON: &str = "application/json";

/// Runs a test and gives the page with its result, as text without tags.
async fn tested(
    app: &TestApp,
    who: &Browser,
    url: &str,
    model: &str,
    protocol: &str,
    secret: &str,
) -> String {
    let fields = [
        ("form[org]", "acme"),
        ("form[secret]", secret),
        ("form[url]", url),
        ("form[model]", model),
        ("form[protocol]", protocol),
    ];
    let answer = app.post_page(who, "/acme/live-test", "live-test/run", &fields).await;
    let page = match answer.status {
        303 => {
            assert_eq!(answer.location(), "/acme/live-test");
            app.get(who, "/acme/live-test").await
        }
        _ => answer,
    };
    assert!(!page.text.contains(secret), "the page shows the secret");
    let mut text = String::new();
    for piece in page.text.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, words)| words));
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

on_both! {
    async fn each_outcome_says_whose_error_it_is(app: TestApp) {
        app.cast().await;
        let member = app.sign_in(Who::Member).await;
        for (n, (status, content_type, body, says)) in [
            (200, JSON, r#"{"data":[{"id":"gpt-5"}]}"#, "The model answered."),
            (401, JSON, r#"{"error":"no"}"#, "Whose error The provider Status 401"),
            (404, JSON, r#"{"error":"no"}"#, "Whose error The base URL Status 404"),
            (200, "text/html", "<html>", "A web page answered, not an API."),
            (302, JSON, "{}", "a redirect, which is not followed"),
            (429, JSON, "{}", "Whose error The provider Status 429"),
            (502, JSON, "{}", "Whose error The provider Status 502"),
            (503, JSON, "{}", "Whose error The gateway Status 503"),
        ].into_iter().enumerate() {
            let elsewhere = Upstream::answering(|| whole(200, JSON, "{}")).await;
            let to = elsewhere.base_url.clone();
            let upstream = Upstream::answering(move || {
                let mut response = whole(status, content_type, body);
                if status == 302 {
                    response.headers_mut().insert("location", to.parse().unwrap());
                }
                response
            }).await;
            app.clock.advance(60_000);
            let text = tested(&app.at(&upstream.base_url), &member, "", "", "openai", SECRET).await;
            assert!(text.contains(says), "{n}: {text}");
            assert!(elsewhere.arrived().is_empty(), "a redirect was followed");
            let first = &upstream.arrived()[0];
            assert_eq!((first.target.as_str(), first.headers["authorization"].to_str().unwrap()), ("/v1/models", &*format!("Bearer {SECRET}")));
            assert_eq!(upstream.arrived().len(), if n == 0 { 2 } else { 1 });
        }
        // Nothing listens.
        let gone = Upstream::answering(|| whole(200, JSON, "{}")).await.base_url.clone();
        let text = tested(&app.at(&gone), &member, "", "gpt-5", "openai", SECRET).await;
        assert!(text.contains("Whose error The network Status No answer"), "{text}");
        assert!(text.contains("not sent, because the first call had no answer"), "{text}");
    }
}

on_both! {
    async fn each_protocol_is_spoken_and_every_base_url_understood(app: TestApp) {
        app.cast().await;
        let member = app.sign_in(Who::Member).await;
        for (protocol, list, header, paths) in [
            ("openai", r#"{"data":[{"id":"m-1"}]}"#, "authorization", ["/v1/models", "/v1/chat/completions"]),
            ("anthropic", r#"{"data":[{"id":"m-1"}]}"#, "x-api-key", ["/v1/models", "/v1/messages"]),
            ("gemini", r#"{"models":[{"name":"models/m-1"}]}"#, "x-goog-api-key", ["/v1beta/models", "/v1beta/models/m-1:generateContent"]),
        ] {
            let upstream = Upstream::answering(move || whole(200, JSON, list)).await;
            let desk = app.at(&upstream.base_url);
            let host = upstream.base_url.strip_prefix("http://").unwrap();
            for url in [format!("{host}/v1"), format!("http://{host}/v1/"), format!("http://{host}/v1/chat/completions")] {
                app.clock.advance(60_000);
                let text = tested(&desk, &member, &url, "", protocol, SECRET).await;
                assert!(text.contains(&format!("Your URL was read as http://{host}.")), "{text}");
            }
            let arrived = upstream.arrived();
            assert_eq!(arrived.len(), 6);
            for (n, call) in arrived.iter().enumerate() {
                assert_eq!(call.target, paths[n % 2]);
                assert!(call.headers[header].to_str().unwrap().ends_with(SECRET));
                assert!(!call.headers.contains_key("cookie"));
            }
            let body = arrived[1].json();
            let limit = if protocol == "gemini" { &body["generationConfig"]["maxOutputTokens"] } else { &body["max_tokens"] };
            assert_eq!(limit, 1, "{body}");
        }
        // A model that wants the other name of the limit.
        let upstream = Upstream::answering(|| whole(400, JSON, r#"{"error":"use max_completion_tokens"}"#)).await;
        tested(&app.at(&upstream.base_url), &member, "", "gpt-5", "openai", SECRET).await;
        assert_eq!(upstream.arrived()[2].json()["max_completion_tokens"], 1);
    }
}

on_both! {
    async fn the_own_gateway_is_called_as_clients_call_it(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = app.at(&format!("http://{}", listener.local_addr().unwrap()));
        let server = tokio::spawn(axum::serve(listener, router(app.state.clone())).into_future());

        let text = tested(&app, &owner, "", "gpt-5", "openai", &key.secret).await;
        assert!(text.contains("GET /v1/models Works The key and the base URL work. Whose error None Status 200"), "{text}");
        assert!(text.contains("POST /v1/chat/completions Failed The gateway could not forward the request."), "{text}");
        let text = tested(&app, &owner, "/not/a/host", "gpt-5", "openai", &key.secret).await;
        assert!(text.contains("Nothing was saved."), "{text}");
        let path = format!("{}/acme", app.state.config.base_url());
        let text = tested(&app, &owner, &path, "gpt-5", "openai", &key.secret).await;
        assert!(text.contains("Whose error The base URL Status 404"), "{text}");
        app.execute("UPDATE keys SET addresses = '198.51.100.7'").await;
        let text = tested(&app, &owner, "", "", "anthropic", &key.secret).await;
        assert!(text.contains("Gate 5 (address) rejected the request."), "{text}");
        app.post(&owner, "keys/revoke", &borrowed(&fields_for("keys/revoke", &cast, &key, ""))).await;
        let text = tested(&app, &owner, "", "", "gemini", &key.secret).await;
        assert!(text.contains("Whose error Gate 4 of the gateway Status 401"), "{text}");
        let text = tested(&app, &owner, "", "", "openai", "sk-proj-abcdefghijklmnop").await;
        assert!(text.contains("Whose error Gate 2 of the gateway Status 401"), "{text}");
        server.abort();
    }
}

on_both! {
    async fn a_result_is_shown_once_and_to_its_person_only(app: TestApp) {
        app.cast().await;
        let upstream = Upstream::answering(|| whole(200, JSON, "{}")).await;
        let app = app.at(&upstream.base_url);
        let member = app.sign_in(Who::Member).await;
        let text = tested(&app, &member, "", "", "openai", SECRET).await;
        assert!(text.contains("Result for"), "{text}");
        assert!(!app.get(&member, "/acme/live-test").await.text.contains("Result for"));
        let fields = [("form[org]", "acme"), ("form[secret]", SECRET), ("form[protocol]", "openai")];
        assert_eq!(app.post(&member, "live-test/run", &fields).await.status, 200);
        // On the same browser, another person signs in.
        let fields = [("form[email]", "owner@example.com"), ("form[password]", PASSWORD)];
        assert_eq!(app.post(&member, "session/sign-in", &fields).await.status, 200);
        assert!(!app.get(&member, "/acme/live-test").await.text.contains("Result for"));
    }
}

on_both! {
    async fn other_hosts_are_called_only_if_an_operator_allows_them(app: TestApp) {
        app.cast().await;
        let member = app.sign_in(Who::Member).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let noted = calls.clone();
        let lookup: Lookup = Arc::new(move |_| {
            noted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(vec![IpAddr::from([10, 0, 0, 1])]) })
        });
        let mut app = app.with_config(|config| config.live_test_hosts = vec!["api.example.com".parse().unwrap()]);
        app.state.probe = Arc::new(Prober::new(lookup));
        let app = app.with_config(|_| {});
        for url in ["https://api.openai.com", "https://127.0.0.1", "https://10.0.0.1/v1", "https://localhost:3000", "http://169.254.169.254/latest"] {
            let text = tested(&app, &member, url, "", "openai", SECRET).await;
            assert!(text.contains("Nothing was saved. Check the highlighted field."), "{url}: {text}");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 0, "a name was looked up");
        let text = tested(&app, &member, "api.example.com", "", "openai", SECRET).await;
        assert!(text.contains("This name leads to an address of a private network, which is not called from here."), "{text}");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

on_both! {
    async fn a_person_tests_ten_times_a_minute(app: TestApp) {
        app.cast().await;
        let upstream = Upstream::answering(|| whole(401, JSON, "{}")).await;
        let app = app.at(&upstream.base_url);
        let (member, other) = (app.sign_in(Who::Member).await, app.sign_in(Who::Owner).await);
        let fields = [("form[org]", "acme"), ("form[secret]", SECRET), ("form[protocol]", "openai")];
        for n in 1..=12 {
            let status = app.post(&member, "live-test/run", &fields).await.status;
            assert_eq!(status, if n <= 10 { 200 } else { 429 }, "{n}");
        }
        assert_eq!(upstream.arrived().len(), 10);
        assert_eq!(app.post(&other, "live-test/run", &fields).await.status, 200);
        app.clock.advance(60_000);
        assert_eq!(app.post(&member, "live-test/run", &fields).await.status, 200);
    }
}

fn probe(url: String, own: bool, within_ms: i64) -> ProbeRequest {
    ProbeRequest { body: None, url, headers: vec![("x-api-key", Hidden::new(SECRET))], own, within_ms }
}

/// Addresses for the first look, the second and so on.
fn looks(answers: &[&[&str]]) -> Lookup {
    let parsed = |look: &&[&str]| look.iter().map(|address| address.parse().unwrap()).collect();
    let answers: Vec<Vec<IpAddr>> = answers.iter().map(parsed).collect();
    let look = AtomicUsize::new(0);
    Arc::new(move |_| {
        let at = look.fetch_add(1, Ordering::SeqCst);
        let addresses = answers[at.min(answers.len() - 1)].clone();
        Box::pin(async move { Ok(addresses) })
    })
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_at_the_first_look_and_at_the_second() {
    let upstream = Upstream::answering(|| whole(200, JSON, "{}")).await;
    let port = upstream.base_url.rsplit_once(':').unwrap().1;
    let url = format!("http://api.example.com:{port}/v1/models");
    for answers in [
        &[&["127.0.0.1"][..]][..],
        &[&["8.8.8.8", "127.0.0.1"]],
        &[&["::ffff:127.0.0.1"]],
        // Public when it is checked, and private when it is connected to.
        &[&["8.8.8.8"], &["127.0.0.1"]],
        &[&["8.8.8.8"], &["127.0.0.1", "8.8.8.8"]],
        &[&["2606:4700::1111"], &["::ffff:127.0.0.1"]],
    ] {
        let probed = Prober::new(looks(answers)).send(probe(url.clone(), false, 5_000)).await;
        assert_eq!(probed.map(|answer| answer.status), Err(NoAnswer::Private), "{answers:?}");
    }
    let literal = upstream.base_url.clone();
    let probed = Prober::new(system_lookup()).send(probe(literal, false, 5_000)).await;
    assert_eq!(probed.map(|answer| answer.status), Err(NoAnswer::Private));
    assert!(upstream.arrived().is_empty(), "something was connected to");

    let nowhere: Lookup = Arc::new(|_| Box::pin(async { Err(std::io::Error::other("no such name")) }));
    for lookup in [nowhere, looks(&[&[]])] {
        let probed = Prober::new(lookup).send(probe(url.clone(), false, 5_000)).await;
        assert_eq!(probed.map(|answer| answer.status), Err(NoAnswer::UnknownHost));
    }
}

#[tokio::test]
async fn answers_are_bounded_in_time_and_size() {
    let prober = Prober::new(system_lookup());
    let long = Upstream::answering(|| whole(200, JSON, &"x".repeat(300_000))).await;
    let answer = prober.send(probe(long.base_url.clone(), true, 5_000)).await.unwrap();
    assert_eq!(answer.body.len(), 64 * 1024);
    assert!(answer.first_byte_ms <= answer.latency_ms);
    for (then, failure) in [(Then::Hangs, NoAnswer::TimedOut), (Then::BreaksOff, NoAnswer::Broken)] {
        let upstream = Upstream::answering(move || parts(JSON, &["{"], 1, then)).await;
        let probed = prober.send(probe(upstream.base_url.clone(), true, 500)).await;
        assert_eq!(probed.map(|answer| answer.status), Err(failure));
    }
}
