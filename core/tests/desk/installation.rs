//! The operators' overview: sums, counts and growth over organisations, each in its own time zone.

use std::collections::BTreeMap;

use keydesk_core::domain::key_filter::{KeyFilter, StateFilter};
use keydesk_core::domain::moment::{Day, Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::overview::{By, MonthSoFar};
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::ops::installation::{InstallationView, Looks};
use keydesk_core::ops::{self, OpError};

use crate::list::{expected, mixed};
use crate::overview::{DOLLAR, dollars, spend};
use crate::support::*;

async fn overview(desk: &TestDesk, operator: &At) -> InstallationView {
    ops::installation::overview(desk, &operator.caller).await.unwrap()
}

/// The counts of an organisation's keys, by its slug.
fn looks_of(view: &InstallationView, at: &At) -> Looks {
    view.orgs.iter().find(|one| one.org.org.slug == at.org.slug).unwrap().looks
}

on_both!(
    fn an_operator_sees_what_organisations_spent_and_nobody_else_does(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "Asia/Tokyo").await;
        let (key, foreign) = (desk.create_key(&at, "ci").await, desk.create_key(&other, "ci").await);
        spend(&desk, &at, &key, None, 2, 0).await;
        spend(&desk, &at, &key, None, 3, 31).await;
        spend(&desk, &other, &foreign, None, 5, 0).await;
        for (period, start) in [("total", 0), ("month", 1)] {
            desk.execute(&format!(
                "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                VALUES ('key', '{}', '{}', '{period}', {start}, 'reached')",
                key.id, at.org.id
            ))
            .await
            .unwrap();
        }
        for (name, status, level) in [("soon", "active", "near"), ("off", "revoked", "reached")] {
            let key = desk.create_key(&at, name).await;
            desk.execute(&format!(
                "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                VALUES ('key', '{}', '{}', 'total', 0, '{level}')",
                key.id, at.org.id
            ))
            .await
            .unwrap();
            desk.execute(&format!("UPDATE keys SET status = '{status}' WHERE id = '{}'", key.id))
                .await
                .unwrap();
        }
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let view = ops::installation::overview(&desk, &operator.caller).await.unwrap();
        let rows: Vec<_> = view
            .orgs
            .iter()
            .map(|one| {
                let org = &one.org;
                (org.org.name.as_str(), dollars(org.month.spent), dollars(org.before), one.used_up, one.near)
            })
            .collect();
        // The mark of another window is over, and that of a revoked key stops no one.
        assert_eq!(rows, [("Other", 5, 0, 0, 0), ("Northwind", 2, 3, 1, 1)]);
        assert_eq!((view.all.count, dollars(view.all.month.spent), dollars(view.all.before)), (2, 7, 3));
        // At half past eleven in the evening of the month's last day in one zone, it is the next month elsewhere.
        desk.execute("UPDATE orgs SET zone = 'Pacific/Kiritimati' WHERE name = 'Other'").await.unwrap();
        desk.execute("UPDATE orgs SET zone = 'UTC' WHERE name = 'Northwind'").await.unwrap();
        let december = Day::parse("2026-12-01").unwrap().start(&Zone::utc());
        desk.clock.advance(december.ms() - desk.now().ms() - 1_800_000);
        let view = ops::installation::overview(&desk, &operator.caller).await.unwrap();
        let rows: Vec<_> = view
            .orgs
            .iter()
            .map(|one| (one.org.org.name.as_str(), dollars(one.org.month.spent), dollars(one.org.before)))
            .collect();
        assert_eq!(rows, [("Northwind", 2, 3), ("Other", 0, 5)]);
        for caller in [&other.caller, &desk.platform(&at, PlatformRole::Support).await.caller] {
            assert!(matches!(
                ops::installation::overview(&desk, caller).await.err(),
                Some(OpError::NotFound)
            ));
        }
    }
);

