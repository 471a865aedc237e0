//! Requests that are settled together leave what each alone would leave, whatever is among them.

use std::time::Duration;

// sqlx here: locks keep settlements waiting.
use keydesk_core::Desk;
use keydesk_core::admission::{reserve, settle};
use keydesk_core::domain::failover::Attempt;
use keydesk_core::domain::ids::{KeyId, ProviderId, RequestId};
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::provider_failure::ProviderFailure;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::forms::parts::LimitFields;
use keydesk_core::ops::verify_spend;
use keydesk_core::store::spend::Usage;
use keydesk_core::store::{Conn, Db, StoreError, Unaudited, Via, settlement};
use sqlx::Executor;
use tokio::task::JoinSet;

use crate::meter::{CENT, ask, budget, context, open_key, used};
use crate::support::*;

/// A request that is over, with the time zone of its organisation.
#[derive(Clone)]
struct Ended {
    usage: Usage,
    attempts: Vec<Attempt>,
    zone: Zone,
}

impl Ended {
    fn new(usage: Usage, at: &At) -> Self {
        Self { usage, attempts: Vec::new(), zone: at.org.zone.clone() }
    }

    async fn settle(&self, desk: &Desk) -> Result<bool, StoreError> {
        desk.settlements.settle(&desk.db, &self.usage, &self.attempts, &self.zone).await
    }
}

