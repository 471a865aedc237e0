//! What an organisation and each of its people want to be alerted of. A person's choice counts before the organisation's,
//! and that before the program's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AlertKind;
use crate::domain::parse_error::ParseError;

/// So many thresholds a list may have.
pub const MAX_THRESHOLDS: usize = 6;

/// Percents of a budget or balance, rising, each from 1 to 100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds(Vec<i64>);

impl Default for Thresholds {
    fn default() -> Self {
        Self(vec![50, 80, 95])
    }
}

impl Thresholds {
    /// Reads `50, 80 95 %`, in any order.
    ///
    /// # Errors
    /// A sentence when there is none, one is no percent, or there are too many.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("Enter whole percents from 1 to 100, such as 50, 80, 95.");
        let parts = text.split([',', ' ', ';', '%']).filter(|part| !part.is_empty());
        let mut found = parts
            .map(|part| part.parse::<i64>().ok().filter(|percent| (1..=100).contains(percent)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(wrong());
        }
        if found.len() > MAX_THRESHOLDS {
            return Err(ParseError::new(format!("Enter {MAX_THRESHOLDS} thresholds or fewer.")));
        }
        Ok(Self(found))
    }

    /// Those of both.
    pub fn with(mut self, other: &Thresholds) -> Self {
        self.0.extend(&other.0);
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// The percents, rising.
    pub fn percents(&self) -> &[i64] {
        &self.0
    }

    /// Those above `after` and up to `now`, rising.
    pub fn passed(&self, after: i64, now: i64) -> Vec<i64> {
        self.0.iter().copied().filter(|percent| *percent > after && *percent <= now).collect()
    }
}

impl std::fmt::Display for Thresholds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percents: Vec<String> = self.0.iter().map(i64::to_string).collect();
        f.write_str(&percents.join(", "))
    }
}

/// How far an alert reaches a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Not at all.
    Off,
    /// Into the inbox.
    Inbox,
    /// Into the inbox and by mail.
    Mail,
}

impl Way {
    /// Every way, in the order of forms.
    pub const ALL: [Way; 3] = [Way::Mail, Way::Inbox, Way::Off];

    /// The word in the database and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Way::Off => "off",
            Way::Inbox => "inbox",
            Way::Mail => "mail",
        }
    }

    /// Reads the word that [`Way::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == text)
    }

    /// Its name in forms.
    pub const fn label(self) -> &'static str {
        match self {
            Way::Off => "Off",
            Way::Inbox => "Inbox only",
            Way::Mail => "Inbox and mail",
        }
    }
}

/// One row of choices: a person's or the organisation's. What is missing is left to who comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// `None` is as the organisation has it.
    pub thresholds: Option<Thresholds>,
    /// By kind of alert.
    pub ways: BTreeMap<AlertKind, Way>,
}

/// An organisation's choices, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrgChoices(pub Choices);

impl OrgChoices {
    /// The percents at which budgets and balance alert.
    pub fn thresholds(&self) -> Thresholds {
        self.0.thresholds.clone().unwrap_or_default()
    }

    /// How far this kind reaches who chose nothing. Rejections can be many, and people see them on the key's page.
    pub fn way(&self, kind: AlertKind) -> Way {
        self.0.ways.get(&kind).copied().unwrap_or(match kind {
            AlertKind::Rejections => Way::Inbox,
            _ => Way::Mail,
        })
    }

    /// How far an alert reaches a person with these choices, who is told of it when they want one of the thresholds that
    /// were passed.
    pub fn way_for(&self, own: &Choices, kind: AlertKind, passed: &[i64]) -> Way {
        if matches!(kind, AlertKind::Budget | AlertKind::Balance) {
            let thresholds = own.thresholds.clone().unwrap_or_else(|| self.thresholds());
            if !passed.iter().any(|percent| thresholds.percents().contains(percent)) {
                return Way::Off;
            }
        }
        own.ways.get(&kind).copied().unwrap_or_else(|| self.way(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_as_people_write_them() {
        let read = |text: &str| Thresholds::parse(text).map(|found| found.to_string()).ok();
        assert_eq!(read("95 %, 50 80").as_deref(), Some("50, 80, 95"));
        assert_eq!(read("80,80").as_deref(), Some("80"));
        for wrong in ["", "0", "101", "half", "-5", "1 2 3 4 5 6 7"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Thresholds::default().passed(50, 90), [80]);
        assert_eq!(Thresholds::default().passed(0, 100), [50, 80, 95]);
    }

    #[test]
    fn a_persons_choice_counts_before_the_organisations() {
        let mut org = OrgChoices::default();
        let mut own = Choices::default();
        assert_eq!(org.way_for(&own, AlertKind::Budget, &[80]), Way::Mail);
        assert_eq!(org.way_for(&own, AlertKind::Budget, &[60]), Way::Off, "no one wants 60");
        org.0.ways.insert(AlertKind::Budget, Way::Off);
        assert_eq!(org.way_for(&own, AlertKind::Budget, &[80]), Way::Off);
        own.ways.insert(AlertKind::Budget, Way::Inbox);
        own.thresholds = Thresholds::parse("60").ok();
        assert_eq!(org.way_for(&own, AlertKind::Budget, &[60, 80]), Way::Inbox);
        assert_eq!(org.way_for(&own, AlertKind::Budget, &[80]), Way::Off);
        assert_eq!(org.way_for(&own, AlertKind::Expiry, &[7]), Way::Mail, "days are no thresholds");
    }
}
