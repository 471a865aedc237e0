//! The gates a request passes on its way to a model, in order, and every way to be stopped at one. A rejection knows its
//! gate, its status, its code and its sentence; the shape of the answer is the protocol's business, not this module's.
//! A rejection never holds more of a key than its last four characters.

use super::key_format::MalformedKey;
use super::limit_use::{HolderKind, LimitUse, Limited};
use super::limits::Budget;
use super::moment::{Moment, Zone};
use super::money::Money;
use super::numbers::grouped;

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
    /// Requests, tokens and concurrent requests are within their limits.
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
pub enum Rejection {
    NoCredential,
    /// The header is there and is not of the form `Bearer KEY`.
    WrongScheme,
    TwoCredentials,
    MalformedKey(MalformedKey),
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
    /// A budget, a balance or a rate does not let it pass.
    Limit {
        last_four: String,
        limit: Box<LimitUse>,
        /// Seconds, where waiting them may help.
        retry_after: Option<i64>,
        /// The organisation's.
        zone: Zone,
    },
}

impl Rejection {
    pub fn gate(&self) -> Gate {
        match self {
            Rejection::NoCredential | Rejection::WrongScheme | Rejection::TwoCredentials => Gate::Credential,
            Rejection::MalformedKey(_) => Gate::WellFormed,
            Rejection::Unknown | Rejection::Retired { .. } => Gate::Known,
            Rejection::Revoked { .. }
            | Rejection::Disabled { .. }
            | Rejection::Expired { .. }
            | Rejection::OrgSuspended
            | Rejection::TeamArchived { .. } => Gate::Live,
            Rejection::Address { .. } => Gate::Address,
            Rejection::Model { .. } => Gate::Model,
            Rejection::Limit { limit, .. } if limit.what.is_money() => Gate::Budget,
            Rejection::Limit { .. } => Gate::Rate,
        }
    }

