//! The live test: `GET /v1/models` with a secret, then a request of one token, and whose error each answer is. The secret
//! is sent and forgotten: it is in no row, event, URL or result.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::OpError;
use super::access::{Caller, OrgContext, read_org};
use super::secret_search::count_live_test;
use crate::Desk;
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::key_format::{has_secret, looks_like_secret};
use crate::domain::live_test::{
    AllowedHost, LiveTestReport, Probe, ProbeRequest, Probed, TestBase, TestCall, TestResult, first_model,
    judge, read_base, shown_answer,
};
use crate::domain::policy::{Action, On};
use crate::domain::provider::ProviderKind;

const MODELS_WITHIN_MS: i64 = 10_000;
const ONE_TOKEN_WITHIN_MS: i64 = 30_000;
const MAX_SECRET: usize = 500;
const MAX_MODEL: usize = 200;
/// Characters of a model's name that are escaped in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As a browser sends it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveTestForm {
    /// The slug of the organisation whose page it is.
    pub org: String,
    /// The secret.
    pub secret: Hidden,
    /// The base URL; empty for this gateway.
    pub url: String,
    /// The model of the one-token request; empty for the first of the list.
    pub model: String,
    /// `openai`, `anthropic` or `gemini`.
    pub protocol: String,
}

impl LiveTestForm {
    /// To be drawn again, without a secret that was pasted into the wrong field.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.secret = Hidden::default();
        for text in [&mut self.url, &mut self.model] {
            if has_secret(text) {
                text.clear();
            }
        }
        self
    }
}

/// What a live test has around it.
#[derive(Clone, Copy)]
pub struct LiveTester<'a> {
    /// Makes the calls.
    pub probe: &'a dyn Probe,
    /// This installation's own addresses, the gateway's first.
    pub own: &'a [String],
    /// Other hosts that may be called.
    pub allowed: &'a [AllowedHost],
}

/// Who may open the page.
///
/// # Errors
/// `NotFound` and `Forbidden` for people who are not in the organisation.
pub async fn page(desk: &Desk, caller: &Caller, slug: &str) -> Result<OrgContext, OpError> {
    let context = read_org(desk, caller, slug).await?;
    context.permit(Action::TestSecret, On::Org)?;
    Ok(context)
}

/// Runs a test. No transaction is open while it calls.
///
/// # Errors
/// Those of `page`; `Invalid` for what is not called at all; `TooMany` after ten tests of one person in a minute.
pub async fn run(
    desk: &Desk,
    caller: &Caller,
    form: &LiveTestForm,
    tester: LiveTester<'_>,
) -> Result<LiveTestReport, OpError> {
    page(desk, caller, &form.org).await?;
    let target = Target::of(form, tester).map_err(OpError::Invalid)?;
    count_live_test(desk, caller).await?;

    let listed = tester.probe.send(target.list_models()).await;
    let mut results = vec![target.result(TestCall::Models, &listed)];
    let model = match &listed {
        _ if !target.model.is_empty() => Some(target.model.to_owned()),
        Ok(answer) if answer.status < 300 => first_model(target.protocol, &answer.body),
        _ => None,
    };
    if let (Ok(_), Some(model)) = (&listed, model) {
        let mut answered = tester.probe.send(target.one_token(&model, "max_tokens")).await;
        // OpenAI's newer models take the limit only under its new name.
        let renamed = "max_completion_tokens";
        let wants_renamed = target.protocol == ProviderKind::OpenAi
            && answered.as_ref().is_ok_and(|answer| answer.status == 400 && answer.body.contains(renamed));
        if wants_renamed {
            answered = tester.probe.send(target.one_token(&model, renamed)).await;
        }
        results.push(target.result(TestCall::OneToken(&model), &answered));
    }
    let TestBase { url: base, read_as, .. } = target.base;
    let protocol = target.protocol.as_str().to_owned();
    Ok(LiveTestReport { person: caller.person.id.clone(), protocol, base, read_as, results })
}

/// What is called, and with what.
struct Target<'a> {
    base: TestBase,
    protocol: ProviderKind,
    secret: &'a str,
    model: &'a str,
}

