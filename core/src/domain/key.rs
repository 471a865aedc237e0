//! A key as the desk shows it. No field here could hold a secret or its hash: those have types of their own in
//! `key_format`, and neither can be reached from a `Key`.

use super::addresses::AllowList;
use super::audit::{ChangeValue, Choice};
use super::bounds::Bounds;
use super::edit::{EditField, Editable, edit_field};
use super::ids::{KeyId, PersonId, TeamId};
use super::limits::{Budget, BudgetUse, Limits, budget_field};
use super::moment::Moment;
use super::money::Money;
use super::org::OrgRules;
use super::person::PersonName;
use super::policy::KeyFacts;
use super::scope::ModelScope;
use super::team::Team;

/// What is stored of a key's life. `Revoked` is final, and `Expired` is after `EXTENDABLE_DAYS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In use, unless `expires_at` has passed.
    Active,
    /// Taken out of use until it is enabled again.
    Disabled,
    /// Past its expiry; a job sets this some time after `expires_at`.
    Expired,
    /// Taken out of use for good.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 4] = [Status::Active, Status::Disabled, Status::Expired, Status::Revoked];

    /// The word in the database and in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Disabled => "disabled",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
        }
    }

    /// Reads the word that [`Status::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A key with its status, limits and spend.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key's id.
    pub id: KeyId,
    /// Grows with each new key; lists page by it.
    pub seq: i64,
    /// The key's name, unique in any case among the live keys of its team.
    pub name: String,
    /// What the key is for; may be empty.
    pub note: String,
    /// The key's team; `None` for a key without one.
    pub team: Option<Team>,
    /// The person who owns it.
    pub owner: PersonName,
    /// What is stored of its life; [`Key::state`] is what people see.
    pub status: Status,
    /// Since when, and by whom where a person did it.
    pub status_at: Moment,
    /// The person's name; `None` when the program did it.
    pub status_by: Option<String>,
    /// What its secret begins with, up to and with the last dash: `sk-desk-`.
    pub prefix: String,
    /// The last four characters of its secret.
    pub last_four: String,
    /// The models that it may use.
    pub models: ModelScope,
    /// The networks that its requests may come from; empty is any address.
    pub addresses: AllowList,
    /// How fast it may go.
    pub limits: Limits,
    /// When it expires; `None` is never.
    pub expires_at: Option<Moment>,
    /// When it was created.
    pub created_at: Moment,
    /// The creator's name, or `command line`.
    pub created_by: String,
    /// When a request last used it; `None` is never.
    pub last_used_at: Option<Moment>,
    /// When its current secret was made.
    pub secret_created_at: Moment,
    /// Days after which its secret is due for rotation; `None` is as the organisation says.
    pub rotate_days: Option<i64>,
    /// A program that has its secret may rotate it; the organisation may allow that for every key.
    pub rotates_itself: bool,
    /// Goes up with each edit; an edit names the version it started from.
    pub version: i64,
    /// Its own budgets and what was spent of them, the longest period first; empty is no limit.
    pub budgets: Vec<BudgetUse>,
    /// Spent in this calendar month, whatever the budgets are.
    pub month_spent: Money,
    /// Its organisation is suspended, so its requests are rejected.
    pub org_suspended: bool,
    /// Its team is archived, so its requests are rejected; `false` for a key without a team.
    pub team_archived: bool,
    /// Budgets that its requests count against too: its team's, then its organisation's.
    pub shared: Vec<SharedBudget>,
    /// What its organisation has left, where requests stop at nothing.
    pub balance: Option<Money>,
}

/// Whose budget a key shares with other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The team's budget.
    Team,
    /// The organisation's budget.
    Org,
}

/// A budget that a key shares with other keys, and what was spent of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBudget {
    /// Whose budget it is.
    pub whose: Whose,
    /// The budget and what all its keys spent of it.
    pub used: BudgetUse,
}

/// What people see: the stored status, and what follows from the clock and the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In use, and not about to expire.
    Active,
    /// Ends within a week.
    ExpiresSoon {
        /// When it expires.
        at: Moment,
    },
    /// It has spent all of a budget of its own.
    OverBudget {
        /// The first budget that is used up.
        budget: Budget,
    },
    /// Its team has spent all of a budget.
    TeamOverBudget {
        /// The first budget that is used up.
        budget: Budget,
    },
    /// All keys of its organisation together have spent all of a budget.
    OrgOverBudget {
        /// The first budget that is used up.
        budget: Budget,
    },
    /// Nothing is left of what was paid in for its organisation.
    OutOfBalance,
    /// Its team is archived, so it is refused.
    TeamArchived,
    /// Its organisation is suspended, so it is refused.
    OrgSuspended,
    /// Taken out of use until it is enabled again.
    Disabled,
    /// Past its expiry, also before the job has set its status.
    Expired {
        /// When it expired.
        at: Moment,
    },
    /// Taken out of use for good.
    Revoked,
}

/// For how many days after it expired a key can be extended.
pub const EXTENDABLE_DAYS: i64 = 30;

const A_DAY_MS: i64 = 86_400_000;
const A_WEEK_MS: i64 = 7 * A_DAY_MS;

