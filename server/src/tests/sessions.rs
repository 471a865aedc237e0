//! A session begins at sign-in under a new id, is stored only as a hash, and ends: by sign-out, by the clock, or with its
//! person.

use std::str::FromStr;

use axum::body::Body;
use keydesk_core::ops::account::SessionLife;
use sha2::{Digest, Sha256};
use tower_sessions::SessionStore;
use tower_sessions::session::Id;

use super::forms::new_key;
use super::support::{Browser, HOUR, HTTP, HTTPS, MINUTE, PASSWORD, TestApp, TestRequest, Who, hex, on_both};
use crate::http::session_store::Sessions;

const COOKIE: &str = "keydesk";
const SECURE_COOKIE: &str = "__Host-keydesk";

async fn is_in(app: &TestApp, browser: &Browser) -> bool {
    let answer = app.get(browser, "/acme/keys").await;
    assert!(answer.status == 200 || answer.location().starts_with("/sign-in"), "{}", answer.status);
    answer.status == 200
}

fn id_bytes(value: &str) -> [u8; 16] {
    Id::from_str(value).unwrap().0.to_le_bytes()
}

on_both! {
    async fn the_cookie_has_every_flag(app: TestApp) {
        app.cast().await;
        for (base, name) in [(HTTP, COOKIE), (HTTPS, SECURE_COOKIE)] {
            let app = app.at(base);
            let browser = app.sign_in(Who::Owner).await;
            let cookie = browser.cookie(name).unwrap_or_else(|| panic!("no cookie {name}"));
            for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(cookie.is(attribute), "{base} {attribute}: {:?}", cookie.attributes);
            }
            assert_eq!(cookie.is("Secure"), base == HTTPS);
            assert!(!cookie.attributes.iter().any(|sent| sent.starts_with("Domain")));
            // It lives as long as the browser's window; the server has its own times.
            assert!(!cookie.attributes.iter().any(|sent| sent.starts_with("Expires") || sent.starts_with("Max-Age")));
            assert!(is_in(&app, &browser).await);
        }
    }
}

on_both! {
    async fn a_planted_session_is_not_adopted(app: TestApp) {
        app.cast().await;
        let stranger = app.sign_in(Who::Member).await.cookie(COOKIE).unwrap().value;
        for planted in ["AAAAAAAAAAAAAAAAAAAAAA", "not-an-id", stranger.as_str()] {
            let browser = Browser::default();
            browser.plant(COOKIE, planted);
            let fields = [("form[email]", "owner@example.com"), ("form[password]", PASSWORD)];
            assert_eq!(app.post(&browser, "session/sign-in", &fields).await.status, 200);
            let own = browser.cookie(COOKIE).unwrap().value;
            assert_ne!(own, planted);
            assert!(is_in(&app, &browser).await);
            // Whoever planted it is nobody with it, also where it was somebody's session before.
            let planter = Browser::default();
            planter.plant(COOKIE, planted);
            assert!(!is_in(&app, &planter).await, "{planted}");
        }
        // Signing in again ends the session before it.
        let browser = app.sign_in(Who::Owner).await;
        let old = browser.cookie(COOKIE).unwrap().value;
        let fields = [("form[email]", "owner@example.com"), ("form[password]", PASSWORD)];
        assert_eq!(app.post(&browser, "session/sign-in", &fields).await.status, 200);
        let late = Browser::default();
        late.plant(COOKIE, &old);
        assert!(!is_in(&app, &late).await);
        assert!(is_in(&app, &browser).await);
    }
}

