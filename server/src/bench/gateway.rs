//! What the gateway adds to a request: the same request sent to a provider directly and through the gateway, in turns, in
//! one run. The provider is a small server of this program's own that answers at once, so the ratio is the worst there is.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use keydesk_core::Desk;
use keydesk_core::domain::model::Model;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::price::Price;
use keydesk_core::domain::provider::{ProviderKind, ProviderSpec};
use keydesk_core::domain::tariff::Tariff;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{models, providers};
use keydesk_core::store::DatabaseUrl;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::measure::percentile;

const MODEL: &str = "bench/echo";
const ROUNDS: usize = 400;
const WARM_UP: usize = 20;
const AT_ONCE: usize = 16;
pub const ASKED: &str =
    r#"{"model":"bench/echo","max_tokens":16,"messages":[{"role":"user","content":"Hello"}]}"#;
const ANSWERED: &str = r#"{"id":"c","object":"chat.completion","created":0,"model":"bench/echo","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;

/// The program's gateway on a port of its own; stopped when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A provider, and the gateway that serves it.
pub struct Through {
    pub client: Client,
    pub provider: String,
    pub gateway: String,
    served: JoinHandle<()>,
    _running: Running,
}

impl Drop for Through {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Through {
    pub async fn start(desk: &Desk, place: &DatabaseUrl) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(say)?;
        let provider = listener.local_addr().map_err(say)?;
        let answers = post(|| async { ([("content-type", "application/json")], ANSWERED) });
        let served = tokio::spawn(async move {
            let _ = axum::serve(listener, Router::new().route("/v1/chat/completions", answers)).await;
        });
        serve_the_model(desk, provider).await?;
        let (running, gateway) = start(place).await?;
        // Everything here is plain HTTP, but no client is made without it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().map_err(say)?;
        let (provider, gateway) = (format!("http://{provider}"), format!("http://{gateway}"));
        wait_for(&client, &format!("{gateway}/healthz")).await?;
        Ok(Self { client, provider, gateway, served, _running: running })
    }
}

pub async fn measure(desk: &Desk, place: &DatabaseUrl, secret: &str) -> Result<String, String> {
    let started = Through::start(desk, place).await?;
    let client = &started.client;
    let direct = format!("{}/v1/chat/completions", started.provider);
    let through = format!("{}/v1/chat/completions", started.gateway);
    let mut text = format!(
        "\n{:<42}{:>10}{:>12}{:>12}{:>10}{:>8}\n",
        "a request passed on", "direct ms", "through ms", "p99 ms", "adds ms", "ratio"
    );
    for at_once in [1, AT_ONCE] {
        let (mut bare, mut passed) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP + ROUNDS / at_once {
            let one = together(client, &direct, secret, at_once).await?;
            let other = together(client, &through, secret, at_once).await?;
            if round >= WARM_UP {
                bare.extend(one);
                passed.extend(other);
            }
        }
        let (direct, through) = (percentile(&mut bare, 50), percentile(&mut passed, 50));
        let _ = writeln!(
            text,
            "{:<42}{direct:>10.2}{through:>12.2}{:>12.2}{:>10.2}{:>8.1}",
            format!("{at_once} at once"),
            percentile(&mut passed, 99),
            through - direct,
            through / direct
        );
    }
    Ok(text)
}

async fn serve_the_model(desk: &Desk, provider: SocketAddr) -> Result<(), String> {
    let provider = ProviderSpec {
        name: "Bench".into(),
        kind: ProviderKind::OpenAi,
        base_url: format!("http://{provider}"),
        credential_env: String::new(),
        connect_ms: 5_000,
        idle_ms: 60_000,
        whole_ms: 600_000,
    };
    let provider = providers::add(desk, OperatorActor::CommandLine, &provider).await.map_err(say)?;
    let dollar = Money::from_nanos(1_000_000_000);
    let tariff = Tariff::flat(dollar, dollar, Money::from_nanos(2_000_000_000)).map_err(say)?;
    let model = Model {
        route: Some(provider.id),
        price: Some(Price::unrecorded(tariff)),
        ..Model::unrouted(MODEL, "Bench")
    };
    models::add(desk, OperatorActor::CommandLine, &model, None).await.map_err(say)?;
    Ok(())
}

async fn start(place: &DatabaseUrl) -> Result<(Running, SocketAddr), String> {
    let program = std::env::current_exe().map_err(say)?.with_file_name("keydesk");
    if !program.exists() {
        return Err(format!("{} is not there: build it first, as make bench does.", program.display()));
    }
    // A port cannot be reserved for another process; this one was free a moment ago.
    let listen = TcpListener::bind("127.0.0.1:0").await.map_err(say)?.local_addr().map_err(say)?;
    let mut command = Command::new(program);
    command.args(["gateway", "--listen", &listen.to_string()]).env("KEYDESK_LOG", "error");
    match place {
        DatabaseUrl::Sqlite(file) => command.arg("--data").arg(file.parent().unwrap_or(Path::new("."))),
        DatabaseUrl::Postgres(url) => command.env("KEYDESK_DATABASE_URL", url),
    };
    let child = command.stdout(Stdio::null()).spawn().map_err(say)?;
    Ok((Running(child), listen))
}

async fn wait_for(client: &Client, url: &str) -> Result<(), String> {
    for _ in 0..200 {
        if client.get(url).send().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("The gateway did not start within ten seconds.".into())
}

async fn together(client: &Client, url: &str, secret: &str, count: usize) -> Result<Vec<Duration>, String> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let request =
            client.post(url).bearer_auth(secret).header("content-type", "application/json").body(ASKED);
        tasks.spawn(async move {
            let started = Instant::now();
            let answer = request.send().await.map_err(say)?;
            let status = answer.status();
            let body = answer.text().await.map_err(say)?;
            if status.is_success() { Ok(started.elapsed()) } else { Err(format!("{status}: {body}")) }
        });
    }
    tasks.join_all().await.into_iter().collect()
}