on_both!(
    fn the_days_of_all_zones_add_up_to_what_was_settled(desk: TestDesk) {
        let at = desk.owner().await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        // On the test's Friday noon in UTC it is Saturday in Kiritimati, and Friday in Honolulu.
        let zones = ["UTC", "Pacific/Kiritimati", "Pacific/Honolulu", "Asia/Tokyo", "UTC", "Asia/Kolkata"];
        let mut orgs = vec![at];
        for (n, zone) in zones.iter().enumerate() {
            orgs.push(desk.other_org(&format!("Org {n}"), zone).await);
        }
        let mut by_day: BTreeMap<Day, i64> = BTreeMap::new();
        let mut by_org: Vec<(String, i64)> = Vec::new();
        for (n, org) in orgs.iter().enumerate() {
            let key = desk.create_key(org, "ci").await;
            let mut sum = 0;
            // Multiples of seven, so that the mean of seven days is exact. Hours apart, so that days differ by zone.
            for (step, hours) in [0, 11, 25, 300, 490, 700, 1_000].into_iter().enumerate() {
                let cost = 7 * (n as i64 + 1) * (step as i64 + 1);
                let started_at = Moment::from_ms(START.ms() - hours * HOUR);
                let usage = desk.usage(org, &key, cost * DOLLAR, started_at).await;
                assert!(record(&desk, &usage).await.unwrap());
                let day = Day::of(started_at, &org.org.zone);
                *by_day.entry(day).or_default() += cost;
                sum += if day >= Day::parse("2026-10-23").unwrap() { cost } else { 0 };
            }
            by_org.push((org.org.name.clone(), sum));
        }
        let view = overview(&desk, &operator).await;
        // The chart ends with the last day that has begun anywhere.
        assert_eq!((view.days.len(), view.days[0], view.days[29]), {
            let day = |text| Day::parse(text).unwrap();
            (30, day("2026-10-23"), day("2026-11-21"))
        });
        let told: Vec<i64> = view.totals.iter().map(|spent| dollars(*spent)).collect();
        let settled: Vec<i64> =
            view.days.iter().map(|day| by_day.get(day).copied().unwrap_or_default()).collect();
        assert_eq!(told, settled);
        // The five that spent most, the largest first, and each as much as it spent.
        by_org.sort_by_key(|(_, sum)| -sum);
        let parts: Vec<(String, i64)> = view
            .parts
            .iter()
            .map(|part| (part.name.clone(), dollars(part.days.iter().copied().sum())))
            .collect();
        assert_eq!(parts, by_org[..5]);
        // The month of all is the months that each organisation is told of.
        let mut month = MonthSoFar::default();
        for org in &orgs {
            let own = ops::overview::of_org(&desk, &org.caller, &org.org.slug, By::Team).await.unwrap();
            month = month.plus(own.month);
        }
        assert_eq!(view.month, month);
        assert_eq!((view.month.spent, view.month.requests), (view.all.month.spent, view.all.month.requests));
        assert!(
            month.before > Money::ZERO && month.before <= view.all.before && month.forecast > month.spent
        );
        let listed: Money = view.orgs.iter().map(|one| one.org.month.spent).sum();
        assert_eq!(listed, month.spent);
    }
);

