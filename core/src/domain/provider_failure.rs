//! What can go wrong at a provider, in kinds: what each is called, whether an operator has to act, and for how long the
//! provider is passed over. How a model with several providers chooses among them is in `failover`.

use super::moment::Moment;

/// A kind of failure of a provider, or of this installation at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderFailure {
    /// This installation has no credential for it.
    NoCredential,
    /// It rejects this installation's credential.
    CredentialRejected,
    /// The account of this installation has no credit or quota left.
    NoCredit,
    /// It does not let this installation's account do what was asked: its organisation, project or region may not.
    Refused,
    /// It limits how much is sent to it.
    Limited,
    /// No connection.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// The connection closed before the end of the answer.
    Broken,
    /// It redirects, or compresses in an unknown way.
    Unusable,
    /// It says that it has too much to do.
    Overloaded,
    /// Any other answer from 500 on.
    Failed,
}

impl ProviderFailure {
    /// Every kind, those first that an operator has to do something about.
    pub const ALL: [ProviderFailure; 11] = [
        ProviderFailure::NoCredential,
        ProviderFailure::CredentialRejected,
        ProviderFailure::NoCredit,
        ProviderFailure::Refused,
        ProviderFailure::Limited,
        ProviderFailure::Unusable,
        ProviderFailure::Unreachable,
        ProviderFailure::TimedOut,
        ProviderFailure::Broken,
        ProviderFailure::Overloaded,
        ProviderFailure::Failed,
    ];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProviderFailure::NoCredential => "no_credential",
            ProviderFailure::CredentialRejected => "credential",
            ProviderFailure::NoCredit => "credit",
            ProviderFailure::Refused => "refused",
            ProviderFailure::Limited => "limited",
            ProviderFailure::Unreachable => "unreachable",
            ProviderFailure::TimedOut => "timeout",
            ProviderFailure::Broken => "broken",
            ProviderFailure::Unusable => "unusable",
            ProviderFailure::Overloaded => "overloaded",
            ProviderFailure::Failed => "failed",
        }
    }

    /// Reads the word that [`ProviderFailure::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == text)
    }

    /// What happened, in a few words.
    pub const fn label(self) -> &'static str {
        match self {
            ProviderFailure::NoCredential => "No credential",
            ProviderFailure::CredentialRejected => "Credential rejected",
            ProviderFailure::NoCredit => "No credit left",
            ProviderFailure::Refused => "Account refused",
            ProviderFailure::Limited => "Rate limit reached",
            ProviderFailure::Unreachable => "Unreachable",
            ProviderFailure::TimedOut => "No answer in time",
            ProviderFailure::Broken => "Connection closed",
            ProviderFailure::Unusable => "Unusable answer",
            ProviderFailure::Overloaded => "Overloaded",
            ProviderFailure::Failed => "Server error",
        }
    }

    /// What an operator can do.
    pub const fn advice(self) -> &'static str {
        match self {
            ProviderFailure::NoCredential => "Set the provider's API key.",
            ProviderFailure::CredentialRejected => "Replace the provider's API key.",
            ProviderFailure::NoCredit => {
                "Add credit at the provider, or raise the limit of the account there."
            }
            ProviderFailure::Refused => {
                "Check at the provider what the account, its project and its region may use."
            }
            ProviderFailure::Limited => {
                "Ask the provider for a higher limit, or let another provider serve the model too."
            }
            ProviderFailure::Unreachable => "Check the base URL, the network and the provider's status page.",
            ProviderFailure::TimedOut => "Check the provider's status page, or raise the timeouts.",
            ProviderFailure::Unusable => "Check the base URL.",
            ProviderFailure::Broken | ProviderFailure::Overloaded | ProviderFailure::Failed => {
                "Check the provider's status page."
            }
        }
    }

    /// What an alert says after the provider's name.
    pub const fn happened(self) -> &'static str {
        match self {
            ProviderFailure::NoCredential => "has no credential",
            ProviderFailure::CredentialRejected => "rejects this installation's credential",
            ProviderFailure::NoCredit => "says that there is no credit left",
            ProviderFailure::Refused => "refuses this installation's account",
            ProviderFailure::Limited => "limits this installation's account",
            ProviderFailure::Unreachable => "cannot be reached",
            ProviderFailure::TimedOut => "does not answer in time",
            ProviderFailure::Broken => "closes connections early",
            ProviderFailure::Unusable => "sends answers that cannot be used",
            ProviderFailure::Overloaded => "is overloaded",
            ProviderFailure::Failed => "answers with server errors",
        }
    }

    /// Whether it lasts until an operator does something, so that operators are alerted.
    pub const fn needs_operator(self) -> bool {
        matches!(
            self,
            ProviderFailure::NoCredential
                | ProviderFailure::CredentialRejected
                | ProviderFailure::NoCredit
                | ProviderFailure::Refused
                | ProviderFailure::Limited
                | ProviderFailure::Unusable
        )
    }

    /// After how many in a row, without an answer in between, the provider is passed over; `None` is never. A single server
    /// error or slow answer may be one request's own, and what an account may not use says nothing about other models.
    pub const fn passed_over_after(self) -> Option<i64> {
        match self {
            ProviderFailure::Refused => None,
            ProviderFailure::TimedOut | ProviderFailure::Broken | ProviderFailure::Failed => Some(3),
            _ => Some(1),
        }
    }
}

