//! Signing in with a second factor, over HTTP: its order cannot be skipped, and no answer tells who is known here.
// sqlx here: a second factor is turned on in the table, where the page itself is not what is tested.

use std::time::{Duration, Instant};

use super::support::{Browser, MINUTE, PASSWORD, TestApp, TestResponse, Who, on_both};

const PENDING_SIGN_IN: &str = "keydesk-half-in";
const COOKIE: &str = "keydesk";

async fn send_password(app: &TestApp, browser: &Browser, email: &str, password: &str) -> TestResponse {
    app.post(browser, "session/sign-in", &[("form[email]", email), ("form[password]", password)]).await
}

/// A second factor whose codes nobody can make: enough to ask for one.
async fn require_code(app: &TestApp, who: Who) {
    let email = who.email();
    app.execute(&format!("UPDATE people SET totp_since = 1 WHERE email = '{email}'")).await;
}

on_both! {
    async fn the_page_for_signing_in_says_when_nobody_can(app: TestApp) {
        let page = app.get(&Browser::default(), "/sign-in").await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("Keydesk is not set up yet."), "{}", page.text);
        app.cast().await;
        assert!(!app.get(&Browser::default(), "/sign-in").await.text.contains("not set up"));
    }
}

on_both! {
    async fn a_password_alone_begins_no_session_beside_a_second_factor(app: TestApp) {
        app.cast().await;
        require_code(&app, Who::Owner).await;
        let browser = Browser::default();
        let answer = send_password(&app, &browser, &Who::Owner.email(), PASSWORD).await;
        assert_eq!((answer.status, answer.location()), (200, "/sign-in/code"));
        assert!(answer.cookie(COOKIE).is_none(), "a session before the code");
        let half = answer.cookie(PENDING_SIGN_IN).unwrap();
        assert!(half.is("HttpOnly") && half.is("SameSite=Strict"), "{:?}", half.attributes);
        assert!(app.get(&browser, "/acme/keys").await.location().starts_with("/sign-in"));
        assert_eq!(app.get(&browser, "/sign-in/code").await.status, 200);
        assert_eq!(app.post(&browser, "keys/find", &[("form[org]", "acme"), ("form[q]", "")]).await.status, 401);

        // A wrong code, and none.
        for code in ["000000", ""] {
            let answer = app.post(&browser, "session/code", &[("form[code]", code)]).await;
            assert_eq!(answer.status, 422, "{}", answer.text);
            assert!(answer.cookie(COOKIE).is_none());
        }
        // Without the first step, or with a cookie that is not ours, or late: nothing to finish.
        let code = [("form[code]", "000000")];
        assert_eq!(app.post(&Browser::default(), "session/code", &code).await.status, 401);
        let forger = Browser::default();
        forger.plant(PENDING_SIGN_IN, "{\"until\":9999999999999}");
        assert_eq!(app.post(&forger, "session/code", &code).await.status, 401);
        app.clock.advance(10 * MINUTE);
        assert_eq!(app.post(&browser, "session/code", &code).await.status, 401);
        assert_eq!(app.get(&browser, "/sign-in/code").await.location(), "/sign-in");
        assert_eq!(app.number("SELECT COUNT(*) FROM sessions").await, 0);
    }
}

on_both! {
    async fn wrong_codes_end_the_attempt_and_are_answered_429_with_the_time_to_wait(app: TestApp) {
        app.cast().await;
        require_code(&app, Who::Owner).await;
        let browser = Browser::default();
        for _ in 0..4 {
            send_password(&app, &browser, &Who::Owner.email(), PASSWORD).await;
            for _ in 0..5 {
                assert_eq!(app.post(&browser, "session/code", &[("form[code]", "000000")]).await.status, 422);
            }
            let over = app.post(&browser, "session/code", &[("form[code]", "000000")]).await;
            assert_eq!(over.status, 409);
            assert!(over.text.contains("Sign in again with your password"), "{}", over.text);
        }
        send_password(&app, &browser, &Who::Owner.email(), PASSWORD).await;
        let answer = app.post(&browser, "session/code", &[("form[code]", "000000")]).await;
        assert_eq!(answer.status, 429);
        let wait: u32 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
}

on_both! {
    /// By text, by status, by cookies, and by the time that verifying a password takes.
    async fn a_wrong_password_tells_nothing_about_who_is_known(app: TestApp) {
        app.cast().await;
        require_code(&app, Who::Admin).await;
        let disabled = Who::Member.email();
        app.execute(&format!("UPDATE people SET disabled_at = 1 WHERE email = '{disabled}'")).await;
        let asked = [
            ("known", Who::Owner.email(), "wrong password, long enough"),
            ("unknown", "nobody@example.com".to_owned(), "wrong password, long enough"),
            ("disabled, with the right password", disabled, PASSWORD),
            ("with a second factor", Who::Admin.email(), "wrong password, long enough"),
            ("no address at all", "nobody".to_owned(), "wrong password, long enough"),
        ];
        let mut seen = Vec::new();
        for (what, email, password) in &asked {
            let mut took = Vec::new();
            for _ in 0..3 {
                let begun = Instant::now();
                let answer = send_password(&app, &Browser::default(), email, password).await;
                took.push(begun.elapsed());
                assert!(answer.cookies().is_empty(), "{what}");
                seen.push((*what, answer.status, answer.text));
            }
            took.sort();
            // One argon2 hash takes far longer than all the rest: without the stand-in an unknown address would be
            // answered in a fraction of this.
            assert!(took[1] > Duration::from_millis(8), "{what} was answered after {:?}", took[1]);
        }
        let (_, status, text) = seen[0].clone();
        assert_eq!(status, 422);
        for (what, other_status, other_text) in seen {
            assert_eq!((other_status, other_text.as_str()), (status, text.as_str()), "{what}");
        }
    }
}

on_both! {
    async fn a_changed_password_gives_this_session_a_new_id_and_ends_the_others(app: TestApp) {
        app.cast().await;
        let (browser, other) = (app.sign_in(Who::Owner).await, app.sign_in(Who::Owner).await);
        let old = browser.cookie(COOKIE).unwrap().value;
        let fields = [("form[current]", PASSWORD), ("form[password]", "walnut ferry 92 lantern")];
        let answer = app.post(&browser, "account/password", &fields).await;
        assert_eq!((answer.status, answer.location()), (200, "/account"), "{}", answer.text);
        let new = browser.cookie(COOKIE).unwrap();
        assert_ne!(new.value, old);
        assert!(new.is("HttpOnly") && new.is("SameSite=Lax"));
        assert_eq!(app.get(&browser, "/account").await.status, 200);
        let late = Browser::default();
        late.plant(COOKIE, &old);
        for ended in [late, other] {
            assert!(app.get(&ended, "/account").await.location().starts_with("/sign-in"));
        }
        let live = app.number("SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL").await;
        assert_eq!(live, 1);
    }
}

on_both! {
    async fn an_organisation_that_asks_for_a_second_factor_leads_there(app: TestApp) {
        app.cast().await;
        app.execute("UPDATE orgs SET second_factor = 'required'").await;
        let admin = app.sign_in(Who::Admin).await;
        let refused = app.get(&admin, "/acme/keys").await;
        assert_eq!(refused.status, 403);
        assert!(refused.text.contains("href=\"/account/second-factor\""), "the way to turn it on");
        assert_eq!(app.get(&admin, "/account/second-factor").await.status, 200);
        let member = app.sign_in(Who::Member).await;
        assert_eq!(app.get(&member, "/acme/keys").await.status, 200);
    }
}
