//! What a gateway's memory grows by when very many keys have each been checked once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keydesk_core::domain::key_format::PlainSecret;
use keydesk_core::store::DatabaseUrl;
use tokio::task::JoinSet;

use super::checks::check;
use super::http::{Connection, Target, apart, load};
use super::processes::Gateway;

const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(2);
/// Where a check is slow, fewer keys are checked.
const WITHIN: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);
const MB: f64 = 1_000_000.0;

/// `secret` is that of a limited key, with which the gateway's memory comes to rest first.
pub async fn measure(place: &DatabaseUrl, secret: &str, secrets: &[PlainSecret]) -> Result<String, String> {
    let gateway = Gateway::start(place).await?;
    load(&[check(gateway.address, secret)], CONNECTIONS, WARM_UP).await?;
    let before = gateway.resident();
    let requests = secrets
        .iter()
        .map(|secret| Target::get(gateway.address, "/gateway/forward-auth", secret.reveal(), ""));
    let checked = apart(WITHIN + PATIENCE, once_each(requests.collect())).await?;
    let (Some(before), Some(after)) = (before, gateway.resident()) else {
        return Ok("\nThe memory of a process is not known on this system.\n".into());
    };
    let (before, after) = (before as f64 / MB, after as f64 / MB);
    let title = format!("memory, {checked} of {} keys checked once", secrets.len());
    Ok(format!(
        "\n{title:<42}{:>10}{:>12}{:>10}{:>16}\n{:<42}{before:>10.1}{after:>12.1}{:>10.1}{:>16}\n",
        "before MB",
        "after MB",
        "adds MB",
        "goal",
        "a gateway",
        after - before,
        "< 100 for 100k",
    ))
}

/// Says how many were checked in time. Those of the seed that have expired or spent their budget are rejected, and known to
/// the gateway as well.
async fn once_each(requests: Vec<Target>) -> Result<usize, String> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (requests, next) = (requests.clone(), next.clone());
        tasks.spawn(async move {
            let first = requests.first().ok_or("There are no keys.")?;
            let mut connection = Connection::open(first.address).await?;
            let mut checked = 0;
            while started.elapsed() < WITHIN {
                let Some(target) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                match connection.ask(&target.request).await? {
                    200 | 401 | 403 | 429 => checked += 1,
                    status => return Err(format!("A key's check was answered with {status}.")),
                }
            }
            Ok::<_, String>(checked)
        });
    }
    let mut checked = 0;
    for done in tasks.join_all().await {
        checked += done?;
    }
    Ok(checked)
}
