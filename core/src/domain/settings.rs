//! What an organisation decides about itself, and the form in which it does: as a browser sends it (text), and its
//! parsing into `Settings`. Every mistake is found in one pass, each with a sentence for its own field.

use serde::{Deserialize, Serialize};

use super::audit::Change;
use super::bounds::budget_of;
use super::form_parts::{Take, parse_budgets};
use super::key_form::{FieldError, refuse_secret};
use super::key_format::check_prefix;
use super::limits::{Budget, Limits, grouped, parse_count};
use super::moment::Zone;
use super::money::{Money, parse_budget};
use super::org::{KeyDefaults, Org, OrgRules};
use super::person::{parse_slug, visible_name};
use super::policy::MembersCreate;
use super::problem::Problem;
use super::window::Period;

pub const ORG_NAME_MOST: usize = 100;
/// Ten years: what a date in the form of a key may be ahead.
pub const DAYS_MOST: i64 = 3_660;

/// Everything on the page of settings, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub slug: String,
    pub zone: Zone,
    pub key_prefix: String,
    pub rules: OrgRules,
    pub defaults: KeyDefaults,
    /// What all its keys may spend together, the longest period first.
    pub budgets: Vec<Budget>,
}

/// The fields. The word is the form field's name and the audit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    Name,
    Slug,
    Zone,
    OrgMonth,
    OrgWeek,
    OrgDay,
    OrgTotal,
    KeyPrefix,
    Models,
    Month,
    Rpm,
    Tpm,
    Parallel,
    Days,
    KeyDaysMost,
    KeysPerMember,
    MembersCreate,
    SecondFactor,
}

impl Setting {
    pub const ALL: [Setting; 18] = [
        Setting::Name,
        Setting::Slug,
        Setting::Zone,
        Setting::OrgMonth,
        Setting::OrgWeek,
        Setting::OrgDay,
        Setting::OrgTotal,
        Setting::KeyPrefix,
        Setting::Models,
        Setting::Month,
        Setting::Rpm,
        Setting::Tpm,
        Setting::Parallel,
        Setting::Days,
        Setting::KeyDaysMost,
        Setting::KeysPerMember,
        Setting::MembersCreate,
        Setting::SecondFactor,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Setting::Name => "name",
            Setting::Slug => "slug",
            Setting::Zone => "zone",
            Setting::OrgMonth => "org_month",
            Setting::OrgWeek => "org_week",
            Setting::OrgDay => "org_day",
            Setting::OrgTotal => "org_total",
            Setting::KeyPrefix => "key_prefix",
            Setting::Models => "models",
            Setting::Month => "month",
            Setting::Rpm => "rpm",
            Setting::Tpm => "tpm",
            Setting::Parallel => "parallel",
            Setting::Days => "days",
            Setting::KeyDaysMost => "key_days_most",
            Setting::KeysPerMember => "keys_per_member",
            Setting::MembersCreate => "members_create",
            Setting::SecondFactor => "second_factor",
        }
    }

    /// The period of an organisation's own budget.
    pub fn period(self) -> Option<Period> {
        match self {
            Setting::OrgMonth => Some(Period::Month),
            Setting::OrgWeek => Some(Period::Week),
            Setting::OrgDay => Some(Period::Day),
            Setting::OrgTotal => Some(Period::Total),
            _ => None,
        }
    }

    fn of_period(word: &str) -> Setting {
        let budgets = [Setting::OrgMonth, Setting::OrgWeek, Setting::OrgDay];
        let found = budgets
            .into_iter()
            .find(|setting| setting.period().is_some_and(|period| period.as_str() == word));
        found.unwrap_or(Setting::OrgTotal)
    }
}

impl Settings {
    pub fn of(org: &Org, budgets: Vec<Budget>) -> Self {
        Self {
            name: org.name.clone(),
            slug: org.slug.clone(),
            zone: org.zone.clone(),
            key_prefix: org.key_prefix.clone(),
            rules: org.rules.clone(),
            defaults: org.defaults.clone(),
            budgets,
        }
    }

    fn budget(&self, setting: Setting) -> Option<Money> {
        setting.period().and_then(|period| budget_of(&self.budgets, period))
    }

