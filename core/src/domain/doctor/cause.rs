//! Why a request fails, or would elsewhere: the likely cause in words, and what to do.

use super::super::api_error::{NoTarget, Stop};
use super::super::gate::Rejection;
use super::super::key_format::{self, MalformedKey, hint, looks_like_secret};
use super::super::limit_use::{HolderKind, LimitUse, Limited};
use super::super::moment::{Moment, Zone};
use super::super::provider::ProviderKind;
use super::super::route::Route;
use super::{Described, Header, KeyPlace};

/// What can be done about a cause. Who may do it sees a button or a link, everyone else whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// In the client: nothing that the desk can do.
    Client,
    /// Enable the key.
    Enable,
    /// Edit the key: models, addresses, limits or team.
    EditKey,
    /// Give the key a new secret.
    Rotate,
    /// Extend the key, or, when that is not possible any more, create another one.
    Extend,
    /// Create another key.
    NewKey,
    /// Edit the key's team.
    EditTeam,
    /// Edit the organisation: models and budgets.
    EditOrg,
    /// An operator's: providers, models, balances, suspensions.
    Operator,
    /// Wait.
    Wait,
}

/// Why a request fails, or would elsewhere, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What is.
    pub sentence: String,
    /// What to do.
    pub advice: String,
    /// Where that is done.
    pub remedy: Remedy,
}

impl Cause {
    fn new(remedy: Remedy, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), advice: advice.into(), remedy }
    }

    fn client(sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Remedy::Client, sentence, advice)
    }
}

/// What the causes are told apart by.
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Described,
    /// Its headers; empty when a key was picked.
    pub sent: &'a [Header],
    /// Where it stops.
    pub stop: Option<&'a Stop>,
    /// Models that the key may use.
    pub models: &'a [String],
    /// Whose scope rejects the model.
    pub out_of_scope_of: Option<HolderKind>,
    /// The prefix of new keys of the organisation, where it is known.
    pub key_prefix: Option<&'a str>,
    /// The gateway's base URL, without a slash at its end.
    pub gateway_url: &'a str,
    /// The desk's.
    pub desk_url: &'a str,
    /// The organisation's.
    pub zone: &'a Zone,
}

/// Every cause, the one that stops the request first, unless the request goes to another place.
pub fn causes(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(base_url_cause(facts));
    causes.extend(facts.stop.and_then(|stop| cause_of(facts, stop)));
    causes.extend(trimmed_cause(facts));
    causes.extend(place_cause(facts.request));
    if !facts.request.origin.is_empty() || facts.sent.iter().any(|header| header.name == "origin") {
        causes.push(Cause::client(
            "A browser sends this request: only browsers send an Origin. Everyone who opens the page can read the key, and the gateway answers no preflight.",
            "Call the gateway from a server, and let the web page call that server.",
        ));
    }
    causes
}

fn cause_of(facts: &Facts<'_>, stop: &Stop) -> Option<Cause> {
    match stop {
        Stop::NoTarget(why) => Some(no_target_cause(facts, *why)),
        Stop::Gate(rejection) => rejection_cause(facts, rejection),
    }
}

