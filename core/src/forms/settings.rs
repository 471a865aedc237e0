//! The form of an organisation's settings: as a browser sends it (text), and its parsing into `Settings`. Every mistake is
//! found in one pass, each with a sentence for its own field.

use serde::{Deserialize, Serialize};

use super::parts::{Take, parse_budgets};
use crate::domain::field_error::FieldError;
use crate::domain::key_format::check_prefix;
use crate::domain::limits::{Budget, Limits, parse_count};
use crate::domain::money::{Money, parse_budget};
use crate::domain::numbers::grouped;
use crate::domain::org::{KeyDefaults, OrgRules, parse_org_name, parse_zone};
use crate::domain::parse_error::ParseError;
use crate::domain::person::parse_slug;
use crate::domain::policy::MembersCreate;
use crate::domain::settings::{MAX_DAYS, Setting, Settings};
use crate::forms::reauth::Reauth;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsForm {
    pub name: String,
    pub slug: String,
    pub zone: String,
    /// The organisation's own budgets. Of each pair, here and below, `…_mode` is `none` or `limit`.
    pub org_month_mode: String,
    pub org_month: String,
    pub org_week_mode: String,
    pub org_week: String,
    pub org_day_mode: String,
    pub org_day: String,
    pub org_total_mode: String,
    pub org_total: String,
    pub key_prefix: String,
    /// `every` or `today`.
    pub models: String,
    pub month_mode: String,
    pub month: String,
    pub rpm_mode: String,
    pub rpm: String,
    pub tpm_mode: String,
    pub tpm: String,
    pub concurrent_mode: String,
    pub concurrent: String,
    pub days_mode: String,
    pub days: String,
    pub max_key_days_mode: String,
    pub max_key_days: String,
    pub max_keys_per_member_mode: String,
    pub max_keys_per_member: String,
    /// One of `MembersCreate::ALL`.
    pub members_create: String,
    /// `optional` or `required`.
    pub second_factor: String,
}

impl SettingsForm {
    /// The form that would change nothing.
    pub fn of(settings: &Settings) -> Self {
        let pair = |value: Option<String>| match value {
            Some(value) => ("limit".to_owned(), value),
            None => ("none".to_owned(), String::new()),
        };
        let count = |limit: Option<i64>| pair(limit.map(grouped));
        let (defaults, rules) = (&settings.defaults, &settings.rules);
        let budget = |setting| pair(settings.budget(setting).map(Money::input));
        let (org_month_mode, org_month) = budget(Setting::OrgMonth);
        let (org_week_mode, org_week) = budget(Setting::OrgWeek);
        let (org_day_mode, org_day) = budget(Setting::OrgDay);
        let (org_total_mode, org_total) = budget(Setting::OrgTotal);
        let (month_mode, month) = pair(defaults.month.map(|amount| amount.input()));
        let (rpm_mode, rpm) = count(defaults.limits.rpm);
        let (tpm_mode, tpm) = count(defaults.limits.tpm);
        let (concurrent_mode, concurrent) = count(defaults.limits.concurrent);
        let (days_mode, days) = count(defaults.days);
        let (max_key_days_mode, max_key_days) = count(rules.max_key_days);
        let (max_keys_per_member_mode, max_keys_per_member) = count(rules.max_keys_per_member);
        Self {
            name: settings.name.clone(),
            slug: settings.slug.clone(),
            zone: settings.zone.name().to_owned(),
            org_month_mode,
            org_month,
            org_week_mode,
            org_week,
            org_day_mode,
            org_day,
            org_total_mode,
            org_total,
            key_prefix: settings.key_prefix.clone(),
            models: if defaults.every_model { "every" } else { "today" }.into(),
            month_mode,
            month,
            rpm_mode,
            rpm,
            tpm_mode,
            tpm,
            concurrent_mode,
            concurrent,
            days_mode,
            days,
            max_key_days_mode,
            max_key_days,
            max_keys_per_member_mode,
            max_keys_per_member,
            members_create: rules.members_create.as_str().into(),
            second_factor: if rules.second_factor { "required" } else { "optional" }.into(),
        }
    }

