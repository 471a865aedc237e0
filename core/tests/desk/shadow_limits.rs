//! Limits that only report: they let every request pass and count what they would have rejected, until one is enforced.

// sqlx here: one test asks functions of Postgres as another gateway does.

use keydesk_core::admission::{limits, reserve, settle};
use keydesk_core::domain::gate::Gate;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::limit_use::Limited;
use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::window::{Period, WindowStarts};
use keydesk_core::forms::shadow_limit::{SetShadowForm, ShadowRefForm};
use keydesk_core::ops::OpError;
use keydesk_core::ops::limits as ops;
use keydesk_core::store::Db;

use super::meter::{CENT, ask, budget, context, open_key, used};
use crate::support::*;

fn wish(at: &At, holder: &str, id: &str, what: &str, amount: &str) -> SetShadowForm {
    SetShadowForm {
        org: at.org.slug.clone(),
        holder: holder.into(),
        id: id.into(),
        what: what.into(),
        amount: amount.into(),
    }
}

async fn set(desk: &TestDesk, at: &At, form: &SetShadowForm) -> Result<String, OpError> {
    ops::set(desk, &at.caller, &form.parse().unwrap()).await
}

fn named(form: &SetShadowForm, confirmed: bool) -> ShadowRefForm {
    let SetShadowForm { org, holder, id, what, .. } = form.clone();
    ShadowRefForm { org, holder, id, what, confirmed: if confirmed { "yes".into() } else { String::new() } }
}

async fn enforce(desk: &TestDesk, at: &At, form: &ShadowRefForm) -> Result<(), OpError> {
    ops::enforce(desk, &at.caller, &form.parse().unwrap()).await.map(|_| ())
}

/// Of each limit of the key that reports: what, requests, rejected.
async fn reports(desk: &TestDesk, at: &At, key: &str) -> Vec<(Limited, i64, i64)> {
    let view = ops::shadows_of_key(desk, &at.caller, &at.org.slug, key).await.unwrap();
    let reports = view.reports.into_iter();
    reports.map(|(report, _)| (report.limit.what, report.requests, report.rejected)).collect()
}

on_both!(
    fn a_budget_that_only_reports_counts_and_lets_pass_and_enforced_it_rejects(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let (context, key) = (context(&desk, &issued).await, issued.id.to_string());
        let before = reserve(&desk, &context, &ask(&desk, CENT, 0)).await.unwrap();
        settle(&desk, &before, &used(CENT, 1)).await.unwrap();
        let form = wish(&at, "key", &key, "month", "0.05");
        set(&desk, &at, &form).await.unwrap();
        let month = Limited::Budget(Period::Month);
        assert_eq!(reports(&desk, &at, &key).await, [(month, 0, 0)]);
        for _ in 0..6 {
            let one = reserve(&desk, &context, &ask(&desk, CENT, 0)).await.unwrap();
            // It is no limit of the request, so that no header and no client sees it.
            assert!(one.limits.is_empty());
            settle(&desk, &one, &used(CENT, 1)).await.unwrap();
        }
        // One cent before, four that fit, two that do not.
        assert_eq!(reports(&desk, &at, &key).await, [(month, 6, 2)]);
        assert!(limits(&desk, &context).await.unwrap().is_empty());

        // Seven cents of five are spent: that stops the key, and has to be confirmed.
        let unconfirmed = enforce(&desk, &at, &named(&form, false)).await;
        assert!(matches!(unconfirmed, Err(OpError::Conflict(words)) if words.contains("$0.07 of $0.05")));
        assert_eq!(reports(&desk, &at, &key).await, [(month, 6, 2)]);
        enforce(&desk, &at, &named(&form, true)).await.unwrap();
        let rejected = reserve(&desk, &context, &ask(&desk, CENT, 0)).await.unwrap_err();
        let keydesk_core::admission::AdmissionError::Rejected(rejection, _) = rejected else { panic!() };
        assert_eq!(rejection.gate(), Gate::Budget);
        assert_eq!(reports(&desk, &at, &key).await, []);
        assert_eq!(desk.number("SELECT COUNT(*) FROM shadow_rejections").await, 0);
        assert_eq!(
            desk.texts("SELECT kind FROM audit_events WHERE kind LIKE 'shadow%' ORDER BY seq").await,
            ["shadow_limit.set", "shadow_limit.enforced"]
        );
        let again = enforce(&desk, &at, &named(&form, true)).await;
        assert!(matches!(again, Err(OpError::Conflict(_))));
    }
);

