//! Whose language a caller speaks, and every error in the exact shape that this one's client library expects.
//!
//! All answers of the gateway are made here, so that none can be kept by a cache or have another shape.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::store::StoreError;
use serde_json::{Value, json};

use super::told;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// Many clients take no notice of a minute and more, and then come back at once. A second that is missing at the end costs them one
/// more try.
const MAX_RETRY_AFTER: i64 = 59;
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

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
        // Google's clients ask under /v1 since they are at version 3, and nobody else sends these.
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

/// What an answer has to know of who asked. Can be had without a key, and lets nobody in.
pub struct Asker {
    pub protocol: Protocol,
    /// This installation's own, without a slash at the end.
    pub base_url: String,
    request_id: Option<String>,
    from_browser: bool,
    now: Moment,
}

impl FromRequestParts<AppState> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

impl Asker {
    pub fn of(parts: &Parts, state: &AppState) -> Self {
        Self {
            protocol: Protocol::of(parts.uri.path(), &parts.headers),
            base_url: state.config.gateway_url(),
            request_id: parts.extensions.get::<RequestFacts>().map(|facts| facts.id.clone()),
            from_browser: parts.headers.contains_key(ORIGIN),
            now: state.desk.now(),
        }
    }

    pub fn refused(&self, rejection: &Rejection) -> Fault {
        let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let fault =
            self.fault(status, rejection.code(), self.with_warning(rejection.sentence(&self.base_url)));
        let Rejection::Limit { limit, retry_after, .. } = rejection else { return fault };
        let retry = retry_after.map_or(Retry::Never, Retry::After);
        Fault { retry, limit: Some((limit.clone(), self.now)), ..fault }
    }

    pub fn bad_request(&self, sentence: &str) -> Fault {
        self.fault(StatusCode::BAD_REQUEST, "invalid_request", sentence.into())
    }

    pub fn too_large(&self) -> Fault {
        let sentence = "The request's body is larger than 32 MiB.";
        self.fault(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", sentence.into())
    }

    pub fn too_slow(&self) -> Fault {
        let sentence = "The request's body did not arrive within two minutes.";
        self.fault(StatusCode::REQUEST_TIMEOUT, "request_timeout", sentence.into())
    }

    /// More is on its way than there is room for.
    pub fn busy(&self) -> Fault {
        let sentence = "The gateway has its hands full of large requests. Try again in a moment.";
        let fault = self.fault(StatusCode::SERVICE_UNAVAILABLE, "overloaded", sentence.into());
        Fault { retry: Retry::After(1), ..fault }
    }

    /// Waiting does not help: an operator has to do something first.
    pub fn not_served(&self, sentence: &str) -> Fault {
        let fault = self.fault(StatusCode::SERVICE_UNAVAILABLE, "model_not_served", sentence.into());
        Fault { retry: Retry::Never, ..fault }
    }

    /// What a provider did, or did not do.
    pub fn upstream(&self, status: StatusCode, sentence: &str) -> Fault {
        let fault = self.fault(status, "upstream_error", sentence.into());
        Fault { retry: Retry::Unsaid, ..fault }
    }

    /// Something in this program broke down; the cause is in its log.
    pub fn broken(&self) -> Fault {
        let sentence = "Something went wrong in the gateway, and it is noted in its log.";
        self.fault(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", sentence.into())
    }

    /// Anthropic's clients read a request's id under a name of their own.
    pub fn name_request(&self, headers: &mut HeaderMap) {
        name_request(self.protocol, self.request_id.as_deref(), headers);
    }

    /// Another gateway did not prove itself.
    pub fn not_proven(&self) -> Fault {
        let sentence = "The header x-keydesk-gateway does not hold this installation's gateway token.";
        self.fault(StatusCode::FORBIDDEN, "invalid_gateway_token", sentence.into())
    }

    pub fn not_found(&self, sentence: &str) -> Fault {
        self.fault(StatusCode::NOT_FOUND, "not_found", sentence.into())
    }

    pub fn model_not_found(&self, sentence: &str) -> Fault {
        self.fault(StatusCode::NOT_FOUND, "model_not_found", sentence.into())
    }

    /// `allow` are the methods there are, as the header lists them; empty where a preflight asked for a URL without any.
    pub fn method_not_allowed(&self, allow: &'static str) -> Fault {
        let sentence = match allow {
            "" => "Preflight requests are not answered.".into(),
            methods => format!("This URL answers {methods} only."),
        };
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let fault = self.fault(status, "method_not_allowed", self.with_warning(sentence));
        Fault { allow: Some(allow), ..fault }
    }

    /// The database does not answer. The one place where that is logged for the gateway.
    pub fn unavailable(&self, error: &StoreError) -> Fault {
        tracing::error!(%error, "the database is away: the gateway lets nobody in");
        self.fault(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "The key desk's database is away, so no key can be checked. Nobody is let in until it answers."
                .into(),
        )
    }

    /// Only browsers send an Origin, and a key in a web page is everybody's.
    fn with_warning(&self, sentence: String) -> String {
        if self.from_browser {
            format!("{sentence} A browser sent this: a key must never be used from a web page.")
        } else {
            sentence
        }
    }

    fn fault(&self, status: StatusCode, code: &'static str, message: String) -> Fault {
        let request_id = self.request_id.clone();
        let retry = match status {
            StatusCode::SERVICE_UNAVAILABLE => Retry::After(5),
            status if status.is_client_error() => Retry::Never,
            _ => Retry::Unsaid,
        };
        let protocol = self.protocol;
        Fault { protocol, status, code, message, request_id, allow: None, retry, limit: None }
    }
}

fn name_request(protocol: Protocol, id: Option<&str>, headers: &mut HeaderMap) {
    if protocol == Protocol::Anthropic
        && let Some(Ok(id)) = id.map(HeaderValue::from_str)
    {
        headers.insert("request-id", id);
    }
}

/// Whether to try again: client libraries do on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// What cannot succeed is not tried again.
    Never,
    /// Seconds.
    After(i64),
    Unsaid,
}

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Fault {
    protocol: Protocol,
    status: StatusCode,
    code: &'static str,
    message: String,
    request_id: Option<String>,
    allow: Option<&'static str>,
    retry: Retry,
    /// The limit that stopped it, and when.
    limit: Option<(Box<LimitUse>, Moment)>,
}

impl Fault {
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

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = answer(&self.body());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        match self.retry {
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::After(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds.min(MAX_RETRY_AFTER)));
            }
            Retry::Unsaid => {}
        }
        if let Some((limit, now)) = &self.limit {
            told::add(headers, std::slice::from_ref(&**limit), Some(Money::ZERO), *now);
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

/// A body as JSON that no cache keeps: what it says depends on the key.
pub fn answer(body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, body.to_string()).into_response()
}
