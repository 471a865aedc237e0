//! The protocol of a client, and every error in the exact shape that its library expects: status, headers and body.
//!
//! The gateway sends these and the key doctor shows them, so both have the same text.

use serde_json::{Value, json};

use super::gate::{Gate, Rejection};
use super::limit_use::LimitUse;
use super::moment::Moment;
use super::money::Money;
use super::provider::ProviderKind;
use super::rate_limit_headers;
use super::route::Route;

/// Many clients ignore a minute or more and retry at once, so longer waits are shortened; that may cost one more retry.
const MAX_RETRY_AFTER: i64 = 59;

/// The protocol in which a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's, and of everyone who is not known to speak another.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Gemini,
}

/// What Google's clients call under the version that they share with OpenAI's.
const GOOGLES: [&str; 8] = [
    "/v1/models",
    "/v1/cachedContents",
    "/v1/interactions",
    "/v1/batches",
    "/v1/files",
    "/v1/fileSearchStores",
    "/v1/tunedModels",
    "/v1/operations",
];

impl Protocol {
    /// By the request's path and the names of its headers, which are in lower case.
    pub fn of(path: &str, has_header: impl Fn(&str) -> bool) -> Self {
        let under =
            |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // Google's clients use /v1 since version 3, and only they send these headers.
        let is_googles = || ["x-goog-api-client", "x-goog-api-key"].into_iter().any(&has_header);
        // Google's own address for OpenAI's clients is under its version.
        let is_geminis = under("/v1beta") && !under("/v1beta/openai");
        if is_geminis || (GOOGLES.into_iter().any(under) && is_googles()) {
            Protocol::Gemini
        } else if under("/v1/messages") || has_header("anthropic-version") {
            Protocol::Anthropic
        } else {
            Protocol::OpenAi
        }
    }

    /// What a provider is that speaks it.
    pub fn kind(self) -> ProviderKind {
        match self {
            Protocol::OpenAi => ProviderKind::OpenAi,
            Protocol::Anthropic => ProviderKind::Anthropic,
            Protocol::Gemini => ProviderKind::Gemini,
        }
    }
}

/// Why a request whose model is in scope goes to no provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTarget {
    /// The model's name looks like a secret, so it is not repeated.
    SecretAsModel,
    /// Not in the catalogue, or retired.
    UnknownModel,
    /// No provider serves it.
    NotServed,
    /// Its provider speaks this protocol, and the route another one.
    OtherProtocol(ProviderKind),
}

/// Where a request stops before a provider sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At a gate.
    Gate(Rejection),
    /// Between gates 6 and 7.
    NoTarget(NoTarget),
}

/// What an error needs to know about its client. It exists without a key and proves nothing.
#[derive(Clone, Debug)]
pub struct ErrorContext {
    /// The protocol of the answer.
    pub protocol: Protocol,
    /// The base URL of the gateway, without a slash at the end.
    pub base_url: String,
    /// The base URL of the desk, whose doctor explains rejections; `None` where none is set.
    pub desk_url: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// Whether the request has an `Origin`, which only browsers send.
    pub from_browser: bool,
    /// Whether Codex sent it, by [`is_codex`].
    pub is_codex: bool,
    /// When the request is answered.
    pub now: Moment,
}

impl ErrorContext {
    /// The answer to a request that stops before a provider sees it. `model` is the name that it sent.
    pub fn stopped(&self, stop: &Stop, model: &str) -> ApiError {
        match stop {
            Stop::Gate(rejection) => self.rejected(rejection),
            Stop::NoTarget(why) => self.no_target(*why, model),
        }
    }

    /// The answer to a request that a gate rejects.
    pub fn rejected(&self, rejection: &Rejection) -> ApiError {
        let sentence = self.with_warning(rejection.sentence(&self.base_url));
        let mut error = self.error(rejection.status(), rejection.code(), sentence);
        error.rejected_by = Some(rejection.gate());
        if rejection.status() == 429 {
            error.retry = rejection.retry_after().map_or(Retry::Never, Retry::After);
        }
        if let Rejection::Limit { limit, .. } = rejection {
            error.limit = Some((limit.clone(), self.now));
        }
        error
    }