fn rejection_cause(facts: &Facts<'_>, rejection: &Rejection) -> Option<Cause> {
    let at = |moment: &Moment| moment.exact(facts.zone);
    Some(match rejection {
        Rejection::NoCredential => Cause::client(
            "The request has no key.",
            format!(
                "Send it as {}. Check that the variable with the key is set where the client runs.",
                facts.request.place.label()
            ),
        ),
        Rejection::WrongScheme => wrong_scheme(facts),
        Rejection::TwoCredentials => Cause::client(
            "The request has two different keys. Often one comes from the environment and the other from a setting.",
            "Remove one of them.",
        ),
        Rejection::MalformedKey(why) => malformed(facts, *why),
        Rejection::Unknown => unknown(facts),
        Rejection::Retired { last_four, since } => Cause::new(
            Remedy::Rotate,
            format!("The secret {} was replaced by a rotation and ended {}.", hint(last_four), at(since)),
            "Use the key’s new secret. If it is lost, rotate the key again.",
        ),
        Rejection::Revoked { since, .. } => Cause::new(
            Remedy::NewKey,
            format!("The key was revoked {}. That is final.", at(since)),
            "Create another key.",
        ),
        Rejection::Disabled { since, .. } => {
            Cause::new(Remedy::Enable, format!("The key was disabled {}.", at(since)), "Enable it.")
        }
        Rejection::Expired { since, .. } => Cause::new(
            Remedy::Extend,
            format!("The key expired {}.", at(since)),
            "Extend it, or create another key.",
        ),
        Rejection::OrgSuspended => Cause::new(
            Remedy::Operator,
            "The organisation is suspended, so none of its keys works.",
            "Ask your administrator to resume it.",
        ),
        Rejection::TeamArchived { team } => Cause::new(
            Remedy::EditKey,
            format!("The key’s team {team} is archived."),
            "Move the key to another team, or restore the team.",
        ),
        Rejection::Address { address, .. } if address == "unknown" => Cause::new(
            Remedy::EditKey,
            "The key has a list of allowed addresses, and the client’s address is not known.",
            "Enter the client’s address to check it against the list.",
        ),
        Rejection::Address { address, .. } => Cause::new(
            Remedy::EditKey,
            format!("The key has a list of allowed addresses, and {address} is not on it."),
            "Add the address, or send the request from an allowed one.",
        ),
        Rejection::Model { model, .. } => model_cause(facts, model),
        Rejection::NoPrice { model, limit, .. } => Cause::new(
            Remedy::Operator,
            format!(
                "{model} has no price, and {} has a {}, which counts what requests cost.",
                whose(limit),
                if limit.what == Limited::Balance { "balance" } else { "budget" }
            ),
            "Ask your administrator to set the model’s price, or use another model.",
        ),
        Rejection::Counts { retry_after, .. } => Cause::client(
            "The key asked too often how many tokens a request has.",
            format!("Try again in {retry_after} s."),
        ),
        Rejection::Limit { limit, retry_after, .. } => {
            let remedy = match (limit.what, limit.holder) {
                (Limited::Balance, _) => Remedy::Operator,
                (_, HolderKind::Key) => Remedy::EditKey,
                (_, HolderKind::Team) => Remedy::EditTeam,
                (_, HolderKind::Org) => Remedy::EditOrg,
            };
            let whose = whose(limit);
            let what = match limit.what {
                Limited::Budget(_) => "A budget",
                Limited::Balance => "The balance",
                Limited::Requests => "The limit of requests per minute",
                Limited::Tokens => "The limit of tokens per minute",
                Limited::Concurrent => "The limit of concurrent requests",
            };
            match (retry_after, limit.what.is_money()) {
                (Some(seconds), true) => Cause::new(
                    remedy,
                    format!(
                        "Other requests in flight hold what remains: {} of {whose}.",
                        what.to_lowercase()
                    ),
                    format!("Try again in {seconds} s, or raise the limit."),
                ),
                (Some(seconds), false) => Cause::new(
                    remedy,
                    format!("{what} of {whose} is reached at the moment."),
                    format!("Try again in {seconds} s, or raise the limit."),
                ),
                (_, true) if limit.what == Limited::Balance => Cause::new(
                    remedy,
                    format!("{what} of {whose} does not allow the request."),
                    "Ask your administrator to add credit.",
                ),
                _ => Cause::new(
                    remedy,
                    format!("{what} of {whose} does not allow the request."),
                    "Raise it, or send a smaller request.",
                ),
            }
        }
    })
}

fn whose(limit: &LimitUse) -> String {
    match limit.holder {
        HolderKind::Key => "the key".to_owned(),
        HolderKind::Team => format!("the team {}", limit.holder_name),
        HolderKind::Org => format!("the organisation {}", limit.holder_name),
    }
}

fn wrong_scheme(facts: &Facts<'_>) -> Cause {
    let value = facts.sent.iter().find(|header| header.name == "authorization");
    let value = value.map(|header| header.value.as_str()).unwrap_or_default();
    if looks_like_secret(value) && !value.contains(' ') {
        return Cause::client(
            "The Authorization header has the key and not the word Bearer before it.",
            "Send Authorization: Bearer KEY, with one space.",
        );
    }
    Cause::client(
        "The Authorization header is not of the form Bearer KEY.",
        "Send Authorization: Bearer KEY, with one space and without quotes.",
    )
}

