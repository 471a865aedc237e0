//! A browser at another address than the configured one is told the right one before a password is typed, and when a form
//! is refused.

use super::support::{HTTP, HTTPS, TestApp, TestRequest, on_both};

const PROXY: &str = "10.9.9.9";

fn behind_proxy(app: &TestApp, base: &str) -> TestApp {
    app.with_config(|config| {
        config.base_url = Some(base.into());
        config.trusted_proxies = vec!["10.9.0.0/16".parse().unwrap()];
    })
}

/// The note's link, if the sign-in page has one.
async fn link(app: &TestApp, headers: &[(&'static str, &str)], from: &str) -> Option<String> {
    let ask = TestRequest::get("/sign-in?next=/acme/keys").header("accept", "text/html").from(from);
    let answer = app.ask(headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))).await;
    assert_eq!(answer.status, 200);
    let (_, note) = answer.text.split_once("not the desk’s own address")?;
    let (_, link) = note.split_once("href=\"")?;
    Some(link.split('"').next().unwrap_or_default().replace("&#x2F;", "/"))
}

on_both! {
    async fn a_sign_in_at_another_address_says_so_before_a_password_is_typed(app: TestApp) {
        let secure = app.at(HTTPS);
        let proxied = behind_proxy(&app, HTTPS);
        let unset = app.with_config(|config| config.base_url = None);
        for (app, headers, from, elsewhere) in [
            (&app, &[][..], "203.0.113.7", false),
            (&app, &[("host", "10.0.0.5:3000")], "203.0.113.7", true),
            (&unset, &[("host", "10.0.0.5:3000")], "203.0.113.7", false),
            // Plain http, straight to the desk.
            (&secure, &[], "203.0.113.7", true),
            (&secure, &[("sec-fetch-site", "none")], "203.0.113.7", false),
            (&secure, &[("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example")], "203.0.113.7", false),
            (&proxied, &[("x-forwarded-proto", "https")], PROXY, false),
            (&proxied, &[("x-forwarded-proto", "http")], PROXY, true),
            (&proxied, &[("x-forwarded-proto", "https"), ("x-forwarded-host", "desk.example.com")], PROXY, true),
            (&proxied, &[("x-forwarded-proto", "https"), ("host", "127.0.0.1:3000"), ("x-forwarded-host", "keys.example.com")], PROXY, false),
            // Not from the proxy: the host is what it says.
            (&proxied, &[("host", "127.0.0.1:3000"), ("x-forwarded-host", "keys.example.com")], "203.0.113.7", true),
        ] {
            let found = link(app, headers, from).await;
            let base = app.state.config.base_url();
            let right = elsewhere.then(|| format!("{base}/sign-in?next=%2Facme%2Fkeys"));
            assert_eq!(found, right, "{base} {headers:?} from {from}");
        }
    }
}

on_both! {
    async fn a_form_that_is_refused_at_another_address_says_the_right_one(app: TestApp) {
        let form = || TestRequest::form("session/sign-in", &[("form[email]", "ana@example.com")]).header("origin", "http://wrong.example");
        let proxied = behind_proxy(&app, HTTPS);
        for (app, base) in [(&app, HTTP), (&proxied, HTTPS)] {
            let at = |ask: TestRequest| ask.header("host", "127.0.0.1:3000").from(PROXY);
            let answer = app.ask(at(form()).header("accept", "text/html")).await;
            assert_eq!(answer.status, 403);
            assert!(answer.header("content-type").starts_with("text/html"));
            assert!(answer.text.contains(&format!("Open the desk at its own address: <a href=\"{base}\">{base}</a>")), "{}", answer.text);
            let answer = app.ask(at(form()).header("accept", "application/json")).await;
            assert!(answer.text.ends_with(&format!("Open the desk at its own address: {base}\n")), "{}", answer.text);
        }
        // Another site's form at the right address: nothing to say.
        let answer = app.ask(form().header("accept", "text/html")).await;
        assert_eq!((answer.status, answer.text.as_str()), (403, "This request did not come from a page of this desk, so nothing was done.\n"));
    }
}
