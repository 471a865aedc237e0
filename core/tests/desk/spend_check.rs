//! What is added up is compared with the requests, repaired, and kept when the requests themselves are deleted.

use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::{Day, Zone};
use keydesk_core::domain::policy::{Action, OrgRole, test_permit};
use keydesk_core::domain::price::Price;
use keydesk_core::domain::rerating::Rerating;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::{OpError, catalogue, orgs, retention, seed, spend_check, upkeep, verify_spend};
use keydesk_core::store::repair::{self, Differing};
use keydesk_core::store::sums::Part;

use crate::support::*;

/// Requests of two keys, one in a team, with tags and with two models, on a hundred days.
async fn busy(desk: &TestDesk) -> At {
    let at = desk.owner().await;
    let team = desk.team(&at, "Crew").await;
    let keys = [
        desk.create_key(&at, "alone").await,
        desk.create(&at, KeyForm { team: team.id.to_string(), ..form("in a team") }).await.unwrap(),
    ];
    for n in 0..100_i64 {
        let which = (n % 2) as usize;
        let mut usage = desk.usage(&at, &keys[which], 1_000 + n, desk.now().plus_days(-n)).await;
        usage.team = (which == 1).then(|| team.id.clone());
        usage.model = if n % 3 == 0 { "gpt-5" } else { "claude-opus-4-5" }.into();
        usage.bill.metered = Counts::of_totals(n, 0, 7).into();
        usage.tags = (0..n % 3).map(|tag| format!("tag {tag}")).collect();
        assert!(record(desk, &usage).await.unwrap());
    }
    at
}

const TABLES: [&str; 4] = [
    "SELECT holder_kind || holder_id || period || window_start || ' ' || spent || ' ' || requests || ' ' || tokens FROM counters",
    "SELECT key_id || day || model_id || provider || team_id || owner_id || ' ' || requests || ' ' || input_tokens || ' '
        || output_tokens || ' ' || cached_tokens || ' ' || cost FROM spend_daily",
    "SELECT holder_id || grain || bucket || model_id || provider || ' ' || requests || ' ' || input_tokens || ' '
        || output_tokens || ' ' || cached_tokens || ' ' || cost FROM rollups",
    "SELECT key_id || day || tag || model_id || team_id || owner_id || ' ' || requests || ' ' || input_tokens || ' '
        || output_tokens || ' ' || cached_tokens || ' ' || cost FROM tag_daily",
];

async fn added_up(desk: &TestDesk) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for table in TABLES {
        let mut rows = desk.texts(table).await;
        rows.sort();
        all.push(rows);
    }
    all
}

on_both!(
    fn a_history_that_is_written_at_once_is_what_settlements_leave(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        let keys = [
            desk.create_key(&at, "alone").await,
            desk.create(&at, KeyForm { team: team.id.to_string(), ..form("in a team") }).await.unwrap(),
        ];
        let mut history = Vec::new();
        for n in 0..40_i64 {
            let which = (n % 2) as usize;
            let mut usage = desk.usage(&at, &keys[which], 1_000 + n, desk.now().plus_days(-3 * n)).await;
            usage.team = (which == 1).then(|| team.id.clone());
            usage.model = if n % 3 == 0 { "gpt-5" } else { "gone" }.into();
            usage.first_byte_ms = (n % 4 > 0).then_some(n);
            usage.error = if n % 5 == 0 { "It said \"no\"".into() } else { String::new() };
            usage.bill.metered = Counts::of_totals(n, 0, 7).into();
            history.push(usage);
        }
        let all = async || {
            let mut all = added_up(&desk).await;
            for table in [
                "SELECT request_id || key_id || secret_id || COALESCE(team_id, '-') || owner_id || model_id || route || status || ' '
                    || input_tokens || ' ' || output_tokens || ' ' || cached_tokens || ' ' || cost || ' ' || started_at || ' '
                    || latency_ms || ' ' || COALESCE(first_byte_ms, -1) || address || user_agent || estimated || error || meters
                    || COALESCE(price_id, '-') || is_priced || tags || booked || provider FROM usage ORDER BY request_id",
                "SELECT id || COALESCE(first_used_at, 0) FROM key_secrets ORDER BY 1",
            ] {
                all.push(desk.texts(table).await);
            }
            all
        };
        seed::record_history(&desk, &at.org, &history).await.unwrap();
        let at_once = all().await;
        assert_eq!(at_once[4].len(), 40);
        assert!(spend_check::check(&desk, &at.caller, &at.org.slug).await.unwrap().adds_up());
        for table in ["usage", "counters", "spend_daily", "rollups"] {
            desk.execute(&format!("DELETE FROM {table}")).await.unwrap();
        }
        desk.execute("UPDATE key_secrets SET first_used_at = NULL").await.unwrap();
        history.sort_by_key(|usage| usage.started_at);
        for usage in &history {
            assert!(record(&desk, usage).await.unwrap());
        }
        assert_eq!(all().await, at_once);
    }
);