/// One failure, as the gateway met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetFailure {
    /// Its kind.
    pub failure: ProviderFailure,
    /// HTTP status; 0 without an answer.
    pub status: i64,
    /// The provider's own sentence, as `plain_error` makes it.
    pub words: String,
    /// How long the provider asks to wait, in milliseconds; `None` where it does not say.
    pub retry_after_ms: Option<i64>,
}

/// Failures of one kind at one provider. Words, status, model and request are the newest one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCount {
    /// Their kind.
    pub failure: ProviderFailure,
    /// How many since the first.
    pub times: i64,
    /// When the first came.
    pub first_at: Moment,
    /// When the newest came.
    pub last_at: Moment,
    /// HTTP status; 0 without an answer.
    pub status: i64,
    /// The provider's own sentence, without secrets; may be empty.
    pub words: String,
    /// The model's id.
    pub model: String,
    /// The request's id.
    pub request: String,
}

/// How requests to a provider went last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderHealth {
    /// When it last answered a request; 0 is never.
    pub answered_at: Moment,
    /// When a request to it last failed; 0 is never.
    pub failed_at: Moment,
    /// The first failure after the last answer; 0 is none.
    pub failing_since: Moment,
    /// The last failure.
    pub failure: Option<ProviderFailure>,
}

/// A provider's health in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// No request was sent to it yet.
    Unknown,
    /// The last request was answered.
    Healthy,
    /// No request was answered since.
    Failing,
}

impl HealthState {
    /// On pages.
    pub const fn label(self) -> &'static str {
        match self {
            HealthState::Unknown => "Not used yet",
            HealthState::Healthy => "Healthy",
            HealthState::Failing => "Failing",
        }
    }
}

impl Default for ProviderHealth {
    /// Of a provider that was not used yet.
    fn default() -> Self {
        let never = Moment::from_ms(0);
        Self { answered_at: never, failed_at: never, failing_since: never, failure: None }
    }
}

impl ProviderHealth {
    /// In one word.
    pub fn state(&self) -> HealthState {
        if self.failed_at > self.answered_at {
            HealthState::Failing
        } else if self.answered_at.ms() > 0 {
            HealthState::Healthy
        } else {
            HealthState::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for failure in ProviderFailure::ALL {
            assert_eq!(ProviderFailure::parse(failure.as_str()), Some(failure));
        }
    }

    #[test]
    fn a_provider_fails_while_no_answer_is_newer_than_the_last_failure() {
        let health = |answered: i64, failed: i64| ProviderHealth {
            answered_at: Moment::from_ms(answered),
            failed_at: Moment::from_ms(failed),
            ..ProviderHealth::default()
        };
        assert_eq!(health(0, 0).state(), HealthState::Unknown);
        assert_eq!(health(2, 1).state(), HealthState::Healthy);
        assert_eq!(health(1, 1).state(), HealthState::Healthy);
        assert_eq!(health(1, 2).state(), HealthState::Failing);
    }
}
