//! What pages of spend and requests take among very many requests, beside the bare query of a roll-up.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use keydesk_core::Desk;
use keydesk_core::domain::key_filter::{KeyFilter, StateFilter};
use keydesk_core::domain::moment::{Day, Zone};
use keydesk_core::domain::overview::By;
use keydesk_core::domain::report::{Dimension, Filters, Preset, ReportQuery};
use keydesk_core::domain::request_filter::{LogFilter, StatusFilter};
use keydesk_core::ops::OpError;
use keydesk_core::ops::requests::{self, RequestsQuery};
use keydesk_core::ops::{catalogue, installation, keys, overview, report, seed, spend_check};
use keydesk_core::store::bench_usage;

use super::measure::percentile;
use super::seed::{Bench, Known, SLUG};

const WARM_UP: usize = 20;
/// One of the catalogue.
const MODEL: &str = "openai/gpt-5-mini";

#[derive(Clone, Copy)]
enum Question {
    Overview(By),
    Installation,
    List,
    KeyPage,
    KeyRequests,
    Log,
    LogOfTeam,
    LogOfModel,
    Failed,
    Spend(Preset),
    SpendOfKey,
}

const ALL: [(Question, &str); 14] = [
    (Question::Overview(By::Team), "overview, by team"),
    (Question::Overview(By::Model), "overview, by model"),
    (Question::Overview(By::Key), "overview, by key"),
    (Question::Installation, "overview of all organisations"),
    (Question::List, "list of keys, with its counts"),
    (Question::KeyPage, "key page, with its month"),
    (Question::KeyRequests, "requests of a key, newest"),
    (Question::Log, "log of requests, newest"),
    (Question::LogOfTeam, "log, requests of a team"),
    (Question::LogOfModel, "log, requests for a model"),
    (Question::Failed, "log, failed requests (there are none)"),
    (Question::Spend(Preset::LastMonth), "spend, last month by model"),
    (Question::Spend(Preset::ThisYear), "spend, this year by model"),
    (Question::SpendOfKey, "spend of a key, last month by model"),
];

/// Asks as the server does.
async fn ask(desk: &Desk, bench: &Bench, question: Question, known: &Known) -> Result<(), OpError> {
    let (owner, id) = (&bench.owner, known.id.as_str());
    let log = |filter: LogFilter| async move { requests::log(desk, owner, SLUG, &filter).await.map(drop) };
    let spend = |preset, filters| async move {
        report::show(desk, owner, SLUG, &ReportQuery { preset, filters, ..ReportQuery::default() })
            .await
            .map(drop)
    };
    match question {
        Question::Overview(by) => overview::of_org(desk, owner, SLUG, by).await.map(drop),
        Question::Installation => installation::overview(desk, &bench.operator).await.map(drop),
        Question::List => {
            keys::list(desk, owner, SLUG, &KeyFilter::in_state(StateFilter::Live)).await.map(drop)
        }
        Question::KeyPage => keys::show(desk, owner, SLUG, id).await.map(drop),
        Question::KeyRequests => {
            requests::of_key(desk, owner, SLUG, id, RequestsQuery::default()).await.map(drop)
        }
        Question::Log => log(LogFilter::default()).await,
        Question::LogOfTeam => log(LogFilter { team: known.team.clone(), ..LogFilter::default() }).await,
        Question::LogOfModel => log(LogFilter { model: MODEL.into(), ..LogFilter::default() }).await,
        Question::Failed => {
            log(LogFilter { status: Some(StatusFilter::Failed), ..LogFilter::default() }).await
        }
        Question::Spend(preset) => spend(preset, Filters::default()).await,
        Question::SpendOfKey => spend(Preset::LastMonth, Filters::of(Dimension::Key, id)).await,
    }
}

/// Makes the requests and all that is added up from them.
pub async fn seed(desk: &Desk, bench: &Bench, count: usize) -> Result<String, OpError> {
    catalogue::seed(desk).await?;
    let started = Instant::now();
    seed::many_requests(desk, &bench.org, i64::try_from(count).unwrap_or(i64::MAX)).await?;
    let inserted = started.elapsed();
    seed::add_up(desk, &bench.org).await?;
    let added_up = started.elapsed() - inserted;
    let check = spend_check::check(desk, &bench.owner, SLUG).await?;
    let compared = started.elapsed() - added_up - inserted;
    Ok(format!(
        "{} requests made in {:.1} s, added up in {:.1} s, compared in {:.1} s, difference {}\n",
        check.requests,
        inserted.as_secs_f64(),
        added_up.as_secs_f64(),
        compared.as_secs_f64(),
        check.difference
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
            ask(desk, bench, *question, known).await?;
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
