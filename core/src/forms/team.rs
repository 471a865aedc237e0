//! The create and edit form of a team, as a browser sends it, and its parsing into a `TeamSpec`. Every mistake is found in
//! one pass, each with a sentence for its own field.

use serde::{Deserialize, Serialize};

use super::parts::{ScopeForm, Take, pair, parse_budgets, parse_limits, parse_models, scope_form};
use crate::domain::bounds::{Bounds, budget_of};
use crate::domain::field_error::FieldError;
use crate::domain::model::Model;
use crate::domain::money::Money;
use crate::domain::numbers::grouped;
use crate::domain::person::visible_name;
use crate::domain::team::{MAX_NAME, TeamSpec};
use crate::domain::window::Period;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamForm {
    pub name: String,
    /// `every` or `listed`.
    pub scope: String,
    pub models: Vec<String>,
    pub patterns: String,
    /// Of each pair, `…_mode` is `none` or `limit`.
    pub month_mode: String,
    pub month: String,
    pub week_mode: String,
    pub week: String,
    pub day_mode: String,
    pub day: String,
    pub total_mode: String,
    pub total: String,
    pub rpm_mode: String,
    pub rpm: String,
    pub tpm_mode: String,
    pub tpm: String,
    pub concurrent_mode: String,
    pub concurrent: String,
}

impl TeamForm {
    /// The form that would change nothing about this team. A new team's is that of the default: no bounds.
    pub fn of(spec: &TeamSpec, models: &[Model]) -> Self {
        let bounds = &spec.bounds;
        let money = |period| pair(budget_of(&bounds.budgets, period).map(Money::input));
        let count = |limit: Option<i64>| pair(limit.map(grouped));
        let ScopeForm { scope, models, patterns } = scope_form(&bounds.models, models);
        let (month_mode, month) = money(Period::Month);
        let (week_mode, week) = money(Period::Week);
        let (day_mode, day) = money(Period::Day);
        let (total_mode, total) = money(Period::Total);
        let (rpm_mode, rpm) = count(bounds.limits.rpm);
        let (tpm_mode, tpm) = count(bounds.limits.tpm);
        let (concurrent_mode, concurrent) = count(bounds.limits.concurrent);
        Self {
            name: spec.name.clone(),
            scope,
            models,
            patterns,
            month_mode,
            month,
            week_mode,
            week,
            day_mode,
            day,
            total_mode,
            total,
            rpm_mode,
            rpm,
            tpm_mode,
            tpm,
            concurrent_mode,
            concurrent,
        }
    }

    /// The text of a limit pair: its mode and its value.
    pub fn pair(&self, field: &str) -> (&str, &str) {
        match field {
            "month" => (&self.month_mode, &self.month),
            "week" => (&self.week_mode, &self.week),
            "day" => (&self.day_mode, &self.day),
            "total" => (&self.total_mode, &self.total),
            "rpm" => (&self.rpm_mode, &self.rpm),
            "tpm" => (&self.tpm_mode, &self.tpm),
            _ => (&self.concurrent_mode, &self.concurrent),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<TeamSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = errors.take("name", visible_name(&self.name, "Name", MAX_NAME));
        let models = parse_models(
            (&self.scope, &self.models, &self.patterns),
            "the team's keys could not be used",
            &mut errors,
        );
        let budgets = parse_budgets(|field| self.pair(field), &mut errors);
        let limits = parse_limits(|field| self.pair(field), &mut errors);
        match (name, models, limits) {
            (Some(name), Some(models), Some(limits)) if errors.is_empty() => {
                Ok(TeamSpec { name, bounds: Bounds { models, budgets, limits } })
            }
            _ => Err(errors),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateForm {
    pub org: String,
    pub team: TeamForm,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditForm {
    pub org: String,
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    pub team: TeamForm,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamRef {
    pub org: String,
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_team_is_bound_by_nothing_but_needs_a_name() {
        let form = TeamForm::of(&TeamSpec::default(), &[]);
        assert_eq!(form.parse().unwrap_err()[0].field, "name");
        let named = TeamForm { name: " Crew ".into(), ..form };
        assert_eq!(named.parse().unwrap(), TeamSpec { name: "Crew".into(), bounds: Bounds::default() });
    }

    #[test]
    fn a_form_made_from_a_team_changes_nothing() {
        let form = TeamForm {
            name: "Crew".into(),
            scope: "listed".into(),
            patterns: "claude-*\ngpt-5".into(),
            month_mode: "limit".into(),
            month: "500".into(),
            rpm_mode: "limit".into(),
            rpm: "1.2k".into(),
            ..TeamForm::of(&TeamSpec::default(), &[])
        };
        let spec = form.parse().unwrap();
        assert_eq!(TeamForm::of(&spec, &[]).parse().unwrap(), spec);
        assert_eq!(spec.bounds.limits.rpm, Some(1_200));
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        let form = TeamForm { day_mode: "limit".into(), rpm_mode: "limit".into(), ..TeamForm::default() };
        let fields: Vec<String> = form.parse().unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "models", "total", "month", "week", "day", "rpm", "tpm", "concurrent"]);
    }
}
