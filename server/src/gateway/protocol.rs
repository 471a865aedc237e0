//! Errors as responses. Their status, headers and body are made in `keydesk_core::domain::api_error`, which the key doctor
//! shows too.
//!
//! All JSON responses of the gateway are made here, so that none can be cached or have another shape.

use std::convert::Infallible;
use std::ops::{Deref, DerefMut};

use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::domain::api_error::{self, ErrorContext, NoTarget, Retry, Stop, request_header};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::store::StoreError;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

pub use keydesk_core::domain::api_error::Protocol;

use super::origins;
use super::upstream::UpstreamError;
use crate::metrics::Metrics;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// The protocol of a request.
pub fn protocol_of(path: &str, headers: &HeaderMap) -> Protocol {
    Protocol::of(path, |name| headers.contains_key(name))
}

/// What a response needs to know about its client.
#[derive(Clone)]
pub struct ClientContext {
    of: ErrorContext,
    metrics: Metrics,
}

impl Deref for ClientContext {
    type Target = ErrorContext;

    fn deref(&self) -> &ErrorContext {
        &self.of
    }
}

impl DerefMut for ClientContext {
    fn deref_mut(&mut self) -> &mut ErrorContext {
        &mut self.of
    }
}

impl FromRequestParts<AppState> for ClientContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

impl ClientContext {
    pub fn of(parts: &Parts, state: &AppState) -> Self {
        let facts = parts.extensions.get::<RequestFacts>();
        let of = ErrorContext {
            protocol: protocol_of(parts.uri.path(), &parts.headers),
            base_url: state.config.gateway_url_at(facts.and_then(|facts| facts.at.as_deref())),
            desk_url: state.config.base_url.is_some().then(|| state.config.base_url()),
            request_id: facts.map(|facts| facts.id.clone()),
            from_browser: parts.headers.contains_key(ORIGIN)
                && origins::allowed(state, &parts.headers).is_none(),
            is_codex: parts
                .headers
                .get(USER_AGENT)
                .and_then(|agent| agent.to_str().ok())
                .is_some_and(api_error::is_codex),
            now: state.desk.now(),
        };
        Self { of, metrics: state.metrics.clone() }
    }

    /// A request that a gate rejected. Each one gets its answer here, so it is counted here too.
    pub fn rejected(&self, rejection: &Rejection) -> ApiError {
        self.metrics.rejected(rejection.gate());
        ApiError(Box::new(self.of.rejected(rejection)))
    }

    /// A request that stops before a provider sees it.
    pub fn stopped(&self, stop: &Stop, model: &str) -> ApiError {
        match stop {
            Stop::Gate(rejection) => self.rejected(rejection),
            Stop::NoTarget(_) => ApiError(Box::new(self.of.stopped(stop, model))),
        }
    }

    pub fn no_target(&self, why: NoTarget, model: &str) -> ApiError {
        ApiError(Box::new(self.of.no_target(why, model)))
    }

    pub fn bad_request(&self, sentence: &str) -> ApiError {
        self.error(StatusCode::BAD_REQUEST, "invalid_request", sentence.into())
    }

    /// The key may not rotate itself.
    pub fn forbidden(&self, sentence: String) -> ApiError {
        self.error(StatusCode::FORBIDDEN, "not_allowed", sentence)
    }

    /// The key was rotated already.
    pub fn conflict(&self, sentence: String) -> ApiError {
        self.error(StatusCode::CONFLICT, "conflict", sentence)
    }

    /// The same was done a moment ago.
    pub fn too_soon(&self, sentence: String, retry_after_s: i64) -> ApiError {
        let mut error = self.error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", sentence);
        error.0.retry = Retry::After(retry_after_s);
        error
    }

    /// This process may not do it, and another one may.
    pub fn not_here(&self, sentence: &str) -> ApiError {
        let mut error = self.error(StatusCode::NOT_IMPLEMENTED, "not_implemented", sentence.into());
        error.0.retry = Retry::Never;
        error
    }

