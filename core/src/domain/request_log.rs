//! A key's requests as one list: those that reached a provider, and those that were rejected by a gate or failed on their
//! way to one. Rejected and failed ones are counted by the minute, so an entry of the list can be many requests.

use super::api_error::NoTarget;
use super::gate::Gate;
use super::ids::{KeyId, PersonId, PriceId, TeamId};
use super::key_format::{looks_like_secret, starts_like_credential, without_cut_word};
use super::meter::Metered;
use super::moment::Moment;
use super::money::Money;

/// Characters of an error's words that are kept.
pub const MAX_ERROR: usize = 200;
/// A run of so many letters and digits may be a credential.
const MAX_RUN: usize = 24;

/// Why a request of a known key failed that no gate rejected and that was not sent to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// The model is in the catalogue, and no provider serves it.
    ModelNotServed,
    /// The catalogue has no such model.
    UnknownModel,
    /// The model's provider speaks another protocol.
    WrongProtocol,
    /// No route has this path.
    UnknownPath,
    /// The route exists, for other methods.
    WrongMethod,
    /// The body is larger than the gateway takes.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The body is not what the route takes, or ended early.
    InvalidBody,
    /// Too much memory is taken by request bodies.
    Overloaded,
}

impl From<NoTarget> for RequestFailure {
    fn from(why: NoTarget) -> Self {
        match why {
            // Its name is not kept.
            NoTarget::SecretAsModel | NoTarget::UnknownModel => RequestFailure::UnknownModel,
            NoTarget::NotServed => RequestFailure::ModelNotServed,
            NoTarget::OtherProtocol(_) => RequestFailure::WrongProtocol,
        }
    }
}

impl RequestFailure {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestFailure::ModelNotServed => "model_not_served",
            RequestFailure::UnknownModel => "unknown_model",
            RequestFailure::WrongProtocol => "wrong_protocol",
            RequestFailure::UnknownPath => "unknown_path",
            RequestFailure::WrongMethod => "wrong_method",
            RequestFailure::BodyTooLarge => "body_too_large",
            RequestFailure::BodyTooSlow => "body_too_slow",
            RequestFailure::InvalidBody => "invalid_body",
            RequestFailure::Overloaded => "overloaded",
        }
    }
}

/// Every reason under which requests are counted that reached no provider: its word in the database, the HTTP status that
/// the client saw, what pages say, and what helps.
const REASONS: [(&str, i64, &str, &str); 29] = [
    ("retired", 401, "The secret was replaced by a rotation", "Give the client the key’s current secret."),
    ("revoked", 401, "The key is revoked", "A revoked key never works again. Create another key."),
    ("disabled", 401, "The key was disabled", "Enable the key, if its user should go on."),
    ("expired", 401, "The key has expired", "Extend the key, or create another one."),
    (
        "org_suspended",
        401,
        "The organisation was suspended",
        "Ask your administrator to resume the organisation.",
    ),
    ("team_archived", 401, "The team was archived", "Restore the team, or move the key to another one."),
    (
        "address",
        403,
        "The address is not allowed",
        "Add the address to the key’s list, or send from one that is on it.",
    ),
    (
        "model",
        403,
        "The key may not use this model",
        "Choose a model that key, team and organisation allow, or allow this one.",
    ),
    (
        "no_price",
        403,
        "The model has no price, and a budget counts what requests cost",
        "Ask your administrator to set the model’s price.",
    ),
    ("budget_key", 429, "The key's budget did not suffice", "Wait until the budget resets, or raise it."),
    (
        "budget_team",
        429,
        "The team's budget did not suffice",
        "Wait until the team’s budget resets, or raise it.",
    ),
    (
        "budget_org",
        429,
        "The organisation's budget did not suffice",
        "Wait until the organisation’s budget resets, or raise it.",
    ),
    (
        "balance",
        429,
        "The organisation's balance did not suffice",
        "Ask your administrator to add to the balance.",
    ),
    (
        "requests_key",
        429,
        "Too many requests per minute for the key",
        "Send fewer requests at once, or raise the limit.",
    ),
    (
        "requests_team",
        429,
        "Too many requests per minute for the team",
        "Send fewer requests at once, or raise the team’s limit.",
    ),
    (
        "tokens_key",
        429,
        "Too many tokens per minute for the key",
        "Send fewer or smaller requests at once, or raise the limit.",
    ),
    (
        "tokens_team",
        429,
        "Too many tokens per minute for the team",
        "Send fewer or smaller requests at once, or raise the team’s limit.",
    ),
    (
        "concurrent_key",
        429,
        "Too many concurrent requests for the key",
        "Wait for earlier requests to end, or raise the limit.",
    ),
    (
        "concurrent_team",
        429,
        "Too many concurrent requests for the team",
        "Wait for the team’s earlier requests to end, or raise its limit.",
    ),
    (
        "counts_key",
        429,
        "Too many counts of tokens per minute for the key",
        "Count less often, or estimate tokens in the client.",
    ),
    (
        "model_not_served",
        503,
        "No provider serves this model",
        "Ask your administrator to connect a provider for this model.",
    ),
    (
        "unknown_model",
        404,
        "There is no such model in the catalogue",
        "Correct the model’s name. GET /v1/models lists those that the key can use.",
    ),
    (
        "wrong_protocol",
        400,
        "The model uses another protocol than this path",
        "Use the path of the model’s own protocol.",
    ),
    ("unknown_path", 404, "This path is not served", "Correct the base URL or the path in the client."),
    (
        "wrong_method",
        405,
        "This path does not accept the method",
        "Send the request with the method that the path accepts.",
    ),
    ("body_too_large", 413, "The request was too large", "Send a smaller request."),
    (
        "body_too_slow",
        408,
        "The request's body did not arrive in time",
        "Check the client’s network, and send it again.",
    ),
    (
        "invalid_body",
        400,
        "The request's body could not be read",
        "Correct the request: it must be JSON as the path takes it.",
    ),
    ("overloaded", 503, "The gateway was over its memory limit for requests", "Send it again in a moment."),
];