/// Settles all of them while the database is busy: the first one is written alone, and the others together after it.
/// Answers in their order.
async fn together(desk: &TestDesk, requests: &[Ended]) -> Vec<Result<bool, StoreError>> {
    let mut busy = desk.db.write().await.unwrap();
    if let Conn::Postgres(conn, _) = busy.conn() {
        conn.execute("LOCK TABLE usage IN EXCLUSIVE MODE").await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for (place, request) in requests.iter().cloned().enumerate() {
        let desk = Desk::clone(desk);
        tasks.spawn(async move { (place, request.settle(&desk).await) });
        if place == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    busy.save_unaudited(Unaudited::Usage).await.unwrap();
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// In how many transactions the rows were written; SQLite does not say.
async fn transactions(desk: &TestDesk) -> Option<i64> {
    match &desk.db {
        Db::Sqlite { .. } => None,
        Db::Postgres(..) => Some(desk.number("SELECT COUNT(DISTINCT CAST(xmin AS TEXT)) FROM usage").await),
    }
}

const WRITTEN: [&str; 12] = [
    "SELECT request_id || org_id || key_id || secret_id || COALESCE(team_id, '-') || owner_id || model_id || route || status || ' '
        || input_tokens || ' ' || output_tokens || ' ' || cached_tokens || ' ' || cost || ' ' || started_at || ' ' || latency_ms
        || ' ' || COALESCE(CAST(first_byte_ms AS TEXT), '-') || address || user_agent || estimated || error || meters
        || COALESCE(price_id, '-') || is_priced || tags || booked || provider FROM usage",
    "SELECT request_id || tag || org_id || at FROM usage_tags",
    "SELECT request_id || ' ' || number || org_id || provider_id || provider_name || ' ' || began_at || ' ' || latency_ms || ' '
        || status || kind FROM request_attempts",
    "SELECT holder_kind || holder_id || period || window_start || org_id || ' ' || spent || ' ' || requests || ' ' || tokens FROM counters",
    "SELECT key_id || day || model_id || provider || team_id || owner_id || org_id || ' ' || requests || ' ' || input_tokens || ' '
        || output_tokens || ' ' || cached_tokens || ' ' || cost FROM spend_daily",
    "SELECT holder_id || grain || bucket || model_id || provider || org_id || ' ' || requests || ' ' || input_tokens || ' '
        || output_tokens || ' ' || cached_tokens || ' ' || cost FROM rollups",
    "SELECT key_id || tag || org_id || ' ' || number FROM key_tags",
    "SELECT key_id || day || tag || model_id || team_id || owner_id || org_id || ' ' || requests || ' ' || input_tokens || ' '
        || output_tokens || ' ' || cached_tokens || ' ' || cost FROM tag_daily",
    "SELECT holder_kind || holder_id || period || window_start || level FROM budget_marks",
    "SELECT holder_kind || holder_id || second || ' ' || requests || ' ' || tokens FROM rate_counts",
    "SELECT request_id FROM reservations",
    "SELECT id || ' ' || COALESCE(first_used_at, 0) FROM key_secrets",
];

async fn written(desk: &TestDesk) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for table in WRITTEN {
        let mut rows = desk.texts(table).await;
        rows.sort();
        all.push(rows);
    }
    all
}

async fn forget(desk: &TestDesk) {
    for table in [
        "usage_tags",
        "request_attempts",
        "usage",
        "counters",
        "spend_daily",
        "rollups",
        "key_tags",
        "tag_daily",
        "budget_marks",
        "rate_counts",
        "reservations",
    ] {
        desk.execute(&format!("DELETE FROM {table}")).await.unwrap();
    }
    desk.execute("UPDATE key_secrets SET first_used_at = NULL").await.unwrap();
}

/// Makes the reservation of a request, and counts its tokens where its key and its team have a limit of them.
async fn reserved(desk: &TestDesk, usage: &Usage, tokens: i64, lease_ms: i64) {
    let at = usage.started_at.ms();
    let team = usage.team.as_ref().map_or("NULL".to_owned(), |team| format!("'{team}'"));
    desk.execute(&format!(
        "INSERT INTO reservations (request_id, org_id, key_id, team_id, secret_id, model_id, amount, worst, tokens, reserved_at, expires_at)
        VALUES ('{}', '{}', '{}', {team}, '{}', '{}', 1, 1, {tokens}, {at}, {})",
        usage.request,
        usage.org,
        usage.key,
        usage.secret,
        usage.model,
        at + lease_ms
    ))
    .await
    .unwrap();
    let holders =
        [Some(("key", usage.key.as_str())), usage.team.as_ref().map(|team| ("team", team.as_str()))];
    for (kind, id) in holders.into_iter().flatten() {
        desk.execute(&format!(
            "INSERT INTO rate_counts (holder_kind, holder_id, second, requests, tokens) VALUES ('{kind}', '{id}', {}, 1, {tokens})
            ON CONFLICT (holder_kind, holder_id, second) DO UPDATE SET requests = rate_counts.requests + 1,
                tokens = rate_counts.tokens + excluded.tokens",
            at / 1_000
        ))
        .await
        .unwrap();
    }
}

/// Requests of four keys, two of them in a team, in two organisations of different zones, on several days.
async fn many(desk: &TestDesk) -> Vec<Ended> {
    let at = desk.owner().await;
    let other = desk.other_org("Other", "Asia/Tokyo").await;
    keydesk_core::ops::catalogue::seed(desk).await.unwrap();
    let team = desk.team(&at, "Crew").await;
    let in_team = |name| KeyForm { team: team.id.to_string(), ..form(name) };
    let keys = [
        (&at, desk.create(&at, in_team("one")).await.unwrap()),
        (&at, desk.create(&at, in_team("two")).await.unwrap()),
        (&at, desk.create_key(&at, "alone").await),
        (&other, desk.create_key(&other, "theirs").await),
    ];
    desk.execute("DELETE FROM budgets").await.unwrap();
    for (kind, id, period, amount) in [
        ("key", keys[0].1.id.as_str(), "total", 15_000),
        ("key", keys[0].1.id.as_str(), "day", 3_000),
        ("key", keys[2].1.id.as_str(), "month", 18_000),
        ("team", team.id.as_str(), "week", 20_000),
        ("org", at.org.id.as_str(), "total", 45_000),
    ] {
        budget(desk, &at, kind, id, period, amount).await;
    }
    let mut requests = Vec::new();
    for n in 0..80_i64 {
        let (at, key) = &keys[(n % 4) as usize];
        let started_at = desk.now().plus_ms(n / 8 * 7 * 3_600_000 + n);
        let mut usage = desk.usage(at, key, 1_000 + n, started_at).await;
        usage.team = (n % 4 < 2).then(|| team.id.clone());
        usage.model = if n % 3 == 0 { "gpt-5" } else { "gone" }.into();
        usage.bill.metered = Counts::of_totals(n, n / 2, 7).into();
        usage.error = if n % 5 == 0 { "It said \"no\" \\ and left".into() } else { String::new() };
        // More than a hundred names of a key.
        usage.tags = (0..n % 12).map(|tag| format!("run={n} \"{tag}\"")).chain(["ci".to_owned()]).collect();
        if n % 7 == 0 {
            usage.tags.clear();
        }
        let mut ended = Ended::new(usage, at);
        for status in 0..n % 3 {
            ended.attempts.push(Attempt {
                provider: ProviderId::new(started_at, desk.id_entropy()),
                provider_name: "Far \"1\"".into(),
                began_at: started_at,
                latency_ms: n,
                status: 500 + status,
                failure: (status == 0).then_some(ProviderFailure::Failed),
            });
        }
        requests.push(ended);
    }
    requests.sort_by(|a, b| a.usage.request.cmp(&b.usage.request));
    requests
}

async fn reserve_most(desk: &TestDesk, requests: &[Ended]) {
    for (n, request) in (0..).zip(requests) {
        // Every fifth has none, and others have one that is over.
        if n % 5 != 0 {
            reserved(desk, &request.usage, 10 + n, if n % 3 == 0 { -1 } else { 120_000 }).await;
        }
    }
}

on_both!(
    fn a_batch_leaves_what_its_requests_leave_one_by_one(desk: TestDesk) {
        let requests = many(&desk).await;
        reserve_most(&desk, &requests).await;
        for answer in together(&desk, &requests).await {
            assert!(answer.unwrap());
        }
        assert!(transactions(&desk).await.is_none_or(|count| count == 2));
        let at_once = written(&desk).await;
        assert_eq!(at_once[0].len(), requests.len());
        assert!(at_once[8].len() > 3, "{:?}", at_once[8]);
        assert!(at_once[10].is_empty(), "reservations have ended");
        for report in verify_spend::spend_of_all(&desk).await.unwrap() {
            assert!(report.adds_up(), "{:?}", report.differences);
        }

        forget(&desk).await;
        reserve_most(&desk, &requests).await;
        for request in &requests {
            assert!(request.settle(&desk).await.unwrap());
        }
        for ((table, at_once), one_by_one) in WRITTEN.iter().zip(at_once).zip(written(&desk).await) {
            assert_eq!(at_once, one_by_one, "{table}");
        }
    }
);

on_both!(
    fn a_request_counts_once_in_one_batch_and_in_two(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut requests = Vec::new();
        for n in 0..4 {
            requests.push(Ended::new(desk.usage(&at, &issued, 10, desk.now().plus_ms(n)).await, &at));
        }
        // The second one is there three times; its second caller says something else of it.
        let mut other = requests[1].clone();
        other.usage.status = 500;
        requests.extend([other, requests[1].clone()]);
        let answers: Vec<bool> =
            together(&desk, &requests).await.into_iter().map(|answer| answer.unwrap()).collect();
        let times = [1, 4, 5].iter().filter(|place| answers[**place]).count();
        assert_eq!((times, answers[0], answers[2], answers[3]), (1, true, true, true));
        let before = written(&desk).await;
        for request in &requests {
            reserved(&desk, &request.usage, 3, 120_000).await;
            assert!(!request.settle(&desk).await.unwrap());
            desk.execute("DELETE FROM rate_counts").await.unwrap();
        }
        assert!(together(&desk, &requests).await.into_iter().all(|answer| !answer.unwrap()));
        if let Db::Postgres(..) = &desk.db {
            let usage = &requests[2].usage;
            let again = format!(
                "SELECT CAST(keydesk_settle_v1('{}', '{}', '{}', '{}', NULL, 'gpt-5', '', 200, 1, 2, 0, 3, {}, 4, NULL, '', '', 0,
                    w.month_start, w.week_start, w.day_start, w.day) AS TEXT)
                FROM keydesk_windows_v1('{}', {}) w",
                usage.request,
                usage.org,
                usage.key,
                usage.secret,
                usage.started_at.ms(),
                at.org.zone.name(),
                usage.started_at.ms()
            );
            assert_eq!(desk.texts(&again).await, ["false"]);
        }
        assert_eq!(written(&desk).await, before);
        assert_eq!(desk.numbers("SELECT DISTINCT requests FROM counters").await, [4]);
    }
);

