//! People over HTTP: a change of standing holds for the next request of an open session, sessions that end stay ended,
//! and an invitation's link leaves by one way only.

use std::str::FromStr;

use keydesk_core::ops::account::SessionLife;
use tower_sessions::SessionStore;
use tower_sessions::session::Id;

use super::support::{Browser, Cast, HOUR, MINUTE, PASSWORD, TestApp, TestRequest, Who, on_both};
use crate::http::session_store::Sessions;

const COOKIE: &str = "keydesk";

async fn act(app: &TestApp, browser: &Browser, action: &str, cast: &Cast, who: Who) -> u16 {
    let id = cast.id(who);
    app.post(browser, action, &[("form[org]", "acme"), ("form[id]", id.as_str())]).await.status
}

on_both! {
    async fn a_demotion_holds_for_the_next_request_of_an_open_session(app: TestApp) {
        let cast = app.cast().await;
        let (owner, admin) = (app.sign_in(Who::Owner).await, app.sign_in(Who::Admin).await);
        assert_eq!(app.get(&admin, "/acme/members").await.status, 200);
        let id = cast.id(Who::Admin);
        let fields = [("form[org]", "acme"), ("form[id]", id.as_str()), ("form[role]", "member")];
        assert_eq!(app.post(&owner, "members/role", &fields).await.status, 200);
        assert_eq!(app.get(&admin, "/acme/members").await.status, 403);
        assert_eq!(act(&app, &admin, "members/disable", &cast, Who::Member).await, 404);
        assert_eq!(act(&app, &owner, "members/remove", &cast, Who::Admin).await, 200);
        assert_eq!(act(&app, &admin, "members/disable", &cast, Who::Member).await, 401);
    }
}

on_both! {
    async fn whoever_is_disabled_stays_out_while_slow_requests_are_in_flight(app: TestApp) {
        let cast = app.cast().await;
        let (owner, member) = (app.sign_in(Who::Owner).await, app.sign_in(Who::Member).await);
        let value = member.cookie(COOKIE).unwrap().value;
        let life = SessionLife { idle_ms: 30 * MINUTE, whole_ms: 12 * HOUR };
        let (id, store) = (Id::from_str(&value).unwrap(), Sessions::new(app.state.desk.clone(), life));
        let record = store.load(&id).await.unwrap().expect("the session lives");
        // So that each request writes the session's last sight.
        app.clock.advance(2 * MINUTE);
        let cookie = format!("{COOKIE}={value}");
        let mut flights = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (app, ask) = (app.clone(), TestRequest::get("/acme/keys").header("cookie", &cookie));
            flights.spawn(async move { app.ask(ask).await.status });
        }
        assert_eq!(act(&app, &owner, "members/disable", &cast, Who::Member).await, 200);
        while let Some(status) = flights.join_next().await {
            // In before it, out after it, or without a place in the organisation between the two.
            assert!([200, 303, 404].contains(&status.unwrap()));
        }
        store.save(&record).await.unwrap();
        assert!(store.load(&id).await.unwrap().is_none(), "saving brought an ended session back");
        assert_eq!(app.get(&member, "/acme/keys").await.status, 303);
        // Enabled again, they sign in anew.
        assert_eq!(act(&app, &owner, "members/enable", &cast, Who::Member).await, 200);
        assert_eq!(app.get(&member, "/acme/keys").await.status, 303);
        let again = app.sign_in(Who::Member).await;
        assert_eq!(app.get(&again, "/acme/keys").await.status, 200);
    }
}

on_both! {
    async fn what_asks_for_a_fresh_proof_is_not_done_without_one(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        app.clock.advance(11 * MINUTE);
        let answer = act(&app, &owner, "members/remove", &cast, Who::Member).await;
        assert_eq!(answer, 403);
        let page = format!("/acme/members/{}/remove", cast.id(Who::Member));
        let drawn = app.get(&owner, &page).await.text;
        assert!(drawn.contains("form[reauth][password]"), "the page asks for it");
        let id = cast.id(Who::Member);
        let reauth = |password: &'static str| {
            [("form[org]", "acme".to_owned()), ("form[id]", id.to_string()), ("form[reauth][password]", password.into())]
        };
        let send = async |password: &'static str| {
            let fields = reauth(password);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            app.post(&owner, "members/remove", &fields).await.status
        };
        assert_eq!(send("not the password").await, 422);
        assert_eq!(send(PASSWORD).await, 200);
    }
}

on_both! {
    async fn an_invitations_link_is_in_one_answer_and_nowhere_else(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let fields =
            [("form[org]", "acme"), ("form[email]", "ben@example.org"), ("form[role]", "member")];
        let answer = app.post(&owner, "invitations/invite", &fields).await;
        let page = answer.location().to_owned();
        assert!(page.ends_with("/issued"), "{page}");
        let token_in = |text: &str| {
            let (_, rest) = text.split_once("/invite/")?;
            let token: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
            (token.len() == 64).then_some(token)
        };
        assert!(token_in(&answer.text).is_none() && !page.contains("/invite/"));
        let shown = app.get(&owner, &page).await;
        let token = token_in(&shown.text).expect("the page shows the link");
        assert!(shown.header("cache-control").contains("no-store"));
        for path in [page.as_str(), "/acme/members", "/acme/members/invite"] {
            assert!(!app.get(&owner, path).await.text.contains(&token), "{path}");
        }
        assert!(!app.dump().await.contains(&token));

        // The card is everybody's who has the link; taking it up signs them in.
        let guest = Browser::default();
        let card = format!("/invite/{token}");
        assert_eq!(app.get(&guest, &card).await.status, 200);
        let fields = [
            ("form[token]", token.as_str()),
            ("form[name]", "Ben Okafor"),
            ("form[password]", "walnut ferry 92 lantern"),
        ];
        let joined = app.post(&guest, "invitations/accept", &fields).await;
        assert_eq!((joined.status, joined.location()), (200, "/acme"));
        assert_eq!(app.get(&guest, "/acme/keys").await.status, 200);
        assert_eq!(app.get(&Browser::default(), &card).await.status, 404);
        assert_eq!(app.post(&Browser::default(), "invitations/accept", &fields).await.status, 404);
    }
}
