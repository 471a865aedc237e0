//! Sends a request to its provider and streams the response.
//!
//! Only listed headers are forwarded: nothing of the client's credential, cookies or address. Only listed headers come back
//! too. A redirect is never followed, because it would carry the provider's credential. The credential is read for each
//! request, from the environment or from what is stored, and is in no log and no error.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use keydesk_core::ProviderVault;
use keydesk_core::domain::api_error::Retry;
use keydesk_core::domain::provider::{Provider, check_credential_env};
use keydesk_core::domain::provider_failure::{MetFailure, ProviderFailure};
use keydesk_core::domain::provider_wire::extra_headers;
use keydesk_core::domain::request_log::plain_error;
use keydesk_core::domain::route::Route;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use tokio::time::timeout;
use tower::Service;
use tower::layer::layer_fn;
use zeroize::Zeroizing;

use super::compression::Compression;
use super::proxies::Proxies;
use crate::lookup::{CheckedNames, Lookup, system_lookup};
use crate::trace_context;

/// The client's headers that a provider gets.
const FORWARDED_HEADERS: [&str; 4] = ["accept", "anthropic-version", "anthropic-beta", "openai-beta"];
/// The client's query parameters that a provider gets.
const FORWARDED_QUERY: [&str; 2] = ["alt", "beta"];
/// The provider's headers that a client gets: when to retry, and how Gemini served the request.
pub const RETURNED_HEADERS: [&str; 4] =
    ["retry-after", "retry-after-ms", "x-should-retry", "x-gemini-service-tier"];
/// Characters of a model's name that are not escaped in a path.
pub(super) const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@');
/// The longest response that a compressed one may become.
const MAX_INFLATED: usize = 256 << 20;
/// How a compressed response begins.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// HTTP clients, one for each connect timeout.
const MAX_CLIENTS: usize = 64;

/// Why there is no response, or no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    NoCredential,
    CredentialRejected,
    Unreachable,
    TimedOut,
    Redirected,
    /// The response is compressed in an unknown way, although the request did not accept that.
    Encoded,
    /// The connection closed before the end.
    Broken,
    /// The account of this installation has no credit or quota.
    NoCredit,
    /// The account of this installation, its organisation, project or region, may not do this.
    AccountRefused,
    /// The account of this installation is over its own limits. Seconds until a retry.
    AccountLimited {
        retry_after: i64,
    },
}

impl UpstreamError {
    /// Whether the provider may have done its work, and charges it.
    pub fn may_cost(self) -> bool {
        matches!(self, UpstreamError::TimedOut | UpstreamError::Broken | UpstreamError::Encoded)
    }

