//! Nothing is changed by a request that does not come from a page of this desk, whoever's cookies it carries.

use super::routes::{actions, borrowed, fields_for};
use super::support::{HOST, TestApp, TestRequest, Who, on_both};

/// Headers of requests that another site could cause, or a program without a browser.
const FOREIGN: [(&str, &[(&str, &str)]); 12] = [
    ("cross-site", &[("sec-fetch-site", "cross-site")]),
    ("same-site", &[("sec-fetch-site", "same-site")]),
    ("typed", &[("sec-fetch-site", "none")]),
    ("an unknown word", &[("sec-fetch-site", "same-origin, cross-site")]),
    ("no headers", &[]),
    ("foreign origin", &[("origin", "https://evil.example")]),
    ("an origin that only begins like ours", &[("origin", "http://keys.example.com.evil.example")]),
    ("another port", &[("origin", "http://keys.example.com:8080")]),
    ("null origin", &[("origin", "null")]),
    (
        "cross-site with our origin",
        &[("sec-fetch-site", "cross-site"), ("origin", "http://keys.example.com")],
    ),
    ("our address only in the referer", &[("referer", "http://keys.example.com/acme/keys")]),
    (
        "text/plain of another site",
        &[("origin", "https://evil.example"), ("content-type", "text/plain;charset=UTF-8")],
    ),
];

on_both! {
    async fn every_action_refuses_what_another_site_sends(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        let before = app.dump().await;
        for action in actions() {
            let fields = fields_for(&action, &cast, &key, "made");
            for (what, headers) in FOREIGN {
                let ask = TestRequest::form(&action, &borrowed(&fields)).header("accept", "text/html");
                let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
                let answer = app.send(&owner, ask).await;
                assert_eq!(answer.status, 403, "{action}, {what}: {}", answer.text);
                assert!(answer.cookies().is_empty(), "{action}, {what}");
            }
        }
        assert_eq!(app.dump().await, before, "something was changed");
        assert_eq!(app.try_key(&key.secret).await, 200);
    }
}

on_both! {
    async fn an_older_browser_is_known_by_its_origin(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        let fields = fields_for("keys/disable", &cast, &key, "");
        let origin = format!("http://{HOST}");
        let ask = TestRequest::form("keys/disable", &borrowed(&fields)).header("origin", &origin);
        assert_eq!(app.send(&owner, ask.header("accept", "application/json")).await.status, 200);
        assert_eq!(app.try_key(&key.secret).await, 401);
    }
}

on_both! {
    async fn other_methods_of_another_site_reach_nothing(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        for path in ["/sign-in".to_owned(), format!("/{}/keys", cast.org.slug), "/api/keys/create".to_owned()] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                let ask = TestRequest::get(&path).method(method.parse().unwrap());
                let answer = app.send(&owner, ask.header("origin", "https://evil.example")).await;
                assert_eq!(answer.status, 403, "{method} {path}");
                assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
            }
        }
    }
}
