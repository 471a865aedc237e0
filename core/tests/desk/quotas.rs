//! Requests that a serving process admits. On SQLite they are decided in memory, and nothing of that may differ from what the
//! database would decide; on Postgres the database decides.

use std::sync::Arc;
use std::time::Duration;

use keydesk_core::admission::{
    AdmissionError, AuthContext, Node, Reservation, find_reservation, release, renew, reserve,
    reserve_for_other, settle, sweep_quotas,
};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::limit_use::{HolderKind, Limited};
use keydesk_core::forms::parts::LimitField;
use keydesk_core::ops::{spend_check, verify_spend};
use keydesk_core::store::Db;
use tokio::task::JoinSet;

use crate::meter::{CENT, ask, budget, context, open_key, refused, used};
use crate::meter_races::Seeded;
use crate::support::*;

/// A key without limits, and the process as one that serves.
async fn serving(desk: &TestDesk) -> (At, keydesk_core::ops::keys::IssuedKey, Arc<AuthContext>, Node) {
    let at = desk.owner().await;
    let issued = open_key(desk, &at).await;
    let mut node = Node::new(desk);
    node.look(desk).await.unwrap();
    let context = Arc::new(context(desk, &issued).await);
    (at, issued, context, node)
}

/// Another process on the same database, after this one.
async fn successor(desk: &TestDesk, seed: u64) -> (TestDesk, Node) {
    let database = TestDatabase { db: Db::open(&desk.url).await.unwrap(), url: desk.url.clone() };
    let next = TestDesk::new(database, desk.now(), Arc::new(Seeded::new(seed)));
    let mut node = Node::new(&next);
    if is_sqlite(desk) {
        node.remove_others(&next).await.unwrap();
    }
    node.look(&next).await.unwrap();
    (next, node)
}

fn is_sqlite(desk: &TestDesk) -> bool {
    matches!(desk.db, Db::Sqlite { .. })
}

async fn pass(desk: &TestDesk, context: &AuthContext, amount: i64) -> Reservation {
    reserve(desk, context, &ask(desk, amount, 0)).await.unwrap()
}

async fn stop(desk: &TestDesk, context: &AuthContext, amount: i64) -> Rejection {
    refused(reserve(desk, context, &ask(desk, amount, 0)).await).0
}

/// So many at once; those that were let in.
async fn at_once(desk: &TestDesk, context: &Arc<AuthContext>, count: usize, amount: i64) -> Vec<Reservation> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (desk, context) = (desk.clone(), context.clone());
        tasks.spawn(async move {
            match reserve(&desk, &context, &ask(&desk, amount, 10)).await {
                Ok(one) => Some(one),
                Err(AdmissionError::Rejected(..)) => None,
                Err(other) => panic!("{other}"),
            }
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn settle_all(desk: &TestDesk, all: Vec<Reservation>, cost: i64) {
    let mut tasks = JoinSet::new();
    for one in all {
        let desk = desk.clone();
        tasks.spawn(async move { assert!(settle(&desk, &one, &used(cost, 10)).await.unwrap()) });
    }
    tasks.join_all().await;
}

/// Every sum is that of the requests, and nothing is under way.
async fn assert_sound(desk: &TestDesk) {
    for report in verify_spend::spend_of_all(desk).await.unwrap() {
        assert!(report.differences.is_empty(), "{:?}", report.differences);
    }
    assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0);
}

on_both!(
    fn three_hundred_at_once_on_a_budget_for_fifty_are_fifty(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "month", 50 * CENT).await;
        node.look(&desk).await.unwrap();
        let first = at_once(&desk, &context, 300, CENT).await;
        assert_eq!(first.len(), 50);
        let waits = stop(&desk, &context, CENT).await;
        assert_eq!((waits.code(), waits.retry_after()), ("rate_limit_exceeded", Some(5)));
        let Rejection::Limit { limit, .. } = waits else { panic!() };
        assert_eq!((limit.max, limit.used, limit.reserved), (50 * CENT, 0, 50 * CENT));
        // They cost half, so as much is left.
        settle_all(&desk, first, CENT / 2).await;
        let second = at_once(&desk, &context, 300, CENT).await;
        assert_eq!(second.len(), 25);
        settle_all(&desk, second, CENT).await;
        let spent = stop(&desk, &context, CENT).await;
        assert_eq!((spent.code(), spent.retry_after()), ("insufficient_quota", None));
        assert_sound(&desk).await;
    }
);