fn malformed(facts: &Facts<'_>, why: MalformedKey) -> Cause {
    let advice = match why {
        MalformedKey::Masked => {
            "Where the whole key is no longer known, rotate it: it gets a new secret, which is shown once."
        }
        MalformedKey::CutOff { .. } | MalformedKey::TooLong { .. } => {
            "Compare the last four characters with the hint on the key’s page."
        }
        MalformedKey::Quoted => {
            "Some programs read quotes in a settings file as part of the value: write KEY=sk-… there."
        }
        MalformedKey::WhiteSpace => {
            "Look at the end of the line in the settings file, and for a line break in a secret store."
        }
        MalformedKey::BearerTwice => {
            "The client writes Bearer before the key itself, so the header says it twice."
        }
        MalformedKey::OtherProvider(_) => {
            return Cause::client(
                why.sentence(),
                format!(
                    "Set the key of this gateway, or the base URL of that provider in place of {}.",
                    facts.gateway_url
                ),
            );
        }
        MalformedKey::NotAKey => {
            return Cause::client(
                why.sentence(),
                format!("New keys start with {}.", facts.key_prefix.unwrap_or("sk-, such as sk-desk-")),
            );
        }
        MalformedKey::Empty | MalformedKey::BadCharacter | MalformedKey::Typo => {
            "Check the variable or file from which the client reads the key."
        }
    };
    Cause::new(
        if why == MalformedKey::Masked { Remedy::Rotate } else { Remedy::Client },
        why.sentence(),
        advice,
    )
}

fn unknown(facts: &Facts<'_>) -> Cause {
    let sent = facts.sent.iter().find_map(|header| {
        let value = header.value.as_str();
        key_format::read(value.strip_prefix("Bearer ").unwrap_or(value)).ok()
    });
    let other = sent.as_ref().map(|secret| secret.prefix()).zip(facts.key_prefix);
    let advice = format!(
        "Use a key of this installation, {}, or send this one to where it was issued.",
        facts.gateway_url
    );
    match other.filter(|(prefix, own)| prefix != own) {
        Some((prefix, own)) => Cause::client(
            format!(
                "The key starts with {prefix}, and new keys of this organisation start with {own}. It probably comes from another organisation or installation."
            ),
            advice,
        ),
        None => Cause::client(
            "The key is well-formed, and no key that you can see has this secret. It belongs to another person, organisation or installation.",
            advice,
        ),
    }
}

fn model_cause(facts: &Facts<'_>, model: &str) -> Cause {
    if let Some(near) = nearest(model, facts.models) {
        return Cause::client(
            format!(
                "The key may not use a model called {model}. It may use {near}, which has nearly the same name."
            ),
            format!("Set the model to {near}."),
        );
    }
    let (remedy, whose) = match facts.out_of_scope_of {
        Some(HolderKind::Team) => (Remedy::EditTeam, "team"),
        Some(HolderKind::Org) => (Remedy::EditOrg, "organisation"),
        Some(HolderKind::Key) | None => (Remedy::EditKey, "key"),
    };
    Cause::new(
        remedy,
        format!("The {whose}’s models do not include {model}."),
        match facts.models {
            [] => "Add the model to them.".to_owned(),
            some => format!("Add the model to them, or use another, such as {}.", some[0]),
        },
    )
}

fn no_target_cause(facts: &Facts<'_>, why: NoTarget) -> Cause {
    let model = facts.request.model.as_str();
    match why {
        NoTarget::SecretAsModel => Cause::client(
            "The model’s name looks like a key: the two were mixed up.",
            "Set the model to a model’s id, such as the client’s documentation names.",
        ),
        NoTarget::UnknownModel => match nearest(model, facts.models) {
            Some(near) => Cause::client(
                format!(
                    "There is no model called {model} here. The nearest that this key may use is {near}."
                ),
                format!("Set the model to {near}."),
            ),
            None => Cause::new(
                Remedy::Operator,
                format!("There is no model called {model} here."),
                "Use one that GET /v1/models lists, or ask your administrator to add it.",
            ),
        },
        NoTarget::NotServed => Cause::new(
            Remedy::Operator,
            format!("{model} is in the catalogue, and no provider serves it here."),
            "Ask your administrator to route it to a provider, or use another model.",
        ),
        NoTarget::OtherProtocol(kind) => Cause::client(
            format!("{model} is served in the protocol of {}, and this route has another.", kind.label()),
            format!("Send it to POST {}{}.", facts.gateway_url, Route::usual(kind).path(model)),
        ),
    }
}

/// HTTP removes spaces and tabs around a header's value, so the gateway never sees them; other libraries refuse to send
/// such a value.
fn trimmed_cause(facts: &Facts<'_>) -> Option<Cause> {
    facts.sent.iter().any(|header| header.padded).then(|| {
        Cause::client(
            "The key has white space at its end. HTTP removes it on the way, but some clients refuse to send it.",
            "Remove it where the key is set.",
        )
    })
}

