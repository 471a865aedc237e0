//! By how much a budget can be passed. GATEWAY.md promises it, and each sentence there is held by a test here.

// sqlx here: one test calls a function of Postgres as another gateway does.

use std::sync::Arc;
use std::time::Duration;

use keydesk_core::Desk;
use keydesk_core::admission::{
    AdmissionError, AuthContext, Presumed, Reservation, ReservationRequest, Settlement, expected_use,
    release, reserve, settle,
};
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::expected_use::{AskedUse, ExpectedUse, InputTokens};
use keydesk_core::domain::gate::{Gate, Rejection};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::meter::{Counts, Meter};
use keydesk_core::domain::model::Model;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::price::Price;
use keydesk_core::domain::window::WindowStarts;
use keydesk_core::store::Db;
use tokio::task::JoinSet;

use super::meter::{CENT, budget, context, open_key, used};
use super::meter_races::Seeded;
use crate::support::*;

const HALF_DOLLAR: i64 = 50 * CENT;

fn ask(desk: &TestDesk, likely: i64, worst: i64) -> ReservationRequest {
    let request = RequestId::new(desk.now(), desk.id_entropy());
    let [amount, worst] = [likely, worst].map(Money::from_nanos);
    ReservationRequest {
        request,
        model: "gpt-5".into(),
        amount,
        worst,
        tokens: 0,
        presumed: Presumed::default(),
        is_priced: true,
    }
}

async fn never(desk: &TestDesk) {
    desk.execute("UPDATE orgs SET overshoot = 'none'").await.unwrap();
}

async fn pass(desk: &TestDesk, context: &AuthContext, likely: i64, worst: i64) -> Reservation {
    reserve(desk, context, &ask(desk, likely, worst)).await.unwrap()
}

async fn stop(desk: &TestDesk, context: &AuthContext, likely: i64, worst: i64) -> Rejection {
    match reserve(desk, context, &ask(desk, likely, worst)).await {
        Err(AdmissionError::Rejected(rejection, Some(_))) => rejection,
        other => panic!("{other:?}"),
    }
}

on_both!(
    fn one_request_may_cost_more_than_is_left_and_the_next_such_one_waits_for_it(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", 10 * CENT).await;
        let first = pass(&desk, &context, CENT, 100 * CENT).await;
        let waits = stop(&desk, &context, CENT, 100 * CENT).await;
        assert_eq!(
            (waits.gate(), waits.code(), waits.status(), waits.retry_after()),
            (Gate::Budget, "rate_limit_exceeded", 429, Some(5))
        );
        let sentence = waits.sentence("https://keys.example.com");
        assert!(sentence.contains("this one has to wait for them") && sentence.contains("5 s"), "{sentence}");
        // What fits beside it at its worst passes, and what does not fit waits too.
        let beside = pass(&desk, &context, CENT, 10 * CENT).await;
        assert_eq!(stop(&desk, &context, 0, 1).await.retry_after(), Some(5));
        release(&desk, beside.request()).await.unwrap();
        settle(&desk, &first, &used(9 * CENT, 1)).await.unwrap();
        // The likely cost has to be left, whatever is promised about the worst.
        let too_dear = stop(&desk, &context, CENT + 1, 100 * CENT).await;
        assert_eq!((too_dear.code(), too_dear.retry_after()), ("insufficient_quota", None));
        let last = pass(&desk, &context, CENT, 100 * CENT).await;
        settle(&desk, &last, &used(100 * CENT, 1)).await.unwrap();
        let over = stop(&desk, &context, 0, 0).await;
        assert_eq!((over.code(), over.retry_after()), ("insufficient_quota", None));
    }
);

on_both!(
    fn where_no_overshoot_is_allowed_the_worst_has_to_fit(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        budget(&desk, &at, "org", at.org.id.as_str(), "month", 10 * CENT).await;
        never(&desk).await;
        let too_dear = stop(&desk, &context, CENT, 11 * CENT).await;
        assert_eq!((too_dear.code(), too_dear.retry_after()), ("insufficient_quota", None));
        let sentence = too_dear.sentence("https://keys.example.com");
        assert!(sentence.contains("$0.10 remains, and this request may cost $0.11"), "{sentence}");
        let first = pass(&desk, &context, CENT, 6 * CENT).await;
        let waits = stop(&desk, &context, CENT, 5 * CENT).await;
        assert_eq!((waits.code(), waits.retry_after()), ("rate_limit_exceeded", Some(5)));
        let beside = pass(&desk, &context, CENT, 4 * CENT).await;
        assert_eq!((beside.limits[0].reserved, beside.limits[0].remaining()), (6 * CENT, 4 * CENT));
        settle(&desk, &first, &used(6 * CENT, 1)).await.unwrap();
        settle(&desk, &beside, &used(4 * CENT, 1)).await.unwrap();
    }
);

