//! Whose error an answer is: a gate's of the gateway, the provider's, the network's, or that of the base URL.

use serde::{Deserialize, Serialize};

use super::{NoAnswer, ProbeAnswer, Probed};
use crate::domain::gate::Gate;

/// Whose error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorSource {
    /// No error: the call works.
    None,
    /// A gate of a Keydesk gateway, by its number.
    Gate(u8),
    /// The gateway itself.
    Gateway,
    /// The provider, or what stands at another host.
    Provider,
    /// The way there.
    Network,
    /// The base URL is not that of an API.
    BaseUrl,
}

impl ErrorSource {
    /// A few words for the page.
    pub fn label(self) -> String {
        match self {
            ErrorSource::None => "None".into(),
            ErrorSource::Gate(number) => format!("Gate {number} of the gateway"),
            ErrorSource::Gateway => "The gateway".into(),
            ErrorSource::Provider => "The provider".into(),
            ErrorSource::Network => "The network".into(),
            ErrorSource::BaseUrl => "The base URL".into(),
        }
    }
}

/// One of the two calls of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestCall<'a> {
    /// The list of models.
    Models,
    /// A request of one token to this model.
    OneToken(&'a str),
}

/// Whose error a call's outcome is, and what it means. `own` is this installation's gateway.
pub fn judge(call: TestCall<'_>, own: bool, probed: &Probed) -> (ErrorSource, String) {
    match probed {
        Ok(answer) => judge_answer(call, own, answer),
        Err(failure) => {
            let (source, sentence) = no_answer(*failure);
            (source, sentence.to_owned())
        }
    }
}

fn no_answer(failure: NoAnswer) -> (ErrorSource, &'static str) {
    match failure {
        NoAnswer::Private => (
            ErrorSource::BaseUrl,
            "This name leads to an address of a private network, which is not called from here.",
        ),
        NoAnswer::UnknownHost => {
            (ErrorSource::BaseUrl, "No host has this name. Check the spelling of the base URL.")
        }
        NoAnswer::Unreachable => (
            ErrorSource::Network,
            "No connection could be made: nothing listens there, a firewall is in between, or its certificate is not trusted.",
        ),
        NoAnswer::TimedOut => (ErrorSource::Network, "No answer came in time. Try again later."),
        NoAnswer::Broken => (ErrorSource::Network, "The connection ended before the answer did. Try again."),
    }
}

