//! What is wrong with one field of a form.

use serde::{Deserialize, Serialize};

use super::parse_error::ParseError;

/// A sentence for one field of a form. `field` is the field's name in the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    pub field: String,
    pub problem: ParseError,
}

impl FieldError {
    pub fn new(field: &str, problem: ParseError) -> Self {
        Self { field: field.to_owned(), problem }
    }

    pub fn say(field: &str, sentence: &str) -> Self {
        Self::new(field, ParseError::new(sentence.to_owned()))
    }
}
