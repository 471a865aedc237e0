//! Which models a key, a team or an organisation may use.
//!
//! Forms parse with it and admission asks it.
//! It refuses to know any model: a pattern is compared with the name that the caller sent, letter by letter.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::key_format::{has_secret, refuse_secret};
use super::parse_error::ParseError;

const MAX_CHARACTERS: usize = 100;
const MAX_PATTERNS: usize = 200;

/// A model's id, in which each `*` stands for any run of characters, also an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Reads a pattern of 1 to 100 ASCII letters, digits and `. _ : / @ - *`; refuses everything else.
    ///
    /// # Errors
    /// When it is empty, longer than 100 characters, or has any other character.
    pub fn parse(text: &str) -> Result<ModelPattern, ParseError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ParseError::new(
                "The model is empty. Enter an id such as gpt-5, or a pattern such as claude-*.",
            ));
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "._:/@-*".contains(c)) {
            return Err(ParseError::new(
                "A model has only letters, digits and . _ : / @ - and * for any characters. Remove the others.",
            ));
        }
        if text.len() > MAX_CHARACTERS {
            return Err(ParseError::new(
                "A model has at most 100 characters. Shorten it, with * for the rest.",
            ));
        }
        Ok(ModelPattern(text.to_owned()))
    }

    /// The same for a pattern that someone types.
    ///
    /// # Errors
    /// Also when it looks like a secret.
    pub fn typed(text: &str) -> Result<ModelPattern, ParseError> {
        refuse_secret(text)?;
        Self::parse(text)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `model` has this form, upper and lower case told apart. The time grows with the length, not with the stars.
    pub fn matches(&self, model: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else {
            return self.0 == model;
        };
        let Some(mut rest) = model.strip_prefix(head) else {
            return false;
        };
        let (middle, end) = tail.rsplit_once('*').unwrap_or(("", tail));
        // The first place a part fits is always good enough, so nothing is ever tried twice.
        for part in middle.split('*') {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(end)
    }
}

impl ModelPattern {
    /// Whether everything that `other` stands for has this form too. Only a star here can stand for a star there, so
    /// `other` is read like a model's name.
    pub fn covers(&self, other: &ModelPattern) -> bool {
        self.matches(&other.0)
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelPattern {
    type Error = ParseError;

    fn try_from(text: String) -> Result<ModelPattern, ParseError> {
        ModelPattern::parse(&text)
    }
}

impl From<ModelPattern> for String {
    fn from(pattern: ModelPattern) -> String {
        pattern.0
    }
}

/// "gpt-6 and gpt-7-* match no model today." of patterns that match none; nothing without any.
pub fn no_match_words(patterns: &[String]) -> Option<String> {
    let (last, others) = patterns.split_last()?;
    Some(match others {
        [] => format!("{last} matches no model today."),
        others => format!("{} and {last} match no model today.", others.join(", ")),
    })
}

/// The models that may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelScope {
    /// Every model, also those that are added later; chosen on purpose.
    Every,
    /// Those that match one of the patterns; none when there is no pattern.
    Listed(Vec<ModelPattern>),
}

impl Default for ModelScope {
    /// No model.
    fn default() -> Self {
        ModelScope::Listed(Vec::new())
    }
}

impl ModelScope {
    /// Whether `model` may be used.
    ///
    /// ```rust
    /// use keydesk_core::domain::scope::ModelScope;
    ///
    /// let scope = ModelScope::Listed(ModelScope::parse_lines("gpt-5\nclaude-*").unwrap());
    /// assert!(scope.allows("gpt-5") && scope.allows("claude-opus-4"));
    /// assert!(!scope.allows("gpt-5-mini"));
    /// assert!(!ModelScope::default().allows("gpt-5"));
    /// ```
    pub fn allows(&self, model: &str) -> bool {
        match self {
            ModelScope::Every => true,
            ModelScope::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches(model)),
        }
    }

    /// Whether one of the patterns covers this one.
    pub fn covers(&self, pattern: &ModelPattern) -> bool {
        match self {
            ModelScope::Every => true,
            ModelScope::Listed(patterns) => patterns.iter().any(|own| own.covers(pattern)),
        }
    }

    /// What of this scope the outer one does not cover, if anything: every model, or some patterns.
    pub fn beyond(&self, outer: &ModelScope) -> Option<ModelScope> {
        match (self, outer) {
            (_, ModelScope::Every) => None,
            (ModelScope::Every, ModelScope::Listed(_)) => Some(ModelScope::Every),
            (ModelScope::Listed(patterns), outer) => {
                let wrong: Vec<_> =
                    patterns.iter().filter(|pattern| !outer.covers(pattern)).cloned().collect();
                (!wrong.is_empty()).then_some(ModelScope::Listed(wrong))
            }
        }
    }

    /// The whole scope in one line.
    pub fn listing(&self) -> String {
        match self {
            ModelScope::Listed(patterns) if !patterns.is_empty() => {
                patterns.iter().map(ModelPattern::as_str).collect::<Vec<_>>().join(", ")
            }
            ModelScope::Every | ModelScope::Listed(_) => self.summary(),
        }
    }

    /// The scope in one line, with the first three patterns by name.
    pub fn summary(&self) -> String {
        let patterns = match self {
            ModelScope::Every => return "Every model, including new ones".to_owned(),
            ModelScope::Listed(patterns) if patterns.is_empty() => return "No model".to_owned(),
            ModelScope::Listed(patterns) => patterns,
        };
        let named: Vec<&str> = patterns.iter().take(3).map(ModelPattern::as_str).collect();
        match patterns.len() - named.len() {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// Reads patterns separated by line ends or commas, drops blanks and repetitions.
    /// Refuses more than 200, and names the line that contains a wrong one. Nothing written is an empty list.
    ///
    /// # Errors
    /// When an entry is not a pattern, with its line, or when there are more than 200.
    pub fn parse_lines(text: &str) -> Result<Vec<ModelPattern>, ParseError> {
        let mut patterns = Vec::new();
        for (line, entries) in text.lines().enumerate() {
            for entry in entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let pattern = ModelPattern::typed(entry).map_err(|problem| {
                    ParseError::new(format!("Line {}, \"{}\": {problem}", line + 1, quoted(entry)))
                })?;
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                }
                if patterns.len() > MAX_PATTERNS {
                    return Err(ParseError::new(
                        "There are more than 200 models. Put several into one pattern with *, such as claude-*.",
                    ));
                }
            }
        }
        Ok(patterns)
    }
}

/// As much of a wrong entry as is needed to find it again; nothing of a secret.
pub(super) fn quoted(entry: &str) -> String {
    const SHOWN: usize = 40;
    if has_secret(entry) {
        return "…".to_owned();
    }
    if entry.chars().count() <= SHOWN {
        return entry.to_owned();
    }
    entry.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_without_a_model_are_named() {
        let words = |patterns: &[&str]| {
            no_match_words(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(words(&[]), None);
        assert_eq!(words(&["gpt-6"]).unwrap(), "gpt-6 matches no model today.");
        assert_eq!(words(&["a", "b", "c-*"]).unwrap(), "a, b and c-* match no model today.");
    }
    use crate::domain::key_format::has_secret;
    use proptest::prelude::*;

    fn pattern(text: &str) -> ModelPattern {
        ModelPattern::parse(text).unwrap()
    }

    fn listed(text: &str) -> ModelScope {
        ModelScope::Listed(ModelScope::parse_lines(text).unwrap())
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (text, model, matches) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-5", "GPT-5", false),
            ("claude-*", "claude-opus-4", true),
            ("claude-*", "claude-", true),
            ("claude-*", "my-claude-4", false),
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("**", "x", true),
            ("*-mini", "gpt-5-mini", true),
            ("*-mini", "gpt-5-mini-2", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("a*b*c", "a-b-b-c-c", true),
            ("a*b*c", "a-c-b", false),
            ("openai/*/x", "openai/y/x", true),
            ("*é", "é", false),
        ] {
            let found = ModelPattern::parse(text).is_ok_and(|pattern| pattern.matches(model));
            assert_eq!(found, matches, "{text} {model}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_few() {
        let stars = pattern(&"a*".repeat(50));
        let model = "a".repeat(1_000_000);
        assert!(stars.matches(&model));
        let never = pattern(&format!("{}b", "*a".repeat(49)));
        assert!(!never.matches(&model));
    }

    #[test]
    fn a_pattern_has_few_characters_and_only_plain_ones() {
        assert_eq!(pattern(" gpt-4.1_x:y/z@v * ".trim_end_matches(" * ")).as_str(), "gpt-4.1_x:y/z@v");
        assert!(ModelPattern::parse(&"a".repeat(100)).is_ok());
        for text in ["", "  ", "gpt 5", "modèle", "a?b", "a\u{200b}", "[a]", &"a".repeat(101)] {
            assert!(ModelPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_list_allows_no_model() {
        assert!(ModelScope::Every.allows("gpt-5"));
        assert!(!ModelScope::Listed(Vec::new()).allows("gpt-5"));
        assert!(listed("claude-*\ngpt-5").allows("gpt-5"));
        assert!(!listed("claude-*\ngpt-5").allows("gpt-5-mini"));
    }

    #[test]
    fn a_summary_names_the_first_three() {
        assert_eq!(ModelScope::Every.summary(), "Every model, including new ones");
        assert_eq!(listed("").summary(), "No model");
        assert_eq!(listed("gpt-5, claude-*").summary(), "gpt-5, claude-*");
        assert_eq!(listed("a\nb\nc").summary(), "a, b, c");
        assert_eq!(listed("a,b,c,d,e,f,g").summary(), "a, b, c and 4 more");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let problem = ModelScope::parse_lines("gpt-5\r\n\nclaude-*, gpt 5").unwrap_err();
        assert!(problem.sentence().starts_with("Line 3, \"gpt 5\": A model has only"), "{problem}");
    }

    #[test]
    fn repetitions_and_blanks_are_dropped_and_200_are_enough() {
        assert_eq!(listed(" a ,, a\n\n a\nb "), listed("a\nb"));
        let many = |n: usize| (0..n).map(|i| format!("m{i}\n")).collect::<String>();
        assert_eq!(ModelScope::parse_lines(&many(200)).unwrap().len(), 200);
        assert!(ModelScope::parse_lines(&many(201)).is_err());
        assert_eq!(ModelScope::parse_lines(&"same,".repeat(500)).unwrap().len(), 1);
    }

    /// The plain definition, exponential and obviously right.
    fn plainly(pattern: &[u8], model: &[u8]) -> bool {
        match pattern {
            [] => model.is_empty(),
            [b'*', rest @ ..] => (0..=model.len()).any(|from| plainly(rest, &model[from..])),
            [first, rest @ ..] => model.first() == Some(first) && plainly(rest, &model[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plain_definition(text in "[ab*]{1,8}", model in "[ab]{0,10}") {
            prop_assert_eq!(pattern(&text).matches(&model), plainly(text.as_bytes(), model.as_bytes()));
        }

        #[test]
        fn patterns_read_back(texts in prop::collection::hash_set("[a-zA-Z0-9._:/@*-]{1,100}", 0..20)) {
            prop_assume!(!texts.iter().any(|text| has_secret(text)));
            let patterns: Vec<ModelPattern> = texts.iter().map(|text| pattern(text)).collect();
            let lines: Vec<&str> = patterns.iter().map(ModelPattern::as_str).collect();
            prop_assert_eq!(ModelScope::parse_lines(&lines.join("\n")), Ok(patterns));
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = ModelScope::parse_lines(&text);
        }
    }
}
