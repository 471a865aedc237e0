//! Providers at addresses of any shape, with keys that are stored, headers of their own and a proxy on the way.

use std::io;
use std::sync::Arc;

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::ProviderId;
use keydesk_core::domain::provider::{EditProvider, ProviderSpec};
use keydesk_core::domain::provider_test::CallProvider;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{connection, providers};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::support::*;
use super::upstream::{Upstream, whole};
use crate::gateway::proxies::Proxies;
use crate::gateway::upstream::Upstreams;

const ID: &str = "prov_00000000000000000000000000000001";
const ANSWER: &str = r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
const SECRET: &str = "sk-proj-canary0123456789wxyz";

fn chat() -> Value {
    json!({"model": "routed", "messages": [{"role": "user", "content": "Hi"}], "store": false})
}

async fn served(change: &str) -> (Installation, Upstream, String) {
    let desk = installation().await;
    let upstream = Upstream::answering(|| whole(200, "application/json", ANSWER)).await;
    desk.served_by("openai", &upstream.base_url, "TEST_API_KEY").await;
    if !change.is_empty() {
        desk.execute(&format!("UPDATE providers SET {change}")).await;
    }
    let key = desk.every_key().await;
    (desk, upstream, key)
}

#[tokio::test]
async fn a_request_goes_to_the_address_as_it_was_read() {
    for (change, target) in [
        ("", "/v1/chat/completions"),
        ("api_path = '/v4'", "/v4/chat/completions"),
        ("api_path = '/v1beta/openai'", "/v1beta/openai/chat/completions"),
        ("api_path = ''", "/chat/completions"),
        (
            "api_path = '', base_url = base_url || '/openai/deployments/{model}', query = 'api-version=2024-10-21'",
            "/openai/deployments/real-name/chat/completions?api-version=2024-10-21",
        ),
    ] {
        let (desk, upstream, key) = served(change).await;
        let answer = desk.pass(post("/v1/chat/completions?beta=true", &chat()).bearer(&key)).await;
        assert_eq!(answer.status, 200, "{change}: {}", answer.text);
        let sent = upstream.one();
        let beta = if target.contains('?') { "&beta=true" } else { "?beta=true" };
        assert_eq!(sent.target, format!("{target}{beta}"), "{change}");
        assert_eq!(sent.headers["authorization"], format!("Bearer {CREDENTIAL}").as_str());
        // What is recorded is the route of the client.
        assert_eq!(desk.texts("SELECT route FROM usage").await, ["/v1/chat/completions"]);
    }
}

