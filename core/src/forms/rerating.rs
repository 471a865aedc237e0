//! The form of a re-rating: which past requests of a model, and the price that they are to cost.

use serde::{Deserialize, Serialize};

use super::parts::Take;
use crate::domain::field_error::FieldError;
use crate::domain::moment::Moment;
use crate::domain::parse_error::ParseError;
use crate::domain::rerating::{parse_from, parse_to};

/// Text as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RerateForm {
    /// The model's id.
    pub id: String,
    /// A day in UTC, or a moment.
    pub from: String,
    /// A day in UTC, which is included, or a moment, which is not.
    pub to: String,
    /// The id of a price of the model.
    pub at: String,
}

impl RerateForm {
    /// Whether anything is asked yet.
    pub fn is_empty(&self) -> bool {
        self.from.is_empty() && self.to.is_empty() && self.at.is_empty()
    }

    /// The first moment of the period, and the first after it.
    ///
    /// # Errors
    /// A sentence for each field that is wrong.
    pub fn period(&self) -> Result<(Moment, Moment), Vec<FieldError>> {
        let mut errors = Vec::new();
        let from = errors.take("from", parse_from(&self.from));
        let to = errors.take("to", parse_to(&self.to));
        match (from, to) {
            (Some(from), Some(to)) if from >= to => {
                let problem = ParseError::new("The period has to end after it begins.");
                Err(vec![FieldError::new("to", problem)])
            }
            (Some(from), Some(to)) => Ok((from, to)),
            _ => Err(errors),
        }
    }
}
