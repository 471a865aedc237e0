//! The form of an organisation's settings: as a browser sends it (text), and its parsing into `Settings`. Every mistake is
//! found in one pass, each with a sentence for its own field.

use serde::{Deserialize, Serialize};

use super::parts::{LimitField, Take, drawn, parse_budgets};
use crate::domain::bounds::budget_of;
use crate::domain::field_error::FieldError;
use crate::domain::key_format::check_prefix;
use crate::domain::limits::{Limits, parse_count};
use crate::domain::money::parse_budget;
use crate::domain::numbers::grouped;
use crate::domain::org::{KeyDefaults, OrgRules, Overshoot, Unpriced, parse_org_name, parse_zone};
use crate::domain::parse_error::ParseError;
use crate::domain::person::parse_slug;
use crate::domain::policy::MembersCreate;
use crate::domain::reauth::Reauth;
use crate::domain::rotation::parse_rotate_days;
use crate::domain::settings::{EditSettings, MAX_DAYS, MAX_RAW_DAYS, MIN_RAW_DAYS, Settings};
use crate::domain::window::Period;

/// Text as it was typed. A missing field reads as empty; a field that is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsForm {
    /// The organisation's name.
    pub name: String,
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// An IANA time zone, such as Europe/Zurich.
    pub zone: String,
    /// Dollars that all keys together may spend in a calendar month.
    pub org_month: LimitField,
    /// Dollars that all keys together may spend in a week from Monday.
    pub org_week: LimitField,
    /// Dollars that all keys together may spend in a calendar day.
    pub org_day: LimitField,
    /// Dollars that all keys together may spend in all.
    pub org_total: LimitField,
    /// One of `Overshoot`'s words.
    pub overshoot: String,
    /// One of `Unpriced`'s words.
    pub unpriced: String,
    /// Days after which single requests are deleted; no limit is never.
    pub raw_days: LimitField,
    /// What new secrets begin with, such as `sk-acme-`: 4 to 20 characters.
    pub key_prefix: String,
    /// `every` or `today`.
    pub models: String,
    /// A new key's budget in dollars per calendar month.
    pub month: LimitField,
    /// A new key's requests per minute.
    pub rpm: LimitField,
    /// A new key's tokens per minute.
    pub tpm: LimitField,
    /// A new key's concurrent requests.
    pub concurrent: LimitField,
    /// Days until a new key expires; no limit is never.
    pub days: LimitField,
    /// The longest time from now, in days, that a key may be given.
    pub max_key_days: LimitField,
    /// Live keys that one member may own; owners and admins are not counted.
    pub max_keys_per_member: LimitField,
    /// Days after which keys without a setting of their own are due for rotation; empty is never.
    pub rotate_days: String,
    /// `by_key` or `every_key`.
    pub self_rotation: String,
    /// One of `MembersCreate::ALL`.
    pub members_create: String,
    /// `optional` or `required`.
    pub second_factor: String,
}

