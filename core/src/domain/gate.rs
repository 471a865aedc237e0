//! The gates that a request passes on its way to a model, in order, and every rejection by one. A rejection knows its
//! gate, status, code and sentence; the protocol decides the shape of the answer.
//! A rejection contains no more of a key than its last four characters.

use super::key_format::MalformedKey;
use super::limit_use::{HolderKind, LimitUse, Limited};
use super::limits::Budget;
use super::moment::{Moment, Zone};
use super::money::Money;
use super::numbers::grouped;

/// In the order in which they are checked; a gateway stops at the first that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Exactly one credential came with the request.
    Credential,
    /// It has the form of a Keydesk key.
    WellFormed,
    /// This installation issued it, and its secret is current.
    Known,
    /// The key, its team and its organisation are active.
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
    /// Each, in order.
    pub const ALL: [Gate; 8] = [
        Gate::Credential,
        Gate::WellFormed,
        Gate::Known,
        Gate::Live,
        Gate::Address,
        Gate::Model,
        Gate::Budget,
        Gate::Rate,
    ];

    /// Reads the word that [`Gate::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gate| gate.as_str() == text)
    }

    /// What it checks, in a few words.
    pub fn label(self) -> &'static str {
        match self {
            Gate::Credential => "One key was sent",
            Gate::WellFormed => "The key is whole and well-formed",
            Gate::Known => "The secret is known and current",
            Gate::Live => "The key, its team and its organisation are active",
            Gate::Address => "The client’s address is allowed",
            Gate::Model => "The model is allowed",
            Gate::Budget => "Budgets and balance allow the request",
            Gate::Rate => "Rate limits allow the request",
        }
    }

    /// What a rejection by this gate means and what helps, when nothing else is known of the request.
    pub fn explanation(self) -> &'static str {
        match self {
            Gate::Credential => {
                "The request had no key, two different keys, or an Authorization header that is not of the form Bearer KEY. Send one key, in one header."
            }
            Gate::WellFormed => {
                "What was sent as the key is not a whole key of this kind: it is cut off, masked, quoted, mistyped, or has white space in it, or it belongs to another provider. Copy the key again."
            }
            Gate::Known => {
                "No current secret of this installation is the one that was sent. It belongs to another installation, or a rotation replaced it."
            }
            Gate::Live => {
                "The key is revoked, disabled or expired, or its team is archived or its organisation suspended."
            }
            Gate::Address => {
                "The key has a list of addresses, and the request came from another one. An owner, an admin or the team’s admin can add it."
            }
            Gate::Model => {
                "The key, its team or its organisation does not allow the model. GET /v1/models lists those that the key can use."
            }
            Gate::Budget => {
                "A budget of the key, its team or its organisation is used up, or the organisation’s balance is, or what remains is less than the request may cost or is held by other requests in flight. Or there is a budget and the model has no price."
            }
            Gate::Rate => {
                "The key or its team sent too many requests or tokens in the last minute, or too many requests at the same time. Wait as long as the header retry-after says."
            }
        }
    }

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

/// How often a key may ask within a minute, at one gateway, how many tokens a request has.
pub const MAX_COUNTS: i64 = 1_000;

