//! What several forms have in common: limits, budgets and a model scope, as a browser sends them. Mistakes are collected,
//! each under its field.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::bounds::{Bounds, budget_of};
use crate::domain::field_error::FieldError;
use crate::domain::limits::{Budget, Limits, Rate, parse_count};
use crate::domain::model::Model;
use crate::domain::money::{Money, parse_budget};
use crate::domain::numbers::grouped;
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

/// A limit as a form has it: a choice, and the value that counts beside "Limit".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitField {
    /// `none` or `limit`.
    pub mode: String,
    /// Dollars or a number, read only when `mode` is `limit`.
    pub value: String,
}

impl LimitField {
    /// The field that says this limit; `None` is no limit.
    pub fn of(value: Option<String>) -> Self {
        match value {
            Some(value) => Self { mode: "limit".into(), value },
            None => Self { mode: "none".into(), value: String::new() },
        }
    }

    /// A limit as it is typed.
    pub fn limit(value: impl Into<String>) -> Self {
        Self::of(Some(value.into()))
    }

    /// The field that says no limit.
    pub fn none() -> Self {
        Self::of(None)
    }

    pub(super) fn money(amount: Option<Money>) -> Self {
        Self::of(amount.map(Money::input))
    }

    pub(super) fn count(count: Option<i64>) -> Self {
        Self::of(count.map(grouped))
    }

    /// Whether a value is chosen, whatever it is.
    pub fn is_limit(&self) -> bool {
        self.mode == "limit"
    }

    /// Reads the value, or adds what is wrong with it to `errors`, under `field`.
    pub(super) fn parse<T>(
        &self,
        field: &str,
        parse: impl Fn(&str) -> Result<T, ParseError>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Option<T>> {
        let parsed = match (self.mode.as_str(), self.value.trim()) {
            // The value's field is hidden then; what still stands in it is not meant.
            ("none", _) => Ok(None),
            ("limit", "") => Err(ParseError::new("Enter a value, or choose No limit.")),
            ("limit", value) => parse(value).map(Some),
            _ => Err(ParseError::new("Choose No limit or a value.")),
        };
        errors.take(field, parsed)
    }
}

/// The limits of a key and of a team. A period or a rate that is added is missed by none of the matches here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitFields {
    /// Dollars in a calendar month.
    pub month: LimitField,
    /// Dollars in a week from Monday.
    pub week: LimitField,
    /// Dollars in a calendar day.
    pub day: LimitField,
    /// Dollars in all.
    pub total: LimitField,
    /// Requests per minute.
    pub rpm: LimitField,
    /// Tokens per minute.
    pub tpm: LimitField,
    /// Concurrent requests.
    pub concurrent: LimitField,
}

impl LimitFields {
    /// The fields that say these budgets and limits; what is not among them is no limit.
    pub fn of(budgets: &[Budget], limits: &Limits) -> Self {
        let mut fields = Self::default();
        for period in Period::ALL {
            *fields.budget_mut(period) = LimitField::money(budget_of(budgets, period));
        }
        for rate in Rate::ALL {
            *fields.rate_mut(rate) = LimitField::count(rate.of(limits));
        }
        fields
    }

    /// The field of this period's budget.
    pub fn budget(&self, period: Period) -> &LimitField {
        match period {
            Period::Month => &self.month,
            Period::Week => &self.week,
            Period::Day => &self.day,
            Period::Total => &self.total,
        }
    }

    pub(super) fn budget_mut(&mut self, period: Period) -> &mut LimitField {
        match period {
            Period::Month => &mut self.month,
            Period::Week => &mut self.week,
            Period::Day => &mut self.day,
            Period::Total => &mut self.total,
        }
    }

    /// The field of this rate limit.
    pub fn rate(&self, rate: Rate) -> &LimitField {
        match rate {
            Rate::Rpm => &self.rpm,
            Rate::Tpm => &self.tpm,
            Rate::Concurrent => &self.concurrent,
        }
    }

    fn rate_mut(&mut self, rate: Rate) -> &mut LimitField {
        match rate {
            Rate::Rpm => &mut self.rpm,
            Rate::Tpm => &mut self.tpm,
            Rate::Concurrent => &mut self.concurrent,
        }
    }

    /// Lowers what a fresh form is filled with to what a team allows.
    pub(super) fn narrow(&mut self, bounds: &Bounds) {
        // A shorter period's budget cannot be above a longer one's.
        let mut longer: Option<Money> = None;
        for period in Period::LONGEST_FIRST {
            let field = self.budget_mut(period);
            let own = Some(&*field).filter(|field| field.is_limit());
            let own = own.and_then(|field| parse_budget(&field.value).ok());
            let of_team = bounds.budget(period);
            if own.is_none() && of_team.is_none() {
                continue;
            }
            let least = [own, of_team, longer].into_iter().flatten().min();
            *field = LimitField::money(least);
            longer = least;
        }
        for rate in Rate::ALL {
            let field = self.rate_mut(rate);
            if let Some(max) = rate.of(&bounds.limits) {
                let own = Some(&*field).filter(|field| field.is_limit());
                let own = own.and_then(|field| parse_count(&field.value).ok());
                *field = LimitField::count(Some(own.unwrap_or(max).min(max)));
            }
        }
    }

    pub(super) fn parse(&self, errors: &mut Vec<FieldError>) -> Option<(Vec<Budget>, Limits)> {
        let budgets = Period::LONGEST_FIRST.map(|period| (period, period.as_str(), self.budget(period)));
        let budgets = parse_budgets(budgets, errors);
        let [rpm, tpm, concurrent] =
            Rate::ALL.map(|rate| self.rate(rate).parse(rate.as_str(), parse_count, errors));
        Some((budgets?, Limits { rpm: rpm?, tpm: tpm?, concurrent: concurrent? }))
    }
}

/// Budgets, the longest period first, each with the name of its field. A longer period's budget below a shorter one's would
/// make the shorter one pointless, which is nearly always a typo.
pub(super) fn parse_budgets(
    fields: [(Period, &str, &LimitField); 4],
    errors: &mut Vec<FieldError>,
) -> Option<Vec<Budget>> {
    let fine = errors.len();
    let mut budgets: Vec<(Budget, &str)> = Vec::new();
    for (period, name, field) in fields {
        if let Some(Some(amount)) = field.parse(name, parse_budget, errors) {
            budgets.push((Budget { period, amount }, name));
        }
    }
    for pair in budgets.windows(2) {
        let [(longer, _), (shorter, name)] = pair else { continue };
        if longer.amount < shorter.amount {
            let sentence = format!(
                "{} is more than {}, so it would never apply. Enter {} or less.",
                shorter.summary(),
                longer.summary(),
                longer.amount
            );
            errors.push(FieldError::new(name, ParseError::new(sentence)));
        }
    }
    (errors.len() == fine).then(|| budgets.into_iter().map(|(budget, _)| budget).collect())
}

/// The form as it was drawn, from the JSON that it carried. `field` is where to say that it is incomplete.
///
/// # Errors
/// A sentence for that field.
pub(super) fn drawn<F: DeserializeOwned>(json: &str, field: &str) -> Result<F, Vec<FieldError>> {
    serde_json::from_str(json)
        .map_err(|_| vec![FieldError::say(field, "The form is incomplete. Reload and try again.")])
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
            let ticked = models.iter().map(|model| ModelPattern::typed(model)).collect();
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
