//! A key as the desk shows it. No field here could hold a secret or its hash: those have types of their own in
//! `key_format`, and neither can be reached from a `Key`.

use super::addresses::AllowList;
use super::audit::{Change, ChangeValue};
use super::ids::{KeyId, PersonId, TeamId};
use super::limits::{Budget, BudgetUse, Limits};
use super::moment::Moment;
use super::money::Money;
use super::person::PersonName;
use super::policy::KeyFacts;
use super::scope::ModelScope;
use super::team::Team;

/// What is stored of a key's life. `Expired` and `Revoked` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    Disabled,
    Expired,
    Revoked,
}

impl Status {
    pub const ALL: [Status; 4] = [Status::Active, Status::Disabled, Status::Expired, Status::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Disabled => "disabled",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

#[derive(Clone, Debug)]
pub struct Key {
    pub id: KeyId,
    /// Grows with each new key; lists page by it.
    pub seq: i64,
    pub name: String,
    pub note: String,
    pub team: Option<Team>,
    pub owner: PersonName,
    pub status: Status,
    /// Since when, and by whom where a person did it.
    pub status_at: Moment,
    pub status_by: Option<String>,
    pub prefix: String,
    pub last_four: String,
    pub models: ModelScope,
    pub addresses: AllowList,
    pub limits: Limits,
    pub expires_at: Option<Moment>,
    pub created_at: Moment,
    pub created_by: String,
    pub last_used_at: Option<Moment>,
    /// Goes up with each edit; an edit names the version it started from.
    pub version: i64,
    pub budgets: Vec<BudgetUse>,
    /// Spent in this calendar month, whatever the budgets are.
    pub month_spent: Money,
    pub org_suspended: bool,
    pub team_archived: bool,
    /// Budgets that its requests count against too: its team's, then its organisation's.
    pub shared: Vec<SharedBudget>,
    /// What its organisation has left, where requests stop at nothing.
    pub balance: Option<Money>,
}

/// Whose budget a key shares with other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Team,
    Org,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBudget {
    pub whose: Whose,
    pub used: BudgetUse,
}

/// What people see: the stored status, and what follows from the clock and the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    /// Ends within a week.
    ExpiresSoon {
        at: Moment,
    },
    OverBudget {
        budget: Budget,
    },
    /// Its team has spent all of a budget.
    TeamOverBudget {
        budget: Budget,
    },
    /// All keys of its organisation together have spent all of a budget.
    OrgOverBudget {
        budget: Budget,
    },
    /// Nothing is left of what was paid in for its organisation.
    OutOfBalance,
    /// Its team is archived, so it is refused.
    TeamArchived,
    /// Its organisation is suspended, so it is refused.
    OrgSuspended,
    Disabled,
    Expired {
        at: Moment,
    },
    Revoked,
}

const A_DAY_MS: i64 = 86_400_000;
const A_WEEK_MS: i64 = 7 * A_DAY_MS;

impl Key {
    pub fn state(&self, now: Moment) -> State {
        match (self.status, self.expires_at) {
            (Status::Revoked, _) => State::Revoked,
            (Status::Expired, at) => State::Expired { at: at.unwrap_or(self.status_at) },
            (Status::Active | Status::Disabled, Some(at)) if at <= now => State::Expired { at },
            (Status::Disabled, _) => State::Disabled,
            (Status::Active, _) if self.org_suspended => State::OrgSuspended,
            (Status::Active, _) if self.team_archived => State::TeamArchived,
            (Status::Active, at) => {
                if let Some(over) = self.budgets.iter().find(|budget| budget.is_over()) {
                    return State::OverBudget { budget: over.budget };
                }
                if let Some(over) = self.shared.iter().find(|shared| shared.used.is_over()) {
                    let budget = over.used.budget;
                    return match over.whose {
                        Whose::Team => State::TeamOverBudget { budget },
                        Whose::Org => State::OrgOverBudget { budget },
                    };
                }
                if self.balance.is_some_and(|left| left <= Money::ZERO) {
                    return State::OutOfBalance;
                }
                match at {
                    Some(at) if at.ms() - now.ms() < A_WEEK_MS => State::ExpiresSoon { at },
                    _ => State::Active,
                }
            }
        }
    }

    /// Neither revoked nor expired: it can still be edited, disabled and revoked.
    pub fn is_live(&self, now: Moment) -> bool {
        !matches!(self.state(now), State::Revoked | State::Expired { .. })
    }

    /// Used in the last day: taking it out of use will break something.
    pub fn in_use(&self, now: Moment) -> bool {
        self.last_used_at.is_some_and(|at| now.ms() - at.ms() < A_DAY_MS)
    }

    pub fn facts(&self) -> KeyFacts<'_> {
        KeyFacts { id: Some(&self.id), team: self.team.as_ref().map(|team| &team.id), owner: &self.owner.id }
    }

    /// What can be edited about this key, as it stands.
    pub fn spec(&self) -> KeySpec {
        KeySpec {
            name: self.name.clone(),
            note: self.note.clone(),
            team: self.team.as_ref().map(|team| team.id.clone()),
            owner: Some(self.owner.id.clone()),
            models: self.models.clone(),
            addresses: self.addresses.clone(),
            budgets: self.budgets.iter().map(|used| used.budget).collect(),
            limits: self.limits,
            expires_at: self.expires_at,
        }
    }
}

