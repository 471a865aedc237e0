//! The headers that every answer has, whatever it answers.

use std::collections::HashSet;

use super::routes::{borrowed, fields_for};
use super::support::{Browser, HTTP, HTTPS, TestApp, TestRequest, TestResponse, Who, on_both};
use crate::http::assets;

fn check(what: &str, answer: &TestResponse, https: bool) {
    let policy = answer.header("content-security-policy");
    for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{what} ({}): {policy:?}", answer.status);
    }
    for source in
        ["'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'", "http:", "https:", "*", "style-src-attr"]
    {
        assert!(!policy.contains(source), "{what}: {policy}");
    }
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("referrer-policy"), "same-origin", "{what}");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{what}");
    assert!(answer.header("permissions-policy").contains("camera=()"), "{what}");
    let transport = answer.header("strict-transport-security");
    assert_eq!(transport.contains("max-age=31536000"), https, "{what}");
    assert!(answer.header("x-request-id").starts_with("req_"), "{what}");
    for name in ["server", "x-powered-by", "access-control-allow-origin", "access-control-allow-credentials"]
    {
        assert!(!answer.headers.contains_key(name), "{what}: {name}");
    }
    for name in ["content-security-policy", "cache-control", "x-content-type-options"] {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{what}: {name}");
    }
}

on_both! {
    async fn every_answer_has_them(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        for base in [HTTP, HTTPS] {
            let (app, https) = (app.at(base), base == HTTPS);
            let owner = app.sign_in(Who::Owner).await;
            let nobody = Browser::default();
            let key_page = format!("/acme/keys/{}", key.id);
            let mut answers = Vec::new();
            for (path, status) in [
                ("/", 302), ("/sign-in", 200), ("/setup/x", 404), ("/reset/x", 404), ("/acme", 200), ("/acme/keys", 200),
                ("/acme/keys/new", 200), (key_page.as_str(), 200), ("/acme/keys/nothing", 404), ("/acme/nothing", 404),
                ("/elsewhere/keys", 404), ("/healthz", 200), ("/readyz", 200), ("/pkg/0/x.js", 404), ("/v1/models", 401),
                ("/v1/nothing", 404), ("/api/keys/create", 405), ("/api/keys/nothing", 404), ("/csp-report", 405),
            ] {
                let answer = app.get(&owner, path).await;
                assert_eq!(answer.status, status, "{path}");
                let kept = if path.starts_with("/acme") || path == "/" { "no-store" } else { "" };
                assert!(answer.header("cache-control").contains(kept), "{path}: {}", answer.header("cache-control"));
                answers.push((path.to_owned(), answer));
            }
            answers.push(("signed out".into(), app.get(&nobody, "/acme/keys").await));
            answers.push(("preflight".into(), app.ask(TestRequest::get("/api/keys/create").method("OPTIONS".parse().unwrap())).await));
            answers.push(("unauthenticated".into(), app.post(&nobody, "keys/create", &[("form[org]", "acme")]).await));
            answers.push(("mistakes".into(), app.post(&owner, "keys/create", &[("form[org]", "acme")]).await));
            answers.push(("malformed".into(), app.post(&owner, "keys/create", &[("x", "y")]).await));
            answers.push(("back".into(), app.post_page(&owner, "/acme/keys/new", "keys/create", &[("form[org]", "acme")]).await));
            let large = TestRequest::form("keys/create", &[]).same_origin().body("x".repeat(70_000));
            let large = app.send(&owner, large).await;
            assert_eq!(large.status, 413);
            answers.push(("too large".into(), large));
            let report = TestRequest::get("/csp-report").method("POST".parse().unwrap());
            answers.push(("a report".into(), app.ask(report.body("{}")).await));
            for (what, answer) in &answers {
                check(what, answer, https);
            }
        }
    }
}

