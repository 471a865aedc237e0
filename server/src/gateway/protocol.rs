//! The protocol of a client, and every error in the exact shape that its library expects.
//!
//! All JSON responses of the gateway are made here, so that none can be cached or have another shape.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::domain::gate::{Gate, Rejection};
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::store::StoreError;
use serde_json::{Value, json};

use super::rate_limit_headers;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// Many clients ignore a minute or more and retry at once, so longer waits are shortened; that may cost one more retry.
const MAX_RETRY_AFTER: i64 = 59;
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const REJECTED_BY: HeaderName = HeaderName::from_static("x-keydesk-rejected-by");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    OpenAi,
    Anthropic,
    Gemini,
}

impl Protocol {
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        let under =
            |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // Google's clients use /v1 since version 3, and only they send these headers.
        let is_googles =
            || ["x-goog-api-client", "x-goog-api-key"].iter().any(|name| headers.contains_key(*name));
        if under("/v1beta") || (under("/v1/models") && is_googles()) {
            Protocol::Gemini
        } else if under("/v1/messages") || headers.contains_key("anthropic-version") {
            Protocol::Anthropic
        } else {
            Protocol::OpenAi
        }
    }
}

/// What a response needs to know about its client. It exists without a key and proves nothing.
pub struct ClientContext {
    pub protocol: Protocol,
    /// The base URL of this gateway, without a slash at the end.
    pub base_url: String,
    request_id: Option<String>,
    from_browser: bool,
    now: Moment,
}

impl FromRequestParts<AppState> for ClientContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

impl ClientContext {
    pub fn of(parts: &Parts, state: &AppState) -> Self {
        Self {
            protocol: Protocol::of(parts.uri.path(), &parts.headers),
            base_url: state.config.gateway_url(),
            request_id: parts.extensions.get::<RequestFacts>().map(|facts| facts.id.clone()),
            from_browser: parts.headers.contains_key(ORIGIN),
            now: state.desk.now(),
        }
    }

    pub fn rejected(&self, rejection: &Rejection) -> ApiError {
        let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let sentence = self.with_warning(rejection.sentence(&self.base_url));
        let error = self.error(status, rejection.code(), sentence);
        let error = ApiError { rejected_by: Some(rejection.gate()), ..error };
        let Rejection::Limit { limit, retry_after, .. } = rejection else { return error };
        let retry = retry_after.map_or(Retry::Never, Retry::After);
        ApiError { retry, limit: Some((limit.clone(), self.now)), ..error }
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
        let error = self.error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", sentence);
        ApiError { retry: Retry::After(retry_after_s), ..error }
    }

    /// This process may not do it, and another one may.
    pub fn not_here(&self, sentence: &str) -> ApiError {
        let error = self.error(StatusCode::NOT_IMPLEMENTED, "not_implemented", sentence.into());
        ApiError { retry: Retry::Never, ..error }
    }