/// Everything a person decides about a key. Counters, states and secrets are not among it, so no form can set them.
/// The default allows nothing and limits nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySpec {
    pub name: String,
    pub note: String,
    pub team: Option<TeamId>,
    /// `None` is whoever creates it, and nobody else in an edit.
    pub owner: Option<PersonId>,
    pub models: ModelScope,
    pub addresses: AllowList,
    pub budgets: Vec<Budget>,
    pub limits: Limits,
    pub expires_at: Option<Moment>,
}

/// The names of the ids in a spec.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Teams of the organisation.
    pub teams: &'a [Team],
    /// Owners that the spec or the one before it names.
    pub people: &'a [PersonName],
}

/// The editable fields. The word is the form field's name and the audit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Name,
    Note,
    Team,
    Owner,
    Models,
    Addresses,
    Budgets,
    Rpm,
    Tpm,
    Concurrent,
    Expiry,
}

impl Field {
    pub const ALL: [Field; 11] = [
        Field::Name,
        Field::Note,
        Field::Team,
        Field::Owner,
        Field::Models,
        Field::Addresses,
        Field::Budgets,
        Field::Rpm,
        Field::Tpm,
        Field::Concurrent,
        Field::Expiry,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Field::Name => "name",
            Field::Note => "note",
            Field::Team => "team",
            Field::Owner => "owner",
            Field::Models => "models",
            Field::Addresses => "addresses",
            Field::Budgets => "budgets",
            Field::Rpm => "rpm",
            Field::Tpm => "tpm",
            Field::Concurrent => "concurrent",
            Field::Expiry => "expiry",
        }
    }
}

impl KeySpec {
    /// One field as the audit stores it, with names for ids; `audit_words::value` has the words.
    pub fn value(&self, field: Field, names: Names<'_>) -> ChangeValue {
        match field {
            Field::Name => self.name.as_str().into(),
            Field::Note => self.note.as_str().into(),
            Field::Team => ChangeValue::Team(self.team.as_ref().map(|id| {
                let team = names.teams.iter().find(|team| team.id == *id);
                team.map_or(id.to_string(), |team| team.name.clone())
            })),
            Field::Owner => {
                let name = self.owner.as_ref().map(|id| {
                    let person = names.people.iter().find(|person| person.id == *id);
                    person.map_or(id.to_string(), |person| person.name.clone())
                });
                name.unwrap_or_default().into()
            }
            Field::Models => ChangeValue::Models(self.models.clone()),
            Field::Addresses => ChangeValue::Addresses(self.addresses.clone()),
            Field::Budgets => ChangeValue::Budgets(self.budgets.clone()),
            Field::Rpm => ChangeValue::Limit(self.limits.rpm),
            Field::Tpm => ChangeValue::Limit(self.limits.tpm),
            Field::Concurrent => ChangeValue::Limit(self.limits.concurrent),
            Field::Expiry => ChangeValue::Expiry(self.expires_at),
        }
    }

    pub fn differs(&self, other: &KeySpec, field: Field) -> bool {
        match field {
            Field::Name => self.name != other.name,
            Field::Note => self.note != other.note,
            Field::Team => self.team != other.team,
            Field::Owner => self.owner != other.owner,
            Field::Models => self.models != other.models,
            Field::Addresses => self.addresses != other.addresses,
            Field::Budgets => self.budgets != other.budgets,
            Field::Rpm => self.limits.rpm != other.limits.rpm,
            Field::Tpm => self.limits.tpm != other.limits.tpm,
            Field::Concurrent => self.limits.concurrent != other.limits.concurrent,
            Field::Expiry => self.expires_at != other.expires_at,
        }
    }

    /// Takes one field over from another spec.
    pub fn take(&mut self, from: &KeySpec, field: Field) {
        match field {
            Field::Name => self.name.clone_from(&from.name),
            Field::Note => self.note.clone_from(&from.note),
            Field::Team => self.team.clone_from(&from.team),
            Field::Owner => self.owner.clone_from(&from.owner),
            Field::Models => self.models.clone_from(&from.models),
            Field::Addresses => self.addresses.clone_from(&from.addresses),
            Field::Budgets => self.budgets.clone_from(&from.budgets),
            Field::Rpm => self.limits.rpm = from.limits.rpm,
            Field::Tpm => self.limits.tpm = from.limits.tpm,
            Field::Concurrent => self.limits.concurrent = from.limits.concurrent,
            Field::Expiry => self.expires_at = from.expires_at,
        }
    }

    /// The audit's before and after, field by field, of what changed from `before` to this.
    pub fn changes_since(&self, before: &KeySpec, names: Names<'_>) -> Vec<Change> {
        Field::ALL
            .into_iter()
            .filter(|field| self.differs(before, *field))
            .map(|field| {
                Change::replaced(field.as_str(), before.value(field, names), self.value(field, names))
            })
            .collect()
    }
}