/// Why a request was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No header and no parameter has a key.
    NoCredential,
    /// The header is there and is not of the form `Bearer KEY`.
    WrongScheme,
    /// Two different keys were sent; the same key in two places is one.
    TwoCredentials,
    /// The credential does not have the form of a key.
    MalformedKey(MalformedKey),
    /// The credential is well formed, and this installation has no such secret.
    Unknown,
    /// A secret that a rotation replaced.
    Retired {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// When the secret expired.
        since: Moment,
    },
    /// The key was revoked.
    Revoked {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// When the key was revoked.
        since: Moment,
    },
    /// The key is disabled.
    Disabled {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// When the key was disabled.
        since: Moment,
    },
    /// The key has expired.
    Expired {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// When the key expired.
        since: Moment,
    },
    /// The key's organisation is suspended.
    OrgSuspended,
    /// The key's team is archived.
    TeamArchived {
        /// The team's name.
        team: String,
    },
    /// The client's address is not on the key's list.
    Address {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// The client's IP address; `unknown` when the gateway does not know it.
        address: String,
    },
    /// The model is outside the scope of the key, its team or its organisation.
    Model {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// The name that the client sent, cut to 100 characters and without control characters.
        model: String,
    },
    /// The model has no price, and a budget or an enforced balance counts what requests cost.
    NoPrice {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// The model's id in the catalogue.
        model: String,
        /// The first budget or balance that applies.
        limit: Box<LimitUse>,
    },
    /// The key asks too often how many tokens a request has.
    Counts {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// Seconds.
        retry_after: i64,
    },
    /// A budget, the balance or a rate limit does not fit.
    Limit {
        /// The last four characters of the secret that was sent.
        last_four: String,
        /// The first limit that does not fit, as it was before this request.
        limit: Box<LimitUse>,
        /// Seconds, where waiting them may help.
        retry_after: Option<i64>,
        /// The organisation's.
        zone: Zone,
    },
}

