//! Budgets under load, from several processes at once, some of which are killed: nothing is overspent and nothing lost.
//!
//! A worker is this same test program, started again with the environment variables below.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keydesk_core::admission::{AdmissionError, release, reserve, settle};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::store::{DatabaseUrl, Db};
use keydesk_core::{Clock, Desk, Random};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::meter::{CENT, ask, budget, context, open_key, used};
use crate::support::*;

const PLACE: &str = "KEYDESK_TEST_WORKER_PLACE";
const SECRET: &str = "KEYDESK_TEST_WORKER_SECRET";
const TASK: &str = "KEYDESK_TEST_WORKER_TASK";
const SEED: &str = "KEYDESK_TEST_WORKER_SEED";

fn start(desk: &TestDesk, issued: &IssuedKey, task: &str, seed: usize) -> Child {
    let place = match &desk.url {
        DatabaseUrl::Sqlite(path) => path.display().to_string(),
        DatabaseUrl::Postgres(url) => url.clone(),
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "meter_races::worker", "--nocapture"])
        .env(PLACE, place)
        .env(SECRET, issued.secret.reveal())
        .env(TASK, task)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

struct At(Moment);
impl Clock for At {
    fn now(&self) -> Moment {
        self.0
    }

    fn steady(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Unlike in every other process with another seed.
pub struct Seeded(std::sync::Mutex<Dice>);
impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(std::sync::Mutex::new(Dice::new(seed * 7_919 + 1)))
    }
}
impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap();
        bytes.iter_mut().for_each(|byte| *byte = dice.below(256) as u8);
    }
}

/// Not a test of its own: it does nothing unless it is started as a worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let place = if place.starts_with("postgres") {
        DatabaseUrl::Postgres(place)
    } else {
        DatabaseUrl::Sqlite(place.into())
    };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let random = Arc::new(Seeded::new(seed));
    let desk = Desk::new(Db::open(&place).await.unwrap(), Arc::new(At(START)), random);
    let mut presented = keydesk_core::admission::Presented::default();
    presented.bare(std::env::var(SECRET).unwrap().as_bytes());
    let context = Arc::new(keydesk_core::admission::authenticate(&desk, &presented, None).await.unwrap());
    let ask = |desk: &Desk, amount| keydesk_core::admission::ReservationRequest {
        request: RequestId::new(desk.now(), desk.id_entropy()),
        model: "gpt-5".into(),
        amount: keydesk_core::domain::money::Money::from_nanos(amount),
        worst: keydesk_core::domain::money::Money::from_nanos(amount),
        tokens: 5,
        presumed: keydesk_core::admission::Presumed::default(),
        is_priced: true,
    };
    match std::env::var(TASK).unwrap().as_str() {
        "pay" => {
            let mut tasks = JoinSet::new();
            for _ in 0..100 {
                let (desk, context, ask) = (desk.clone(), context.clone(), ask(&desk, CENT));
                tasks.spawn(async move {
                    if let Ok(one) = reserve(&desk, &context, &ask).await {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        settle(&desk, &one, &used(CENT, 5)).await.unwrap();
                    }
                });
            }
            tasks.join_all().await;
        }
        "whatever" => {
            let mut dice = Dice::new(seed);
            for _ in 0..100_000 {
                let amount = dice.below(3 * CENT as u64) as i64;
                let one = match reserve(&desk, &context, &ask(&desk, amount)).await {
                    Ok(one) => one,
                    Err(AdmissionError::Rejected(..)) => continue,
                    Err(error) => panic!("{error}"),
                };
                match dice.below(4) {
                    0 => drop(release(&desk, one.request()).await.unwrap()),
                    1 => {}
                    _ => {
                        let cost = dice.below(amount as u64 + 1) as i64;
                        settle(&desk, &one, &used(cost, 3)).await.unwrap();
                    }
                }
            }
        }
        other => panic!("{other}"),
    }
}

/// Waits until so many requests are settled, as long as the workers settle any.
async fn wait_for_rows(desk: &TestDesk, wanted: i64) {
    let mut rows = 0;
    let mut still = 0;
    while rows < wanted {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = desk.number("SELECT COUNT(*) FROM usage").await;
        still = if now > rows { 0 } else { still + 1 };
        assert!(still < 600, "nothing was settled for a minute after {now} of {wanted}");
        rows = now;
    }
}

/// Every counter is the sum of the rows it counts.
async fn assert_whole(desk: &TestDesk) {
    let off = "SELECT COUNT(*) FROM counters c WHERE c.period = 'total' AND (c.spent, c.requests, c.tokens) <> (
        SELECT CAST(SUM(u.cost) AS BIGINT), COUNT(*), CAST(SUM(u.input_tokens + u.output_tokens) AS BIGINT) FROM usage u
        WHERE CASE c.holder_kind WHEN 'key' THEN u.key_id WHEN 'team' THEN u.team_id ELSE u.org_id END = c.holder_id)";
    assert_eq!(desk.number(off).await, 0);
    let day = "SELECT CAST(SUM(cost) AS BIGINT) FROM spend_daily UNION ALL SELECT CAST(SUM(cost) AS BIGINT) FROM usage";
    let sums = desk.numbers(day).await;
    assert_eq!(sums[0], sums[1]);
}

