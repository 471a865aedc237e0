//! Nobody is led to another host, and no spelling of an address reaches a page without a session.

use super::forms::new_key;
use super::support::{Browser, HOST, HTTP, PASSWORD, TestApp, TestRequest, Who, on_both};

const OUTSIDE: [&str; 18] = [
    "https://evil.example",
    "https://evil.example/acme/keys",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\r\n/evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    " /acme",
    "/acme\r\nLocation: https://evil.example",
    "@evil.example",
    "%2f%2fevil.example",
    "http://keys.example.com@evil.example/",
    "http://keys.example.com.evil.example/",
];

fn stays(location: &str) -> bool {
    location.starts_with('/') && !location.starts_with("//") && !location.contains(['\\', '\r', '\n', '\t'])
}

on_both! {
    async fn no_next_page_is_on_another_host(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        for next in OUTSIDE {
            let answer =
                app.post(&owner, "session/theme", &[("form[theme]", "dark"), ("form[page]", next)]).await;
            assert_eq!((answer.status, answer.location()), (200, "/"), "{next:?}");
            let answer = app
                .post_page(&owner, "/acme/keys", "session/theme", &[("form[theme]", "dark"), ("form[page]", next)])
                .await;
            assert_eq!((answer.status, answer.location()), (303, "/"), "{next:?}");
            let encoded: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let answer = app.get(&owner, &format!("/sign-in?next={encoded}")).await;
            assert!(answer.location().is_empty());
        }
        for next in ["https://evil.example/acme/keys", "//evil.example", "/\\evil.example"] {
            let browser = Browser::default();
            let fields = [("form[email]", "owner@example.com"), ("form[password]", PASSWORD), ("form[next]", next)];
            let answer = app.post_page(&browser, "/sign-in", "session/sign-in", &fields).await;
            assert_eq!((answer.status, answer.location()), (303, "/"), "{next:?}");
        }
    }
}

on_both! {
    async fn a_form_goes_back_only_to_this_host(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        let bad = new_key("acme", "", "");
        let late = app.sign_in(Who::Owner).await;
        app.post(&late, "session/sign-out", &[("form[confirm]", "")]).await;
        for referer in [
            "https://evil.example/acme/keys/new",
            "https://evil.example",
            "https://evil.example//other.example/x",
            "https://evil.example/\\other.example",
            "//evil.example/x",
            "x://y//evil.example/",
            "http://keys.example.com//evil.example",
            "http://keys.example.com",
            "not an address",
        ] {
            let ask = TestRequest::form("keys/create", &bad).same_origin();
            let ask = ask.header("accept", "text/html").header("referer", referer);
            let answer = app.send(&owner, ask).await;
            // The form's page is drawn again in the answer, or there is none: nobody is led anywhere.
            assert!([404, 422].contains(&answer.status), "{referer}: {}", answer.status);
            assert_eq!(answer.location(), "", "{referer}");
            // Somebody whose session ended meanwhile is led to sign in, with no foreign page to go on to.
            let ask = TestRequest::form("keys/create", &bad).same_origin();
            let answer = app.send(&late, ask.header("accept", "text/html").header("referer", referer)).await;
            assert!([303, 401].contains(&answer.status), "{referer}: {}", answer.status);
            assert!(answer.location().is_empty() || answer.location().starts_with("/sign-in"), "{}", answer.location());
            assert!(!answer.location().contains("example"), "{}", answer.location());
            assert!(!answer.text.contains("evil.example") && !answer.text.contains("other.example"), "{referer}");
        }
    }
}

on_both! {
    async fn a_search_leads_only_to_the_list(app: TestApp) {
        app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        for q in OUTSIDE.iter().chain(&["?x=1", "#x", "a&state=revoked", "\r\nset-cookie: a=b", "../../x"]) {
            for rest in ["", "sort=name", "next=//evil.example", "https://evil.example", "sort=%0d%0ax"] {
                let fields = [("form[org]", "acme"), ("form[q]", *q), ("form[rest]", rest)];
                let answer = app.post(&owner, "keys/search", &fields).await;
                assert_eq!(answer.status, 200, "{q:?}: {}", answer.text);
                let location = answer.location();
                assert!(location == "/acme/keys" || location.starts_with("/acme/keys?"), "{location}");
                assert!(!location.contains(['\r', '\n', '#']) && !location.contains("next="), "{location}");
                assert!(!location.contains("set-cookie:") && answer.cookie("a").is_none());
            }
        }
        // An organisation that is none is not led to either.
        for org in ["/evil.example", "\\evil.example", "//evil.example", "evil.example/"] {
            let answer = app.post(&owner, "keys/search", &[("form[org]", org), ("form[q]", "x")]).await;
            assert_eq!((answer.status, answer.location()), (404, ""), "{org}");
        }
        for path in ["/%2fevil.example", "/%5cevil.example", "/%5Cevil.example/", "/.%2fevil.example"] {
            let answer = app.get(&owner, path).await;
            assert!(answer.location().is_empty() || stays(answer.location()), "{path} {}", answer.location());
        }
    }
}

