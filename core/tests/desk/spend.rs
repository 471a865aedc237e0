//! What requests cost is counted once, in the right windows, and adds up.

use std::collections::BTreeMap;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ZonedDateTime};
use keydesk_core::domain::key::State;
use keydesk_core::domain::key_filter::{KeyFilter, Sort};
use keydesk_core::domain::limits::Budget;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops;

use crate::support::*;

fn at_utc(text: &str) -> Moment {
    Moment::from_ms(text.parse::<Timestamp>().unwrap().as_millisecond())
}

on_both!(
    fn a_request_that_is_settled_five_times_counts_once(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let usage = desk.usage(&at, &issued, 1_234, desk.now()).await;
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (desk, usage) = (desk.clone(), usage.clone());
            tries.spawn(async move { record(&desk, &usage).await.unwrap() });
        }
        let mut fresh = 0;
        while let Some(done) = tries.join_next().await {
            fresh += i32::from(done.unwrap());
        }
        assert_eq!(fresh, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 1);
        // Key and organisation, in all, month, week and day.
        assert_eq!(desk.numbers("SELECT spent FROM counters").await, [1_234; 8]);
        assert_eq!(desk.numbers("SELECT requests FROM counters").await, [1; 8]);
        assert_eq!(desk.numbers("SELECT tokens FROM counters").await, [120; 8]);
        assert_eq!(desk.numbers("SELECT requests FROM spend_daily").await, [1]);
    }
);

/// The starts of the windows around a moment, worked out without the crate's own calendar.
fn windows(at: i64, zone: &TimeZone) -> [(&'static str, i64); 4] {
    let day =
        Timestamp::from_millisecond(at).unwrap().to_zoned_datetime(zone.clone()).start_of_day().unwrap();
    let start = |day: ZonedDateTime| day.start_of_day().unwrap().timestamp().as_millisecond();
    let since_monday = i64::from(day.weekday().to_monday_zero_offset());
    let monday = day.checked_sub(jiff::Span::new().days(since_monday)).unwrap();
    let first = day.first_of_month().unwrap();
    [("total", 0), ("month", start(first)), ("week", start(monday)), ("day", start(day))]
}

on_both!(
    fn counters_are_the_sum_of_requests_across_clock_changes_and_month_ends(desk: TestDesk) {
        let at = desk.owner().await;
        let zone = TimeZoneDatabase::bundled().get("Europe/Zurich").unwrap();
        let teams = [desk.team(&at, "One").await, desk.team(&at, "Two").await];
        let mut keys = Vec::new();
        for n in 0..5 {
            let team = teams.get(n % 3).map(|team| team.id.to_string()).unwrap_or_default();
            keys.push(desk.create(&at, KeyForm { team, ..form(&format!("key {n}")) }).await.unwrap());
        }
        let mut dice = Dice::new(42);
        // From before the clocks go back (25 October 2026, 01:00 UTC) until after November begins in Zurich, and the
        // hours around the turns themselves.
        let turns =
            ["2026-10-24T22:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T23:00:00Z", "2026-10-31T23:00:00Z"]
                .map(at_utc);
        let mut all = Vec::new();
        for n in 0..300 {
            let started_at = match n % 3 {
                0 => at_utc("2026-10-23T12:00:00Z").plus_ms(dice.below(10 * DAY as u64) as i64),
                1 => dice.one_of(&turns).plus_ms(dice.below(2 * HOUR as u64) as i64 - HOUR),
                _ => dice.one_of(&turns).plus_ms(dice.below(3) as i64 - 1),
            };
            let which = dice.below(5) as usize;
            let mut usage = desk.usage(&at, &keys[which], dice.below(5_000_000_000) as i64, started_at).await;
            usage.team = teams.get(which % 3).map(|team| team.id.clone());
            usage.model = (*dice.one_of(&["gpt-5", "claude-opus-4-5"])).into();
            let mut token_count = || dice.below(10_000) as i64;
            usage.bill.metered = Counts::of_totals(token_count(), 0, token_count()).into();
            all.push(usage);
        }
        let mut settles = tokio::task::JoinSet::new();
        for chunk in all.chunks(50) {
            let (desk, chunk) = (desk.clone(), chunk.to_vec());
            settles.spawn(async move {
                for usage in &chunk {
                    assert!(record(&desk, usage).await.unwrap());
                    assert!(!record(&desk, usage).await.unwrap());
                }
            });
        }
        while let Some(done) = settles.join_next().await {
            done.unwrap();
        }

        let mut counters: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        let mut days: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for usage in &all {
            let holders = [
                Some(("key", usage.key.to_string())),
                usage.team.as_ref().map(|team| ("team", team.to_string())),
                Some(("org", usage.org.to_string())),
            ];
            for (kind, id) in holders.into_iter().flatten() {
                for (period, start) in windows(usage.started_at.ms(), &zone) {
                    let counter = counters.entry(format!("{kind} {id} {period} {start}")).or_default();
                    counter.0 += usage.bill.cost.nanos();
                    counter.1 += 1;
                    counter.2 += usage.bill.metered.counts.all_tokens();
                }
            }
            let date = Timestamp::from_millisecond(usage.started_at.ms())
                .unwrap()
                .to_zoned_datetime(zone.clone())
                .date();
            let team = usage.team.as_ref().map(ToString::to_string).unwrap_or_default();
            let day = days.entry(format!("{} {date} {} {team}", usage.key, usage.model)).or_default();
            day.0 += usage.bill.cost.nanos();
            day.1 += 1;
        }
        let stored = desk
            .texts(
                "SELECT holder_kind || ' ' || holder_id || ' ' || period || ' ' || window_start || '=' || spent || ' '
                    || requests || ' ' || tokens FROM counters",
            )
            .await;
        let expected: Vec<String> = counters
            .iter()
            .map(|(name, (spent, requests, tokens))| format!("{name}={spent} {requests} {tokens}"))
            .collect();
        assert_eq!(sorted(stored), sorted(expected));
        let stored = desk
            .texts(
                "SELECT key_id || ' ' || day || ' ' || model_id || ' ' || team_id || '=' || cost || ' ' || requests
                FROM spend_daily",
            )
            .await;
        let expected: Vec<String> =
            days.iter().map(|(name, (cost, requests))| format!("{name}={cost} {requests}")).collect();
        assert_eq!(sorted(stored), sorted(expected));
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 300);
        // What a page says is what was settled.
        desk.clock.set(at_utc("2026-11-01T12:00:00Z"));
        let key = desk.show(&at, &keys[0]).await;
        let month = windows(desk.now().ms(), &zone)[1].1;
        let spent: i64 = all
            .iter()
            .filter(|usage| usage.key == key.id && usage.started_at.ms() >= month)
            .map(|usage| usage.bill.cost.nanos())
            .sum();
        assert_eq!(key.month_spent.nanos(), spent);
        assert_eq!(key.budgets[0].spent.nanos(), spent);
    }
);

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

