//! Gates 7 and 8: what stops a request, what it holds, and what becomes of that.

// sqlx here: one test asks a function of Postgres itself.

use keydesk_core::admission::{
    AdmissionError, AuthContext, LEASE_MS, Presented, Presumed, Reservation, ReservationRequest, Settlement,
    authenticate, find_reservation, limits, release, renew, reserve, settle,
};
use keydesk_core::domain::bill::Bill;
use keydesk_core::domain::gate::{Gate, Rejection};
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::limit_use::{HolderKind, Limited};
use keydesk_core::domain::limits::Limits;
use keydesk_core::domain::meter::Counts;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::window::{Period, WindowStarts};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::forms::parts::LimitFields;
use keydesk_core::ops::keys::IssuedKey;
use keydesk_core::ops::upkeep::sweep_reservations;
use keydesk_core::store::Unaudited;
use keydesk_core::store::{Db, meter};

use crate::support::*;

pub const CENT: i64 = 10_000_000;

pub async fn context(desk: &TestDesk, issued: &IssuedKey) -> AuthContext {
    let mut presented = Presented::default();
    presented.bare(issued.secret.reveal().as_bytes());
    authenticate(desk, &presented, None).await.unwrap()
}

pub fn ask(desk: &TestDesk, amount: i64, tokens: i64) -> ReservationRequest {
    let request = RequestId::new(desk.now(), desk.id_entropy());
    let amount = Money::from_nanos(amount);
    let model = "gpt-5".into();
    ReservationRequest {
        request,
        model,
        amount,
        worst: amount,
        tokens,
        presumed: Presumed::default(),
        is_priced: true,
    }
}

pub fn used(cost: i64, tokens: i64) -> Settlement {
    Settlement {
        route: "/v1/chat/completions".into(),
        status: 200,
        bill: Bill::of_cost(Counts::of_totals(tokens, 0, 0), Money::from_nanos(cost)),
        latency_ms: 1,
        first_byte_ms: None,
        address: "203.0.113.7".into(),
        user_agent: "test".into(),
        error: String::new(),
        tags: Vec::new(),
        attempts: Vec::new(),
    }
}

/// A key without any limit, in a team without any.
pub async fn open_key(desk: &TestDesk, at: &At) -> IssuedKey {
    let team = desk.team(at, "Platform").await.id.to_string();
    let key = KeyForm { team, limits: LimitFields::of(&[], &Limits::default()), ..form("ci-prod") };
    desk.create(at, key).await.unwrap()
}

pub async fn budget(desk: &TestDesk, at: &At, kind: &str, holder: &str, period: &str, amount: i64) {
    let sql = format!(
        "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount)
        VALUES ('{kind}', '{holder}', '{period}', '{}', {amount})",
        at.org.id
    );
    desk.execute(&sql).await.unwrap();
}

async fn pass(desk: &TestDesk, context: &AuthContext, amount: i64) -> Reservation {
    reserve(desk, context, &ask(desk, amount, 0)).await.unwrap()
}

#[track_caller]
pub fn refused(result: Result<Reservation, AdmissionError>) -> (Rejection, String) {
    match result {
        Err(AdmissionError::Rejected(rejection, Some(_))) => {
            let sentence = rejection.sentence("https://keys.example.com");
            (rejection, sentence)
        }
        Err(other) => panic!("{other:?}"),
        Ok(reserved) => panic!("let in: {reserved:?}"),
    }
}

on_both!(
    fn each_holders_budget_stops_a_request_and_says_whose_it_is_and_when_it_resets(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let team = context.team().unwrap().to_string();
        let spent = pass(&desk, &context, CENT).await;
        settle(&desk, &spent, &used(CENT, 10)).await.unwrap();
        for (kind, id, period, whose, resets, reason) in [
            (
                "org",
                at.org.id.to_string(),
                "total",
                "the organisation Northwind, $0.01 total",
                "does not reset",
                "budget_org",
            ),
            (
                "team",
                team,
                "month",
                "the team Platform, $0.01 per month",
                "It resets 1 Dec 2026 00:00 (Europe/Zurich)",
                "budget_team",
            ),
            (
                "key",
                issued.id.to_string(),
                "day",
                "the key sk-…",
                "It resets 21 Nov 2026 00:00 (Europe/Zurich)",
                "budget_key",
            ),
        ] {
            budget(&desk, &at, kind, &id, period, CENT).await;
            let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 1, 1)).await);
            assert_eq!(
                (rejection.gate(), rejection.status(), rejection.code()),
                (Gate::Budget, 429, "insufficient_quota")
            );
            assert_eq!((rejection.reason(), rejection.retry_after()), (Some(reason), None));
            for part in [whose, resets, "$0.01 is spent"] {
                assert!(sentence.contains(part), "{sentence} lacks {part}");
            }
        }
        assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0, "a rejection holds nothing");
        desk.execute("DELETE FROM budgets").await.unwrap();
        pass(&desk, &context, 50 * CENT).await;
    }
);

