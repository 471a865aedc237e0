//! What an organisation decides about itself, field by field: as people read it, and what of it changed. How a browser
//! sends it is in `forms::settings`.

use super::audit::{Change, ChangeValue, Choice};
use super::bounds::budget_of;
use super::field_error::FieldError;
use super::limits::Budget;
use super::moment::Zone;
use super::money::Money;
use super::numbers::grouped;
use super::org::{KeyDefaults, Org, OrgRules};
use super::parse_error::ParseError;
use super::window::Period;

/// Ten years: what a date in the form of a key may be ahead.
pub const MAX_DAYS: i64 = 3_660;

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
    Concurrent,
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
        Setting::Concurrent,
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
            Setting::Concurrent => "concurrent",
            Setting::Days => "days",
            Setting::KeyDaysMost => "max_key_days",
            Setting::KeysPerMember => "max_keys_per_member",
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

    pub fn of_period(word: &str) -> Setting {
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

    pub fn budget(&self, setting: Setting) -> Option<Money> {
        setting.period().and_then(|period| budget_of(&self.budgets, period))
    }

    /// One field as the audit stores it; `audit_words::value` has the words.
    pub fn value(&self, setting: Setting) -> ChangeValue {
        match setting {
            Setting::Name => self.name.as_str().into(),
            Setting::Slug => self.slug.as_str().into(),
            Setting::Zone => self.zone.name().into(),
            Setting::OrgMonth | Setting::OrgWeek | Setting::OrgDay | Setting::OrgTotal => {
                ChangeValue::Budget(self.budget(setting))
            }
            Setting::KeyPrefix => self.key_prefix.as_str().into(),
            Setting::Models if self.defaults.every_model => Choice::EveryModel.into(),
            Setting::Models => Choice::CurrentModels.into(),
            Setting::Month => ChangeValue::Budget(self.defaults.month),
            Setting::Rpm => ChangeValue::Limit(self.defaults.limits.rpm),
            Setting::Tpm => ChangeValue::Limit(self.defaults.limits.tpm),
            Setting::Concurrent => ChangeValue::Limit(self.defaults.limits.concurrent),
            Setting::Days => ChangeValue::Days(self.defaults.days),
            Setting::KeyDaysMost => ChangeValue::Days(self.rules.max_key_days),
            Setting::KeysPerMember => ChangeValue::Limit(self.rules.max_keys_per_member),
            Setting::MembersCreate => Choice::from(self.rules.members_create).into(),
            Setting::SecondFactor if self.rules.second_factor => Choice::Required.into(),
            Setting::SecondFactor => Choice::Optional.into(),
        }
    }

    /// What is read is exact, so two values that read alike are one.
    pub fn differs(&self, other: &Settings, setting: Setting) -> bool {
        self.value(setting) != other.value(setting)
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
            Setting::Concurrent => self.defaults.limits.concurrent = from.defaults.limits.concurrent,
            Setting::Days => self.defaults.days = from.defaults.days,
            Setting::KeyDaysMost => self.rules.max_key_days = from.rules.max_key_days,
            Setting::KeysPerMember => self.rules.max_keys_per_member = from.rules.max_keys_per_member,
            Setting::MembersCreate => self.rules.members_create = from.rules.members_create,
            Setting::SecondFactor => self.rules.second_factor = from.rules.second_factor,
        }
    }

    /// The audit's before and after, field by field, of what changed from `before` to this.
    pub fn changes_since(&self, before: &Settings) -> Vec<Change> {
        Setting::ALL
            .into_iter()
            .filter(|setting| self.differs(before, *setting))
            .map(|setting| Change::replaced(setting.as_str(), before.value(setting), self.value(setting)))
            .collect()
    }

    /// What two fields must not say together.
    pub fn check(&self) -> Result<(), Vec<FieldError>> {
        let Some(max) = self.rules.max_key_days else { return Ok(()) };
        let days = match max {
            1 => "1 day".to_owned(),
            max => format!("{} days", grouped(max)),
        };
        let sentence = match self.defaults.days {
            None => {
                format!("Keys can't last longer than {days}, so new keys must expire. Enter {days} or fewer.")
            }
            Some(default) if default > max => {
                format!("Keys can't last longer than {days}. Enter {days} or fewer.")
            }
            Some(_) => return Ok(()),
        };
        Err(vec![FieldError::new(Setting::Days.as_str(), ParseError::new(sentence))])
    }
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
