//! The create and edit form of a key, as a browser sends it (text), and its parsing into a `KeySpec`. The same form
//! serves both, with and without script. Every mistake is found in one pass, each with a sentence for its own field;
//! nothing is guessed. Of a limit's two halves the choice decides: beside "No limit", a value is not meant.

use serde::{Deserialize, Serialize};

use super::parts::{ScopeForm, Take, lines, pair, parse_budgets, parse_limits, parse_models, scope_form};
use crate::domain::addresses::AllowList;
use crate::domain::bounds::{Bounds, budget_of, expiry_within};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::{PersonId, TeamId};
use crate::domain::key::KeySpec;
use crate::domain::key_format::refuse_secret;
use crate::domain::limits::parse_count;
use crate::domain::model::Model;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::{Money, parse_budget};
use crate::domain::numbers::grouped;
use crate::domain::org::{KeyDefaults, OrgRules};
use crate::domain::parse_error::ParseError;
use crate::domain::person::{visible_name, visible_text};
use crate::domain::scope::ModelScope;
use crate::domain::window::Period;
use crate::forms::reauth::Reauth;

pub const MAX_NAME: usize = 100;
pub const MAX_NOTE: usize = 200;
const MAX_YEARS_AHEAD: i64 = 10;

/// Expiry presets, in days.
const EXPIRY_PRESETS: [i64; 4] = [7, 30, 90, 365];

/// The numbers of days that a form offers: the presets that the organisation allows, and its own default.
pub fn expiry_days(rules: &OrgRules, defaults: &KeyDefaults) -> Vec<i64> {
    let allowed = |days: &i64| rules.max_key_days.is_none_or(|max| *days <= max);
    let mut days: Vec<i64> =
        EXPIRY_PRESETS.into_iter().filter(allowed).chain(default_days(rules, defaults)).collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// Days until a new key expires, unless somebody chooses otherwise.
fn default_days(rules: &OrgRules, defaults: &KeyDefaults) -> Option<i64> {
    match (defaults.days, rules.max_key_days) {
        (Some(days), Some(max)) => Some(days.min(max)),
        (None, max) => max,
        (days, None) => days,
    }
}

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyForm {
    pub name: String,
    pub note: String,
    /// A team's id, or empty for none.
    pub team: String,
    /// A person's id, or empty for who creates the key.
    pub owner: String,
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
    pub concurrent_mode: String,
    pub concurrent: String,
    /// A number of days (see `expiry_days`), `date`, `never`, or (in an edit) `keep`.
    pub expiry: String,
    pub expires_on: String,
}

/// What parsing needs to know beside the form itself.
pub struct FormContext<'a> {
    pub now: Moment,
    pub zone: &'a Zone,
    pub rules: &'a OrgRules,
    pub defaults: &'a KeyDefaults,
    /// The key as it stands, when this is an edit.
    pub editing: Option<&'a KeySpec>,
}

impl KeyForm {
    /// The form of a new key, filled in as the organisation wants it.
    pub fn with_defaults(models: &[Model], defaults: &KeyDefaults, rules: &OrgRules) -> Self {
        let count = |limit: Option<i64>| pair(limit.map(grouped));
        let none = || pair(None);
        let (month_mode, month) = pair(defaults.month.map(Money::input));
        let ((week_mode, week), (day_mode, day), (total_mode, total)) = (none(), none(), none());
        let (rpm_mode, rpm) = count(defaults.limits.rpm);
        let (tpm_mode, tpm) = count(defaults.limits.tpm);
        let (concurrent_mode, concurrent) = count(defaults.limits.concurrent);
        Self {
            scope: if defaults.every_model { "every" } else { "listed" }.into(),
            models: models.iter().map(|model| model.id.clone()).collect(),
            expiry: default_days(rules, defaults).map_or("never".into(), |days| days.to_string()),
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
            ..Self::default()
        }
    }