fn judge_answer(call: TestCall<'_>, own: bool, answer: &ProbeAnswer) -> (ErrorSource, String) {
    let say = |source, sentence: &str| (source, sentence.to_owned());
    if let Some(gate) = Gate::parse(&answer.rejected_by) {
        let mut sentence =
            format!("Gate {} ({}) rejected the request. The answer says why.", gate.number(), gate.as_str());
        if gate == Gate::Address {
            sentence.push_str(" The test comes from this server, not from your computer: the key’s list has to allow the server too.");
        }
        return (ErrorSource::Gate(gate.number()), sentence);
    }
    let json = matches!(answer.body.trim_start().as_bytes().first(), Some(b'{' | b'['));
    if answer.content_type.starts_with("text/html") || (!json && answer.status < 400) {
        return say(ErrorSource::BaseUrl, "A web page answered, not an API. Check the base URL.");
    }
    let names_model = || match call {
        TestCall::OneToken(model) => {
            let lower = answer.body.to_ascii_lowercase();
            answer.body.contains(model) || lower.contains("model_not_found") || lower.contains("model not")
        }
        TestCall::Models => false,
    };
    match answer.status {
        200..=299 => say(
            ErrorSource::None,
            match call {
                TestCall::Models => "The key and the base URL work.",
                TestCall::OneToken(_) => "The model answered.",
            },
        ),
        300..=399 => say(
            ErrorSource::BaseUrl,
            "The answer is a redirect, which is not followed. Use the address that it names.",
        ),
        400 | 422 => say(
            ErrorSource::Provider,
            "The key was accepted, and the provider rejected the request. The answer says why.",
        ),
        401 | 403 => say(
            ErrorSource::Provider,
            "The provider rejected the secret. Check that it belongs to this base URL.",
        ),
        402 => say(ErrorSource::Provider, "The account at the provider has no credit."),
        404 if names_model() => say(
            if own { ErrorSource::Gateway } else { ErrorSource::Provider },
            "The key was accepted, and there is no such model. Take one that GET /models lists.",
        ),
        404 | 405 => say(ErrorSource::BaseUrl, "Nothing answers this call at the base URL. Check its path."),
        429 => say(
            ErrorSource::Provider,
            "The provider limits requests, or the account has no credit. The answer says which.",
        ),
        // This gateway answers so for its provider's failures.
        502 | 504 => {
            say(ErrorSource::Provider, "The provider failed, or did not answer in time. Try again later.")
        }
        500..=599 if own => {
            say(ErrorSource::Gateway, "The gateway could not forward the request. The answer says why.")
        }
        _ => say(ErrorSource::Provider, "The provider failed. Try again later."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, rejected_by: &str, content_type: &str, body: &str) -> Probed {
        Ok(ProbeAnswer {
            status,
            rejected_by: rejected_by.into(),
            content_type: content_type.into(),
            body: body.into(),
            ..Default::default()
        })
    }

    #[test]
    fn each_outcome_has_its_owner() {
        let model = TestCall::OneToken("gpt-5");
        let json = |status| answer(status, "", "application/json", "{}");
        for (call, own, probed, source) in [
            (TestCall::Models, true, json(200), ErrorSource::None),
            (model, false, json(201), ErrorSource::None),
            (TestCall::Models, true, answer(401, "live", "application/json", "{}"), ErrorSource::Gate(4)),
            (TestCall::Models, false, answer(403, "address", "application/json", "{}"), ErrorSource::Gate(5)),
            (model, true, answer(429, "rate", "application/json", "{}"), ErrorSource::Gate(8)),
            (TestCall::Models, true, answer(401, "no gate", "application/json", "{}"), ErrorSource::Provider),
            (
                TestCall::Models,
                false,
                answer(200, "", "text/html; charset=utf-8", "<html>"),
                ErrorSource::BaseUrl,
            ),
            (TestCall::Models, false, answer(404, "", "text/html", "<html>"), ErrorSource::BaseUrl),
            (TestCall::Models, false, answer(200, "", "text/plain", "ok"), ErrorSource::BaseUrl),
            (TestCall::Models, false, answer(302, "", "", "{"), ErrorSource::BaseUrl),
            (TestCall::Models, false, json(401), ErrorSource::Provider),
            (TestCall::Models, false, json(403), ErrorSource::Provider),
            (TestCall::Models, false, json(404), ErrorSource::BaseUrl),
            (model, false, answer(404, "", "", "{\"error\":\"gpt-5 is unknown\"}"), ErrorSource::Provider),
            (
                model,
                true,
                answer(404, "", "", "{\"error\":{\"code\":\"model_not_found\"}}"),
                ErrorSource::Gateway,
            ),
            (model, true, json(405), ErrorSource::BaseUrl),
            (model, false, json(400), ErrorSource::Provider),
            (model, true, json(429), ErrorSource::Provider),
            (model, true, json(502), ErrorSource::Provider),
            (model, true, json(503), ErrorSource::Gateway),
            (model, false, json(503), ErrorSource::Provider),
            (TestCall::Models, false, Err(NoAnswer::Private), ErrorSource::BaseUrl),
            (TestCall::Models, false, Err(NoAnswer::UnknownHost), ErrorSource::BaseUrl),
            (TestCall::Models, false, Err(NoAnswer::Unreachable), ErrorSource::Network),
            (TestCall::Models, false, Err(NoAnswer::TimedOut), ErrorSource::Network),
            (TestCall::Models, false, Err(NoAnswer::Broken), ErrorSource::Network),
        ] {
            let (found, sentence) = judge(call, own, &probed);
            assert_eq!(found, source, "{probed:?}: {sentence}");
        }
    }

    #[test]
    fn an_address_list_is_explained() {
        let probed = answer(403, "address", "application/json", "{}");
        assert!(judge(TestCall::Models, true, &probed).1.contains("comes from this server"));
    }
}
