//! The sentence that stands beside a field when its value cannot be used.
//!
//! Every parser of the domain returns it and any layer may show it as it is.
//! It refuses to carry a code, a cause or a library's words: it is for a person, and says what to do.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A sentence for a person: what is wrong with a value and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParseError(Cow<'static, str>);

impl ParseError {
    /// A problem told in `sentence`, whole and with its full stop.
    pub fn new(sentence: impl Into<Cow<'static, str>>) -> ParseError {
        ParseError(sentence.into())
    }

    /// The sentence to show.
    pub fn sentence(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_sentence_and_nothing_else() {
        let problem = ParseError::new("Name is empty. Enter one.");
        assert_eq!(problem.to_string(), "Name is empty. Enter one.");
        assert_eq!(problem.sentence(), problem.to_string());
        assert_eq!(problem, ParseError::new(String::from("Name is empty. Enter one.")));
    }
}
