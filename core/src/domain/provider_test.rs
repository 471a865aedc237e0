//! A test of the connection to a provider: what it calls, what each answer means, and which models are there. The network
//! is the server's; nothing in a result is a secret.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};

use super::live_test::{ErrorSource, NoAnswer, ProbeAnswer, TestCall, judge, shown_answer};
use super::provider::{Provider, ProviderKind};
pub use super::provider_outcome::{ProviderTest, TestStep};
use super::route::Route;

/// Models of a list that are kept.
const MAX_MODELS: usize = 500;
const MAX_MODEL: usize = 200;

/// One call to a provider, made as requests of clients are: with its credential, headers, proxy and timeouts.
pub struct ProviderCall {
    /// The list of models, or what is posted to the protocol's usual route.
    pub body: Option<String>,
    /// The provider's name of the model; empty for the list.
    pub model: String,
    /// Milliseconds until it is given up.
    pub within_ms: i64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProviderAnswer {
    /// It has a credential, and this process does not have it. The sentence says why.
    NoCredential(String),
    /// The proxy on the way, by its host and port, did not connect to it.
    Proxy(String),
    /// None came.
    Network(NoAnswer),
}

/// The answer to a call, with the credential masked, or why there is none.
pub type ProviderAnswer = Result<ProbeAnswer, NoProviderAnswer>;

/// Makes calls to providers.
pub trait CallProvider: Send + Sync {
    /// Answers within the call's time.
    fn call<'a>(
        &'a self,
        provider: &'a Provider,
        call: ProviderCall,
    ) -> Pin<Box<dyn Future<Output = ProviderAnswer> + Send + 'a>>;

    /// The proxy that requests to this URL go through: its host and port, without a user name; `None` for none.
    fn proxy(&self, url: &str) -> Option<String>;

    /// Whether this process can open the stored key of a provider; `None` where it has none.
    fn opens(&self, provider: &Provider) -> Option<bool>;
}

/// The names that a list has.
pub fn listed_models(kind: ProviderKind, body: &str) -> Vec<String> {
    let Ok(list) = serde_json::from_str::<Value>(body) else { return Vec::new() };
    let (entries, name) = match kind {
        ProviderKind::Gemini => (list.get("models"), "name"),
        // Some providers answer with a bare list.
        _ => (list.get("data").or(Some(&list)), "id"),
    };
    let entries = entries.and_then(Value::as_array).into_iter().flatten();
    let names = entries
        .filter_map(|entry| entry.get(name)?.as_str())
        .map(|name| name.strip_prefix("models/").unwrap_or(name));
    let mut names: Vec<String> = names
        .filter(|name| !name.is_empty() && name.len() <= MAX_MODEL && !name.contains(char::is_control))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_MODELS);
    names
}

/// Whether a model of this name may answer a request for one token: most lists also have those for other uses.
pub fn may_chat(name: &str) -> bool {
    const OTHERS: [&str; 18] = [
        "embed",
        "whisper",
        "tts",
        "dall-e",
        "image",
        "moderation",
        "audio",
        "realtime",
        "transcri",
        "rerank",
        "guard",
        "imagen",
        "veo",
        "sora",
        "babbage",
        "davinci",
        "instruct",
        "-live",
    ];
    let lower = name.to_ascii_lowercase();
    !OTHERS.iter().any(|other| lower.contains(other))
}

/// The request of one token, `limit` being the member that says so.
pub fn one_token(kind: ProviderKind, model: &str, limit: &str) -> String {
    let message = json!([{"role": "user", "content": "Hi"}]);
    let body = match kind {
        ProviderKind::OpenAi => json!({"model": model, "messages": message, limit: 1}),
        ProviderKind::Anthropic => json!({"model": model, "messages": message, "max_tokens": 1}),
        ProviderKind::Gemini => json!({
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "generationConfig": {"maxOutputTokens": 1},
        }),
    };
    body.to_string()
}

/// What a call's outcome means for who runs the installation.
pub fn step(provider: &Provider, call: TestCall<'_>, answer: &ProviderAnswer) -> TestStep {
    let (method, url) = match call {
        TestCall::Models => ("GET", provider.spec.address().models_url()),
        TestCall::OneToken(model) => {
            let route = Route::usual(provider.spec.kind);
            ("POST", provider.spec.address().url(&route.call(model), model))
        }
    };
    let (ok, sentence) = match answer {
        Err(NoProviderAnswer::NoCredential(why)) => (false, why.clone()),
        Err(NoProviderAnswer::Proxy(proxy)) => (
            false,
            format!(
                "No connection could be made through the proxy {proxy} of HTTPS_PROXY. Check that it runs, takes the user name and password in that variable, and may connect to this provider."
            ),
        ),
        Err(NoProviderAnswer::Network(NoAnswer::Private)) => {
            (false, "This name leads to an address where a machine's own cloud answers. It is not called.".into())
        }
        Err(NoProviderAnswer::Network(failure)) => judged(call, &Err(*failure)),
        Ok(answer) => match answer.status {
            // With one token a model that thinks may have nothing to say.
            401 | 403 => (false, "The provider rejected the API key. Check that it belongs to this address, and that it may use this API.".into()),
            402 => (false, "The account at the provider has no credit.".into()),
            404 | 405 if call == TestCall::Models => {
                (false, "There is no list of models at this address. Check the base URL, or name a model to test with.".into())
            }
            429 => (false, "The provider limits requests, or the account has no credit. The answer says which.".into()),
            407 => (false, "A proxy on the way asks for a user name and a password.".into()),
            _ => judged(call, &Ok(answer.clone())),
        },
    };
    let answered = answer.as_ref().ok();
    TestStep {
        call: format!("{method} {url}"),
        status: answered.map(|answer| answer.status),
        ms: answered.map(|answer| answer.latency_ms),
        ok,
        sentence,
        answer: answered.filter(|_| !ok).map(|answer| shown_answer(&answer.body, "")).unwrap_or_default(),
    }
}

fn judged(call: TestCall<'_>, probed: &Result<ProbeAnswer, NoAnswer>) -> (bool, String) {
    let (source, sentence) = judge(call, false, probed);
    (source == ErrorSource::None, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_of_each_protocols_list_are_read_once_and_in_order() {
        let openai = r#"{"object":"list","data":[{"id":"b"},{"id":"a"},{"id":"a"},{"id":""},{"x":1}]}"#;
        assert_eq!(listed_models(ProviderKind::OpenAi, openai), ["a", "b"]);
        assert_eq!(listed_models(ProviderKind::OpenAi, r#"[{"id":"bare"}]"#), ["bare"]);
        let gemini = r#"{"models":[{"name":"models/gemini-3"}]}"#;
        assert_eq!(listed_models(ProviderKind::Gemini, gemini), ["gemini-3"]);
        for body in ["", "null", "[]", "{}", r#"{"data":3}"#] {
            assert!(listed_models(ProviderKind::OpenAi, body).is_empty(), "{body}");
        }
    }

    #[test]
    fn models_for_other_uses_are_not_asked() {
        for (name, chats) in [
            ("gpt-5-mini", true),
            ("claude-haiku-4-5", true),
            ("text-embedding-3-small", false),
            ("whisper-1", false),
            ("gpt-image-1", false),
        ] {
            assert_eq!(may_chat(name), chats, "{name}");
        }
    }
}
