//! The gates a request passes on its way to a model, in order, and every way to be stopped at one. A refusal knows its
//! gate, its status, its code and its sentence; the shape of the answer is the protocol's business, not this module's.
//! A refusal never holds more of a key than its last four characters.

use super::key_format::Malformed;
use super::moment::{Moment, Zone};

/// In the order in which they are tried; a gateway stops at the first that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Exactly one credential came with the request.
    Credential,
    /// It has the form of a key of ours.
    WellFormed,
    /// The desk issued it, and it was not rotated away.
    Known,
    /// The key, its team and its organisation are in use.
    Live,
    /// The caller's address is on the key's list.
    Address,
    /// The model is in scope.
    Model,
    /// There is budget left, for the key, the team and the organisation.
    Budget,
    /// Requests, tokens and parallel requests are within their limits.
    Rate,
}

impl Gate {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Credential => "credential",
            Gate::WellFormed => "well_formed",
            Gate::Known => "known",
            Gate::Live => "live",
            Gate::Address => "address",
            Gate::Model => "model",
            Gate::Budget => "budget",
            Gate::Rate => "rate",
        }
    }

    /// From 1, as documents count them.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}

/// Why a request was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoCredential,
    /// The header is there and is not of the form `Bearer KEY`.
    WrongScheme,
    TwoCredentials,
    Malformed(Malformed),
    Unknown,
    /// A secret that a rotation took out of use; the key itself lives on under another secret.
    Retired {
        last_four: String,
        since: Moment,
    },
    Revoked {
        last_four: String,
        since: Moment,
    },
    Disabled {
        last_four: String,
        since: Moment,
    },
    Expired {
        last_four: String,
        since: Moment,
    },
    OrgSuspended,
    TeamArchived {
        team: String,
    },
    Address {
        last_four: String,
        address: String,
    },
    Model {
        last_four: String,
        model: String,
    },
}

impl Refusal {
    pub fn gate(&self) -> Gate {
        match self {
            Refusal::NoCredential | Refusal::WrongScheme | Refusal::TwoCredentials => Gate::Credential,
            Refusal::Malformed(_) => Gate::WellFormed,
            Refusal::Unknown | Refusal::Retired { .. } => Gate::Known,
            Refusal::Revoked { .. }
            | Refusal::Disabled { .. }
            | Refusal::Expired { .. }
            | Refusal::OrgSuspended
            | Refusal::TeamArchived { .. } => Gate::Live,
            Refusal::Address { .. } => Gate::Address,
            Refusal::Model { .. } => Gate::Model,
        }
    }