on_both!(
    fn each_budget_is_passed_by_one_request_of_its_own_holder_and_window(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let mine = context(&desk, &issued).await;
        let other = desk.create(&at, form("other")).await.unwrap();
        let others = context(&desk, &other).await;
        for (kind, id) in [("key", issued.id.to_string()), ("key", other.id.to_string())] {
            budget(&desk, &at, kind, &id, "day", 10 * CENT).await;
        }
        pass(&desk, &mine, CENT, 100 * CENT).await;
        // Another key's budget knows nothing of it; the organisation's does.
        let one = pass(&desk, &others, CENT, 100 * CENT).await;
        release(&desk, one.request()).await.unwrap();
        budget(&desk, &at, "org", at.org.id.as_str(), "total", 20 * CENT).await;
        assert_eq!(stop(&desk, &others, CENT, 100 * CENT).await.reason(), Some("budget_org"));
        pass(&desk, &others, CENT, 20 * CENT).await;
    }
);

on_both!(
    fn random_requests_pass_exactly_when_all_but_the_dearest_fit_at_their_worst(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let limit = 200;
        budget(&desk, &at, "key", issued.id.as_str(), "total", limit).await;
        let mut dice = Dice::new(23);
        let (mut spent, mut open, mut stopped) = (0, Vec::new(), 0);
        for turn in 0..600 {
            if dice.below(3) == 0 && !open.is_empty() {
                let (one, _, worst): (Reservation, i64, i64) =
                    open.swap_remove(dice.below(open.len() as u64) as usize);
                let cost = dice.below(worst as u64 + 1) as i64;
                settle(&desk, &one, &used(cost, 1)).await.unwrap();
                spent += cost;
            } else {
                let worst = dice.below(120) as i64;
                let likely = dice.below(worst as u64 + 1) as i64;
                let likely_sum: i64 = open.iter().map(|(_, likely, _)| likely).sum::<i64>() + likely;
                let worst_sum: i64 = open.iter().map(|(_, _, worst)| worst).sum::<i64>() + worst;
                let largest = open.iter().map(|(_, _, worst)| *worst).max().unwrap_or(0).max(worst);
                let fits =
                    spent < limit && spent + likely_sum <= limit && spent + worst_sum - largest <= limit;
                match reserve(&desk, &context, &ask(&desk, likely, worst)).await {
                    Ok(one) => {
                        assert!(fits, "turn {turn}");
                        open.push((one, likely, worst));
                    }
                    Err(_) => {
                        assert!(!fits, "turn {turn}");
                        stopped += 1;
                    }
                }
            }
            if spent >= limit && open.is_empty() {
                // A fresh budget.
                for table in ["counters", "usage", "spend_daily"] {
                    desk.execute(&format!("DELETE FROM {table}")).await.unwrap();
                }
                spent = 0;
            }
            assert!(spent <= limit + 120);
        }
        assert!(stopped > 50, "only {stopped} were stopped");
    }
);

/// What clients send and what it truly uses: its name, prices, input as expected and at most, its maximum of output, and
/// how much of each meter.
type Shape = (&'static str, &'static str, (i64, i64), Option<i64>, &'static [(Meter, i64)]);

const GPT: &str = r#"{"input":"1.25","cached_input":"0.125","output":"10"}"#;
const GPT_6: &str = r#"{"input":"2","cached_input":"0.2","cache_write_short":"2.5","cache_write_long":"5","output":"10",
    "lines":[{"above":272000,"input":"4","cached_input":"0.4","cache_write_short":"5","cache_write_long":"10","output":"15"}]}"#;
const OPUS: &str =
    r#"{"input":"4","cached_input":"0.4","cache_write_short":"5","cache_write_long":"8","output":"20"}"#;
const SONNET: &str =
    r#"{"input":"3","cached_input":"0.3","cache_write_short":"3.75","cache_write_long":"6","output":"15"}"#;
