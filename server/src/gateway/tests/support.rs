//! An installation over a real database, as a client meets it.
// sqlx here: a test puts in rows that the program adds elsewhere, and counts what it never counts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use axum_extra::extract::cookie::Key;
use clap::Parser;
use http_body_util::BodyExt;
use keydesk_core::admission::{LastUsed, Rejections};
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::ids::SessionId;
use keydesk_core::domain::moment::Moment;
use keydesk_core::forms::key::{CreateForm, KeyForm, KeyRef, RevokeForm};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::keys::{self, IssuedKey};
use keydesk_core::ops::setup::{SetupForm, set_up};
use keydesk_core::ops::{catalogue, links};
use keydesk_core::store::{DatabaseUrl, Db, people};
use keydesk_core::{Clock, Desk};
use leptos::config::LeptosOptions;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tower::ServiceExt;
use tower::util::MapRequest;

use crate::clock::SystemRandom;
use crate::config::ServeConfig;
use crate::gateway::runtime::Gateway;
use crate::gateway::upstream::Upstreams;
use crate::gateway::{collapse_leading_slashes, routes};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

pub const BASE: &str = "https://keys.example.com";
pub const START_MS: i64 = 1_790_000_000_000;
pub const DAY_MS: i64 = 86_400_000;
pub const BROWSER: &str = "A browser sent this: a key must never be used from a web page.";

/// This installation's own, at its providers.
pub const CREDENTIAL: &str = "upstream-credential-9f3c";

pub const GATEWAY_TOKEN: &str = "gateway-token-0123456789abcdef0123";

pub struct MovableClock(pub AtomicI64);