on_both! {
    async fn only_the_hash_of_its_id_is_stored(app: TestApp) {
        app.cast().await;
        let value = app.sign_in(Who::Owner).await.cookie(COOKIE).unwrap().value;
        assert!(value.len() >= 22, "128 bits");
        let dump = app.dump().await;
        let bytes = id_bytes(&value);
        let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
        for trace in [value.clone(), hex(&bytes), hex(&backwards), i128::from_le_bytes(bytes).to_string()] {
            assert!(!dump.contains(&trace), "{trace}");
        }
        let hash = hex(&Sha256::digest(bytes));
        assert!(dump.contains(&hash), "the hash is what is stored");
        // The hash is not a credential.
        let thief = Browser::default();
        thief.plant(COOKIE, &hash);
        assert!(!is_in(&app, &thief).await);
        assert_eq!(app.number("SELECT COUNT(*) FROM sessions").await, 1);
        // Looking at pages without signing in makes no sessions.
        for path in ["/", "/sign-in", "/acme/keys", "/healthz"] {
            assert!(app.get(&Browser::default(), path).await.cookies().is_empty(), "{path}");
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM sessions").await, 1);
    }
}

on_both! {
    async fn it_ends_after_half_an_hour_without_a_request(app: TestApp) {
        app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        app.clock.advance(29 * MINUTE);
        assert!(is_in(&app, &browser).await);
        app.clock.advance(29 * MINUTE);
        assert!(is_in(&app, &browser).await, "a request moves the end");
        app.clock.advance(30 * MINUTE);
        assert!(!is_in(&app, &browser).await);
        app.clock.advance(-5 * MINUTE);
        app.clock.advance(5 * MINUTE);
        assert!(!is_in(&app, &browser).await);
    }
}

on_both! {
    async fn it_ends_after_twelve_hours_in_any_case(app: TestApp) {
        app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        for _ in 0..35 {
            app.clock.advance(20 * MINUTE);
            assert!(is_in(&app, &browser).await);
        }
        app.clock.advance(12 * HOUR - 35 * 20 * MINUTE);
        assert!(!is_in(&app, &browser).await);
    }
}

on_both! {
    async fn signing_out_ends_it_for_good(app: TestApp) {
        app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        let other = app.sign_in(Who::Owner).await;
        let value = browser.cookie(COOKIE).unwrap().value;
        let (id, store) = (Id::from_str(&value).unwrap(), Sessions::new(app.state.desk.clone(), SessionLife { idle_ms: 30 * MINUTE, whole_ms: 12 * HOUR }));
        // A slow request has loaded the session before it ends …
        let record = store.load(&id).await.unwrap().expect("the session lives");

        let answer = app.post(&browser, "session/sign-out", &[("form[confirm]", "")]).await;
        assert_eq!((answer.status, answer.location()), (200, "/sign-in"));
        assert!(answer.cookie(COOKIE).unwrap().is_removal());
        assert!(answer.header("clear-site-data").contains("cache"));
        assert!(browser.cookie(COOKIE).is_none());
        let late = Browser::default();
        late.plant(COOKIE, &value);
        assert!(!is_in(&app, &late).await);
        assert_eq!(app.post(&late, "keys/create", &new_key("acme", "", "late")).await.status, 401);

        // … and saves it afterwards.
        store.save(&record).await.unwrap();
        assert!(store.load(&id).await.unwrap().is_none());
        assert!(!is_in(&app, &late).await, "saving brought an ended session back");
        assert!(is_in(&app, &other).await, "another session of the same person lives on");
    }
}

on_both! {
    async fn requests_in_flight_do_not_revive_it(app: TestApp) {
        app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        let value = browser.cookie(COOKIE).unwrap().value;
        // So that each request writes the session's last sight.
        app.clock.advance(2 * MINUTE);
        let cookie = format!("{COOKIE}={value}");
        let mut flights = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (app, ask) = (app.clone(), TestRequest::get("/acme/keys").header("cookie", &cookie));
            flights.spawn(async move { app.ask(ask).await.status });
        }
        assert_eq!(app.post(&browser, "session/sign-out", &[("form[confirm]", "")]).await.status, 200);
        while let Some(status) = flights.join_next().await {
            assert!([200, 303].contains(&status.unwrap()));
        }
        let late = Browser::default();
        late.plant(COOKIE, &value);
        assert!(!is_in(&app, &late).await);
    }
}

on_both! {
    async fn a_form_that_arrives_slowly_is_not_taken_from_a_session_that_ended_meanwhile(app: TestApp) {
        app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        let fields = [("form[org]", "acme"), ("form[team][name]", "Slow")];
        let mut ask = TestRequest::form("teams/create", &fields).same_origin();
        ask.headers.insert("cookie", browser.header_for("/").parse().unwrap());
        let whole = std::mem::take(&mut ask.body);
        let (app_too, out) = (app.clone(), browser.clone());
        // The first half comes at once, the second when the person has signed out.
        let halves = futures_util::stream::unfold(0, move |half| {
            let (app, browser, whole) = (app_too.clone(), out.clone(), whole.clone());
            async move {
                let (first, second) = whole.split_at(whole.len() / 2);
                match half {
                    0 => Some((Ok::<_, std::io::Error>(first.to_vec()), 1)),
                    1 => {
                        app.post(&browser, "session/sign-out", &[("form[confirm]", "yes")]).await;
                        Some((Ok(second.to_vec()), 2))
                    }
                    _ => None,
                }
            }
        });
        let answer = app.ask_with(ask, Body::from_stream(halves)).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM teams WHERE name = 'Slow'").await, 0);
    }
}

