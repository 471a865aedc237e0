//! Alerts: what people are told without asking, in which words, and what each of them wants. Detection finds crossings
//! (`ops/alerts`), this says what they mean. Nothing here sends anything.

mod address;
mod choices;
mod delivery;
mod words;

pub use address::{WebhookUrl, parse_webhook_url};
pub use choices::{Choices, MAX_THRESHOLDS, OrgChoices, Thresholds, Way};
pub use delivery::{
    Backoff, Channel, ChannelForm, Delivery, DeliveryState, Failure, Via, parse_channel_name,
};

use serde::{Deserialize, Serialize};

use super::ids::{AlertId, OrgId};
use super::limit_use::HolderKind;
use super::moment::Moment;
use super::money::Money;
use super::window::Period;

/// Days before an expiry or a rotation at which there is an alert.
pub const DAYS_BEFORE: [i64; 3] = [30, 7, 1];
/// So many rejections of one key at one gate within `REJECTIONS_WITHIN_MS` are an alert.
pub const REJECTIONS: i64 = 20;
/// See `REJECTIONS`.
pub const REJECTIONS_WITHIN_MS: i64 = 10 * 60_000;
/// The next alert about rejections of the same key at the same gate comes after this time at the earliest.
pub const REJECTIONS_AGAIN_MS: i64 = 60 * 60_000;
/// Spend of a day so far is a spike above this many times the usual.
pub const SPIKE_TIMES: i64 = 4;
/// Spend of a day up to this is no spike.
pub const SPIKE_ABOVE: Money = Money::from_nanos(1_000_000_000);

/// What an alert is about; people choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A part of a budget is spent.
    Budget,
    /// A part of the prepaid balance is spent.
    Balance,
    /// A key expires soon.
    Expiry,
    /// A key is soon due for rotation.
    Rotation,
    /// Many requests of a key are rejected.
    Rejections,
    /// A day's spend is far above the usual.
    Spike,
    /// A provider refuses this installation. For operators alone.
    Provider,
}

impl AlertKind {
    /// Every kind, in the order of forms.
    pub const ALL: [AlertKind; 7] = [
        AlertKind::Budget,
        AlertKind::Balance,
        AlertKind::Expiry,
        AlertKind::Rotation,
        AlertKind::Rejections,
        AlertKind::Spike,
        AlertKind::Provider,
    ];

    /// Whether it is about an organisation, so that the organisation sets how far it reaches.
    pub const fn is_of_org(self) -> bool {
        !matches!(self, AlertKind::Provider)
    }

    /// Those that are about an organisation, in the order of forms.
    pub fn of_org() -> impl Iterator<Item = AlertKind> {
        Self::ALL.into_iter().filter(|kind| kind.is_of_org())
    }

    /// The word in the database, in forms and in webhooks.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertKind::Budget => "budget",
            AlertKind::Balance => "balance",
            AlertKind::Expiry => "expiry",
            AlertKind::Rotation => "rotation",
            AlertKind::Rejections => "rejections",
            AlertKind::Spike => "spike",
            AlertKind::Provider => "provider",
        }
    }

    /// Reads the word that [`AlertKind::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Its name in forms and filters.
    pub const fn label(self) -> &'static str {
        match self {
            AlertKind::Budget => "Budgets",
            AlertKind::Balance => "Balance",
            AlertKind::Expiry => "Expiry",
            AlertKind::Rotation => "Rotation",
            AlertKind::Rejections => "Rejections",
            AlertKind::Spike => "Spikes",
            AlertKind::Provider => "Providers",
        }
    }

    /// When there is one, in a sentence.
    pub const fn explanation(self) -> &'static str {
        match self {
            AlertKind::Budget => "A budget of a key, a team or the organisation reaches a threshold.",
            AlertKind::Balance => "The prepaid balance reaches a threshold.",
            AlertKind::Expiry => "A key expires in 30, 7 or 1 days.",
            AlertKind::Rotation => "A key is due for rotation in 30, 7 or 1 days.",
            AlertKind::Rejections => {
                "At least 20 requests of one key are rejected for one reason within 10 minutes."
            }
            AlertKind::Spike => {
                "A day's spend is more than $1 and 4 times what is usual by this hour on this weekday."
            }
            AlertKind::Provider => {
                "A provider rejects the installation's credential or account, or has no credit left for it. Once a day for each provider and reason."
            }
        }
    }
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A key.
    Key,
    /// A team.
    Team,
    /// The organisation.
    Org,
    /// A provider of the installation.
    Provider,
}

impl SubjectKind {
    /// The word in the database and in webhooks.
    pub const fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Key => "key",
            SubjectKind::Team => "team",
            SubjectKind::Org => "org",
            SubjectKind::Provider => "provider",
        }
    }

    /// Reads the word that [`SubjectKind::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [SubjectKind::Key, SubjectKind::Team, SubjectKind::Org, SubjectKind::Provider];
        all.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl From<HolderKind> for SubjectKind {
    fn from(kind: HolderKind) -> Self {
        match kind {
            HolderKind::Key => SubjectKind::Key,
            HolderKind::Team => SubjectKind::Team,
            HolderKind::Org => SubjectKind::Org,
        }
    }
}