/// The gateway takes a key in every place on every route. Others do not.
fn place_cause(request: &Described) -> Option<Cause> {
    let kind = request.route?.kind();
    let (expected, others): (&str, &str) = match (kind, request.place) {
        (ProviderKind::OpenAi, KeyPlace::XApiKey) => ("Authorization: Bearer", "Anthropic’s x-api-key"),
        (ProviderKind::OpenAi, KeyPlace::XGoogApiKey | KeyPlace::Query) => {
            ("Authorization: Bearer", "for Google")
        }
        (ProviderKind::Anthropic, KeyPlace::Bearer) => ("x-api-key", "Authorization: Bearer"),
        (ProviderKind::Gemini, KeyPlace::Bearer) => ("x-goog-api-key", "Authorization: Bearer"),
        (ProviderKind::Anthropic, KeyPlace::XGoogApiKey | KeyPlace::Query) => ("x-api-key", "for Google"),
        (ProviderKind::Gemini, KeyPlace::XApiKey) => ("x-goog-api-key", "Anthropic’s x-api-key"),
        _ => return None,
    };
    Some(Cause::client(
        format!(
            "The key is sent as {others} on a route of {}. This gateway takes it, and {} itself would answer 401.",
            kind.label(),
            kind.label()
        ),
        format!("Use {expected} if the client should work with both."),
    ))
}

/// What is wrong with the client's base URL. Clients of OpenAI add `/chat/completions`, those of Anthropic and Google the
/// version too.
fn base_url_cause(facts: &Facts<'_>) -> Option<Cause> {
    let typed = facts.request.base_url.trim().trim_matches(['"', '\'']);
    if typed.is_empty() {
        return None;
    }
    let gateway = facts.gateway_url;
    let kind = facts.request.route.map_or(ProviderKind::OpenAi, Route::kind);
    let right = if kind == ProviderKind::OpenAi { format!("{gateway}/v1") } else { gateway.to_owned() };
    let advice = format!("Set the base URL to {right}.");
    let whole = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    let (Ok(url), Ok(here), Ok(desk)) =
        (url::Url::parse(&whole), url::Url::parse(gateway), url::Url::parse(facts.desk_url))
    else {
        return Some(Cause::client("The base URL is not a web address.", advice));
    };
    let place = |url: &url::Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let host = url.host_str().unwrap_or_default().to_owned();
    let is_gateway = place(&url) == place(&here);
    if !is_gateway && place(&url) == place(&desk) {
        return Some(Cause::client(
            "The base URL is the address of the dashboard, where people sign in, and not the gateway’s.",
            advice,
        ));
    }
    if !is_gateway && url.host_str() == here.host_str() && url.scheme() != here.scheme() {
        return Some(Cause::client(
            format!("The base URL has {}://, and the gateway is at {gateway}.", url.scheme()),
            advice,
        ));
    }
    if !is_gateway {
        return Some(Cause::client(
            format!(
                "The client sends its requests to {host}, not to this gateway. Keys of this installation are unknown there."
            ),
            advice,
        ));
    }
    let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let versions = parts.iter().take_while(|part| matches!(**part, "v1" | "v1beta")).count();
    let rest = &parts[versions..];
    if versions > 1 || (versions > 0 && kind != ProviderKind::OpenAi && rest.is_empty()) {
        return Some(Cause::client(
            "The version is in the path twice: the base URL has it, and the client adds it.",
            advice,
        ));
    }
    match (versions, rest) {
        (1, []) => None,
        (0, []) if kind != ProviderKind::OpenAi => None,
        (0, []) => {
            Some(Cause::client("The base URL has no /v1, and clients of OpenAI do not add it.", advice))
        }
        (1, _) => Some(Cause::client(
            "The base URL is the address of one call, and the client adds its own path to it.",
            advice,
        )),
        _ => Some(Cause::client(
            "The base URL has the path of a page of the dashboard, or of another service.",
            advice,
        )),
    }
}

/// The model whose name is nearest to a misspelt one; `None` when none is near.
pub fn nearest<'a>(name: &str, models: &'a [String]) -> Option<&'a str> {
    const NEAR: f64 = 0.75;
    let folded = |text: &str| text.trim().to_lowercase().replace(['_', ' ', '.'], "-");
    let plain = folded(name.strip_prefix("models/").unwrap_or(name));
    let without_vendor = plain.rsplit('/').next().unwrap_or(&plain).to_owned();
    let likeness = |model: &str| {
        let model = folded(model);
        let short = model.rsplit('/').next().unwrap_or(&model);
        strsim::normalized_damerau_levenshtein(&plain, &model)
            .max(strsim::normalized_damerau_levenshtein(&without_vendor, short))
    };
    let scored = models.iter().filter(|model| *model != name).map(|model| (likeness(model), model));
    let best = scored.filter(|(score, _)| *score >= NEAR).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, model)| model.as_str())
}