impl SettingsForm {
    /// The form that would change nothing.
    pub fn of(settings: &Settings) -> Self {
        let (defaults, rules) = (&settings.defaults, &settings.rules);
        let budget = |period| LimitField::money(budget_of(&settings.budgets, period));
        Self {
            name: settings.name.clone(),
            slug: settings.slug.clone(),
            zone: settings.zone.name().to_owned(),
            org_month: budget(Period::Month),
            org_week: budget(Period::Week),
            org_day: budget(Period::Day),
            org_total: budget(Period::Total),
            overshoot: rules.overshoot.as_str().into(),
            unpriced: rules.unpriced.as_str().into(),
            raw_days: LimitField::count(rules.raw_days),
            key_prefix: settings.key_prefix.clone(),
            models: if defaults.every_model { "every" } else { "today" }.into(),
            month: LimitField::money(defaults.month),
            rpm: LimitField::count(defaults.limits.rpm),
            tpm: LimitField::count(defaults.limits.tpm),
            concurrent: LimitField::count(defaults.limits.concurrent),
            days: LimitField::count(defaults.days),
            max_key_days: LimitField::count(rules.max_key_days),
            max_keys_per_member: LimitField::count(rules.max_keys_per_member),
            rotate_days: rules.rotate_days.map(|days| days.to_string()).unwrap_or_default(),
            self_rotation: if rules.self_rotation { "every_key" } else { "by_key" }.into(),
            members_create: rules.members_create.as_str().into(),
            second_factor: if rules.second_factor { "required" } else { "optional" }.into(),
        }
    }

    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<Settings, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = errors.take("name", parse_org_name(&self.name));
        let slug = errors.take("slug", parse_slug(&self.slug));
        let zone = errors.take("zone", parse_zone(&self.zone));
        let budgets = [
            (Period::Total, "org_total", &self.org_total),
            (Period::Month, "org_month", &self.org_month),
            (Period::Week, "org_week", &self.org_week),
            (Period::Day, "org_day", &self.org_day),
        ];
        let budgets = parse_budgets(budgets, &mut errors);
        let overshoot = [Overshoot::None, Overshoot::OneRequest].map(|choice| (choice.as_str(), choice));
        let overshoot = errors.take("overshoot", one_of(&self.overshoot, &overshoot));
        let unpriced = [Unpriced::Refuse, Unpriced::Allow].map(|choice| (choice.as_str(), choice));
        let unpriced = errors.take("unpriced", one_of(&self.unpriced, &unpriced));
        let raw_days = self.raw_days.parse("raw_days", parse_raw_days, &mut errors);
        let key_prefix = self.key_prefix.trim();
        let prefix = errors.take("key_prefix", check_prefix(key_prefix));
        let every_model = errors.take("models", one_of(&self.models, &[("today", false), ("every", true)]));
        let month = self.month.parse("month", parse_budget, &mut errors);
        let rpm = self.rpm.parse("rpm", parse_count, &mut errors);
        let tpm = self.tpm.parse("tpm", parse_count, &mut errors);
        let concurrent = self.concurrent.parse("concurrent", parse_count, &mut errors);
        let days = self.days.parse("days", parse_days, &mut errors);
        let max_key_days = self.max_key_days.parse("max_key_days", parse_days, &mut errors);
        let max_keys_per_member =
            self.max_keys_per_member.parse("max_keys_per_member", parse_count, &mut errors);
        let rotate_days = match self.rotate_days.trim() {
            "" => Some(None),
            days => errors.take("rotate_days", parse_rotate_days(days)).map(Some),
        };
        let self_rotation = [("by_key", false), ("every_key", true)];
        let self_rotation = errors.take("self_rotation", one_of(&self.self_rotation, &self_rotation));
        let members_create = MembersCreate::ALL.map(|choice| (choice.as_str(), choice));
        let members_create = errors.take("members_create", one_of(&self.members_create, &members_create));
        let second_factor = [("optional", false), ("required", true)];
        let second_factor = errors.take("second_factor", one_of(&self.second_factor, &second_factor));
        let (
            Some(name),
            Some(slug),
            Some(zone),
            Some(budgets),
            Some(overshoot),
            Some(unpriced),
            Some(raw_days),
            Some(()),
            Some(every_model),
            Some(month),
            Some(rpm),
            Some(tpm),
            Some(concurrent),
            Some(days),
            Some(max_key_days),
            Some(max_keys_per_member),
            Some(rotate_days),
            Some(self_rotation),
            Some(members_create),
            Some(second_factor),
        ) = (
            name,
            slug,
            zone,
            budgets,
            overshoot,
            unpriced,
            raw_days,
            prefix,
            every_model,
            month,
            rpm,
            tpm,
            concurrent,
            days,
            max_key_days,
            max_keys_per_member,
            rotate_days,
            self_rotation,
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
            rules: OrgRules {
                max_key_days,
                max_keys_per_member,
                members_create,
                second_factor,
                rotate_days,
                self_rotation,
                overshoot,
                unpriced,
                raw_days,
            },
            defaults: KeyDefaults { every_model, month, limits: Limits { rpm, tpm, concurrent }, days },
            budgets,
        };
        settings.check()?;
        Ok(settings)
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

fn parse_raw_days(text: &str) -> Result<i64, ParseError> {
    match parse_count(text)? {
        days if (MIN_RAW_DAYS..=MAX_RAW_DAYS).contains(&days) => Ok(days),
        _ => Err(ParseError::new(format!("Enter {MIN_RAW_DAYS} to {} days.", grouped(MAX_RAW_DAYS)))),
    }
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, ParseError> {
    choices
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| ParseError::new("Choose one of these."))
}

/// Saves an organisation's settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveForm {
    /// The organisation's slug.
    pub org: String,
    /// The version that the form was drawn from.
    pub version: i64,
    /// The form as it was drawn, as JSON: what differs from it is what the person changed.
    pub was: String,
    /// The form as it was sent.
    pub settings: SettingsForm,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

impl SaveForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<EditSettings, Vec<FieldError>> {
        let base = drawn::<SettingsForm>(&self.was, "name")?.parse().ok();
        let (org, version) = (self.org.clone(), self.version);
        Ok(EditSettings { org, version, base, mine: self.settings.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::edit::Editable;
    use crate::domain::ids::OrgId;
    use crate::domain::limits::Budget;
    use crate::domain::moment::{Moment, Zone};
    use crate::domain::money::Money;
    use crate::domain::org::Org;

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
            rotate_days: Some(90),
            self_rotation: true,
            overshoot: Overshoot::None,
            unpriced: Unpriced::Allow,
            raw_days: Some(90),
        };
        strict.defaults =
            KeyDefaults { every_model: true, month: None, limits: Limits::default(), days: Some(30) };
        let budget =
            |period, dollars: i64| Budget { period, amount: Money::from_nanos(dollars * 1_000_000_000) };
        strict.budgets = vec![budget(Period::Month, 5_000), budget(Period::Day, 400)];
        assert_eq!(SettingsForm::of(&strict).parse().unwrap(), strict);
        let changed: Vec<_> =
            strict.changes_since(&settings(), &()).into_iter().map(|change| change.field).collect();
        assert_eq!(
            changed,
            [
                "org_month",
                "org_day",
                "overshoot",
                "unpriced",
                "raw_days",
                "models",
                "month",
                "rpm",
                "tpm",
                "concurrent",
                "days",
                "max_key_days",
                "max_keys_per_member",
                "rotate_days",
                "self_rotation",
                "members_create",
                "second_factor"
            ]
        );
    }

