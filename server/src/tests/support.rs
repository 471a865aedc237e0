//! The whole service over a fresh database. What does not need the server's private items is in `test-support`.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request};
use axum_extra::extract::cookie::Key;
use clap::Parser;
use http_body_util::BodyExt;
use keydesk_app::mail::Mailer;
use keydesk_core::ops::catalogue;
use keydesk_core::{Desk, ProviderVault, Vault};
pub use keydesk_test_support::*;
use tower::ServiceExt;
use tower::util::MapRequest;

use crate::clock::SystemRandom;
use crate::config::{LeakResponseArg, ServeConfig};
use crate::cookie_keys::CookieKeys;
use crate::gateway::collapse_leading_slashes;
use crate::http::router::{gateway_router, metrics_router, router};
use crate::leak_keys::LeakKeys;
use crate::state::AppState;

pub const HTTP: &str = "http://keys.example.com";
pub const HTTPS: &str = "https://keys.example.com";
pub const HOST: &str = "keys.example.com";

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    serve: ServeConfig,
}

/// The options of a program that is reached at this address.
pub fn options(base_url: &str) -> ServeConfig {
    Options::parse_from(["keydesk", "--base-url", base_url]).serve
}

#[derive(Clone)]
pub struct TestApp {
    pub state: AppState,
    desk: TestDesk,
    service: Service,
}

impl Deref for TestApp {
    type Target = TestDesk;

    fn deref(&self) -> &TestDesk {
        &self.desk
    }
}

impl Fixture for TestApp {
    async fn over(database: TestDatabase) -> Self {
        let desk = TestDesk::new(database, START, Arc::new(SystemRandom));
        catalogue::seed(&desk).await.unwrap();
        let state =
            crate::serve::state(sealing(&desk), options(HTTP), CookieKeys::fixed(Key::from(&[7; 64])));
        Self { service: service(&state), state, desk }
    }
}

/// With the keys that seal the API keys of providers, and 2FA secrets.
fn sealing(desk: &TestDesk) -> Desk {
    Desk::clone(desk).with_provider_vault(ProviderVault::of(&[&[5; 64]])).with_vault(Vault::derive(&[7; 64]))
}

/// The router as `serve` wraps it.
type Service = MapRequest<Router, fn(Request<Body>) -> Request<Body>>;

fn service(state: &AppState) -> Service {
    MapRequest::new(router(state.clone()), collapse_leading_slashes::<Body>)
}

impl TestApp {
    /// The same installation, reached at another address.
    pub fn at(&self, base_url: &str) -> Self {
        self.with_config(|config| config.base_url = Some(base_url.into()))
    }

    pub fn with_config(&self, change: impl FnOnce(&mut ServeConfig)) -> Self {
        let mut state = self.state.clone();
        change(Arc::make_mut(&mut state.config));
        Self { service: service(&state), state, desk: self.desk.clone() }
    }

    /// The same installation with other settings.
    pub fn over(&self, state: AppState) -> Self {
        Self { service: service(&state), state, desk: self.desk.clone() }
    }

    pub fn with_mailer(&self, mailer: Arc<dyn Mailer>) -> Self {
        let mut state = self.state.clone();
        state.mailer = Some(mailer);
        Self { service: service(&state), state, desk: self.desk.clone() }
    }

    pub fn with_leak_keys(&self, keys: LeakKeys, response: LeakResponseArg) -> Self {
        let mut state = self.state.clone();
        state.leak_keys = Some(Arc::new(keys));
        state.config = Arc::new(ServeConfig { leak_response: response, ..ServeConfig::clone(&state.config) });
        Self { service: service(&state), state, desk: self.desk.clone() }
    }

    /// The gateway's own port.
    pub fn gateway_alone(&self) -> Self {
        let service: Service =
            MapRequest::new(gateway_router(self.state.clone()), collapse_leading_slashes::<Body>);
        Self { service, ..self.clone() }
    }

    /// The metrics' own port.
    pub fn metrics_alone(&self) -> Self {
        let service: Service =
            MapRequest::new(metrics_router(self.state.clone()), collapse_leading_slashes::<Body>);
        Self { service, ..self.clone() }
    }

    /// The desk's port beside it.
    pub fn without_gateway(&self) -> Self {
        self.with_config(|config| config.gateway_listen = Some(SocketAddr::from(([127, 0, 0, 1], 1))))
    }

    /// Signs in as people do. Nobody is a browser without cookies.
    pub async fn sign_in(&self, who: Who) -> Browser {
        let browser = Browser::default();
        if who != Who::Anonymous {
            let fields = [("form[email]", who.email()), ("form[password]", PASSWORD.into())];
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = self.post(&browser, "session/sign-in", &fields).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        browser
    }

    pub async fn get(&self, browser: &Browser, path: &str) -> TestResponse {
        self.send(browser, TestRequest::get(path).header("accept", "text/html")).await
    }

    /// As the page's script posts a form.
    pub async fn post(&self, browser: &Browser, action: &str, fields: Fields<'_>) -> TestResponse {
        let ask = TestRequest::form(action, fields).same_origin().header("accept", "application/json");
        self.send(browser, ask).await
    }

    /// As a browser without script posts the form of a page.
    pub async fn post_page(
        &self,
        browser: &Browser,
        page: &str,
        action: &str,
        fields: Fields<'_>,
    ) -> TestResponse {
        let referer = format!("{}{page}", self.state.config.base_url());
        let ask = TestRequest::form(action, fields).same_origin();
        let ask = ask.header("accept", "text/html,application/xhtml+xml").header("referer", &referer);
        self.send(browser, ask).await
    }

    /// With the browser's cookies, which then has the answer's.
    pub async fn send(&self, browser: &Browser, ask: TestRequest) -> TestResponse {
        let path = ask.path.split(['?', '#']).next().unwrap_or_default().to_owned();
        let cookies = browser.header_for(&path);
        let ask = if cookies.is_empty() { ask } else { ask.header("cookie", &cookies) };
        let answer = self.ask(ask).await;
        browser.keep(&answer);
        answer
    }

    pub async fn ask(&self, mut ask: TestRequest) -> TestResponse {
        let body = Body::from(std::mem::take(&mut ask.body));
        self.ask_with(ask, body).await
    }

    /// With a body that comes as it likes.
    pub async fn ask_with(&self, ask: TestRequest, body: Body) -> TestResponse {
        let mut request = Request::builder()
            .uri(ask.uri())
            .method(ask.method)
            .body(body)
            .unwrap_or_else(|error| panic!("{}: {error}", ask.path));
        *request.headers_mut() = ask.headers;
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", HeaderValue::from_static(HOST));
        }
        if let Some(address) = ask.address {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 50_000))));
        }
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        TestResponse { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Runs a statement that the program itself does not have.
    pub async fn execute(&self, sql: &str) {
        self.desk.execute(sql).await.unwrap();
    }

    /// The status of a gateway request with this key.
    pub async fn try_key(&self, secret: &str) -> u16 {
        self.ask(TestRequest::get("/v1/models").header("authorization", &format!("Bearer {secret}")))
            .await
            .status
    }
}
