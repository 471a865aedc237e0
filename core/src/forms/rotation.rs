//! The forms of a rotation: text as it was typed, and the grace period that it becomes.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::field_error::FieldError;
use crate::domain::moment::Day;
use crate::domain::parse_error::ParseError;
use crate::domain::reauth::Reauth;
use crate::domain::rotation::{GracePeriod, MAX_GRACE_HOURS};

/// How long the previous secret goes on, as a form has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraceField {
    /// `now`, `1`, `24` or `168` hours, `date`, or `use`.
    pub mode: String,
    /// A day such as 2027-01-31, with the mode `date`.
    pub date: String,
    /// Hours after the first use, with the mode `use`.
    pub hours: String,
}

impl Default for GraceField {
    /// A day, which is what most people need.
    fn default() -> Self {
        Self { mode: "24".into(), date: String::new(), hours: "24".into() }
    }
}

impl GraceField {
    /// # Errors
    /// A sentence for the field `grace`, or `hours`.
    pub fn parse(&self) -> Result<GracePeriod, Vec<FieldError>> {
        let mut errors = Vec::new();
        let grace = match self.mode.as_str() {
            "now" => Some(GracePeriod::None),
            "1" => Some(GracePeriod::Hours(1)),
            "24" => Some(GracePeriod::Hours(24)),
            "168" => Some(GracePeriod::Hours(168)),
            "date" => {
                let day = Day::parse(self.date.trim())
                    .ok_or_else(|| ParseError::new("Choose a day, such as 2027-01-31."));
                errors.take("grace", day).map(GracePeriod::Until)
            }
            "use" => {
                let hours =
                    self.hours.trim().parse().ok().filter(|hours| (1..=MAX_GRACE_HOURS).contains(hours));
                let hours =
                    hours.ok_or_else(|| ParseError::new("Enter a whole number of hours from 1 to 720."));
                errors.take("hours", hours).map(GracePeriod::HoursAfterFirstUse)
            }
            _ => errors.take("grace", Err(ParseError::new("Choose when the previous secret ends."))),
        };
        grace.ok_or(errors)
    }
}

/// Rotates a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RotateForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The id of the secret that the form was drawn with as the current one.
    pub from: String,
    /// When that one ends.
    pub grace: GraceField,
    /// Ids of the keys that are rotated one after the other, with dots between them; empty for a single key.
    pub of: String,
    /// Asked for with another person's key.
    pub reauth: Reauth,
}

/// Gives the previous secret another end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtendForm {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The previous secret's id.
    pub secret: String,
    /// When it ends.
    pub grace: GraceField,
    /// Asked for with another person's key.
    pub reauth: Reauth,
}

/// Names a key's previous secret, to end it or to go back to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretRef {
    /// The organisation's slug.
    pub org: String,
    /// The key's id.
    pub id: String,
    /// The previous secret's id.
    pub secret: String,
    /// Asked for with another person's key.
    pub reauth: Reauth,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mode: &str, date: &str, hours: &str) -> Result<GracePeriod, Vec<String>> {
        let field = GraceField { mode: mode.into(), date: date.into(), hours: hours.into() };
        field.parse().map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn each_choice_is_a_grace_period() {
        assert_eq!(GraceField::default().parse().unwrap(), GracePeriod::Hours(24));
        assert_eq!(parse("now", "", ""), Ok(GracePeriod::None));
        assert_eq!(parse("168", "x", "x"), Ok(GracePeriod::Hours(168)));
        assert_eq!(
            parse("date", "2027-01-31", ""),
            Ok(GracePeriod::Until(Day::parse("2027-01-31").unwrap()))
        );
        assert_eq!(parse("use", "", " 2 "), Ok(GracePeriod::HoursAfterFirstUse(2)));
        assert_eq!(parse("date", "soon", ""), Err(vec!["grace".into()]));
        assert_eq!(parse("", "", ""), Err(vec!["grace".into()]));
        for hours in ["", "0", "721", "1.5", "many"] {
            assert_eq!(parse("use", "", hours), Err(vec!["hours".into()]), "{hours}");
        }
    }
}
