//! Asks each question in turn, the bare query before it, and sorts the times.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use keydesk_core::Desk;
use keydesk_core::admission::{AdmissionError, Presented, authenticate};
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::key_filter::{KeyFilter, Sort, StateFilter};
use keydesk_core::domain::page::Cursor;
use keydesk_core::ops::OpError;
use keydesk_core::ops::keys::{self, Found};
use keydesk_core::ops::support;
use keydesk_core::store::bench_baseline;

use super::seed::{Bench, COMMON, Known, RARE, SLUG};

const WARM_UP: usize = 20;
const PAGE: i64 = 51;
/// A person may look sixty whole secrets up in a minute, and the bench's clock stands still.
const SECRET_SEARCHES: usize = 55;

#[derive(Clone, Copy, PartialEq)]
enum Question {
    List,
    ListOfMember,
    ByNameFarIn,
    BySpend,
    Common,
    CommonOfFour,
    Rare,
    TwoWords,
    ThreeWords,
    ExactName,
    OfOwner,
    OfTeam,
    Anywhere,
    AnywhereLastFour,
    LastFour,
    WholeSecret,
    KeyPage,
    Admission,
}

use Question::*;

const ALL: [(Question, &str); 18] = [
    (List, "list, newest first"),
    (ListOfMember, "list of a member with five keys"),
    (ByNameFarIn, "list by name, a page far in"),
    (BySpend, "list by this month's spend"),
    (Common, "search, part of a common name"),
    (CommonOfFour, "search, four letters (name or last four)"),
    (Rare, "search, part of a rare name"),
    (TwoWords, "search, two words of a name"),
    (ThreeWords, "search, three words, one of two letters"),
    (ExactName, "search, a whole name"),
    (OfOwner, "search, a word and the owner's address"),
    (OfTeam, "search, a word and a team"),
    (Anywhere, "support, two words, all organisations"),
    (AnywhereLastFour, "support, last four, all organisations"),
    (LastFour, "search, last four of a secret"),
    (WholeSecret, "search, a whole secret (counted)"),
    (KeyPage, "key page"),
    (Admission, "admission of a secret"),
];

/// Parts of a name: service, task, place and region.
fn words_of<'a>(known: &'a Known, places: &[usize]) -> Vec<&'a str> {
    places.iter().filter_map(|at| known.name.split('-').nth(*at)).collect()
}

fn filter(question: Question, known: &Known) -> KeyFilter {
    let search = match question {
        Common => COMMON.to_owned(),
        CommonOfFour => "prod".to_owned(),
        Rare => RARE.to_owned(),
        TwoWords => words_of(known, &[1, 0]).join(" "),
        ThreeWords => words_of(known, &[3, 1, 0]).join(" "),
        ExactName => known.name.clone(),
        OfOwner => format!("{} person-1@", words_of(known, &[0])[0]),
        OfTeam => format!("{} Team 1", words_of(known, &[1])[0]),
        LastFour | AnywhereLastFour => known.last_four.clone(),
        Anywhere => words_of(known, &[1, 0]).join(" "),
        List | ListOfMember | ByNameFarIn | BySpend | WholeSecret | KeyPage | Admission => String::new(),
    };
    let sort = match question {
        ByNameFarIn => Sort::Name,
        BySpend => Sort::Spend,
        _ => Sort::Created,
    };
    let far_in = (question == ByNameFarIn).then(|| format!("next~0~0~{}", known.name));
    let page = far_in.and_then(|text| Cursor::parse(&text));
    KeyFilter { search, sort, descending: sort != Sort::Name, page, ..KeyFilter::in_state(StateFilter::Live) }
}