on_both!(
    fn rates_of_key_and_team_report_each_by_itself_and_what_others_reject_is_not_counted(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let (context, key) = (context(&desk, &issued).await, issued.id.to_string());
        let team = context.team().unwrap().to_string();
        desk.execute("UPDATE keys SET concurrent = 3").await.unwrap();
        set(&desk, &at, &wish(&at, "key", &key, "requests", "2")).await.unwrap();
        set(&desk, &at, &wish(&at, "key", &key, "concurrent", "1")).await.unwrap();
        set(&desk, &at, &wish(&at, "team", &team, "tokens", "250")).await.unwrap();
        for _ in 0..3 {
            reserve(&desk, &context, &ask(&desk, 0, 100)).await.unwrap();
        }
        // The enforced limit rejects the fourth, so that the others say nothing about it.
        reserve(&desk, &context, &ask(&desk, 0, 100)).await.unwrap_err();
        assert_eq!(reports(&desk, &at, &key).await, [(Limited::Concurrent, 2, 2), (Limited::Requests, 1, 1)]);
        let of_team = ops::shadows_of_team(&desk, &at.caller, &at.org.slug, &team).await.unwrap();
        assert_eq!(of_team.reports[0].0.rejected, 1);

        // Another one on the same thing begins anew; a removed one is gone with its report.
        set(&desk, &at, &wish(&at, "key", &key, "requests", "5")).await.unwrap();
        let form = wish(&at, "key", &key, "concurrent", "1");
        ops::remove(&desk, &at.caller, &named(&form, false).parse().unwrap()).await.unwrap();
        assert_eq!(reports(&desk, &at, &key).await, [(Limited::Requests, 0, 0)]);
        enforce(&desk, &at, &named(&wish(&at, "team", &team, "tokens", ""), false)).await.unwrap();
        assert_eq!(desk.numbers("SELECT tpm FROM teams WHERE tpm IS NOT NULL").await, [250]);
    }
);

on_both!(
    fn only_who_may_edit_limits_sets_them_and_a_teams_bounds_hold_when_one_is_enforced(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let key = issued.id.to_string();
        let form = wish(&at, "key", &key, "requests", "90");
        let member = desk.member(&at, OrgRole::Member).await;
        let not_theirs = set(&desk, &member, &form).await;
        assert!(matches!(not_theirs, Err(OpError::NotFound)), "{not_theirs:?}");
        desk.execute(&format!("UPDATE keys SET owner_id = '{}'", member.caller.person.id)).await.unwrap();
        let own = set(&desk, &member, &form).await;
        assert!(matches!(own, Err(OpError::Forbidden)), "{own:?}");
        set(&desk, &at, &form).await.unwrap();
        desk.execute("UPDATE teams SET rpm = 60").await.unwrap();
        // Without one of its own it may come down to 90; from 50 it may not go up to it.
        desk.execute("UPDATE keys SET rpm = 50").await.unwrap();
        let above = enforce(&desk, &at, &named(&form, false)).await;
        assert!(matches!(&above, Err(OpError::Conflict(words)) if words.contains("60")), "{above:?}");
        assert_eq!(desk.number("SELECT COUNT(*) FROM shadow_limits").await, 1);
        desk.revoke(&at, &issued, "ci-prod").await.unwrap();
        assert!(matches!(set(&desk, &at, &form).await, Err(OpError::Conflict(_))));
    }
);