    /// The text of a limit pair: its mode and its value.
    pub fn pair(&self, setting: Setting) -> (&str, &str) {
        match setting {
            Setting::OrgMonth => (&self.org_month_mode, &self.org_month),
            Setting::OrgWeek => (&self.org_week_mode, &self.org_week),
            Setting::OrgDay => (&self.org_day_mode, &self.org_day),
            Setting::OrgTotal => (&self.org_total_mode, &self.org_total),
            Setting::Month => (&self.month_mode, &self.month),
            Setting::Rpm => (&self.rpm_mode, &self.rpm),
            Setting::Tpm => (&self.tpm_mode, &self.tpm),
            Setting::Concurrent => (&self.concurrent_mode, &self.concurrent),
            Setting::Days => (&self.days_mode, &self.days),
            Setting::KeyDaysMost => (&self.max_key_days_mode, &self.max_key_days),
            _ => (&self.max_keys_per_member_mode, &self.max_keys_per_member),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<Settings, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = errors.take("name", parse_org_name(&self.name));
        let slug = errors.take("slug", parse_slug(&self.slug));
        let zone = errors.take("zone", parse_zone(&self.zone));
        let fine = errors.len();
        let budgets = self.parse_budgets(&mut errors);
        let budgets_wrong = errors.len() > fine;
        let key_prefix = self.key_prefix.trim();
        let prefix = errors.take("key_prefix", check_prefix(key_prefix));
        let every_model = errors.take("models", one_of(&self.models, &[("today", false), ("every", true)]));
        let month = self.parse_pair(&mut errors, Setting::Month, parse_budget);
        let rpm = self.parse_pair(&mut errors, Setting::Rpm, parse_count);
        let tpm = self.parse_pair(&mut errors, Setting::Tpm, parse_count);
        let concurrent = self.parse_pair(&mut errors, Setting::Concurrent, parse_count);
        let days = self.parse_pair(&mut errors, Setting::Days, parse_days);
        let max_key_days = self.parse_pair(&mut errors, Setting::KeyDaysMost, parse_days);
        let max_keys_per_member = self.parse_pair(&mut errors, Setting::KeysPerMember, parse_count);
        let members_create = MembersCreate::ALL.map(|choice| (choice.as_str(), choice));
        let members_create = errors.take("members_create", one_of(&self.members_create, &members_create));
        let second_factor = [("optional", false), ("required", true)];
        let second_factor = errors.take("second_factor", one_of(&self.second_factor, &second_factor));
        let (
            Some(name),
            Some(slug),
            Some(zone),
            Some(()),
            Some(every_model),
            Some(month),
            Some(rpm),
            Some(tpm),
            Some(concurrent),
            Some(days),
            Some(max_key_days),
            Some(max_keys_per_member),
            Some(members_create),
            Some(second_factor),
        ) = (
            name.filter(|_| !budgets_wrong),
            slug,
            zone,
            prefix,
            every_model,
            month,
            rpm,
            tpm,
            concurrent,
            days,
            max_key_days,
            max_keys_per_member,
            members_create,
            second_factor,
        )
        else {
            return Err(errors);
        };
        let settings = Settings {
            name,
            slug,
            zone,
            key_prefix: key_prefix.to_owned(),
            rules: OrgRules { max_key_days, max_keys_per_member, members_create, second_factor },
            defaults: KeyDefaults { every_model, month, limits: Limits { rpm, tpm, concurrent }, days },
            budgets,
        };
        settings.check()?;
        Ok(settings)
    }

    /// The organisation's own budgets, by the rules of all budgets, each mistake under its own field.
    fn parse_budgets(&self, errors: &mut Vec<FieldError>) -> Vec<Budget> {
        let mut found = Vec::new();
        let budgets = parse_budgets(|period| self.pair(Setting::of_period(period)), &mut found);
        errors.extend(
            found
                .into_iter()
                .map(|error| FieldError { field: Setting::of_period(&error.field).as_str().into(), ..error }),
        );
        budgets
    }

    fn parse_pair<T>(
        &self,
        errors: &mut Vec<FieldError>,
        setting: Setting,
        parse: impl Fn(&str) -> Result<T, ParseError>,
    ) -> Option<Option<T>> {
        let (mode, value) = self.pair(setting);
        let parsed = match (mode, value.trim()) {
            // The value's field is hidden then; what still stands in it is not meant.
            ("none", _) => Ok(None),
            ("limit", "") => Err(ParseError::new("Enter a value, or choose No limit.")),
            ("limit", value) => parse(value).map(Some),
            _ => Err(ParseError::new("Choose No limit or a value.")),
        };
        errors.take(setting.as_str(), parsed)
    }
}

fn parse_days(text: &str) -> Result<i64, ParseError> {
    match parse_count(text)? {
        days if days <= MAX_DAYS => Ok(days),
        _ => Err(ParseError::new(format!(
            "That is more than ten years. Enter {} days or fewer.",
            grouped(MAX_DAYS)
        ))),
    }
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, ParseError> {
    choices
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| ParseError::new("Choose one of these."))
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveForm {
    pub org: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    pub settings: SettingsForm,
    pub reauth: Reauth,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrgId;
    use crate::domain::moment::{Moment, Zone};
    use crate::domain::org::Org;
    use crate::domain::window::Period;

    fn settings() -> Settings {
        let id = OrgId::new(Moment::from_ms(0), [0; 10]);
        Settings::of(&Org::new(id, "acme".into(), "Acme".into(), Zone::utc()), Vec::new())
    }

    fn form() -> SettingsForm {
        SettingsForm::of(&settings())
    }

    fn wrong(form: &SettingsForm) -> Vec<String> {
        form.parse().unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn the_form_of_settings_reads_back_to_the_same_settings() {
        assert_eq!(form().parse().unwrap(), settings());
        let mut strict = settings();
        strict.rules = OrgRules {
            max_key_days: Some(365),
            max_keys_per_member: Some(1_200),
            members_create: MembersCreate::InTeams,
            second_factor: true,
        };
        strict.defaults =
            KeyDefaults { every_model: true, month: None, limits: Limits::default(), days: Some(30) };
        let budget =
            |period, dollars: i64| Budget { period, amount: Money::from_nanos(dollars * 1_000_000_000) };
        strict.budgets = vec![budget(Period::Month, 5_000), budget(Period::Day, 400)];
        assert_eq!(SettingsForm::of(&strict).parse().unwrap(), strict);
        let changed: Vec<_> =
            strict.changes_since(&settings()).into_iter().map(|change| change.field).collect();
        assert_eq!(
            changed,
            [
                "org_month",
                "org_day",
                "models",
                "month",
                "rpm",
                "tpm",
                "concurrent",
                "days",
                "max_key_days",
                "max_keys_per_member",
                "members_create",
                "second_factor"
            ]
        );
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        let empty = SettingsForm::default();
        assert_eq!(wrong(&empty).len(), Setting::ALL.len());
        let form = SettingsForm {
            slug: "operator".into(),
            zone: "Europe/Atlantis".into(),
            key_prefix: "acme-".into(),
            days: "4k".into(),
            max_keys_per_member_mode: "limit".into(),
            ..form()
        };
        assert_eq!(wrong(&form), ["slug", "zone", "key_prefix", "days", "max_keys_per_member"]);
    }

    #[test]
    fn the_organisations_budgets_follow_the_rules_of_all_budgets() {
        let form = SettingsForm {
            org_month_mode: "limit".into(),
            org_month: "500".into(),
            org_day_mode: "limit".into(),
            org_day: "600".into(),
            org_total_mode: "limit".into(),
            org_total: "0".into(),
            ..form()
        };
        assert_eq!(wrong(&form), ["org_total", "org_day"]);
        let fine = SettingsForm { org_day: "50".into(), org_total_mode: "none".into(), ..form };
        let budgets = fine.parse().unwrap().budgets;
        assert_eq!(
            budgets.iter().map(Budget::summary).collect::<Vec<_>>(),
            ["$500.00 per month", "$50.00 per day"]
        );
    }

    #[test]
    fn new_keys_do_not_start_with_more_days_than_a_key_may_live() {
        let month = SettingsForm { max_key_days_mode: "limit".into(), max_key_days: "30".into(), ..form() };
        assert_eq!(wrong(&month), ["days"]);
        assert_eq!(wrong(&SettingsForm { days_mode: "none".into(), ..month.clone() }), ["days"]);
        assert!(SettingsForm { days: "30".into(), ..month }.parse().is_ok());
    }
}
