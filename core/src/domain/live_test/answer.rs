//! What is read of an answer, and what may be shown of it.

use serde_json::Value;

use crate::domain::key_format::{in_word, looks_like_secret, starts_like_credential, without_cut_word};
use crate::domain::provider::ProviderKind;

/// Bytes of an answer that are shown.
const SHOWN: usize = 240;
/// Bytes that are looked at before that is cut, so that no secret is cut into what no longer looks like one.
const LOOKED_AT: usize = 8 * 1024;
/// Characters of a word that is too long to be one.
const LONG: usize = 32;
const MASK: &str = "•••";

/// The first model that a list names.
pub fn first_model(protocol: ProviderKind, body: &str) -> Option<String> {
    let list: Value = serde_json::from_str(body).ok()?;
    let name = match protocol {
        ProviderKind::OpenAi | ProviderKind::Anthropic => list["data"][0]["id"].as_str()?,
        ProviderKind::Gemini => list["models"][0]["name"].as_str()?,
    };
    let name = name.strip_prefix("models/").unwrap_or(name);
    (!name.is_empty() && name.len() <= 200).then(|| name.to_owned())
}

/// The beginning of an answer on one line. The secret, and every word that looks like one, is masked.
pub fn shown_answer(body: &str, secret: &str) -> String {
    let mut text = cut(body, LOOKED_AT).to_owned();
    if text.len() < body.len() {
        text.truncate(without_cut_word(&text).len());
    }
    let words = secret.split(|c| !in_word(c)).filter(|word| word.len() >= 8);
    for part in std::iter::once(secret).chain(words).filter(|part| !part.is_empty()) {
        text = text.replace(part, MASK);
    }
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let end = rest.find(|c| in_word(c) != in_word(next)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        if in_word(next) {
            shown.push_str(if is_secret(piece) { MASK } else { piece });
        } else {
            shown.extend(piece.chars().map(|c| if c.is_whitespace() || is_invisible(c) { ' ' } else { c }));
        }
    }
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let start = cut(&line, SHOWN);
    if start.len() < line.len() || body.len() > LOOKED_AT { format!("{start}…") } else { line }
}

fn is_secret(word: &str) -> bool {
    let starts = || starts_like_credential(word) && word.len() >= 12;
    let random = || {
        word.len() >= LONG
            && word.bytes().any(|c| c.is_ascii_digit())
            && word.bytes().any(|c| c.is_ascii_alphabetic())
    };
    looks_like_secret(word) || starts() || random()
}

/// Characters that are not seen or turn text round.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// At most so many bytes, never within a character.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_secret_is_shown_again() {
        for (body, secret) in [
            (r#"{"message":"bad key CANARY-x"}"#, "CANARY-x"),
            ("bad key sk-desk-aaaaaaaaaaaaaaaaaaaa1111", "other"),
            ("bad key sk-proj-abc123456789", "other"),
            ("key=AIzaSyA1234567890abcdefgh", "other"),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx", "other"),
            ("0123456789abcdef0123456789abcdef", "other"),
            // A part of it, where a slash was escaped.
            (r"abcdefgh\/ijklmnop", "abcdefgh/ijklmnop"),
        ] {
            let shown = shown_answer(body, secret);
            assert!(shown.contains(MASK), "{shown}");
            assert!(!shown.contains(secret), "{shown}");
            for word in ["sk-desk-a", "sk-proj-a", "AIza", "eyJh", "0123456789", "abcdefgh"] {
                assert!(!shown.contains(word), "{shown}");
            }
        }
        // One that stands where the text is cut, or read no further.
        let body = format!("{}CANARY-1", " ".repeat(LOOKED_AT - 4));
        assert_eq!(shown_answer(&body, "CANARY-1"), "…");
        let body = format!("{} sk-proj-abc123456789", "a ".repeat(SHOWN / 2 - 3));
        assert!(!shown_answer(&body, "x").contains("sk-"));
    }

    #[test]
    fn an_answer_is_one_short_line() {
        assert_eq!(shown_answer("a\n\u{202e}b\t c", "s3cret"), "a b c");
        assert_eq!(shown_answer(r#"{"id":"gpt-5","ok":true}"#, "s3cret"), r#"{"id":"gpt-5","ok":true}"#);
        let long = shown_answer(&"word ".repeat(100), "s3cret");
        assert!(long.ends_with('…') && long.len() <= SHOWN + 3, "{long}");
    }

    #[test]
    fn the_first_model_of_each_protocols_list_is_found() {
        let openai = r#"{"object":"list","data":[{"id":"gpt-5"},{"id":"x"}]}"#;
        assert_eq!(first_model(ProviderKind::OpenAi, openai).as_deref(), Some("gpt-5"));
        assert_eq!(first_model(ProviderKind::Anthropic, openai).as_deref(), Some("gpt-5"));
        let gemini = r#"{"models":[{"name":"models/gemini-3"}]}"#;
        assert_eq!(first_model(ProviderKind::Gemini, gemini).as_deref(), Some("gemini-3"));
        for none in
            ["", "<html>", "[]", r#"{"data":[]}"#, r#"{"data":[{"id":""}]}"#, r#"{"data":[{"id":1}]}"#]
        {
            assert_eq!(first_model(ProviderKind::OpenAi, none), None);
        }
    }

    proptest! {
        #[test]
        fn showing_never_panics_and_never_shows_the_secret(before: String, secret in "[!-~]{8,60}", after: String) {
            let shown = shown_answer(&format!("{before}{secret}{after}"), &secret);
            prop_assert!(!shown.contains(&secret));
        }
    }
}
