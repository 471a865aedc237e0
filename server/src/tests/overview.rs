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
