//! The forms that ask for more and that answer, as a browser sends them, parsed into commands.

use serde::{Deserialize, Serialize};

use super::key::MAX_NAME;
use super::parts::Take;
use crate::domain::ask::{AskForBudget, AskForKey, GrantAsk, MAX_REASON, Until};
use crate::domain::field_error::FieldError;
use crate::domain::ids::TeamId;
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::Day;
use crate::domain::money::{Money, parse_budget};
use crate::domain::parse_error::ParseError;
use crate::domain::person::{visible_name, visible_text};
use crate::domain::window::Period;

const A_DAY: &str = "Choose a day, such as 2027-01-31.";

/// `$50`, and also `+$50`.
fn more(text: &str) -> Result<Money, ParseError> {
    let text = text.trim();
    match text.strip_prefix('+').unwrap_or(text) {
        "" => Err(ParseError::new("Enter how much more, such as 50.")),
        text => parse_budget(text),
    }
}

fn day(text: &str) -> Result<Day, ParseError> {
    Day::parse(text.trim()).ok_or(ParseError::new(A_DAY))
}

/// Asks for more of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub key: String,
    /// Whose budget and which: `key-month`, `team-week`.
    pub budget: String,
    /// Dollars.
    pub amount: String,
    /// `reset` or `date`; of a budget that never resets it is always a day.
    pub until: String,
    /// The last day, such as 2027-01-31; read only for a day.
    pub until_on: String,
    /// Why.
    pub reason: String,
}

/// The value of [`AskForm::budget`].
pub fn budget_word(holder: HolderKind, period: Period) -> String {
    format!("{}-{}", holder.as_str(), period.as_str())
}

impl AskForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<AskForBudget, Vec<FieldError>> {
        let mut errors = Vec::new();
        let budget = self.budget.split_once('-');
        let budget = budget.and_then(|(kind, period)| HolderKind::parse(kind).zip(Period::parse(period)));
        let budget = errors.take("budget", budget.ok_or(ParseError::new("Choose a budget from the list.")));
        let amount = errors.take("amount", more(&self.amount));
        let never_resets = matches!(budget, Some((_, Period::Total)));
        let until = match self.until.as_str() {
            "reset" if never_resets && self.until_on.is_empty() => {
                errors.take("until", Err(ParseError::new("This budget never resets. Choose the last day.")))
            }
            "reset" if !never_resets => Some(Until::Reset),
            "reset" | "date" => errors.take("until", day(&self.until_on)).map(Until::Day),
            _ => errors.take("until", Err(ParseError::new("Choose until when."))),
        };
        let reason = errors.take("reason", visible_name(&self.reason, "Reason", MAX_REASON));
        match (budget, amount, until, reason) {
            (Some((holder, period)), Some(amount), Some(until), Some(reason)) => {
                let (org, key) = (self.org.clone(), self.key.clone());
                Ok(AskForBudget { org, key, holder, period, amount, until, reason })
            }
            _ => Err(errors),
        }
    }
}

/// Asks for a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskKeyForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's name.
    pub name: String,
    /// A team's id; empty is no team.
    pub team: String,
    /// Dollars per month; may be empty.
    pub amount: String,
    /// Why.
    pub reason: String,
}

impl AskKeyForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<AskForKey, Vec<FieldError>> {
        let mut errors = Vec::new();
        let name = errors.take("name", visible_name(&self.name, "Name", MAX_NAME));
        let team = match self.team.as_str() {
            "" => Some(None),
            team => {
                let parsed = TeamId::parse(team).ok_or(ParseError::new("Choose a team from the list."));
                errors.take("team", parsed).map(Some)
            }
        };
        let month = match self.amount.trim() {
            "" => Some(None),
            amount => errors.take("amount", parse_budget(amount)).map(Some),
        };
        let reason = errors.take("reason", visible_name(&self.reason, "Reason", MAX_REASON));
        match (name, team, month, reason) {
            (Some(name), Some(team), Some(month), Some(reason)) => {
                Ok(AskForKey { org: self.org.clone(), name, team, month, reason })
            }
            _ => Err(errors),
        }
    }
}