    /// A fresh form's values, lowered to what a team allows.
    pub fn narrowed(mut self, bounds: &Bounds, models: &[Model]) -> Self {
        if let ModelScope::Listed(patterns) = &bounds.models {
            self.scope = "listed".into();
            self.models.retain(|model| bounds.models.allows(model));
            let in_catalogue = models.iter().any(|model| bounds.models.allows(&model.id));
            if !in_catalogue {
                self.patterns = lines(patterns);
            }
        }
        // A shorter period's budget cannot be above a longer one's.
        let mut longer: Option<Money> = None;
        for period in [Period::Total, Period::Month, Period::Week, Period::Day] {
            let own = match self.pair(period.as_str()) {
                ("limit", value) => parse_budget(value).ok(),
                _ => None,
            };
            let of_team = bounds.budget(period);
            if own.is_none() && of_team.is_none() {
                continue;
            }
            let least = [own, of_team, longer].into_iter().flatten().min();
            self.set(period.as_str(), least.map(Money::input));
            longer = least;
        }
        for (field, max) in
            [("rpm", bounds.limits.rpm), ("tpm", bounds.limits.tpm), ("concurrent", bounds.limits.concurrent)]
        {
            let own = match self.pair(field) {
                ("limit", value) => parse_count(value).ok(),
                _ => None,
            };
            if let Some(max) = max {
                self.set(field, Some(grouped(own.unwrap_or(max).min(max))));
            }
        }
        self
    }

    fn set(&mut self, field: &str, value: Option<String>) {
        let (mode, text) = match field {
            "month" => (&mut self.month_mode, &mut self.month),
            "week" => (&mut self.week_mode, &mut self.week),
            "day" => (&mut self.day_mode, &mut self.day),
            "total" => (&mut self.total_mode, &mut self.total),
            "rpm" => (&mut self.rpm_mode, &mut self.rpm),
            "tpm" => (&mut self.tpm_mode, &mut self.tpm),
            _ => (&mut self.concurrent_mode, &mut self.concurrent),
        };
        (*mode, *text) = pair(value);
    }