on_both!(
    fn whatever_differs_from_the_requests_is_found_and_repaired(desk: TestDesk) {
        let at = busy(&desk).await;
        let right = added_up(&desk).await;
        let fine = spend_check::check(&desk, &at.caller, &at.org.slug).await.unwrap();
        assert!(fine.adds_up(), "{fine:?}");
        assert_eq!((fine.requests, fine.difference.nanos(), fine.spent.nanos()), (100, 0, 104_950));
        for (n, (wrong, of)) in [
            ("UPDATE counters SET spent = spent + 5 WHERE holder_kind = 'key' AND period = 'total'", "key "),
            ("DELETE FROM counters WHERE holder_kind = 'team' AND period = 'total'", "team "),
            ("UPDATE spend_daily SET output_tokens = output_tokens + 1, input_tokens = input_tokens - 1 WHERE team_id = ''", "the days of "),
            ("DELETE FROM spend_daily WHERE model_id = 'gpt-5'", "the days of "),
            ("UPDATE rollups SET cost = cost + 1 WHERE grain = 'month' AND holder_kind = 'owner'", "the months of "),
            ("DELETE FROM rollups WHERE grain = 'day' AND holder_kind = 'team'", "the days of team "),
            ("UPDATE rollups SET bucket = '2020-01-01T00' WHERE grain = 'hour' AND holder_kind = 'org'
                AND bucket = (SELECT MAX(bucket) FROM rollups WHERE grain = 'hour')", "the hours of the organisation"),
            ("DELETE FROM tag_daily WHERE tag = 'tag 1'", "the tags of "),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(desk.execute(wrong).await.unwrap() > 0, "{wrong}");
            desk.clock.advance(61_000);
            let found = spend_check::check(&desk, &at.caller, &at.org.slug).await.unwrap();
            assert!(found.details.iter().any(|name| name.starts_with(of)), "{wrong}: {found:?}");
            assert!(!verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().adds_up());
            desk.clock.advance(61_000);
            if n % 2 == 0 {
                let done = spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap();
                assert!(done.check.adds_up(), "{wrong}");
            } else {
                // The night of the next day.
                desk.clock.advance(DAY);
                spend_check::nightly(&desk).await.unwrap();
            }
            assert_eq!(added_up(&desk).await, right, "{wrong}");
        }
        let events = "SELECT actor_name FROM audit_events WHERE kind = 'spend.repaired' AND chain_id <> 'installation' ORDER BY seq";
        let actors = desk.texts(events).await;
        assert_eq!((actors.len(), actors[1].as_str()), (8, spend_check::NIGHTLY));
    }
);

on_both!(
    fn the_nightly_check_runs_once_a_night_over_all_nodes(desk: TestDesk) {
        let at = busy(&desk).await;
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let desk = desk.clone();
            nodes.spawn(async move { spend_check::nightly(&desk).await.unwrap() });
        }
        while let Some(done) = nodes.join_next().await {
            done.unwrap();
        }
        let checks = || async { desk.number("SELECT COUNT(*) FROM spend_checks").await };
        assert_eq!(checks().await, 1);
        spend_check::nightly(&desk).await.unwrap();
        assert_eq!(checks().await, 1);
        desk.clock.advance(DAY);
        spend_check::nightly(&desk).await.unwrap();
        assert_eq!(checks().await, 2);
        let view = spend_check::view(&desk, &at.caller, &at.org.slug).await.unwrap();
        assert_eq!(view.checks[0].actor_name, spend_check::NIGHTLY);
        let member = desk.member(&at, OrgRole::Member).await.caller;
        assert!(matches!(spend_check::view(&desk, &member, &at.org.slug).await, Err(OpError::Forbidden)));
        assert!(matches!(spend_check::check(&desk, &member, &at.org.slug).await, Err(OpError::Forbidden)));
    }
);