on_both!(
    fn what_requests_under_way_hold_is_not_given_out_twice_and_comes_back(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        budget(&desk, &at, "key", issued.id.as_str(), "month", 10 * CENT).await;
        let first = pass(&desk, &context, 6 * CENT).await;
        let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 5 * CENT, 0)).await);
        assert_eq!(rejection.retry_after(), Some(5), "{sentence}");
        assert!(sentence.contains("$0.06 of it is reserved by other requests"), "{sentence}");
        let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 11 * CENT, 0)).await);
        assert_eq!(rejection.retry_after(), None);
        assert!(sentence.contains("$0.10 remains, and this request may cost $0.11"), "{sentence}");
        // It cost less than it held.
        settle(&desk, &first, &used(CENT, 10)).await.unwrap();
        let second = pass(&desk, &context, 9 * CENT).await;
        assert!(release(&desk, second.request()).await.unwrap());
        assert!(!release(&desk, second.request()).await.unwrap(), "what is released is gone");
        let third = pass(&desk, &context, 9 * CENT).await;
        let limit = &third.limits[0];
        assert_eq!((limit.holder, limit.what), (HolderKind::Key, Limited::Budget(Period::Month)));
        assert_eq!(
            (limit.max, limit.used, limit.reserved, limit.remaining()),
            (10 * CENT, CENT, 0, 9 * CENT)
        );
    }
);

on_both!(
    fn a_settlement_counts_once_and_what_it_held_is_gone_with_it(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let one = pass(&desk, &context, 6 * CENT).await;
        let found = find_reservation(&desk, one.request()).await.unwrap().unwrap();
        assert_eq!((found.request(), found.model()), (one.request(), "gpt-5"));
        assert!(settle(&desk, &found, &used(CENT, 10)).await.unwrap());
        assert!(!settle(&desk, &one, &used(CENT, 10)).await.unwrap());
        assert!(find_reservation(&desk, one.request()).await.unwrap().is_none());
        // Key, team and organisation, in all, month, week and day.
        assert_eq!(desk.numbers("SELECT spent FROM counters").await, [CENT; 12]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM usage WHERE estimated = 0").await, 1);
    }
);

on_both!(
    fn a_balance_stops_requests_only_where_it_is_enforced(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        pass(&desk, &context, CENT).await;
        let org = &at.org.id;
        desk.execute(&format!("UPDATE orgs SET balance_enforced_at = 1 WHERE id = '{org}'")).await.unwrap();
        let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 1, 0)).await);
        assert_eq!(
            (rejection.gate(), rejection.code(), rejection.reason()),
            (Gate::Budget, "insufficient_quota", Some("balance"))
        );
        assert!(sentence.contains("The balance of the organisation Northwind"), "{sentence}");
        desk.execute(&format!(
            "INSERT INTO ledger (org_id, seq, at, kind, amount, note, actor_id, actor_name)
            VALUES ('{org}', 1, 1, 'credit', {}, '', '', '')",
            5 * CENT
        ))
        .await
        .unwrap();
        let paid = pass(&desk, &context, 4 * CENT).await;
        settle(&desk, &paid, &used(4 * CENT, 1)).await.unwrap();
        // One cent is held by the first request, and four are spent.
        refused(reserve(&desk, &context, &ask(&desk, 1, 0)).await);
    }
);

