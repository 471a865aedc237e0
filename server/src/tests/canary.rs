//! A known password, the secret of a new key, the cookies and the one-time tokens go through the whole program, errors
//! included, and then everything that it left behind is searched for them: logs at their loudest, answers, the database.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use keydesk_core::domain::person::Email;
use keydesk_core::ops::links;
use sha2::{Digest, Sha256};
use tower_sessions::session::Id;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::forms::new_key;
use super::show_once::shown;
use super::support::{Browser, Fields, TestApp, TestRequest, TestResponse, hex, on_both};
use crate::gateway::tests::upstream::{Upstream, whole};

/// All that is logged by anybody while somebody records.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static RECORDING: AtomicUsize = AtomicUsize::new(0);

/// One log for all threads, as databases log from threads of their own.
fn record() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let recording = dynamic_filter_fn(|_, _| RECORDING.load(Ordering::SeqCst) > 0);
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(move || writer.clone());
        tracing_subscriber::registry().with(layer.with_filter(recording)).init();
        log
    });
    RECORDING.fetch_add(1, Ordering::SeqCst);
    log.clone()
}

/// Remembers what was answered.
struct Flow {
    app: TestApp,
    answers: Vec<(String, String)>,
}

impl Flow {
    fn keep(&mut self, what: &str, answer: &TestResponse) {
        // What is issued, and the browser's own session, are the two things that an answer is for.
        let headers: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, value)| {
                let session = value.to_str().is_ok_and(|text| text.starts_with("keydesk="));
                !(*name == "set-cookie" && session)
            })
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        self.answers
            .push((what.to_owned(), format!("{} {}\n{}", answer.status, headers.join("\n"), answer.text)));
    }

    async fn get(&mut self, browser: &Browser, path: &str) -> TestResponse {
        let answer = self.app.get(browser, path).await;
        self.keep(&format!("GET {}", path.split(['?', '%']).next().unwrap()), &answer);
        answer
    }

    /// Once as a script and once as a plain form.
    async fn post(
        &mut self,
        browser: &Browser,
        page: &str,
        action: &str,
        fields: Fields<'_>,
    ) -> TestResponse {
        let plain = self.app.post_page(browser, page, action, fields).await;
        self.keep(&format!("plain {action}"), &plain);
        // What it leaves for the next page.
        self.get(browser, page).await;
        let answer = self.app.post(browser, action, fields).await;
        self.keep(action, &answer);
        answer
    }

    async fn ask(&mut self, what: &str, ask: TestRequest) -> TestResponse {
        let answer = self.app.ask(ask).await;
        self.keep(what, &answer);
        answer
    }
}

const CANARY_PASSWORD: &str = "walrus ledger quartz 8231 fennel";
const NEXT_PASSWORD: &str = "gannet harbour 5572 velvet rhubarb";
const TYPED_WRONG: &str = "walrus ledger quartz 8231 fennle";