on_both!(
    fn repairs_while_requests_are_settled_stop_none_and_lose_none(desk: TestDesk) {
        let at = busy(&desk).await;
        let key = desk.create_key(&at, "busy").await;
        let mut settles = tokio::task::JoinSet::new();
        for n in 0..4_i64 {
            let mut usages = Vec::new();
            for _ in 0..60 {
                let mut usage = desk.usage(&at, &key, 10 + n, desk.now()).await;
                usage.tags = vec![format!("tag {n}")];
                usages.push(usage);
            }
            let desk = desk.clone();
            settles.spawn(async move {
                for usage in &usages {
                    assert!(record(&desk, usage).await.unwrap());
                }
            });
        }
        // Also rows that each of these requests adds to.
        let now = |table: &str, what: &str| format!("UPDATE {table} WHERE holder_kind = 'org' AND {what}");
        for round in 0..8 {
            for wrong in [
                now("counters SET spent = spent + 5", "period = 'total'"),
                now(
                    "counters SET requests = requests + 2",
                    "period = 'month' AND window_start = (SELECT MAX(window_start) FROM counters WHERE period = 'month')",
                ),
                now("rollups SET cost = cost + 3", "grain = 'hour' AND bucket LIKE '2026-11-20%'"),
                now("rollups SET requests = requests + 1", "grain = 'month' AND bucket = '2026-11'"),
                "UPDATE spend_daily SET cost = cost + 7 WHERE day = '2026-10-02'".to_owned(),
                "DELETE FROM tag_daily WHERE day = '2026-11-18'".to_owned(),
            ] {
                desk.execute(&wrong).await.unwrap();
            }
            let done = spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap();
            assert!(done.totals >= 5 && done.check.adds_up(), "{round}: {:?}", done.check);
        }
        while let Some(done) = settles.join_next().await {
            done.unwrap();
        }
        assert!(verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().adds_up());
        let requests = "SELECT requests FROM counters WHERE holder_kind = 'org' AND period = 'total'";
        assert_eq!(desk.number(requests).await, 340);
    }
);

/// In the middle of a repair, between reading and writing.
async fn found(desk: &TestDesk, at: &At, part: Part) -> Differing {
    let mut read = desk.db.read().await.unwrap();
    repair::find(&mut read, &at.org.id, part, desk.now()).await.unwrap()
}

/// Whether what was found could be written.
async fn written(desk: &TestDesk, at: &At, mut found: Differing) -> bool {
    let permit = test_permit(&at.org.id, Action::RepairSpend, at.org.id.as_str());
    let mut tx = desk.db.write().await.unwrap();
    let written = repair::write_some(&mut tx, &permit, &mut found).await.unwrap();
    if written.is_some() {
        tx.save_without_events().await.unwrap();
    }
    written.is_some()
}

const WRONG: [(Part, &str); 5] = [
    (Part::Days, "UPDATE spend_daily SET cost = cost + 5, requests = requests + 1"),
    (Part::Hours, "DELETE FROM rollups WHERE grain = 'hour'"),
    (Part::Tags, "UPDATE tag_daily SET input_tokens = input_tokens + 1"),
    (Part::Months, "UPDATE rollups SET cost = cost - 1 WHERE grain = 'month'"),
    (Part::Counters, "UPDATE counters SET spent = spent + 9"),
];