on_both!(
    fn what_a_clock_wrote_that_ran_ahead_stops_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        desk.execute("UPDATE keys SET rpm = 2, concurrent = 1").await.unwrap();
        desk.clock.advance(HOUR);
        let ended = pass(&desk, &context, 0).await;
        settle(&desk, &ended, &used(0, 0)).await.unwrap();
        // It is in flight when the clock is put right.
        let in_flight = ask(&desk, 0, 0);
        reserve(&desk, &context, &in_flight).await.unwrap();
        assert_eq!(refused(reserve(&desk, &context, &ask(&desk, 0, 0)).await).0.gate(), Gate::Rate);
        desk.clock.advance(-HOUR);
        let now = pass(&desk, &context, 0).await;
        settle(&desk, &now, &used(0, 0)).await.unwrap();
        // Renewed by its gateway, it counts again.
        renew(&desk, std::slice::from_ref(&in_flight.request)).await.unwrap();
        let (_, sentence) = refused(reserve(&desk, &context, &ask(&desk, 0, 0)).await);
        assert!(sentence.contains("concurrent"), "{sentence}");
        assert!(release(&desk, &in_flight.request).await.unwrap());
        // And when that hour comes, what was written for it is gone.
        sweep_reservations(&desk).await.unwrap();
        desk.clock.advance(HOUR);
        for _ in 0..2 {
            let one = pass(&desk, &context, 0).await;
            settle(&desk, &one, &used(0, 0)).await.unwrap();
        }
    }
);

on_both!(
    fn no_sixty_seconds_ever_hold_more_requests_than_the_limit(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        desk.execute("UPDATE keys SET rpm = 20").await.unwrap();
        let mut dice = Dice::new(7);
        let mut passed: Vec<i64> = Vec::new();
        let mut stopped = 0;
        for _ in 0..400 {
            desk.clock.advance(dice.below(1_900) as i64);
            match reserve(&desk, &context, &ask(&desk, 0, 0)).await {
                Ok(one) => {
                    passed.push(desk.now().ms());
                    settle(&desk, &one, &used(0, 0)).await.unwrap();
                }
                refused => {
                    let (rejection, sentence) = self::refused(refused);
                    assert_eq!((rejection.gate(), rejection.code()), (Gate::Rate, "rate_limit_exceeded"));
                    assert!(
                        sentence.contains("20 requests per minute, is reached: 20 were sent"),
                        "{sentence}"
                    );
                    stopped += 1;
                    // After the wait that the rejection names, one passes.
                    if stopped % 10 == 0 {
                        desk.clock.advance(rejection.retry_after().unwrap() * 1_000);
                        passed.push(desk.now().ms());
                        reserve(&desk, &context, &ask(&desk, 0, 0)).await.unwrap();
                    }
                }
            }
        }
        assert!(stopped > 50, "only {stopped} were stopped");
        for (first, at) in passed.iter().enumerate() {
            let within = passed[first..].iter().take_while(|later| **later < at + 60_000).count();
            assert!(within <= 20, "{within} within a minute");
        }
    }
);

on_both!(
    fn tokens_are_counted_as_the_most_and_then_as_what_they_were(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        desk.execute("UPDATE keys SET tpm = 1000").await.unwrap();
        desk.execute("UPDATE teams SET tpm = 1500").await.unwrap();
        let one = reserve(&desk, &context, &ask(&desk, 0, 900)).await.unwrap();
        let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 0, 200)).await);
        assert_eq!(
            (rejection.reason(), rejection.retry_after()),
            (Some("tokens_key"), Some(61)),
            "{sentence}"
        );
        let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 0, 1_001)).await);
        assert_eq!(rejection.retry_after(), None);
        assert!(sentence.contains("this request alone may use 1,001"), "{sentence}");
        settle(&desk, &one, &used(0, 100)).await.unwrap();
        let two = reserve(&desk, &context, &ask(&desk, 0, 900)).await.unwrap();
        assert_eq!(two.limits.iter().map(|limit| limit.used).collect::<Vec<_>>(), [100, 100]);
        release(&desk, two.request()).await.unwrap();
        assert_eq!(desk.numbers("SELECT tokens FROM rate_counts").await, [100, 100]);
        assert_eq!(desk.numbers("SELECT requests FROM rate_counts").await, [2, 2]);
    }
);

on_both!(
    fn concurrent_requests_are_counted_while_their_gateway_lives(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        desk.execute("UPDATE teams SET concurrent = 2").await.unwrap();
        let first = pass(&desk, &context, 0).await;
        let second = pass(&desk, &context, 0).await;
        let (rejection, sentence) = refused(reserve(&desk, &context, &ask(&desk, 0, 0)).await);
        assert_eq!((rejection.reason(), rejection.retry_after()), (Some("concurrent_team"), Some(1)));
        assert!(sentence.contains("the team Platform, 2 concurrent requests"), "{sentence}");
        // One gateway goes on saying that its request is under way, the other died.
        desk.clock.advance(LEASE_MS / 2);
        renew(&desk, std::slice::from_ref(first.request())).await.unwrap();
        desk.clock.advance(LEASE_MS / 2);
        let third = pass(&desk, &context, 0).await;
        refused(reserve(&desk, &context, &ask(&desk, 0, 0)).await);
        // What the dead one had settled late all the same counts, and frees nothing twice.
        settle(&desk, &second, &used(CENT, 1)).await.unwrap();
        refused(reserve(&desk, &context, &ask(&desk, 0, 0)).await);
        settle(&desk, &third, &used(CENT, 1)).await.unwrap();
        pass(&desk, &context, 0).await;
    }
);