on_both! {
    async fn no_secret_is_left_behind_anywhere(app: TestApp) {
        let log = record();
        let desk = app.state.desk.clone();
        let mut flow = Flow { app: app.clone(), answers: vec![] };
        let browser = Browser::default();

        // Set up, sign in wrong and right.
        let setup = links::new_setup(&desk).await.unwrap().unwrap();
        // The page has the token in its form: it is the user's own request.
        let page = app.get(&browser, &format!("/setup/{setup}")).await;
        assert_eq!(page.status, 200);
        let form = |password: &'static str, token: String| {
            vec![
                ("form[token]", token),
                ("form[name]", "Ana Petrov".to_owned()),
                ("form[email]", "ana@example.com".to_owned()),
                ("form[password]", password.to_owned()),
                ("form[org]", "Acme".to_owned()),
                ("form[zone]", String::new()),
            ]
        };
        for fields in [form("shortpw canary", setup.clone()), form(CANARY_PASSWORD, setup.clone())] {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = app.post(&browser, "session/setup", &fields).await;
            flow.keep("set-up", &answer);
        }
        assert_eq!(app.get(&browser, "/acme/keys").await.status, 200, "set up and signed in");
        flow.get(&browser, &format!("/setup/{setup}")).await;
        let nobody = Browser::default();
        for password in [TYPED_WRONG, CANARY_PASSWORD] {
            let fields = [("form[email]", "ana@example.com"), ("form[password]", password), ("form[next]", "")];
            let answer = app.post_page(&nobody, "/sign-in", "session/sign-in", &fields).await;
            flow.keep("sign-in", &answer);
            flow.get(&nobody, "/sign-in").await;
        }
        let cookies: Vec<String> =
            [&browser, &nobody].iter().map(|browser| browser.cookie("keydesk").unwrap().value).collect();

        // Create a key: the answer's cookie and the page are for the secret, and nothing else.
        let answer = app.post(&browser, "keys/create", &new_key("acme", "", "canary")).await;
        flow.keep("create", &answer);
        let issued = answer.location().to_owned();
        let id = issued.split('/').nth(3).unwrap().to_owned();
        let page = app.get(&browser, &issued).await;
        let secret = shown(&page.text).expect("the page shows the secret");
        let headers = format!("{:?}", page.headers);
        assert!(!headers.contains(&secret[8..]), "{headers}");
        flow.get(&browser, &issued).await;
        for path in ["/acme/keys", "/acme/keys/new", &format!("/acme/keys/{id}"), &format!("/acme/keys/{id}/edit")] {
            flow.get(&browser, path).await;
        }

        // Pasted into a ticket by support, and put into its address.
        app.execute("UPDATE people SET platform_role = 'support'").await;
        for text in [secret.clone(), format!("Bearer {secret}"), secret[..40].to_owned()] {
            for field in ["request", "key", "base_url"] {
                let name = format!("form[{field}]");
                let fields = [(name.as_str(), text.as_str()), ("form[client]", "curl")];
                flow.post(&browser, "/support/ticket", "support/ticket", &fields).await;
                let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                flow.get(&browser, &format!("/support/ticket?key=canary&{field}={encoded}")).await;
            }
        }
        app.execute("UPDATE people SET platform_role = 'none'").await;

        // Pasted where it does not belong.
        for text in [secret.clone(), format!("Bearer {secret}"), format!(" \"{secret}\" "), secret[..40].to_owned(), format!("{}x", &secret[..secret.len() - 1])] {
            let fields = [("form[org]", "acme"), ("form[q]", text.as_str()), ("form[rest]", "")];
            flow.post(&browser, "/acme/keys", "keys/search", &fields).await;
            flow.post(&browser, "/acme/keys", "keys/find", &fields[..2]).await;
            let asked = |field: &'static str| {
                [
                    ("form[org]", "acme"),
                    ("form[request][route]", "chat"),
                    ("form[request][model]", "gpt-5"),
                    ("form[request][place]", "bearer"),
                    (field, text.as_str()),
                ]
            };
            for field in ["form[secret]", "form[raw]", "form[request][origin]", "form[request][base]"] {
                flow.post(&browser, "/acme/doctor", "doctor/examine", &asked(field)).await;
                flow.get(&browser, "/acme/doctor").await;
                flow.post(&browser, "/doctor", "doctor/examine-own", &asked(field)[1..]).await;
            }
            let model = [("form[org]", "acme"), ("form[key]", &id), ("form[request][route]", "chat"), ("form[request][model]", text.as_str())];
            flow.post(&browser, "/acme/doctor", "doctor/examine", &model).await;
            let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let encoded = encoded.replace('+', "%20");
            for path in [
                format!("/acme/keys?q={encoded}"),
                format!("/acme/keys/{encoded}"),
                format!("/acme/doctor?q={encoded}&model={encoded}&base={encoded}"),
                format!("/acme/doctor?key={encoded}"),
                format!("/doctor?gate={encoded}&request={encoded}"),
                format!("/{encoded}"),
                format!("/{encoded}/keys"),
                format!("/acme/keys/{encoded}/edit"),
                format!("/sign-in?next={encoded}"),
                format!("/sign-in?next=/acme/keys?q={encoded}"),
            ] {
                flow.get(&browser, &path).await;
                flow.get(&Browser::default(), &path).await;
            }
            flow.ask("asset", TestRequest::get(&format!("/pkg/{encoded}/{encoded}"))).await;
            flow.ask("action", TestRequest::get(&format!("/api/{encoded}")).method("POST".parse().unwrap()).same_origin()).await;
            flow.ask("other site", TestRequest::get(&format!("/{encoded}")).method("POST".parse().unwrap())).await;
        }
        let reported = format!("[{{\"token\":\"{secret}\",\"type\":\"keydesk\",\"url\":\"https://git.example/?q={secret}\"}}]");
        flow.ask("leak unsigned", TestRequest::post_json("/api/leaks", &reported)).await;
        let report = format!("{{\"csp-report\":{{\"document-uri\":\"/x?q={secret}\"}}}}");
        flow.ask("report", TestRequest::get("/csp-report").method("POST".parse().unwrap()).body(report)).await;

        // In a live test, to a host that says it back.
        let said = format!("{{\"error\": \"{secret} is not good\"}}");
        let echo = Upstream::answering(move || whole(401, "application/json", &said)).await;
        let tested = app.at(&echo.base_url);
        for (pasted, url) in [(secret.as_str(), ""), ("", secret.as_str()), (&secret, &secret)] {
            let fields = [("form[org]", "acme"), ("form[secret]", pasted), ("form[url]", url), ("form[protocol]", "openai")];
            let answer = tested.post_page(&browser, "/acme/live-test", "live-test/run", &fields).await;
            flow.keep("live test", &answer);
            let page = tested.get(&browser, "/acme/live-test").await;
            assert_eq!(page.text.contains("Result for"), url.is_empty(), "{}", page.text);
            flow.keep("live test's page", &page);
            let answer = tested.post(&browser, "live-test/run", &fields).await;
            flow.keep("live test", &answer);
            let page = tested.get(&browser, "/acme/live-test").await;
            flow.keep("live test's page", &page);
        }
        assert!(echo.arrived().iter().all(|arrived| arrived.headers["authorization"].to_str().unwrap().contains(&secret)));
        assert!(!echo.arrived().is_empty());

        // At the gateway, before and after it is revoked.
        for round in ["live", "revoked"] {
            for path in ["/v1/models", "/v1/models/nothing", "/v1beta/models", "/v1/chat/completions", "/v1/v1/models"] {
                for ask in [
                    TestRequest::get(path).header("authorization", &format!("Bearer {secret}")),
                    TestRequest::get(path).header("x-api-key", &secret),
                    TestRequest::get(path).header("x-goog-api-key", &format!("\"{secret}\"")),
                    TestRequest::get(&format!("{path}?key={secret}")),
                    TestRequest::get(&format!("{path}?key={secret}")).header("x-api-key", &format!("{secret}x")),
                    TestRequest::get(&format!("{path}/{secret}?key={secret}")),
                    TestRequest::get(&format!("/{path}?key={secret}")).header("user-agent", &secret),
                ] {
                    flow.ask(round, ask).await;
                }
            }
            if round == "live" {
                let fields = [("form[org]", "acme"), ("form[id]", id.as_str()), ("form[name]", "canary")];
                assert_eq!(app.post(&browser, "keys/revoke", &fields).await.status, 200);
                assert_eq!(app.try_key(&secret).await, 401);
                flow.post(&browser, &format!("/acme/keys/{id}"), "keys/revoke", &fields).await;
            }
        }

        // A lost password.
        let email = Email::parse("ana@example.com").unwrap();
        let reset = links::new_reset(&desk, &email).await.unwrap().unwrap();
        assert_eq!(app.get(&nobody, &format!("/reset/{reset}")).await.status, 200);
        for password in ["shortpw canary", NEXT_PASSWORD, NEXT_PASSWORD] {
            let fields = [("form[token]", reset.as_str()), ("form[password]", password)];
            let answer = app.post_page(&nobody, "/sign-in", "session/reset", &fields).await;
            flow.keep("reset", &answer);
        }
        flow.get(&nobody, &format!("/reset/{reset}")).await;
        flow.get(&browser, "/acme/keys").await;
        let fields = [("form[email]", "ana@example.com"), ("form[password]", NEXT_PASSWORD), ("form[next]", "")];
        assert_eq!(app.post(&nobody, "session/sign-in", &fields).await.status, 200);
        flow.post(&nobody, "/acme/keys", "session/sign-out", &[("form[confirm]", "")]).await;

        // The database goes away in the middle of it.
        let dump = app.dump().await;
        desk.db.close().await;
        let fields = [("form[org]", "acme"), ("form[q]", secret.as_str()), ("form[rest]", "")];
        flow.post(&browser, "/acme/keys", "keys/search", &fields).await;
        flow.ask("away", TestRequest::get(&format!("/v1/models?key={secret}"))).await;
        let fields = [("form[email]", "ana@example.com"), ("form[password]", CANARY_PASSWORD)];
        flow.post(&Browser::default(), "/sign-in", "session/sign-in", &fields).await;
        RECORDING.fetch_sub(1, Ordering::SeqCst);

        // What may be found nowhere.
        let hash = Sha256::digest(secret.as_bytes());
        let mut canaries = vec![
            ("the secret", secret.clone()),
            ("its random characters", secret[8..40].to_owned()),
            ("half of them", secret[8..24].to_owned()),
            ("the other half", secret[24..40].to_owned()),
            ("the password", CANARY_PASSWORD.to_owned()),
            ("the password in a form", CANARY_PASSWORD.replace(' ', "+")),
            ("the new password", NEXT_PASSWORD.to_owned()),
            ("a wrong password", TYPED_WRONG.to_owned()),
            ("a refused password", "shortpw canary".to_owned()),
            ("the set-up token", setup.clone()),
            ("the reset token", reset.clone()),
        ];
        for value in &cookies {
            canaries.push(("a session's cookie", value.clone()));
            canaries.push(("a session's id", hex(&value.parse::<Id>().unwrap().0.to_le_bytes())));
        }
        let hashes = [("the secret's hash", hex(&hash)), ("a token's hash", hex(&Sha256::digest(reset.as_bytes())))];

        let log = log.0.lock().unwrap().clone();
        let log = String::from_utf8_lossy(&log);
        assert!(log.contains("answered") && log.contains("TRACE"), "the log was not recorded");
        let mut found = Vec::new();
        let around = |text: &str, canary: &str| {
            let at = text.find(canary).unwrap();
            let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
            let line: String = text[from..].lines().next().unwrap_or_default().chars().take(300).collect();
            line
        };
        for (what, canary) in canaries.iter().chain(&hashes) {
            if log.contains(canary.as_str()) {
                found.push(format!("{what} in the log: {}", around(&log, canary)));
            }
            for (answer, text) in &flow.answers {
                if text.contains(canary.as_str()) {
                    found.push(format!("{what} in the answer to {answer}: {}", around(text, canary)));
                }
            }
        }
        for (what, canary) in &canaries {
            if dump.contains(canary.as_str()) {
                found.push(format!("{what} in the database: {}", around(&dump, canary)));
            }
        }
        // The hash is in its one place, and where gateways look it up.
        for (what, canary) in &hashes {
            for line in dump.lines().filter(|line| line.contains(canary.as_str())) {
                let places = ["key_secrets\t", "one_time_links\t", "gateway_keys_v1\t"];
                if !places.iter().any(|place| line.starts_with(place)) {
                    found.push(format!("{what} in the database: {line}"));
                }
            }
        }
        assert!(dump.contains(&hashes[0].1), "the dump shows byte columns");
        found.sort();
        found.dedup();
        assert!(found.is_empty(), "{} traces:\n{}", found.len(), found.join("\n"));
    }
}
