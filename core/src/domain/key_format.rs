//! The form of a key's secret: how it is made, read, hashed and shown, and what is wrong with a malformed one.
//!
//! Creation and rotation mint, the gateway and the key doctor read; everything else works with hashes and hints.
//! A secret cannot be printed, copied, compared or serialised. This module does not know which keys exist.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::parse_error::ParseError;

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
pub(super) fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// The beginning of a longer text without the word that it was cut in, which may be a part of a secret.
pub(super) fn without_cut_word(text: &str) -> &str {
    text.trim_end_matches(in_word)
}

/// Whether a word begins as credentials of Keydesk or a well-known service do.
pub(super) fn starts_like_credential(word: &str) -> bool {
    CREDENTIAL_STARTS.iter().chain(OTHERS.iter().map(|(start, _)| start)).any(|start| word.starts_with(start))
}

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

/// Finds what is wrong; mistakes that hide others come first.
fn diagnose(text: &str) -> MalformedKey {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_masked_secret_shows_its_last_four() {
        for text in [
            "a1B2",
            "…a1B2",
            "sk-…a1B2",
            "sk-desk-…a1B2",
            " sk-...a1B2 ",
            "sk-**a1B2",
            "sk-desk-••••a1B2",
            "..a1B2",
        ] {
            assert_eq!(unmask(text), "a1B2", "{text}");
        }
        for text in [
            "",
            "gpt.a1B2",
            "sk-…a1B",
            "sk-…a1B2C",
            "two words…a1B2",
            "ci-prod",
            "seo...",
            "v1.0.a1B2",
            "…",
            "*",
        ] {
            assert_eq!(unmask(text), text, "{text}");
        }
    }

    #[test]
    fn last_four_are_found_in_any_case() {
        assert_eq!(any_case("1234"), ["1234"]);
        assert_eq!(any_case("a12Z"), ["a12Z", "A12Z", "a12z", "A12z"]);
        assert_eq!(any_case("abcd").len(), 16);
    }

    /// Prefix, body, whole secret, SHA-256. Frozen: other gateways check themselves against these.
    const VECTORS: [(&str, &str, &str, &str); 4] = [
        (
            "sk-desk-",
            "00000000000000000000000000000000",
            "sk-desk-000000000000000000000000000000000EDNSJ",
            "333976cff10dff96b7663fc5f8c13b9c399a9660e42b1a42e583e6b3cbdd5df2",
        ),
        (
            "sk-desk-",
            "0123456789ABCDEFGHIJKLMNOPQRSTUV",
            "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE",
            "28aa25714d2a91599d1fe395b3bdb97a7858befd5eaea95629f551934675a524",
        ),
        (
            "sk-acme-",
            "ghijklmnopqrstuvwxyz0123456789AB",
            "sk-acme-ghijklmnopqrstuvwxyz0123456789AB3zyNCc",
            "b447b2d63a7df8ba06463074b9e39f1f5f72d72607c63b5cb22dd2f68a3206ff",
        ),
        (
            "sk-north-wind-7-",
            "zZyYxXwWvVuUtTsSrRqQpPoOnNmMlLkK",
            "sk-north-wind-7-zZyYxXwWvVuUtTsSrRqQpPoOnNmMlLkK0bDC1W",
            "dac86f468e6435cad78a1620041c8979ffc437130b8d8f3146ccf97548619c49",
        ),
    ];

    const SECRET: &str = VECTORS[1].2;

    fn fault(text: &str) -> MalformedKey {
        read(text).unwrap_err()
    }

    /// A cheap stream of bytes that looks random enough for a test.
    fn stream(mut seed: u64) -> impl FnMut(&mut [u8]) {
        move |bytes| {
            for byte in bytes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (seed >> 56) as u8;
            }
        }
    }

    fn minted(prefix: &str, seed: u64) -> PlainSecret {
        PlainSecret::mint(prefix, &mut stream(seed)).unwrap()
    }

    #[test]
    fn the_form_never_changes() {
        for (prefix, body, whole, sha256) in VECTORS {
            let secret = read(whole).unwrap();
            assert_eq!(secret.reveal(), whole);
            assert_eq!(secret.prefix(), prefix);
            assert_eq!(whole.strip_prefix(prefix).unwrap().split_at(BODY).0, body);
            let hex: String = secret.hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, sha256);
            let mut places = body.bytes().map(|c| ALPHABET.iter().position(|a| *a == c).unwrap() as u8);
            let again = PlainSecret::mint(prefix, &mut |bytes| bytes.fill_with(|| places.next().unwrap()));
            assert_eq!(again.unwrap().reveal(), whole);
        }
    }

    #[test]
    fn debug_prints_only_the_type() {
        let secret = minted(DEFAULT_PREFIX, 1);
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "PlainSecret SecretHash");
    }

    #[test]
    fn all_62_characters_are_equally_likely() {
        let mut counts = [0_u32; 256];
        let mut random = stream(7);
        for _ in 0..10_000 {
            let secret = PlainSecret::mint(DEFAULT_PREFIX, &mut random).unwrap();
            for byte in secret.reveal().bytes().skip(DEFAULT_PREFIX.len()).take(BODY) {
                counts[usize::from(byte)] += 1;
            }
        }
        let mean = 10_000 * BODY as u32 / 62;
        for letter in ALPHABET {
            assert!(counts[usize::from(*letter)].abs_diff(mean) < mean / 10, "{}", char::from(*letter));
        }
    }

    #[test]
    fn values_that_would_favour_some_characters_are_thrown_away() {
        let mut calls = 0;
        let secret = PlainSecret::mint(DEFAULT_PREFIX, &mut |bytes| {
            bytes.fill(if calls == 0 { 62 } else { 0 });
            calls += 1;
        });
        assert_eq!((secret.unwrap().reveal(), calls), (VECTORS[0].2, 2));
    }

    #[test]
    fn a_prefix_starts_with_sk_and_ends_with_a_dash() {
        for prefix in [DEFAULT_PREFIX, "sk-a-", "sk-acme-prod-7-", "sk-12345678901234567"] {
            assert_eq!(check_prefix(prefix).is_ok(), prefix.ends_with('-'), "{prefix}");
        }
        assert!(check_prefix("sk-1234567890123456-").is_ok());
        for prefix in
            ["", "sk-", "pk-acme-", "sk-acme", "sk-Acme-", "sk-a_b-", "sk-é-", "sk-12345678901234567-"]
        {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
            assert!(PlainSecret::mint(prefix, &mut stream(1)).is_err(), "{prefix}");
        }
    }

    #[test]
    fn a_prefix_of_another_provider_is_refused_by_name() {
        for (start, owner) in OTHERS.into_iter().filter(|(start, _)| start.starts_with("sk-")) {
            for prefix in [start.to_owned(), format!("{start}x-")] {
                assert!(check_prefix(&prefix).unwrap_err().sentence().contains(owner), "{prefix}");
            }
        }
        assert!(check_prefix("sk-orchard-").is_ok());
    }

    #[test]
    fn each_mistake_is_told_apart() {
        let other = MalformedKey::OtherProvider;
        let cases: Vec<(String, MalformedKey)> = vec![
            (String::new(), MalformedKey::Empty),
            (" \n\"\" ".to_owned(), MalformedKey::Empty),
            ("sk-desk-****************1B2c".to_owned(), MalformedKey::Masked),
            ("sk-…a1B2".to_owned(), MalformedKey::Masked),
            ("sk-...a1B2".to_owned(), MalformedKey::Masked),
            ("sk-desk-••••".to_owned(), MalformedKey::Masked),
            ("\"sk-desk-xxxxxxxx\"".to_owned(), MalformedKey::Masked),
            (format!("{SECRET}\n"), MalformedKey::WhiteSpace),
            (format!("\u{feff}{SECRET}"), MalformedKey::WhiteSpace),
            (SECRET.replacen("4567", "45\u{200b}67", 1), MalformedKey::WhiteSpace),
            (SECRET.replacen("4567", "45\r\n67", 1), MalformedKey::WhiteSpace),
            (format!("\"{SECRET}\""), MalformedKey::Quoted),
            (format!("“{SECRET}”"), MalformedKey::Quoted),
            (format!("Bearer {SECRET}"), MalformedKey::BearerTwice),
            (format!("\"bearer {SECRET}\""), MalformedKey::BearerTwice),
            ("sk-ant-api03-abc".to_owned(), other("Anthropic")),
            ("sk-proj-abc_def-T3BlbkFJabc".to_owned(), other("OpenAI")),
            ("sk-svcacct-abc".to_owned(), other("OpenAI")),
            ("sk-admin-abc".to_owned(), other("OpenAI")),
            ("sk-abcdT3BlbkFJabcd".to_owned(), other("OpenAI")),
            ("sk-or-v1-abc".to_owned(), other("OpenRouter")),
            ("AIzaSyAbc".to_owned(), other("Google")),
            ("gsk_abc".to_owned(), other("Groq")),
            ("ghp_abc".to_owned(), other("GitHub")),
            ("xai-abc".to_owned(), other("xAI")),
            ("hf_abc".to_owned(), other("Hugging Face")),
            ("hello".to_owned(), MalformedKey::NotAKey),
            ("sk-0123456789abcdef".to_owned(), MalformedKey::NotAKey),
            (SECRET.replacen("sk-", "SK-", 1), MalformedKey::NotAKey),
            ("sk-de".to_owned(), MalformedKey::CutOff { has: 5, of: 46 }),
            (SECRET[..30].to_owned(), MalformedKey::CutOff { has: 30, of: 46 }),
            (format!("{SECRET}a"), MalformedKey::TooLong { has: 47, of: 46 }),
            (SECRET.replacen('4', "_", 1), MalformedKey::BadCharacter),
            (SECRET.replacen('4', "é", 1), MalformedKey::BadCharacter),
            (SECRET.replacen('4', "5", 1), MalformedKey::Typo),
            (SECRET.replacen("sk-desk-", "sk-disk-", 1), MalformedKey::Typo),
        ];
        for (text, expected) in cases {
            assert_eq!(fault(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_fault_says_what_happened_and_what_to_do() {
        assert_eq!(
            fault(&SECRET[..30]).sentence(),
            "The key is cut off: it has 30 of 46 characters. Copy it whole."
        );
        assert_eq!(
            fault("sk-ant-x").sentence(),
            "This is a key of Anthropic, not of this gateway. Use a key that was issued here."
        );
    }

    #[test]
    fn a_secret_that_holds_xxxx_by_chance_is_not_called_masked() {
        let body = "0".repeat(28) + "xxxx";
        let mut text = format!("{DEFAULT_PREFIX}{body}");
        text.extend(checksum(&text.clone()).map(char::from));
        assert!(read(&text).is_ok());
    }

    #[test]
    fn a_search_box_knows_secrets_also_damaged_ones() {
        let quoted = format!("  \"{SECRET}\" ");
        let sentence = format!("my key is {SECRET}, why");
        let setting = format!("OPENAI_API_KEY={SECRET}");
        let capitals = SECRET.to_uppercase();
        for text in [
            SECRET,
            &SECRET[..20],
            &SECRET[3..],
            &SECRET[8..],
            &quoted,
            &sentence,
            &setting,
            &capitals,
            "Bearer sk-desk-0123456789AB",
            "sk-desk-0123 \n 456789ABCDEF",
            "sk-ant-api03-0123456789abcdef",
            "AIzaSy0123456789abcdef",
            "ghp_0123456789abcdefghij",
        ] {
            assert!(looks_like_secret(text), "{text}");
        }
        for text in [
            "",
            "ci-prod",
            "a1B2",
            "sk-…a1B2",
            "sk-desk-0123456789A",
            "key_0193e2a4-7b1c-7d3e-9f00-1a2b3c4d5e6f",
            "the build server of the north office",
            VECTORS[0].3,
        ] {
            assert!(!looks_like_secret(text), "{text}");
        }
    }

    #[test]
    fn a_hint_holds_the_last_four_and_no_more() {
        let secret = read(SECRET).unwrap();
        assert_eq!(hint(secret.last_four()), "sk-…ngPE");
        assert!(valid_last_four(secret.last_four()));
        for text in ["", "abc", "abcde", "ab-1", "a b1", "éé"] {
            assert!(!valid_last_four(text), "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_from_32_bytes_only() {
        let hash = read(SECRET).unwrap().hash();
        assert_ne!(hash, minted(DEFAULT_PREFIX, 1).hash());
    }

    proptest! {
        #[test]
        fn what_is_minted_reads_back(seed: u64, name in "[a-z0-9-]{1,16}") {
            let prefix = format!("sk-{name}-");
            prop_assume!(check_prefix(&prefix).is_ok());
            let secret = minted(&prefix, seed);
            prop_assert_eq!(secret.reveal().len(), prefix.len() + 38);
            let again = read(secret.reveal()).unwrap();
            prop_assert_eq!(again.reveal(), secret.reveal());
            prop_assert_eq!(again.prefix(), prefix);
            prop_assert_eq!(again.hash(), secret.hash());
            prop_assert!(valid_last_four(secret.last_four()));
            prop_assert!(looks_like_secret(secret.reveal()));
        }

        #[test]
        fn any_single_changed_character_is_refused(seed: u64, place in 0..TAIL, other: char, letter in 0..62_usize) {
            let secret = minted(DEFAULT_PREFIX, seed);
            let place = DEFAULT_PREFIX.len() + place;
            for other in [other, char::from(ALPHABET[letter])] {
                let mut text = secret.reveal().to_owned();
                text.replace_range(place..=place, other.encode_utf8(&mut [0; 4]));
                prop_assert_eq!(read(&text).is_ok(), text == secret.reveal());
            }
        }

        #[test]
        fn a_part_of_a_secret_is_cut_off(seed: u64, length in 8..46_usize) {
            let secret = minted(DEFAULT_PREFIX, seed);
            let part = &secret.reveal()[..length];
            prop_assert_eq!(fault(part), MalformedKey::CutOff { has: length, of: 46 });
        }

        #[test]
        fn reading_never_panics_and_never_echoes(text: String, near in "(sk-)?[a-zA-Z0-9é*-]{0,60}") {
            for text in [text, near] {
                looks_like_secret(&text);
                if let Err(fault) = read(&text) {
                    prop_assert!(text.chars().count() < 12 || !fault.to_string().contains(&text));
                }
            }
        }
    }
}