const GEMINI: &str = r#"{"input":"2","cached_input":"0.2","audio_input":"3","output":"12","image_output":"30",
    "lines":[{"above":200000,"input":"4","cached_input":"0.4","output":"18"}]}"#;

const SHAPES: &[Shape] = &[
    ("plain", GPT, (1_100, 1_100), Some(4_000), &[(Meter::Input, 1_000), (Meter::Output, 200)]),
    (
        "reasoning without a maximum",
        GPT,
        (40, 60),
        None,
        &[(Meter::Input, 40), (Meter::Reasoning, 5_900), (Meter::Output, 100)],
    ),
    (
        "cached",
        GPT,
        (10_500, 10_500),
        None,
        &[(Meter::Input, 784), (Meter::CachedInput, 9_216), (Meter::Output, 200)],
    ),
    ("embeddings", GPT, (60_000, 60_000), Some(0), &[(Meter::Input, 50_000)]),
    (
        "written for twelve hours",
        GPT_6,
        (18_500, 18_500),
        None,
        &[(Meter::Input, 3), (Meter::CacheWriteLong, 18_011), (Meter::Output, 5)],
    ),
    (
        "above a line",
        GPT_6,
        (320_000, 320_000),
        None,
        &[(Meter::Input, 200_000), (Meter::CachedInput, 100_000), (Meter::Output, 2_000)],
    ),
    (
        "Claude Code's first turn",
        OPUS,
        (30_000, 90_000),
        Some(32_000),
        &[(Meter::Input, 12), (Meter::CacheWriteShort, 25_000), (Meter::Output, 60)],
    ),
    (
        "an agent's turn",
        SONNET,
        (180_000, 540_000),
        Some(64_000),
        &[
            (Meter::Input, 12),
            (Meter::CachedInput, 150_000),
            (Meter::CacheWriteLong, 2_000),
            (Meter::Output, 600),
        ],
    ),
    ("a model's maximum", OPUS, (10, 60), Some(128_000), &[(Meter::Input, 8), (Meter::Output, 90_000)]),
    (
        "Gemini's thoughts and images",
        GEMINI,
        (9_000, 30_000),
        Some(65_000),
        &[(Meter::AudioInput, 9_900), (Meter::Reasoning, 700), (Meter::ImageOutput, 1_290)],
    ),
];

on_both!(
    fn forty_requests_at_once_pay_no_more_than_is_promised_in_any_shape(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = Arc::new(context(&desk, &issued).await);
        budget(&desk, &at, "key", issued.id.as_str(), "total", HALF_DOLLAR).await;
        for overshoot in ["one_request", "none"] {
            desk.execute(&format!("UPDATE orgs SET overshoot = '{overshoot}'")).await.unwrap();
            for (name, prices, (likely, most), output, counts) in SHAPES {
                let tariff = serde_json::from_str(prices).unwrap();
                let model =
                    Model { price: Some(Price::unrecorded(tariff)), ..Model::unrouted("m", "Vendor") };
                let asked = AskedUse::of(InputTokens { likely: *likely, max: *most }, *output);
                let expected = ExpectedUse::new(&model, &asked, None);
                let counts = counts.iter().fold(Counts::NONE, |all, (meter, count)| all.with(*meter, *count));
                let truth = model.cost(&counts.into()).amount.nanos();
                let [likely, worst] =
                    [expected.likely_cost(&model), expected.worst_cost(&model)].map(Money::nanos);
                assert!(truth <= worst, "{name} costs more than its worst");
                // As it truly is, and as dear as it can be.
                for cost in [truth, worst] {
                    let mut tasks = JoinSet::new();
                    for _ in 0..40 {
                        let (desk, context) = (desk.clone(), context.clone());
                        tasks.spawn(async move {
                            for _ in 0..25 {
                                match reserve(&desk, &context, &ask(&desk, likely, worst)).await {
                                    Ok(one) => {
                                        tokio::time::sleep(Duration::from_millis(3)).await;
                                        settle(&desk, &one, &used(cost, 1)).await.unwrap();
                                        return true;
                                    }
                                    Err(AdmissionError::Rejected(why, _)) if why.retry_after().is_some() => {
                                        assert_eq!(why.code(), "rate_limit_exceeded");
                                        tokio::time::sleep(Duration::from_millis(2)).await;
                                    }
                                    Err(AdmissionError::Rejected(why, _)) => {
                                        assert_eq!(why.code(), "insufficient_quota");
                                        return false;
                                    }
                                    Err(other) => panic!("{other}"),
                                }
                            }
                            false
                        });
                    }
                    let passed = tasks.join_all().await.into_iter().filter(|passed| *passed).count() as i64;
                    let spent = desk.number("SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM usage").await;
                    assert_eq!(spent, passed * cost, "{name}");
                    let allowed = if overshoot == "none" { HALF_DOLLAR } else { HALF_DOLLAR + worst };
                    assert!(spent <= allowed, "{name}: {spent} of {allowed}");
                    let fits = if overshoot == "none" { worst } else { likely } <= HALF_DOLLAR;
                    assert_eq!(passed > 0, fits, "{name}: {passed} passed, likely {likely}, worst {worst}");
                    for table in ["counters", "usage", "spend_daily"] {
                        desk.execute(&format!("DELETE FROM {table}")).await.unwrap();
                    }
                }
            }
        }
    }
);