on_both!(
    fn of_two_hundred_requests_in_two_processes_a_budget_for_fifty_pays_fifty(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        // Not the key's own, so that both processes meet in something they share with others.
        budget(&desk, &at, "org", at.org.id.as_str(), "month", 50 * CENT).await;
        let workers = [1, 2].map(|seed| start(&desk, &issued, "pay", seed));
        for mut worker in workers {
            let done = tokio::task::spawn_blocking(move || worker.wait()).await.unwrap().unwrap();
            assert!(done.success());
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 50);
        assert_eq!(
            desk.number("SELECT spent FROM counters WHERE holder_kind = 'org' AND period = 'month'").await,
            50 * CENT
        );
        assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0, "nothing leaks");
        assert_whole(&desk).await;
    }
);

on_both!(
    fn of_two_hundred_concurrent_requests_a_budget_for_fifty_pays_fifty(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", 50 * CENT).await;
        let context = Arc::new(context(&desk, &issued).await);
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let (desk, context) = (desk.clone(), context.clone());
            tasks.spawn(async move {
                let one = match reserve(&desk, &context, &ask(&desk, CENT, 1)).await {
                    Ok(one) => one,
                    Err(AdmissionError::Rejected(..)) => return 0,
                    Err(error) => panic!("{error}"),
                };
                settle(&desk, &one, &used(CENT, 1)).await.unwrap();
                1
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<i32>(), 50);
        assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0);
        assert_whole(&desk).await;
    }
);

on_both!(
    fn whatever_is_killed_counters_stay_the_sum_of_their_rows(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let limit = 1_000_000 * CENT;
        budget(&desk, &at, "key", issued.id.as_str(), "total", limit).await;
        let mut workers: Vec<Child> = (0..2).map(|seed| start(&desk, &issued, "whatever", seed)).collect();
        // Half of what is asked for is settled; five thousand rows are ten thousand requests. Rows say when it is time to
        // kill, not the clock: on a busy machine a worker needs a while to start.
        for kills in 1..=10 {
            wait_for_rows(&desk, kills * 500).await;
            let seed = kills as usize + 1;
            let worker = &mut workers[seed % 2];
            assert!(worker.try_wait().unwrap().is_none(), "a worker ended by itself");
            worker.kill().unwrap();
            worker.wait().unwrap();
            assert_whole(&desk).await;
            *worker = start(&desk, &issued, "whatever", seed);
        }
        for mut worker in workers {
            worker.kill().unwrap();
            worker.wait().unwrap();
        }
        assert_whole(&desk).await;
        // What the dead and the careless held is free again when its time is over.
        assert!(desk.number("SELECT COUNT(*) FROM reservations").await > 0);
        desk.clock.advance(keydesk_core::admission::LEASE_MS + 1);
        let context = context(&desk, &issued).await;
        let spent =
            desk.number("SELECT spent FROM counters WHERE holder_kind = 'key' AND period = 'total'").await;
        let rest = reserve(&desk, &context, &ask(&desk, limit - spent, 1)).await.unwrap();
        assert_eq!(rest.limits[0].reserved, 0);
        assert!(spent <= limit);
    }
);

on_both!(
    fn a_windows_turn_under_load_loses_and_doubles_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", 30 * CENT).await;
        let context = Arc::new(context(&desk, &issued).await);
        // Midnight in Zurich, on the way from one day to the next.
        let midnight = 1_795_215_600_000;
        desk.clock.set(Moment::from_ms(midnight - 100));
        let gate = Arc::new(Semaphore::new(10));
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let (desk, context, gate) = (desk.clone(), context.clone(), gate.clone());
            tasks.spawn(async move {
                let _turn = gate.acquire_owned().await.unwrap();
                let asked = reserve(&desk, &context, &ask(&desk, CENT, 1)).await;
                // About fifty before midnight, and all the others after it.
                desk.clock.advance(2);
                if let Ok(one) = asked {
                    settle(&desk, &one, &used(CENT, 1)).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let days = desk.numbers("SELECT spent FROM counters WHERE holder_kind = 'key' AND period = 'day' ORDER BY window_start").await;
        assert_eq!(days, [30 * CENT, 30 * CENT], "each day paid what it allows and no more");
        for (sign, day) in [("<", 0), (">=", 1)] {
            let rows =
                desk.number(&format!("SELECT COUNT(*) FROM usage WHERE started_at {sign} {midnight}")).await;
            assert_eq!(rows * CENT, days[day]);
        }
        assert_whole(&desk).await;
    }
);