    pub fn too_large(&self) -> ApiError {
        let sentence = "The request's body is larger than 32 MiB.";
        self.error(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", sentence.into())
    }

    pub fn too_slow(&self) -> ApiError {
        let sentence = "The request's body arrived too slowly. It has to begin within ten seconds, with 1 KiB a second, and end within two minutes.";
        self.error(StatusCode::REQUEST_TIMEOUT, "request_timeout", sentence.into())
    }

    /// Too much memory is taken by request bodies: of all, of its organisation or of its key.
    pub fn overloaded(&self) -> ApiError {
        let sentence = "The gateway is over its memory limit for requests. Retry in a moment.";
        let mut error = self.error(StatusCode::SERVICE_UNAVAILABLE, "overloaded", sentence.into());
        error.0.retry = Retry::After(1);
        error
    }

    /// A failure of the provider of this name.
    pub fn upstream_error(&self, failure: UpstreamError, provider: &str) -> ApiError {
        let mut error = self.error(failure.status(), "upstream_error", failure.sentence(provider));
        error.0.retry = failure.retry();
        error.0.upstream = Some(header_name(provider));
        error
    }

    /// A provider's error without words that could be passed on.
    pub fn provider_answered(&self, status: StatusCode, provider: &str) -> ApiError {
        let sentence = format!("The provider {provider} answered with the status {}.", status.as_u16());
        self.error(status, "upstream_error", sentence)
    }

    /// The client asked for a WebSocket. Clients that know this status go on with HTTP.
    pub fn upgrade_required(&self, sentence: &str) -> ApiError {
        self.error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", sentence.into())
    }

    /// A error of this program; its log has the cause.
    pub fn internal_error(&self) -> ApiError {
        let sentence =
            "Internal error. Retry, and if it persists, ask your administrator to look at the gateway's log.";
        self.error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", sentence.into())
    }

    /// Anthropic's clients read the request's id under another name.
    pub fn name_request(&self, headers: &mut HeaderMap) {
        insert(headers, request_header(self.protocol, self.request_id.as_deref()));
    }

    /// Another gateway did not send the right token.
    pub fn invalid_gateway_token(&self) -> ApiError {
        let sentence = "The header x-keydesk-gateway does not have this installation's gateway token. Check the value of KEYDESK_GATEWAY_TOKEN.";
        self.error(StatusCode::FORBIDDEN, "invalid_gateway_token", sentence.into())
    }

    pub fn not_found(&self, sentence: &str) -> ApiError {
        self.error(StatusCode::NOT_FOUND, "not_found", sentence.into())
    }

    /// Clients call it, and it is not forwarded.
    pub fn not_served(&self, sentence: String) -> ApiError {
        self.error(StatusCode::NOT_FOUND, "not_served", sentence)
    }

    /// `allow` lists the allowed methods as the header does; empty for a preflight of an unknown URL.
    pub fn method_not_allowed(&self, allow: &'static str) -> ApiError {
        let sentence = match allow {
            "" => "Preflight requests are not answered. Call this API from a server, not from a web page."
                .into(),
            methods => format!("This URL only accepts {methods}."),
        };
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut error = self.error(status, "method_not_allowed", self.with_warning(sentence));
        error.0.allow = Some(allow);
        error
    }

    /// The database is not available. The gateway logs that here and nowhere else.
    pub fn unavailable(&self, error: &StoreError) -> ApiError {
        tracing::error!(%error, "the database is not available: the gateway rejects all requests");
        self.error(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "The database is not available, so no key can be checked. Retry in a few seconds.".into(),
        )
    }

    fn error(&self, status: StatusCode, code: &'static str, message: String) -> ApiError {
        ApiError(Box::new(self.of.error(status.as_u16(), code, message)))
    }
}

/// A provider's name as a header can have it: what is not ASCII is percent-encoded.
pub fn header_name(provider: &str) -> String {
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(provider, ESCAPED).to_string()
}

/// An error as a response to the client.
#[derive(Debug)]
pub struct ApiError(Box<api_error::ApiError>);

impl ApiError {
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn body(&self) -> Value {
        self.0.body()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(&self.0.body());
        *response.status_mut() = self.status();
        insert(response.headers_mut(), self.0.headers());
        response
    }
}

fn insert(headers: &mut HeaderMap, new: impl IntoIterator<Item = (&'static str, String)>) {
    for (name, value) in new {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// A JSON response that no cache keeps, because it depends on the key.
pub fn json_response(body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, body.to_string()).into_response()
}
