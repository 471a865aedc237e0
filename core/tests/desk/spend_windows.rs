//! Counters of the open day, week and month are compared with the requests that were counted in them, and repaired; what
//! was counted in another time zone is left out, and said to be.

use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::spend_check::SpendCheck;
use keydesk_core::forms::key::KeyForm;
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::{orgs, spend_check, verify_spend};

use crate::support::submit;
use crate::support::*;

fn at_utc(text: &str) -> Moment {
    Moment::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// As an owner does it on the page of settings.
async fn change_zone(desk: &TestDesk, at: &At, zone: &str) {
    let view = orgs::settings(desk, &at.caller, &at.org.slug).await.unwrap();
    let settings = SettingsForm::of(&view.settings);
    let form = SaveForm {
        org: at.org.slug.clone(),
        version: view.context.org.version,
        was: serde_json::to_string(&settings).unwrap(),
        settings: SettingsForm { zone: zone.into(), ..settings },
        reauth: Default::default(),
    };
    let saved = submit::save_org(desk, &at.caller, &form).await;
    assert!(matches!(saved, Ok(Outcome::Saved(_))), "{zone}");
}

async fn check(desk: &TestDesk, at: &At) -> SpendCheck {
    // The check of the last minute would be answered again.
    desk.clock.advance(61_000);
    spend_check::check(desk, &at.caller, &at.org.slug).await.unwrap()
}

async fn spend(desk: &TestDesk, at: &At, key: &IssuedKey) {
    let usage = desk.usage(at, key, 1_000, desk.now()).await;
    assert!(record(desk, &usage).await.unwrap());
}

async fn left_out(desk: &TestDesk, at: &At) -> Vec<&'static str> {
    let view = spend_check::view(desk, &at.caller, &at.org.slug).await.unwrap();
    view.windows.left_out.iter().map(|(period, _)| period.as_str()).collect()
}

/// Three months of requests, two each day, of a key alone and of one in a team.
async fn busy(desk: &TestDesk) -> (At, [IssuedKey; 2]) {
    let at = desk.owner().await;
    let team = desk.team(&at, "Crew").await;
    let keys = [
        desk.create_key(&at, "alone").await,
        desk.create(&at, KeyForm { team: team.id.to_string(), ..form("in a team") }).await.unwrap(),
    ];
    for n in 0..90 {
        for (which, key) in keys.iter().enumerate() {
            let mut usage = desk.usage(&at, key, 1_000 + n, desk.now().plus_days(-n)).await;
            usage.team = (which == 1).then(|| team.id.clone());
            assert!(record(desk, &usage).await.unwrap());
        }
    }
    (at, keys)
}

async fn counters(desk: &TestDesk) -> Vec<String> {
    let sql = "SELECT holder_kind || holder_id || period || window_start || ' ' || spent || ' ' || requests || ' ' || tokens
        FROM counters";
    let mut rows = desk.texts(sql).await;
    rows.sort();
    rows
}

/// The counters of a kind of holder in the newest window of a period.
fn newest(kind: &str, period: &str) -> String {
    format!(
        "holder_kind = '{kind}' AND period = '{period}'
            AND window_start = (SELECT MAX(c.window_start) FROM counters c WHERE c.period = '{period}')"
    )
}

