//! What monitoring reads: that it counts what happens, says nothing of anyone, and is where the options say.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use keydesk_core::domain::provider_failure::ProviderFailure;
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber;

use super::support::{Dice, TestApp, TestKey, TestRequest, on_both, on_sqlite};
use crate::gateway::tests::upstream::{Upstream, whole};
use crate::metrics::RouteClass;

const TOKEN: &str = "metrics-token-0123456789abcdef012345";
const RULES: &str = include_str!("../../../docs/examples/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../docs/examples/grafana-dashboard.json");
const OPERATE: &str = include_str!("../../../docs/operate.md");

fn with_token(app: &TestApp) -> TestApp {
    app.with_config(|config| config.metrics_token = Some(TOKEN.into()))
}

async fn read(app: &TestApp) -> String {
    let answer = with_token(app).ask(TestRequest::get("/metrics").bearer(TOKEN)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    answer.text
}

/// A series' value; zero where it is not there yet.
fn value(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map_or(0.0, |number| number.parse().unwrap())
}

/// By how much these series rise meanwhile.
async fn risen<const N: usize>(app: &TestApp, series: [&str; N], meanwhile: impl AsyncFnOnce()) -> [f64; N] {
    let before = read(app).await;
    meanwhile().await;
    let after = read(app).await;
    series.map(|series| value(&after, series) - value(&before, series))
}

fn chat(key: &TestKey, model: &str) -> TestRequest {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
    TestRequest::post_json("/v1/chat/completions", &body.to_string()).bearer(&key.secret)
}

/// A provider that serves the model `routed` without a credential.
async fn served_by(app: &TestApp, base_url: &str) {
    for statement in [
        format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version, connected_at)
            VALUES ('prov_00000000000000000000000000000001', 'Far \"1\"', 'openai', '{base_url}', '', 500, 300, 3000, 0, 1, 0)"
        ),
        "INSERT INTO models (id, provider, created_at, provider_id, upstream_name)
            VALUES ('routed', 'Far', 0, 'prov_00000000000000000000000000000001', 'real-name')"
            .to_owned(),
        "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
            VALUES ('price_00000000000000000000000000000001', 'routed', 0, 'operator', '', '{\"input\":\"1\",\"output\":\"1\"}', 0, '')"
            .to_owned(),
    ] {
        app.execute(&statement).await;
    }
}

