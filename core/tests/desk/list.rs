//! The list of keys: every key once, in order, and nobody else's.

use keydesk_core::domain::expiry::ExpiryRules;
use keydesk_core::domain::key::Status;
use keydesk_core::domain::key_filter::{IDLE_DAYS, KeyFilter, Sort, StateFilter};
use keydesk_core::domain::list_filter::{MemberFilter, TeamFilter};
use keydesk_core::domain::page::Cursor;
use keydesk_core::domain::policy::{Action, test_permit};
use keydesk_core::domain::window::WindowStarts;
use keydesk_core::ops;

use crate::support::*;

/// A key as the test knows it, beside what is stored.
#[derive(Clone, Debug)]
pub struct Known {
    id: String,
    seq: i64,
    name: String,
    status: Status,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    spent: i64,
    last_four: String,
    secret_created_at: i64,
    rotate_days: Option<i64>,
    created_at: i64,
    /// The level of a mark on a budget, in this month or in one before.
    mark: Option<(&'static str, bool)>,
    /// A budget, a rate limit or neither.
    limited: Option<&'static str>,
}

const WORDS: [&str; 12] =
    ["build", "Bot", "nightly", "Über", "search", "ci", "prod", "éclair", "日本", "x_1", "50%", "a"];

/// Days after which the organisation's keys are due for rotation.
const BY_ORG: i64 = 90;

/// Keys in mixed states, with many equal values to sort by.
pub async fn mixed(desk: &TestDesk, at: &At, count: usize, seed: u64) -> Vec<Known> {
    let mut dice = Dice::new(seed);
    let mut known: Vec<Known> = Vec::new();
    desk.execute(&format!("UPDATE orgs SET rotate_days = {BY_ORG}")).await.unwrap();
    let permit = test_permit(&at.org.id, Action::CreateKey, at.org.id.as_str());
    let rules = ExpiryRules {
        now: desk.now(),
        zone: &at.org.zone,
        rules: &at.org.rules,
        defaults: &at.org.defaults,
        current: None,
    };
    let month = WindowStarts::at(desk.now(), &at.org.zone).month.ms();
    for n in 0..count {
        let name = format!("{} {} {n}", dice.one_of(&WORDS), dice.one_of(&WORDS));
        let spec = form(&name).parse().unwrap().resolve(&rules).unwrap();
        let mut tx = desk.db.write().await.unwrap();
        let owner = &at.caller.person.id;
        let issued =
            ops::keys::issue(desk, &mut tx, &permit, "sk-desk-", owner, &spec, desk.now()).await.unwrap();
        tx.save_without_events().await.unwrap();
        let week = 7 * DAY;
        let one = Known {
            id: issued.id.to_string(),
            seq: desk.number(&format!("SELECT seq FROM keys WHERE id = '{}'", issued.id)).await,
            name,
            status: *dice.one_of(&[
                Status::Active,
                Status::Active,
                Status::Active,
                Status::Disabled,
                Status::Expired,
                Status::Revoked,
            ]),
            expires_at: *dice.one_of(&[
                None,
                Some(START.ms()),
                Some(START.ms() + 1),
                Some(START.ms() + week - 1),
                Some(START.ms() + week),
                Some(START.ms() + 30 * DAY),
            ]),
            last_used_at: *dice.one_of(&[None, None, Some(1), Some(START.ms() - HOUR), Some(START.ms())]),
            spent: *dice.one_of(&[0, 0, 1, 1_000, 5_000_000_000]),
            secret_created_at: *dice.one_of(&[
                START.ms(),
                START.ms() - 30 * DAY,
                START.ms() - 90 * DAY,
                START.ms() - 90 * DAY + 1,
            ]),
            rotate_days: *dice.one_of(&[None, None, Some(30), Some(91)]),
            last_four: issued.secret.last_four().to_owned(),
            created_at: *dice.one_of(&[START.ms(), START.ms() - 90 * DAY, START.ms() - 90 * DAY + 1]),
            mark: *dice.one_of(&[
                None,
                None,
                Some(("near", true)),
                Some(("reached", true)),
                Some(("reached", false)),
            ]),
            limited: *dice.one_of(&[None, Some("budget"), Some("rate"), Some("cleared")]),
        };
        let or_null = |value: Option<i64>| value.map_or("NULL".into(), |value| value.to_string());
        desk.execute(&format!(
            "UPDATE keys SET status = '{}', expires_at = {}, last_used_at = {}, secret_created_at = {},
                rotate_days = {}, created_at = {} WHERE id = '{}'",
            one.status.as_str(),
            or_null(one.expires_at),
            or_null(one.last_used_at),
            one.secret_created_at,
            or_null(one.rotate_days),
            one.created_at,
            one.id
        ))
        .await
        .unwrap();
        if one.spent > 0 || n % 2 == 0 {
            desk.execute(&format!(
                "INSERT INTO counters VALUES ('key', '{}', 'month', {month}, '{}', {}, 1, 1)",
                one.id, at.org.id, one.spent
            ))
            .await
            .unwrap();
        }
        if let Some((level, valid)) = one.mark {
            let start = if valid { month } else { month - 1 };
            desk.execute(&format!(
                "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
                VALUES ('key', '{}', '{}', 'month', {start}, '{level}')",
                one.id, at.org.id
            ))
            .await
            .unwrap();
        }
        let budget = format!(
            "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount) VALUES ('key', '{}', 'day', '{}', 1)",
            one.id, at.org.id
        );
        let clear = format!("DELETE FROM budgets WHERE holder_id = '{}'", one.id);
        let open =
            format!("UPDATE keys SET rpm = NULL, tpm = NULL, concurrent = NULL WHERE id = '{}'", one.id);
        let rate = format!("UPDATE keys SET rpm = 60 WHERE id = '{}'", one.id);
        let limits: &[&String] = match one.limited {
            Some("budget") => &[&clear, &open, &budget],
            Some("rate") => &[&clear, &rate],
            Some(_) => &[&clear, &open, &budget, &clear],
            None => &[&clear, &open],
        };
        for sql in limits {
            desk.execute(sql).await.unwrap();
        }
        known.push(one);
    }
    known
}

/// What a filter should show, worked out without SQL.
pub fn expected(known: &[Known], filter: &KeyFilter) -> Vec<String> {
    let now = START.ms();
    let mut rows: Vec<&Known> = known
        .iter()
        .filter(|key| match filter.state {
            StateFilter::Live => matches!(key.status, Status::Active | Status::Disabled),
            StateFilter::Only(status) => key.status == status,
            StateFilter::RotationDue => {
                let due = key.secret_created_at + key.rotate_days.unwrap_or(BY_ORG) * DAY <= now;
                due && matches!(key.status, Status::Active | Status::Disabled)
            }
            StateFilter::Stopped => key.status == Status::Active && key.mark == Some(("reached", true)),
            StateFilter::NearLimit => key.status == Status::Active && key.mark == Some(("near", true)),
            StateFilter::Idle => {
                let idle = key.last_used_at.unwrap_or(key.created_at) <= now - IDLE_DAYS * DAY;
                idle && matches!(key.status, Status::Active | Status::Disabled)
            }
            StateFilter::Unlimited => {
                let limited = matches!(key.limited, Some("budget" | "rate"));
                !limited && matches!(key.status, Status::Active | Status::Disabled)
            }
            StateFilter::Expiring => {
                key.status == Status::Active
                    && key.expires_at.is_some_and(|at| at > now && at < now + 7 * DAY)
            }
        })
        .filter(|key| {
            let name = key.name.to_lowercase();
            let needle = filter.search.to_lowercase();
            let words: Vec<&str> = needle.split_whitespace().collect();
            let indexed = |word: &&str| word.chars().count() >= 3 || word.contains('日');
            if !words.iter().any(indexed) {
                // Short words alone are one, as they were typed.
                return if words.len() > 1 { name.contains(&needle) } else { name.starts_with(&needle) };
            }
            words.iter().all(|word| name.contains(word)) || key.last_four == filter.search
        })
        .collect();
    rows.sort_by_key(|key| {
        let value = match filter.sort {
            Sort::Created if filter.descending && !filter.search.is_empty() => {
                let (name, text) = (key.name.to_lowercase(), filter.search.to_lowercase());
                let ranks = [name == text, key.last_four == filter.search, name.starts_with(&text)];
                ranks.iter().position(|rank| *rank).map_or(0, |at| 3 - at as i64)
            }
            Sort::Created | Sort::Name => 0,
            Sort::LastUsed => key.last_used_at.unwrap_or(0),
            Sort::Expires => key.expires_at.unwrap_or(i64::MAX),
            Sort::Rotated => key.secret_created_at,
            Sort::Spend => key.spent,
        };
        let name = if filter.sort == Sort::Name { key.name.to_lowercase() } else { String::new() };
        (value, name, key.seq)
    });
    if filter.descending {
        rows.reverse();
    }
    rows.into_iter().map(|key| key.id.clone()).collect()
}

/// Walks Next from the first page and Previous back again; returns all rows in order.
async fn walk(desk: &TestDesk, at: &At, filter: &KeyFilter) -> Vec<String> {
    let page = async |page| {
        let filter = KeyFilter { page, ..filter.clone() };
        let view = ops::keys::list(desk, &at.caller, &at.org.slug, &filter).await.unwrap();
        assert!(!view.capped);
        let ids: Vec<String> = view.page.rows.iter().map(|key| key.id.to_string()).collect();
        (ids, view.page.previous, view.page.next, view.count)
    };
    let (first, none, mut next, count) = page(None).await;
    assert!(none.is_none(), "there is nothing before the first page");
    let mut pages = vec![first];
    let mut previous = None;
    while let Some(cursor) = next {
        let (ids, before, after, _) = page(Some(cursor)).await;
        assert!(!ids.is_empty(), "an empty page was linked");
        pages.push(ids);
        (previous, next) = (before, after);
        assert!(previous.is_some());
        assert!(pages.len() < 20, "the pages do not end");
    }
    let mut back = vec![pages.last().unwrap().clone()];
    while let Some(cursor) = previous {
        let (ids, before, after, _) = page(Some(cursor)).await;
        assert!(after.is_some(), "there is a page after one that was reached backwards");
        back.push(ids);
        previous = before;
        assert!(back.len() <= pages.len(), "the way back does not end");
    }
    back.reverse();
    assert_eq!(back, pages, "Previous does not lead back the same way");
    let all = pages.concat();
    assert_eq!(count, all.len() as i64);
    all
}

on_both!(
    fn walking_the_pages_visits_every_key_once_in_order(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        mixed(&desk, &other, 20, 7).await;
        let known = mixed(&desk, &at, 137, 1).await;
        for sort in Sort::ALL {
            for descending in [true, false] {
                for state in StateFilter::ALL {
                    let filter = KeyFilter { sort, descending, state, ..everything() };
                    let ids = walk(&desk, &at, &filter).await;
                    assert_eq!(ids, expected(&known, &filter), "{filter:?}");
                }
            }
        }
    }
);

on_both!(
    fn a_search_finds_what_it_should_and_pages_through_it(desk: TestDesk) {
        let at = desk.owner().await;
        let known = mixed(&desk, &at, 137, 3).await;
        let four = known[70].last_four.clone();
        for search in [
            "b",
            "B",
            "ü",
            "日",
            "x_",
            "50",
            "ui",
            "ild",
            "BUILD",
            "über",
            "日本 ",
            "x_1",
            "50%",
            "prod",
            "t n",
            "prod build",
            "nig bot",
            "日本 pro",
            &four,
            "zzz",
        ] {
            for (sort, descending) in [(Sort::Created, true), (Sort::Name, false), (Sort::Spend, true)] {
                for state in [StateFilter::Live, StateFilter::Only(Status::Revoked)] {
                    let search = search.trim().to_owned();
                    let filter = KeyFilter { search, sort, descending, state, ..everything() };
                    assert_eq!(walk(&desk, &at, &filter).await, expected(&known, &filter), "{filter:?}");
                }
            }
        }
    }
);

on_both!(
    fn every_filter_has_the_count_of_the_keys_that_it_shows(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        mixed(&desk, &other, 20, 7).await;
        let known = mixed(&desk, &at, 90, 5).await;
        let list = async |filter: &KeyFilter| {
            ops::keys::list(&desk, &at.caller, &at.org.slug, filter).await.unwrap()
        };
        let counts = list(&everything()).await.counts.unwrap();
        for state in StateFilter::OFFERED {
            let filter = KeyFilter { state, ..everything() };
            assert_eq!(counts.of(state), expected(&known, &filter).len() as i64, "{state:?}");
            // The counts stay the same under every filter and order.
            let sorted = KeyFilter { sort: Sort::Expires, descending: false, ..filter };
            assert_eq!(list(&sorted).await.counts.unwrap(), counts);
        }
        assert!(StateFilter::OFFERED.iter().all(|state| counts.of(*state) > 0), "{counts:?}");
        // A search shows the same keys of a state as the list does.
        for state in StateFilter::OFFERED {
            let filter = KeyFilter { state, search: "prod".into(), ..everything() };
            assert_eq!(walk(&desk, &at, &filter).await, expected(&known, &filter), "{state:?}");
        }
    }
);

on_both!(
    fn keys_stop_with_their_team_and_with_the_organisation(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        let of_team = keydesk_core::forms::key::KeyForm { team: team.id.to_string(), ..form("in the team") };
        desk.create(&at, of_team).await.unwrap();
        desk.create_key(&at, "alone").await;
        let stopped = async || {
            let filter = KeyFilter { state: StateFilter::Stopped, ..everything() };
            let view = ops::keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
            assert_eq!(view.counts.unwrap().of(StateFilter::Stopped), view.count);
            let mut names: Vec<String> = view.page.rows.into_iter().map(|key| key.name).collect();
            names.sort();
            names
        };
        assert!(stopped().await.is_empty());
        desk.execute(&format!(
            "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level)
            VALUES ('team', '{}', '{}', 'total', 0, 'reached')",
            team.id, at.org.id
        ))
        .await
        .unwrap();
        assert_eq!(stopped().await, ["in the team"]);
        // A budget of the organisation stops every key, whatever is marked, and brings every key near a limit before that.
        desk.execute(&format!(
            "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount) VALUES ('org', '{0}', 'total', '{0}', 5)",
            at.org.id
        ))
        .await
        .unwrap();
        desk.execute(&format!(
            "INSERT INTO counters VALUES ('org', '{0}', 'total', 0, '{0}', 4, 1, 1)",
            at.org.id
        ))
        .await
        .unwrap();
        let near = async |search: &str| {
            let filter = KeyFilter { state: StateFilter::NearLimit, search: search.into(), ..everything() };
            ops::keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap()
        };
        assert_eq!((near("").await.count, near("alone").await.count), (2, 1));
        assert_eq!(near("").await.counts.unwrap().of(StateFilter::NearLimit), 2);
        assert_eq!(stopped().await, ["in the team"]);
        desk.execute("UPDATE counters SET spent = 5 WHERE holder_kind = 'org'").await.unwrap();
        assert_eq!(stopped().await, ["alone", "in the team"]);
        // What is stopped is no longer near.
        assert_eq!(near("").await.count, 0);
    }
);

on_both!(
    fn an_owner_filter_shows_the_keys_of_that_person_only(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.member(&at, keydesk_core::domain::policy::OrgRole::Member).await;
        desk.create_key(&at, "a key").await;
        let moved = desk.create_key(&at, "b key").await;
        let theirs = &other.caller.person.id;
        desk.execute(&format!("UPDATE keys SET owner_id = '{theirs}' WHERE id = '{}'", moved.id))
            .await
            .unwrap();
        for search in ["", "key"] {
            let of = |owner| KeyFilter { owner: Some(owner), search: search.into(), ..everything() };
            assert_eq!(desk.names(&at, &of(theirs.clone())).await, ["b key"]);
            assert_eq!(desk.names(&at, &of(at.caller.person.id.clone())).await, ["a key"]);
            // Who sees only their own keys sees none of another's.
            assert!(desk.names(&other, &of(at.caller.person.id.clone())).await.is_empty());
        }
    }
);

on_both!(
    fn live_means_the_same_keys_in_every_count(desk: TestDesk) {
        let at = desk.owner().await;
        let team = desk.team(&at, "Crew").await;
        for status in ["active", "disabled", "expired", "revoked"] {
            let team = team.id.to_string();
            desk.create(&at, keydesk_core::forms::key::KeyForm { team, ..form(status) }).await.unwrap();
        }
        desk.execute("UPDATE keys SET status = name").await.unwrap();
        let count = async |state| {
            let filter = KeyFilter { state, ..everything() };
            ops::keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap().count
        };
        let live = count(StateFilter::Live).await;
        let parts = [Status::Active, Status::Disabled].map(StateFilter::Only);
        assert_eq!((live, count(parts[0]).await + count(parts[1]).await), (2, 2));
        let filter = MemberFilter::default();
        let members = ops::members::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
        assert_eq!(members.member_summary[0].live_keys, live);
        let filter = TeamFilter::default();
        let teams = ops::teams::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap();
        assert_eq!(teams.teams[0].live_keys, live);
        assert_eq!(ops::orgs::every(&desk).await.unwrap()[0].live_keys, live);
    }
);

on_both!(
    fn a_team_filter_shows_that_team_only(desk: TestDesk) {
        let at = desk.owner().await;
        let (one, two) = (desk.team(&at, "One").await, desk.team(&at, "Two").await);
        for (name, team) in [("a key", Some(&one)), ("b key", Some(&two)), ("c key", None)] {
            let team = team.map(|team| team.id.to_string()).unwrap_or_default();
            desk.create(&at, keydesk_core::forms::key::KeyForm { team, ..form(name) }).await.unwrap();
        }
        for search in ["", "key"] {
            let of = |team| KeyFilter { team: Some(team), search: search.into(), ..everything() };
            assert_eq!(desk.names(&at, &of(one.id.clone())).await, ["a key"]);
            assert_eq!(desk.names(&at, &of(two.id.clone())).await, ["b key"]);
        }
    }
);

on_both!(
    fn organisations_with_equal_names_never_mix(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        for name in ["ci-prod", "ci-test", "nightly"] {
            desk.create_key(&at, name).await;
            desk.create_key(&other, name).await;
        }
        // Even when two secrets end alike.
        desk.execute("UPDATE key_secrets SET last_four = 'aB3d'").await.unwrap();
        for who in [&at, &other] {
            for search in ["", "ci", "prod", "aB3d"] {
                for sort in [Sort::Created, Sort::Name] {
                    let filter = KeyFilter { search: search.into(), sort, ..everything() };
                    let view = ops::keys::list(&desk, &who.caller, &who.org.slug, &filter).await.unwrap();
                    assert!(!view.page.rows.is_empty() && view.page.rows.len() as i64 == view.count);
                    for key in &view.page.rows {
                        let org =
                            desk.texts(&format!("SELECT org_id FROM keys WHERE id = '{}'", key.id)).await;
                        assert_eq!(org, [who.org.id.as_str()]);
                    }
                }
            }
        }
    }
);

on_both!(
    fn last_four_are_found_in_any_case(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = desk.create_key(&at, "ci-prod").await;
        desk.create_key(&at, "other").await;
        desk.execute(&format!("UPDATE key_secrets SET last_four = 'aB3d' WHERE key_id = '{}'", issued.id))
            .await
            .unwrap();
        for text in ["aB3d", "AB3D", "ab3d"] {
            assert_eq!(desk.search_names(&at, text).await, ["ci-prod"], "{text}");
        }
    }
);

on_both!(
    fn many_keys_of_another_organisation_do_not_hide_ones_own(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "bulk of mine").await;
        let other = desk.other_org("Other", "UTC").await;
        desk.seed_keys(&other, 1, 1_500).await;
        assert_eq!(desk.search_names(&at, "bulk").await, ["bulk of mine"]);
    }
);