on_both! {
    async fn a_disabled_person_is_out_at_the_next_request(app: TestApp) {
        let cast = app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        assert!(is_in(&app, &browser).await);
        let now = app.state.desk.now().ms();
        let owner = cast.id(Who::Owner);
        app.execute(&format!("UPDATE people SET disabled_at = {now} WHERE id = '{owner}'")).await;
        assert!(!is_in(&app, &browser).await);
        assert_eq!(app.post(&browser, "keys/create", &new_key("acme", "", "late")).await.status, 401);
        let fields = [("form[email]", "owner@example.com"), ("form[password]", PASSWORD)];
        assert_eq!(app.post(&Browser::default(), "session/sign-in", &fields).await.status, 422);

        // And somebody whose membership ends sees nothing of the organisation any more.
        let admin = app.sign_in(Who::Admin).await;
        let id = cast.id(Who::Admin);
        app.execute(&format!("UPDATE memberships SET disabled_at = {now} WHERE person_id = '{id}'")).await;
        assert_eq!(app.get(&admin, "/acme/keys").await.status, 404);
        assert_eq!(app.post(&admin, "keys/create", &new_key("acme", "", "late")).await.status, 404);
    }
}

on_both! {
    async fn a_lost_role_is_lost_at_the_next_request(app: TestApp) {
        let cast = app.cast().await;
        let admin = app.sign_in(Who::Admin).await;
        assert_eq!(app.get(&admin, "/acme/keys/new").await.status, 200);
        let id = cast.id(Who::Admin);
        app.execute(&format!("UPDATE memberships SET role = 'member' WHERE person_id = '{id}'")).await;
        assert_eq!(app.get(&admin, "/acme/keys/new").await.status, 403);
        assert_eq!(app.post(&admin, "keys/create", &new_key("acme", "", "late")).await.status, 403);
        assert_eq!(app.number("SELECT COUNT(*) FROM keys").await, 0);
    }
}

on_both! {
    async fn what_is_sent_after_a_session_ended_comes_back_to_its_person_alone(app: TestApp) {
        app.cast().await;
        let browser = app.sign_in(Who::Owner).await;
        app.clock.advance(31 * MINUTE);
        let fields = [
            ("form[org]", "acme"),
            ("form[email]", "late@example.com"),
            ("form[role]", "member"),
            ("form[reauth][password]", "hunter2 hunter2 hunter2"),
        ];
        let page = "/acme/members/invite";
        let answer = app.post_page(&browser, page, "invitations/invite", &fields).await;
        let next = answer.location().strip_prefix("/sign-in?next=").expect("it leads to the sign-in");
        let next = percent_encoding::percent_decode_str(next).decode_utf8().unwrap().into_owned();
        assert!(next.starts_with(&format!("{page}?kept=req_")), "{next}");
        let dump = app.dump().await;
        assert!(!dump.contains("late@example.com") && !dump.contains("hunter2"));
        let admin = app.sign_in(Who::Admin).await;
        assert!(!app.get(&admin, &next).await.text.contains("late@example.com"));
        let owner = app.sign_in(Who::Owner).await;
        for elsewhere in [next.replace("/members/invite", "/teams/new"), page.to_owned()] {
            assert!(!app.get(&owner, &elsewhere).await.text.contains("late@example.com"));
        }
        let shown = app.get(&owner, &next).await;
        assert_eq!(shown.status, 200);
        assert!(shown.text.contains("value=\"late@example.com\""), "{}", shown.text);
        assert!(shown.text.contains("nothing was saved") && !shown.text.contains("hunter2"));
        assert_eq!(app.number("SELECT COUNT(*) FROM invitations").await, 0);
        // Who signed out has no session to tell whose it was.
        let nobody = app.post_page(&Browser::default(), page, "invitations/invite", &fields).await;
        assert!(!nobody.location().contains("kept"), "{}", nobody.location());
        app.clock.advance(HOUR);
        let late = app.get(&app.sign_in(Who::Owner).await, &next).await;
        assert!(!late.text.contains("late@example.com"));
    }
}
