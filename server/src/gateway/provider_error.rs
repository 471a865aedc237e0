//! What a provider's error says, in any of the shapes that providers use: its words, its status at the end of a stream, and
//! whether it is about this installation's account rather than about the request. Pure.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::upstream::UpstreamError;

/// The words of an error; empty when it has none of the known shapes.
pub fn text_of(body: &[u8]) -> String {
    serde_json::from_slice(body).map(|whole| text_in(first(&whole)).to_owned()).unwrap_or_default()
}

/// Gemini answers a stream's error as a list.
fn first(whole: &Value) -> &Value {
    whole.get(0).unwrap_or(whole)
}

fn text_in(whole: &Value) -> &str {
    let error = whole.get("error").unwrap_or(whole);
    let texts = [Some(error), error.get("message"), error.get("detail"), whole.get("message")];
    texts.into_iter().flatten().find_map(Value::as_str).unwrap_or_default()
}

/// Seconds after which to retry when a provider does not say.
const RETRY_AFTER: i64 = 5;

/// An error that the provider answers to this installation, not to the client: about its credential, its credit or its own
/// limits. The client gets a sentence instead, because the provider's words name the account. `retry_after` is the header.
pub fn of_account(status: StatusCode, retry_after: Option<&str>, body: &[u8]) -> Option<UpstreamError> {
    let whole = serde_json::from_slice::<Value>(body).unwrap_or_default();
    account_error(status, retry_after, first(&whole))
}

/// What providers write about an account under a status that is otherwise about the request.
const OF_ACCOUNT: [&str; 9] = [
    "your organization",
    "this organization",
    "organization has been disabled",
    "account is not active",
    "account has been deactivated",
    "location is not supported",
    "country, region, or territory not supported",
    "project does not have access",
    "you do not have access to it",
];

fn account_error(status: StatusCode, retry_after: Option<&str>, whole: &Value) -> Option<UpstreamError> {
    if !status.is_client_error() {
        return None;
    }
    let error = whole.get("error").unwrap_or(whole);
    let text = text_in(whole).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is = |name: &str| {
        ["code", "type", "status"].iter().any(|member| error.get(member).is_some_and(|value| value == name))
    };
    let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
    match status.as_u16() {
        400 if details().any(|detail| detail.get("reason").is_some_and(|it| it == "API_KEY_INVALID")) => {
            Some(UpstreamError::CredentialRejected)
        }
        400 if text.starts_with("your credit balance") || is("billing_error") => {
            Some(UpstreamError::NoCredit)
        }
        401 => Some(UpstreamError::CredentialRejected),
        402 => Some(UpstreamError::NoCredit),
        403 if says(&["credit", "billing", "payment"]) => Some(UpstreamError::NoCredit),
        403 if says(&[
            "organization",
            "project",
            "account",
            "region",
            "country",
            "location",
            "does not have access",
        ]) =>
        {
            Some(UpstreamError::AccountRefused)
        }
        403 => Some(UpstreamError::CredentialRejected),
        // What the account is, and not what the request is.
        400 | 404 if says(&OF_ACCOUNT) || is("account_deactivated") => Some(UpstreamError::AccountRefused),
        429 if is("insufficient_quota")
            || is("billing_not_active")
            || says(&["credit balance", "insufficient balance"]) =>
        {
            Some(UpstreamError::NoCredit)
        }
        429 if says(&["organization", "org-", "project", "account", "quota"]) => {
            let delay = details().find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'));
            let seconds = retry_after.or(delay).and_then(|text| text.parse::<f64>().ok());
            let seconds = seconds.map_or(RETRY_AFTER, |seconds| seconds.ceil() as i64).max(1);
            Some(UpstreamError::AccountLimited { retry_after: seconds })
        }
        _ => None,
    }
}

/// How much of a stream's end is kept to find the error in it.
const END_KEPT: usize = 16 << 10;

/// The end of a stream.
#[derive(Default)]
pub struct StreamEnd(Vec<u8>);

/// The error that ended a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The HTTP status that it would have been before the stream began.
    pub status: StatusCode,
    /// The provider's words.
    pub text: String,
    /// What it is where it is about the account of this installation, which its words name.
    pub of_account: Option<UpstreamError>,
}