on_both!(
    fn a_request_that_cannot_be_written_does_not_affect_its_neighbours(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut requests = Vec::new();
        for n in 0..40 {
            requests.push(Ended::new(desk.usage(&at, &issued, 10, desk.now().plus_ms(n)).await, &at));
        }
        for place in [7, 23] {
            requests[place].usage.key = KeyId::new(desk.now(), desk.id_entropy());
        }
        for (place, answer) in together(&desk, &requests).await.into_iter().enumerate() {
            match place {
                7 | 23 => assert!(!answer.unwrap_err().is_outage(), "{place}"),
                _ => assert!(answer.unwrap(), "{place}"),
            }
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 38);
        assert!(verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().adds_up());
        // And the next one is settled.
        assert!(requests[0].clone().settle(&desk).await.is_ok());
    }
);

on_both!(
    fn callers_wait_where_more_end_than_may_wait(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let usage = desk.usage(&at, &issued, 10, desk.now()).await;
        let mut requests = vec![Ended::new(usage.clone(), &at)];
        for n in 1..1_500 {
            let request = RequestId::new(desk.now().plus_ms(n), desk.id_entropy());
            requests.push(Ended::new(Usage { request, ..usage.clone() }, &at));
        }
        assert!(together(&desk, &requests).await.into_iter().all(|answer| answer.unwrap()));
        assert_eq!(desk.numbers("SELECT DISTINCT requests FROM counters").await, [1_500]);
        // At most 256 together.
        assert!(transactions(&desk).await.is_none_or(|count| (7..30).contains(&count)));
        assert!(verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().adds_up());
    }
);