on_both!(
    fn a_minutes_requests_and_parallel_ones_are_as_many_as_allowed(desk: TestDesk) {
        let (_, _, context, mut node) = serving(&desk).await;
        desk.execute("UPDATE keys SET rpm = 20").await.unwrap();
        node.look(&desk).await.unwrap();
        let first = at_once(&desk, &context, 60, 0).await;
        assert_eq!(first.len(), 20);
        assert_eq!(stop(&desk, &context, 0).await.retry_after(), Some(61));
        settle_all(&desk, first, 0).await;
        desk.clock.advance(60_999);
        assert_eq!(stop(&desk, &context, 0).await.retry_after(), Some(1));
        desk.clock.advance(1);
        let second = at_once(&desk, &context, 60, 0).await;
        assert_eq!(second.len(), 20);
        settle_all(&desk, second, 0).await;
        desk.execute("UPDATE keys SET rpm = NULL, concurrent = 5").await.unwrap();
        desk.execute("UPDATE teams SET tpm = 300").await.unwrap();
        node.look(&desk).await.unwrap();
        let mut parallel = at_once(&desk, &context, 50, 0).await;
        assert_eq!(parallel.len(), 5);
        let ended = parallel.split_off(3);
        settle_all(&desk, ended, 0).await;
        let more = at_once(&desk, &context, 50, 0).await;
        assert_eq!(more.len(), 2);
        release(&desk, parallel[0].request()).await.unwrap();
        assert_eq!(at_once(&desk, &context, 50, 0).await.len(), 1);
        // A request that turns out larger is in the minute as it was.
        settle(&desk, &parallel[1], &used(0, 210)).await.unwrap();
        settle_all(&desk, more, 0).await;
        let rejection = refused(reserve(&desk, &context, &ask(&desk, 0, 40)).await).0;
        let Rejection::Limit { limit, .. } = rejection else { panic!() };
        assert_eq!((limit.holder, limit.what, limit.used), (HolderKind::Team, Limited::Tokens, 270));
    }
);

on_both!(
    fn a_limit_that_is_lowered_and_raised_under_load_holds_from_its_answer_on(desk: TestDesk) {
        let (at, issued, context, _node) = serving(&desk).await;
        let set = async |amount: &str| {
            let mut form = desk.drawn(&at, &issued).await;
            form.key.limits.month = LimitField::limit(amount);
            submit::edit_key(&desk, &at.caller, &form).await.unwrap();
        };
        set("1").await;
        let first = at_once(&desk, &context, 30, CENT).await;
        assert_eq!(first.len(), 30);
        let load = {
            let (desk, context) = (desk.clone(), context.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    drop(at_once(&desk, &context, 4, 1_000 * CENT).await);
                }
            })
        };
        for (amount, more) in [("0.2", 0), ("0.4", 10), ("0.35", 0), ("0.45", 5), ("0.45", 0)] {
            set(amount).await;
            let passed = at_once(&desk, &context, 40, CENT).await;
            assert_eq!(passed.len(), more, "{amount}");
            // They stay under way.
            passed.into_iter().for_each(std::mem::forget);
        }
        load.await.unwrap();
        settle_all(&desk, first, CENT).await;
        let left = at_once(&desk, &context, 10, CENT).await;
        assert_eq!(left.len(), 0);
    }
);

on_both!(
    fn a_window_turns_at_midnight_and_what_is_under_way_stays_in_the_one_before(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "day", 10 * CENT).await;
        budget(&desk, &at, "org", at.org.id.as_str(), "month", 25 * CENT).await;
        node.look(&desk).await.unwrap();
        let first = at_once(&desk, &context, 40, CENT).await;
        assert_eq!(first.len(), 10);
        // Midnight in Zürich is at 23:00.
        desk.clock.advance(11 * HOUR - 1);
        let under_way: Vec<_> = first.iter().map(|one| one.request().clone()).collect();
        renew(&desk, &under_way).await.unwrap();
        assert_eq!(at_once(&desk, &context, 40, CENT).await.len(), 0);
        desk.clock.advance(1);
        let second = at_once(&desk, &context, 40, CENT).await;
        assert_eq!(second.len(), 10);
        settle_all(&desk, first, CENT).await;
        assert_eq!(at_once(&desk, &context, 40, CENT).await.len(), 0);
        settle_all(&desk, second, CENT).await;
        desk.clock.advance(24 * HOUR);
        // The month has five left.
        let third = at_once(&desk, &context, 40, CENT).await;
        assert_eq!(third.len(), 5);
        settle_all(&desk, third, CENT).await;
        let days =
            "SELECT spent FROM counters WHERE holder_kind = 'key' AND period = 'day' ORDER BY window_start";
        assert_eq!(desk.numbers(days).await, [10 * CENT, 10 * CENT, 5 * CENT]);
        assert_sound(&desk).await;
    }
);

