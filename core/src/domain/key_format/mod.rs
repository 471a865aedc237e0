//! The form of a key's secret: how it is made, read, hashed and shown, and what is wrong with a malformed one.
//!
//! Creation and rotation mint, the gateway and the key doctor read; everything else works with hashes and hints.
//! A secret cannot be printed, copied, compared or serialised. This module does not know which keys exist.

mod last_four;
mod likeness;
mod malformed;
#[cfg(test)]
mod tests;

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::parse_error::ParseError;
pub use last_four::{any_case, hint, unmask, valid_last_four};
pub use likeness::{has_secret, looks_like_secret, refuse_secret};
pub(super) use likeness::{in_word, starts_like_credential, without_cut_word};
pub use malformed::MalformedKey;
use malformed::diagnose;

/// The prefix of an organisation that has not chosen its own.
pub const DEFAULT_PREFIX: &str = "sk-desk-";

const BODY: usize = 32;
const CHECKSUM: usize = 6;
/// What follows the prefix.
const TAIL: usize = BODY + CHECKSUM;
const LONGEST_PREFIX: usize = 20;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How the keys of other providers begin, and their names.
const OTHERS: [(&str, &str); 26] = [
    ("sk-ant-", "Anthropic"),
    ("sk-proj-", "OpenAI"),
    ("sk-svcacct-", "OpenAI"),
    ("sk-admin-", "OpenAI"),
    ("sk-or-", "OpenRouter"),
    ("sk-lf-", "Langfuse"),
    ("pk-lf-", "Langfuse"),
    ("sk-nemo-", "another service"),
    ("AIza", "Google"),
    ("gsk_", "Groq"),
    ("ghp_", "GitHub"),
    ("gho_", "GitHub"),
    ("ghu_", "GitHub"),
    ("ghs_", "GitHub"),
    ("ghr_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("glpat-", "GitLab"),
    ("xai-", "xAI"),
    ("hf_", "Hugging Face"),
    ("nvapi-", "NVIDIA"),
    ("pplx-", "Perplexity"),
    ("r8_", "Replicate"),
    ("csk-", "Cerebras"),
    ("AKIA", "Amazon"),
    ("sk_live_", "Stripe"),
    ("sk_test_", "Stripe"),
];
/// How credentials of many services begin, those of `OTHERS` aside: JWTs among them.
const CREDENTIAL_STARTS: [&str; 9] = ["sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "xox", "ASIA", "eyJ"];

/// OpenAI's older keys have no prefix beyond `sk-`, but all of them contain this.
const OPENAI_MARK: &str = "T3BlbkFJ";

/// Checks that clients accept the prefix and that it is not another provider's.
///
/// # Errors
/// The sentence for the form's field.
pub fn check_prefix(prefix: &str) -> Result<(), ParseError> {
    if !prefix.starts_with("sk-") {
        return Err(ParseError::new("The prefix must start with sk-, as tools expect. Put sk- in front."));
    }
    if !prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err(ParseError::new(
            "The prefix has only lower-case letters, digits and dashes. Remove the others.",
        ));
    }
    if !(4..=LONGEST_PREFIX).contains(&prefix.len()) {
        return Err(ParseError::new("The prefix must have 4 to 20 characters. Choose one such as sk-acme-."));
    }
    if !prefix.ends_with('-') {
        return Err(ParseError::new("The prefix must end with a dash. Put one at the end, as in sk-acme-."));
    }
    match OTHERS.iter().find(|(start, _)| prefix.starts_with(start)) {
        Some((start, owner)) => Err(ParseError::new(format!(
            "Keys that start with {start} belong to {owner}. Choose another prefix, such as sk-acme-."
        ))),
        None => Ok(()),
    }
}

/// A whole secret, wiped from memory when dropped. Only [`PlainSecret::reveal`] shows it.
pub struct PlainSecret(Zeroizing<String>);

impl PlainSecret {
    /// Makes a new secret from `random`, which must fill its buffer from the operating system's randomness.
    ///
    /// # Errors
    /// That of [`check_prefix`], because a key with such a prefix could not be read back.
    pub fn mint(prefix: &str, random: &mut dyn FnMut(&mut [u8])) -> Result<PlainSecret, ParseError> {
        check_prefix(prefix)?;
        let whole = prefix.len() + TAIL;
        // Allocated at once: a string that grows leaves copies behind that nothing wipes.
        let mut text = Zeroizing::new(String::with_capacity(whole));
        text.push_str(prefix);
        let mut bytes = Zeroizing::new([0_u8; BODY]);
        while text.len() < prefix.len() + BODY {
            random(bytes.as_mut_slice());
            // Six bits have 64 values. Two are thrown away, where a remainder would favour some characters.
            let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
            let missing = prefix.len() + BODY - text.len();
            text.extend(letters.take(missing).map(|letter| char::from(*letter)));
        }
        let sum = checksum(&text);
        text.extend(sum.map(char::from));
        Ok(PlainSecret(text))
    }

    /// The secret itself. Only the response that shows it once and its sealed cookie may use it; never a log, a URL, the
    /// store or an audit event.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The prefix, up to and with its last dash.
    pub fn prefix(&self) -> &str {
        self.0.split_at(self.0.len() - TAIL).0
    }

    /// The last four characters, which may be stored and shown.
    pub fn last_four(&self) -> &str {
        self.0.split_at(self.0.len() - 4).1
    }

    /// The hash by which the store knows the secret.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret")
    }
}

/// SHA-256 of a whole secret. Compared in constant time, never printed, never a credential.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &SecretHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

/// Reads a credential as a secret by its form and checksum. It does not check that the key exists.
///
/// ```rust
/// use keydesk_core::domain::key_format::{MalformedKey, hint, read};
///
/// let secret = read("sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE").unwrap();
/// assert_eq!((secret.prefix(), secret.last_four()), ("sk-desk-", "ngPE"));
/// assert_eq!(hint(secret.last_four()), "sk-…ngPE");
/// assert_eq!(read("sk-ant-x").unwrap_err(), MalformedKey::OtherProvider("Anthropic"));
/// ```
///
/// # Errors
/// What is wrong with the credential.
pub fn read(text: &str) -> Result<PlainSecret, MalformedKey> {
    // A valid secret may contain xxxx by chance, so the checksum decides first.
    if has_checksum(text) { Ok(PlainSecret(Zeroizing::new(text.to_owned()))) } else { Err(diagnose(text)) }
}

fn has_checksum(text: &str) -> bool {
    let at =
        |from_end: usize| text.len().checked_sub(from_end).and_then(|place| text.split_at_checked(place));
    let (Some((prefix, tail)), Some((before, sum))) = (at(TAIL), at(CHECKSUM)) else {
        return false;
    };
    is_base62(tail) && sum.as_bytes() == checksum(before) && check_prefix(prefix).is_ok()
}

/// CRC-32 in base62, six characters, the most significant first.
fn checksum(text: &str) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut sum = [b'0'; CHECKSUM];
    for place in sum.iter_mut().rev() {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        *place = ALPHABET.get(digit).copied().unwrap_or(b'0');
        rest /= 62;
    }
    sum
}

fn starts_with_any_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
}

/// White space and invisible characters: control, zero-width and direction characters, and the byte order mark.
fn is_hidden(c: char) -> bool {
    let zero_width = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    c.is_whitespace() || c.is_control() || zero_width
}
