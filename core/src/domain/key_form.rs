//! The create and edit form of a key, as a browser sends it (text), and its parsing into a `KeySpec`. The same form
//! serves both, with and without script. Every mistake is found in one pass, each with a sentence for its own field;
//! nothing is guessed. Of a limit's two halves the choice decides: beside "No limit", a value is not meant.

use serde::{Deserialize, Serialize};

use super::addresses::AllowList;
use super::ids::TeamId;
use super::key::KeySpec;
use super::key_format::looks_like_secret;
use super::limits::{Budget, Limits, parse_count};
use super::model::Model;
use super::moment::{Day, Moment, Zone};
use super::money::parse_budget;
use super::person::{refuse_hidden_characters, visible_name};
use super::problem::Problem;
use super::scope::{ModelPattern, ModelScope};
use super::window::Period;

/// A sentence for one field of a form. `field` is the field's name in the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    pub field: String,
    pub problem: Problem,
}

impl FieldError {
    pub fn new(field: &str, problem: Problem) -> Self {
        Self { field: field.to_owned(), problem }
    }

    pub fn say(field: &str, sentence: &str) -> Self {
        Self::new(field, Problem::new(sentence.to_owned()))
    }
}

pub const NAME_MOST: usize = 100;
pub const NOTE_MOST: usize = 200;
const YEARS_AHEAD_MOST: i64 = 10;

/// Expiry presets, in days.
pub const EXPIRY_PRESETS: [(&str, &str, i64); 4] =
    [("7", "7 days", 7), ("30", "30 days", 30), ("90", "90 days", 90), ("365", "1 year", 365)];

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyForm {
    pub name: String,
    pub note: String,
    /// A team's id, or empty for none.
    pub team: String,
    /// `every` or `listed`.
    pub scope: String,
    pub models: Vec<String>,
    pub patterns: String,
    pub addresses: String,
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
    pub parallel_mode: String,
    pub parallel: String,
    /// One of `EXPIRY_PRESETS`, `date`, `never`, or (in an edit) `keep`.
    pub expiry: String,
    pub expires_on: String,
}

/// What parsing needs to know beside the form itself.
pub struct FormContext<'a> {
    pub now: Moment,
    pub zone: &'a Zone,
    /// The key as it stands, when this is an edit.
    pub editing: Option<&'a KeySpec>,
}

impl KeyForm {
    /// The form of a new key, filled in: a small budget, modest rates, an end in sight, today's models.
    pub fn fresh(models: &[Model]) -> Self {
        let limit = |value: &str| ("limit".to_owned(), value.to_owned());
        let none = || ("none".to_owned(), String::new());
        let ((month_mode, month), (rpm_mode, rpm), (tpm_mode, tpm), (parallel_mode, parallel)) =
            (limit("50"), limit("60"), limit("100k"), limit("8"));
        let ((week_mode, week), (day_mode, day), (total_mode, total)) = (none(), none(), none());
        Self {
            scope: "listed".into(),
            models: models.iter().map(|model| model.id.clone()).collect(),
            expiry: "90".into(),
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
            parallel_mode,
            parallel,
            ..Self::default()
        }
    }