/// What a request with so much input and this maximum reserves of a model at Opus' prices, for this key.
fn expect(desk: &Desk, context: &AuthContext, input: i64, output: Option<i64>) -> ReservationRequest {
    let tariff = serde_json::from_str(OPUS).unwrap();
    let model = Model { price: Some(Price::unrecorded(tariff)), ..Model::unrouted("opus", "Vendor") };
    let asked = AskedUse::of(InputTokens { likely: input, max: 3 * input }, output);
    let expected = expected_use(desk, context, &model, &asked);
    ReservationRequest::new(RequestId::new(desk.now(), desk.id_entropy()), &model, &expected)
}

/// An answer of so many tokens at Opus' prices.
fn answered(output: i64) -> Settlement {
    let bill = Bill::of_cost(Counts::of_totals(10, 0, output), Money::from_nanos(output * 20_000));
    Settlement { bill, ..used(0, 0) }
}

on_both!(
    fn no_answer_locks_a_key_out_of_what_is_left(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", HALF_DOLLAR).await;
        let rate = format!("UPDATE keys SET tpm = 15000 WHERE id = '{}'", issued.id);
        let claude = || expect(&desk, &context, 10, Some(32_000));
        let first = reserve(&desk, &context, &claude()).await.unwrap();
        settle(&desk, &first, &answered(20_000)).await.unwrap();
        // Another such answer would cost $0.40, and $0.10 is left: half of it is set aside, and the rest is for others.
        assert!(claude().amount.nanos() > 40 * CENT);
        let second = reserve(&desk, &context, &claude()).await.unwrap();
        let held = desk.number("SELECT amount FROM reservations").await;
        assert!((4 * CENT..6 * CENT).contains(&held), "{held}");
        let beside = stop(&desk, &context, 6 * CENT, 6 * CENT).await;
        assert_eq!((beside.code(), beside.retry_after()), ("rate_limit_exceeded", Some(5)));
        // One answer above the rest of the day, then the days after.
        settle(&desk, &second, &answered(128_000)).await.unwrap();
        let used_up = reserve(&desk, &context, &claude()).await.unwrap_err();
        assert!(matches!(used_up, AdmissionError::Rejected(why, _) if why.code() == "insufficient_quota"));
        desk.clock.advance(24 * 60 * MINUTE);
        assert_eq!(claude().tokens, 10 + 4_096);
        desk.execute(&rate).await.unwrap();
        for _ in 0..3 {
            let next = reserve(&desk, &context, &claude()).await.unwrap();
            settle(&desk, &next, &answered(30_000)).await.unwrap();
            // More tokens than a minute may have: the next minute has room all the same.
            for table in ["counters", "usage", "spend_daily"] {
                desk.execute(&format!("DELETE FROM {table}")).await.unwrap();
            }
            desk.clock.advance(2 * MINUTE);
            assert!(claude().tokens > 15_000);
        }
        // What is certain about a request has to fit: its input.
        let long = expect(&desk, &context, 110_000, Some(32_000));
        let too_long = reserve(&desk, &context, &long).await.unwrap_err();
        assert!(matches!(too_long, AdmissionError::Rejected(why, _) if why.code() == "insufficient_quota"));
    }
);

