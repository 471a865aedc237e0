//! Teams: who looks after some of the keys, and what those keys may use and spend together.

use super::audit::{ChangeValue, Choice};
use super::bounds::Bounds;
use super::edit::{EditField, Editable, edit_field};
use super::ids::TeamId;
use super::limits::{BudgetUse, budget_field};
use super::moment::Moment;
use super::money::Money;
use super::person::PersonName;

/// The longest name of a team, in characters.
pub const MAX_NAME: usize = 60;

/// A team as lists and forms name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// The team's id.
    pub id: TeamId,
    /// The team's name.
    pub name: String,
}

/// A team as its own page shows it.
#[derive(Clone, Debug)]
pub struct WholeTeam {
    /// The team's id.
    pub id: TeamId,
    /// What people decided about it.
    pub spec: TeamSpec,
    /// When it was created.
    pub created_at: Moment,
    /// Since when its keys are refused.
    pub archived_at: Option<Moment>,
    /// Goes up with each edit; an edit names the version it started from.
    pub version: i64,
    /// Its budgets and what its keys spent of them together.
    pub budgets: Vec<BudgetUse>,
    /// What its keys spent in this calendar month.
    pub month_spent: Money,
    /// Its team admins, by name.
    pub admins: Vec<PersonName>,
    /// How many people are in it, disabled ones too.
    pub people: i64,
    /// Neither revoked nor expired; counted to `KEYS_COUNTED`.
    pub live_keys: i64,
}

/// Counting a team's keys stops one above this.
pub const KEYS_COUNTED: i64 = 10_000;

impl WholeTeam {
    /// Its id and name, for lists and forms.
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
    /// The team's name, 1 to 60 characters, unique in any case among the teams in use.
    pub name: String,
    /// What its keys may use and spend together.
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
    /// The team as the person submitted it.
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
    /// In the team; does not manage its keys and people.
    #[default]
    Member,
    /// Looks after the team's keys and people.
    Admin,
}

impl TeamRole {
    /// The word in the database and in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            TeamRole::Member => "member",
            TeamRole::Admin => "admin",
        }
    }

    /// Reads the word that [`TeamRole::as_str`] writes; `None` for any other.
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