    #[test]
    fn every_mistake_is_found_at_once_beside_its_field() {
        let empty = SettingsForm::default();
        // Without a number of days there is no reminder.
        assert_eq!(wrong(&empty).len(), Settings::FIELDS.len() - 1);
        let form = SettingsForm {
            slug: "operator".into(),
            zone: "Europe/Atlantis".into(),
            key_prefix: "acme-".into(),
            days: LimitField::limit("4k"),
            max_keys_per_member: LimitField::limit(""),
            rotate_days: "3651".into(),
            raw_days: LimitField::limit("29"),
            ..form()
        };
        assert_eq!(
            wrong(&form),
            ["slug", "zone", "raw_days", "key_prefix", "days", "max_keys_per_member", "rotate_days"]
        );
    }

    #[test]
    fn the_organisations_budgets_follow_the_rules_of_all_budgets() {
        let form = SettingsForm {
            org_month: LimitField::limit("500"),
            org_day: LimitField::limit("600"),
            org_total: LimitField::limit("0"),
            ..form()
        };
        assert_eq!(wrong(&form), ["org_total", "org_day"]);
        let fine = SettingsForm { org_day: LimitField::limit("50"), org_total: LimitField::none(), ..form };
        let budgets = fine.parse().unwrap().budgets;
        assert_eq!(
            budgets.iter().map(Budget::summary).collect::<Vec<_>>(),
            ["$500.00 per month", "$50.00 per day"]
        );
    }

    #[test]
    fn new_keys_do_not_start_with_more_days_than_a_key_may_live() {
        let month = SettingsForm { max_key_days: LimitField::limit("30"), ..form() };
        assert_eq!(wrong(&month), ["days"]);
        assert_eq!(wrong(&SettingsForm { days: LimitField::none(), ..month.clone() }), ["days"]);
        assert!(SettingsForm { days: LimitField::limit("30"), ..month }.parse().is_ok());
    }
}
