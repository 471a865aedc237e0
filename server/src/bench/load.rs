//! How many requests a second are let in and settled, by how many at once, and how long each waits for its admission;
//! beside it, how many durable rows the database alone writes when as many come together.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keydesk_core::Desk;
use keydesk_core::admission::{
    AdmissionError, Presented, Presumed, ReservationRequest, Settlement, authenticate, reserve, settle,
};
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::expiry::{Expiry, KeyDraft};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key::KeySpec;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::ops::{OpError, keys};
use keydesk_core::store::{Db, bench_baseline};
use tokio::task::JoinSet;

use super::limited::limits;
use super::measure::percentile;
use super::recorded::Ratios;
use super::seed::{Bench, SLUG};

const KEYS: usize = 16;
/// So many at once are compared with what the repository records.
pub const MANY: usize = 32;

/// Keys of one organisation with every kind of limit, none of which stops anyone here.
pub async fn limited_keys(desk: &Desk, bench: &Bench) -> Result<Vec<String>, OpError> {
    let mut secrets = Vec::new();
    for number in 0..KEYS {
        let (budgets, limits) = limits();
        let spec = KeySpec {
            name: format!("load {number}"),
            budgets,
            limits,
            models: ModelScope::Every,
            ..KeySpec::default()
        };
        let draft = KeyDraft { spec, expiry: Expiry::Never };
        let issued = keys::create(desk, &bench.owner, SLUG, &draft).await?;
        secrets.push(issued.secret.reveal().to_owned());
    }
    Ok(secrets)
}

struct Counted {
    times: Vec<Duration>,
    per_second: f64,
}

/// Lets workers do one thing again and again for a while. Each gives the part of its time that counts.
async fn load<F, R>(workers: usize, each: Duration, what: F) -> Result<Counted, String>
where
    F: Fn(u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Duration, String>> + Send,
{
    let number = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (what, number) = (what.clone(), number.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < each {
                times.push(what(number.fetch_add(1, Ordering::Relaxed)).await?);
            }
            Ok::<_, String>(times)
        });
    }
    let mut times = Vec::new();
    for done in tasks.join_all().await {
        times.extend(done?);
    }
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Counted { times, per_second })
}

/// Gates 1 to 8 and the settlement, as for a request of ten tokens. Gives the time of the gates.
async fn let_in(desk: &Desk, secret: &str) -> Result<Duration, String> {
    let say = |error: AdmissionError| error.to_string();
    let started = Instant::now();
    let mut presented = Presented::default();
    presented.bare(secret.as_bytes());
    let context = authenticate(desk, &presented, None).await.map_err(say)?;
    let request = RequestId::new(desk.now(), desk.id_entropy());
    let amount = Money::from_nanos(10_000);
    let model = "gpt-5".into();
    let wanted = ReservationRequest {
        request,
        model,
        amount,
        worst: amount,
        tokens: 10,
        presumed: Presumed::default(),
        is_priced: true,
    };
    let reservation = reserve(desk, &context, &wanted).await.map_err(say)?;
    let took = started.elapsed();
    let settlement = Settlement {
        route: "/v1/chat/completions".into(),
        status: 200,
        bill: Bill::of_cost(Counts::of_totals(5, 0, 5), amount),
        latency_ms: 1,
        first_byte_ms: None,
        address: "10.0.0.1".into(),
        user_agent: "bench".into(),
        error: String::new(),
        tags: Vec::new(),
        attempts: Vec::new(),
    };
    settle(desk, &reservation, &settlement).await.map_err(|error| error.to_string())?;
    Ok(took)
}

pub async fn measure(
    desk: &Desk,
    secrets: &[String],
    at_once: &[usize],
    each: Duration,
    ratios: &mut Ratios,
) -> Result<String, String> {
    let secrets: Arc<[String]> = secrets.into();
    let mut text = format!(
        "\n{:<42}{:>10}{:>12}{:>9}{:>16}{:>8}{:>8}\n",
        "admitted and settled, all gates",
        "a second",
        "gates ms",
        "p99 ms",
        "durable rows/s",
        "ratio",
        "goal"
    );
    for &workers in at_once {
        // Written together: Postgres waits for the disk once for several transactions. SQLite's one writer does so for the
        // rows of one transaction.
        let together = if matches!(desk.db, Db::Sqlite { .. }) { workers } else { 1 };
        let rows = {
            let desk = desk.clone();
            load(workers / together, each, move |number| {
                let desk = desk.clone();
                async move {
                    let (started, count) = (Instant::now(), together as u64);
                    let written = bench_baseline::durable_rows(&desk.db, number * count, count).await;
                    written.map_err(|error| error.to_string())?;
                    Ok(started.elapsed())
                }
            })
            .await?
        };
        let rows_per_second = rows.per_second * together as f64;
        let (desk, secrets) = (desk.clone(), secrets.clone());
        let mut requests = load(workers, each, move |number| {
            let (desk, secrets) = (desk.clone(), secrets.clone());
            async move { let_in(&desk, &secrets[number as usize % KEYS]).await }
        })
        .await?;
        let (median, slow) = (percentile(&mut requests.times, 50), percentile(&mut requests.times, 99));
        let ratio = requests.per_second / rows_per_second;
        let _ = writeln!(
            text,
            "{:<42}{:>10.0}{median:>12.2}{slow:>9.2}{:>16.0}{ratio:>8.2}{:>8}",
            format!("{workers} at once"),
            requests.per_second,
            rows_per_second,
            if workers == MANY { ">= 0.8" } else { "" }
        );
        if workers == MANY {
            ratios.insert("settled_to_rows", ratio);
        }
    }
    Ok(text)
}
