//! The overview of an organisation: what was settled, added up for whom it concerns.

use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::overview::By;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::{self, OpError};

use crate::support::*;

pub const DOLLAR: i64 = 1_000_000_000;

/// A settled request of `dollars`, so many days before the test's Friday, 20 November.
pub async fn spend(
    desk: &TestDesk,
    at: &At,
    key: &IssuedKey,
    team: Option<&str>,
    dollars: i64,
    days_before: i64,
) {
    let started_at = Moment::from_ms(START.ms() - days_before * DAY);
    let mut usage = desk.usage(at, key, dollars * DOLLAR, started_at).await;
    usage.team = team.and_then(keydesk_core::domain::ids::TeamId::parse);
    assert!(record(desk, &usage).await.unwrap());
}

pub fn dollars(spent: Money) -> i64 {
    assert_eq!(spent.nanos() % DOLLAR, 0);
    spent.nanos() / DOLLAR
}

on_both!(
    fn an_overview_adds_up_what_was_settled(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        let id = team.id.to_string();
        let crew = desk.create(&at, KeyForm { team: id.clone(), ..form("crew") }).await.unwrap();
        let alone = desk.create_key(&at, "alone").await;
        let other = desk.other_org("Other", "UTC").await;
        let foreign = desk.create_key(&other, "foreign").await;
        spend(&desk, &other, &foreign, None, 99, 0).await;
        // This month 2 + 5 + 1, last month to the 20th 3, and 7 after it.
        spend(&desk, &at, &crew, Some(&id), 2, 0).await;
        spend(&desk, &at, &crew, Some(&id), 5, 1).await;
        spend(&desk, &at, &alone, None, 1, 19).await;
        spend(&desk, &at, &alone, None, 3, 31).await;
        spend(&desk, &at, &alone, None, 7, 21).await;
        let view = async |by| ops::overview::of_org(&desk, &at.caller, &at.org.slug, by).await.unwrap();
        let by_team = view(By::Team).await;
        let month = by_team.month;
        assert_eq!((dollars(month.spent), month.requests, dollars(month.before)), (8, 3, 3));
        // Ten days are left, at the mean of five dollars in seven days.
        assert_eq!(month.forecast.nanos(), 8 * DOLLAR + 5 * DOLLAR * 10 / 7);
        assert_eq!((by_team.days.len(), dollars(by_team.totals.iter().copied().sum())), (30, 15));
        let parts = |view: &ops::overview::OverviewView| {
            let sum = |part: &ops::overview::ChartPart| dollars(part.days.iter().copied().sum());
            view.parts.iter().map(|part| (part.name.clone(), sum(part))).collect::<Vec<_>>()
        };
        assert_eq!(parts(&by_team), [("Crew".to_owned(), 7)]);
        assert_eq!(parts(&view(By::Model).await), [("gpt-5".to_owned(), 15)]);
        assert_eq!(parts(&view(By::Key).await), [("alone".to_owned(), 8), ("crew".to_owned(), 7)]);
        // Yesterday's five dollars are news: nothing was usual.
        let grown: Vec<&str> = by_team.grown.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(grown, ["crew"]);
        assert!(by_team.begun.is_none());
        // The list of keys says the same.
        let list = ops::keys::list(&desk, &at.caller, &at.org.slug, &everything()).await.unwrap();
        assert_eq!((dollars(list.month.spent), list.month.requests), (8, 3));
        let line = list.page.rows.iter().position(|key| key.name == "crew").unwrap();
        assert_eq!(list.lines[line].iter().map(|spent| dollars(*spent)).collect::<Vec<_>>()[12..], [5, 2]);
    }
);

on_both!(
    fn a_key_that_always_spends_as_much_did_not_grow(desk: TestDesk) {
        let at = desk.owner().await;
        let steady = desk.create_key(&at, "steady").await;
        let grown = desk.create_key(&at, "grown").await;
        for weeks in 0..5 {
            spend(&desk, &at, &steady, None, 4, 1 + 7 * weeks).await;
            spend(&desk, &at, &grown, None, if weeks == 0 { 8 } else { 2 }, 1 + 7 * weeks).await;
        }
        let view = ops::overview::of_org(&desk, &at.caller, &at.org.slug, By::Key).await.unwrap();
        let told: Vec<String> = view.grown.iter().map(|one| one.words(&view.yesterday.weekday())).collect();
        assert_eq!(told, ["4 × its usual Thursday"]);
        assert_eq!(view.grown[0].name, "grown");
    }
);

on_both!(
    fn people_are_told_of_what_they_owned_and_administer(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        let id = team.id.to_string();
        let (member, admin) =
            (desk.member(&at, OrgRole::Member).await, desk.member(&at, OrgRole::Member).await);
        desk.join(&admin, &team, true).await;
        let crew = desk.create(&at, KeyForm { team: id.clone(), ..form("crew") }).await.unwrap();
        let own = desk.create_key(&at, "own").await;
        let give =
            format!("UPDATE keys SET owner_id = '{}' WHERE id = '{}'", member.caller.person.id, own.id);
        spend(&desk, &at, &own, None, 50, 2).await;
        desk.execute(&give).await.unwrap();
        // After the key was given away, its spend is the new owner's.
        spend(&desk, &at, &own, None, 2, 1).await;
        spend(&desk, &at, &crew, Some(&id), 7, 1).await;
        let spent = async |who: &At, by| {
            let view = ops::overview::of_org(&desk, &who.caller, &at.org.slug, by).await.unwrap();
            assert_eq!(view.narrowed, who.caller.person.id != at.caller.person.id);
            let parts: i64 = view.parts.iter().flat_map(|part| &part.days).map(|spent| dollars(*spent)).sum();
            assert_eq!(parts, view.totals.iter().map(|spent| dollars(*spent)).sum::<i64>());
            let grown: Vec<String> = view.grown.into_iter().map(|one| one.name).collect();
            (dollars(view.month.spent), grown)
        };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for by in [By::Model, By::Key] {
            assert_eq!(spent(&at, by).await, (59, names(&["crew", "own"])));
            assert_eq!(spent(&member, by).await, (2, names(&["own"])));
            assert_eq!(spent(&admin, by).await, (7, names(&["crew"])));
        }
        let outsider = desk.other_org("Other", "UTC").await;
        let refused = ops::overview::of_org(&desk, &outsider.caller, &at.org.slug, By::Team).await;
        assert!(matches!(refused.err(), Some(OpError::NotFound)));
    }
);

on_both!(
    fn the_first_steps_are_shown_until_there_was_a_request(desk: TestDesk) {
        let at = desk.owner().await;
        let begun =
            async || ops::overview::of_org(&desk, &at.caller, &at.org.slug, By::Team).await.unwrap().begun;
        let first = begun().await.unwrap();
        assert!(!first.keys && !first.people);
        let key = desk.create_key(&at, "ci").await;
        desk.member(&at, OrgRole::Member).await;
        let then = begun().await.unwrap();
        assert!(then.keys && then.people);
        spend(&desk, &at, &key, None, 1, 0).await;
        assert!(begun().await.is_none());
    }
);
