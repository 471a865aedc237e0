//! Keys are revoked while gateways check them as fast as they can: how long the revocation takes to answer, and whether a
//! request that started after the answer was let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keydesk_core::Desk;
use keydesk_core::ops::keys;
use keydesk_core::store::DatabaseUrl;
use tokio::task::JoinSet;

use super::checks::check;
use super::http::{Connection, Target, apart, say};
use super::limited::Limited;
use super::measure::percentile;
use super::processes::Gateway;
use super::seed::{Bench, SLUG};

/// To each gateway.
const CONNECTIONS: usize = 4;
/// Before the revocation, so that everything that a gateway remembers of a key is there.
const BEFORE: Duration = Duration::from_millis(200);
const AFTER: Duration = Duration::from_millis(150);
const WITHIN: Duration = Duration::from_secs(30);

/// When a request started, and its status.
type Asked = (Instant, u16);

pub struct Revoked {
    pub text: String,
    /// Requests that started after the answer and were let in. There may be none.
    pub let_in_after: usize,
}

pub async fn measure(
    desk: &Desk,
    bench: &Bench,
    place: &DatabaseUrl,
    limited: &Limited<'_>,
    count: usize,
) -> Result<Revoked, String> {
    let processes = if matches!(place, DatabaseUrl::Sqlite(_)) { 1 } else { 3 };
    let mut gateways = Vec::new();
    for _ in 0..processes {
        gateways.push(Gateway::start(place).await?);
    }
    let (mut took, mut passed, mut started_after, mut let_in_after) = (Vec::new(), 0, 0, 0);
    for number in 0..count {
        let key = limited.key(format!("revoked {number}")).await.map_err(say)?;
        let targets: Vec<Target> =
            gateways.iter().map(|gateway| check(gateway.address, &key.secret)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let asking = tokio::spawn(apart(WITHIN, ask(targets, stop.clone())));
        tokio::time::sleep(BEFORE).await;
        let asked_at = Instant::now();
        let revoked = keys::revoke(desk, &bench.owner, SLUG, key.id.as_str(), &key.name).await;
        let answered_at = Instant::now();
        tokio::time::sleep(AFTER).await;
        stop.store(true, Ordering::Relaxed);
        let asked = asking.await.map_err(say)??;
        revoked.map_err(say)?;
        took.push(answered_at - asked_at);
        let after = |(started, _): &&Asked| *started > answered_at;
        started_after += asked.iter().filter(after).count();
        let_in_after += asked.iter().filter(after).filter(|(_, status)| *status == 200).count();
        passed += asked.iter().filter(|(_, status)| *status == 200).count();
        if let Some((_, status)) = asked.iter().find(|(_, status)| !matches!(status, 200 | 401 | 403)) {
            return Err(format!("A check was answered with {status} while its key was revoked."));
        }
    }
    if passed == 0 || started_after == 0 {
        return Err("No request passed before a revocation, or none started after it.".into());
    }
    let gateways = if processes == 1 { "1 gateway".to_owned() } else { format!("{processes} gateways") };
    let text = format!(
        "\n{:<42}{:>10}{:>12}{:>10}{:>14}{:>10}\n{:<42}{:>10.1}{:>12.1}{:>10}{let_in_after:>14}{:>10}\n",
        format!("revocation under load, {gateways}"),
        "median ms",
        "slowest ms",
        "goal",
        "then let in",
        "goal",
        format!("{count} keys, {passed} let in before, {started_after} then"),
        percentile(&mut took, 50),
        percentile(&mut took, 100),
        "<= 50",
        "none",
    );
    Ok(Revoked { text, let_in_after })
}

/// Asks over some connections to each target until it is told to stop.
async fn ask(targets: Vec<Target>, stop: Arc<AtomicBool>) -> Result<Vec<Asked>, String> {
    let mut tasks = JoinSet::new();
    for target in targets.iter().cycle().take(targets.len() * CONNECTIONS).cloned() {
        let stop = stop.clone();
        tasks.spawn(async move {
            let mut connection = Connection::open(target.address).await?;
            let mut asked = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let started = Instant::now();
                asked.push((started, connection.ask(&target.request).await?));
            }
            Ok::<_, String>(asked)
        });
    }
    let mut all = Vec::new();
    for asked in tasks.join_all().await {
        all.extend(asked?);
    }
    Ok(all)
}
