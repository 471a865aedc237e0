//! A provider's side of a request: sends it there and hands on what comes back, as it comes.
//!
//! What goes there is on a list: nothing of a client's own credential, cookies or address. What comes back is on one too.
//! A redirect is never followed, because the provider's credential would follow it.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use keydesk_core::domain::provider::{Provider, ProviderKind, check_credential_env};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use tokio::time::timeout;

use super::ask::Route;

/// Of a client's headers, what a provider gets.
const PASSED_ON: [&str; 4] = ["accept", "anthropic-version", "anthropic-beta", "openai-beta"];
/// Of a client's query, what a provider gets.
const QUERY_PASSED_ON: [&str; 2] = ["alt", "beta"];
/// What a model's name in a path may hold as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@');
/// One for each connect timeout; nobody has this many.
const MAX_CLIENTS: usize = 64;

/// Why there is no answer, or no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    NoCredential,
    CredentialRefused,
    Unreachable,
    TimedOut,
    Redirected,
    /// It is compressed, which nobody asked for.
    Encoded,
    /// It broke off.
    Broken,
}

impl Failure {
    /// Whether the provider may have done its work before.
    pub fn may_cost(self) -> bool {
        matches!(self, Failure::TimedOut | Failure::Broken)
    }

    pub fn status(self) -> StatusCode {
        match self {
            Failure::NoCredential => StatusCode::SERVICE_UNAVAILABLE,
            Failure::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Names the provider as its operator calls it, and nothing else of it.
    pub fn sentence(self, provider: &str) -> String {
        match self {
            Failure::NoCredential => format!(
                "This installation has no credential for the provider {provider}. Its operator sets the variable that the provider's page names."
            ),
            Failure::CredentialRefused => format!(
                "The provider {provider} refused this installation's credential. Your key is fine; tell whoever runs this installation."
            ),
            Failure::Unreachable => format!("The provider {provider} cannot be reached."),
            Failure::TimedOut => format!("The provider {provider} did not answer in time."),
            Failure::Redirected => format!(
                "The provider {provider} answered with a redirect, which is never followed. Whoever runs this installation corrects its address."
            ),
            Failure::Encoded => {
                format!("The provider {provider} answered in an encoding that nobody asked for.")
            }
            Failure::Broken => format!("The answer of the provider {provider} broke off."),
        }
    }
}

pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// What comes back.
pub struct Answer {
    pub status: StatusCode,
    pub content_type: Option<HeaderValue>,
    pub retry_after: Option<HeaderValue>,
    pub request_id: Option<HeaderValue>,
    pub chunks: Chunks,
}

/// Reads the variable that holds a credential.
pub type Credentials = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A request on its way out.
pub struct Sending<'a> {
    pub provider: &'a Provider,
    pub route: Route,
    /// What the provider calls the model.
    pub model: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub body: Bytes,
    pub streams: bool,
}

/// Connections to providers, kept open between requests.
#[derive(Clone)]
pub struct Upstreams {
    clients: Arc<Mutex<HashMap<i64, Client>>>,
    credentials: Credentials,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::with_credentials(Arc::new(|name| std::env::var(name).ok()))
    }
}

impl Upstreams {
    pub fn with_credentials(credentials: Credentials) -> Self {
        Self { clients: Arc::default(), credentials }
    }

