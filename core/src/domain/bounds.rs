//! What bounds a key: what its team allows, and how long its organisation lets it live. Forms and operations ask before a
//! key is written. Nothing here looks anything up, and nothing here stops a request: at the gateway the team's own scope,
//! budgets and limits hold beside the key's, whatever the key was given.

use super::field_error::FieldError;
use super::limits::{Budget, Limits, Rate};
use super::money::Money;
use super::numbers::grouped;
use super::parse_error::ParseError;
use super::scope::ModelScope;
use super::window::Period;

/// What a team may use and spend, and so the most that each of its keys may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The models that may be used.
    pub models: ModelScope,
    /// One budget for each limited period; empty is no limit.
    pub budgets: Vec<Budget>,
    /// How fast each key may go.
    pub limits: Limits,
}

impl Default for Bounds {
    /// Whatever the organisation may use.
    fn default() -> Self {
        Self { models: ModelScope::Every, budgets: Vec::new(), limits: Limits::default() }
    }
}

/// The amount for a period, if there is one.
pub fn budget_of(budgets: &[Budget], period: Period) -> Option<Money> {
    budgets.iter().find(|budget| budget.period == period).map(|budget| budget.amount)
}

impl Bounds {
    /// The amount for this period; `None` is no limit.
    pub fn budget(&self, period: Period) -> Option<Money> {
        budget_of(&self.budgets, period)
    }

    /// Whether what a key asks for is within in every field.
    pub fn contain(&self, key: &Bounds) -> bool {
        self.check("", key, None).is_empty()
    }

    /// Each bound that a key's own would exceed, beside its field. `before` is the key as it stands in this same team:
    /// where the team became stricter since, what was above may stay or come down, and may not go up.
    pub fn check(&self, team: &str, key: &Bounds, before: Option<&Bounds>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut refuse = |field: &str, sentence: String| {
            errors.push(FieldError::new(field, ParseError::new(sentence)));
        };
        if let Some(sentence) = self.refused_models(team, key, before) {
            refuse("models", sentence);
        }
        for period in Period::LONGEST_FIRST {
            let of = |bounds: &Bounds| bounds.budget(period);
            if let Some(max) = above(of(key), self.budget(period), before.map(of)) {
                let sentence = format!("{team} allows at most {max} {}. Enter that or less.", period.label());
                refuse(period.as_str(), sentence);
            }
        }
        for rate in Rate::ALL {
            let of = |bounds: &Bounds| rate.of(&bounds.limits);
            if let Some(max) = above(of(key), of(self), before.map(of)) {
                let (max, unit) = (grouped(max), rate.unit());
                refuse(rate.as_str(), format!("{team} allows at most {max} {unit}. Enter that or less."));
            }
        }
        errors
    }

    fn refused_models(&self, team: &str, key: &Bounds, before: Option<&Bounds>) -> Option<String> {
        let within = |scope: &ModelScope| scope.beyond(&self.models).is_none();
        if within(&key.models) {
            return None;
        }
        let allowed = self.models.listing();
        match &key.models {
            ModelScope::Every if before.is_some_and(|key| key.models == ModelScope::Every) => None,
            ModelScope::Every => {
                Some(format!("{team} does not allow every model. Choose among these: {allowed}."))
            }
            ModelScope::Listed(patterns) => {
                let wrong: Vec<&str> = patterns
                    .iter()
                    .filter(|pattern| !self.models.covers(pattern))
                    .filter(|pattern| !before.is_some_and(|key| key.models.covers(pattern)))
                    .map(|pattern| pattern.as_str())
                    .collect();
                let (named, more) = wrong.split_at(wrong.len().min(5));
                let more = match more.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                (!wrong.is_empty())
                    .then(|| format!("{team} allows only {allowed}. Remove {}{more}.", named.join(", ")))
            }
        }
    }

    /// What a form says beside one of its fields; `None` where the team sets no bound.
    pub fn help(&self, team: &str, field: &str) -> Option<String> {
        if field == "models" {
            return (self.models != ModelScope::Every)
                .then(|| format!("{team} allows only {}.", self.models.listing()));
        }
        if let Some(period) = Period::parse(field) {
            let max = self.budget(period)?;
            return Some(format!("{team} allows at most {max} {}.", period.label()));
        }
        let rate = Rate::ALL.into_iter().find(|rate| rate.as_str() == field)?;
        Some(format!("{team} allows at most {}.", rate.words(rate.of(&self.limits)?)))
    }
}

/// The most that is allowed, when the value is above it. No limit is above every limit. What was above before is let pass
/// while it does not go up.
fn above<T: PartialOrd + Copy>(value: Option<T>, max: Option<T>, before: Option<Option<T>>) -> Option<T> {
    let max = max?;
    let raised = |from: Option<T>| match (value, from) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(value), Some(from)) => value > from,
    };
    let is_above = |value: Option<T>| value.is_none_or(|value| value > max);
    let stood_above = before.is_some_and(|before| is_above(before) && !raised(before));
    (is_above(value) && !stood_above).then_some(max)
}

#[cfg(test)]
mod tests {
    use super::super::scope::ModelPattern;
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> ModelScope {
        match text {
            "*every" => ModelScope::Every,
            text => ModelScope::Listed(ModelScope::parse_lines(text).unwrap()),
        }
    }

    fn dollars(amount: i64) -> Money {
        Money::from_nanos(amount * 1_000_000_000)
    }

    fn monthly(amount: i64) -> Vec<Budget> {
        vec![Budget { period: Period::Month, amount: dollars(amount) }]
    }

    fn crew() -> Bounds {
        Bounds {
            models: scope("claude-*\ngpt-5"),
            budgets: monthly(500),
            limits: Limits { rpm: Some(60), tpm: Some(100_000), concurrent: None },
        }
    }