    pub fn status(self) -> StatusCode {
        match self {
            UpstreamError::NoCredential | UpstreamError::NoCredit | UpstreamError::AccountLimited { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            UpstreamError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// A retry would be refused again, or paid again.
    pub fn retry(self) -> Retry {
        match self {
            UpstreamError::Unreachable => Retry::Unspecified,
            UpstreamError::AccountLimited { retry_after } => Retry::After(retry_after),
            UpstreamError::NoCredential
            | UpstreamError::CredentialRejected
            | UpstreamError::TimedOut
            | UpstreamError::Broken
            | UpstreamError::Redirected
            | UpstreamError::Encoded
            | UpstreamError::AccountRefused
            | UpstreamError::NoCredit => Retry::Never,
        }
    }

    /// Its kind, for operators.
    pub fn failure(self) -> ProviderFailure {
        match self {
            UpstreamError::NoCredential => ProviderFailure::NoCredential,
            UpstreamError::CredentialRejected => ProviderFailure::CredentialRejected,
            UpstreamError::Unreachable => ProviderFailure::Unreachable,
            UpstreamError::TimedOut => ProviderFailure::TimedOut,
            UpstreamError::Redirected | UpstreamError::Encoded => ProviderFailure::Unusable,
            UpstreamError::Broken => ProviderFailure::Broken,
            UpstreamError::NoCredit => ProviderFailure::NoCredit,
            UpstreamError::AccountRefused => ProviderFailure::Refused,
            UpstreamError::AccountLimited { .. } => ProviderFailure::Limited,
        }
    }

    /// Contains the provider's name, and nothing else about it.
    pub fn sentence(self, provider: &str) -> String {
        match self {
            UpstreamError::NoCredential => format!(
                "This installation has no credential for the provider {provider}. Ask your administrator to look at the provider's page."
            ),
            UpstreamError::CredentialRejected => format!(
                "The provider {provider} rejected this installation's credential. Your key is valid. Tell your administrator."
            ),
            UpstreamError::Unreachable => format!("The provider {provider} cannot be reached. Retry later."),
            UpstreamError::TimedOut => {
                format!("The provider {provider} did not answer in time. Retry later.")
            }
            UpstreamError::Redirected => format!(
                "The provider {provider} answered with a redirect, which is not followed. Ask your administrator to correct its address."
            ),
            UpstreamError::Encoded => {
                format!(
                    "The provider {provider} sent a response that is compressed in an unknown way. Tell your administrator."
                )
            }
            UpstreamError::Broken => format!(
                "The response of the provider {provider} ended early. It may have done its work, so a retry may be charged again."
            ),
            UpstreamError::AccountRefused => format!(
                "The provider {provider} does not let this installation use this. Your key is valid. Tell your administrator."
            ),
            UpstreamError::NoCredit => format!(
                "This installation has no credit left at the provider {provider}. Your key is valid. Tell your administrator."
            ),
            UpstreamError::AccountLimited { .. } => format!(
                "The provider {provider} limits how much this installation may send, and that limit is reached. Your key's limits are not. Retry in a moment."
            ),
        }
    }
}

/// Why there is no response that can be relayed, with what was said about it, for operators.
#[derive(Debug)]
pub struct NoResponse {
    pub error: UpstreamError,
    /// HTTP status; 0 without an answer.
    pub status: i64,
    /// One line without secrets; may be empty.
    pub words: String,
}

impl NoResponse {
    pub fn met(&self) -> MetFailure {
        let retry_after_ms = match self.error {
            UpstreamError::AccountLimited { retry_after } => Some(retry_after.saturating_mul(1_000)),
            _ => None,
        };
        let words = self.words.clone();
        MetFailure { failure: self.error.failure(), status: self.status, words, retry_after_ms }
    }
}

pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>;

/// A response whose body is a stream.
pub struct UpstreamResponse {
    pub status: StatusCode,
    pub content_type: Option<HeaderValue>,
    /// Those of `RETURNED_HEADERS` that it has.
    pub headers: HeaderMap,
    pub request_id: Option<HeaderValue>,
    pub chunks: Chunks,
}

/// Reads the variable that contains a credential.
pub type Credentials = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A request to a provider.
pub struct UpstreamRequest<'a> {
    pub provider: &'a Provider,
    pub route: Route,
    /// The provider's name of the model.
    pub model: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub body: Bytes,
    pub streams: bool,
}

/// Whether a request waits for a connection to its provider, so that nothing of it is sent yet.
#[derive(Clone, Default)]
pub struct Connecting(Arc<AtomicBool>);

tokio::task_local! {
    static CONNECTING: Connecting;
}

impl Connecting {
    pub fn is_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Observes the connection that a request needs, if none is open.
    pub fn observe<F: Future>(&self, request: F) -> impl Future<Output = F::Output> + use<F> {
        CONNECTING.scope(self.clone(), request)
    }
}

/// Tells the request that is observed while its connection is made.
#[derive(Clone)]
struct Observed<S>(S);

impl<S, T> Service<T> for Observed<S>
where
    S: Service<T>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: T) -> Self::Future {
        let observer = CONNECTING.try_with(Clone::clone).unwrap_or_default();
        observer.0.store(true, Ordering::Relaxed);
        let connecting = self.0.call(to);
        Box::pin(async move {
            let connected = connecting.await;
            observer.0.store(false, Ordering::Relaxed);
            connected
        })
    }
}

/// Connections to providers, kept open between requests.
#[derive(Clone)]
pub struct Upstreams {
    clients: Arc<Mutex<HashMap<i64, Client>>>,
    credentials: Credentials,
    vault: ProviderVault,
    proxies: Proxies,
    lookup: Lookup,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::with_credentials(Arc::new(|name| std::env::var(name).ok()))
    }
}

impl Upstreams {
    pub fn with_credentials(credentials: Credentials) -> Self {
        Self {
            clients: Arc::default(),
            credentials,
            vault: ProviderVault::without_key(),
            proxies: Proxies::default(),
            lookup: system_lookup(),
        }
    }

    /// With what opens the keys that are stored.
    #[must_use]
    pub fn with_vault(self, vault: ProviderVault) -> Self {
        Self { vault, ..self }
    }