/// The reasons that clients saw with this HTTP status.
pub fn reasons_of(status: i64) -> Vec<&'static str> {
    REASONS.iter().filter(|(_, of, ..)| *of == status).map(|(reason, ..)| *reason).collect()
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider answered it.
    Served,
    /// A gate rejected it, for this reason.
    Rejected(String),
    /// It passed the gates that it reached, and failed: for this reason before it was sent, or `None` afterwards.
    Failed(Option<String>),
}

impl Outcome {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Served => "Answered",
            Outcome::Rejected(_) => "Rejected",
            Outcome::Failed(_) => "Failed",
        }
    }

    /// That of a settled request.
    pub fn of_status(status: i64) -> Self {
        if status < 400 { Outcome::Served } else { Outcome::Failed(None) }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Rejected(reason) | Outcome::Failed(Some(reason)) => Some(reason),
            Outcome::Served | Outcome::Failed(None) => None,
        }
    }
}

/// What a settled request used and is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestUse {
    /// As the provider reported it, or estimated.
    pub metered: Metered,
    /// Whether that is an estimate.
    pub estimated: bool,
    /// What it is charged.
    pub cost: Money,
    /// Whether everything that was used had a price.
    pub is_priced: bool,
    /// The price that it is paid at, where it names one.
    pub price: Option<PriceId>,
    /// What it was first charged, where that was corrected.
    pub first_cost: Option<Money>,
    /// From the reservation to the end of the answer, in milliseconds.
    pub latency_ms: i64,
    /// From the reservation to the first byte of the answer, in milliseconds; `None` without one.
    pub first_byte_ms: Option<i64>,
    /// The name of the model's provider at the time; empty where it is unknown.
    pub provider: String,
    /// The client's user agent; empty when it sent none.
    pub user_agent: String,
    /// What the client said about it, for reports.
    pub tags: Vec<String>,
}

/// What a re-rating changed of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCorrection {
    /// When.
    pub at: Moment,
    /// The name of who corrected it.
    pub by: String,
    /// What it was charged before.
    pub before: Money,
    /// What it was charged from then on.
    pub after: Money,
}

/// One entry of the list: one settled request, or those of one key, minute, reason and model that reached no provider.
/// Route, address and id are then the newest one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestEntry {
    /// The key.
    pub key: KeyId,
    /// The key's team at the time; `None` is no team.
    pub team: Option<TeamId>,
    /// The key's owner at the time; `None` where a gateway stored none.
    pub owner: Option<PersonId>,
    /// When the newest of them began.
    pub at: Moment,
    /// When the oldest of them began.
    pub first_at: Moment,
    /// How many requests.
    pub times: i64,
    /// Empty where a gateway stored none.
    pub request_id: String,
    /// Empty where the request named none, or too many were named in that minute.
    pub model: String,
    /// Empty where it is unknown or might contain a secret.
    pub route: String,
    /// HTTP status as the client saw it; 499 when the client disconnected, 0 for a reason that this version does not know.
    pub status: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// The gate that rejected it; `None` where none did, or for one that this version does not know.
    pub gate: Option<Gate>,
    /// What the provider, or the gateway about it, said; empty without an error.
    pub error: String,
    /// `None` for requests that reached no provider.
    pub used: Option<RequestUse>,
    /// Empty where it is unknown.
    pub address: String,
    /// Tells entries of one moment apart.
    pub(crate) place: String,
}

impl RequestEntry {
    /// The status of a request that reached no provider.
    pub fn status_of(reason: &str) -> i64 {
        REASONS.iter().find(|(word, ..)| *word == reason).map_or(0, |(_, status, ..)| *status)
    }