    /// One field as people read it, for conflicts and the audit.
    pub fn reads(&self, setting: Setting) -> String {
        let count = |limit: Option<i64>| limit.map_or("No limit".into(), grouped);
        let days = |days: Option<i64>| match days {
            None => "No limit".to_owned(),
            Some(1) => "1 day".into(),
            Some(days) => format!("{} days", grouped(days)),
        };
        match setting {
            Setting::Name => self.name.clone(),
            Setting::Slug => self.slug.clone(),
            Setting::Zone => self.zone.name().to_owned(),
            Setting::OrgMonth | Setting::OrgWeek | Setting::OrgDay | Setting::OrgTotal => {
                self.budget(setting).map_or("No limit".into(), exact)
            }
            Setting::KeyPrefix => self.key_prefix.clone(),
            Setting::Models if self.defaults.every_model => "Every model".into(),
            Setting::Models => "Today's models".into(),
            Setting::Month => self.defaults.month.map_or("No limit".into(), exact),
            Setting::Rpm => count(self.defaults.limits.rpm),
            Setting::Tpm => count(self.defaults.limits.tpm),
            Setting::Parallel => count(self.defaults.limits.parallel),
            Setting::Days => days(self.defaults.days),
            Setting::KeyDaysMost => days(self.rules.key_days_most),
            Setting::KeysPerMember => count(self.rules.keys_per_member),
            Setting::MembersCreate => match self.rules.members_create {
                MembersCreate::No => "No",
                MembersCreate::InTeams => "In their teams",
                MembersCreate::Anywhere => "Also without a team",
            }
            .into(),
            Setting::SecondFactor if self.rules.second_factor => "Required".into(),
            Setting::SecondFactor => "Optional".into(),
        }
    }

    /// What is read is exact, so two values that read alike are one.
    pub fn differs(&self, other: &Settings, setting: Setting) -> bool {
        self.reads(setting) != other.reads(setting)
    }

    /// Takes one field over from other settings.
    pub fn take(&mut self, from: &Settings, setting: Setting) {
        match setting {
            Setting::Name => self.name.clone_from(&from.name),
            Setting::Slug => self.slug.clone_from(&from.slug),
            Setting::Zone => self.zone.clone_from(&from.zone),
            Setting::OrgMonth | Setting::OrgWeek | Setting::OrgDay | Setting::OrgTotal => {
                let period = setting.period();
                self.budgets.retain(|budget| Some(budget.period) != period);
                self.budgets.extend(from.budgets.iter().filter(|budget| Some(budget.period) == period));
                self.budgets.sort_by_key(|budget| budget.period.rank());
            }
            Setting::KeyPrefix => self.key_prefix.clone_from(&from.key_prefix),
            Setting::Models => self.defaults.every_model = from.defaults.every_model,
            Setting::Month => self.defaults.month = from.defaults.month,
            Setting::Rpm => self.defaults.limits.rpm = from.defaults.limits.rpm,
            Setting::Tpm => self.defaults.limits.tpm = from.defaults.limits.tpm,
            Setting::Parallel => self.defaults.limits.parallel = from.defaults.limits.parallel,
            Setting::Days => self.defaults.days = from.defaults.days,
            Setting::KeyDaysMost => self.rules.key_days_most = from.rules.key_days_most,
            Setting::KeysPerMember => self.rules.keys_per_member = from.rules.keys_per_member,
            Setting::MembersCreate => self.rules.members_create = from.rules.members_create,
            Setting::SecondFactor => self.rules.second_factor = from.rules.second_factor,
        }
    }

    /// The audit's before and after, field by field, of what changed from `before` to this.
    pub fn changes_since(&self, before: &Settings) -> Vec<Change> {
        Setting::ALL
            .into_iter()
            .filter(|setting| self.differs(before, *setting))
            .map(|setting| Change {
                field: setting.as_str().into(),
                before: Some(before.reads(setting)),
                after: Some(self.reads(setting)),
            })
            .collect()
    }