on_both!(
    fn the_list_shows_this_months_spend_and_budgets_turn_with_the_month(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.create_key(&at, "idle").await;
        let usage = desk.usage(&at, &issued, 50_000_000_000, desk.now()).await;
        record(&desk, &usage).await.unwrap();
        let list = async |sort| {
            let filter = KeyFilter { sort, ..everything() };
            ops::keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap().page.rows
        };
        let keys = list(Sort::Spend).await;
        assert_eq!(keys.len(), 2, "a sort leaves no key out");
        assert_eq!(keys[0].month_spent.nanos(), 50_000_000_000);
        let budget = Budget { period: Period::Month, amount: Money::from_nanos(50_000_000_000) };
        assert_eq!(keys[0].state(desk.now()), State::OverBudget { budget });
        let all = list(Sort::Created).await;
        assert_eq!(all.iter().map(|key| key.month_spent.nanos()).collect::<Vec<_>>(), [0, 50_000_000_000]);

        desk.clock.set(at_utc("2026-11-30T22:59:59.999Z"));
        let spent =
            async || list(Sort::Spend).await.iter().map(|key| key.month_spent.nanos()).collect::<Vec<_>>();
        assert_eq!(spent().await, [50_000_000_000, 0]);
        desk.clock.advance(1);
        assert_eq!(spent().await, [0, 0]);
        let key = desk.show(&at, &issued).await;
        assert_eq!((key.month_spent, key.state(desk.now())), (Money::ZERO, State::Active));
    }
);

on_both!(
    fn spend_stays_with_the_owner_of_the_key_at_the_time(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let next = desk.member(&at, OrgRole::Member).await;
        let settle = async |cost| {
            let usage = desk.usage(&at, &issued, cost, desk.now()).await;
            assert!(record(&desk, &usage).await.unwrap());
        };
        settle(1).await;
        settle(20).await;
        let person = &next.caller.person.id;
        desk.execute(&format!("UPDATE keys SET owner_id = '{person}' WHERE id = '{}'", issued.id))
            .await
            .unwrap();
        settle(300).await;
        let by_owner = async |table: &str, who: &At| {
            let person = &who.caller.person.id;
            let sql = format!("SELECT CAST(SUM(cost) AS BIGINT) FROM {table} WHERE owner_id = '{person}'");
            desk.number(&sql).await
        };
        for table in ["usage", "spend_daily"] {
            assert_eq!((by_owner(table, &at).await, by_owner(table, &next).await), (21, 300), "{table}");
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM spend_daily").await, 2);
        let report = ops::verify_spend::spend_of(&desk, &at.org.slug).await.unwrap();
        assert!(report.differences.is_empty());
        // A day credited to another owner is a difference.
        desk.execute(&format!("DELETE FROM spend_daily WHERE owner_id = '{person}'")).await.unwrap();
        let report = ops::verify_spend::spend_of(&desk, &at.org.slug).await.unwrap();
        let days = |of: &str| of.starts_with("the days of key_");
        assert_eq!(report.differences.iter().filter(|one| days(&one.of)).count(), 1);
    }
);

on_both!(
    fn a_failed_settle_leaves_nothing_behind(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        let mut usage = desk.usage(&at, &issued, 10, desk.now()).await;
        usage.bill.cost = Money::from_nanos(-1);
        assert!(record(&desk, &usage).await.is_err());
        usage.bill.cost = Money::from_nanos(1);
        desk.execute("ALTER TABLE spend_daily RENAME TO away").await.unwrap();
        assert!(record(&desk, &usage).await.is_err());
        desk.execute("ALTER TABLE away RENAME TO spend_daily").await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM counters").await, 0);
        assert!(record(&desk, &usage).await.unwrap());
        assert_eq!(desk.numbers("SELECT spent FROM counters").await, [1; 8]);
    }
);