/// A key, a team, the organisation or a provider, by the name that it had then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Its id.
    pub id: String,
    /// Its name at the time.
    pub name: String,
}

/// The numbers of an alert, as `alerts.facts` has them. Fields may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Facts {
    /// Of a budget.
    Budget {
        /// The period's word: `total`, `month`, `week`, `day`.
        period: String,
        /// The budget, in nano-dollars.
        amount: Money,
        /// What is spent of it, in nano-dollars.
        spent: Money,
        /// When the next window begins; `None` is never.
        resets_at: Option<Moment>,
    },
    /// Of the prepaid balance, in nano-dollars.
    Balance {
        /// What it was after the last entry in the ledger.
        amount: Money,
        /// What is spent of it since.
        spent: Money,
    },
    /// When a key expires.
    Expiry {
        /// Milliseconds since 1970.
        at: Moment,
    },
    /// When a key is due for rotation.
    Rotation {
        /// Milliseconds since 1970.
        at: Moment,
    },
    /// Of rejections in the last ten minutes.
    Rejections {
        /// The gate's word.
        gate: String,
        /// How many.
        times: i64,
    },
    /// Of a spike, in nano-dollars.
    Spike {
        /// Spent today so far.
        today: Money,
        /// Usually spent by this hour on this weekday.
        usual: Money,
    },
    /// What a provider answered to this installation.
    Provider {
        /// The word of the `ProviderFailure`.
        failure: String,
        /// How often, in a row of days.
        times: i64,
        /// Its own sentence, without secrets; may be empty.
        words: String,
    },
}

impl Facts {
    /// The kind of alert that has them.
    pub const fn kind(&self) -> AlertKind {
        match self {
            Facts::Budget { .. } => AlertKind::Budget,
            Facts::Balance { .. } => AlertKind::Balance,
            Facts::Expiry { .. } => AlertKind::Expiry,
            Facts::Rotation { .. } => AlertKind::Rotation,
            Facts::Rejections { .. } => AlertKind::Rejections,
            Facts::Spike { .. } => AlertKind::Spike,
            Facts::Provider { .. } => AlertKind::Provider,
        }
    }
}

/// Something that crossed a line just now, as detection finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// The organisation's id.
    pub org: OrgId,
    /// Whose line it is.
    pub subject: Subject,
    /// The line, with its window; the same crossing has the same text on every node.
    pub crossing: String,
    /// Percent or days; 0 where there is one line only.
    pub threshold: i64,
    /// Every threshold that was passed since the last alert: who wants any of them is told.
    pub passed: Vec<i64>,
    /// The numbers.
    pub facts: Facts,
}

/// An alert as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// What it is about.
    pub subject: Subject,
    /// Percent or days; 0 where there is one line only.
    pub threshold: i64,
    /// The numbers.
    pub facts: Facts,
    /// When it was found.
    pub at: Moment,
}

impl Alert {
    /// The period of a budget's alert.
    pub fn period(&self) -> Option<Period> {
        match &self.facts {
            Facts::Budget { period, .. } => Period::parse(period),
            _ => None,
        }
    }
}

/// The smallest number of `DAYS_BEFORE` that has come, of an end at `at` of what exists since `since`. `None` before the
/// first, after the end, and for a line that had been passed when the thing was made: a key made for an hour needs no alert.
pub fn days_before(at: Moment, since: Moment, now: Moment) -> Option<i64> {
    if now >= at {
        return None;
    }
    let come = |days: &i64| now >= at.plus_days(-days);
    let days = DAYS_BEFORE.into_iter().filter(come).min()?;
    (since < at.plus_days(-days)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_near_at_thirty_seven_and_one_day_and_not_for_what_was_made_shorter() {
        let (now, made) = (Moment::from_ms(1_790_000_000_000), Moment::from_ms(0));
        let left = |days: i64| days_before(now.plus_days(days), made, now);
        assert_eq!(
            [31, 30, 8, 7, 2, 1, 0].map(left),
            [None, Some(30), Some(30), Some(7), Some(7), Some(1), None]
        );
        let made_now = |days: i64, since: i64| days_before(now.plus_days(days), now.plus_days(-since), now);
        assert_eq!(made_now(5, 0), None, "made for five days");
        assert_eq!(made_now(1, 4), Some(1), "made for five days, four days ago");
    }

    #[test]
    fn every_word_reads_back() {
        for kind in AlertKind::ALL {
            assert_eq!(AlertKind::parse(kind.as_str()), Some(kind));
        }
        let facts = Facts::Rejections { gate: "budget".into(), times: 20 };
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(json, r#"{"of":"rejections","gate":"budget","times":20}"#);
        assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts);
    }
}
