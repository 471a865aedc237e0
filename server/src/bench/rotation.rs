//! A rotation under load: many requests a second through the gateway with a key's secret, which rotates itself on the
//! way; from then on half of the requests have the new secret and half the previous one. None may be rejected.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use keydesk_core::Desk;
use keydesk_core::domain::expiry::{Expiry, KeyDraft};
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::ops::keys;
use keydesk_core::store::DatabaseUrl;
use reqwest::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::bare::Bare;
use super::chat::ASKED;
use super::http::say;
use super::limited::serve_the_model;
use super::measure::percentile;
use super::processes::Gateway;
use super::seed::{Bench, SLUG};

const A_SECOND: usize = 1_000;
const SECONDS: usize = 6;
/// More wait for their turn, so that a slow machine shows a lower rate and not an error of its own.
const AT_ONCE: usize = 256;

pub async fn measure(desk: &Desk, place: &DatabaseUrl, bench: &Bench) -> Result<String, String> {
    let spec = KeySpec {
        name: "rotates itself".into(),
        models: ModelScope::Every,
        rotates_itself: true,
        ..KeySpec::default()
    };
    let draft = KeyDraft { spec, expiry: Expiry::Never };
    let old = keys::create(desk, &bench.owner, SLUG, &draft).await.map_err(say)?.secret.reveal().to_owned();
    let provider = Bare::start(place).await?;
    serve_the_model(desk, provider.address).await?;
    let gateway = Gateway::start(place).await?;
    let base = format!("http://{}", gateway.address);
    // Everything here is plain HTTP, but no client is made without it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().map_err(say)?;
    let new = Arc::new(OnceLock::new());
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks: JoinSet<Result<(u16, Duration), String>> = JoinSet::new();
    let mut every = interval(Duration::from_micros(1_000_000 / A_SECOND as u64));
    every.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (count, started) = (A_SECOND * SECONDS, Instant::now());
    let mut with_new = 0;
    for number in 0..count {
        every.tick().await;
        if number == count / 3 {
            let url = format!("{base}/v1/key/rotate");
            tasks.spawn(rotate(client.clone(), url, old.clone(), new.clone()));
        }
        let slot = slots.clone().acquire_owned().await.map_err(say)?;
        let secret = new.get().filter(|_| number % 2 == 0);
        with_new += usize::from(secret.is_some());
        let request = client.post(format!("{base}/v1/chat/completions"));
        let request = request.bearer_auth(secret.unwrap_or(&old)).body(ASKED);
        let request = request.header("content-type", "application/json");
        tasks.spawn(async move {
            let started = Instant::now();
            let answer = request.send().await.map_err(say)?;
            let status = answer.status().as_u16();
            answer.bytes().await.map_err(say)?;
            drop(slot);
            Ok((status, started.elapsed()))
        });
    }
    let (mut statuses, mut times) = (BTreeMap::<u16, usize>::new(), Vec::new());
    for answer in tasks.join_all().await {
        let (status, took) = answer?;
        *statuses.entry(status).or_default() += 1;
        times.push(took);
    }
    let seconds = started.elapsed().as_secs_f64();
    let rejected =
        statuses.iter().filter(|(status, _)| **status != 200).map(|(_, count)| count).sum::<usize>();
    let by_status =
        statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect::<Vec<_>>().join(", ");
    Ok(format!(
        "\nrotation under load: {count} requests at {:.0} a second, {with_new} with the new secret\nanswers: {by_status}; median {:.1} ms, p99 {:.1} ms\nrejected = {rejected}\n",
        count as f64 / seconds,
        percentile(&mut times, 50),
        percentile(&mut times, 99),
    ))
}

async fn rotate(
    client: Client,
    url: String,
    old: String,
    new: Arc<OnceLock<String>>,
) -> Result<(u16, Duration), String> {
    let started = Instant::now();
    let answer = client.post(url).bearer_auth(old).send().await.map_err(say)?;
    let status = answer.status().as_u16();
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.map_err(say)?).map_err(say)?;
    let secret = body["secret"].as_str().ok_or_else(|| format!("The key was not rotated: {body}"))?;
    let _ = new.set(secret.to_owned());
    Ok((status, started.elapsed()))
}
