//! An installation over a real database, as a client meets it.
// sqlx here: a test puts in rows that the program adds elsewhere, and counts what it never counts.

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn;
use axum::response::Response;
use axum_extra::extract::cookie::Key;
use http_body_util::BodyExt;
use keydesk_core::admission::{LastUsed, Rejections, note_answer};
use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::provider::{Provider, ProviderKind, ProviderSpec};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::keys::{self, IssuedKey};
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::ops::setup::{SetupForm, set_up};
use keydesk_core::ops::{catalogue, links, models, providers};
use keydesk_core::store::Db;
use keydesk_core::{Desk, ProviderVault};
pub use keydesk_test_support::{DAY, SPOTS, Spot, TestRequest, TestResponse};
use keydesk_test_support::{Repeatable, TestDatabase, TestDesk};
use leptos::config::LeptosOptions;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use tower::util::MapRequest;

use crate::cookie_keys::CookieKeys;
use crate::gateway::reservation_guard::InFlight;
use crate::gateway::runtime::Gateway;
use crate::gateway::upstream::Upstreams;
use crate::gateway::{collapse_leading_slashes, drain, routes};
use crate::live_test::Prober;
use crate::lookup::system_lookup;
use crate::metrics::Metrics;
use crate::request_facts::RequestFacts;
use crate::state::AppState;
use crate::tests::support::options;

pub const BASE: &str = "https://keys.example.com";
pub const START: Moment = Moment::from_ms(1_790_000_000_000);
pub const BROWSER: &str = "A browser sent this request: never use a key in a web page.";

/// This installation's own, at its providers.
pub const CREDENTIAL: &str = "upstream-credential-9f3c";

pub const GATEWAY_TOKEN: &str = "gateway-token-0123456789abcdef0123";

/// An installation with an organisation, its owner and the catalogue that comes with the program.
pub struct Installation {
    pub state: AppState,
    desk: TestDesk,
    pub owner: Caller,
    pub org: String,
    _folder: TempDir,
}

impl Deref for Installation {
    type Target = TestDesk;

    fn deref(&self) -> &TestDesk {
        &self.desk
    }
}

pub async fn installation() -> Installation {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::in_folder(folder.path()).await;
    let desk = TestDesk::new(database, START, Arc::new(Repeatable::default()));
    let desk = desk.serving_if_asked().await;
    catalogue::seed(&desk).await.unwrap();

    let form = SetupForm {
        token: Hidden::new(links::new_setup(&desk).await.unwrap().unwrap()),
        name: "Ada".into(),
        email: "ada@example.com".into(),
        password: Hidden::new("violet-tram-kettle-orbit-42"),
        org: "Acme".into(),
        zone: String::new(),
    };
    let (person, org) = set_up(&desk, &form).await.unwrap();
    let owner = desk.caller(&person).await;
    let vault = ProviderVault::of(&[&[5; 64]]);
    let metrics = Metrics::default();
    let state = AppState {
        desk: Desk::clone(&desk).with_provider_vault(vault.clone()),
        config: Arc::new(options(BASE)),
        last_used: LastUsed::default(),
        rejections: Rejections::default(),
        gateway: Gateway {
            in_flight: InFlight::measured(metrics.clone()),
            upstreams: Upstreams::with_credentials(Arc::new(credential)).with_vault(vault.clone()),
            token: Some(GATEWAY_TOKEN.into()),
            ..Gateway::default()
        },
        metrics,
        mailer: None,
        leak_keys: None,
        probe: Arc::new(Prober::new(system_lookup())),
        cookie_keys: CookieKeys::fixed(Key::from(&[7; 64])),
        leptos: LeptosOptions::builder().output_name("keydesk").build(),
    };
    Installation { state, desk, owner, org: org.slug, _folder: folder }
}

/// The environment of these tests.
fn credential(name: &str) -> Option<String> {
    (name == "TEST_API_KEY").then(|| CREDENTIAL.to_owned())
}

pub fn ask(path: &str) -> TestRequest {
    TestRequest::get(path)
}

/// A request of a client that wants something of a model.
pub fn post(path: &str, body: &Value) -> TestRequest {
    TestRequest::post_json(path, &body.to_string())
}

impl Installation {
    pub fn router(&self) -> Router {
        routes(&self.state).with_state(self.state.clone()).layer(from_fn(drain::unread))
    }

