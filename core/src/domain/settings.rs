//! What an organisation decides about itself, field by field: as people read it, and what of it changed. How a browser
//! sends it is in `forms::settings`.

use super::audit::{ChangeValue, Choice};
use super::audit_words;
use super::bounds::budget_of;
use super::edit::{EditField, Editable, edit_field};
use super::field_error::FieldError;
use super::limits::Budget;
use super::moment::Zone;
use super::org::{KeyDefaults, Org, OrgRules, Overshoot, Unpriced};
use super::parse_error::ParseError;
use super::window::Period;

/// Ten years: what a date in the form of a key may be ahead.
pub const MAX_DAYS: i64 = 3_660;

/// The fewest days that single requests are kept: a month's report can still be told by them.
pub const MIN_RAW_DAYS: i64 = 30;
/// The most.
pub const MAX_RAW_DAYS: i64 = 3_650;

/// Everything on the page of settings, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The organisation's name.
    pub name: String,
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// Budgets' windows turn and days end in this zone.
    pub zone: Zone,
    /// What the secrets of new keys begin with.
    pub key_prefix: String,
    /// What it requires of its keys and people.
    pub rules: OrgRules,
    /// What the form of a new key is filled in with.
    pub defaults: KeyDefaults,
    /// What all its keys may spend together, the longest period first.
    pub budgets: Vec<Budget>,
}

/// A change of settings.
#[derive(Clone, Debug)]
pub struct EditSettings {
    /// The organisation's slug.
    pub org: String,
    /// The version that the person saw.
    pub version: i64,
    /// The settings as the person saw them; `None` is as they stand now.
    pub base: Option<Settings>,
    /// The settings as the person submitted them.
    pub mine: Settings,
}

impl Settings {
    /// The settings as they stand; `budgets` are the organisation's own.
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

    /// What two fields must not say together.
    ///
    /// # Errors
    /// When new keys would never expire, or would last longer than `max_key_days`; on the field `days`.
    pub fn check(&self) -> Result<(), Vec<FieldError>> {
        let Some(max) = self.rules.max_key_days else { return Ok(()) };
        let days = audit_words::value(&ChangeValue::Days(Some(max)), &self.zone);
        let sentence = match self.defaults.days {
            None => {
                format!("Keys can't last longer than {days}, so new keys must expire. Enter {days} or fewer.")
            }
            Some(default) if default > max => {
                format!("Keys can't last longer than {days}. Enter {days} or fewer.")
            }
            Some(_) => return Ok(()),
        };
        Err(vec![FieldError::new("days", ParseError::new(sentence))])
    }
}

/// The organisation's own budget of one period.
macro_rules! own_budget {
    ($name:literal, $period:expr) => {
        EditField {
            name: $name,
            differs: |a: &Settings, b: &Settings| {
                budget_of(&a.budgets, $period) != budget_of(&b.budgets, $period)
            },
            take: |to: &mut Settings, from: &Settings| {
                to.budgets.retain(|budget| budget.period != $period);
                to.budgets.extend(from.budgets.iter().filter(|budget| budget.period == $period));
                to.budgets.sort_by_key(|budget| budget.period.rank());
            },
            value: |own: &Settings, _| ChangeValue::Budget(budget_of(&own.budgets, $period)),
        }
    };
}

impl Editable for Settings {
    type Names = ();

    const FIELDS: &'static [EditField<Self>] = &[
        edit_field!("name", name, |own, _| own.name.as_str().into()),
        edit_field!("slug", slug, |own, _| own.slug.as_str().into()),
        edit_field!("zone", zone, |own, _| own.zone.name().into()),
        own_budget!("org_month", Period::Month),
        own_budget!("org_week", Period::Week),
        own_budget!("org_day", Period::Day),
        own_budget!("org_total", Period::Total),
        edit_field!("overshoot", rules.overshoot, |own, _| match own.rules.overshoot {
            Overshoot::None => Choice::NoOvershoot.into(),
            Overshoot::OneRequest => Choice::OneRequestMore.into(),
        }),
        edit_field!("unpriced", rules.unpriced, |own, _| match own.rules.unpriced {
            Unpriced::Refuse => Choice::RefuseUnpriced.into(),
            Unpriced::Allow => Choice::AllowUnpriced.into(),
        }),
        edit_field!("raw_days", rules.raw_days, |own, _| {
            own.rules.raw_days.map_or(Choice::Forever.into(), |days| ChangeValue::Days(Some(days)))
        }),
        edit_field!("key_prefix", key_prefix, |own, _| own.key_prefix.as_str().into()),
        edit_field!("models", defaults.every_model, |own, _| match own.defaults.every_model {
            true => Choice::EveryModel.into(),
            false => Choice::CurrentModels.into(),
        }),
        edit_field!("month", defaults.month, |own, _| ChangeValue::Budget(own.defaults.month)),
        edit_field!("rpm", defaults.limits.rpm, |own, _| ChangeValue::Limit(own.defaults.limits.rpm)),
        edit_field!("tpm", defaults.limits.tpm, |own, _| ChangeValue::Limit(own.defaults.limits.tpm)),
        edit_field!("concurrent", defaults.limits.concurrent, |own, _| ChangeValue::Limit(
            own.defaults.limits.concurrent
        )),
        edit_field!("days", defaults.days, |own, _| ChangeValue::Days(own.defaults.days)),
        edit_field!("max_key_days", rules.max_key_days, |own, _| ChangeValue::Days(own.rules.max_key_days)),
        edit_field!("max_keys_per_member", rules.max_keys_per_member, |own, _| ChangeValue::Limit(
            own.rules.max_keys_per_member
        )),
        edit_field!("rotate_days", rules.rotate_days, |own, _| {
            own.rules.rotate_days.map_or(Choice::NoReminder.into(), |days| ChangeValue::Days(Some(days)))
        }),
        edit_field!("self_rotation", rules.self_rotation, |own, _| match own.rules.self_rotation {
            true => Choice::Allowed.into(),
            false => Choice::ByKey.into(),
        }),
        edit_field!("members_create", rules.members_create, |own, _| {
            Choice::from(own.rules.members_create).into()
        }),
        edit_field!("second_factor", rules.second_factor, |own, _| match own.rules.second_factor {
            true => Choice::Required.into(),
            false => Choice::Optional.into(),
        }),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrgId;
    use crate::domain::moment::Moment;
    use crate::domain::money::Money;

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
        for field in Settings::FIELDS {
            let mut taken = settings();
            (field.take)(&mut taken, &other);
            assert!(!(field.differs)(&taken, &other), "{}", field.name);
        }
    }
}