on_both!(
    fn three_hundred_requests_at_once_add_up(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "Asia/Tokyo").await;
        let first = open_key(&desk, &at).await;
        let without = |name| KeyForm { limits: LimitFields::of(&[], &Limits::default()), ..form(name) };
        let keys = [
            first,
            desk.create(&at, without("second")).await.unwrap(),
            desk.create(&other, without("theirs")).await.unwrap(),
        ];
        budget(&desk, &at, "org", at.org.id.as_str(), "month", 300 * CENT).await;
        desk.execute("UPDATE keys SET rpm = 1000, tpm = 100000; UPDATE teams SET tpm = 100000")
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        for n in 0..300 {
            let context = context(&desk, &keys[n % 3]).await;
            let (asked, desk) = (ask(&desk, CENT, 9), Desk::clone(&desk));
            tasks.spawn(async move {
                let one = reserve(&desk, &context, &asked).await.unwrap();
                let mut used = used(CENT / 2, 5);
                used.tags = vec![format!("job={}", n % 20)];
                assert!(settle(&desk, &one, &used).await.unwrap());
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        for report in verify_spend::spend_of_all(&desk).await.unwrap() {
            assert!(report.adds_up(), "{:?}", report.differences);
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0);
        let tokens = "SELECT CAST(SUM(tokens) AS BIGINT) FROM rate_counts WHERE holder_kind = 'key'";
        assert_eq!(desk.number(tokens).await, 1_500, "five of each, and not nine");
    }
);

on_both!(
    /// Nothing gives up its place here: with rows in another order, one of the two would be ended as a deadlock.
    fn two_gateways_that_settle_the_same_keys_in_opposite_order_only_wait(desk: TestDesk) {
        let at = desk.owner().await;
        let mut keys = Vec::new();
        for n in 0..6 {
            keys.push(desk.create_key(&at, &format!("key {n}")).await);
        }
        let mut of_keys = Vec::new();
        for key in &keys {
            of_keys.push(desk.usage(&at, key, 10, desk.now()).await);
        }
        let mut tasks = JoinSet::new();
        for gateway in 0..2 {
            let (desk, mut of_keys, zone) = (Desk::clone(&desk), of_keys.clone(), at.org.zone.clone());
            if gateway == 1 {
                of_keys.reverse();
            }
            tasks.spawn(async move {
                for n in 0..60 {
                    let mut requests = Vec::new();
                    for usage in &of_keys {
                        let started_at = usage.started_at.plus_ms(n * 3_600_000);
                        let request = RequestId::new(started_at, desk.id_entropy());
                        let tags = vec![format!("run={gateway} {}", n % 9), "ci".into()];
                        requests.push(Usage { request, started_at, tags, ..usage.clone() });
                    }
                    let mut tx = desk.db.write().await.unwrap();
                    settlement::record(&mut tx, &requests, &zone).await.unwrap();
                    tx.save_unaudited(Unaudited::Usage).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 720);
        assert!(verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().adds_up());
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organisation_whose_rows_are_locked_does_not_keep_the_others_waiting() {
    on_postgres(|desk: TestDesk| async move {
        let places = [desk.owner().await, desk.other_org("Other", "Asia/Tokyo").await];
        let mut requests = Vec::new();
        for n in 0..20 {
            let at = &places[n % 2];
            let issued = desk.create_key(at, &format!("key {n}")).await;
            requests.push(Ended::new(desk.usage(at, &issued, 10, desk.now()).await, at));
        }
        // So that there are rows to lock.
        for request in &requests[..2] {
            assert!(request.settle(&desk).await.unwrap());
        }
        let mut person = desk.db.write().await.unwrap();
        if let Conn::Postgres(conn, _) = person.conn() {
            let lock = format!(
                "SELECT 1 FROM counters WHERE holder_kind = 'org' AND holder_id = '{}' FOR UPDATE",
                places[0].org.id
            );
            conn.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
        }
        let mut tasks = [JoinSet::new(), JoinSet::new()];
        for (n, request) in requests.iter().cloned().enumerate().skip(2) {
            let desk = Desk::clone(&desk);
            tasks[n % 2].spawn(async move {
                // As a gateway does.
                while let Err(error) = request.settle(&desk).await {
                    assert!(error.is_outage(), "{error}");
                }
                true
            });
        }
        let [locked, free] = tasks;
        assert_eq!(free.join_all().await, [true; 9]);
        let of_locked = format!("SELECT COUNT(*) FROM usage WHERE org_id = '{}'", places[0].org.id);
        assert_eq!(desk.number(&of_locked).await, 1, "they still wait");
        drop(person);
        assert_eq!(locked.join_all().await, [true; 9]);
        for report in verify_spend::spend_of_all(&desk).await.unwrap() {
            assert!(report.adds_up(), "{:?}", report.differences);
        }
    })
    .await;
}