impl Key {
    /// Its state at `now`: the first reason why its requests are rejected, or else active or expiring soon.
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
                    return State::OverBudget { budget: over.effective() };
                }
                if let Some(over) = self.shared.iter().find(|shared| shared.used.is_over()) {
                    let budget = over.used.effective();
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

    /// Since when its secret is due for rotation; `None` while it is not, and for a key that is over.
    pub fn rotation_due(&self, rules: &OrgRules, now: Moment) -> Option<Moment> {
        let days = self.rotate_days.or(rules.rotate_days)?;
        let due = self.secret_created_at.plus_days(days);
        (due <= now && self.is_live(now)).then_some(due)
    }

    /// Until when it can be extended: it has expired, and less than `EXTENDABLE_DAYS` ago.
    pub fn extendable_until(&self, now: Moment) -> Option<Moment> {
        let State::Expired { at } = self.state(now) else { return None };
        Some(at.plus_days(EXTENDABLE_DAYS)).filter(|until| now < *until)
    }

    /// Used in the last day: taking it out of use will break something.
    pub fn in_use(&self, now: Moment) -> bool {
        self.last_used_at.is_some_and(|at| now.ms() - at.ms() < A_DAY_MS)
    }

    /// What the policy needs to know about it.
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
            rotate_days: self.rotate_days,
            rotates_itself: self.rotates_itself,
        }
    }
}

/// Everything a person decides about a key. Counters, states and secrets are not among it, so no form can set them.
/// The default allows nothing and limits nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySpec {
    /// The key's name, 1 to 100 characters.
    pub name: String,
    /// What the key is for, up to 200 characters; may be empty.
    pub note: String,
    /// The key's team; `None` for a key without one.
    pub team: Option<TeamId>,
    /// `None` means the person who creates it; in an edit it means no change.
    pub owner: Option<PersonId>,
    /// The models that it may use.
    pub models: ModelScope,
    /// The networks that its requests may come from; empty is any address.
    pub addresses: AllowList,
    /// One budget for each limited period; empty is no limit.
    pub budgets: Vec<Budget>,
    /// How fast it may go.
    pub limits: Limits,
    /// When it expires; `None` is never.
    pub expires_at: Option<Moment>,
    /// Days after which its secret is due for rotation, 1 to 3,650; `None` is as the organisation says.
    pub rotate_days: Option<i64>,
    /// A program that has its secret may rotate it.
    pub rotates_itself: bool,
}

/// The names of the ids in a spec.
#[derive(Clone, Default)]
pub struct Names {
    /// Teams of the organisation.
    pub teams: Vec<Team>,
    /// Owners that the spec or the one before it names.
    pub people: Vec<PersonName>,
}

impl Names {
    fn team(&self, id: &TeamId) -> String {
        let team = self.teams.iter().find(|team| team.id == *id);
        team.map_or(id.to_string(), |team| team.name.clone())
    }

    fn person(&self, id: &PersonId) -> String {
        let person = self.people.iter().find(|person| person.id == *id);
        person.map_or(id.to_string(), |person| person.name.clone())
    }
}

impl Editable for KeySpec {
    type Names = Names;

    const FIELDS: &'static [EditField<Self>] = &[
        edit_field!("name", name, |key, _| key.name.as_str().into()),
        edit_field!("note", note, |key, _| key.note.as_str().into()),
        edit_field!("team", team, |key, names| {
            ChangeValue::Team(key.team.as_ref().map(|id| names.team(id)))
        }),
        edit_field!("owner", owner, |key, names| {
            key.owner.as_ref().map_or(String::new(), |id| names.person(id)).into()
        }),
        edit_field!("models", models, |key, _| ChangeValue::Models(key.models.clone())),
        edit_field!("addresses", addresses, |key, _| ChangeValue::Addresses(key.addresses.clone())),
        edit_field!("budgets", budgets, |key, _| ChangeValue::Budgets(key.budgets.clone())),
        edit_field!("rpm", limits.rpm, |key, _| ChangeValue::Limit(key.limits.rpm)),
        edit_field!("tpm", limits.tpm, |key, _| ChangeValue::Limit(key.limits.tpm)),
        edit_field!("concurrent", limits.concurrent, |key, _| ChangeValue::Limit(key.limits.concurrent)),
        KeySpec::EXPIRY,
        edit_field!("rotate_days", rotate_days, |key, _| {
            key.rotate_days.map_or(Choice::OrgReminder.into(), |days| ChangeValue::Days(Some(days)))
        }),
        edit_field!("self_rotation", rotates_itself, |key, _| match key.rotates_itself {
            true => Choice::Allowed.into(),
            false => Choice::NotAllowed.into(),
        }),
    ];

    fn form_field(&self, field: &'static str) -> &'static str {
        if field == "budgets" { budget_field(&self.budgets) } else { field }
    }
}

impl KeySpec {
    /// When it expires, which a form may leave as it is.
    pub const EXPIRY: EditField<Self> =
        edit_field!("expiry", expires_at, |key, _| ChangeValue::Expiry(key.expires_at));

    /// What it may use and spend, to compare it with what its team may.
    pub fn bounds(&self) -> Bounds {
        Bounds { models: self.models.clone(), budgets: self.budgets.clone(), limits: self.limits }
    }
}
