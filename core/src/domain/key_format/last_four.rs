//! The last four characters of a secret: how they are shown, and how they are found in what people paste.

use super::is_base62;

/// How a key is shown after it was issued: `sk-…a1B2`.
pub fn hint(last_four: &str) -> String {
    format!("sk-…{last_four}")
}

/// The last four characters in a masked secret, as Keydesk and other services print it: `sk-…a1B2`, `sk-desk-…a1B2`,
/// `…a1B2`, `sk-...a1B2`, `sk-**a1B2`. Other text comes back as it is.
pub fn unmask(text: &str) -> &str {
    let text = text.trim();
    let masks = ['…', '*', '•', '.'];
    let Some((at, mask)) = text.char_indices().rfind(|(_, c)| masks.contains(c)) else { return text };
    let (before, tail) = (&text[..at], &text[at + mask.len_utf8()..]);
    // One full stop masks nothing.
    let masked = mask != '.' || before.ends_with('.');
    let prefix = before.trim_end_matches(masks);
    let plain = prefix.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    if masked && plain && valid_last_four(tail) { tail } else { text }
}

/// The last four characters in every mixture of upper and lower case, themselves first: people read them out.
pub fn any_case(last_four: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for c in last_four.chars() {
        let cases = if c.is_ascii_alphabetic() { vec![c, flip(c)] } else { vec![c] };
        all = cases.iter().flat_map(|c| all.iter().map(move |text| format!("{text}{c}"))).collect();
    }
    all
}

fn flip(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

/// Whether text can be the last four characters of a secret.
pub fn valid_last_four(text: &str) -> bool {
    text.len() == 4 && is_base62(text)
}