on_both!(
    fn what_follows_from_a_settlement_is_noted_once_and_not_from_an_estimate(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let likely = || expect(&desk, &context, 10, Some(32_000)).tokens;
        let first = reserve(&desk, &context, &expect(&desk, &context, 10, None)).await.unwrap();
        let mut estimated = answered(128_000);
        estimated.bill.is_estimated = true;
        settle(&desk, &first, &estimated).await.unwrap();
        assert!(!settle(&desk, &first, &answered(9_000)).await.unwrap());
        assert_eq!(likely(), 10 + 4_096);
        let second = reserve(&desk, &context, &expect(&desk, &context, 10, None)).await.unwrap();
        settle(&desk, &second, &answered(9_000)).await.unwrap();
        assert_eq!(likely(), 10 + 9_000);
    }
);

on_both!(
    fn two_processes_on_one_database_pass_a_budget_by_one_request_at_most(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = Arc::new(context(&desk, &issued).await);
        budget(&desk, &at, "key", issued.id.as_str(), "total", HALF_DOLLAR).await;
        // It shares nothing with the first one but the database: no queue, and no memory of what was used.
        let random = Arc::new(Seeded::new(7));
        let second = Desk::new(Db::open(&desk.url).await.unwrap(), desk.clock.clone(), random);
        let (likely, worst) = (CENT, 30 * CENT);
        for cost in [likely, worst] {
            let mut tasks = JoinSet::new();
            for number in 0..40 {
                let own = if number % 2 == 0 { Desk::clone(&desk) } else { second.clone() };
                let context = context.clone();
                tasks.spawn(async move {
                    let mut passed = 0;
                    for _ in 0..30 {
                        let request = RequestId::new(own.now(), own.id_entropy());
                        let [amount, worst] = [likely, worst].map(Money::from_nanos);
                        let presumed = Presumed::default();
                        let model = "gpt-5".into();
                        let asked = ReservationRequest {
                            request,
                            model,
                            amount,
                            worst,
                            tokens: 0,
                            presumed,
                            is_priced: true,
                        };
                        match reserve(&own, &context, &asked).await {
                            Ok(one) => {
                                tokio::time::sleep(Duration::from_millis(2)).await;
                                settle(&own, &one, &used(cost, 1)).await.unwrap();
                                passed += 1;
                            }
                            Err(AdmissionError::Rejected(why, _)) if why.retry_after().is_some() => {
                                tokio::time::sleep(Duration::from_millis(5)).await;
                            }
                            Err(AdmissionError::Rejected(..)) => break,
                            Err(other) => panic!("{other}"),
                        }
                    }
                    passed
                });
            }
            let passed: i64 = tasks.join_all().await.into_iter().sum();
            let spent = desk.number("SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM usage").await;
            assert_eq!(spent, passed * cost);
            assert!(passed > 1 && spent <= HALF_DOLLAR + worst, "{spent}");
            for table in ["counters", "usage", "spend_daily"] {
                desk.execute(&format!("DELETE FROM {table}")).await.unwrap();
            }
        }
    }
);

/// Another gateway that knows one amount reserves it as the worst too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_version_of_the_function_never_passes_a_budget() {
    on_postgres(|desk: TestDesk| async move {
        let Db::Postgres(pool, _) = &desk.db else { unreachable!() };
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", 10 * CENT).await;
        let starts = WindowStarts::at(desk.now(), context.zone());
        let fits = async |amount: i64| {
            let rows: Vec<(bool,)> = sqlx::query_as(
                "SELECT fits FROM keydesk_reserve_v1($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10, 'gpt-5', $11)",
            )
            .bind(at.org.id.as_str())
            .bind(issued.id.as_str())
            .bind(context.team().map(|team| team.as_str()))
            .bind(amount)
            .bind(desk.now().ms())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(RequestId::new(desk.now(), desk.id_entropy()).as_str())
            .bind(context.secret().as_str())
            .bind(desk.now().ms() + 120_000)
            .fetch_all(pool)
            .await
            .unwrap();
            rows.into_iter().all(|(fits,)| fits)
        };
        assert!(!fits(11 * CENT).await);
        assert!(fits(6 * CENT).await);
        assert!(!fits(5 * CENT).await);
        assert_eq!(desk.numbers("SELECT worst FROM reservations").await, [6 * CENT]);
        // One that may cost more than is left passes beside it, but no second one.
        pass(&desk, &context, CENT, 100 * CENT).await;
        assert_eq!(stop(&desk, &context, CENT, 100 * CENT).await.retry_after(), Some(5));
        assert!(fits(3 * CENT).await);
        assert!(!fits(2 * CENT).await);
    })
    .await;
}