    /// The answer to a request whose model is in scope and is not served on its route.
    pub fn no_target(&self, why: NoTarget, model: &str) -> ApiError {
        let base = &self.base_url;
        let not_found = |sentence: String| self.error(404, "model_not_found", sentence);
        match why {
            NoTarget::SecretAsModel => not_found("There is no model with this name.".into()),
            NoTarget::UnknownModel => {
                let shown: String = model.chars().filter(|c| !c.is_control()).take(100).collect();
                not_found(format!(
                    "The model {shown} is not in the catalogue. GET {base}/v1/models lists the models of this key."
                ))
            }
            // Retrying does not help: an operator has to add a provider first.
            NoTarget::NotServed => {
                let sentence = format!(
                    "No provider serves the model {model} here. Ask your administrator to add one under Providers."
                );
                ApiError { retry: Retry::Never, ..self.error(503, "model_not_served", sentence) }
            }
            NoTarget::OtherProtocol(kind) => {
                let sentence = format!(
                    "The model {model} uses the protocol of {}, and requests are not translated. Send it to POST {base}{}.",
                    kind.label(),
                    Route::usual(kind).path(model)
                );
                self.error(400, "invalid_request", sentence)
            }
        }
    }

    /// Only browsers send an Origin, and everyone can read a key in a web page.
    pub fn with_warning(&self, sentence: String) -> String {
        if self.from_browser {
            format!("{sentence} A browser sent this request: never use a key in a web page.")
        } else {
            sentence
        }
    }

    /// An error with an HTTP status, a code and a sentence.
    pub fn error(&self, status: u16, code: &'static str, message: String) -> ApiError {
        let retry = match status {
            503 => Retry::After(5),
            400..500 => Retry::Never,
            _ => Retry::Unspecified,
        };
        ApiError {
            protocol: self.protocol,
            is_codex: self.is_codex,
            status,
            code,
            message,
            request_id: self.request_id.clone(),
            rejected_by: None,
            desk_url: self.desk_url.clone(),
            allow: None,
            retry,
            upstream: None,
            limit: None,
        }
    }
}

/// Whether to retry; client libraries do so on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// A retry cannot succeed.
    Never,
    /// Seconds.
    After(i64),
    /// The client decides.
    Unspecified,
}

/// An error as a client gets it.
#[derive(Clone, Debug)]
pub struct ApiError {
    protocol: Protocol,
    is_codex: bool,
    /// HTTP status.
    pub status: u16,
    code: &'static str,
    /// What happened, why, and what to do.
    pub message: String,
    request_id: Option<String>,
    /// The gate that rejected the request; `None` where none did.
    rejected_by: Option<Gate>,
    desk_url: Option<String>,
    /// The methods of the header `allow`, where the error has one.
    pub allow: Option<&'static str>,
    /// Whether the client should retry.
    pub retry: Retry,
    /// The provider that failed, as a header can have it.
    pub upstream: Option<String>,
    /// The limit that rejected the request, and when.
    limit: Option<(Box<LimitUse>, Moment)>,
}