on_both! {
    async fn a_panic_is_a_500_with_all_of_them_and_no_words_of_its_own(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let owner = app.sign_in(Who::Owner).await;
        let fields = fields_for("keys/disable", &cast, &key, "");
        for what in ["gateway", "action"] {
            let mut panics = 0;
            // The clock breaks down at each place that asks it; the request's own note stands outside of everything.
            for answers in 1..10 {
                let ask = match what {
                    "gateway" => TestRequest::get("/v1/models").header("x-api-key", &key.secret),
                    _ => TestRequest::form("keys/disable", &borrowed(&fields)).same_origin(),
                };
                let ask = ask.header("cookie", &owner.header_for("/"));
                app.clock.break_after(answers);
                let asked = tokio::spawn({
                    let app = app.clone();
                    async move { app.ask(ask).await }
                });
                let outcome = asked.await;
                app.clock.mend();
                let Ok(answer) = outcome else { continue };
                if answer.status != 500 {
                    continue;
                }
                panics += 1;
                check(what, &answer, false);
                assert!(answer.text.contains("Something failed on the server"), "{}", answer.text);
                assert!(!answer.text.contains("breaks down"));
                assert_eq!(answer.header("cache-control"), "no-store");
            }
            assert!(panics > 0, "{what}: nothing panicked");
        }
        // And life goes on.
        assert_eq!(app.get(&owner, "/acme/keys").await.status, 200);
    }
}

on_both! {
    async fn each_page_has_a_nonce_of_its_own(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let mut seen = HashSet::new();
        for path in ["/sign-in", "/acme/keys", "/acme/keys", "/acme/keys/new", "/acme/nothing", "/elsewhere/keys"] {
            let answer = app.get(&owner, path).await;
            let policy = answer.header("content-security-policy").to_owned();
            let (_, rest) = policy.split_once("'nonce-").unwrap_or_else(|| panic!("{path}: {policy}"));
            let nonce = rest.split_once('\'').unwrap().0.to_owned();
            assert!(nonce.len() >= 16, "{nonce}");
            assert!(policy.contains("object-src 'none'") && policy.contains("form-action 'self'"), "{policy}");
            assert!(policy.contains("report-uri /csp-report"));
            let html = answer.text.replace(&format!("nonce=\"{nonce}\""), "nonce");
            for tag in html.match_indices("<script").map(|(at, _)| html[at..].split('>').next().unwrap()) {
                assert!(tag.contains("nonce"), "{path}: {tag}");
            }
            assert!(!html.contains(" style=\"") && !html.contains("<style"), "{path} has an inline style");
            for event in [" onclick=", " onload=", " onerror=", "javascript:"] {
                assert!(!html.contains(event), "{path}: {event}");
            }
            assert!(seen.insert(nonce), "{path} repeats a nonce");
        }
    }
}

on_both! {
    async fn assets_are_kept_for_ever_and_only_this_version_is_there(app: TestApp) {
        let path = |version: &str, name: &str| format!("/pkg/{version}/{name}");
        let answer = app.ask(TestRequest::get(&path(&assets::VERSION, "icon.svg"))).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "image/svg+xml"));
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        check("icon", &answer, false);
        for (version, name) in [
            ("000000000000", "icon.svg"),
            ("", "icon.svg"),
            (&assets::VERSION, "nothing.js"),
            (&assets::VERSION, "keydesk.css.br"),
            (&assets::VERSION, "keydesk.css.gz"),
            (&assets::VERSION, "..%2f..%2fCargo.toml"),
            (&assets::VERSION, "%2fetc%2fpasswd"),
            (&assets::VERSION, ""),
        ] {
            let answer = app.ask(TestRequest::get(&path(version, name))).await;
            // What is no address of an asset is an address of a page, for people who are signed in.
            assert!([404, 303].contains(&answer.status), "{version}/{name}: {}", answer.status);
            assert!(!answer.header("cache-control").contains("immutable"), "{version}/{name}");
            check(name, &answer, false);
        }
        assert_eq!(app.ask(TestRequest::get(&path("000000000000", "icon.svg"))).await.status, 404);
    }
}
