//! What the forms of keys and teams have in common: a model scope, budgets and limits as a browser sends them. Mistakes
//! are collected, each under its field. Of a limit's two halves the choice decides: beside "No limit", a value is not meant.

use crate::domain::field_error::FieldError;
use crate::domain::limits::{Budget, Limits, parse_count};
use crate::domain::model::Model;
use crate::domain::money::parse_budget;
use crate::domain::parse_error::ParseError;
use crate::domain::scope::{ModelPattern, ModelScope};
use crate::domain::window::Period;

/// Collects a problem under its field and goes on, so that one pass finds them all.
pub(super) trait Take {
    fn take<T>(&mut self, field: &str, parsed: Result<T, ParseError>) -> Option<T>;
}

impl Take for Vec<FieldError> {
    fn take<T>(&mut self, field: &str, parsed: Result<T, ParseError>) -> Option<T> {
        parsed.map_err(|problem| self.push(FieldError::new(field, problem))).ok()
    }
}

/// The two halves of a limit in a form: its mode and its value.
pub(super) fn pair(value: Option<String>) -> (String, String) {
    match value {
        Some(value) => ("limit".to_owned(), value),
        None => ("none".to_owned(), String::new()),
    }
}

/// A model scope as a form has it: boxes for what is in the catalogue, lines for the rest.
pub(super) struct ScopeForm {
    pub(super) scope: String,
    pub(super) models: Vec<String>,
    pub(super) patterns: String,
}

pub(super) fn scope_form(scope: &ModelScope, catalogue: &[Model]) -> ScopeForm {
    let listed = match scope {
        ModelScope::Every => &[][..],
        ModelScope::Listed(patterns) => patterns,
    };
    let in_catalogue = |pattern: &ModelPattern| catalogue.iter().any(|model| model.id == pattern.as_str());
    let (known, other): (Vec<_>, Vec<_>) = listed.iter().cloned().partition(in_catalogue);
    ScopeForm {
        scope: if *scope == ModelScope::Every { "every" } else { "listed" }.into(),
        models: known.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        patterns: lines(&other),
    }
}

pub(super) fn lines(patterns: &[ModelPattern]) -> String {
    patterns.iter().map(ModelPattern::as_str).collect::<Vec<_>>().join("\n")
}

/// `otherwise` ends the sentence "No model is chosen, so …".
pub(super) fn parse_models(
    (scope, models, patterns): (&str, &[String], &str),
    otherwise: &str,
    errors: &mut Vec<FieldError>,
) -> Option<ModelScope> {
    match scope {
        "every" => Some(ModelScope::Every),
        "listed" => {
            let typed = errors.take("patterns", ModelScope::parse_lines(patterns))?;
            let ticked = models.iter().map(|model| ModelPattern::parse(model)).collect();
            let mut list: Vec<ModelPattern> = errors.take("models", ticked)?;
            list.extend(typed);
            // A scope is a set; one order makes two equal sets compare equal.
            list.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            list.dedup();
            if list.is_empty() {
                let sentence =
                    format!("No model is selected, so {otherwise}. Select at least one, or every model.");
                errors.push(FieldError::new("models", ParseError::new(sentence)));
                return None;
            }
            Some(ModelScope::Listed(list))
        }
        _ => {
            errors.push(FieldError::say("models", "Choose these models, or every model."));
            None
        }
    }
}

/// Budgets, the longest period first.
pub(super) fn parse_budgets<'a>(
    pair: impl Fn(&str) -> (&'a str, &'a str),
    errors: &mut Vec<FieldError>,
) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for period in [Period::Total, Period::Month, Period::Week, Period::Day] {
        let amount = parse_pair(pair(period.as_str()), period.as_str(), parse_budget, errors);
        if let Some(Some(amount)) = amount {
            budgets.push(Budget { period, amount });
        }
    }
    check_budget_order(&budgets, errors);
    budgets
}

pub(super) fn parse_limits<'a>(
    pair: impl Fn(&str) -> (&'a str, &'a str),
    errors: &mut Vec<FieldError>,
) -> Option<Limits> {
    let [rpm, tpm, concurrent] =
        ["rpm", "tpm", "concurrent"].map(|field| parse_pair(pair(field), field, parse_count, errors));
    Some(Limits { rpm: rpm?, tpm: tpm?, concurrent: concurrent? })
}

fn parse_pair<T>(
    (mode, value): (&str, &str),
    field: &str,
    parse: impl Fn(&str) -> Result<T, ParseError>,
    errors: &mut Vec<FieldError>,
) -> Option<Option<T>> {
    let parsed = match (mode, value.trim()) {
        // The value's field is hidden then; what still stands in it is not meant.
        ("none", _) => Ok(None),
        ("limit", "") => Err(ParseError::new("Enter a value, or choose No limit.")),
        ("limit", value) => parse(value).map(Some),
        _ => Err(ParseError::new("Choose No limit or a value.")),
    };
    errors.take(field, parsed)
}

/// A longer period's budget below a shorter one's would make the shorter one pointless, which is nearly always a typo.
fn check_budget_order(budgets: &[Budget], errors: &mut Vec<FieldError>) {
    for pair in budgets.windows(2) {
        if pair[0].amount < pair[1].amount {
            errors.push(FieldError::new(
                pair[1].period.as_str(),
                ParseError::new(format!(
                    "{} {} is more than the {} {}, so it could never be reached.",
                    pair[1].amount,
                    pair[1].period.label(),
                    pair[0].amount,
                    pair[0].period.label()
                )),
            ));
        }
    }
}