    /// The answer as it comes, its body unread.
    pub async fn open(&self, ask: TestRequest) -> Response {
        let request = Request::builder().method(ask.method.clone()).uri(ask.uri());
        let mut request = request.body(Body::from(ask.body)).unwrap();
        *request.headers_mut() = ask.headers;
        request.extensions_mut().insert(RequestFacts {
            id: "req_1".into(),
            address: ask.address,
            elsewhere: false,
            at: None,
        });
        let service = MapRequest::new(self.router(), collapse_leading_slashes::<Body>);
        let response = service.oneshot(request).await.unwrap();
        assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
        assert_eq!(response.headers()["cache-control"], "no-store");
        response
    }

    pub async fn send(&self, ask: TestRequest) -> TestResponse {
        let answer = self.read(self.open(ask).await).await;
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        answer
    }

    /// What came from a provider, whatever it is.
    pub async fn pass(&self, ask: TestRequest) -> TestResponse {
        self.read(self.open(ask).await).await
    }

    pub async fn read(&self, response: Response) -> TestResponse {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        TestResponse { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub async fn status(&self, ask: TestRequest) -> u16 {
        self.send(ask).await.status
    }

    pub async fn create(&self, name: &str, change: impl FnOnce(&mut KeyForm)) -> IssuedKey {
        let view = keys::blank(&self.state.desk, &self.owner, &self.org, "").await.unwrap();
        let mut key = KeyForm::blank(&view.models, &view.context.org, &self.owner.person.id, None);
        key.name = name.into();
        change(&mut key);
        let key = key.parse().unwrap();
        keys::create(&self.state.desk, &self.owner, &self.org, &key).await.unwrap()
    }

    pub async fn plain_key(&self) -> IssuedKey {
        self.create("plain", |_| {}).await
    }

    pub async fn revoke(&self, key: &IssuedKey) {
        keys::revoke(&self.state.desk, &self.owner, &self.org, key.id.as_str(), "").await.unwrap();
    }

    /// A key for every model.
    pub async fn every_key(&self) -> String {
        let key = self.create("every", |form| form.scope = "every".into()).await;
        key.secret.reveal().to_owned()
    }

    pub async fn execute(&self, sql: &str) {
        self.desk.execute(sql).await.unwrap();
    }

    /// A provider at this address that serves the model `routed`, which it calls `real-name`, for a dollar a million
    /// tokens. Waits 300 ms for a byte.
    pub async fn served_by(&self, kind: &str, base_url: &str, credential_env: &str) {
        self.execute(&format!(
            "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version, connected_at)
            VALUES ('prov_00000000000000000000000000000001', 'Far', '{kind}', '{base_url}', '{credential_env}', 500, 300, 3000, 0, 1, 0);
            INSERT INTO models (id, provider, created_at, provider_id, upstream_name)
            VALUES ('routed', 'Far', 0, 'prov_00000000000000000000000000000001', 'real-name');
            INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
            VALUES ('price_00000000000000000000000000000001', 'routed', 0, 'operator', '',
                '{{\"input\":\"1\",\"cached_input\":\"0.5\",\"output\":\"1\"}}', 0, '')"
        ))
        .await;
    }

    /// A provider that serves these models of the catalogue, and has not answered yet.
    pub async fn provider_of(&self, kind: ProviderKind, ids: &[&str]) -> Provider {
        let (desk, by) = (&self.state.desk, OperatorActor::CommandLine);
        let spec = ProviderSpec::new(kind.label().into(), kind, "https://far.example.com".into());
        let provider = providers::add(desk, by, &spec).await.unwrap();
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        models::route(desk, by, &ids, Some(&provider.spec.name)).await.unwrap();
        provider
    }

    /// The same, and it has answered, so that there is no demonstration.
    pub async fn serve(&self, kind: ProviderKind, ids: &[&str]) {
        let provider = self.provider_of(kind, ids).await;
        note_answer(&self.state.desk, &provider.id).await.unwrap();
    }

    /// Status, input, output, cached, estimated, cost of every settled request, the oldest first; waits for those under way.
    pub async fn settled(&self) -> Vec<Settled> {
        for _ in 0..1_000 {
            if self.state.gateway.in_flight.tasks.is_empty() {
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
