//! What looks like a secret, of Keydesk or of another service: such text is neither stored nor logged.

use zeroize::Zeroizing;

use super::{CREDENTIAL_STARTS, OTHERS, TAIL, is_base62, is_hidden, is_quote, starts_with_any_case};
use crate::domain::parse_error::ParseError;

/// Whether text must be kept out of URLs and logs because it may be a secret, whole or damaged: at least 20 characters
/// that start like one, or the end of one without its start.
pub fn looks_like_secret(text: &str) -> bool {
    let visible = |c: &char| !is_hidden(*c) && !is_quote(*c);
    let joined: Zeroizing<String> = Zeroizing::new(text.chars().filter(visible).collect());
    let between = |c: char| is_hidden(c) || is_quote(c) || matches!(c, '=' | ':' | ',' | ';' | '?' | '&');
    // Joined first, for a secret that was broken across lines.
    starts_like_secret(&joined)
        || text.split(between).any(|piece| starts_like_secret(piece) || ends_like_secret(piece))
}

/// As `looks_like_secret`, also within a path or other text without spaces.
pub fn has_secret(text: &str) -> bool {
    looks_like_secret(text) || text.split(|c| !in_word(c)).any(looks_like_secret)
}

/// What secrets are made of.
pub(in crate::domain) fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// The beginning of a longer text without the word that it was cut in, which may be a part of a secret.
pub(in crate::domain) fn without_cut_word(text: &str) -> &str {
    text.trim_end_matches(in_word)
}

/// Whether a word begins as credentials of Keydesk or a well-known service do.
pub(in crate::domain) fn starts_like_credential(word: &str) -> bool {
    CREDENTIAL_STARTS.iter().chain(OTHERS.iter().map(|(start, _)| start)).any(|start| word.starts_with(start))
}

fn starts_like_secret(text: &str) -> bool {
    let text = if starts_with_any_case(text, "bearer") { text.split_at(6).1 } else { text };
    let known = |start: &str| starts_with_any_case(text, start);
    text.chars().count() >= 20 && (known("sk-") || OTHERS.iter().any(|(start, _)| known(start)))
}

/// A secret without its start. Capitals, small letters and digits together distinguish it from a hexadecimal hash.
fn ends_like_secret(text: &str) -> bool {
    let tail = text.len().checked_sub(TAIL).and_then(|place| text.get(place..));
    tail.is_some_and(|tail| {
        is_base62(tail)
            && tail.contains(|c: char| c.is_ascii_uppercase())
            && tail.contains(|c: char| c.is_ascii_lowercase())
            && tail.contains(|c: char| c.is_ascii_digit())
    })
}

/// The rule for every text that is stored and shown as it is: a name, a note, an address, a model. It may not be a secret,
/// nor have one in it, of Keydesk or of another service.
///
/// # Errors
/// When it looks like a secret.
pub fn refuse_secret(text: &str) -> Result<(), ParseError> {
    if has_secret(text) {
        return Err(ParseError::new(
            "This looks like a secret. Secrets are never stored. Describe it in words.",
        ));
    }
    Ok(())
}
