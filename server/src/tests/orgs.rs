//! Settings and suspension as browsers and gateways meet them.

use super::routes::{borrowed, fields_for};
use super::support::{Browser, Cast, Fields, HOUR, TestApp, TestRequest, TestResponse, Who, on_both};

async fn suspend(app: &TestApp, operator: &Browser) {
    let fields = [("form[org]", "acme"), ("form[reason]", "Unpaid since August")];
    assert_eq!(app.post(operator, "orgs/suspend", &fields).await.status, 200);
}

/// The settings' form with some fields changed.
async fn settings(app: &TestApp, cast: &Cast, set: Fields<'_>) -> Vec<(String, String)> {
    let key = app.key(cast, &format!("probe {set:?}")).await;
    let mut fields = fields_for("orgs/save", cast, &key, "");
    for (name, value) in set {
        fields.retain(|(old, _)| old != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

on_both! {
    async fn a_suspended_organisations_keys_stop_with_the_answer_and_go_on_after_it_is_resumed(app: TestApp) {
        let cast = app.cast().await;
        let (operator, owner) = (app.sign_in(Who::Operator).await, app.sign_in(Who::Owner).await);
        let key = app.key(&cast, "ci").await;
        for _ in 0..2 {
            assert_eq!(app.try_key(&key.secret).await, 200);
            suspend(&app, &operator).await;
            let ask = TestRequest::get("/v1/models").header("authorization", &format!("Bearer {}", key.secret));
            let answer = app.ask(ask).await;
            assert_eq!(answer.status, 401);
            assert!(answer.text.contains("suspended"), "{}", answer.text);

            // Nothing but taking keys out of use can be changed, and every page says so.
            for action in ["keys/create", "keys/edit", "orgs/save"] {
                let answer = app.post(&owner, action, &borrowed(&fields_for(action, &cast, &key, "new"))).await;
                assert_eq!(answer.status, 409, "{action}: {}", answer.text);
                assert!(answer.text.contains("Acme is suspended"), "{}", answer.text);
            }
            for page in ["/acme/keys", "/acme/settings"] {
                let page = app.get(&owner, page).await;
                assert_eq!(page.status, 200);
                assert!(page.text.contains("Acme is suspended"), "{}", page.text);
            }
            // Twice is told, not done.
            let again = app.post(&operator, "orgs/suspend", &[("form[org]", "acme"), ("form[reason]", "x")]).await;
            assert_eq!(again.status, 409);

            let resumed = app.post(&operator, "orgs/resume", &[("form[org]", "acme"), ("form[reason]", "")]).await;
            assert_eq!(resumed.status, 200);
            assert_eq!(app.try_key(&key.secret).await, 200);
            assert!(!app.get(&owner, "/acme/keys").await.text.contains("Acme is suspended"));
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.suspended' AND changes LIKE '%Unpaid since August%'").await, 2);
        assert_eq!(app.number("SELECT COUNT(*) FROM audit_events WHERE org_id IS NOT NULL AND kind = 'org.resumed'").await, 2);
    }
}

on_both! {
    async fn a_suspension_needs_a_reason(app: TestApp) {
        let cast = app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let key = app.key(&cast, "ci").await;
        let answer = app.post(&operator, "orgs/suspend", &[("form[org]", "acme"), ("form[reason]", "  ")]).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec!["reason".to_owned()]));
        assert_eq!(app.try_key(&key.secret).await, 200);
    }
}

on_both! {
    async fn after_a_change_of_address_the_pages_are_at_the_new_one_only(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let key = app.key(&cast, "ci").await;
        let fields = settings(&app, &cast, &[("form[settings][slug]", "acme-two")]).await;
        let answer = app.post_page(&owner, "/acme/settings", "orgs/save", &borrowed(&fields)).await;
        assert_eq!((answer.status, answer.location()), (303, "/acme-two/settings"));
        assert!(app.get(&owner, "/acme-two/settings").await.text.contains("pages are now at /acme-two"));
        assert_eq!(app.get(&owner, "/acme/settings").await.status, 404);
        assert_eq!(app.get(&owner, "/acme").await.status, 404);
        assert_eq!(app.try_key(&key.secret).await, 200);
        // `/` leads there although the browser remembers the old address.
        let home = app.get(&owner, "/").await;
        assert_eq!((home.status, home.location()), (302, "/acme-two"));
    }
}

on_both! {
    async fn requiring_a_second_factor_asks_for_the_password_again_and_keeps_what_was_typed(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let required = [("form[settings][second_factor]", "required"), ("form[settings][name]", "Acme & Co")];
        let fields = settings(&app, &cast, &required).await;
        // Without one of their own it would shut them out.
        let refused = app.post(&owner, "orgs/save", &borrowed(&fields)).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec!["second_factor".to_owned()]));

        app.execute("UPDATE people SET totp_since = 1 WHERE email = 'owner@example.com'").await;
        app.clock.advance(HOUR / 3);
        let stale = app.post_page(&owner, "/acme/settings", "orgs/save", &borrowed(&fields)).await;
        assert_eq!(stale.status, 403);
        assert!(stale.text.contains("form[reauth][password]"), "{}", stale.text);
        assert!(stale.text.contains("Acme &amp; Co"), "{}", stale.text);
        assert_eq!(app.number("SELECT version FROM orgs WHERE slug = 'acme'").await, 1);

        // Another change asks for nothing.
        let name = settings(&app, &cast, &[("form[settings][name]", "Acme Two")]).await;
        assert_eq!(app.post(&owner, "orgs/save", &borrowed(&name)).await.status, 200);
    }
}

