//! `keydesk rotate`: a program's own key gets a new secret through the gateway, for use in scripts. It needs no database.
//!
//! Only the new secret goes to standard output. Neither secret is in an argument, in a message or in an address.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use keydesk_core::Random;
use keydesk_core::domain::key_format;
use keydesk_core::domain::rotation::GracePeriod;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};

use crate::clock::SystemRandom;
use crate::gateway::tls;

/// An answer that was lost is asked for again this often, with the same `Idempotency-Key`.
const TRIES: usize = 3;
/// The gateway accepts the same request again after two seconds.
const BETWEEN_TRIES: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The key has to be allowed to rotate itself.
#[derive(Args)]
pub struct RotateArgs {
    /// The environment variable that has the current secret.
    #[arg(long, value_name = "NAME")]
    with_env: String,
    /// The gateway's URL, with or without /v1. Left out, KEYDESK_GATEWAY_URL or else KEYDESK_BASE_URL.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How long the current secret goes on: now, 1h to 720h, 1d to 30d, or such as 2h_after_first_use.
    #[arg(long, default_value = "24h")]
    grace: String,
    /// Send the secret over plain http to another computer, where everyone on the way can read it.
    #[arg(long)]
    insecure_http: bool,
}

pub async fn run(args: &RotateArgs) -> Result<(), String> {
    GracePeriod::parse(&args.grace).map_err(|error| error.to_string())?;
    let url = rotate_url(args)?;
    let secret = std::env::var(&args.with_env)
        .map_err(|_| format!("The environment variable {} is not set.", args.with_env))?;
    let secret = secret.trim();
    key_format::read(secret)
        .map_err(|why| format!("{} does not have a Keydesk secret: {}", args.with_env, why.sentence()))?;
    let new = ask(&url, secret, &args.grace).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{new}").and_then(|()| out.flush()).map_err(|error| {
        format!(
            "The new secret could not be printed: {error}. The current one works until its grace period ends."
        )
    })
}

fn rotate_url(args: &RotateArgs) -> Result<Url, String> {
    let variable = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    let base = args
        .base_url
        .clone()
        .or_else(|| variable("KEYDESK_GATEWAY_URL"))
        .or_else(|| variable("KEYDESK_BASE_URL"));
    let base = base
        .ok_or("Name the gateway with --base-url or KEYDESK_BASE_URL, such as https://keys.example.com.")?;
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix("/v1").unwrap_or(base);
    let wrong = || "The base URL must be http:// or https:// and a host.".to_owned();
    let url = Url::parse(&format!("{base}/v1/key/rotate")).map_err(|_| wrong())?;
    let host =
        url.host_str().filter(|_| url.username().is_empty() && url.query().is_none()).ok_or_else(wrong)?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) || args.insecure_http => Ok(url),
        "http" => Err(format!(
            "{host} is another computer, and http would show it the secret unencrypted. Use https, or --insecure-http."
        )),
        _ => Err(wrong()),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A request that was perhaps answered is repeated: the gateway knows it by its `Idempotency-Key`.
async fn ask(url: &Url, secret: &str, grace: &str) -> Result<String, String> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls()?)
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("keydesk/", env!("CARGO_PKG_VERSION")));
    // A proxy for plain http would read the secret.
    let client = if url.scheme() == "http" { client.no_proxy() } else { client };
    let client = client.build().map_err(|error| format!("No HTTP client can be made: {error}."))?;
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes);
    let repeat: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut problem = String::new();
    for round in 0..TRIES {
        if round > 0 {
            eprintln!("keydesk: {problem} Trying again.");
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        let request = client.post(url.clone()).bearer_auth(secret).header("idempotency-key", &repeat);
        let request = request.header("content-type", "application/json");
        let answer = match request.body(json!({"grace": grace}).to_string()).send().await {
            Ok(answer) => answer,
            Err(error) => {
                problem = format!("{} cannot be reached: {}.", origin(url), error.without_url());
                continue;
            }
        };
        let status = answer.status();
        match answer.bytes().await {
            Ok(body) if status == StatusCode::OK => return new_secret(&body),
            Ok(body) if !status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED => {
                return Err(refused(status, &body));
            }
            Ok(body) => problem = refused(status, &body),
            Err(_) => problem = format!("The answer of {} ended early.", origin(url)),
        }
    }
    Err(problem)
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn new_secret(body: &[u8]) -> Result<String, String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let secret = body["secret"].as_str().filter(|secret| key_format::read(secret).is_ok());
    let secret = secret.ok_or("The answer has no secret. Is the base URL that of a Keydesk gateway?")?;
    match body["previous_expires_at"].as_str() {
        Some(at) => eprintln!("keydesk: The previous secret works until {at}."),
        None => eprintln!("keydesk: The previous secret works until the new one is in use."),
    }
    Ok(secret.to_owned())
}

fn refused(status: StatusCode, body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match body["error"]["message"].as_str() {
        Some(sentence) => sentence.chars().filter(|c| !c.is_control()).collect(),
        None => format!("The answer was {status}. Is the base URL that of a Keydesk gateway?"),
    }
}