    /// With a proxy on the way.
    #[must_use]
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        Self { proxies, clients: Arc::default(), ..self }
    }

    /// With other look-ups of names, in tests.
    #[cfg(test)]
    #[must_use]
    pub fn with_lookup(self, lookup: Lookup) -> Self {
        Self { lookup, clients: Arc::default(), ..self }
    }

    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// # Errors
    /// When there is no response that can be relayed.
    pub async fn send(&self, outgoing: UpstreamRequest<'_>) -> Result<UpstreamResponse, NoResponse> {
        let provider = outgoing.provider;
        let request = self.request(&outgoing).map_err(|failure| {
            log(provider, failure, "not sent");
            NoResponse { error: failure, status: 0, words: String::new() }
        })?;
        // A whole response begins when the model has finished; only a stream begins earlier.
        let wait = if outgoing.streams { provider.spec.idle_ms } else { provider.spec.whole_ms };
        let sent = timeout(milliseconds(wait), request.send()).await;
        let failed = |failure: UpstreamError, cause: &str| {
            log(provider, failure, cause);
            NoResponse { error: failure, status: cause.parse().unwrap_or(0), words: plain_error(cause) }
        };
        let response = match sent {
            Err(_) => return Err(failed(UpstreamError::TimedOut, "no answer")),
            // Nothing was sent.
            Ok(Err(error)) if error.is_connect() => {
                return Err(failed(UpstreamError::Unreachable, &causes(&error.without_url())));
            }
            Ok(Err(error)) if error.is_timeout() => {
                return Err(failed(UpstreamError::TimedOut, &causes(&error.without_url())));
            }
            Ok(Err(error)) => {
                // Once it is sent, it is unknown whether the provider did its work.
                return Err(failed(UpstreamError::Broken, &causes(&error.without_url())));
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status.is_redirection() || status.is_informational() {
            return Err(failed(UpstreamError::Redirected, status.as_str()));
        }
        let headers = response.headers();
        let compression =
            Compression::of(headers).map_err(|_| failed(UpstreamError::Encoded, status.as_str()))?;
        let request_id = ["x-request-id", "request-id"].iter().find_map(|name| headers.get(*name));
        Ok(UpstreamResponse {
            status,
            content_type: headers.get(CONTENT_TYPE).cloned(),
            headers: RETURNED_HEADERS
                .into_iter()
                .filter_map(|name| Some((HeaderName::from_static(name), headers.get(name)?.clone())))
                .collect(),
            request_id: request_id.cloned(),
            chunks: match compression {
                None => unlabelled(chunks(response, provider), provider),
                Some(compression) => inflated(compression, chunks(response, provider), provider),
            },
        })
    }

    fn request(&self, outgoing: &UpstreamRequest<'_>) -> Result<RequestBuilder, UpstreamError> {
        let UpstreamRequest { provider, route, model, query, headers, body, .. } = outgoing;
        let client = self.client(provider.spec.connect_ms)?;
        let model = utf8_percent_encode(model, PATH).to_string();
        let mut url = provider.spec.address().url(&route.call(&model), &model);
        let kept = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, value)| {
            FORWARDED_QUERY.contains(&&**name) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        for (name, value) in kept {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
        let request = client.post(url).header(CONTENT_TYPE, "application/json").body(body.clone());
        let mut forwarded = HeaderMap::new();
        for name in FORWARDED_HEADERS {
            for value in headers.get_all(name) {
                forwarded.append(name, value.clone());
            }
        }
        trace_context::hand_on(headers, &mut forwarded);
        if !forwarded.contains_key(ACCEPT) {
            forwarded.insert(ACCEPT, HeaderValue::from_static("*/*"));
        }
        self.dressed(provider, request, forwarded)
    }

    /// A request with these headers, the provider's own in the place of those of the same name, and its credential.
    ///
    /// # Errors
    /// `NoCredential`.
    pub(super) fn dressed(
        &self,
        provider: &Provider,
        request: RequestBuilder,
        mut headers: HeaderMap,
    ) -> Result<RequestBuilder, UpstreamError> {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in extra_headers(&provider.spec.headers) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        if let Some(credential) = self.credential(provider)? {
            let (name, before) =
                provider.spec.credential_header.at(provider.spec.kind, &provider.spec.base_url);
            let value = Zeroizing::new(format!("{before}{}", credential.as_str()));
            let mut value = HeaderValue::from_str(&value).map_err(|_| UpstreamError::NoCredential)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(request.headers(headers))
    }

    /// The provider's credential; `None` when it takes none.
    ///
    /// # Errors
    /// `NoCredential` when it takes one and this process does not have it.
    pub(super) fn credential(&self, provider: &Provider) -> Result<Option<Zeroizing<String>>, UpstreamError> {
        if !provider.spec.has_credential() {
            return Ok(None);
        }
        let found = match provider.spec.stored_key {
            true => provider.sealed_key.as_ref().and_then(|key| self.vault.open(&provider.id, key)),
            false => check_credential_env(&provider.spec.credential_env)
                .ok()
                .and_then(|()| (self.credentials)(&provider.spec.credential_env))
                .map(Zeroizing::new),
        };
        let trimmed = found.map(|credential| Zeroizing::new(credential.trim().to_owned()));
        trimmed
            .filter(|credential| {
                credential.bytes().all(|byte| byte.is_ascii_graphic()) && !credential.is_empty()
            })
            .map(Some)
            .ok_or(UpstreamError::NoCredential)
    }

    pub(super) fn client(&self, connect_ms: i64) -> Result<Client, UpstreamError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect_ms) {
            return Ok(client.clone());
        }
        let built = http_client().and_then(|client| {
            let client = client.connect_timeout(milliseconds(connect_ms));
            let client = client.dns_resolver(Arc::new(CheckedNames::of_providers(self.lookup.clone())));
            let client = match self.proxies.proxy() {
                Some(proxy) => client.proxy(proxy),
                None => client,
            };
            client.connector_layer(layer_fn(Observed)).build().map_err(|error| causes(&error))
        });
        let client = built.map_err(|cause| {
            tracing::error!(cause, "cannot create an HTTP client for providers");
            UpstreamError::Unreachable
        })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(connect_ms, client.clone());
        Ok(client)
    }
}

/// Follows no redirect and uses no proxy of the environment.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client() -> Result<ClientBuilder, String> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls()?)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("keydesk/", env!("CARGO_PKG_VERSION"))))
}