    /// The word under which rejections of a known key are counted; `None` when it tells nothing of a key.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Rejection::NoCredential
            | Rejection::WrongScheme
            | Rejection::TwoCredentials
            | Rejection::MalformedKey(_)
            | Rejection::Unknown => None,
            Rejection::Retired { .. } => Some("retired"),
            Rejection::Revoked { .. } => Some("revoked"),
            Rejection::Disabled { .. } => Some("disabled"),
            Rejection::Expired { .. } => Some("expired"),
            Rejection::OrgSuspended => Some("org_suspended"),
            Rejection::TeamArchived { .. } => Some("team_archived"),
            Rejection::Address { .. } => Some("address"),
            Rejection::Model { .. } => Some("model"),
            Rejection::Limit { limit, .. } => Some(match (limit.what, limit.holder) {
                (Limited::Budget(_), HolderKind::Key) => "budget_key",
                (Limited::Budget(_), HolderKind::Team) => "budget_team",
                (Limited::Budget(_), HolderKind::Org) => "budget_org",
                (Limited::Balance, _) => "balance",
                (Limited::Requests, HolderKind::Key) => "requests_key",
                (Limited::Requests, _) => "requests_team",
                (Limited::Tokens, HolderKind::Key) => "tokens_key",
                (Limited::Tokens, _) => "tokens_team",
                (Limited::Concurrent, HolderKind::Key) => "concurrent_key",
                (Limited::Concurrent, _) => "concurrent_team",
            }),
        }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Rejection::TwoCredentials => 400,
            Rejection::Address { .. } | Rejection::Model { .. } => 403,
            Rejection::Limit { .. } => 429,
            Rejection::NoCredential
            | Rejection::WrongScheme
            | Rejection::MalformedKey(_)
            | Rejection::Unknown
            | Rejection::Retired { .. }
            | Rejection::Revoked { .. }
            | Rejection::Disabled { .. }
            | Rejection::Expired { .. }
            | Rejection::OrgSuspended
            | Rejection::TeamArchived { .. } => 401,
        }
    }

    /// The machine's word for it, the same in every protocol.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::TwoCredentials => "conflicting_credentials",
            Rejection::Address { .. } => "address_not_allowed",
            Rejection::Model { .. } => "model_not_allowed",
            Rejection::Limit { limit, .. } if limit.what.is_money() => "insufficient_quota",
            Rejection::Limit { .. } => "rate_limit_exceeded",
            Rejection::NoCredential
            | Rejection::WrongScheme
            | Rejection::MalformedKey(_)
            | Rejection::Unknown
            | Rejection::Retired { .. }
            | Rejection::Revoked { .. }
            | Rejection::Disabled { .. }
            | Rejection::Expired { .. }
            | Rejection::OrgSuspended
            | Rejection::TeamArchived { .. } => "invalid_api_key",
        }
    }

    /// What happened, why, and what to do. `base_url` is this installation's own, because the most common cause of an
    /// unknown key is that it belongs to another one.
    pub fn sentence(&self, base_url: &str) -> String {
        let at = |moment: &Moment| format!("{} UTC", moment.date_time(&Zone::utc()));
        match self {
            Rejection::NoCredential => format!(
                "No API key was sent to {base_url}. Send it as \"Authorization: Bearer KEY\", \"x-api-key\" or \"x-goog-api-key\"."
            ),
            Rejection::WrongScheme => {
                "The Authorization header is not of the form \"Bearer KEY\", with one space and no quotes."
                    .into()
            }
            Rejection::TwoCredentials => {
                "Two different API keys were sent in one request. Send one, in one header.".into()
            }
            Rejection::MalformedKey(why) => format!("Not a valid API key for {base_url}. {}", why.sentence()),
            Rejection::Unknown => format!(
                "No valid active key for {base_url}. The most common cause is a key of another provider, or of another installation."
            ),
            Rejection::Retired { last_four, since } => format!(
                "The secret sk-…{last_four} was replaced by a rotation and ended {}. Use the key's new secret.",
                at(since)
            ),
            Rejection::Revoked { last_four, since } => {
                format!("The key sk-…{last_four} was revoked {}. Ask for a new one.", at(since))
            }
            Rejection::Disabled { last_four, since } => format!(
                "The key sk-…{last_four} is disabled since {}. Whoever looks after it can enable it again.",
                at(since)
            ),
            Rejection::Expired { last_four, since } => {
                format!("The key sk-…{last_four} expired {}. Ask for a new one.", at(since))
            }
            Rejection::OrgSuspended => "The organisation that this key belongs to is suspended.".into(),
            Rejection::TeamArchived { team } => {
                format!("The team {team} that this key belongs to is archived.")
            }
            Rejection::Address { last_four, address } => {
                format!("The key sk-…{last_four} may not be used from the address {address}.")
            }
            Rejection::Model { last_four, model } => {
                format!(
                    "The key sk-…{last_four} may not use the model {model}. GET /v1/models lists those it may use."
                )
            }
            Rejection::Limit { last_four, limit, retry_after, zone } => {
                limit_sentence(last_four, limit, *retry_after, zone)
            }
        }
    }

    /// Seconds after which the same request may pass.
    pub fn retry_after(&self) -> Option<i64> {
        match self {
            Rejection::Limit { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Whose limit, how much it is, how much of it is gone, and what helps.
fn limit_sentence(last_four: &str, limit: &LimitUse, retry_after: Option<i64>, zone: &Zone) -> String {
    let whose = match limit.holder {
        HolderKind::Key => format!("the key sk-…{last_four}"),
        HolderKind::Team => format!("the team {}", limit.holder_name),
        HolderKind::Org => format!("the organisation {}", limit.holder_name),
    };
    let money = Money::from_nanos;
    let again = retry_after.map_or(String::new(), |seconds| format!(" Try again in {seconds} s."));
    match limit.what {
        Limited::Budget(period) => {
            let budget = Budget { period, amount: money(limit.max) }.summary();
            let resets = match limit.resets_at {
                Some(at) => format!(" It resets {} ({}).", at.date_time(zone), zone.name()),
                None => " It does not reset; ask for a larger one.".into(),
            };
            let state = money_state(limit);
            format!("The budget of {whose}, {budget}, does not allow this request: {state}.{resets}{again}")
        }
        Limited::Balance => {
            let state = money_state(limit);
            format!(
                "The balance of {whose} does not allow this request: {state}. Whoever runs this installation can add to it.{again}"
            )
        }
        Limited::Requests => format!(
            "The limit of {whose}, {} requests per minute, is reached: {} were sent in the last minute.{again}",
            grouped(limit.max),
            grouped(limit.used)
        ),
        Limited::Tokens if !limit.fits_alone() => format!(
            "The limit of {whose} is {} tokens per minute, and this request alone may use {}. Send less, or ask for fewer output tokens.",
            grouped(limit.max),
            grouped(limit.requested)
        ),
        Limited::Tokens => format!(
            "The limit of {whose}, {} tokens per minute, does not allow this request: {} were used in the last minute or are held, and it may use {}.{again}",
            grouped(limit.max),
            grouped(limit.used),
            grouped(limit.requested)
        ),
        Limited::Concurrent => format!(
            "The limit of {whose}, {} requests at the same time, is reached.{again}",
            grouped(limit.max)
        ),
    }
}

/// What is gone of an amount, and what this request would need of the rest.
fn money_state(limit: &LimitUse) -> String {
    let money = Money::from_nanos;
    if limit.used >= limit.max {
        return match limit.what {
            Limited::Balance => format!("{} is left", money(limit.max.saturating_sub(limit.used))),
            _ => format!("{} is spent", money(limit.used)),
        };
    }
    let left = money(limit.max.saturating_sub(limit.used));
    let asked = money(limit.requested);
    if limit.fits_alone() {
        let held = money(limit.reserved);
        return format!(
            "{left} is left, {held} of it is held by requests under way, and it may cost {asked}"
        );
    }
    format!("{left} is left, and it may cost up to {asked}. Ask for fewer output tokens, or send less")
}

/// Requests of one key that were rejected for one reason and model, as its page lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentRejection {
    pub reason: String,
    /// How many requests.
    pub times: i64,
    pub first_at: Moment,
    pub last_at: Moment,
    /// Empty where the model is not the reason, or is not known.
    pub model: String,
    /// The newest request's.
    pub address: String,
}

impl RecentRejection {
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
            "budget_key" => "The key's budget had too little left".into(),
            "budget_team" => "The team's budget had too little left".into(),
            "budget_org" => "The organisation's budget had too little left".into(),
            "balance" => "The organisation's balance had too little left".into(),
            "requests_key" => "Too many requests per minute for the key".into(),
            "requests_team" => "Too many requests per minute for the team".into(),
            "tokens_key" => "Too many tokens per minute for the key".into(),
            "tokens_team" => "Too many tokens per minute for the team".into(),
            "concurrent_key" => "Too many requests at the same time for the key".into(),
            "concurrent_team" => "Too many requests at the same time for the team".into(),
            other => other.to_owned(),
        }
    }

    /// Merges entries of one reason and model, and of one address where that is the reason; the newest first.
    pub fn grouped(list: Vec<RecentRejection>) -> Vec<RecentRejection> {
        let mut groups: Vec<RecentRejection> = Vec::new();
        for one in list {
            match groups.iter_mut().find(|group| group.words() == one.words()) {
                Some(group) => {
                    group.times = group.times.saturating_add(one.times);
                    group.first_at = group.first_at.min(one.first_at);
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
