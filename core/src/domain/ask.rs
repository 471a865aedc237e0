//! What people ask for, and what they get: more of a budget for a time, or a new key. An ask is answered once; a grant is
//! never changed and ends by itself.

use super::ids::{AskId, KeyId, TeamId};
use super::key::Key;
use super::limit_use::HolderKind;
use super::limits::Granted;
use super::moment::{Day, Moment, Zone};
use super::money::Money;
use super::person::PersonName;
use super::policy::{KeyFacts, On};
use super::team::Team;
use super::window::Period;

/// The longest reason and the longest answer, in characters.
pub const MAX_REASON: usize = 500;
/// For how many days a grant may run.
pub const MAX_GRANT_DAYS: i64 = 366;
/// How many asks one person may make in an hour.
pub const MAX_ASKS_PER_HOUR: i64 = 10;

/// What became of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskState {
    /// Not answered yet.
    Open,
    /// Answered with a grant, or with leave to create the key.
    Granted,
    /// Answered with no.
    Refused,
    /// Taken back by the person who made it.
    Withdrawn,
}

impl AskState {
    /// The word in the database and in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            AskState::Open => "open",
            AskState::Granted => "granted",
            AskState::Refused => "refused",
            AskState::Withdrawn => "withdrawn",
        }
    }

    /// Reads the word that [`AskState::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [AskState::Open, AskState::Granted, AskState::Refused, AskState::Withdrawn]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetHolder {
    /// The key's own.
    Key(KeyId),
    /// Its team's.
    Team(TeamId),
    /// Its organisation's.
    Org,
}

impl BudgetHolder {
    /// Its kind.
    pub const fn kind(&self) -> HolderKind {
        match self {
            BudgetHolder::Key(_) => HolderKind::Key,
            BudgetHolder::Team(_) => HolderKind::Team,
            BudgetHolder::Org => HolderKind::Org,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// More of a budget.
    Budget {
        /// The key that needs it, with its name.
        key: (KeyId, String),
        /// Whose budget it is.
        holder: BudgetHolder,
        /// The holder's name.
        holder_name: String,
        /// Which of its budgets.
        period: Period,
        /// How much more.
        amount: Money,
        /// When it ends.
        until: Moment,
    },
    /// A new key.
    Key {
        /// Its name.
        name: String,
        /// The team that it is to be in; `None` is no team.
        team: Option<Team>,
        /// Its monthly budget; `None` leaves it to the person who answers.
        month: Option<Money>,
    },
}

/// An ask with its answer.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The ask's id.
    pub id: AskId,
    /// The person who made it.
    pub person: PersonName,
    /// What is asked for.
    pub wanted: Wanted,
    /// Why.
    pub reason: String,
    /// What became of it.
    pub state: AskState,
    /// When it was made.
    pub asked_at: Moment,
    /// When it was answered or withdrawn; `None` while it is open.
    pub answered_at: Option<Moment>,
    /// The name of the person who answered or withdrew it.
    pub answered_by: Option<String>,
    /// What the answer says; empty for nothing.
    pub note: String,
    /// What was granted of a budget.
    pub grant: Option<Granted>,
}

impl Ask {
    /// What the answer is about, for the policy. `key` is the key of an ask for more of a key's own budget.
    pub fn answered_on<'a>(&'a self, key: Option<&'a Key>) -> Option<On<'a>> {
        match &self.wanted {
            Wanted::Budget { holder: BudgetHolder::Key(_), .. } => key.map(|key| On::Key(key.facts())),
            Wanted::Budget { holder: BudgetHolder::Team(team), .. } => Some(On::Team(team)),
            Wanted::Budget { holder: BudgetHolder::Org, .. } => Some(On::Org),
            Wanted::Key { team, .. } => Some(On::Key(KeyFacts {
                id: None,
                team: team.as_ref().map(|team| &team.id),
                owner: &self.person.id,
            })),
        }
    }

    /// What is asked for, in a few words: `$50.00 more for ci-prod until Fri 27 Nov 2026`, `a new key, web`.
    pub fn words(&self, zone: &Zone) -> String {
        match &self.wanted {
            Wanted::Budget { key: (_, key), holder, holder_name, amount, until, .. } => {
                let whose = match holder.kind() {
                    HolderKind::Key => key.clone(),
                    HolderKind::Team | HolderKind::Org => format!("{holder_name}, for {key}"),
                };
                format!("{amount} more for {whose} until {}", until.last_day(zone))
            }
            Wanted::Key { name, .. } => format!("a new key, {name}"),
        }
    }
}

/// Until when more is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the budget resets.
    Reset,
    /// To the end of this day, in the organisation's zone.
    Day(Day),
}

impl Until {
    /// The moment that it means for a budget of this period; `None` for the reset of one that never resets.
    pub fn moment(self, period: Period, now: Moment, zone: &Zone) -> Option<Moment> {
        match self {
            Until::Reset => period.window(now, zone).end,
            Until::Day(day) => Some(day.end(zone)),
        }
    }
}

/// Asks for more of a budget that stops a key.
#[derive(Clone, Debug)]
pub struct AskForBudget {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub key: String,
    /// Whose budget.
    pub holder: HolderKind,
    /// Which of its budgets.
    pub period: Period,
    /// How much more.
    pub amount: Money,
    /// Until when.
    pub until: Until,
    /// Why.
    pub reason: String,
}

/// Asks for a new key.
#[derive(Clone, Debug)]
pub struct AskForKey {
    /// The organisation's slug.
    pub org: String,
    /// The key's name.
    pub name: String,
    /// The team that it is to be in.
    pub team: Option<TeamId>,
    /// Its monthly budget.
    pub month: Option<Money>,
    /// Why.
    pub reason: String,
}

/// Grants an ask.
#[derive(Clone, Debug)]
pub struct GrantAsk {
    /// The organisation's slug.
    pub org: String,
    /// The ask's id.
    pub id: String,
    /// How much of a budget; `None` is as much as is asked for.
    pub amount: Option<Money>,
    /// The last day of the grant; `None` is as long as is asked for.
    pub until: Option<Day>,
    /// What the answer says; empty for nothing.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_ends_with_its_day_or_with_the_window() {
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let now = Moment::parse_utc("2026-11-25T12:00:00Z").unwrap();
        let end = |until: Until, period| until.moment(period, now, &zone).map(Moment::rfc3339);
        let friday = Until::Day(Day::parse("2026-11-27").unwrap());
        assert_eq!(end(friday, Period::Total).unwrap(), "2026-11-27T23:00:00Z");
        assert_eq!(end(Until::Reset, Period::Month).unwrap(), "2026-11-30T23:00:00Z");
        assert_eq!(end(Until::Reset, Period::Week).unwrap(), "2026-11-29T23:00:00Z");
        assert_eq!(end(Until::Reset, Period::Total), None);
    }
}