impl ApiError {
    /// The JSON body.
    pub fn body(&self) -> Value {
        match self.protocol {
            Protocol::OpenAi => {
                let kind = match self.code {
                    _ if self.is_limit_for_codex() => "usage_limit_reached",
                    "insufficient_quota" => "insufficient_quota",
                    "rate_limit_exceeded" => "rate_limit_error",
                    _ if self.status >= 500 => "server_error",
                    _ => "invalid_request_error",
                };
                let mut error =
                    json!({"message": self.message, "type": kind, "param": null, "code": self.code});
                if self.is_limit_for_codex()
                    && let Some(seconds) = self.resets_at()
                {
                    error["resets_at"] = seconds.into();
                }
                json!({"error": error})
            }
            Protocol::Anthropic => {
                let kind = match self.status {
                    401 => "authentication_error",
                    403 => "permission_error",
                    404 => "not_found_error",
                    413 => "request_too_large",
                    429 => "rate_limit_error",
                    504 => "timeout_error",
                    500.. => "api_error",
                    _ => "invalid_request_error",
                };
                let error = json!({"type": kind, "message": self.message});
                json!({"type": "error", "error": error, "request_id": self.request_id})
            }
            Protocol::Gemini => {
                let status = match self.status {
                    401 => "UNAUTHENTICATED",
                    403 => "PERMISSION_DENIED",
                    404 => "NOT_FOUND",
                    409 => "ABORTED",
                    429 => "RESOURCE_EXHAUSTED",
                    408 | 504 => "DEADLINE_EXCEEDED",
                    500 => "INTERNAL",
                    501.. => "UNAVAILABLE",
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
                let mut details = vec![info];
                details.extend(self.google_quota());
                json!({"error": {
                    "code": self.status,
                    "message": self.message,
                    "status": status,
                    "details": details,
                }})
            }
        }
    }

    /// Google's own details of a limit and of when to retry. Its clients know a quota of a day, at which they stop, from one
    /// of a minute, after which they retry; and they stop at a wait of more than five minutes.
    fn google_quota(&self) -> Vec<Value> {
        const DAY: i64 = 86_400;
        let is_money = self.limit.as_ref().is_some_and(|(limit, _)| limit.what.is_money());
        let wait = match (&self.limit, self.retry) {
            (_, Retry::After(seconds)) => Some(seconds.min(MAX_RETRY_AFTER)),
            (Some((limit, now)), Retry::Never) if is_money => {
                limit.resets_at.map(|at| (at.ms().saturating_sub(now.ms()).max(0) + 999) / 1_000)
            }
            // The request alone is over the limit.
            (Some(_), Retry::Never) => Some(DAY),
            _ => None,
        };
        let quota = self.limit.as_ref().map(|_| match self.retry {
            Retry::After(_) => "KeydeskLimitPerMinute",
            _ if is_money => "KeydeskBudgetPerDay",
            _ => "KeydeskTokensPerRequest",
        });
        let quota = quota.map(|id| {
            json!({
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": id, "description": self.message}],
            })
        });
        let retry = wait.map(|seconds| {
            json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{seconds}s"),
            })
        });
        quota.into_iter().chain(retry).collect()
    }

    /// After `retry-after` Codex tries again; of every other 429 it says that the quota of a plan is exceeded.
    fn is_limit_for_codex(&self) -> bool {
        self.is_codex
            && self.protocol == Protocol::OpenAi
            && self.limit.is_some()
            && self.retry == Retry::Never
    }

    /// When the budget that rejected the request resets, in seconds since 1970.
    fn resets_at(&self) -> Option<i64> {
        let (limit, _) = self.limit.as_ref().filter(|(limit, _)| limit.what.is_money())?;
        limit.resets_at.map(|at| at.ms() / 1_000)
    }

    /// The message where Codex shows one, before its own ", or try again at …". It reads headers as ASCII only.
    fn codex_message(&self) -> String {
        let message = self.message.replace('…', "...");
        message.trim_end_matches('.').chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
    }

    /// The headers that tell about the error, apart from those of every JSON response.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        headers.extend(self.upstream.clone().map(|name| ("x-keydesk-upstream", name)));
        match self.retry {
            Retry::Never => headers.push(("x-should-retry", "false".to_owned())),
            Retry::After(seconds) => {
                headers.push(("retry-after", seconds.min(MAX_RETRY_AFTER).to_string()));
            }
            Retry::Unspecified => {}
        }
        if let Some(gate) = self.rejected_by {
            headers.push(("x-keydesk-rejected-by", gate.as_str().to_owned()));
            headers.extend(self.doctor_link(gate).map(|link| ("x-keydesk-doctor", link)));
        }
        if let Some((limit, now)) = &self.limit {
            let limits = std::slice::from_ref(&**limit);
            headers.extend(rate_limit_headers::of(limits, Some(Money::ZERO), *now));
        }
        if self.is_limit_for_codex() {
            headers.push(("x-codex-promo-message", self.codex_message()));
        }
        headers.extend(request_header(self.protocol, self.request_id.as_deref()));
        if self.status == 401 {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        if let Some(allow) = self.allow {
            headers.push(("allow", allow.to_owned()));
        }
        headers
    }

    /// The page that explains the gate. It names the request, never the key.
    fn doctor_link(&self, gate: Gate) -> Option<String> {
        let desk = self.desk_url.as_deref()?;
        let request = self.request_id.as_deref().map(|id| format!("&request={id}")).unwrap_or_default();
        Some(format!("{desk}/doctor?gate={}{request}", gate.as_str()))
    }
}

/// Whether a client of this `user-agent` is Codex: `codex_exec/…`, `codex_cli_rs/…`, `codex-tui/…` or `codex_vscode/…`.
pub fn is_codex(user_agent: &str) -> bool {
    user_agent.starts_with("codex")
}

/// Anthropic's clients read the request's id under another name.
pub fn request_header(protocol: Protocol, id: Option<&str>) -> Option<(&'static str, String)> {
    id.filter(|_| protocol == Protocol::Anthropic).map(|id| ("request-id", id.to_owned()))
}