on_both! {
    async fn home_is_the_organisation_somebody_was_in_last(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let to = |answer: TestResponse| answer.location().to_owned();
        app.execute(&format!(
            "INSERT INTO memberships (org_id, person_id, role, created_at)
            SELECT id, '{}', 'admin', 1 FROM orgs WHERE slug = 'elsewhere'",
            cast.id(Who::Owner)
        )).await;
        // At first one's own, wherever it stands in the alphabet.
        app.execute("UPDATE orgs SET name = 'Aardvark' WHERE slug = 'elsewhere'").await;
        assert_eq!(to(app.get(&owner, "/").await), "/acme");
        assert_eq!(app.get(&owner, "/elsewhere/keys").await.status, 200);
        assert_eq!(to(app.get(&owner, "/").await), "/elsewhere");
        // A page that the browser fetches ahead is not one somebody was on.
        let ahead = TestRequest::get("/acme/keys").header("accept", "text/html").header("sec-purpose", "prefetch");
        assert_eq!(app.send(&owner, ahead).await.status, 200);
        assert_eq!(to(app.get(&owner, "/").await), "/elsewhere");
        // Who is there no longer goes where they are.
        app.execute(&format!("UPDATE memberships SET disabled_at = 1 WHERE role = 'admin' AND person_id = '{}'", cast.id(Who::Owner))).await;
        assert_eq!(to(app.get(&owner, "/").await), "/acme");
    }
}

on_both! {
    async fn support_looks_organisations_up_and_a_secret_in_the_address_is_not_shown(app: TestApp) {
        let cast = app.cast().await;
        let support = app.sign_in(Who::Support).await;
        let all = app.get(&support, "/").await.text;
        assert!(all.contains("/acme/keys") && all.contains("/elsewhere/keys"), "{all}");
        let some = app.get(&support, "/?q=SEWH").await.text;
        assert!(!some.contains("/acme/keys") && some.contains("/elsewhere/keys"), "{some}");
        let key = app.key(&cast, "ci").await;
        let pasted = app.get(&support, &format!("/?q={}", key.secret)).await;
        assert_eq!(pasted.status, 200);
        assert!(!pasted.text.contains(&key.secret));
        for odd in ["/?q=%25", "/?q='", "/?page=x", "/?page=previous~0~~"] {
            assert_eq!(app.get(&support, odd).await.status, 200, "{odd}");
        }
    }
}

on_both! {
    async fn a_new_owners_link_is_shown_once_and_to_nobody_else(app: TestApp) {
        app.cast().await;
        let operator = app.sign_in(Who::Operator).await;
        let fields = [
            ("form[name]", "Harbour Works"),
            ("form[slug]", ""),
            ("form[zone]", "UTC"),
            ("form[email]", "new@example.com"),
        ];
        let answer = app.post_page(&operator, "/operator/new", "orgs/create", &fields).await;
        assert_eq!((answer.status, answer.location()), (303, "/operator/harbour-works/created"));
        let page = app.get(&operator, answer.location()).await;
        assert!(page.header("cache-control").contains("no-store"));
        let (_, rest) = page.text.split_once("/invite/").expect("the link");
        let token: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert_eq!(token.len(), 64);
        let again = app.get(&operator, answer.location()).await;
        assert_eq!(again.status, 200);
        assert!(!again.text.contains(&token));
        assert!(!app.dump().await.contains(&token));

        // A mistake keeps what was typed.
        let wrong = [fields[0], ("form[slug]", "acme"), fields[2], fields[3]];
        let answer = app.post_page(&operator, "/operator/new", "orgs/create", &wrong).await;
        assert_eq!(answer.status, 422);
        assert!(answer.text.contains("Another organisation uses the address acme"), "{}", answer.text);
        assert!(answer.text.contains("Harbour Works"), "{}", answer.text);
    }
}