    /// The form that would change nothing about this key.
    pub fn of(spec: &KeySpec, models: &[Model]) -> Self {
        let money = |period| pair(budget_of(&spec.budgets, period).map(Money::input));
        let count = |limit: Option<i64>| pair(limit.map(grouped));
        let (month_mode, month) = money(Period::Month);
        let (week_mode, week) = money(Period::Week);
        let (day_mode, day) = money(Period::Day);
        let (total_mode, total) = money(Period::Total);
        let (rpm_mode, rpm) = count(spec.limits.rpm);
        let (tpm_mode, tpm) = count(spec.limits.tpm);
        let (concurrent_mode, concurrent) = count(spec.limits.concurrent);
        let ScopeForm { scope, models, patterns } = scope_form(&spec.models, models);
        Self {
            name: spec.name.clone(),
            note: spec.note.clone(),
            team: spec.team.as_ref().map(TeamId::to_string).unwrap_or_default(),
            owner: spec.owner.as_ref().map(PersonId::to_string).unwrap_or_default(),
            scope,
            models,
            patterns,
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
            concurrent_mode,
            concurrent,
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
            _ => (&self.concurrent_mode, &self.concurrent),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self, context: &FormContext<'_>) -> Result<KeySpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = visible_name(&self.name, "Name", MAX_NAME).and_then(refuse_secret);
        let name = errors.take("name", name);
        let note = errors.take("note", visible_text(&self.note, "Note", MAX_NOTE).and_then(refuse_secret));
        let team = errors.take("team", parse_team(&self.team));
        let owner = errors.take("owner", parse_owner(&self.owner));
        let models = parse_models(
            (&self.scope, &self.models, &self.patterns),
            "the key could not be used",
            &mut errors,
        );
        let addresses = errors.take("addresses", AllowList::parse_lines(&self.addresses));
        let budgets = parse_budgets(|field| self.pair(field), &mut errors);
        let limits = parse_limits(|field| self.pair(field), &mut errors);
        let expires_at = errors.take("expiry", self.parse_expiry(context));
        match (name, note, team, owner, models, addresses, limits, expires_at) {
            (
                Some(name),
                Some(note),
                Some(team),
                Some(owner),
                Some(models),
                Some(addresses),
                Some(limits),
                Some(expires_at),
            ) if errors.is_empty() => {
                Ok(KeySpec { name, note, team, owner, models, addresses, budgets, limits, expires_at })
            }
            _ => Err(errors),
        }
    }

    fn parse_expiry(&self, context: &FormContext<'_>) -> Result<Option<Moment>, ParseError> {
        let choose = || ParseError::new("Choose when the key expires.");
        let at = match self.expiry.as_str() {
            // What stands may stay, also where the organisation has become stricter since.
            "keep" => return context.editing.map(|spec| spec.expires_at).ok_or_else(choose),
            "never" => None,
            "date" => {
                let day = Day::parse(self.expires_on.trim())
                    .ok_or_else(|| ParseError::new("Choose a day, such as 2027-01-31."))?;
                // The day's last moment, so that the day people read is the one they chose.
                let end = day.end(context.zone).plus_ms(-1);
                if end <= context.now {
                    return Err(ParseError::new("That day is in the past. Choose today or a later day."));
                }
                if end > context.now.plus_days(MAX_YEARS_AHEAD * 366) {
                    return Err(ParseError::new(
                        "That is more than ten years ahead. Choose an earlier day, or Never.",
                    ));
                }
                Some(end)
            }
            days => {
                let days = days.parse().ok().filter(|number: &i64| number.to_string() == days);
                let offered = |days: &i64| {
                    EXPIRY_PRESETS.contains(days)
                        || Some(*days) == default_days(context.rules, context.defaults)
                };
                Some(context.now.plus_days(days.filter(offered).ok_or_else(choose)?))
            }
        };
        if context.editing.is_some_and(|spec| spec.expires_at == at) {
            return Ok(at);
        }
        expiry_within(context.rules.max_key_days, at, context.now, context.zone)?;
        Ok(at)
    }
}

fn parse_owner(text: &str) -> Result<Option<PersonId>, ParseError> {
    match text {
        "" => Ok(None),
        text => {
            PersonId::parse(text).map(Some).ok_or_else(|| ParseError::new("Choose the owner from the list."))
        }
    }
}

fn parse_team(text: &str) -> Result<Option<TeamId>, ParseError> {
    match text {
        "" => Ok(None),
        text => TeamId::parse(text)
            .map(Some)
            .ok_or_else(|| ParseError::new("Choose a team from the list, or No team.")),
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateForm {
    pub org: String,
    pub key: KeyForm,
    /// Asked for when the key is for somebody else.
    pub reauth: Reauth,
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
    pub key: KeyForm,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchForm {
    pub org: String,
    /// Part of a name, last four characters, a key's id, or a whole secret.
    pub q: Hidden,
    /// The list's other parameters, to go on with.
    pub rest: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyRef {
    pub org: String,
    pub id: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeForm {
    pub org: String,
    pub id: String,
    /// The key's name, typed; asked for only when the key is in use.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{Budget, Limits};

    const NOW: Moment = Moment::from_ms(1_800_000_000_000);

    fn with_defaults() -> KeyForm {
        KeyForm {
            name: "ci-prod".into(),
            scope: "every".into(),
            models: vec![],
            ..KeyForm::with_defaults(&[], &KeyDefaults::default(), &OrgRules::default())
        }
    }

    fn parse_in(form: &KeyForm, zone: &Zone, editing: Option<&KeySpec>) -> Result<KeySpec, Vec<FieldError>> {
        let (rules, defaults) = (&OrgRules::default(), &KeyDefaults::default());
        form.parse(&FormContext { now: NOW, zone, rules, defaults, editing })
    }

    fn parse(form: &KeyForm) -> Result<KeySpec, Vec<FieldError>> {
        parse_in(form, &Zone::utc(), None)
    }

    #[test]
    fn only_the_name_must_be_typed() {
        let spec = parse(&with_defaults()).unwrap();
        assert_eq!(spec.limits, Limits { rpm: Some(60), tpm: Some(100_000), concurrent: Some(8) });
        assert_eq!(spec.expires_at, Some(NOW.plus_days(90)));
        let nameless = KeyForm { name: " ".into(), ..with_defaults() };
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
            ..with_defaults()
        };
        let fields: Vec<String> = parse(&form).unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "addresses", "month", "rpm", "expiry"]);
    }

    #[test]
    fn no_limit_is_no_limit_whatever_still_stands_in_its_field() {
        for value in ["60", "", "many"] {
            let form = KeyForm { rpm_mode: "none".into(), rpm: value.into(), ..with_defaults() };
            assert_eq!(parse(&form).unwrap().limits.rpm, None);
        }
        let form = KeyForm { rpm_mode: "limit".into(), rpm: "".into(), ..with_defaults() };
        assert_eq!(parse(&form).unwrap_err()[0].field, "rpm");
    }

    #[test]
    fn no_model_at_all_is_refused_and_every_model_is_a_choice() {
        let none = KeyForm { scope: "listed".into(), ..with_defaults() };
        assert_eq!(parse(&none).unwrap_err()[0].field, "models");
        let some = KeyForm {
            scope: "listed".into(),
            models: vec!["gpt-5".into()],
            patterns: "claude-*\ngpt-5".into(),
            ..with_defaults()
        };
        assert_eq!(parse(&some).unwrap().models.summary(), "claude-*, gpt-5");
    }

    #[test]
    fn a_shorter_periods_budget_cannot_be_above_a_longer_ones() {
        let form = KeyForm { day_mode: "limit".into(), day: "80".into(), ..with_defaults() };
        assert_eq!(parse(&form).unwrap_err()[0].field, "day");
    }

    #[test]
    fn a_form_made_from_a_spec_changes_nothing() {
        let spec = parse(&with_defaults()).unwrap();
        let again = parse_in(&KeyForm::of(&spec, &[]), &Zone::utc(), Some(&spec));
        assert_eq!(again.unwrap(), spec);
    }

    #[test]
    fn a_day_ends_in_the_organisations_zone() {
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let form = KeyForm { expiry: "date".into(), expires_on: "2027-06-30".into(), ..with_defaults() };
        let spec = parse_in(&form, &zone, None).unwrap();
        assert_eq!(spec.expires_at.unwrap().rfc3339(), "2027-06-30T21:59:59Z");
    }

    #[test]
    fn only_what_the_organisation_allows_is_offered_and_taken_as_an_end() {
        let rules = |max| OrgRules { max_key_days: Some(max), ..OrgRules::default() };
        let defaults = KeyDefaults { days: Some(45), ..KeyDefaults::default() };
        assert_eq!(expiry_days(&OrgRules::default(), &defaults), [7, 30, 45, 90, 365]);
        assert_eq!(expiry_days(&rules(60), &defaults), [7, 30, 45]);
        assert_eq!(expiry_days(&rules(5), &defaults), [5]);
        assert_eq!(KeyForm::with_defaults(&[], &defaults, &rules(5)).expiry, "5");

        let parse = |expiry: &str, max| {
            let form = KeyForm { expiry: expiry.into(), ..with_defaults() };
            let (zone, rules) = (&Zone::utc(), &rules(max));
            form.parse(&FormContext { now: NOW, zone, rules, defaults: &defaults, editing: None })
        };
        assert_eq!(parse("45", 60).unwrap().expires_at, Some(NOW.plus_days(45)));
        for (expiry, max) in [("90", 60), ("never", 60), ("46", 60), ("045", 60), ("-7", 60)] {
            assert_eq!(parse(expiry, max).unwrap_err()[0].field, "expiry", "{expiry}");
        }
    }

    #[test]
    fn a_fresh_form_is_lowered_to_what_the_team_allows() {
        let dollars = |amount: i64| Money::from_nanos(amount * 1_000_000_000);
        let bounds = Bounds {
            models: ModelScope::Listed(ModelScope::parse_lines("claude-*").unwrap()),
            budgets: vec![
                Budget { period: Period::Month, amount: dollars(30) },
                Budget { period: Period::Day, amount: dollars(40) },
            ],
            limits: Limits { rpm: Some(1_000), tpm: None, concurrent: Some(2) },
        };
        let form = KeyForm { name: "ci-prod".into(), ..with_defaults() }.narrowed(&bounds, &[]);
        let spec = parse(&form).unwrap();
        assert!(bounds.hold(&spec), "{form:?}");
        assert_eq!(form.patterns, "claude-*");
        assert_eq!((form.pair("month").1, form.pair("day").1), ("30", "30"));
        assert_eq!((form.rpm.as_str(), form.tpm.as_str(), form.concurrent.as_str()), ("60", "100,000", "2"));
    }
}