    pub fn too_large(&self) -> ApiError {
        let sentence = "The request's body is larger than 32 MiB.";
        self.error(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", sentence.into())
    }

    pub fn too_slow(&self) -> ApiError {
        let sentence = "The request's body did not arrive within two minutes.";
        self.error(StatusCode::REQUEST_TIMEOUT, "request_timeout", sentence.into())
    }

    /// Too much memory is taken by request bodies.
    pub fn overloaded(&self) -> ApiError {
        let sentence = "The gateway is over its memory limit for requests. Retry in a moment.";
        let error = self.error(StatusCode::SERVICE_UNAVAILABLE, "overloaded", sentence.into());
        ApiError { retry: Retry::After(1), ..error }
    }

    /// Retrying does not help: an operator has to add a provider first.
    pub fn model_not_served(&self, sentence: &str) -> ApiError {
        let error = self.error(StatusCode::SERVICE_UNAVAILABLE, "model_not_served", sentence.into());
        ApiError { retry: Retry::Never, ..error }
    }

    /// A failure of the provider.
    pub fn upstream_error(&self, status: StatusCode, sentence: &str) -> ApiError {
        let error = self.error(status, "upstream_error", sentence.into());
        ApiError { retry: Retry::Unspecified, ..error }
    }

    /// A error of this program; its log has the cause.
    pub fn internal_error(&self) -> ApiError {
        let sentence =
            "Internal error. Retry, and if it persists, ask your administrator to look at the gateway's log.";
        self.error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", sentence.into())
    }

    /// Anthropic's clients read the request's id under another name.
    pub fn name_request(&self, headers: &mut HeaderMap) {
        name_request(self.protocol, self.request_id.as_deref(), headers);
    }

    /// Another gateway did not send the right token.
    pub fn invalid_gateway_token(&self) -> ApiError {
        let sentence = "The header x-keydesk-gateway does not have this installation's gateway token. Check the value of KEYDESK_GATEWAY_TOKEN.";
        self.error(StatusCode::FORBIDDEN, "invalid_gateway_token", sentence.into())
    }

    pub fn not_found(&self, sentence: &str) -> ApiError {
        self.error(StatusCode::NOT_FOUND, "not_found", sentence.into())
    }

    pub fn unknown_model(&self, id: &str) -> ApiError {
        let shown: String = id.chars().filter(|c| !c.is_control()).take(100).collect();
        let base = &self.base_url;
        self.model_not_found(&format!(
            "The model {shown} is not in the catalogue. GET {base}/v1/models lists the models of this key."
        ))
    }

    pub fn model_not_found(&self, sentence: &str) -> ApiError {
        self.error(StatusCode::NOT_FOUND, "model_not_found", sentence.into())
    }

    /// `allow` lists the allowed methods as the header does; empty for a preflight of an unknown URL.
    pub fn method_not_allowed(&self, allow: &'static str) -> ApiError {
        let sentence = match allow {
            "" => "Preflight requests are not answered. Call this API from a server, not from a web page."
                .into(),
            methods => format!("This URL only accepts {methods}."),
        };
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let error = self.error(status, "method_not_allowed", self.with_warning(sentence));
        ApiError { allow: Some(allow), ..error }
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

    /// Only browsers send an Origin, and everyone can read a key in a web page.
    fn with_warning(&self, sentence: String) -> String {
        if self.from_browser {
            format!("{sentence} A browser sent this request: never use a key in a web page.")
        } else {
            sentence
        }
    }

    fn error(&self, status: StatusCode, code: &'static str, message: String) -> ApiError {
        let request_id = self.request_id.clone();
        let retry = match status {
            StatusCode::SERVICE_UNAVAILABLE => Retry::After(5),
            status if status.is_client_error() => Retry::Never,
            _ => Retry::Unspecified,
        };
        let protocol = self.protocol;
        ApiError {
            protocol,
            status,
            code,
            message,
            request_id,
            rejected_by: None,
            allow: None,
            retry,
            limit: None,
        }
    }
}

fn name_request(protocol: Protocol, id: Option<&str>, headers: &mut HeaderMap) {
    if protocol == Protocol::Anthropic
        && let Some(Ok(id)) = id.map(HeaderValue::from_str)
    {
        headers.insert("request-id", id);
    }
}

/// Whether to retry; client libraries do so on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// A retry cannot succeed.
    Never,
    /// Seconds.
    After(i64),
    Unspecified,
}

/// An error as a response to the client.
#[derive(Debug)]
pub struct ApiError {
    protocol: Protocol,
    status: StatusCode,
    code: &'static str,
    message: String,
    request_id: Option<String>,
    /// The gate that rejected the request; `None` where none did.
    rejected_by: Option<Gate>,
    allow: Option<&'static str>,
    retry: Retry,
    /// The limit that rejected the request, and when.
    limit: Option<(Box<LimitUse>, Moment)>,
}

impl ApiError {
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    fn body(&self) -> Value {
        match self.protocol {
            Protocol::OpenAi => {
                let kind = match self.code {
                    "insufficient_quota" => "insufficient_quota",
                    "rate_limit_exceeded" => "rate_limit_error",
                    _ if self.status.is_server_error() => "server_error",
                    _ => "invalid_request_error",
                };
                json!({"error": {"message": self.message, "type": kind, "param": null, "code": self.code}})
            }
            Protocol::Anthropic => {
                let kind = match self.status {
                    StatusCode::UNAUTHORIZED => "authentication_error",
                    StatusCode::FORBIDDEN => "permission_error",
                    StatusCode::NOT_FOUND => "not_found_error",
                    StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
                    StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
                    StatusCode::GATEWAY_TIMEOUT => "timeout_error",
                    status if status.is_server_error() => "api_error",
                    _ => "invalid_request_error",
                };
                let error = json!({"type": kind, "message": self.message});
                json!({"type": "error", "error": error, "request_id": self.request_id})
            }
            Protocol::Gemini => {
                let status = match self.status {
                    StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
                    StatusCode::FORBIDDEN => "PERMISSION_DENIED",
                    StatusCode::NOT_FOUND => "NOT_FOUND",
                    StatusCode::CONFLICT => "ABORTED",
                    StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
                    StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
                    StatusCode::INTERNAL_SERVER_ERROR => "INTERNAL",
                    status if status.is_server_error() => "UNAVAILABLE",
                    _ => "INVALID_ARGUMENT",
                };
                let reason = match self.code {
                    "invalid_api_key" => "API_KEY_INVALID".into(),
                    code => code.to_ascii_uppercase(),
                };
                let info = json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason,
                    "domain": "keydesk",
                });
                json!({"error": {
                    "code": self.status.as_u16(),
                    "message": self.message,
                    "status": status,
                    "details": [info],
                }})
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(&self.body());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        match self.retry {
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::After(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds.min(MAX_RETRY_AFTER)));
            }
            Retry::Unspecified => {}
        }
        if let Some(gate) = self.rejected_by {
            headers.insert(REJECTED_BY, HeaderValue::from_static(gate.as_str()));
        }
        if let Some((limit, now)) = &self.limit {
            rate_limit_headers::add(headers, std::slice::from_ref(&**limit), Some(Money::ZERO), *now);
        }
        name_request(self.protocol, self.request_id.as_deref(), headers);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// A JSON response that no cache keeps, because it depends on the key.
pub fn json_response(body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, body.to_string()).into_response()
}
