//! What stops next, for people and for the holder of a key, and limits that only report, through the whole program.

use serde_json::{Value, json};

use super::routes::borrowed;
use super::support::{TestApp, TestRequest, Who, on_both};

on_both! {
    async fn the_limits_are_told_to_who_may_see_the_key_and_to_its_holder(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci-prod").await;
        app.execute(&format!("UPDATE keys SET rpm = 60, expires_at = {} WHERE id = '{}'", app.now().plus_days(1).ms(), key.id)).await;
        let (of_key, of_team) =
            (format!("/acme/keys/{}/limits.json", key.id), format!("/acme/teams/{}/limits.json", cast.team.id));
        for (who, key_status, team_status, org_status) in [
            (Who::Owner, 200, 200, 200),
            (Who::TeamAdmin, 200, 200, 403),
            (Who::KeyOwner, 200, 200, 403),
            (Who::Support, 200, 200, 403),
            (Who::Operator, 404, 404, 404),
        ] {
            let browser = app.sign_in(who).await;
            assert_eq!(app.get(&browser, &of_key).await.status, key_status, "{who:?}");
            assert_eq!(app.get(&browser, &of_team).await.status, team_status, "{who:?}");
            assert_eq!(app.get(&browser, "/acme/limits.json").await.status, org_status, "{who:?}");
        }
        assert_eq!(app.ask(TestRequest::get(&of_key)).await.status, 303, "to the sign-in");

        let owner = app.sign_in(Who::Owner).await;
        let seen = app.get(&owner, &of_key).await;
        assert_eq!(seen.header("cache-control"), "no-store");
        let mut seen: Value = seen.json();
        assert_eq!((&seen["object"], &seen["holder"]), (&json!("limits"), &json!("key")));
        assert!(seen["limits"].as_array().unwrap().iter().any(|limit| limit["kind"] == "requests_per_minute"));
        assert_eq!(seen["next_stop"]["kind"], "expiry");
        assert_eq!(seen["next_stop"]["estimated"], false);
        let ask = TestRequest::get("/v1/key/limits").header("authorization", &format!("Bearer {}", key.secret));
        let held = app.ask(ask).await;
        assert_eq!(held.status, 200, "{}", held.text);
        // The same for both.
        let mut held: Value = held.json();
        for shown in [&mut seen, &mut held] {
            shown["limits"] = Value::Null;
        }
        assert_eq!(seen, held);
        let page = app.get(&owner, &format!("/acme/keys/{}", key.id)).await.text;
        assert!(page.contains(seen["next_stop"]["message"].as_str().unwrap()), "{page}");
        let unknown = TestRequest::get("/v1/key/limits").header("authorization", "Bearer sk-desk-no");
        assert_eq!(app.ask(unknown).await.status, 401);
    }
}

on_both! {
    async fn a_limit_is_tried_on_the_keys_page_and_enforced_from_there(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci-prod").await;
        let owner = app.sign_in(Who::Owner).await;
        let page_path = format!("/acme/keys/{}", key.id);
        let form = |what: &str, amount: &str| {
            let fields = [("org", "acme"), ("holder", "key"), ("id", key.id.as_str()), ("what", what), ("amount", amount)];
            fields.map(|(name, value)| (format!("form[{name}]"), value.to_owned())).to_vec()
        };
        let wrong = app.post(&owner, "limits/try", &borrowed(&form("requests", "many"))).await;
        assert_eq!((wrong.status, wrong.wrong_fields()), (422, vec!["shadow_amount".to_owned()]));
        assert_eq!(app.post(&owner, "limits/try", &borrowed(&form("requests", "60"))).await.status, 200);
        assert_eq!(app.post(&owner, "limits/try", &borrowed(&form("month", "0.01"))).await.status, 200);
        let page = app.get(&owner, &page_path).await.text;
        assert!(page.contains("60 requests per minute") && page.contains("No requests since"), "{page}");
        assert!(page.contains("Enforce this limit") && !page.contains("Enforce and stop now"));

        app.execute(&format!(
            "UPDATE shadow_limits SET amount = 1 WHERE what = 'month' AND holder_id = '{}'", key.id
        )).await;
        app.execute(&format!(
            "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
            SELECT 'key', id, 'month', {}, org_id, 5, 1, 1 FROM keys WHERE id = '{}'",
            keydesk_core::domain::window::Period::Month.window(app.now(), &cast.org.zone).start.ms(), key.id
        )).await;
        let page = app.get(&owner, &page_path).await.text;
        assert!(page.contains("Enforce and stop now"), "{page}");
        let unconfirmed: Vec<_> = form("month", "").into_iter().filter(|(name, _)| name != "form[amount]").collect();
        assert_eq!(app.post(&owner, "limits/enforce", &borrowed(&unconfirmed)).await.status, 409);
        let confirmed = [unconfirmed, vec![("form[confirmed]".to_owned(), "yes".to_owned())]].concat();
        assert_eq!(app.post(&owner, "limits/enforce", &borrowed(&confirmed)).await.status, 200);
        let amount = format!("SELECT amount FROM budgets WHERE holder_id = '{}' AND period = 'month'", key.id);
        assert_eq!(app.number(&amount).await, 1);
        assert_eq!(app.number("SELECT COUNT(*) FROM shadow_limits").await, 1);
    }
}