on_both!(
    fn keys_that_need_a_look_are_counted_as_each_organisation_counts_them(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "Pacific/Kiritimati").await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let known = [mixed(&desk, &at, 70, 5).await, mixed(&desk, &other, 60, 9).await];
        let check = async || {
            let view = overview(&desk, &operator).await;
            for org in [&at, &other] {
                let own = ops::overview::of_org(&desk, &org.caller, &org.org.slug, By::Team).await.unwrap();
                for state in StateFilter::LOOKS {
                    let (own, told) = (own.counts.of(state), looks_of(&view, org).of(state));
                    assert_eq!(own, told, "{state:?} of {}", org.org.name);
                }
            }
            for state in StateFilter::LOOKS {
                let sum = view.orgs.iter().map(|one| one.looks.of(state)).sum::<i64>();
                assert_eq!(view.looks.of(state), sum, "{state:?}");
            }
            view
        };
        let view = check().await;
        for (org, known) in [&at, &other].into_iter().zip(&known) {
            for state in StateFilter::LOOKS {
                let filter = KeyFilter { state, ..everything() };
                let count = expected(known, &filter).len() as i64;
                assert!(count > 0);
                assert_eq!(looks_of(&view, org).of(state), count, "{state:?} of {}", org.org.name);
            }
        }
        // A key with marks of its own in two periods and one of its team is one key.
        let team = desk.team(&other, "Crew").await;
        let live = "status = 'active' AND org_id";
        for sql in [
            format!("UPDATE keys SET team_id = '{}' WHERE {live} = '{}'", team.id, other.org.id),
            format!(
                "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                SELECT 'key', id, org_id, 'total', 0, 'reached' FROM keys WHERE seq % 3 = 0 AND {live} = '{}'",
                other.org.id
            ),
        ] {
            desk.execute(&sql).await.unwrap();
        }
        let own_marks = check().await.looks.of(StateFilter::Stopped);
        for period in ["total", "month"] {
            desk.execute(&format!(
                "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                SELECT 'team', '{}', '{}', '{period}', CASE WHEN '{period}' = 'total' THEN 0 ELSE MAX(window_start) END, 'reached'
                FROM budget_marks WHERE org_id = '{1}' AND period = 'month'",
                team.id, other.org.id
            ))
            .await
            .unwrap();
        }
        let view = check().await;
        let active = format!("SELECT COUNT(*) FROM keys WHERE {live} = '{}'", other.org.id);
        let active = desk.number(&active).await;
        assert_eq!(looks_of(&view, &other).of(StateFilter::Stopped), active);
        assert!(view.looks.of(StateFilter::Stopped) > own_marks);
        // Without a period of the organisation's, only keys with one of their own are due.
        desk.execute(&format!("UPDATE orgs SET rotate_days = NULL WHERE id = '{}'", other.org.id))
            .await
            .unwrap();
        let before = looks_of(&view, &other).of(StateFilter::RotationDue);
        assert!(looks_of(&check().await, &other).of(StateFilter::RotationDue) < before);
    }
);

on_both!(
    fn all_keys_of_an_organisation_without_budget_or_balance_are_stopped(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "Pacific/Kiritimati").await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let key = desk.create_key(&at, "one").await;
        desk.create_key(&at, "two").await;
        desk.create_key(&other, "three").await;
        spend(&desk, &at, &key, None, 8, 0).await;
        let told = async || {
            let view = overview(&desk, &operator).await;
            let of = |state| {
                let each = [&at, &other].map(|org| looks_of(&view, org).of(state));
                assert_eq!(view.looks.of(state), each.iter().sum::<i64>());
                each
            };
            let own = ops::overview::of_org(&desk, &at.caller, &at.org.slug, By::Team).await.unwrap();
            let counts = (of(StateFilter::Stopped), of(StateFilter::NearLimit));
            assert_eq!(own.counts.of(StateFilter::Stopped), counts.0[0]);
            assert_eq!(own.counts.of(StateFilter::NearLimit), counts.1[0]);
            counts
        };
        let budget = async |dollars: i64| {
            desk.execute(&format!(
                "DELETE FROM budgets WHERE holder_kind = 'org' AND org_id = '{}'",
                at.org.id
            ))
            .await
            .unwrap();
            desk.execute(&format!(
                "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount)
                VALUES ('org', '{0}', 'month', '{0}', {1})",
                at.org.id,
                dollars * DOLLAR
            ))
            .await
            .unwrap();
        };
        budget(11).await;
        assert_eq!(told().await, ([0, 0], [0, 0]));
        budget(10).await;
        assert_eq!(told().await, ([0, 0], [2, 0]));
        budget(8).await;
        assert_eq!(told().await, ([2, 0], [0, 0]));
        // More is granted until an hour from now.
        let (org, until) = (&at.org.id, START.ms() + HOUR);
        for sql in [
            format!(
                "INSERT INTO asks (id, org_id, person_id, kind, key_id, holder_kind, holder_id, name, period, amount, until,
                    reason, state, asked_at, answered_at, note)
                VALUES ('ask_1', '{org}', '{0}', 'budget', '{1}', 'org', '{org}', '', 'month', 1, {until}, '', 'granted', 1, 1, '')",
                at.caller.person.id, key.id
            ),
            format!(
                "INSERT INTO grants (id, org_id, holder_kind, holder_id, period, amount, starts_at, ends_at, granted_by, ask_id)
                VALUES ('grant_1', '{org}', 'org', '{org}', 'month', {}, 1, {until}, '{}', 'ask_1')",
                2 * DOLLAR,
                at.caller.person.id
            ),
        ] {
            desk.execute(&sql).await.unwrap();
        }
        assert_eq!(told().await, ([0, 0], [2, 0]));
        desk.clock.advance(HOUR);
        assert_eq!(told().await, ([2, 0], [0, 0]));
        budget(100).await;
        assert_eq!(told().await, ([0, 0], [0, 0]));
        // Nothing was paid in, and nothing is left.
        desk.execute(&format!("UPDATE orgs SET balance_enforced_at = 1 WHERE id = '{}'", other.org.id))
            .await
            .unwrap();
        assert_eq!(told().await, ([0, 1], [0, 0]));
    }
);