on_both! {
    async fn what_happens_is_counted_once(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let series = [
            r#"keydesk_http_requests_total{class="forward",status="2xx"}"#,
            r#"keydesk_http_request_duration_seconds_count{class="forward"}"#,
            "keydesk_admissions_total",
            "keydesk_settlements_total",
            "keydesk_settlement_duration_seconds_count",
            "keydesk_spend_dollars_total",
        ];
        let rose = risen(&app, series, async || {
            for _ in 0..2 {
                assert_eq!(app.ask(chat(&key, "demo/echo")).await.status, 200);
            }
        });
        let [requests, durations, admitted, settled, lags, spent] = rose.await;
        assert_eq!([requests, durations, admitted, settled, lags], [2.0; 5]);
        let cost = app.number("SELECT CAST(SUM(cost) AS BIGINT) FROM usage").await as f64 / 1e9;
        assert!(cost > 0.0 && (spent - cost).abs() < 1e-9, "{spent} {cost}");

        let narrow = format!("UPDATE keys SET model_scope = 'listed' WHERE id = '{}'", key.id);
        app.execute(&narrow).await;
        let series = ["credential", "well_formed", "known", "live", "address", "model", "budget", "rate"];
        let series = series.map(|gate| format!("keydesk_rejections_total{{gate=\"{gate}\"}}"));
        let series = series.each_ref().map(String::as_str);
        let rose = risen(&app, series, async || {
            for (ask, status) in [
                (TestRequest::get("/v1/models"), 401),
                (TestRequest::get("/v1/models").bearer("sk-cut"), 401),
                (TestRequest::get("/v1/key").bearer("sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE"), 401),
                (chat(&key, "demo/echo"), 403),
                (TestRequest::get("/v1/models/gpt-5").bearer(&key.secret), 403),
                (TestRequest::get("/gateway/forward-auth").bearer(&key.secret).header("x-keydesk-model", "gpt-5"), 403),
            ] {
                let answer = app.ask(ask).await;
                assert_eq!(answer.status, status, "{}", answer.text);
            }
        });
        assert_eq!(rose.await, [1.0, 1.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0]);

        let series = [
            r#"keydesk_http_requests_total{class="page",status="2xx"}"#,
            r#"keydesk_http_requests_total{class="probe",status="2xx"}"#,
            r#"keydesk_http_requests_total{class="other",status="4xx"}"#,
        ];
        let rose = risen(&app, series, async || {
            for path in ["/sign-in", "/healthz", "/v1/nothing"] {
                app.ask(TestRequest::get(path)).await;
            }
        });
        // The first reading of the metrics is a probe too.
        assert_eq!(rose.await, [1.0, 2.0, 1.0]);

        let series = [r#"keydesk_http_requests_total{class="models",status="4xx"}"#];
        let rose = risen(&app, series, async || {
            let ask = TestRequest::get("/v1/models").bearer(&key.secret);
            assert!(app.ask(ask).now_or_never().is_none(), "it was answered before its client could leave");
        });
        assert_eq!(rose.await, [1.0]);
    }
}

on_both! {
    async fn what_a_provider_answers_and_how_long_it_takes_is_counted_for_its_name(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let asked = Arc::new(AtomicUsize::new(0));
        let answered = asked.clone();
        let upstream = Upstream::answering(move || match answered.fetch_add(1, Ordering::SeqCst) {
            0 => whole(200, "application/json", r#"{"usage":{"prompt_tokens":10,"completion_tokens":5}}"#),
            _ => whole(500, "application/json", "{}"),
        });
        let upstream = upstream.await;
        served_by(&app, &upstream.base_url).await;
        for status in [200, 500] {
            assert_eq!(app.ask(chat(&key, "routed")).await.status, status);
        }
        app.execute("UPDATE providers SET base_url = 'http://127.0.0.1:9' WHERE name LIKE 'Far%'").await;
        assert_eq!(app.ask(chat(&key, "routed")).await.status, 502);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let text = read(&app).await;
        for (series, wanted) in [
            (r#"keydesk_upstream_requests_total{provider="Far \"1\"",status="2xx"}"#, 1.0),
            (r#"keydesk_upstream_requests_total{provider="Far \"1\"",status="5xx"}"#, 1.0),
            (r#"keydesk_upstream_requests_total{provider="Far \"1\"",status="none"}"#, 1.0),
            (r#"keydesk_upstream_failures_total{failure="failed",provider="Far \"1\""}"#, 1.0),
            (r#"keydesk_upstream_failures_total{failure="unreachable",provider="Far \"1\""}"#, 1.0),
            (r#"keydesk_upstream_duration_seconds_count{provider="Far \"1\""}"#, 3.0),
        ] {
            assert_eq!(value(&text, series), wanted, "{series}\n{text}");
        }
    }
}

on_both! {
    async fn the_database_the_pools_and_the_jobs_are_told(app: TestApp) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keydesk.sqlite"), [0; 4096]).unwrap();
        std::fs::write(folder.path().join("keydesk.sqlite-wal"), [0; 100]).unwrap();
        let app = app.with_config(|config| config.data.data = folder.path().into());
        app.state.metrics.ran("last uses", true, app.state.desk.now());
        app.state.metrics.ran("last uses", false, app.state.desk.now().plus_ms(5_000));
        let _reader = app.state.desk.db.read().await.unwrap();
        let text = read(&app).await;
        let (database, pool, max) = match app.state.desk.db.name() {
            "SQLite" => ("sqlite", "readers", 8.0),
            _ => ("postgres", "all", 16.0),
        };
        let started = app.state.desk.now().ms() as f64 / 1e3;
        for (series, wanted) in [
            (format!("keydesk_build_info{{database=\"{database}\",version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
            ("keydesk_database_up".into(), 1.0),
            (format!("keydesk_database_connections{{pool=\"{pool}\",state=\"in_use\"}}"), 1.0),
            (format!("keydesk_database_connections_max{{pool=\"{pool}\"}}"), max),
            (r#"keydesk_sqlite_bytes{file="database"}"#.into(), 4096.0),
            (r#"keydesk_sqlite_bytes{file="wal"}"#.into(), 100.0),
            (r#"keydesk_job_runs_total{outcome="ok",task="last_uses"}"#.into(), 1.0),
            (r#"keydesk_job_runs_total{outcome="failed",task="last_uses"}"#.into(), 1.0),
            (r#"keydesk_job_last_success_timestamp_seconds{task="last_uses"}"#.into(), started),
        ] {
            assert_eq!(value(&text, &series), wanted, "{series}\n{text}");
        }
        drop(_reader);
        app.state.desk.db.close().await;
        assert_eq!(value(&read(&app).await, "keydesk_database_up"), 0.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_stay_few_under_a_thousand_addresses() {
    async fn body(app: TestApp) {
        let series = |text: &str| text.lines().filter(|line| line.starts_with("keydesk_http_")).count();
        let mut dice = Dice::new(7);
        let mut marks = Vec::new();
        let before = series(&read(&app).await);
        for number in 0..1_000 {
            let mark = format!("zq{:x}x{number}", dice.below(u32::MAX.into()));
            let before = *dice.one_of(&[
                "/",
                "/v1/",
                "/v1/models/",
                "/v1beta/models/",
                "/pkg/",
                "/api/",
                "/gateway/",
                "/acme/keys/",
                "/operator/",
            ]);
            let method = *dice.one_of(&["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", mark.as_str()]);
            let path = format!("{before}{mark}?{mark}={mark}");
            app.ask(TestRequest::get(&path).method(method.parse().unwrap()).bearer(&mark)).await;
            marks.push(mark);
        }
        let text = read(&app).await;
        // Every class and status has its series from the start, so there is no new one.
        assert_eq!(series(&text), before, "{text}");
        assert!(before <= RouteClass::ALL.len() * (4 + 19), "{before}");
        assert!(!marks.iter().any(|mark| text.contains(mark)), "{text}");
        let all: f64 = text
            .lines()
            .filter(|line| line.starts_with("keydesk_http_requests_total"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum();
        // With the first reading.
        assert_eq!(all, 1_001.0);
    }
    on_sqlite(body).await;
}

on_both! {
    async fn no_one_and_no_secret_is_in_the_metrics(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "canary-name").await;
        for path in ["/v1/models", "/v1/key", "/v1/models/nothing", "/gateway/forward-auth", "/sign-in"] {
            for ask in [
                TestRequest::get(path).bearer(&key.secret),
                TestRequest::get(&format!("{path}?key={}", key.secret)),
                TestRequest::get(&format!("{path}/{}", key.secret)).header("user-agent", &key.secret),
                TestRequest::get(path).method(key.secret.parse().unwrap()).header("tracestate", &key.secret),
            ] {
                app.ask(ask).await;
            }
        }
        assert_eq!(app.ask(chat(&key, "demo/echo")).await.status, 200);
        app.ask(chat(&key, &key.secret)).await;
        let text = read(&app).await;
        let (id, org) = (key.id.to_string(), cast.org.id.to_string());
        for found in [&key.secret[8..], &key.secret[8..24], TOKEN, "canary-name", &id, &org, "acme", "Acme", "example.com"] {
            assert!(!text.contains(found), "{found}\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_off_or_need_their_token_or_their_port() {
    async fn body(app: TestApp) {
        let ask = |app: &TestApp, token: &str| {
            let (app, ask) = (app.clone(), TestRequest::get("/metrics"));
            let ask = if token.is_empty() { ask } else { ask.header("authorization", token) };
            async move { app.ask(ask).await }
        };
        let right = format!("Bearer {TOKEN}");
        // Off: an address like any other.
        for app in [&app, &app.gateway_alone()] {
            let answer = ask(app, &right).await;
            assert!(
                [303, 404].contains(&answer.status) && !answer.text.contains("keydesk_"),
                "{}",
                answer.text
            );
        }

        let open = with_token(&app);
        for app in [&open, &open.gateway_alone(), &open.metrics_alone()] {
            for wrong in
                ["", "Bearer ", "Bearer wrong", TOKEN, &format!("Basic {TOKEN}"), &format!("{right}x")]
            {
                let answer = ask(app, wrong).await;
                assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{wrong}");
                assert!(!answer.text.contains("keydesk_") && !answer.text.contains(TOKEN), "{}", answer.text);
            }
            let answer = ask(app, &right).await;
            assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
            assert!(answer.text.contains("\nkeydesk_database_up 1\n"), "{}", answer.text);
        }
        // Beside a gateway with a port of its own, they are at the desk's.
        let beside = open.without_gateway();
        assert_eq!(ask(&beside, &right).await.status, 200);
        assert_eq!(ask(&beside.gateway_alone(), &right).await.status, 404);

        // On a port of their own, they are nowhere else, and nothing else is there.
        let apart =
            app.with_config(|config| config.metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 1))));
        assert_eq!(ask(&apart, "").await.status, 303);
        assert_eq!(ask(&apart.gateway_alone(), "").await.status, 404);
        assert_eq!(ask(&with_token(&apart), &right).await.status, 303);
        let port = apart.metrics_alone();
        assert_eq!(ask(&port, "").await.status, 200);
        assert_eq!(ask(&with_token(&apart).metrics_alone(), "").await.status, 401);
        for path in ["/", "/sign-in", "/v1/models", "/readyz"] {
            assert_eq!(port.ask(TestRequest::get(path)).await.status, 404, "{path}");
        }
    }
    on_sqlite(body).await;
}

/// Names of metrics in a text, without what Prometheus adds to a histogram's.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("keydesk_") && !word.ends_with('_'));
    let whole = |name: &str| {
        let short = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        short.unwrap_or(name).to_owned()
    };
    names.map(whole).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_rules_and_manual_name_what_is_there() {
    async fn body(app: TestApp) {
        // What is there once a provider was asked and a job ran.
        app.state.metrics.asked_provider("Far", 503, Some(ProviderFailure::Overloaded), 20);
        app.state.metrics.ran("expiry", true, app.state.desk.now());
        let text = read(&app).await;
        let there = names(&text);
        assert!(there.len() > 20, "{there:?}");
        let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
        let mut asked = Vec::new();
        expressions(&dashboard, &mut asked);
        assert!(asked.len() > 10, "{asked:?}");
        for (what, named) in [("the dashboard", names(&asked.join("\n"))), ("the rules", names(RULES))] {
            assert!(named.len() > 5, "{what}: {named:?}");
            let missing: Vec<_> = named.difference(&there).collect();
            assert!(missing.is_empty(), "{what} names what is not there: {missing:?}");
        }
        let (_, section) =
            OPERATE.split_once("\n## Metrics\n").expect("docs/operate.md has a section Metrics");
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next());
        let listed: BTreeSet<String> =
            rows.filter(|name| name.starts_with("keydesk_")).map(str::to_owned).collect();
        assert_eq!(listed, there, "the table of docs/operate.md");
        let mut labels = RouteClass::ALL.into_iter().map(|class| format!("`{}`", class.as_str()));
        assert!(labels.all(|class| section.contains(&class)), "docs/operate.md does not name every class");
    }
    on_sqlite(body).await;
}

/// What panels ask.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(all) => {
            if let Some(Value::String(expression)) = all.get("expr") {
                found.push(expression.clone());
            }
            all.values().for_each(|value| expressions(value, found));
        }
        Value::Array(all) => all.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// A log of this test alone.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_has_one_line_in_the_log() {
    async fn body(app: TestApp) {
        let cast = app.cast().await;
        let key = app.key(&cast, "ci").await;
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let asked = async {
            let ask = chat(&key, "demo/echo").header("traceparent", trace).from("198.51.100.4");
            let whole = app.ask(ask).await;
            let secret = &key.secret;
            let odd = TestRequest::get(&format!("/v1/models/{secret}?key={secret}"))
                .method(secret.parse().unwrap());
            let odd = app.ask(odd.header("traceparent", secret)).await;
            [whole, odd]
        };
        let [whole, odd] = asked.with_subscriber(subscriber).await;
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lines: Vec<&Value> = lines
            .iter()
            .map(|line| &line["fields"])
            .filter(|fields| fields["message"] == "answered")
            .collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0]["request.id"], whole.header("x-request-id"));
        assert_eq!(lines[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        let told =
            ["method", "route", "status", "bytes", "address", "peer"].map(|name| lines[0][name].clone());
        let bytes = whole.text.len();
        assert_eq!(
            json!(told),
            json!(["POST", "/v1/chat/completions", 200, bytes, "198.51.100.4", "198.51.100.4"])
        );
        assert!(lines[0]["duration_ms"].is_u64());
        assert_eq!(lines[1]["request.id"], odd.header("x-request-id"));
        assert_eq!((&lines[1]["method"], &lines[1]["route"]), (&json!("other"), &json!("/v1/models/{*id}")));
        assert!(lines[1].get("trace_id").is_none(), "{log}");
        assert!(!log.contains(&key.secret[8..]), "{log}");
    }
    on_sqlite(body).await;
}