    /// The form that would change nothing about this key.
    pub fn of(spec: &KeySpec, models: &[Model]) -> Self {
        let pair = |value: Option<String>| match value {
            Some(value) => ("limit".to_owned(), value),
            None => ("none".to_owned(), String::new()),
        };
        let money = |period: Period| {
            pair(
                spec.budgets
                    .iter()
                    .find(|budget| budget.period == period)
                    .map(|budget| budget.amount.input()),
            )
        };
        let count = |limit: Option<i64>| pair(limit.map(super::limits::grouped));
        let (month_mode, month) = money(Period::Month);
        let (week_mode, week) = money(Period::Week);
        let (day_mode, day) = money(Period::Day);
        let (total_mode, total) = money(Period::Total);
        let (rpm_mode, rpm) = count(spec.limits.rpm);
        let (tpm_mode, tpm) = count(spec.limits.tpm);
        let (parallel_mode, parallel) = count(spec.limits.parallel);
        let listed = match &spec.models {
            ModelScope::Every => &[][..],
            ModelScope::Listed(patterns) => patterns,
        };
        let in_catalogue = |pattern: &&ModelPattern| models.iter().any(|model| model.id == pattern.as_str());
        Self {
            name: spec.name.clone(),
            note: spec.note.clone(),
            team: spec.team.as_ref().map(TeamId::to_string).unwrap_or_default(),
            scope: if spec.models == ModelScope::Every { "every" } else { "listed" }.into(),
            models: listed.iter().filter(in_catalogue).map(|pattern| pattern.as_str().to_owned()).collect(),
            patterns: listed
                .iter()
                .filter(|pattern| !in_catalogue(pattern))
                .map(ModelPattern::as_str)
                .collect::<Vec<_>>()
                .join("\n"),
            addresses: spec.addresses.lines(),
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
            parallel_mode,
            parallel,
            expiry: if spec.expires_at.is_some() { "keep" } else { "never" }.into(),
            expires_on: String::new(),
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
            _ => (&self.parallel_mode, &self.parallel),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self, context: &FormContext<'_>) -> Result<KeySpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = visible_name(&self.name, "Name", NAME_MOST).and_then(refuse_secret);
        let name = errors.take("name", name);
        let note = errors.take("note", parse_note(&self.note));
        let team = errors.take("team", parse_team(&self.team));
        let models = self.parse_models(&mut errors);
        let addresses = errors.take("addresses", AllowList::parse_lines(&self.addresses));
        let mut budgets = Vec::new();
        for period in [Period::Total, Period::Month, Period::Week, Period::Day] {
            if let Some(Some(amount)) = self.parse_pair(&mut errors, period.as_str(), parse_budget) {
                budgets.push(Budget { period, amount });
            }
        }
        check_budget_order(&budgets, &mut errors);
        let rpm = self.parse_pair(&mut errors, "rpm", parse_count);
        let tpm = self.parse_pair(&mut errors, "tpm", parse_count);
        let parallel = self.parse_pair(&mut errors, "parallel", parse_count);
        let expires_at = errors.take("expiry", self.parse_expiry(context));
        match (name, note, team, models, addresses, rpm, tpm, parallel, expires_at) {
            (
                Some(name),
                Some(note),
                Some(team),
                Some(models),
                Some(addresses),
                Some(rpm),
                Some(tpm),
                Some(parallel),
                Some(expires_at),
            ) if errors.is_empty() => {
                let limits = Limits { rpm, tpm, parallel };
                Ok(KeySpec { name, note, team, models, addresses, budgets, limits, expires_at })
            }
            _ => Err(errors),
        }
    }

    fn parse_models(&self, errors: &mut Vec<FieldError>) -> Option<ModelScope> {
        match self.scope.as_str() {
            "every" => Some(ModelScope::Every),
            "listed" => {
                let typed = errors.take("patterns", ModelScope::parse_lines(&self.patterns))?;
                let ticked = self.models.iter().map(|model| ModelPattern::parse(model)).collect();
                let mut list: Vec<ModelPattern> = errors.take("models", ticked)?;
                list.extend(typed);
                // A scope is a set; one order makes two equal sets compare equal.
                list.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                list.dedup();
                if list.is_empty() {
                    errors.push(FieldError::say(
                        "models",
                        "No model is chosen, so the key could do nothing. Choose at least one, or every model.",
                    ));
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

    fn parse_pair<T>(
        &self,
        errors: &mut Vec<FieldError>,
        field: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        let (mode, value) = self.pair(field);
        let parsed = match (mode, value.trim()) {
            // The value's field is hidden then; what still stands in it is not meant.
            ("none", _) => Ok(None),
            ("limit", "") => Err(Problem::new("Type a value, or choose No limit.")),
            ("limit", value) => parse(value).map(Some),
            _ => Err(Problem::new("Choose No limit or a value.")),
        };
        errors.take(field, parsed)
    }

    fn parse_expiry(&self, context: &FormContext<'_>) -> Result<Option<Moment>, Problem> {
        let editing = context.editing.map(|spec| spec.expires_at);
        match self.expiry.as_str() {
            "never" => Ok(None),
            "keep" => editing.ok_or_else(|| Problem::new("Choose when the key expires.")),
            "date" => {
                let day = Day::parse(self.expires_on.trim())
                    .ok_or_else(|| Problem::new("Choose a day, such as 2027-01-31."))?;
                // The day's last moment, so that the day people read is the one they chose.
                let end = day.end(context.zone).plus_ms(-1);
                if end <= context.now {
                    return Err(Problem::new("That day is over. Choose today or a later day."));
                }
                if end > context.now.plus_days(YEARS_AHEAD_MOST * 366) {
                    return Err(Problem::new(
                        "That is more than ten years ahead. Choose Never to leave it open.",
                    ));
                }
                Ok(Some(end))
            }
            preset => EXPIRY_PRESETS
                .iter()
                .find(|(value, _, _)| *value == preset)
                .map(|(_, _, days)| Some(context.now.plus_days(*days)))
                .ok_or_else(|| Problem::new("Choose when the key expires.")),
        }
    }
}

/// A longer period's budget below a shorter one's would make the shorter one pointless, which is nearly always a typo.
fn check_budget_order(budgets: &[Budget], errors: &mut Vec<FieldError>) {
    for pair in budgets.windows(2) {
        if pair[0].amount < pair[1].amount {
            errors.push(FieldError::new(
                pair[1].period.as_str(),
                Problem::new(format!(
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

fn parse_note(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.chars().count() > NOTE_MOST {
        return Err(Problem::new(format!("Note has at most {NOTE_MOST} characters.")));
    }
    refuse_hidden_characters(text, "Note")?;
    refuse_secret(text.to_owned())
}

/// A name or a note is stored, listed and audited in clear.
pub(super) fn refuse_secret(text: String) -> Result<String, Problem> {
    if looks_like_secret(&text) {
        return Err(Problem::new(
            "This looks like a secret, and secrets are kept nowhere. Write what the key is for.",
        ));
    }
    Ok(text)
}

fn parse_team(text: &str) -> Result<Option<TeamId>, Problem> {
    match text {
        "" => Ok(None),
        text => TeamId::parse(text)
            .map(Some)
            .ok_or_else(|| Problem::new("Choose a team from the list, or No team.")),
    }
}

/// Collects a problem under its field and goes on, so that one pass finds them all.
pub(super) trait Take {
    fn take<T>(&mut self, field: &str, parsed: Result<T, Problem>) -> Option<T>;
}

impl Take for Vec<FieldError> {
    fn take<T>(&mut self, field: &str, parsed: Result<T, Problem>) -> Option<T> {
        parsed.map_err(|problem| self.push(FieldError::new(field, problem))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_800_000_000_000);

    fn fresh() -> KeyForm {
        KeyForm { name: "ci-prod".into(), scope: "every".into(), models: vec![], ..KeyForm::fresh(&[]) }
    }

    fn parse(form: &KeyForm) -> Result<KeySpec, Vec<FieldError>> {
        form.parse(&FormContext { now: NOW, zone: &Zone::utc(), editing: None })
    }

    #[test]
    fn only_the_name_must_be_typed() {
        let spec = parse(&fresh()).unwrap();
        assert_eq!(spec.limits, Limits { rpm: Some(60), tpm: Some(100_000), parallel: Some(8) });
        assert_eq!(spec.expires_at, Some(NOW.plus_days(90)));
        let nameless = KeyForm { name: " ".into(), ..fresh() };
        assert_eq!(parse(&nameless).unwrap_err()[0].field, "name");
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        let form = KeyForm {
            name: "".into(),
            month: "0".into(),
            rpm: "many".into(),
            addresses: "10.0.0.300".into(),
            expiry: "date".into(),
            expires_on: "2020-01-01".into(),
            ..fresh()
        };
        let fields: Vec<String> = parse(&form).unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "addresses", "month", "rpm", "expiry"]);
    }

    #[test]
    fn no_limit_is_no_limit_whatever_still_stands_in_its_field() {
        for value in ["60", "", "many"] {
            let form = KeyForm { rpm_mode: "none".into(), rpm: value.into(), ..fresh() };
            assert_eq!(parse(&form).unwrap().limits.rpm, None);
        }
        let form = KeyForm { rpm_mode: "limit".into(), rpm: "".into(), ..fresh() };
        assert_eq!(parse(&form).unwrap_err()[0].field, "rpm");
    }

    #[test]
    fn no_model_at_all_is_refused_and_every_model_is_a_choice() {
        let none = KeyForm { scope: "listed".into(), ..fresh() };
        assert_eq!(parse(&none).unwrap_err()[0].field, "models");
        let some = KeyForm {
            scope: "listed".into(),
            models: vec!["gpt-5".into()],
            patterns: "claude-*\ngpt-5".into(),
            ..fresh()
        };
        assert_eq!(parse(&some).unwrap().models.summary(), "claude-*, gpt-5");
    }

    #[test]
    fn a_shorter_periods_budget_cannot_be_above_a_longer_ones() {
        let form = KeyForm { day_mode: "limit".into(), day: "80".into(), ..fresh() };
        assert_eq!(parse(&form).unwrap_err()[0].field, "day");
    }

    #[test]
    fn a_form_made_from_a_spec_changes_nothing() {
        let spec = parse(&fresh()).unwrap();
        let again = KeyForm::of(&spec, &[]).parse(&FormContext {
            now: NOW,
            zone: &Zone::utc(),
            editing: Some(&spec),
        });
        assert_eq!(again.unwrap(), spec);
    }

    #[test]
    fn a_day_ends_in_the_organisations_zone() {
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let form = KeyForm { expiry: "date".into(), expires_on: "2027-06-30".into(), ..fresh() };
        let spec = form.parse(&FormContext { now: NOW, zone: &zone, editing: None }).unwrap();
        assert_eq!(spec.expires_at.unwrap().rfc3339(), "2027-06-30T21:59:59Z");
    }
}