    fn key() -> Bounds {
        Bounds {
            models: scope("claude-opus-4"),
            budgets: monthly(500),
            limits: Limits { rpm: Some(60), tpm: Some(1), concurrent: None },
        }
    }

    fn told(key: &Bounds, before: Option<&Bounds>) -> Vec<(String, String)> {
        let errors = crew().check("Crew", key, before);
        errors.into_iter().map(|error| (error.field, error.problem.to_string())).collect()
    }

    #[test]
    fn each_bound_that_is_hit_is_named_beside_its_field() {
        assert_eq!(told(&key(), None), []);
        let wide = Bounds {
            models: scope("claude-*\ngemini-3\ngpt-5*"),
            budgets: monthly(501),
            limits: Limits { rpm: Some(61), tpm: None, concurrent: None },
        };
        let say = |field: &str, sentence: &str| (field.to_owned(), sentence.to_owned());
        assert_eq!(
            told(&wide, None),
            [
                say("models", "Crew allows only claude-*, gpt-5. Remove gemini-3, gpt-5*."),
                say("month", "Crew allows at most $500.00 per month. Enter that or less."),
                say("rpm", "Crew allows at most 60 requests per minute. Enter that or less."),
                say("tpm", "Crew allows at most 100,000 tokens per minute. Enter that or less."),
            ]
        );
        let every = Bounds { models: ModelScope::Every, ..key() };
        assert_eq!(
            told(&every, None),
            [say("models", "Crew does not allow every model. Choose among these: claude-*, gpt-5.")]
        );
    }

    #[test]
    fn no_limit_is_above_every_limit() {
        let open = Bounds { budgets: vec![], limits: Limits { rpm: None, ..key().limits }, ..key() };
        let fields: Vec<_> = told(&open, None).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["month", "rpm"]);
    }

    #[test]
    fn what_stood_above_may_stay_or_come_down_and_not_go_up() {
        let before = Bounds {
            models: scope("gemini-*"),
            budgets: monthly(800),
            limits: Limits { rpm: None, ..key().limits },
        };
        assert_eq!(told(&before, Some(&before)), []);
        let lower = Bounds {
            models: scope("gemini-3"),
            budgets: monthly(700),
            limits: Limits { rpm: Some(600), ..key().limits },
        };
        assert_eq!(told(&lower, Some(&before)), []);
        let higher = Bounds { models: scope("gemini-*\nmistral-*"), budgets: monthly(900), ..before.clone() };
        let fields: Vec<_> = told(&higher, Some(&before)).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["models", "month"]);
        // What is within the bound now is bound by it.
        let within = Bounds { limits: Limits { rpm: Some(60), ..key().limits }, ..before };
        let above = Bounds { limits: Limits { rpm: Some(61), ..key().limits }, ..within.clone() };
        assert_eq!(told(&above, Some(&within))[0].0, "rpm");
    }

    fn any_pattern() -> impl Strategy<Value = ModelPattern> {
        "[ab*]{1,5}".prop_map(|text| ModelPattern::parse(&text).unwrap())
    }

    fn any_scope() -> impl Strategy<Value = ModelScope> {
        prop_oneof![
            1 => Just(ModelScope::Every),
            5 => prop::collection::vec(any_pattern(), 0..4).prop_map(ModelScope::Listed),
        ]
    }

    fn any_limit() -> impl Strategy<Value = Option<i64>> {
        prop::option::of(1..4_i64)
    }

    prop_compose! {
        fn any_bounds()(
            models in any_scope(),
            amounts in prop::array::uniform4(any_limit()),
            (rpm, tpm, concurrent) in (any_limit(), any_limit(), any_limit()),
        ) -> Bounds {
            let budgets = Period::ALL.into_iter().zip(amounts);
            let budgets = budgets
                .filter_map(|(period, amount)| Some(Budget { period, amount: dollars(amount?) }))
                .collect();
            Bounds { models, budgets, limits: Limits { rpm, tpm, concurrent } }
        }
    }

    fn exceeds<T: PartialOrd>(value: Option<T>, max: Option<T>) -> bool {
        max.is_some_and(|max| value.is_none_or(|value| value > max))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_key_within_the_bounds_never_exceeds_the_team_in_any_field(
            team in any_bounds(), key in any_bounds(), model in "[ab]{0,6}",
        ) {
            if team.contain(&key) {
                prop_assert!(!key.models.allows(&model) || team.models.allows(&model));
                for period in Period::ALL {
                    prop_assert!(!exceeds(budget_of(&key.budgets, period), team.budget(period)));
                }
                prop_assert!(!exceeds(key.limits.rpm, team.limits.rpm));
                prop_assert!(!exceeds(key.limits.tpm, team.limits.tpm));
                prop_assert!(!exceeds(key.limits.concurrent, team.limits.concurrent));
            }
        }

        #[test]
        fn what_the_team_itself_may_is_within_its_bounds(team in any_bounds()) {
            prop_assert!(team.contain(&team));
        }

        #[test]
        fn an_edit_that_passes_never_raises_what_is_above(
            team in any_bounds(), before in any_bounds(), after in any_bounds(), model in "[ab]{0,6}",
        ) {
            if team.check("Crew", &after, Some(&before)).is_empty() {
                let may = |key: &Bounds| key.models.allows(&model);
                prop_assert!(!may(&after) || team.models.allows(&model) || may(&before));
                for period in Period::ALL {
                    let of = |key: &Bounds| budget_of(&key.budgets, period);
                    prop_assert!(!exceeds(of(&after), team.budget(period)) || !exceeds(of(&after), of(&before)));
                }
                prop_assert!(!exceeds(after.limits.rpm, team.limits.rpm) || !exceeds(after.limits.rpm, before.limits.rpm));
            }
        }
    }
}
