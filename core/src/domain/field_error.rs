//! What is wrong with one field of a form.

use serde::{Deserialize, Serialize};

use super::parse_error::ParseError;

/// A sentence for one field of a form. `field` is the field's name in the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name in the form.
    pub field: String,
    /// The sentence beside the field.
    pub problem: ParseError,
}

impl FieldError {
    /// A problem of this field.
    pub fn new(field: &str, problem: ParseError) -> Self {
        Self { field: field.to_owned(), problem }
    }

    /// A problem of this field in one sentence, whole and with its full stop.
    pub fn say(field: &str, sentence: &str) -> Self {
        Self::new(field, ParseError::new(sentence.to_owned()))
    }
}