impl StreamEnd {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes.get(bytes.len().saturating_sub(END_KEPT)..).unwrap_or_default());
        if self.0.len() > 2 * END_KEPT {
            self.0.drain(..self.0.len() - END_KEPT);
        }
    }

    /// The error in the last event, or in the last element of a list.
    pub fn error(&self, is_events: bool) -> Option<StreamError> {
        let last = if is_events { self.last_event() } else { self.last_element() }?;
        let error = last.pointer(place_of_error(&last)?)?;
        let status = status_of(error);
        let of_account = account_error(status, None, error);
        Some(StreamError { status, text: text_in(error).to_owned(), of_account })
    }

    fn last_event(&self) -> Option<Value> {
        let lines = self.0.rsplit(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
        let data = lines.map(<[u8]>::trim_ascii).find(|data| !data.is_empty() && *data != b"[DONE]")?;
        serde_json::from_slice(data).ok()
    }

    /// Only an element that begins with its error is looked for.
    fn last_element(&self) -> Option<Value> {
        let end = self.0.trim_ascii_end();
        let end = end.strip_suffix(b"]").unwrap_or(end).trim_ascii_end();
        let starts = (0..end.len()).rev().filter(|start| end.get(*start) == Some(&b'{'));
        starts
            .filter_map(|start| end.get(start..))
            .find(|element| {
                element.get(1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\"error\""))
            })
            .and_then(|element| serde_json::from_slice(element).ok())
    }
}

/// Where the error of a stream's event is, as a JSON pointer; `None` where it has none.
fn place_of_error(event: &Value) -> Option<&'static str> {
    let place = match event.get("type").and_then(Value::as_str) {
        Some("response.failed") => "/response/error",
        Some("error") if event.get("error").is_none() => "",
        _ => "/error",
    };
    event.pointer(place).filter(|error| !error.is_null()).map(|_| place)
}

/// Replaces an event's error that is about the account of this installation by `instead`, the body of the error that the
/// client gets, in the shape of the event. Answers whether there was one.
pub fn replace_account_error(event: &mut Value, instead: &dyn Fn(UpstreamError) -> Value) -> bool {
    let Some(place) = place_of_error(event) else { return false };
    let Some(error) = event.pointer_mut(place) else { return false };
    let Some(found) = account_error(status_of(error), None, error) else { return false };
    let body = instead(found);
    let message = body.pointer("/error/message").cloned().unwrap_or_default();
    match place {
        "/error" => *error = body.get("error").cloned().unwrap_or_default(),
        // As the Responses API knows them.
        "" => {
            let number = error.get("sequence_number").cloned().unwrap_or_default();
            *error = json!({
                "type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": number
            });
        }
        _ => *error = json!({"code": "server_error", "message": message}),
    }
    true
}

fn status_of(error: &Value) -> StatusCode {
    let member = |name: &str| error.get(name);
    let number = ["code", "status"].into_iter().filter_map(member).find_map(|value| {
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| (400..600).contains(number))
    });
    let by_name = || {
        let names = ["type", "code", "status"].into_iter().filter_map(member).filter_map(Value::as_str);
        names.into_iter().find_map(|name| match name {
            "invalid_request_error" | "INVALID_ARGUMENT" => Some(400),
            "authentication_error" | "UNAUTHENTICATED" => Some(401),
            "billing_error" => Some(402),
            "permission_error" | "PERMISSION_DENIED" => Some(403),
            "not_found_error" | "NOT_FOUND" => Some(404),
            "request_too_large" => Some(413),
            "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" | "RESOURCE_EXHAUSTED" => {
                Some(429)
            }
            "api_error" | "server_error" | "INTERNAL" => Some(500),
            "UNAVAILABLE" => Some(503),
            "timeout_error" | "DEADLINE_EXCEEDED" => Some(504),
            "overloaded_error" => Some(529),
            _ => None,
        })
    };
    let number = number.and_then(|number| u16::try_from(number).ok()).or_else(by_name);
    number.and_then(|number| StatusCode::from_u16(number).ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}