impl<'a> Target<'a> {
    fn of(form: &'a LiveTestForm, tester: LiveTester<'_>) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let secret = form.secret.as_str().trim();
        if secret.is_empty() {
            errors.push(FieldError::say("secret", "Paste the secret."));
        } else if secret.len() > MAX_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            errors.push(FieldError::say(
                "secret",
                "This cannot be sent as a secret: it is too long, or has a space, a line break or a character that no secret has.",
            ));
        }
        let protocol = ProviderKind::parse(&form.protocol);
        if protocol.is_none() {
            errors.push(FieldError::say("protocol", "Choose a protocol."));
        }
        let model = form.model.trim();
        let model = model.strip_prefix("models/").unwrap_or(model);
        if model.len() > MAX_MODEL || model.contains(char::is_control) || looks_like_secret(model) {
            errors.push(FieldError::say("model", "This is not the ID of a model."));
        }
        let base = match read_base(&form.url, tester.own, tester.allowed) {
            Ok(base) if secret.len() >= 4 && form.url.contains(secret) => {
                errors.push(FieldError::say("url", "The URL has the secret in it. Remove it."));
                Some(base)
            }
            Ok(base) => Some(base),
            Err(problem) => {
                errors.push(FieldError::new("url", problem));
                None
            }
        };
        match (base, protocol) {
            (Some(base), Some(protocol)) if errors.is_empty() => Ok(Self { base, protocol, secret, model }),
            _ => Err(errors),
        }
    }

    fn path(&self, call: TestCall<'_>) -> String {
        match (self.protocol, call) {
            (ProviderKind::OpenAi | ProviderKind::Anthropic, TestCall::Models) => "/v1/models".into(),
            (ProviderKind::Gemini, TestCall::Models) => "/v1beta/models".into(),
            (ProviderKind::OpenAi, TestCall::OneToken(_)) => "/v1/chat/completions".into(),
            (ProviderKind::Anthropic, TestCall::OneToken(_)) => "/v1/messages".into(),
            (ProviderKind::Gemini, TestCall::OneToken(model)) => {
                let model = utf8_percent_encode(model, IN_PATH);
                format!("/v1beta/models/{model}:generateContent")
            }
        }
    }

    fn headers(&self) -> Vec<(&'static str, Hidden)> {
        let secret = Hidden::new(self.secret);
        match self.protocol {
            ProviderKind::OpenAi => vec![("authorization", Hidden::new(format!("Bearer {}", self.secret)))],
            ProviderKind::Anthropic => {
                vec![("x-api-key", secret), ("anthropic-version", Hidden::new("2023-06-01"))]
            }
            ProviderKind::Gemini => vec![("x-goog-api-key", secret)],
        }
    }

    fn request(&self, call: TestCall<'_>, body: Option<String>, within_ms: i64) -> ProbeRequest {
        let url = format!("{}{}", self.base.url, self.path(call));
        ProbeRequest { body, url, headers: self.headers(), own: self.base.own, within_ms }
    }

    fn list_models(&self) -> ProbeRequest {
        self.request(TestCall::Models, None, MODELS_WITHIN_MS)
    }

    fn one_token(&self, model: &str, limit: &str) -> ProbeRequest {
        let message = json!([{"role": "user", "content": "Hi"}]);
        let body = match self.protocol {
            ProviderKind::OpenAi => json!({"model": model, "messages": message, limit: 1}),
            ProviderKind::Anthropic => json!({"model": model, "messages": message, "max_tokens": 1}),
            ProviderKind::Gemini => json!({
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                "generationConfig": {"maxOutputTokens": 1},
            }),
        };
        self.request(TestCall::OneToken(model), Some(body.to_string()), ONE_TOKEN_WITHIN_MS)
    }

    fn result(&self, call: TestCall<'_>, probed: &Probed) -> TestResult {
        let (source, sentence) = judge(call, self.base.own, probed);
        let method = if call == TestCall::Models { "GET" } else { "POST" };
        let call = shown_answer(&format!("{method} {}", self.path(call)), self.secret);
        let answer = probed.as_ref().ok();
        TestResult {
            call,
            status: answer.map(|answer| answer.status),
            first_byte_ms: answer.map(|answer| answer.first_byte_ms),
            latency_ms: answer.map(|answer| answer.latency_ms),
            source,
            sentence,
            answer: answer.map(|answer| shown_answer(&answer.body, self.secret)).unwrap_or_default(),
        }
    }
}