/// Grants an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrantForm {
    /// The organisation's slug.
    pub org: String,
    /// The ask's id.
    pub id: String,
    /// Dollars; empty is as much as is asked for.
    pub amount: String,
    /// `asked` or `date`; empty is as asked.
    pub until: String,
    /// The last day, such as 2027-01-31; read only when `until` is `date`.
    pub until_on: String,
    /// What the answer says; may be empty.
    pub note: String,
}

impl GrantForm {
    /// # Errors
    /// Every mistake in the form at once.
    pub fn parse(&self) -> Result<GrantAsk, Vec<FieldError>> {
        let mut errors = Vec::new();
        let amount = match self.amount.trim() {
            "" => Some(None),
            amount => errors.take("amount", more(amount)).map(Some),
        };
        let until = match self.until.as_str() {
            "" | "asked" => Some(None),
            "date" => errors.take("until", day(&self.until_on)).map(Some),
            _ => errors.take("until", Err(ParseError::new("Choose until when."))),
        };
        let note = errors.take("note", visible_text(&self.note, "Answer", MAX_REASON));
        match (amount, until, note) {
            (Some(amount), Some(until), Some(note)) => {
                Ok(GrantAsk { org: self.org.clone(), id: self.id.clone(), amount, until, note })
            }
            _ => Err(errors),
        }
    }
}

/// Refuses an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefuseForm {
    /// The organisation's slug.
    pub org: String,
    /// The ask's id.
    pub id: String,
    /// Why; the person who asked reads it.
    pub why: String,
}

impl RefuseForm {
    /// # Errors
    /// When the reason is missing, too long or has characters that are not shown.
    pub fn parse(&self) -> Result<String, Vec<FieldError>> {
        let mut errors = Vec::new();
        let why = errors.take("why", visible_name(&self.why, "Reason", MAX_REASON));
        why.ok_or(errors)
    }
}

/// Withdraws an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskRef {
    /// The organisation's slug.
    pub org: String,
    /// The ask's id.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_found_at_once() {
        let fields =
            |errors: Vec<FieldError>| errors.into_iter().map(|error| error.field).collect::<Vec<_>>();
        assert_eq!(fields(AskForm::default().parse().unwrap_err()), ["budget", "amount", "until", "reason"]);
        let form = AskForm {
            budget: "team-month".into(),
            amount: "+$50".into(),
            until: "date".into(),
            until_on: "2026-11-27".into(),
            reason: "Backfill".into(),
            ..AskForm::default()
        };
        let parsed = form.parse().unwrap();
        assert_eq!((parsed.holder, parsed.period), (HolderKind::Team, Period::Month));
        assert_eq!(parsed.amount, Money::from_nanos(50_000_000_000));
        assert_eq!(
            fields(AskForm { until_on: "Friday".into(), ..form.clone() }.parse().unwrap_err()),
            ["until"]
        );
        assert_eq!(fields(AskKeyForm::default().parse().unwrap_err()), ["name", "reason"]);
        assert_eq!(fields(RefuseForm::default().parse().unwrap_err()), ["why"]);
    }

    #[test]
    fn more_of_a_budget_that_never_resets_is_asked_for_until_a_day() {
        let ask = |budget: &str, until_on: &str| {
            let form = AskForm {
                budget: budget.into(),
                amount: "50".into(),
                until: "reset".into(),
                until_on: until_on.into(),
                reason: "Backfill".into(),
                ..AskForm::default()
            };
            form.parse().map(|ask| ask.until)
        };
        let friday = Until::Day(Day::parse("2026-11-27").unwrap());
        assert_eq!(ask("key-total", "2026-11-27").unwrap(), friday);
        let sentence = |errors: Vec<FieldError>| errors[0].problem.to_string();
        let none = sentence(ask("key-total", "").unwrap_err());
        assert!(none.contains("This budget never resets. Choose the last day."), "{none}");
        // A day that was typed before the choice went back to the reset is not meant.
        assert_eq!(ask("key-week", "2026-11-27").unwrap(), Until::Reset);
    }
}