on_both!(
    fn counts_over_organisations_stop_at_a_thousand(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        desk.seed_keys(&at, 1, 1_000).await;
        desk.seed_keys(&other, 2_001, 3_100).await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let view = overview(&desk, &operator).await;
        let count = |org| looks_of(&view, org).of(StateFilter::Unlimited);
        assert_eq!((count(&at), count(&other), view.looks.of(StateFilter::Unlimited)), (1_000, 1_001, 1_001));
    }
);

on_both!(
    fn organisations_that_grew_are_compared_with_their_own_weekday(desk: TestDesk) {
        let at = desk.owner().await;
        let operator = desk.platform(&at, PlatformRole::Operator).await;
        let ahead = desk.other_org("Ahead", "Pacific/Kiritimati").await;
        let steady = desk.other_org("Steady", "UTC").await;
        for (org, usual, yesterday) in [(&at, 2, 8), (&ahead, 4, 40), (&steady, 4, 4)] {
            let key = desk.create_key(org, "ci").await;
            for weeks in 0..5 {
                let spent = if weeks == 0 { yesterday } else { usual };
                spend(&desk, org, &key, None, spent, 1 + 7 * weeks).await;
            }
        }
        let view = overview(&desk, &operator).await;
        let told: Vec<(String, String)> = view
            .grown
            .iter()
            .map(|one| (one.grown.name.clone(), one.grown.words(&one.yesterday.weekday())))
            .collect();
        let told: Vec<(&str, &str)> =
            told.iter().map(|(name, words)| (name.as_str(), words.as_str())).collect();
        // In Kiritimati it is Saturday.
        let all = [("Ahead", "10 × its usual Friday"), ("Northwind", "4 × its usual Thursday")];
        assert_eq!(told, all);
    }
);

on_both!(
    fn numbers_lead_to_keys_only_where_the_operator_sees_all_of_them(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        for (role, belongs, sees_all) in
            [(None, false, false), (Some(OrgRole::Member), true, false), (Some(OrgRole::Admin), true, true)]
        {
            let operator = desk.platform(&at, PlatformRole::Operator).await;
            if let Some(role) = role {
                desk.execute(&format!(
                    "INSERT INTO memberships (org_id, person_id, role, created_at) VALUES ('{}', '{}', '{}', 1)",
                    other.org.id,
                    operator.caller.person.id,
                    role.as_str()
                ))
                .await
                .unwrap();
            }
            let view = overview(&desk, &operator).await;
            let slug = &other.org.slug;
            assert_eq!((view.opens(slug), view.opens_every_key(slug)), (belongs, sees_all), "{role:?}");
            assert!(!view.opens(&at.org.slug));
        }
    }
);