    /// What helps; `None` for a request that reached a provider.
    pub fn advice(&self) -> Option<&'static str> {
        let reason = self.outcome.reason()?;
        REASONS.iter().find(|(word, ..)| *word == reason).map(|(.., advice)| *advice)
    }

    /// Why it was not served; `None` when it was.
    pub fn words(&self) -> Option<String> {
        if let Some(reason) = self.outcome.reason() {
            let known = REASONS.iter().find(|(word, ..)| *word == reason);
            return Some(match known {
                Some(("address", ..)) if !self.address.is_empty() => {
                    format!("The address {} is not allowed", self.address)
                }
                Some((_, _, words, _)) => (*words).to_owned(),
                None => reason.to_owned(),
            });
        }
        match (&self.outcome, self.status) {
            (Outcome::Served, _) => None,
            _ if !self.error.is_empty() => Some(self.error.clone()),
            (_, 499) => Some("The client disconnected before the answer was complete".into()),
            (_, 504) => Some("The provider did not answer in time".into()),
            (_, 502 | 503) => Some("The provider could not be reached, or its answer was not usable".into()),
            (_, 500) => Some("The request was interrupted".into()),
            (_, status) => Some(format!("The provider answered with {status}")),
        }
    }
}

/// What a provider said, as it is stored and shown: one line without control characters, of at most `MAX_ERROR` characters,
/// with "…" in place of whatever might be a credential.
pub fn plain_error(text: &str) -> String {
    let clean = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
    // Longer than what is kept, so that no credential is cut into something that no longer looks like one.
    let mut line: String = text.chars().map(clean).take(4 * MAX_ERROR).collect();
    if text.chars().nth(4 * MAX_ERROR).is_some() {
        line.truncate(without_cut_word(&line).len());
    }
    let mut words: Vec<&str> = Vec::new();
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let after_scheme = words.last().is_some_and(|last| last.eq_ignore_ascii_case("bearer"));
        let shown = if after_scheme || may_be_credential(word) { "…" } else { word };
        words.push(shown);
    }
    let joined = words.join(" ");
    // A credential that was broken by spaces.
    if looks_like_secret(&joined) {
        return String::new();
    }
    match joined.char_indices().nth(MAX_ERROR) {
        Some(_) => joined.chars().take(MAX_ERROR - 1).chain(['…']).collect(),
        None => joined,
    }
}

fn may_be_credential(word: &str) -> bool {
    let cut = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*'));
    looks_like_secret(word)
        || word.split(cut).any(starts_like_credential)
        || word.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
            run.len() >= MAX_RUN
                && run.bytes().any(|byte| byte.is_ascii_digit())
                && run.bytes().any(|byte| byte.is_ascii_alphabetic())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_are_one_short_line_without_credentials() {
        let kept = "This model's maximum context length is 128000 tokens. Use gpt-5-mini-2026-08-07 or claude-opus-4-5-20250929.";
        assert_eq!(plain_error(kept), kept);
        assert_eq!(plain_error("a\r\n\tb\u{0} \u{85}c"), "a b c");
        assert_eq!(plain_error(&"word ".repeat(100)).chars().count(), MAX_ERROR);
        for secret in [
            "sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa",
            "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x",
            "sk-…a1B2",
            "AIzaSyD3f6G9h2J5k8L1m4N7p0Q3r6S9t2V5w8",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
            "0123456789abcdef0123456789abcdef",
        ] {
            for text in [
                format!("Incorrect API key provided: {secret}. See the docs."),
                format!("key=\"{secret}\""),
                format!("Authorization: Bearer {secret}"),
                format!("https://api.example.com/v1?key={secret}&x=1"),
            ] {
                let shown = plain_error(&text);
                assert!(!shown.contains(secret), "{text} became {shown}");
            }
        }
        assert!(!plain_error("Bearer short").contains("short"));
        // Cut in the middle of the last word.
        let long = format!("{} sk-desk-aaaaaaaaaaaaaaaaaaaaaaaa", "x".repeat(MAX_ERROR - 10));
        assert!(!plain_error(&long).contains("sk-desk"));
        // Read no further in the middle of the only word.
        assert_eq!(plain_error(&format!("{}CANARY-1", " ".repeat(4 * MAX_ERROR - 4))), "");
    }

    #[test]
    fn every_failure_has_words_and_a_status() {
        for failure in [
            RequestFailure::ModelNotServed,
            RequestFailure::UnknownModel,
            RequestFailure::WrongProtocol,
            RequestFailure::UnknownPath,
            RequestFailure::WrongMethod,
            RequestFailure::BodyTooLarge,
            RequestFailure::BodyTooSlow,
            RequestFailure::InvalidBody,
            RequestFailure::Overloaded,
        ] {
            assert!(RequestEntry::status_of(failure.as_str()) >= 400, "{failure:?}");
        }
        assert_eq!(reasons_of(403), ["address", "model", "no_price"]);
    }
}