impl Rejection {
    /// The gate at which the request stops.
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
            Rejection::NoPrice { .. } => Gate::Budget,
            Rejection::Limit { limit, .. } if limit.what.is_money() => Gate::Budget,
            Rejection::Limit { .. } | Rejection::Counts { .. } => Gate::Rate,
        }
    }

    /// The word under which rejections of a known key are counted; `None` when no key is known.
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
            Rejection::NoPrice { .. } => Some("no_price"),
            Rejection::Counts { .. } => Some("counts_key"),
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
            Rejection::Address { .. } | Rejection::Model { .. } | Rejection::NoPrice { .. } => 403,
            Rejection::Limit { .. } | Rejection::Counts { .. } => 429,
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

    /// The error code, the same in every protocol.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::TwoCredentials => "conflicting_credentials",
            Rejection::Address { .. } => "address_not_allowed",
            Rejection::Model { .. } => "model_not_allowed",
            Rejection::NoPrice { .. } => "model_not_priced",
            // A budget that only other requests in flight hold is free again soon.
            Rejection::Limit { limit, .. } if limit.what.is_money() && !limit.fits_alone() => {
                "insufficient_quota"
            }
            Rejection::Limit { .. } | Rejection::Counts { .. } => "rate_limit_exceeded",
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

    /// What happened, why, and what to do. `base_url` is this installation's, because an unknown key usually belongs to
    /// another one.
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
                "No valid active key for {base_url}. Check that the key is not one of another provider or installation."
            ),
            Rejection::Retired { last_four, since } => format!(
                "The secret sk-…{last_four} was replaced by a rotation and expired {}. Use the key's new secret.",
                at(since)
            ),
            Rejection::Revoked { last_four, since } => {
                format!(
                    "The key sk-…{last_four} was revoked {}. Ask its owner or an admin for a new key.",
                    at(since)
                )
            }
            Rejection::Disabled { last_four, since } => format!(
                "The key sk-…{last_four} was disabled {}. Ask its owner or an admin to enable it.",
                at(since)
            ),
            Rejection::Expired { last_four, since } => {
                format!(
                    "The key sk-…{last_four} expired {}. Ask its owner or an admin to extend or replace it.",
                    at(since)
                )
            }
            Rejection::OrgSuspended => {
                "The organisation of this key is suspended. Ask your administrator.".into()
            }
            Rejection::TeamArchived { team } => {
                format!(
                    "The team {team} of this key is archived. Ask an admin to move the key to another team."
                )
            }
            Rejection::Address { last_four, address } => {
                format!(
                    "The key sk-…{last_four} is not allowed from the address {address}. Ask its owner or an admin to add the address."
                )
            }
            Rejection::Model { last_four, model } => {
                format!(
                    "The key sk-…{last_four} is not allowed to use the model {model}. GET /v1/models lists the models it can use."
                )
            }
            Rejection::NoPrice { last_four, model, limit } => format!(
                "The model {model} has no price here, and the {} of {} counts what requests cost. Use another model, or ask your administrator to set its price.",
                if limit.what == Limited::Balance { "balance" } else { "budget" },
                whose(limit, last_four)
            ),
            Rejection::Counts { last_four, retry_after } => format!(
                "The key sk-…{last_four} asked {} times within a minute how many tokens a request has. Try again in {retry_after} s.",
                grouped(MAX_COUNTS)
            ),
            Rejection::Limit { last_four, limit, retry_after, zone } => {
                limit_sentence(last_four, limit, *retry_after, zone)
            }
        }
    }

    /// Seconds after which the same request may pass.
    pub fn retry_after(&self) -> Option<i64> {
        match self {
            Rejection::Limit { retry_after, .. } => *retry_after,
            Rejection::Counts { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

fn whose(limit: &LimitUse, last_four: &str) -> String {
    match limit.holder {
        HolderKind::Key => format!("the key sk-…{last_four}"),
        HolderKind::Team => format!("the team {}", limit.holder_name),
        HolderKind::Org => format!("the organisation {}", limit.holder_name),
    }
}

/// Whose limit, how much it is, how much is used, and what helps.
fn limit_sentence(last_four: &str, limit: &LimitUse, retry_after: Option<i64>, zone: &Zone) -> String {
    let whose = whose(limit, last_four);
    let money = Money::from_nanos;
    let again = retry_after.map_or(String::new(), |seconds| format!(" Try again in {seconds} s."));
    match limit.what {
        Limited::Budget(period) => {
            let budget = Budget { period, amount: money(limit.max) }.summary();
            let resets = match limit.resets_at {
                Some(at) => format!(" It resets {} ({}).", at.date_time(zone), zone.name()),
                None => " It does not reset. Ask an admin for a larger budget.".into(),
            };
            let state = money_state(limit);
            format!("The budget of {whose}, {budget}, does not allow this request: {state}.{resets}{again}")
        }
        Limited::Balance => {
            let state = money_state(limit);
            format!(
                "The balance of {whose} does not allow this request: {state}. Ask your administrator to add credit.{again}"
            )
        }
        Limited::Requests => format!(
            "The limit of {whose}, {} requests per minute, is reached: {} were sent in the last minute.{again}",
            grouped(limit.max),
            grouped(limit.used)
        ),
        Limited::Tokens if !limit.fits_alone() => format!(
            "The limit of {whose} is {} tokens per minute, and this request alone may use {}. Send less input, or request fewer output tokens.",
            grouped(limit.max),
            grouped(limit.requested)
        ),
        Limited::Tokens => format!(
            "The limit of {whose}, {} tokens per minute, does not allow this request: {} were used or reserved in the last minute, and this request may use {}.{again}",
            grouped(limit.max),
            grouped(limit.used),
            grouped(limit.requested)
        ),
        Limited::Concurrent => {
            format!("The limit of {whose}, {} concurrent requests, is reached.{again}", grouped(limit.max))
        }
    }
}

/// How much of an amount remains, and how much of that this request needs.
fn money_state(limit: &LimitUse) -> String {
    let money = Money::from_nanos;
    if limit.used >= limit.max {
        return match limit.what {
            Limited::Balance => format!("{} remains", money(limit.max.saturating_sub(limit.used))),
            _ => format!("{} is spent", money(limit.used)),
        };
    }
    let remaining = money(limit.max.saturating_sub(limit.used));
    let requested = money(limit.requested);
    if limit.fits_alone()
        && limit.requested <= limit.max.saturating_sub(limit.used).saturating_sub(limit.reserved)
    {
        return format!(
            "{remaining} remains, and other requests in flight may cost more than that, so that this one has to wait for them"
        );
    }
    if limit.fits_alone() {
        let reserved = money(limit.reserved);
        return format!(
            "{remaining} remains, {reserved} of it is reserved by other requests, and this request may cost {requested}"
        );
    }
    format!(
        "{remaining} remains, and this request may cost {requested}. Request fewer output tokens, or send less input"
    )
}
