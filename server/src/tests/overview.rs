//! The overview and the list of keys as each role meets them.

use super::support::{TestApp, Who, on_both};

on_both! {
    async fn each_role_gets_the_overview_and_menus_of_what_it_may_do(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let empty = app.get(&owner, "/acme").await.text;
        for words in ["First steps", "Create a key", "Invite people", "Your administrator connects"] {
            assert!(empty.contains(words), "{words}: {empty}");
        }
        let operator = app.sign_in(Who::Operator).await;
        let all = app.get(&operator, "/operator/overview").await.text;
        assert!(all.contains("Spent this month") && all.contains("/operator/acme/balance"), "{all}");

        let key = app.key(&cast, "ci-prod").await;
        let menu = |words: &str| format!("href=\"/acme/keys/{}/{words}\"", key.id);
        let list = app.get(&owner, "/acme/keys").await.text;
        for words in ["edit", "rotate", "disable", "revoke"] {
            assert!(list.contains(&menu(words)), "{words}: {list}");
        }
        for words in ["Stopped", "state=near", "state=idle", "state=unlimited", "Spent this month"] {
            assert!(list.contains(words), "{words}: {list}");
        }
        // Support looks and does nothing; its look is recorded.
        let support = app.sign_in(Who::Support).await;
        let seen = app.get(&support, "/acme/keys").await.text;
        assert!(seen.contains("ci-prod") && !seen.contains(&menu("rotate")), "{seen}");
        let before = app.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'support.accessed'").await;
        assert_eq!(app.get(&support, "/acme").await.status, 200);
        let after = app.number("SELECT COUNT(*) FROM audit_events WHERE kind = 'support.accessed'").await;
        assert_eq!(after, before + 1);
        // What the address invents is as if it were not there.
        for invented in ["by=nothing", "by="] {
            assert_eq!(app.get(&owner, &format!("/acme?{invented}")).await.status, 200);
        }
        assert_eq!(app.get(&owner, "/acme/keys?owner=nobody&state=none&sort=x").await.status, 200);
    }
}

on_both! {
    async fn an_operators_figures_lead_only_where_they_may_go(app: TestApp) {
        let cast = app.cast().await;
        app.key(&cast, "ci-prod").await;
        let operator = app.sign_in(Who::Operator).await;
        let page = app.get(&operator, "/operator/overview").await.text;
        for words in [
            "Last month to the same day",
            "Forecast to the end of the month",
            "Spend per day by organisation",
            "Show as table",
            "Keys that need a look, by organisation",
            "/operator/acme/balance",
            "/operator/elsewhere/balance",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        // They belong nowhere, so no figure leads into an organisation.
        assert!(!page.contains("href=\"/acme"), "{page}");
        for (role, leads) in [("member", false), ("admin", true)] {
            let id = cast.id(Who::Operator);
            for sql in [
                format!("DELETE FROM memberships WHERE person_id = '{id}'"),
                format!(
                    "INSERT INTO memberships (org_id, person_id, role, created_at) VALUES ('{}', '{id}', '{role}', 1)",
                    cast.org.id
                ),
            ] {
                app.execute(&sql).await;
            }
            let page = app.get(&operator, "/operator/overview").await.text;
            let link = "href=\"/acme/keys?state=unlimited\"";
            assert_eq!(page.contains(link), leads, "{role}: {page}");
            assert_eq!(app.get(&operator, "/acme/keys?state=unlimited").await.status, 200);
            assert!(page.contains("/operator/elsewhere/balance"), "{page}");
        }
    }
}