on_both! {
    async fn no_spelling_of_an_address_opens_a_page_without_a_session(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "hidden-name").await;
        let id = key.id.as_str();
        let mut paths: Vec<String> = vec!["/".into()];
        for page in ["acme", "acme/keys", "acme/keys/new", &format!("acme/keys/{id}"), &format!("acme/keys/{id}/edit")] {
            paths.extend([
                format!("/{page}"),
                format!("//{page}"),
                format!("///{page}"),
                format!("/{page}/"),
                format!("/{page}//"),
                format!("/./{page}"),
                format!("/x/../{page}"),
                format!("/sign-in/../{page}"),
                format!("/sign-in/..%2f{page}"),
                format!("/setup/../{page}"),
                format!("/setup/x/..%2f..%2f{page}"),
                format!("/reset/%2e%2e/{page}"),
                format!("/setup//{page}"),
                format!("/reset/{page}"),
                format!("/sign-in;/{page}"),
                format!("/sign-in%00/{page}"),
                format!("/sign-in%3f/{page}"),
                format!("/sign-in%23/{page}"),
                format!("/{page};x=/sign-in"),
                format!("/{page}%00"),
                format!("/{page}?/sign-in"),
                format!("/%2f{page}"),
                format!("/{}", page.replace('/', "%2f")),
                format!("/{}", page.replace('/', "%2F")),
                format!("/{}", page.replace('/', "%5c")),
                format!("/{}", page.replace('/', "//")),
                format!("/{}", page.to_uppercase()),
                format!("/{}", page.replace("keys", "%6beys")),
                format!("/{}", page.replace("keys", "KEYS")),
                format!("/healthz/../{page}"),
                format!("/pkg/../{page}"),
                format!("/pkg/x/..%2f..%2f{page}"),
                format!("/v1/../{page}"),
                format!("/v1/%2e%2e/{page}"),
                format!("//v1/../{page}"),
                format!("/api/../{page}"),
                format!("{HTTP}/{page}"),
                format!("http://localhost/{page}"),
                format!("http://127.0.0.1:3000/{page}"),
                format!("http://sign-in/{page}"),
            ]);
        }
        let disguises: [&[(&str, &str)]; 9] = [
            &[],
            &[("host", "localhost")],
            &[("host", "127.0.0.1")],
            &[("host", "evil.example\u{e9}")],
            &[("host", "")],
            &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "localhost"), ("x-forwarded-proto", "https")],
            &[("x-original-url", "/sign-in"), ("x-rewrite-url", "/sign-in"), ("x-forwarded-uri", "/sign-in")],
            &[("x-remote-user", "owner@example.com"), ("x-forwarded-user", "owner@example.com")],
            &[("cookie", "keydesk=AAAAAAAAAAAAAAAAAAAAAA; __Host-keydesk=1"), ("authorization", "Basic b3duZXI6")],
        ];
        for path in &paths {
            for disguise in disguises {
                for accept in ["text/html", "application/json"] {
                    let ask = TestRequest::get(path).header("accept", accept);
                    let ask = disguise.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
                    let answer = app.ask(ask).await;
                    assert!(!answer.is_success(), "{path} {disguise:?}: {}", answer.status);
                    assert!(!answer.text.contains("hidden-name"), "{path} {disguise:?}");
                    let location = answer.location();
                    assert!(location.is_empty() || location == "/sign-in" || location.starts_with("/sign-in?"), "{path} → {location}");
                    assert!(!location.contains("localhost") && !location.contains("evil"), "{location}");
                }
            }
        }
    }
}

on_both! {
    async fn what_an_address_or_a_proxy_claims_is_not_believed(app: TestApp) {
        let cast = app.cast().await;
        let owner = app.sign_in(Who::Owner).await;
        // The other way round: with a session, no header turns one page into another.
        let ask = TestRequest::get("/sign-in").header("x-original-url", "/acme/keys");
        assert!(!app.send(&owner, ask).await.text.contains("Create key"));
        // The host that a browser names stands in no page and no redirect.
        for host in ["evil.example", "evil.example:80", "localhost"] {
            let answer = app.send(&owner, TestRequest::get("/acme/keys").header("host", host)).await;
            assert!(!answer.text.contains("evil.example"));
            let answer = app.ask(TestRequest::get("/acme/keys").header("host", host)).await;
            assert_eq!((answer.status, answer.location()), (303, "/sign-in?next=%2Facme%2Fkeys"));
        }
        // The audit has the connection's address, not the one that somebody wrote into a header.
        let ask = TestRequest::form("keys/create", &new_key(&cast.org.slug, "", "from here")).same_origin();
        let ask = ask.header("x-forwarded-for", "198.51.100.66").header("forwarded", "for=198.51.100.66");
        assert_eq!(app.send(&owner, ask.header("x-real-ip", "198.51.100.66").header("host", HOST)).await.status, 200);
        let dump = app.dump().await;
        assert!(!dump.contains("198.51.100.66") && dump.contains("203.0.113.7"));
    }
}