/// A gateway that calls the second version takes each row for a limit that rejects, so it gets those alone; what it reserves
/// is counted all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_gateway_is_told_of_enforced_limits_only() {
    on_postgres(|desk: TestDesk| async move {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let context = context(&desk, &issued).await;
        let key = issued.id.to_string();
        budget(&desk, &at, "key", &key, "month", 10 * CENT).await;
        set(&desk, &at, &wish(&at, "key", &key, "month", "0.01")).await.unwrap();
        let Db::Postgres(pool, _) = &desk.db else { unreachable!() };
        let starts = WindowStarts::at(desk.now(), &at.org.zone);
        for (amount, passes) in [(6 * CENT, true), (6 * CENT, false), (4 * CENT, true), (1, false)] {
            let rows: Vec<(String, String, bool)> = sqlx::query_as(
                "SELECT holder_kind, what, fits FROM keydesk_reserve_v2($1, $2, $3, $4, 0, $5, $6, $7, $8, $4, $9, $10, 'gpt-5', $11)",
            )
            .bind(at.org.id.as_str())
            .bind(&key)
            .bind(context.team().map(|team| team.to_string()))
            .bind(amount)
            .bind(desk.now().ms())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(RequestId::new(desk.now(), desk.id_entropy()).as_str())
            .bind(desk.secret_id(&issued).await.as_str())
            .bind(desk.now().plus_ms(120_000).ms())
            .fetch_all(pool)
            .await
            .unwrap();
            assert_eq!(rows, [("key".to_owned(), "month".to_owned(), passes)]);
        }
        assert_eq!(desk.number("SELECT CAST(SUM(amount) AS BIGINT) FROM reservations").await, 10 * CENT);
        assert_eq!(desk.number("SELECT CAST(SUM(requests) AS BIGINT) FROM shadow_rejections").await, 2);
    })
    .await;
}

on_both!(
    fn the_next_stop_is_told_of_the_key_its_team_and_the_organisation(desk: TestDesk) {
        let at = desk.owner().await;
        let issued = open_key(&desk, &at).await;
        let (context, key) = (context(&desk, &issued).await, issued.id.to_string());
        let team = context.team().unwrap().to_string();
        let slug = &at.org.slug;
        budget(&desk, &at, "key", &key, "total", 100 * CENT).await;
        budget(&desk, &at, "team", &team, "total", 30 * CENT).await;
        let one = reserve(&desk, &context, &ask(&desk, 10 * CENT, 0)).await.unwrap();
        settle(&desk, &one, &used(10 * CENT, 1)).await.unwrap();
        // Ten cents were spent today, so that the team's other twenty last two days.
        let seen = ops::of_key(&desk, &at.caller, slug, &key).await.unwrap();
        let first = seen.stops[0].limit().unwrap();
        assert_eq!((first.holder.as_str(), first.used, first.remaining()), ("team", 10 * CENT, 20 * CENT));
        assert_eq!(seen.stops[0].at, Some(desk.now().plus_days(2)));
        assert!(seen.stops[0].is_estimate);
        let of_team = ops::of_team(&desk, &at.caller, slug, &team).await.unwrap();
        assert_eq!((of_team.limits.len(), of_team.stops[0].at), (1, Some(desk.now().plus_days(2))));
        assert!(of_team.line().unwrap().contains("$0.20 of $0.30 left in total."));
        let of_org = ops::of_org(&desk, &at.caller, slug).await.unwrap();
        assert_eq!(of_org.line(), None);

        desk.execute(&format!("UPDATE keys SET expires_at = {}", desk.now().plus_days(1).ms()))
            .await
            .unwrap();
        let seen = ops::of_key(&desk, &at.caller, slug, &key).await.unwrap();
        assert!(seen.line().unwrap().starts_with("Stops in 1 day (expires "), "{:?}", seen.line());
        let member = desk.member(&at, OrgRole::Member).await;
        assert!(matches!(ops::of_key(&desk, &member.caller, slug, &key).await, Err(OpError::NotFound)));
        assert!(matches!(ops::of_org(&desk, &member.caller, slug).await, Err(OpError::Forbidden)));
    }
);