on_both!(
    fn requests_settled_between_reading_and_writing_are_not_lost(desk: TestDesk) {
        let at = desk.owner().await;
        let key = desk.create_key(&at, "ci-prod").await;
        let spend = async |n: i64| {
            let mut usage = desk.usage(&at, &key, 10, desk.now()).await;
            usage.tags = vec!["nightly".into(), format!("run {n}")];
            assert!(record(&desk, &usage).await.unwrap());
        };
        spend(0).await;
        let adds_up =
            async || verify_spend::spend_of(&desk, &at.org.slug).await.unwrap().differences.is_empty();
        for (part, wrong) in WRONG {
            desk.execute(wrong).await.unwrap();
            let differing = found(&desk, &at, part).await;
            assert!(!differing.is_empty() && !differing.is_cut(), "{part:?}");
            for n in 1..3 {
                spend(n).await;
            }
            assert!(!adds_up().await, "{part:?}");
            assert!(written(&desk, &at, differing).await, "{part:?}");
            assert!(adds_up().await, "{part:?}");
        }
    }
);

on_both!(
    fn what_else_changes_sums_in_between_makes_a_repair_begin_again(desk: TestDesk) {
        let at = busy(&desk).await;
        let (part, wrong) = WRONG[4];
        let slug = at.org.slug.as_str();
        // Another repair: the same difference would be added twice.
        desk.execute(wrong).await.unwrap();
        let differing = found(&desk, &at, part).await;
        assert!(spend_check::repair(&desk, &at.caller, slug).await.unwrap().check.adds_up());
        assert!(!written(&desk, &at, differing).await);
        // A re-rating, a deletion of requests and a change of the time zone.
        let price = catalogue_price(&desk).await;
        // As rows are from before meters were kept, which is what a re-rating corrects by their totals.
        desk.execute("UPDATE usage SET meters = '' WHERE model_id = 'gpt-5'").await.unwrap();
        for between in [
            "rerate",
            "UPDATE orgs SET raw_from = '2026-10-01'",
            "UPDATE orgs SET zone = 'UTC', zone_since = 0",
        ] {
            desk.execute(wrong).await.unwrap();
            let differing = found(&desk, &at, part).await;
            if between == "rerate" {
                let (from, to) = (desk.now().plus_days(-2), desk.now().plus_ms(1));
                let of = Rerating { model: "gpt-5".into(), from, to, price: price.clone() };
                assert!(!orgs::rerate(&desk, &OperatorActor::CommandLine, &of).await.unwrap().is_empty());
            } else {
                desk.execute(between).await.unwrap();
            }
            assert!(!written(&desk, &at, differing).await, "{between}");
            if between.contains("zone") {
                desk.execute("UPDATE orgs SET zone = 'Europe/Zurich', zone_since = NULL").await.unwrap();
            }
            spend_check::repair(&desk, &at.caller, slug).await.unwrap();
            assert!(verify_spend::spend_of(&desk, slug).await.unwrap().differences.is_empty(), "{between}");
        }
    }
);

/// The price of gpt-5 in the shipped catalogue.
async fn catalogue_price(desk: &TestDesk) -> Price {
    catalogue::seed(desk).await.unwrap();
    let period = (desk.now().plus_days(-1), desk.now());
    orgs::plan(desk, &OperatorActor::CommandLine, "gpt-5", period, "current").await.unwrap().price
}

