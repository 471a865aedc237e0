//! The create and edit form of a team, as a browser sends it, and its parsing into a `TeamSpec`. Every mistake is found in
//! one pass, each with a sentence for its own field.

use serde::{Deserialize, Serialize};

use super::parts::{LimitFields, ScopeForm, Take, drawn, parse_models, scope_form};
use crate::domain::bounds::Bounds;
use crate::domain::field_error::FieldError;
use crate::domain::model::Model;
use crate::domain::person::visible_name;
use crate::domain::team::{EditTeam, MAX_NAME, TeamSpec};

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamForm {
    /// The team's name, of 1 to `MAX_NAME` characters.
    pub name: String,
    /// `every` or `listed`.
    pub scope: String,
    /// Ids of the selected models; read only when `scope` is `listed`.
    pub models: Vec<String>,
    /// Further model patterns, one per line or separated by commas; read only when `scope` is `listed`.
    pub patterns: String,
    /// Budgets and rate limits.
    pub limits: LimitFields,
}

impl TeamForm {
    /// The form that would change nothing about this team. A new team's is that of the default: no bounds.
    pub fn of(spec: &TeamSpec, models: &[Model]) -> Self {
        let Bounds { models: scope, budgets, limits } = &spec.bounds;
        let ScopeForm { scope, models, patterns } = scope_form(scope, models);
        Self { name: spec.name.clone(), scope, models, patterns, limits: LimitFields::of(budgets, limits) }
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
        let limits = self.limits.parse(&mut errors);
        match (name, models, limits) {
            (Some(name), Some(models), Some((budgets, limits))) if errors.is_empty() => {
                Ok(TeamSpec { name, bounds: Bounds { models, budgets, limits } })
            }
            _ => Err(errors),
        }
    }
}

/// Creates a team.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateForm {
    /// The organisation's slug.
    pub org: String,
    /// The new team.
    pub team: TeamForm,
}

/// Edits a team.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditForm {
    /// The organisation's slug.
    pub org: String,
    /// The team's id.
    pub id: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    /// The form as it was sent.
    pub team: TeamForm,
}

impl EditForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditTeam, Vec<FieldError>> {
        let base = drawn::<TeamForm>(&self.was, "name")?.parse().ok();
        let EditForm { org, id, version, .. } = self.clone();
        Ok(EditTeam { org, id, version, base, mine: self.team.parse()? })
    }
}

/// Archives or restores a team.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamRef {
    /// The organisation's slug.
    pub org: String,
    /// The team's id.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::parts::LimitField;

    #[test]
    fn a_new_team_is_bound_by_nothing_but_needs_a_name() {
        let form = TeamForm::of(&TeamSpec::default(), &[]);
        assert_eq!(form.parse().unwrap_err()[0].field, "name");
        let named = TeamForm { name: " Crew ".into(), ..form };
        assert_eq!(named.parse().unwrap(), TeamSpec { name: "Crew".into(), bounds: Bounds::default() });
    }

    #[test]
    fn a_form_made_from_a_team_changes_nothing() {
        let open = TeamForm::of(&TeamSpec::default(), &[]);
        let form = TeamForm {
            name: "Crew".into(),
            scope: "listed".into(),
            patterns: "claude-*\ngpt-5".into(),
            limits: LimitFields {
                month: LimitField::limit("500"),
                rpm: LimitField::limit("1.2k"),
                ..open.limits.clone()
            },
            ..open
        };
        let spec = form.parse().unwrap();
        assert_eq!(TeamForm::of(&spec, &[]).parse().unwrap(), spec);
        assert_eq!(spec.bounds.limits.rpm, Some(1_200));
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        let limits =
            LimitFields { day: LimitField::limit(""), rpm: LimitField::limit(""), ..Default::default() };
        let form = TeamForm { limits, ..TeamForm::default() };
        let fields: Vec<String> = form.parse().unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "models", "total", "month", "week", "day", "rpm", "tpm", "concurrent"]);
    }
}