#[tokio::test]
async fn headers_are_the_providers_own_and_what_it_does_not_take_is_left_out() {
    let change = "credential_header = 'api-key', omitted = 'stream_options,store',
        headers = 'x-team: blue' || char(10) || 'openai-beta: ours'";
    let (desk, upstream, key) = served(change).await;
    let body = json!({"model": "routed", "messages": [], "stream": true, "store": true, "temperature": 0.5});
    let sent = post("/v1/chat/completions", &body).bearer(&key).header("openai-beta", "theirs");
    desk.pass(sent).await;
    let arrived = upstream.one();
    assert_eq!(arrived.headers["api-key"], CREDENTIAL);
    assert!(!arrived.headers.contains_key("authorization"));
    assert_eq!(arrived.headers["x-team"], "blue");
    let betas: Vec<_> = arrived.headers.get_all("openai-beta").iter().collect();
    assert_eq!(betas, ["ours"]);
    let sent = arrived.json();
    assert!(sent.get("stream_options").is_none() && sent.get("store").is_none(), "{sent}");
    assert_eq!(sent["temperature"], 0.5);
    // A provider that takes it is asked for the usage.
    let (desk, upstream, key) = served("").await;
    desk.pass(post("/v1/chat/completions", &body).bearer(&key)).await;
    assert_eq!(upstream.one().json()["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_stored_key_is_sent_and_one_that_cannot_be_opened_is_not_guessed() {
    let (desk, upstream, key) = served("").await;
    let (state, by) = (&desk.state, OperatorActor::CommandLine);
    let listed = providers::by_name(&state.desk, "Far").await.unwrap();
    let base = listed.provider.spec.clone();
    let mine = ProviderSpec { stored_key: true, credential_env: String::new(), ..base };
    let key_pasted = Some(Hidden::new(SECRET));
    let edit = EditProvider { id: ID.into(), version: listed.version, base: None, mine, key: key_pasted };
    providers::save(&state.desk, by, &edit).await.unwrap();
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(upstream.one().headers["authorization"], format!("Bearer {SECRET}").as_str());

    desk.execute("UPDATE provider_keys SET sealed_with = '00000000'").await;
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.text.contains("has no credential for the provider Far"), "{}", answer.text);
    assert_eq!(upstream.arrived().len(), 1);
    assert_eq!(connection::unopened(&state.desk).await.unwrap(), ["Far"]);
}

#[tokio::test]
async fn the_first_answer_of_a_provider_is_noted() {
    let (desk, _upstream, key) = served("connected_at = NULL").await;
    assert_eq!(desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await.status, 200);
    desk.settled().await;
    assert_eq!(desk.number("SELECT COUNT(*) FROM providers WHERE connected_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn a_name_that_leads_to_a_clouds_own_address_is_not_called() {
    let (desk, _upstream, key) = served("base_url = 'http://inside.lan'").await;
    let mut desk = desk;
    let inside = || {
        Arc::new(
            |_: String| -> std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<std::net::IpAddr>>> + Send>> {
                Box::pin(async { Ok(vec!["169.254.169.254".parse().unwrap()]) })
            },
        )
    };
    desk.state.gateway.upstreams = desk.state.gateway.upstreams.clone().with_lookup(inside());
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    let tested =
        connection::test(&desk.state.desk, OperatorActor::CommandLine, ID, "", &desk.state.gateway.upstreams);
    let tested = tested.await.unwrap();
    assert!(tested.steps[0].sentence.contains("own cloud"), "{tested:?}");
}

/// A proxy that opens tunnels: what it was asked, and the first bytes that a client sent into the tunnel.
async fn proxy(answer: &'static str) -> (String, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        let mut inside = vec![0; 64];
        let count = socket.read(&mut inside).await.unwrap_or_default();
        inside.truncate(count);
        (String::from_utf8(head).unwrap(), inside)
    });
    (format!("http://ana:hunter2@{address}"), task)
}

fn through(proxy: &str) -> Proxies {
    Proxies::from_env(|name| (name == "HTTPS_PROXY").then(|| proxy.to_owned())).unwrap()
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_proxy() {
    let (url, seen) = proxy("HTTP/1.1 200 Connection established\r\n\r\n").await;
    let (mut desk, _upstream, key) = served("base_url = 'https://api.far.example'").await;
    desk.state.gateway.upstreams = desk.state.gateway.upstreams.clone().with_proxies(through(&url));
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    // The proxy ends the tunnel, so there is no answer.
    assert_eq!(answer.status, 502, "{}", answer.text);
    let (head, inside) = seen.await.unwrap();
    assert!(head.starts_with("CONNECT api.far.example:443 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.to_lowercase().contains("proxy-authorization: basic yw5hOmh1bnRlcjI=".to_lowercase().as_str()),
        "{head}"
    );
    assert!(!head.contains(CREDENTIAL));
    // A TLS hello: the proxy sees neither the request nor the credential.
    assert_eq!(inside.first(), Some(&0x16), "{inside:?}");
    assert!(!answer.text.contains("hunter2") && !answer.text.contains("127.0.0.1"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_provider_that_cannot_be_reached() {
    let (url, seen) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    let (mut desk, _upstream, key) = served("base_url = 'https://api.far.example'").await;
    desk.state.gateway.upstreams = desk.state.gateway.upstreams.clone().with_proxies(through(&url));
    let answer = desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert!(answer.text.contains("cannot be reached"), "{}", answer.text);
    seen.await.unwrap();
}

#[tokio::test]
async fn a_provider_of_ones_own_network_is_called_without_the_proxy() {
    let (mut desk, upstream, key) = served("").await;
    // Nothing listens there.
    let proxies = through("http://127.0.0.1:9");
    desk.state.gateway.upstreams = desk.state.gateway.upstreams.clone().with_proxies(proxies);
    assert_eq!(desk.pass(post("/v1/chat/completions", &chat()).bearer(&key)).await.status, 200);
    assert_eq!(upstream.arrived().len(), 1);
    let upstreams: &Upstreams = &desk.state.gateway.upstreams;
    assert_eq!(CallProvider::proxy(upstreams, "https://api.openai.com/v1").as_deref(), Some("127.0.0.1:9"));
    assert_eq!(CallProvider::proxy(upstreams, &upstream.base_url), None);
}

#[tokio::test]
async fn a_test_calls_as_clients_requests_do_and_shows_no_credential() {
    let desk = installation().await;
    let leaks = r#"{"data":[{"id":"real-name"}],"key":"upstream-credential-9f3c"}"#;
    let upstream = Upstream::answering(move || whole(200, "application/json", leaks)).await;
    desk.served_by("openai", &upstream.base_url, "TEST_API_KEY").await;
    desk.execute("UPDATE providers SET api_path = '/v4', headers = 'x-team: blue'").await;
    let provider = providers::by_name(&desk.state.desk, "Far").await.unwrap().provider;
    assert_eq!(provider.id, ProviderId::parse(ID).unwrap());
    let calls = &desk.state.gateway.upstreams;
    let tested = connection::test(&desk.state.desk, OperatorActor::CommandLine, ID, "", calls).await.unwrap();
    assert!(tested.ok, "{tested:?}");
    assert!(!format!("{tested:?}").contains(CREDENTIAL));
    let arrived = upstream.arrived();
    let targets: Vec<&str> = arrived.iter().map(|one| one.target.as_str()).collect();
    assert_eq!(targets, ["/v4/models", "/v4/chat/completions"]);
    assert!(arrived.iter().all(|one| one.headers["x-team"] == "blue"));
    assert!(
        arrived.iter().all(|one| one.headers["authorization"] == format!("Bearer {CREDENTIAL}").as_str())
    );
    assert_eq!(
        arrived[1].json(),
        json!({"model": "real-name", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
    );
    // A key that is not there is said before anything is called.
    desk.execute("UPDATE providers SET credential_env = 'UNSET_API_KEY', version = version + 1").await;
    let tested = connection::test(&desk.state.desk, OperatorActor::CommandLine, ID, "", calls).await.unwrap();
    assert!(!tested.ok && tested.steps[0].sentence.contains("UNSET_API_KEY is not set"), "{tested:?}");
    assert_eq!(upstream.arrived().len(), 2);
}