on_both!(
    fn a_request_belongs_to_the_window_it_began_in(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", 10 * CENT).await;
        // Five milliseconds before midnight in Zurich.
        desk.clock.set(Moment::from_ms(1_795_215_600_000 - 5));
        let late = pass(&desk, &context, 9 * CENT).await;
        refused(reserve(&desk, &context, &ask(&desk, 2 * CENT, 0)).await);
        desk.clock.advance(5);
        // What yesterday's request holds is yesterday's.
        let early = pass(&desk, &context, 9 * CENT).await;
        settle(&desk, &late, &used(9 * CENT, 1)).await.unwrap();
        settle(&desk, &early, &used(CENT, 1)).await.unwrap();
        let mut days = desk.numbers("SELECT spent FROM counters WHERE holder_kind = 'key' AND period = 'day' ORDER BY window_start").await;
        assert_eq!(days, [9 * CENT, CENT]);
        days = desk.numbers("SELECT cost FROM spend_daily ORDER BY day").await;
        assert_eq!(days, [9 * CENT, CENT]);
        pass(&desk, &context, 9 * CENT).await;
    }
);

on_both!(
    fn a_look_at_the_limits_holds_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        assert!(limits(&desk, &context).await.unwrap().is_empty());
        budget(&desk, &at, "key", issued.id.as_str(), "week", CENT).await;
        desk.execute("UPDATE keys SET rpm = 3, tpm = 4, concurrent = 5").await.unwrap();
        let seen = limits(&desk, &context).await.unwrap();
        let words: Vec<_> = seen.iter().map(|limit| (limit.what.as_str(), limit.max, limit.used)).collect();
        assert_eq!(words, [("week", CENT, 0), ("requests", 3, 0), ("tokens", 4, 0), ("concurrent", 5, 0)]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM rate_counts").await, 0);
    }
);

on_both!(
    fn what_is_over_is_swept_and_what_is_under_way_is_not(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        desk.execute("UPDATE keys SET rpm = 5").await.unwrap();
        pass(&desk, &context, 0).await;
        desk.clock.advance(3 * LEASE_MS);
        let open = pass(&desk, &context, 0).await;
        let mut tx = desk.db.write().await.unwrap();
        meter::sweep(&mut tx, desk.now()).await.unwrap();
        tx.save_unaudited(Unaudited::Bench).await.unwrap();
        assert_eq!(desk.texts("SELECT request_id FROM reservations").await, [open.request().as_str()]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM rate_counts").await, 1);
    }
);

/// Other gateways cut time on Postgres as this program does, also where clocks go back over midnight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_cuts_the_same_windows() {
    on_postgres(|desk: TestDesk| async move {
        let Db::Postgres(pool, _) = &desk.db else { unreachable!() };
        let mut dice = Dice::new(11);
        for name in [
            "UTC",
            "Europe/Zurich",
            "America/St_Johns",
            "Asia/Beirut",
            "America/Havana",
            "Pacific/Apia",
            "Asia/Kathmandu",
        ] {
            let zone = Zone::parse(name).unwrap();
            for _ in 0..400 {
                let at = Moment::from_ms(1_577_836_800_000 + dice.below(315_360_000_000) as i64);
                let here = WindowStarts::at(at, &zone);
                let day = keydesk_core::domain::moment::Day::of(at, &zone).to_string();
                let there: (i64, i64, i64, String) =
                    sqlx::query_as("SELECT * FROM keydesk_windows_v1($1, $2)")
                        .bind(name)
                        .bind(at.ms())
                        .fetch_one(pool)
                        .await
                        .unwrap();
                assert_eq!(
                    there,
                    (here.month.ms(), here.week.ms(), here.day.ms(), day),
                    "{name} {}",
                    at.rfc3339()
                );
            }
        }
    })
    .await;
}