    /// The word under which refusals of a known key are counted; `None` when it tells nothing of a key.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Refusal::NoCredential
            | Refusal::WrongScheme
            | Refusal::TwoCredentials
            | Refusal::Malformed(_)
            | Refusal::Unknown => None,
            Refusal::Retired { .. } => Some("retired"),
            Refusal::Revoked { .. } => Some("revoked"),
            Refusal::Disabled { .. } => Some("disabled"),
            Refusal::Expired { .. } => Some("expired"),
            Refusal::OrgSuspended => Some("org_suspended"),
            Refusal::TeamArchived { .. } => Some("team_archived"),
            Refusal::Address { .. } => Some("address"),
            Refusal::Model { .. } => Some("model"),
        }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::TwoCredentials => 400,
            Refusal::Address { .. } | Refusal::Model { .. } => 403,
            Refusal::NoCredential
            | Refusal::WrongScheme
            | Refusal::Malformed(_)
            | Refusal::Unknown
            | Refusal::Retired { .. }
            | Refusal::Revoked { .. }
            | Refusal::Disabled { .. }
            | Refusal::Expired { .. }
            | Refusal::OrgSuspended
            | Refusal::TeamArchived { .. } => 401,
        }
    }

    /// The machine's word for it, the same in every protocol.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::TwoCredentials => "conflicting_credentials",
            Refusal::Address { .. } => "address_not_allowed",
            Refusal::Model { .. } => "model_not_allowed",
            Refusal::NoCredential
            | Refusal::WrongScheme
            | Refusal::Malformed(_)
            | Refusal::Unknown
            | Refusal::Retired { .. }
            | Refusal::Revoked { .. }
            | Refusal::Disabled { .. }
            | Refusal::Expired { .. }
            | Refusal::OrgSuspended
            | Refusal::TeamArchived { .. } => "invalid_api_key",
        }
    }

    /// What happened, why, and what to do. `base_url` is this installation's own, because the most common cause of an
    /// unknown key is that it belongs to another one.
    pub fn sentence(&self, base_url: &str) -> String {
        let at = |moment: &Moment| format!("{} UTC", moment.date_time(&Zone::utc()));
        match self {
            Refusal::NoCredential => format!(
                "No API key was sent to {base_url}. Send it as \"Authorization: Bearer KEY\", \"x-api-key\" or \"x-goog-api-key\"."
            ),
            Refusal::WrongScheme => {
                "The Authorization header is not of the form \"Bearer KEY\", with one space and no quotes."
                    .into()
            }
            Refusal::TwoCredentials => {
                "Two different API keys were sent in one request. Send one, in one header.".into()
            }
            Refusal::Malformed(why) => format!("Not a valid API key for {base_url}. {}", why.sentence()),
            Refusal::Unknown => format!(
                "No valid active key for {base_url}. The most common cause is a key of another provider, or of another installation."
            ),
            Refusal::Retired { last_four, since } => format!(
                "The secret sk-…{last_four} was replaced by a rotation and ended {}. Use the key's new secret.",
                at(since)
            ),
            Refusal::Revoked { last_four, since } => {
                format!("The key sk-…{last_four} was revoked {}. Ask for a new one.", at(since))
            }
            Refusal::Disabled { last_four, since } => format!(
                "The key sk-…{last_four} is disabled since {}. Whoever looks after it can enable it again.",
                at(since)
            ),
            Refusal::Expired { last_four, since } => {
                format!("The key sk-…{last_four} expired {}. Ask for a new one.", at(since))
            }
            Refusal::OrgSuspended => "The organisation that this key belongs to is suspended.".into(),
            Refusal::TeamArchived { team } => {
                format!("The team {team} that this key belongs to is archived.")
            }
            Refusal::Address { last_four, address } => {
                format!("The key sk-…{last_four} may not be used from the address {address}.")
            }
            Refusal::Model { last_four, model } => {
                format!(
                    "The key sk-…{last_four} may not use the model {model}. GET /v1/models lists those it may use."
                )
            }
        }
    }
}

/// Requests of one key that were refused for one reason, as its page lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLately {
    pub reason: String,
    pub times: i64,
    pub last_at: Moment,
    /// Of the newest of them.
    pub model: String,
    pub address: String,
}

impl RefusedLately {
    /// Why, in a few words.
    pub fn words(&self) -> String {
        match self.reason.as_str() {
            "retired" => "The secret was replaced by a rotation".into(),
            "revoked" => "The key is revoked".into(),
            "disabled" => "The key was disabled".into(),
            "expired" => "The key has expired".into(),
            "org_suspended" => "The organisation was suspended".into(),
            "team_archived" => "The team was archived".into(),
            "address" if self.address.is_empty() => "The address is not allowed".into(),
            "address" => format!("The address {} is not allowed", self.address),
            "model" if self.model.is_empty() => "The model is not allowed".into(),
            "model" => format!("Model {} is not allowed", self.model),
            other => other.to_owned(),
        }
    }

    /// Those of one reason (and model, and where it is the reason, address) put together, the newest first.
    pub fn together(list: Vec<RefusedLately>) -> Vec<RefusedLately> {
        let mut groups: Vec<RefusedLately> = Vec::new();
        for one in list {
            match groups.iter_mut().find(|group| group.words() == one.words()) {
                Some(group) => {
                    group.times = group.times.saturating_add(one.times);
                    if one.last_at > group.last_at {
                        group.last_at = one.last_at;
                        group.address = one.address;
                    }
                }
                None => groups.push(one),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.last_at));
        groups
    }
}