/// Trusts the operating system's certificates.
///
/// # Errors
/// When this build has no protocol version in common with anyone.
pub fn tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Ends after the first error.
fn chunks(response: Response, provider: &Provider) -> Chunks {
    let idle = milliseconds(provider.spec.idle_ms);
    let provider = provider.clone();
    Box::pin(stream::unfold(Some((response, provider)), move |open| async move {
        let (mut response, provider) = open?;
        let failure = match timeout(idle, response.chunk()).await {
            Ok(Ok(Some(bytes))) => return Some((Ok(bytes), Some((response, provider)))),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => {
                log(&provider, UpstreamError::Broken, &causes(&error.without_url()));
                UpstreamError::Broken
            }
            Err(_) => {
                log(&provider, UpstreamError::TimedOut, "no next byte");
                UpstreamError::TimedOut
            }
        };
        Some((Err(failure), None))
    }))
}

/// The chunks of a compressed response. An error of the connection stays what it is.
fn inflated(compression: Compression, chunks: Chunks, provider: &Provider) -> Chunks {
    let provider = provider.clone();
    let compressed = chunks.map(|chunk| chunk.map_err(io::Error::other));
    Box::pin(compression.inflate(compressed, MAX_INFLATED).map(move |chunk| {
        chunk.map_err(|error| match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(failure) => *failure,
            None => {
                log(&provider, UpstreamError::Broken, &causes(&error));
                UpstreamError::Broken
            }
        })
    }))
}

/// The chunks of a response that does not say that it is compressed, and may be all the same. No text begins as gzip does.
fn unlabelled(chunks: Chunks, provider: &Provider) -> Chunks {
    let mut chunks = chunks.fuse();
    let provider = provider.clone();
    let looked_at = async move {
        let mut start = BytesMut::new();
        let mut failure = None;
        while start.len() < GZIP.len() && GZIP.starts_with(&start) {
            match chunks.next().await {
                Some(Ok(bytes)) => start.extend_from_slice(&bytes),
                Some(Err(error)) => failure = Some(error),
                None => break,
            }
            if failure.is_some() {
                break;
            }
        }
        let is_compressed = start.starts_with(&GZIP);
        let start = (!start.is_empty()).then(|| Ok(start.freeze()));
        let begun = stream::iter(start.into_iter().chain(failure.map(Err)));
        let all: Chunks = Box::pin(begun.chain(chunks));
        if is_compressed { inflated(Compression::Gzip, all, &provider) } else { all }
    };
    Box::pin(stream::once(looked_at).flatten())
}

pub fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn log(provider: &Provider, failure: UpstreamError, cause: &str) {
    tracing::warn!(provider = %provider.spec.name, ?failure, cause, "request to a provider failed");
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