    /// What two fields must not say together.
    fn check(&self) -> Result<(), Vec<FieldError>> {
        let Some(most) = self.rules.key_days_most else { return Ok(()) };
        let days = self.reads(Setting::KeyDaysMost);
        let sentence = match self.defaults.days {
            None => format!(
                "No key may live longer than {days}, so new ones cannot start without an end. Type {days} or fewer."
            ),
            Some(default) if default > most => {
                format!("That is longer than the {days} that a key may live. Type {days} or fewer.")
            }
            Some(_) => return Ok(()),
        };
        Err(vec![FieldError::new(Setting::Days.as_str(), Problem::new(sentence))])
    }
}

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
    pub parallel_mode: String,
    pub parallel: String,
    pub days_mode: String,
    pub days: String,
    pub key_days_most_mode: String,
    pub key_days_most: String,
    pub keys_per_member_mode: String,
    pub keys_per_member: String,
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
        let (parallel_mode, parallel) = count(defaults.limits.parallel);
        let (days_mode, days) = count(defaults.days);
        let (key_days_most_mode, key_days_most) = count(rules.key_days_most);
        let (keys_per_member_mode, keys_per_member) = count(rules.keys_per_member);
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
            parallel_mode,
            parallel,
            days_mode,
            days,
            key_days_most_mode,
            key_days_most,
            keys_per_member_mode,
            keys_per_member,
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
            Setting::Parallel => (&self.parallel_mode, &self.parallel),
            Setting::Days => (&self.days_mode, &self.days),
            Setting::KeyDaysMost => (&self.key_days_most_mode, &self.key_days_most),
            _ => (&self.keys_per_member_mode, &self.keys_per_member),
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
        let parallel = self.parse_pair(&mut errors, Setting::Parallel, parse_count);
        let days = self.parse_pair(&mut errors, Setting::Days, parse_days);
        let key_days_most = self.parse_pair(&mut errors, Setting::KeyDaysMost, parse_days);
        let keys_per_member = self.parse_pair(&mut errors, Setting::KeysPerMember, parse_count);
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
            Some(parallel),
            Some(days),
            Some(key_days_most),
            Some(keys_per_member),
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
            parallel,
            days,
            key_days_most,
            keys_per_member,
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
            rules: OrgRules { key_days_most, keys_per_member, members_create, second_factor },
            defaults: KeyDefaults { every_model, month, limits: Limits { rpm, tpm, parallel }, days },
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
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        let (mode, value) = self.pair(setting);
        let parsed = match (mode, value.trim()) {
            // The value's field is hidden then; what still stands in it is not meant.
            ("none", _) => Ok(None),
            ("limit", "") => Err(Problem::new("Type a value, or choose No limit.")),
            ("limit", value) => parse(value).map(Some),
            _ => Err(Problem::new("Choose No limit or a value.")),
        };
        errors.take(setting.as_str(), parsed)
    }
}

/// `$5,000.00`, or every decimal where that would round.
fn exact(amount: Money) -> String {
    let shown = amount.to_string();
    if Money::parse(&shown) == Ok(amount) { shown } else { format!("${}", amount.input()) }
}

/// An organisation's name, which stands on every page of it.
pub fn parse_org_name(text: &str) -> Result<String, Problem> {
    visible_name(text, "Name", ORG_NAME_MOST).and_then(refuse_secret)
}

/// The zone of an IANA name.
pub fn parse_zone(text: &str) -> Result<Zone, Problem> {
    Zone::parse(text.trim())
        .ok_or_else(|| Problem::new("This time zone is not known. Write it as Europe/Zurich or UTC."))
}

fn parse_days(text: &str) -> Result<i64, Problem> {
    match parse_count(text)? {
        days if days <= DAYS_MOST => Ok(days),
        _ => Err(Problem::new(format!(
            "That is more than ten years. Type {} days or fewer.",
            grouped(DAYS_MOST)
        ))),
    }
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
    choices
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| Problem::new("Choose one of these."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrgId;
    use crate::domain::moment::Moment;

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
            key_days_most: Some(365),
            keys_per_member: Some(1_200),
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
                "parallel",
                "days",
                "key_days_most",
                "keys_per_member",
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
            keys_per_member_mode: "limit".into(),
            ..form()
        };
        assert_eq!(wrong(&form), ["slug", "zone", "key_prefix", "days", "keys_per_member"]);
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
        let month = SettingsForm { key_days_most_mode: "limit".into(), key_days_most: "30".into(), ..form() };
        assert_eq!(wrong(&month), ["days"]);
        assert_eq!(wrong(&SettingsForm { days_mode: "none".into(), ..month.clone() }), ["days"]);
        assert!(SettingsForm { days: "30".into(), ..month }.parse().is_ok());
    }

    #[test]
    fn taking_a_field_over_makes_it_the_same() {
        let mut other = settings();
        other.rules.second_factor = true;
        other.name = "Other".into();
        other.budgets = vec![Budget { period: Period::Week, amount: Money::from_nanos(1) }];
        for setting in Setting::ALL {
            let mut taken = settings();
            taken.take(&other, setting);
            assert!(!taken.differs(&other, setting), "{setting:?}");
        }
    }
}