on_both!(
    fn many_rows_are_repaired_in_short_transactions_and_by_several_at_once(desk: TestDesk) {
        let at = busy(&desk).await;
        let right = added_up(&desk).await;
        desk.execute("DELETE FROM rollups").await.unwrap();
        desk.execute("UPDATE counters SET spent = spent + 5 WHERE period = 'total'").await.unwrap();
        let mut repairs = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (desk, at) = (desk.clone(), at.clone());
            repairs.spawn(async move {
                spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap().totals
            });
        }
        let mut totals = 0;
        while let Some(done) = repairs.join_next().await {
            totals += done.unwrap();
        }
        assert_eq!(added_up(&desk).await, right);
        let rows = desk.number("SELECT COUNT(*) FROM rollups").await
            + desk.number("SELECT COUNT(*) FROM counters WHERE period = 'total'").await;
        assert_eq!(totals as i64, rows, "each is put right once");
        let events = "SELECT COUNT(*) FROM audit_events WHERE kind = 'spend.repaired' AND org_id IS NOT NULL";
        assert!(desk.number(events).await > 4, "of more than {} rows", repair::MAX_ROWS);
    }
);

on_both!(
    fn a_check_and_a_repair_that_meet_a_deletion_lose_nothing(desk: TestDesk) {
        let at = busy(&desk).await;
        let before = added_up(&desk).await;
        for days in [90, 80, 70, 60, 50, 40] {
            desk.execute(&format!("UPDATE orgs SET raw_days = {days}")).await.unwrap();
            let keeping = orgs::keeping_requests_for_days(&desk).await.unwrap().remove(0);
            desk.clock.advance(61_000);
            let (deleted, checked, repaired) = tokio::join!(
                retention::delete_some(&desk, &keeping),
                spend_check::check(&desk, &at.caller, &at.org.slug),
                spend_check::repair(&desk, &at.caller, &at.org.slug),
            );
            assert!(!deleted.unwrap(), "{days}");
            let checks = [checked.unwrap(), repaired.unwrap().check];
            assert!(checks.iter().all(|check| check.adds_up()), "{days}: {checks:?}");
            assert_eq!(added_up(&desk).await, before, "{days}");
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 41);
    }
);

on_both!(
    fn deleted_requests_leave_what_is_added_up_from_them(desk: TestDesk) {
        let at = busy(&desk).await;
        let before = added_up(&desk).await;
        let org = async || {
            let found = orgs::keeping_requests_for_days(&desk).await.unwrap();
            found.into_iter().next()
        };
        assert!(org().await.is_none());
        desk.execute("UPDATE orgs SET raw_days = 40").await.unwrap();
        let keeping = org().await.unwrap();
        // Changed back before the first of them is deleted.
        desk.execute("UPDATE orgs SET raw_days = NULL").await.unwrap();
        assert!(!retention::delete_some(&desk, &keeping).await.unwrap());
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 100);
        desk.execute("UPDATE orgs SET raw_days = 40").await.unwrap();
        while retention::delete_some(&desk, &keeping).await.unwrap() {}
        let first = Day::of(desk.now(), &Zone::parse("Europe/Zurich").unwrap()).back(40);
        assert_eq!(desk.texts("SELECT raw_from FROM orgs").await, [first.to_string()]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 41);
        assert_eq!(desk.texts("SELECT substr(MIN(booked), 1, 10) FROM usage").await, [first.to_string()]);
        assert_eq!(added_up(&desk).await, before);

        let found = spend_check::check(&desk, &at.caller, &at.org.slug).await.unwrap();
        assert!(found.adds_up(), "{found:?}");
        // A repair keeps what only the days still tell.
        desk.execute("UPDATE counters SET spent = 0 WHERE period = 'total'").await.unwrap();
        desk.execute("DELETE FROM rollups WHERE grain = 'month'").await.unwrap();
        spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap();
        assert_eq!(added_up(&desk).await, before);
        // Kept for ever again: what is gone stays gone, and is not looked for.
        desk.execute("UPDATE orgs SET raw_days = NULL").await.unwrap();
        desk.clock.advance(DAY);
        spend_check::nightly(&desk).await.unwrap();
        assert_eq!(desk.number("SELECT MAX(differing) FROM spend_checks").await, 0);
        upkeep::sweep_old(&desk, DAY).await.unwrap();
    }
);
