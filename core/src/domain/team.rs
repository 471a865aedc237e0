//! Teams: who looks after some of the keys, and what those keys may use and spend together.

use super::audit::{ChangeValue, Choice};
use super::bounds::Bounds;
use super::edit::{EditField, Editable, edit_field};
use super::ids::TeamId;
use super::limits::{BudgetUse, budget_field};
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

/// An edit of a team.
#[derive(Clone, Debug)]
pub struct EditTeam {
    /// The organisation's slug.
    pub org: String,
    /// The team's id.
    pub id: String,
    /// The version that the person saw.
    pub version: i64,
    /// The team as the person saw it; `None` is as it stands now.
    pub base: Option<TeamSpec>,
    pub mine: TeamSpec,
}

impl Editable for TeamSpec {
    type Names = ();

    const FIELDS: &'static [EditField<Self>] = &[
        edit_field!("name", name, |team, _| team.name.as_str().into()),
        edit_field!("models", bounds.models, |team, _| ChangeValue::Models(team.bounds.models.clone())),
        edit_field!("budgets", bounds.budgets, |team, _| ChangeValue::Budgets(team.bounds.budgets.clone())),
        edit_field!("rpm", bounds.limits.rpm, |team, _| ChangeValue::Limit(team.bounds.limits.rpm)),
        edit_field!("tpm", bounds.limits.tpm, |team, _| ChangeValue::Limit(team.bounds.limits.tpm)),
        edit_field!("concurrent", bounds.limits.concurrent, |team, _| {
            ChangeValue::Limit(team.bounds.limits.concurrent)
        }),
    ];

    fn form_field(&self, field: &'static str) -> &'static str {
        if field == "budgets" { budget_field(&self.bounds.budgets) } else { field }
    }
}

/// What a person is in a team.
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
