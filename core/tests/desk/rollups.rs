//! What is added up from requests equals them: roll-ups, tags, and marks of budgets.

use keydesk_core::domain::limits::Budget;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::seed;

use crate::support::*;

fn at_utc(text: &str) -> Moment {
    Moment::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// The roll-ups, and what the rows come to by the buckets that they name.
async fn rollups_and_rows(desk: &TestDesk) -> (Vec<String>, Vec<String>) {
    let shown = "bucket || ' ' || model_id || ' ' || provider || '=' || requests || ' ' || input_tokens || ' ' || output_tokens || ' '
        || cached_tokens || ' ' || cost";
    let stored = desk
        .texts(&format!("SELECT org_id || ' ' || holder_id || ' ' || grain || ' ' || {shown} FROM rollups"))
        .await;
    let mut summed = Vec::new();
    for holder in ["key_id", "owner_id", "team_id", "org_id"] {
        for (grain, length) in [("hour", 13), ("day", 10), ("month", 7)] {
            let sums = format!(
                "SELECT org || ' ' || {holder} || ' {grain} ' || {shown} FROM (
                    SELECT org_id AS org, {holder}, substr(booked, 1, {length}) AS bucket, model_id, provider, COUNT(*) AS requests,
                        SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens, SUM(cached_tokens) AS cached_tokens,
                        SUM(cost) AS cost
                    FROM usage WHERE {holder} IS NOT NULL GROUP BY 1, 2, 3, 4, 5) sums"
            );
            summed.extend(desk.texts(&sums).await);
        }
    }
    (sorted(stored), sorted(summed))
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

on_both!(
    fn who_owns_keys_in_two_organisations_has_rollups_in_each(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let keys = [desk.create_key(&at, "here").await, desk.create_key(&other, "there").await];
        desk.execute("UPDATE keys SET owner_id = (SELECT owner_id FROM keys WHERE name = 'here')")
            .await
            .unwrap();
        let moment = at_utc("2026-10-25T12:30:00Z");
        for (at, key) in [(&at, &keys[0]), (&other, &keys[1]), (&other, &keys[1])] {
            let usage = desk.usage(at, key, 7, moment).await;
            assert!(record(&desk, &usage).await.unwrap());
        }
        let (stored, summed) = rollups_and_rows(&desk).await;
        assert_eq!(stored, summed);
        let of_owner =
            "SELECT requests FROM rollups WHERE holder_kind = 'owner' AND grain = 'month' ORDER BY requests";
        assert_eq!(desk.numbers(of_owner).await, [1, 2]);
    }
);

on_both!(
    fn rollups_are_the_sums_of_requests_in_the_hours_they_were_made_in(desk: TestDesk) {
        let at = desk.owner().await;
        keydesk_core::ops::catalogue::seed(&desk).await.unwrap();
        let team = desk.team(&at, "One").await;
        let keys = [
            desk.create_key(&at, "alone").await,
            desk.create(&at, KeyForm { team: team.id.to_string(), ..form("in a team") }).await.unwrap(),
        ];
        // The hour that Zurich's clocks repeat, the end of a leap February, and the turn of a year.
        for (n, at_time) in [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2028-02-29T22:59:59Z",
            "2028-02-29T23:00:00Z",
            "2026-12-31T22:59:59Z",
            "2026-12-31T23:00:00Z",
        ]
        .into_iter()
        .enumerate()
        {
            for (which, key) in keys.iter().enumerate() {
                let mut usage = desk.usage(&at, key, 7 + n as i64, at_utc(at_time)).await;
                usage.team = (which == 1).then(|| team.id.clone());
                usage.model = if n % 2 == 0 { "gpt-5" } else { "gone" }.into();
                usage.bill.metered = Counts::of_totals(n as i64, 0, 3).into();
                assert!(record(&desk, &usage).await.unwrap());
                assert!(!record(&desk, &usage).await.unwrap());
            }
        }
        let hours = desk.texts("SELECT DISTINCT booked FROM usage ORDER BY booked").await;
        assert_eq!(
            hours,
            ["2026-10-25T02", "2026-12-31T23", "2027-01-01T00", "2028-02-29T23", "2028-03-01T00"]
        );
        assert_eq!(
            desk.texts("SELECT DISTINCT provider FROM usage WHERE model_id = 'gpt-5'").await,
            ["OpenAI"]
        );
        let (stored, summed) = rollups_and_rows(&desk).await;
        assert_eq!(stored, summed);
        assert!(stored.len() > 40);

        // In another zone from now on: what is booked stays where it is.
        desk.execute("UPDATE orgs SET zone = 'Asia/Tokyo'").await.unwrap();
        let usage = desk.usage(&at, &keys[0], 5, at_utc("2026-12-31T22:00:00Z")).await;
        assert!(record(&desk, &usage).await.unwrap());
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage WHERE booked = '2027-01-01T07'").await, 1);
        let (stored, summed) = rollups_and_rows(&desk).await;
        assert_eq!(stored, summed);

        // As an update finds it: days and months are there, and hours are filled in once.
        desk.execute("UPDATE orgs SET zone = 'Europe/Zurich'").await.unwrap();
        desk.execute(&format!("DELETE FROM usage WHERE request_id = '{}'", usage.request)).await.unwrap();
        desk.execute(
            "DELETE FROM rollups WHERE grain = 'hour' OR bucket LIKE '2027-01%'; UPDATE usage SET booked = NULL",
        )
        .await
        .unwrap();
        for _ in 0..2 {
            desk.db.migrate().await.unwrap();
        }
        let hour =
            |texts: Vec<String>| texts.into_iter().filter(|text| text.contains(" hour ")).collect::<Vec<_>>();
        let (stored, summed) = rollups_and_rows(&desk).await;
        assert_eq!(hour(stored), hour(summed));
    }
);

on_both!(
    fn a_key_has_a_hundred_tags_of_its_own_and_the_rest_count_together(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut settles = tokio::task::JoinSet::new();
        for n in 0..6 {
            let mut usage = desk.usage(&at, &issued, 10, desk.now()).await;
            // Twenty of its own and one that all have.
            usage.tags =
                (0..20).map(|tag| format!("run \"{n}\" \\ {tag}")).chain(["ci".to_owned()]).collect();
            let desk = desk.clone();
            settles.spawn(async move { assert!(record(&desk, &usage).await.unwrap()) });
        }
        while let Some(done) = settles.join_next().await {
            done.unwrap();
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM key_tags").await, 100);
        let tag = |tag: &'static str| format!("SELECT requests FROM tag_daily WHERE tag = '{tag}'");
        assert_eq!(desk.numbers(&tag("ci")).await, [6]);
        // Once for a request, however many of its tags are among the others.
        let others = desk.number("SELECT requests FROM tag_daily WHERE tag = 'other'").await;
        assert!((2..=6).contains(&others), "{others}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM tag_daily").await, 101);
    }
);

async fn set_budgets(desk: &TestDesk, at: &At, issued: &IssuedKey, month: i64, day: i64) {
    let slug = &at.org.slug;
    let mut spec = desk.show(at, issued).await.spec();
    let budget =
        |period, amount: i64| (amount > 0).then(|| Budget { period, amount: Money::from_nanos(amount) });
    spec.budgets = [budget(Period::Month, month), budget(Period::Day, day)].into_iter().flatten().collect();
    seed::edit_key(desk, &at.caller, slug, &issued.id, &spec).await.unwrap();
}

async fn marks(desk: &TestDesk) -> Vec<String> {
    desk.texts(
        "SELECT holder_kind || ' ' || period || ' ' || level FROM budget_marks ORDER BY holder_kind, period",
    )
    .await
}

on_both!(
    fn a_budget_is_marked_when_it_is_nearly_spent_and_when_it_is(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let spend = async |cost: i64| {
            let usage = desk.usage(&at, &issued, cost, desk.now()).await;
            assert!(record(&desk, &usage).await.unwrap());
        };
        set_budgets(&desk, &at, &issued, 100, 1_000).await;
        spend(79).await;
        assert!(marks(&desk).await.is_empty());
        spend(1).await;
        assert_eq!(marks(&desk).await, ["key month near"]);
        spend(20).await;
        assert_eq!(marks(&desk).await, ["key month reached"]);
        // Of a request that began in the month before, nothing is marked now.
        let before = desk.usage(&at, &issued, 100, desk.now().plus_days(-40)).await;
        assert!(record(&desk, &before).await.unwrap());
        assert_eq!(marks(&desk).await, ["key month reached"]);
        // A larger budget is not reached any more, and a smaller one is.
        set_budgets(&desk, &at, &issued, 120, 50).await;
        assert_eq!(marks(&desk).await, ["key day reached", "key month near"]);
        set_budgets(&desk, &at, &issued, 0, 0).await;
        assert!(marks(&desk).await.is_empty());
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_tell_no_hour_have_it_calculated() {
    on_postgres(|desk: TestDesk| async move {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let secret = desk.secret_id(&issued).await;
        for (n, when, day) in [(1, "2026-10-25T01:30:00Z", "2026-10-25"), (2, "2026-11-30T23:30:00Z", "2026-12-01")] {
            let ms = at_utc(when).ms();
            desk.execute(&format!(
                "SELECT keydesk_settle_v1('req_0000000000000000000000000000000{n}', '{}', '{}', '{secret}', NULL, 'gpt-5', '', 200,
                    1, 2, 0, 3, {ms}, 4, NULL, '', '', 0, w.month_start, w.week_start, w.day_start, w.day)
                FROM keydesk_windows_v1('Europe/Zurich', {ms}) w WHERE w.day = '{day}'",
                at.org.id, issued.id
            ))
            .await
            .unwrap();
        }
        let hours = desk.texts("SELECT booked FROM usage ORDER BY booked").await;
        assert_eq!(hours, ["2026-10-25T02", "2026-12-01T00"]);
        let (stored, summed) = rollups_and_rows(&desk).await;
        assert_eq!(stored, summed);
    })
    .await;
}