on_both!(
    fn a_wrong_counter_of_an_open_window_is_found_shown_and_repaired(desk: TestDesk) {
        let (at, keys) = busy(&desk).await;
        assert!(check(&desk, &at).await.adds_up());
        let right = counters(&desk).await;
        let more =
            |kind, period| format!("UPDATE counters SET spent = spent + 5 WHERE {}", newest(kind, period));
        let stray = format!(
            "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
            SELECT 'key', '{}', period, window_start, org_id, 1, 1, 1 FROM counters WHERE {}",
            desk.create_key(&at, "never used").await.id,
            newest("org", "week")
        );
        for (wrong, of, apart) in [
            (more("key", "day"), "the open day of key key_", 10),
            (more("team", "week"), "the open week of team team_", 5),
            (more("org", "month"), "the open month of the organisation", 5),
            (
                format!("DELETE FROM counters WHERE {}", newest("team", "day")),
                "the open day of team team_",
                1_000,
            ),
            (
                format!("UPDATE counters SET tokens = tokens - 1 WHERE {}", newest("key", "month")),
                "the open month of key key_",
                0,
            ),
            (stray, "the open week of key key_", 1),
        ] {
            assert!(desk.execute(&wrong).await.unwrap() > 0, "{wrong}");
            let found = check(&desk, &at).await;
            assert!(
                !found.adds_up() && found.details.iter().all(|name| name.starts_with(of)),
                "{wrong}: {found:?}"
            );
            assert_eq!(found.difference.nanos(), apart, "{wrong}");
            let report = verify_spend::spend_of(&desk, &at.org.slug).await.unwrap();
            assert!(report.differences.iter().all(|difference| difference.of.starts_with(of)), "{wrong}");
            let events =
                "SELECT COUNT(*) FROM audit_events WHERE kind = 'spend.repaired' AND org_id IS NOT NULL";
            let before = desk.number(events).await;
            let done = spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap();
            assert!(done.check.adds_up(), "{wrong}");
            assert_eq!(done.totals as i64, found.differing, "{wrong}");
            assert_eq!(desk.number(events).await, before + 1, "{wrong}");
            assert_eq!(counters(&desk).await, right, "{wrong}");
        }
        let changes = "SELECT changes FROM audit_events WHERE kind = 'spend.repaired' AND org_id IS NOT NULL ORDER BY seq LIMIT 1";
        let changes = desk.texts(changes).await;
        assert!(changes[0].contains(r#"{"text":"counters"}"#), "{changes:?}");
        // What is over decides no budget any more, and is not compared.
        let over = "UPDATE counters SET spent = spent + 1 WHERE period = 'month'
            AND window_start = (SELECT MIN(c.window_start) FROM counters c WHERE c.period = 'month')";
        assert!(desk.execute(over).await.unwrap() > 0);
        assert!(check(&desk, &at).await.adds_up());
        // The nightly check repairs the windows of its own night.
        desk.clock.advance(DAY);
        spend(&desk, &at, &keys[0]).await;
        let right = counters(&desk).await;
        desk.execute(&more("key", "day")).await.unwrap();
        spend_check::nightly(&desk).await.unwrap();
        assert_eq!(counters(&desk).await, right);
        // Nothing was wrong, so nothing is written.
        let events = desk.number("SELECT COUNT(*) FROM audit_events").await;
        let done = spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap();
        assert_eq!((done.totals, done.before), (0, done.after));
        assert_eq!(desk.number("SELECT COUNT(*) FROM audit_events").await, events);
    }
);

on_both!(
    fn a_change_of_zone_is_no_difference_and_its_windows_are_said_to_be_left_out(desk: TestDesk) {
        let (at, keys) = busy(&desk).await;
        assert!(left_out(&desk, &at).await.is_empty());
        // From one end of the earth's days to the other and back, and to a zone with the same clocks for half of the year.
        for zone in [
            "Pacific/Kiritimati",
            "Pacific/Honolulu",
            "Pacific/Kiritimati",
            "Asia/Kolkata",
            "Europe/Zurich",
            "Africa/Lagos",
        ] {
            let before = orgs::settings(&desk, &at.caller, &at.org.slug).await.unwrap().context.org.zone;
            let late = desk.usage(&at, &keys[0], 1_000, desk.now()).await;
            change_zone(&desk, &at, zone).await;
            assert_eq!(left_out(&desk, &at).await, ["month", "week", "day"], "{zone}");
            // It was under way.
            assert!(desk.settlements.settle(&desk.db, &late, &[], &before).await.unwrap());
            for hour in 0..76 {
                spend(&desk, &at, &keys[hour % 2]).await;
                desk.clock.advance(HOUR - 61_000);
                let found = check(&desk, &at).await;
                assert!(found.adds_up(), "{zone}, hour {hour}: {found:?}");
            }
            assert!(!left_out(&desk, &at).await.contains(&"day"), "{zone}: the day is a whole one again");
        }
        let report = verify_spend::spend_of(&desk, &at.org.slug).await.unwrap();
        assert!(report.adds_up(), "{:?}", report.differences);
        assert!(report.left_out.unwrap().contains("of months until 1 Jan 2027"));
        // The counter of a window with both zones is not touched by a repair either.
        let month = format!("UPDATE counters SET spent = spent + 5 WHERE {}", newest("org", "month"));
        desk.execute(&month).await.unwrap();
        let as_it_is = counters(&desk).await;
        spend_check::repair(&desk, &at.caller, &at.org.slug).await.unwrap();
        assert_eq!(counters(&desk).await, as_it_is);
        // The day is compared again, and so are week and month when they are whole ones.
        desk.execute(&format!("UPDATE counters SET spent = spent + 5 WHERE {}", newest("org", "day")))
            .await
            .unwrap();
        assert_eq!(check(&desk, &at).await.details, ["the open day of the organisation"]);
        desk.clock.set(at_utc("2027-01-05T12:00:00Z"));
        assert!(left_out(&desk, &at).await.is_empty());
        spend(&desk, &at, &keys[0]).await;
        assert!(check(&desk, &at).await.adds_up());
        for period in ["day", "week", "month"] {
            let wrong = format!("UPDATE counters SET spent = spent + 5 WHERE {}", newest("key", period));
            desk.execute(&wrong).await.unwrap();
        }
        assert_eq!(check(&desk, &at).await.differing, 3);
    }
);

on_both!(
    fn windows_add_up_where_clocks_change(desk: TestDesk) {
        desk.owner().await;
        // Back and forward by day, back over midnight at the turn of a month, forward at midnight, and by half an hour.
        for (name, zone, change) in [
            ("One", "Europe/Zurich", "2026-10-25T01:00:00Z"),
            ("Two", "Europe/Zurich", "2027-03-28T01:00:00Z"),
            ("Three", "America/Havana", "2026-11-01T05:00:00Z"),
            ("Four", "Asia/Beirut", "2027-03-27T22:00:00Z"),
            ("Five", "Australia/Lord_Howe", "2027-04-03T15:00:00Z"),
            ("Six", "America/St_Johns", "2026-11-01T04:30:00Z"),
        ] {
            desk.clock.set(at_utc(change).plus_ms(-30 * HOUR));
            let at = desk.other_org(name, zone).await;
            let key = desk.create_key(&at, "ci-prod").await;
            let end = at_utc(change).plus_ms(30 * HOUR);
            while desk.now() < end {
                spend(&desk, &at, &key).await;
                desk.clock.advance(27 * MINUTE);
                let found = check(&desk, &at).await;
                assert!(found.adds_up(), "{zone} at {}: {found:?}", desk.now().rfc3339());
            }
            assert!(Zone::parse(zone).is_some_and(|zone| zone == at.org.zone));
        }
    }
);