    /// # Errors
    /// When there is no answer that may be passed on.
    pub async fn send(&self, sending: Sending<'_>) -> Result<Answer, Failure> {
        let provider = sending.provider;
        let request = self.request(&sending).inspect_err(|failure| log(provider, *failure, "not sent"))?;
        // A whole answer begins when it is finished; only a stream says something earlier.
        let wait = if sending.streams { provider.idle_ms } else { provider.whole_ms };
        let sent = timeout(milliseconds(wait), request.send()).await;
        let failed = |failure: Failure, cause: &str| {
            log(provider, failure, cause);
            failure
        };
        let response = match sent {
            Err(_) => return Err(failed(Failure::TimedOut, "no answer")),
            Ok(Err(error)) if error.is_timeout() => {
                return Err(failed(Failure::TimedOut, &causes(&error.without_url())));
            }
            Ok(Err(error)) => {
                // Once it is on its way, nobody knows what became of it.
                let failure = if error.is_connect() { Failure::Unreachable } else { Failure::Broken };
                return Err(failed(failure, &causes(&error.without_url())));
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(failed(Failure::CredentialRefused, status.as_str()));
        }
        if status.is_redirection() || status.is_informational() {
            return Err(failed(Failure::Redirected, status.as_str()));
        }
        let headers = response.headers();
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(failed(Failure::Encoded, status.as_str()));
        }
        let request_id = ["x-request-id", "request-id"].iter().find_map(|name| headers.get(*name));
        Ok(Answer {
            status,
            content_type: headers.get(CONTENT_TYPE).cloned(),
            retry_after: headers.get(RETRY_AFTER).cloned(),
            request_id: request_id.cloned(),
            chunks: chunks(response, provider),
        })
    }

    fn request(&self, sending: &Sending<'_>) -> Result<RequestBuilder, Failure> {
        let Sending { provider, route, model, query, headers, body, .. } = sending;
        let client = self.client(provider.connect_ms)?;
        let path = route.path(&utf8_percent_encode(model, PATH).to_string());
        let mut url = format!("{}{path}", provider.base_url.trim_end_matches('/'));
        let kept = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, value)| {
            QUERY_PASSED_ON.contains(&&**name) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        for (place, (name, value)) in kept.enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.push_str(&format!("{name}={value}"));
        }
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .body(body.clone());
        for name in PASSED_ON {
            for value in headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        if !headers.contains_key(ACCEPT) {
            request = request.header(ACCEPT, "*/*");
        }
        if provider.credential_env.is_empty() {
            return Ok(request);
        }
        let credential = check_credential_env(&provider.credential_env)
            .ok()
            .and_then(|()| (self.credentials)(&provider.credential_env))
            .filter(|credential| !credential.trim().is_empty())
            .ok_or(Failure::NoCredential)?;
        let (name, value) = match provider.kind {
            ProviderKind::OpenAi => ("authorization", format!("Bearer {}", credential.trim())),
            ProviderKind::Anthropic => ("x-api-key", credential.trim().to_owned()),
            ProviderKind::Gemini => ("x-goog-api-key", credential.trim().to_owned()),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| Failure::NoCredential)?;
        value.set_sensitive(true);
        Ok(request.header(name, value))
    }

    fn client(&self, connect_ms: i64) -> Result<Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect_ms) {
            return Ok(client.clone());
        }
        let built = tls().and_then(|tls| {
            let client = Client::builder()
                .tls_backend_preconfigured(tls)
                .redirect(Policy::none())
                .no_proxy()
                .connect_timeout(milliseconds(connect_ms))
                .user_agent(concat!("keydesk/", env!("CARGO_PKG_VERSION")));
            client.build().map_err(|error| causes(&error))
        });
        let client = built.map_err(|cause| {
            tracing::error!(cause, "no client for providers can be made");
            Failure::Unreachable
        })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(connect_ms, client.clone());
        Ok(client)
    }
}

/// Trusts what the operating system trusts.
fn tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Ends after the first failure.
fn chunks(response: Response, provider: &Provider) -> Chunks {
    let idle = milliseconds(provider.idle_ms);
    let provider = provider.clone();
    Box::pin(stream::unfold(Some((response, provider)), move |open| async move {
        let (mut response, provider) = open?;
        let failure = match timeout(idle, response.chunk()).await {
            Ok(Ok(Some(bytes))) => return Some((Ok(bytes), Some((response, provider)))),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => {
                log(&provider, Failure::Broken, &causes(&error.without_url()));
                Failure::Broken
            }
            Err(_) => {
                log(&provider, Failure::TimedOut, "no next byte");
                Failure::TimedOut
            }
        };
        Some((Err(failure), None))
    }))
}

pub fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn log(provider: &Provider, failure: Failure, cause: &str) {
    tracing::warn!(provider = %provider.name, ?failure, cause, "a provider did not answer as it should");
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