on_both!(
    fn many_revoked_keys_do_not_hide_live_ones(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "bulk that lives").await;
        desk.seed_keys(&at, 1, 1_500).await;
        desk.execute("UPDATE keys SET status = 'revoked' WHERE name <> 'bulk that lives'").await.unwrap();
        assert_eq!(desk.search_names(&at, "bulk").await, ["bulk that lives"]);
    }
);

on_both!(
    fn a_count_stops_at_ten_thousand_and_says_so(desk: TestDesk) {
        let at = desk.owner().await;
        let list = async |search: &str| {
            let filter = KeyFilter { search: search.into(), ..everything() };
            ops::keys::list(&desk, &at.caller, &at.org.slug, &filter).await.unwrap()
        };
        desk.seed_keys(&at, 1, 500).await;
        let view = list("bulk").await;
        assert_eq!((view.count, view.capped), (500, false));
        desk.seed_keys(&at, 501, 10_000).await;
        let view = list("").await;
        assert_eq!((view.count, view.capped, view.page.rows.len()), (10_000, false, 50));
        // A search may stop earlier, but never claims to be complete when it is not.
        assert!(list("bulk").await.capped);
        let few = list("bulk 000012").await;
        assert_eq!((few.count, few.capped), (11, false));
        desk.seed_keys(&at, 10_001, 10_050).await;
        let view = list("").await;
        assert_eq!((view.count, view.capped), (10_001, true));
    }
);

on_both!(
    fn an_invented_place_in_a_list_does_no_harm(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        for value in ["", "'", "9223372036854775807", "-1", "0", "%", "x"] {
            for id in ["0", "-1", "9223372036854775807", "9223372036854775808", "x"] {
                for way in ["next", "previous"] {
                    for sort in Sort::ALL {
                        let page = Cursor::parse(&format!("{way}~18446744073709551615~{id}~{value}"));
                        assert!(page.is_some());
                        let filter = KeyFilter { sort, page, ..everything() };
                        let view = ops::keys::list(&desk, &at.caller, &at.org.slug, &filter).await;
                        assert!(view.is_ok(), "{filter:?}");
                    }
                }
            }
        }
    }
);