on_both!(
    fn a_restart_forgets_nothing(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "total", 10 * CENT).await;
        desk.execute("UPDATE keys SET rpm = 12").await.unwrap();
        node.look(&desk).await.unwrap();
        let spent = at_once(&desk, &context, 4, CENT).await;
        settle_all(&desk, spent, CENT).await;
        let under_way = at_once(&desk, &context, 3, CENT).await;
        node.leave(&desk).await.unwrap();
        assert_eq!(desk.number("SELECT COUNT(*) FROM gateway_nodes").await, 0);
        // Three are under way, of a process that is still there.
        let (next, mut node) = successor(&desk, 8).await;
        let passed = at_once(&next, &context, 20, CENT).await;
        // Seven started before, and of ten cents four are spent and three reserved, where they still are.
        assert_eq!(passed.len(), if is_sqlite(&desk) { 5 } else { 3 });
        settle_all(&next, passed, CENT).await;
        assert!(stop(&next, &context, CENT).await.retry_after().is_some());
        settle_all(&desk, under_way, CENT).await;
        node.leave(&next).await.unwrap();
        assert_sound(&desk).await;
        next.db.close().await;
    }
);

on_both!(
    fn after_a_kill_only_what_was_not_written_within_a_second_is_forgotten(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "total", 10 * CENT).await;
        desk.execute("UPDATE keys SET rpm = 8, concurrent = 6").await.unwrap();
        node.look(&desk).await.unwrap();
        let spent = at_once(&desk, &context, 2, CENT).await;
        settle_all(&desk, spent, CENT).await;
        let under_way = at_once(&desk, &context, 3, CENT).await;
        desk.clock.advance(1_000);
        sweep_quotas(&desk).await.unwrap();
        // Who looks sees all of it.
        let shown = "SELECT COUNT(*) FROM reservations UNION ALL SELECT CAST(SUM(requests) AS BIGINT) FROM rate_counts";
        assert_eq!(desk.numbers(shown).await, [3, 5]);
        assert_eq!(at_once(&desk, &context, 1, CENT).await.len(), 1, "it has given nothing up");
        if !is_sqlite(&desk) {
            return;
        }
        std::mem::forget(under_way);
        drop(node);
        let (next, mut node) = successor(&desk, 9).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM reservations").await, 0, "of a process that is gone");
        let passed = at_once(&next, &context, 20, CENT).await;
        // Five starts are known; the sixth was younger.
        assert_eq!(passed.len(), 3);
        settle_all(&next, passed, CENT).await;
        assert_eq!(
            next.number("SELECT spent FROM counters WHERE holder_kind = 'org' AND period = 'total'").await,
            5 * CENT
        );
        node.leave(&next).await.unwrap();
        assert_sound(&next).await;
        next.db.close().await;
    }
);

on_both!(
    fn other_programs_reserve_beside_memory_and_all_together_keep_a_limit(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "org", at.org.id.as_str(), "month", 50 * CENT).await;
        desk.execute("UPDATE keys SET concurrent = 40").await.unwrap();
        node.look(&desk).await.unwrap();
        for round in 0..4 {
            let own = {
                let (desk, context) = (desk.clone(), context.clone());
                tokio::spawn(async move { at_once(&desk, &context, 100, CENT).await })
            };
            let mut others = JoinSet::new();
            for _ in 0..100 {
                let (desk, context) = (desk.clone(), context.clone());
                others.spawn(
                    async move { reserve_for_other(&desk, &context, &ask(&desk, CENT, 0)).await.ok() },
                );
            }
            let others: Vec<Reservation> = others.join_all().await.into_iter().flatten().collect();
            let own = own.await.unwrap();
            assert_eq!(own.len() + others.len(), if round == 0 { 40 } else { 10 }, "round {round}");
            // The other program finds its own by their ids, and no others.
            for one in &others {
                let found = find_reservation(&desk, one.request()).await.unwrap().unwrap();
                assert!(settle(&desk, &found, &used(if round == 0 { CENT } else { 0 }, 10)).await.unwrap());
            }
            for one in &own {
                assert!(find_reservation(&desk, one.request()).await.unwrap().is_none() || !is_sqlite(&desk));
            }
            settle_all(&desk, own, if round == 0 { CENT } else { 0 }).await;
        }
        assert_sound(&desk).await;
        // When no other program has anything, the key is this process's again.
        drop(at_once(&desk, &context, 2, 0).await);
        let other = reserve_for_other(&desk, &context, &ask(&desk, 10 * CENT, 0)).await.unwrap();
        stop(&desk, &context, CENT).await;
        assert!(release(&desk, other.request()).await.unwrap());
        pass(&desk, &context, CENT).await;
        assert_eq!(issued.id.as_str(), context.key().as_str());
    }
);