impl Clock for MovableClock {
    fn now(&self) -> Moment {
        Moment::from_ms(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Parser)]
pub struct Options {
    #[command(flatten)]
    serve: ServeConfig,
}

/// An installation with an organisation, its owner and the catalogue that comes with the program.
pub struct Installation {
    pub state: AppState,
    pub clock: Arc<MovableClock>,
    pub owner: Caller,
    pub org: String,
    pub folder: PathBuf,
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub async fn installation() -> Installation {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let unique = format!("keydesk-gateway-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    let folder = std::env::temp_dir().join(unique);
    std::fs::create_dir_all(&folder).unwrap();
    let db = Db::open(&DatabaseUrl::Sqlite(folder.join("keydesk.sqlite"))).await.unwrap();
    db.migrate().await.unwrap();
    let clock = Arc::new(MovableClock(AtomicI64::new(START_MS)));
    let desk = Desk::new(db, clock.clone(), Arc::new(SystemRandom));
    catalogue::seed(&desk).await.unwrap();

    let form = SetupForm {
        token: Hidden::new(links::new_setup(&desk).await.unwrap().unwrap()),
        name: "Ada".into(),
        email: "ada@example.com".into(),
        password: Hidden::new("correct-horse-battery-staple-42"),
        org: "Acme".into(),
        zone: String::new(),
    };
    let (person, org) = set_up(&desk, &form).await.unwrap();
    let person = people::find(&mut desk.db.read().await.unwrap(), &person).await.unwrap().unwrap();
    let now = desk.now();
    let session = SessionId::new(now, desk.id_entropy());
    let owner = Caller::just_authenticated(person, session, now, "192.0.2.1", "req_test");
    let config = Options::parse_from(["keydesk", "--base-url", BASE]).serve;
    let state = AppState {
        desk,
        config: Arc::new(config),
        last_used: LastUsed::default(),
        rejections: Rejections::default(),
        gateway: Gateway {
            upstreams: Upstreams::with_credentials(Arc::new(credential)),
            token: Some(GATEWAY_TOKEN.into()),
            ..Gateway::default()
        },
        mailer: None,
        cookie_key: Key::from(&[7; 64]),
        leptos: LeptosOptions::builder().output_name("keydesk").build(),
    };
    Installation { state, clock, owner, org: org.slug, folder }
}

/// The environment of these tests.
fn credential(name: &str) -> Option<String> {
    (name == "TEST_API_KEY").then(|| CREDENTIAL.to_owned())
}

/// Where a key can stand in a request.
#[derive(Clone, Copy, Debug)]
pub enum Spot {
    Bearer,
    XApiKey,
    Goog,
    Query,
}

pub const SPOTS: [Spot; 4] = [Spot::Bearer, Spot::XApiKey, Spot::Goog, Spot::Query];

pub struct Ask {
    pub method: Method,
    pub path: String,
    pub query: Vec<String>,
    pub headers: HeaderMap,
    pub address: Option<IpAddr>,
    pub body: Vec<u8>,
}

pub fn ask(path: &str) -> Ask {
    Ask {
        method: Method::GET,
        path: path.into(),
        query: vec![],
        headers: HeaderMap::new(),
        address: Some("203.0.113.7".parse().unwrap()),
        body: vec![],
    }
}

/// A request of a client that wants something of a model.
pub fn post(path: &str, body: &Value) -> Ask {
    let ask = ask(path).method(Method::POST).header("content-type", "application/json");
    Ask { body: body.to_string().into_bytes(), ..ask }
}

pub fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

impl Ask {
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub fn anthropic(self) -> Self {
        self.header("anthropic-version", "2023-06-01")
    }

    pub fn bearer(self, key: &str) -> Self {
        self.key_in(Spot::Bearer, key.as_bytes())
    }

    /// Leaves out what cannot stand in a header.
    pub fn key_in(mut self, spot: Spot, key: &[u8]) -> Self {
        let (name, value) = match spot {
            Spot::Bearer => ("authorization", [b"Bearer ", key].concat()),
            Spot::XApiKey => ("x-api-key", key.to_vec()),
            Spot::Goog => ("x-goog-api-key", key.to_vec()),
            Spot::Query => {
                self.query.push(format!("key={}", percent_encoded(key)));
                return self;
            }
        };
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            self.headers.append(name, value);
        }
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        self.address = address.parse().ok();
        self
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }

    pub fn ids(&self) -> Vec<String> {
        let data = self.json()["data"].as_array().unwrap().clone();
        data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Installation {
    pub fn router(&self) -> Router {
        routes().with_state(self.state.clone())
    }

    /// The answer as it comes, its body unread.
    pub async fn open(&self, ask: Ask) -> Response {
        let uri =
            if ask.query.is_empty() { ask.path } else { format!("{}?{}", ask.path, ask.query.join("&")) };
        let mut request = Request::builder().method(ask.method).uri(uri).body(Body::from(ask.body)).unwrap();
        *request.headers_mut() = ask.headers;
        request.extensions_mut().insert(RequestFacts { id: "req_1".into(), address: ask.address });
        let service = MapRequest::new(self.router(), collapse_leading_slashes::<Body>);
        let response = service.oneshot(request).await.unwrap();
        assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
        assert_eq!(response.headers()["cache-control"], "no-store");
        response
    }

    pub async fn send(&self, ask: Ask) -> Answer {
        let answer = self.read(self.open(ask).await).await;
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        answer
    }

    /// What came from a provider, whatever it is.
    pub async fn pass(&self, ask: Ask) -> Answer {
        self.read(self.open(ask).await).await
    }

    async fn read(&self, response: Response) -> Answer {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn status(&self, ask: Ask) -> u16 {
        self.send(ask).await.status.as_u16()
    }

    pub async fn create(&self, name: &str, change: impl FnOnce(&mut KeyForm)) -> IssuedKey {
        let mut key = keys::blank(&self.state.desk, &self.owner, &self.org, "").await.unwrap().form;
        key.name = name.into();
        change(&mut key);
        keys::create(
            &self.state.desk,
            &self.owner,
            &CreateForm { org: self.org.clone(), key, ..Default::default() },
        )
        .await
        .unwrap()
    }

    pub async fn plain_key(&self) -> IssuedKey {
        self.create("plain", |_| {}).await
    }

    pub fn reference(&self, key: &IssuedKey) -> KeyRef {
        KeyRef { org: self.org.clone(), id: key.id.to_string() }
    }

    pub async fn revoke(&self, key: &IssuedKey) {
        let form = RevokeForm { org: self.org.clone(), id: key.id.to_string(), name: String::new() };
        keys::revoke(&self.state.desk, &self.owner, &form).await.unwrap();
    }

    /// A key for every model.
    pub async fn every_key(&self) -> String {
        let key = self.create("every", |form| form.scope = "every".into()).await;
        key.secret.reveal().to_owned()
    }

    pub async fn execute(&self, sql: &str) {
        let Db::Sqlite { writer, .. } = &self.state.desk.db else { panic!("these tests are on SQLite") };
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(writer).await.unwrap();
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let Db::Sqlite { readers, .. } = &self.state.desk.db else { panic!("these tests are on SQLite") };
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(readers).await.unwrap()
    }

    /// A provider at this address that serves the model `routed`, which it calls `real-name`, for a dollar a million
    /// tokens. Waits 300 ms for a byte.
    pub async fn served_by(&self, kind: &str, base_url: &str, credential_env: &str) {
        self.execute(&format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version)
            VALUES ('prov_00000000000000000000000000000001', 'Far', '{kind}', '{base_url}', '{credential_env}', 500, 300, 3000, 0, 1);
            INSERT INTO models (id, provider, input_price, output_price, cached_price, created_at, provider_id, upstream_name)
            VALUES ('routed', 'Far', 1000000000, 1000000000, 500000000, 0, 'prov_00000000000000000000000000000001', 'real-name')"
        ))
        .await;
    }

    /// Status, input, output, cached, estimated, cost of every settled request, the oldest first; waits for those under way.
    pub async fn settled(&self) -> Vec<Settled> {
        for _ in 0..200 {
            if self.state.gateway.under_way.tasks.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let Db::Sqlite { readers, .. } = &self.state.desk.db else { panic!("these tests are on SQLite") };
        let rows = sqlx::query_as::<_, Settled>(
            "SELECT status, input_tokens, output_tokens, cached_tokens, estimated, cost FROM usage ORDER BY rowid",
        );
        assert_eq!(self.number("SELECT COUNT(*) FROM reservations").await, 0, "something is still held");
        rows.fetch_all(readers).await.unwrap()
    }
}

pub type Settled = (i64, i64, i64, i64, i64, i64);