/// Asks as the server does. Gives the ids of the answer's keys.
async fn ask(desk: &Desk, bench: &Bench, question: Question, known: &Known) -> Result<Vec<String>, OpError> {
    match question {
        KeyPage => {
            let view = keys::show(desk, &bench.owner, SLUG, known.id.as_str()).await?;
            Ok(vec![view.key.id.to_string()])
        }
        Admission => {
            let mut presented = Presented::default();
            presented.bare(known.secret.reveal().as_bytes());
            match authenticate(desk, &presented, Some([10, 0, 0, 1].into())).await {
                Ok(context) => Ok(vec![context.key().to_string()]),
                Err(AdmissionError::Unavailable(error)) => Err(error.into()),
                Err(AdmissionError::Rejected(rejection, _)) => {
                    Err(OpError::Conflict(format!("{rejection:?}")))
                }
            }
        }
        Anywhere | AnywhereLastFour => {
            let text = filter(question, known).search;
            // One of many people, as each may search sixty times in a minute and the clock stands still.
            let at: usize = known.last_four.bytes().map(usize::from).sum();
            let caller = &bench.support[at % bench.support.len()];
            let view = support::search(desk, caller, &text).await?;
            Ok(view.keys.into_iter().map(|hit| hit.key.id.to_string()).collect())
        }
        WholeSecret => {
            match keys::search(desk, &bench.owner, SLUG, &Hidden::new(known.secret.reveal())).await? {
                Found::Secret(key, _) => Ok(vec![key.to_string()]),
                _ => Err(OpError::NotFound),
            }
        }
        _ => {
            let caller = if question == ListOfMember { &bench.member } else { &bench.owner };
            let view = keys::list(desk, caller, SLUG, &filter(question, known)).await?;
            Ok(view.page.rows.into_iter().map(|key| key.id.to_string()).collect())
        }
    }
}

/// The same rows, by index. `ids` were found before the clock started.
async fn bare(
    desk: &Desk,
    bench: &Bench,
    question: Question,
    known: &Known,
    ids: &str,
) -> Result<usize, OpError> {
    let mut read = desk.db.read().await?;
    Ok(match question {
        List => bench_baseline::newest(&mut read, &bench.org, PAGE).await?,
        ByNameFarIn => bench_baseline::by_name(&mut read, &bench.org, &known.name, PAGE).await?,
        Admission | WholeSecret => bench_baseline::by_hash(&mut read, &known.secret.hash()).await?,
        _ => bench_baseline::by_ids(&mut read, ids).await?,
    })
}

#[derive(Default)]
struct Times {
    bare: Vec<Duration>,
    asked: Vec<Duration>,
    rows: usize,
}

/// The time below which this many of a hundred lie.
pub fn percentile(times: &mut [Duration], hundredths: usize) -> f64 {
    times.sort();
    let at = (times.len() * hundredths).div_ceil(100).clamp(1, times.len());
    times[at - 1].as_secs_f64() * 1_000.0
}

pub async fn measure(desk: &Desk, bench: &Bench, rounds: usize) -> Result<String, OpError> {
    let mut times: Vec<Times> = ALL.iter().map(|_| Times::default()).collect();
    for round in 0..WARM_UP + rounds {
        let known = &bench.known[round * 7 % bench.known.len()];
        for (number, (question, _)) in ALL.iter().enumerate() {
            if *question == WholeSecret && round >= SECRET_SEARCHES {
                continue;
            }
            let ids = match question {
                List | ByNameFarIn | Admission | WholeSecret => Vec::new(),
                KeyPage => vec![known.id.to_string()],
                _ => ask(desk, bench, *question, known).await?,
            };
            let ids = serde_json::to_string(&ids).unwrap_or_default();
            let started = Instant::now();
            bare(desk, bench, *question, known, &ids).await?;
            let bare = started.elapsed();
            let started = Instant::now();
            let answer = ask(desk, bench, *question, known).await?;
            let asked = started.elapsed();
            if round >= WARM_UP {
                let times = &mut times[number];
                times.rows = answer.len();
                times.bare.push(bare);
                times.asked.push(asked);
            }
        }
    }
    Ok(table(times))
}

fn table(mut times: Vec<Times>) -> String {
    let mut text = format!(
        "{:<42}{:>6}{:>11}{:>9}{:>12}{:>9}{:>8}\n",
        "", "rows", "median ms", "p99 ms", "bare median", "bare p99", "ratio"
    );
    for ((_, name), times) in ALL.iter().zip(&mut times) {
        if times.asked.is_empty() {
            continue;
        }
        let (median, slow) = (percentile(&mut times.asked, 50), percentile(&mut times.asked, 99));
        let (bare, bare_slow) = (percentile(&mut times.bare, 50), percentile(&mut times.bare, 99));
        let _ = writeln!(
            text,
            "{name:<42}{:>6}{median:>11.2}{slow:>9.2}{bare:>12.2}{bare_slow:>9.2}{:>8.1}",
            times.rows,
            median / bare.max(0.000_1)
        );
    }
    text
}