on_both!(
    fn what_changes_counters_behind_its_back_is_read_again(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "total", 10 * CENT).await;
        node.look(&desk).await.unwrap();
        let spent = at_once(&desk, &context, 6, CENT).await;
        settle_all(&desk, spent, CENT).await;
        desk.execute("UPDATE counters SET spent = spent - 5").await.unwrap();
        let before = pass(&desk, &context, 0).await;
        release(&desk, before.request()).await.unwrap();
        desk.execute(&format!("UPDATE usage SET cost = 0 WHERE cost = {CENT}")).await.unwrap();
        desk.execute("UPDATE spend_daily SET cost = 0; UPDATE rollups SET cost = 0").await.unwrap();
        let repaired = spend_check::repair_from_command_line(&desk, &at.org.slug).await.unwrap();
        assert!(repaired.totals > 0);
        let after = pass(&desk, &context, 10 * CENT).await;
        assert_eq!((after.limits[0].used, after.limits[0].remaining()), (0, 10 * CENT));
    }
);

on_both!(
    fn without_a_lease_or_with_a_lost_row_nothing_is_admitted_that_is_not_counted(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "total", 10 * CENT).await;
        node.look(&desk).await.unwrap();
        let first = at_once(&desk, &context, 4, CENT).await;
        desk.clock.skip(2_000);
        if is_sqlite(&desk) {
            let away = reserve(&desk, &context, &ask(&desk, CENT, 0)).await;
            assert!(matches!(away, Err(AdmissionError::Unavailable(_))), "{away:?}");
        }
        node.look(&desk).await.unwrap();
        let more = at_once(&desk, &context, 1, CENT).await;
        desk.execute("DELETE FROM gateway_nodes").await.unwrap();
        node.look(&desk).await.unwrap();
        // Of ten cents five are reserved, also by those that were admitted before.
        let last = at_once(&desk, &context, 40, CENT).await;
        assert_eq!(last.len(), 5);
        for all in [first, more, last] {
            settle_all(&desk, all, CENT).await;
        }
        assert_eq!(stop(&desk, &context, CENT).await.code(), "insufficient_quota");
        assert_sound(&desk).await;
    }
);

on_both!(
    fn what_limits_that_only_report_would_have_rejected_is_counted(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        let (org, key) = (&at.org.id, &issued.id);
        for (what, amount) in [("month", 3 * CENT), ("concurrent", 4)] {
            desk.execute(&format!(
                "INSERT INTO shadow_limits VALUES ('key', '{key}', '{what}', '{org}', {amount}, 1, '', 0)"
            ))
            .await
            .unwrap();
        }
        node.look(&desk).await.unwrap();
        let all = at_once(&desk, &context, 6, CENT).await;
        assert_eq!((all.len(), all[0].limits.len()), (6, 0));
        sweep_quotas(&desk).await.unwrap();
        let counted = "SELECT requests FROM shadow_rejections ORDER BY what";
        assert_eq!(desk.numbers(counted).await, [2, 3]);
        settle_all(&desk, all, CENT).await;
        let one = pass(&desk, &context, 0).await;
        settle(&desk, &one, &used(0, 0)).await.unwrap();
        sweep_quotas(&desk).await.unwrap();
        assert_eq!(desk.numbers(counted).await, [2, 4]);
    }
);

on_both!(
    fn a_request_costs_no_statement_but_its_settlement(desk: TestDesk) {
        let (at, issued, context, mut node) = serving(&desk).await;
        budget(&desk, &at, "key", issued.id.as_str(), "month", 40 * CENT).await;
        desk.execute("UPDATE keys SET rpm = 1000, tpm = 100000, concurrent = 50").await.unwrap();
        node.look(&desk).await.unwrap();
        settle_all(&desk, at_once(&desk, &context, 1, CENT).await, CENT).await;
        let Db::Sqlite { writer, readers, .. } = &desk.db else { return };
        // No connection is left.
        let mut all = vec![writer.acquire().await.unwrap()];
        while let Some(one) = readers.try_acquire() {
            all.push(one);
        }
        while let Ok(Ok(one)) = tokio::time::timeout(Duration::from_millis(100), readers.acquire()).await {
            all.push(one);
        }
        assert_eq!(all.len(), 9);
        let (mut passed, mut stopped) = (0, 0);
        for round in 0..200 {
            match reserve(&desk, &context, &ask(&desk, CENT, 10)).await {
                Ok(one) if round % 2 == 0 => {
                    passed += 1;
                    assert!(release(&desk, one.request()).await.unwrap());
                }
                Ok(one) => {
                    passed += 1;
                    std::mem::forget(one);
                }
                Err(AdmissionError::Rejected(..)) => stopped += 1,
                Err(other) => panic!("{other}"),
            }
        }
        // One cent is spent, and 39 requests stayed under way.
        assert_eq!((passed, stopped), (78, 122));
    }
);
