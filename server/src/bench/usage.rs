//! What pages of spend and requests take among very many requests, beside the bare query of a roll-up.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use keydesk_core::Desk;
use keydesk_core::domain::moment::{Day, Zone};
use keydesk_core::domain::report::{Dimension, Filters, Preset, ReportQuery};
use keydesk_core::ops::OpError;
use keydesk_core::ops::requests::{self, RequestsQuery};
use keydesk_core::ops::{keys, report, seed, spend_check};
use keydesk_core::store::bench_usage;

use super::measure::percentile;
use super::seed::{Bench, SLUG};

const WARM_UP: usize = 20;

#[derive(Clone, Copy)]
enum Question {
    KeyPage,
    KeyRequests,
    Spend,
    SpendOfKey,
}

const ALL: [(Question, &str); 4] = [
    (Question::KeyPage, "key page, with its month"),
    (Question::KeyRequests, "requests of a key, newest"),
    (Question::Spend, "spend, last month by model"),
    (Question::SpendOfKey, "spend of a key, last month by model"),
];

/// Makes the requests and all that is added up from them.
pub async fn seed(desk: &Desk, bench: &Bench, count: usize) -> Result<String, OpError> {
    let ids: Vec<_> = bench.known.iter().map(|known| known.id.clone()).collect();
    let started = Instant::now();
    seed::many_requests(desk, &bench.org, &ids, i64::try_from(count).unwrap_or(i64::MAX)).await?;
    let inserted = started.elapsed();
    let done = spend_check::repair(desk, &bench.owner, SLUG).await?;
    let added_up = started.elapsed() - inserted;
    Ok(format!(
        "{} requests made in {:.1} s, added up and compared in {:.1} s, difference {}\n",
        done.check.requests,
        inserted.as_secs_f64(),
        added_up.as_secs_f64(),
        done.check.difference
    ))
}

pub async fn measure(desk: &Desk, bench: &Bench, rounds: usize) -> Result<String, OpError> {
    let today = Day::of(desk.now(), &Zone::utc());
    let (from, to) = (today.back(30).to_string(), today.to_string());
    let mut bare: Vec<Duration> = Vec::new();
    let mut history: Vec<Duration> = Vec::new();
    let mut asked: Vec<Vec<Duration>> = ALL.iter().map(|_| Vec::new()).collect();
    for round in 0..WARM_UP + rounds {
        let known = &bench.known[round * 7 % bench.known.len()];
        let mut read = desk.db.read().await?;
        let started = Instant::now();
        bench_usage::by_model(&mut read, &bench.org, &from, &to).await?;
        let by_model = started.elapsed();
        let started = Instant::now();
        bench_usage::history(&mut read, known.id.as_str(), &from, &to).await?;
        let of_key = started.elapsed();
        drop(read);
        if round >= WARM_UP {
            bare.push(by_model);
            history.push(of_key);
        }
        for (number, (question, _)) in ALL.iter().enumerate() {
            let started = Instant::now();
            match question {
                Question::KeyPage => {
                    keys::show(desk, &bench.owner, SLUG, known.id.as_str()).await?;
                }
                Question::KeyRequests => {
                    let query = RequestsQuery::default();
                    requests::of_key(desk, &bench.owner, SLUG, known.id.as_str(), query).await?;
                }
                Question::Spend => {
                    let query = ReportQuery { preset: Preset::LastMonth, ..ReportQuery::default() };
                    report::show(desk, &bench.owner, SLUG, &query).await?;
                }
                Question::SpendOfKey => {
                    let filters = Filters::of(Dimension::Key, known.id.as_str());
                    let query = ReportQuery { preset: Preset::LastMonth, filters, ..ReportQuery::default() };
                    report::show(desk, &bench.owner, SLUG, &query).await?;
                }
            }
            if round >= WARM_UP {
                asked[number].push(started.elapsed());
            }
        }
    }
    let roll_up = percentile(&mut bare, 50);
    let mut text = format!("{:<42}{:>11}{:>9}{:>8}\n", "", "median ms", "p99 ms", "ratio");
    let mut line = |name: &str, times: &mut Vec<Duration>| {
        let (median, slow) = (percentile(times, 50), percentile(times, 99));
        let ratio = median / roll_up.max(0.000_1);
        let _ = writeln!(text, "{name:<42}{median:>11.2}{slow:>9.2}{ratio:>8.1}");
    };
    line("bare roll-up, a month by model", &mut bare);
    line("bare roll-up, a key's month", &mut history);
    for ((_, name), times) in ALL.iter().zip(&mut asked) {
        line(name, times);
    }
    Ok(text)
}
