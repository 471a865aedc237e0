//! Teams: who looks after some of the keys, and what those keys may use and spend together.

use super::audit::{Change, ChangeValue, Choice};
use super::bounds::Bounds;
use super::ids::TeamId;
use super::limits::BudgetUse;
use super::moment::Moment;
use super::money::Money;
use super::person::PersonName;

pub const MAX_NAME: usize = 60;

/// A team as lists and forms name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
}

/// A team as its own page shows it.
#[derive(Clone, Debug)]
pub struct WholeTeam {
    pub id: TeamId,
    pub spec: TeamSpec,
    pub created_at: Moment,
    /// Since when its keys are refused.
    pub archived_at: Option<Moment>,
    /// Goes up with each edit; an edit names the version it started from.
    pub version: i64,
    /// Its budgets and what its keys spent of them together.
    pub budgets: Vec<BudgetUse>,
    pub month_spent: Money,
    pub admins: Vec<PersonName>,
    pub people: i64,
    /// Neither revoked nor expired; counted to `KEYS_COUNTED`.
    pub live_keys: i64,
}

/// Counting a team's keys stops one above this.
pub const KEYS_COUNTED: i64 = 10_000;

impl WholeTeam {
    pub fn team(&self) -> Team {
        Team { id: self.id.clone(), name: self.spec.name.clone() }
    }

    /// `12`, or `10,000+`.
    pub fn live_keys_words(&self) -> String {
        let counted = super::numbers::grouped(self.live_keys.min(KEYS_COUNTED));
        if self.live_keys > KEYS_COUNTED { format!("{counted}+") } else { counted }
    }
}

/// What people decide about a team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamSpec {
    pub name: String,
    pub bounds: Bounds,
}

/// The fields of a team. The word is the form field's name and the audit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamField {
    Name,
    Models,
    Budgets,
    Rpm,
    Tpm,
    Concurrent,
}

impl TeamField {
    pub const ALL: [TeamField; 6] = [
        TeamField::Name,
        TeamField::Models,
        TeamField::Budgets,
        TeamField::Rpm,
        TeamField::Tpm,
        TeamField::Concurrent,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            TeamField::Name => "name",
            TeamField::Models => "models",
            TeamField::Budgets => "budgets",
            TeamField::Rpm => "rpm",
            TeamField::Tpm => "tpm",
            TeamField::Concurrent => "concurrent",
        }
    }
}

impl TeamSpec {
    /// One field as the audit stores it; `audit_words::value` has the words.
    pub fn value(&self, field: TeamField) -> ChangeValue {
        let Bounds { models, budgets, limits } = &self.bounds;
        match field {
            TeamField::Name => self.name.as_str().into(),
            TeamField::Models => ChangeValue::Models(models.clone()),
            TeamField::Budgets => ChangeValue::Budgets(budgets.clone()),
            TeamField::Rpm => ChangeValue::Limit(limits.rpm),
            TeamField::Tpm => ChangeValue::Limit(limits.tpm),
            TeamField::Concurrent => ChangeValue::Limit(limits.concurrent),
        }
    }

    pub fn differs(&self, other: &TeamSpec, field: TeamField) -> bool {
        let (own, their) = (&self.bounds, &other.bounds);
        match field {
            TeamField::Name => self.name != other.name,
            TeamField::Models => own.models != their.models,
            TeamField::Budgets => own.budgets != their.budgets,
            TeamField::Rpm => own.limits.rpm != their.limits.rpm,
            TeamField::Tpm => own.limits.tpm != their.limits.tpm,
            TeamField::Concurrent => own.limits.concurrent != their.limits.concurrent,
        }
    }

    /// Takes one field over from another spec.
    pub fn take(&mut self, from: &TeamSpec, field: TeamField) {
        let (own, their) = (&mut self.bounds, &from.bounds);
        match field {
            TeamField::Name => self.name.clone_from(&from.name),
            TeamField::Models => own.models.clone_from(&their.models),
            TeamField::Budgets => own.budgets.clone_from(&their.budgets),
            TeamField::Rpm => own.limits.rpm = their.limits.rpm,
            TeamField::Tpm => own.limits.tpm = their.limits.tpm,
            TeamField::Concurrent => own.limits.concurrent = their.limits.concurrent,
        }
    }

    /// The audit's before and after, field by field, of what changed from `before` to this.
    pub fn changes_since(&self, before: &TeamSpec) -> Vec<Change> {
        TeamField::ALL
            .into_iter()
            .filter(|field| self.differs(before, *field))
            .map(|field| Change::replaced(field.as_str(), before.value(field), self.value(field)))
            .collect()
    }
}

/// What somebody is in a team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TeamRole {
    #[default]
    Member,
    /// Looks after the team's keys and people.
    Admin,
}

impl TeamRole {
    pub fn as_str(self) -> &'static str {
        match self {
            TeamRole::Member => "member",
            TeamRole::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [TeamRole::Member, TeamRole::Admin].into_iter().find(|role| role.as_str() == text)
    }

    /// As pages and the audit call it.
    pub fn words(self) -> &'static str {
        match self {
            TeamRole::Member => "Member",
            TeamRole::Admin => "Team admin",
        }
    }
}

impl From<TeamRole> for Choice {
    fn from(role: TeamRole) -> Self {
        match role {
            TeamRole::Member => Choice::Member,
            TeamRole::Admin => Choice::TeamAdmin,
        }
    }
}
