//! What is wrong with a malformed credential, and the sentence that says so.

use std::fmt;

use super::{
    DEFAULT_PREFIX, LONGEST_PREFIX, OPENAI_MARK, OTHERS, TAIL, check_prefix, is_base62, is_hidden, is_quote,
    starts_with_any_case,
};

/// What is wrong with a malformed credential. Displays as a sentence; never contains a part of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedKey {
    /// Nothing, or only white space.
    Empty,
    /// Part of it is stars, dots or `xxxx`.
    Masked,
    /// White space or an invisible character, anywhere.
    WhiteSpace,
    /// Quotation marks, as copied from a settings file.
    Quoted,
    /// The word Bearer is part of the value.
    BearerTwice,
    /// A key of the named provider.
    OtherProvider(&'static str),
    /// Does not start as a key of this form does.
    NotAKey,
    /// Too few characters.
    CutOff {
        /// Characters there are.
        has: usize,
        /// Characters there should be.
        of: usize,
    },
    /// Too many characters.
    TooLong {
        /// Characters there are.
        has: usize,
        /// Characters there should be.
        of: usize,
    },
    /// A character that is not allowed.
    BadCharacter,
    /// The right form, but the checksum does not match.
    Typo,
}

impl MalformedKey {
    /// What happened and what to do, for a client or for the key doctor.
    pub fn sentence(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for MalformedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MalformedKey::Empty => f.write_str("The key is empty. Send the whole key."),
            MalformedKey::Masked => f.write_str(
                "The key is masked: part of it is stars, dots or x. Use the whole key as it was shown when it was created.",
            ),
            MalformedKey::WhiteSpace => {
                f.write_str("The key contains white space or an invisible character. Remove every space and line break.")
            }
            MalformedKey::Quoted => f.write_str("The key has quotation marks. Send it without them."),
            MalformedKey::BearerTwice => {
                f.write_str("The key starts with the word Bearer, which the client adds itself. Set only the key.")
            }
            MalformedKey::OtherProvider(owner) => {
                write!(f, "This is a key of {owner}, not of this gateway. Use a key that was issued here.")
            }
            MalformedKey::NotAKey => {
                f.write_str("This does not start like a key issued here, for example sk-desk-. Check that you copied the key.")
            }
            MalformedKey::CutOff { has, of } => {
                write!(f, "The key is cut off: it has {has} of {of} characters. Copy it whole.")
            }
            MalformedKey::TooLong { has, of } => {
                write!(f, "The key is too long: it has {has} characters instead of {of}. Copy only the key.")
            }
            MalformedKey::BadCharacter => {
                f.write_str("The key contains a character that is not allowed. Copy it again.")
            }
            MalformedKey::Typo => {
                f.write_str("The key has a typing error: its checksum does not match. Copy it instead of typing it.")
            }
        }
    }
}

impl std::error::Error for MalformedKey {}

/// Finds what is wrong; mistakes that hide others come first.
pub(super) fn diagnose(text: &str) -> MalformedKey {
    let bare = text.trim_matches(|c| is_hidden(c) || is_quote(c));
    if bare.is_empty() {
        return MalformedKey::Empty;
    }
    if ["*", "…", "...", "•", "●", "xxxx", "XXXX"].iter().any(|mask| text.contains(mask)) {
        return MalformedKey::Masked;
    }
    if starts_with_any_case(bare, "bearer") {
        return MalformedKey::BearerTwice;
    }
    if text.contains(is_quote) {
        return MalformedKey::Quoted;
    }
    if text.contains(is_hidden) {
        return MalformedKey::WhiteSpace;
    }
    if let Some(owner) = other_provider(text) {
        return MalformedKey::OtherProvider(owner);
    }
    let has = text.chars().count();
    // The prefix is not known, so it is the longest start that could be one.
    let starts = text.bytes().take(LONGEST_PREFIX).enumerate().filter(|(_, byte)| *byte == b'-');
    let mut prefixes = starts.filter_map(|(dash, _)| text.split_at_checked(dash + 1));
    let Some((prefix, rest)) = prefixes.rfind(|(prefix, _)| check_prefix(prefix).is_ok()) else {
        let of = DEFAULT_PREFIX.len() + TAIL;
        return if DEFAULT_PREFIX.starts_with(text) {
            MalformedKey::CutOff { has, of }
        } else {
            MalformedKey::NotAKey
        };
    };
    let of = prefix.len() + TAIL;
    if !is_base62(rest) {
        MalformedKey::BadCharacter
    } else if has < of {
        MalformedKey::CutOff { has, of }
    } else if has > of {
        MalformedKey::TooLong { has, of }
    } else {
        MalformedKey::Typo
    }
}

fn other_provider(text: &str) -> Option<&'static str> {
    let owner = OTHERS.iter().find(|(start, _)| text.starts_with(start)).map(|(_, owner)| *owner);
    owner.or_else(|| (text.starts_with("sk-") && text.contains(OPENAI_MARK)).then_some("OpenAI"))
}
