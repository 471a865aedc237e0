//! What people type about themselves and their organisation, parsed. Nothing here decides who anyone is.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::ids::PersonId;
use super::key_format::refuse_secret;
use super::parse_error::ParseError;
use super::policy::PlatformRole;

/// A person who can sign in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The person's id.
    pub id: PersonId,
    /// As the person wrote it.
    pub name: String,
    /// What the person signs in with.
    pub email: String,
    /// What the person is to the installation as a whole.
    pub platform: PlatformRole,
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// Signing in takes a code too.
    pub second_factor: bool,
}

/// A person whom the holder of a key can ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The person's name.
    pub name: String,
    /// The person's email address.
    pub email: String,
}

/// People to choose from, each an id with a name: those with the same name are told apart by their email addresses. Takes
/// id, name and email address of each.
pub fn distinct_names(people: Vec<(String, String, String)>) -> Vec<(String, String)> {
    let mut known: HashMap<String, usize> = HashMap::new();
    for (_, name, _) in &people {
        *known.entry(name.clone()).or_default() += 1;
    }
    let named = |(id, name, email): (String, String, String)| match known.get(&name) {
        Some(count) if *count > 1 => (id, format!("{name} ({email})")),
        _ => (id, name),
    };
    people.into_iter().map(named).collect()
}

/// A person as lists name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// The person's id.
    pub id: PersonId,
    /// As the person wrote it.
    pub name: String,
}

/// An email address, trimmed and in lower case: two spellings of one address are one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Parts that mail servers take, without quotes and comments; whether it receives mail, only mail can tell.
    ///
    /// # Errors
    /// When it has not one `@`, a part is missing, too long or has a character that none has, or it is longer than 254 bytes.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim().to_lowercase();
        if text.len() > 254 {
            return Err(ParseError::new("An email address has at most 254 characters."));
        }
        let wrong = |sentence: &'static str| Err(ParseError::new(sentence));
        let Some((local, host)) = text.split_once('@') else {
            return wrong("An email address looks like ana@example.com.");
        };
        if host.contains('@') {
            return wrong("An email address has one @. Type one address, such as ana@example.com.");
        }
        let in_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let is_atom = |part: &str| !part.is_empty() && part.chars().all(in_local);
        let is_label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.chars().all(|c| c.is_alphanumeric() || c == '-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let last = host.rsplit('.').next().unwrap_or_default();
        let fine = (1..=64).contains(&local.len())
            && local.split('.').all(is_atom)
            && host.contains('.')
            && host.split('.').all(is_label)
            && !last.chars().all(|c| c.is_ascii_digit());
        if fine { Ok(Self(text)) } else { wrong("An email address looks like ana@example.com.") }
    }

    /// An address that is stored, or is looked for there: by whatever rule it was accepted. `None` for what no text of the
    /// database can be.
    pub fn stored(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        (text.len() <= 1_000 && !text.contains('\0')).then_some(Self(text))
    }

    /// The same for an address that becomes known here.
    ///
    /// # Errors
    /// Also when it looks like a secret.
    pub fn typed(text: &str) -> Result<Self, ParseError> {
        refuse_secret(text)?;
        Self::parse(text)
    }

    /// The address, trimmed and in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that people read in lists: trimmed, in NFC, 1 to `max` characters, at least one of them visible, none that
/// could disguise another name, and no secret.
///
/// # Errors
/// A sentence that says which rule the text breaks; `what` is the field's word, such as "Name".
pub fn visible_name(text: &str, what: &str, max: usize) -> Result<String, ParseError> {
    let text = visible_text(text, what, max)?;
    if !text.chars().any(is_visible) {
        return Err(ParseError::new(format!("{what} is empty. Type at least one character.")));
    }
    Ok(text)
}

/// Text that people read, which may be empty: trimmed, in NFC, up to `max` characters, and no secret.
///
/// # Errors
/// A sentence that says which rule the text breaks; `what` is the field's word, such as "Note".
pub fn visible_text(text: &str, what: &str, max: usize) -> Result<String, ParseError> {
    let text: String = text.trim().nfc().collect();
    if text.chars().count() > max {
        return Err(ParseError::new(format!("{what} has at most {max} characters.")));
    }
    let chars: Vec<char> = text.chars().collect();
    let joins = |at: usize| {
        let beside = |at: Option<usize>| at.and_then(|at| chars.get(at)).copied();
        let fits = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace() && !is_joiner(c));
        fits(beside(at.checked_sub(1))) && fits(beside(Some(at + 1)))
    };
    let any_visible = chars.iter().copied().any(is_visible);
    let hidden = |(at, c): (usize, &char)| is_hidden(*c) || is_joiner(*c) && any_visible && !joins(at);
    if chars.iter().enumerate().any(hidden) {
        return Err(ParseError::new(format!(
            "{what} contains an invisible character. Type it instead of pasting it."
        )));
    }
    refuse_secret(&text)?;
    Ok(text)
}

/// The form in which names are compared, searched and sorted: case, composition and joiners make no difference.
pub fn fold(name: &str) -> String {
    name.nfc().filter(|c| !is_joiner(*c)).collect::<String>().to_lowercase().nfc().collect()
}

/// Control characters break logs and exports; direction overrides make one name look like another.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// They join emoji into one, and decide between forms of letters in several scripts.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether it leaves ink by itself: the fillers of Hangul and the empty Braille cell are letters and symbols, but blank.
fn is_visible(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number, Punctuation, Symbol};
    let blank = matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}');
    !blank && matches!(c.general_category_group(), Letter | Number | Punctuation | Symbol)
}

/// Path segments that belong to the program, at the beginning or behind `/operator`, so no organisation may have them as
/// its slug.
pub const RESERVED_SLUGS: [&str; 20] = [
    "account",
    "api",
    "csp-report",
    "doctor",
    "favicon",
    "gateway",
    "healthz",
    "installation",
    "invite",
    "metrics",
    "models",
    "operator",
    "pkg",
    "providers",
    "readyz",
    "reset",
    "setup",
    "sign-in",
    "support",
    "v1",
];

/// The longest slug, in characters.
pub const MAX_SLUG: usize = 40;

/// An organisation's address as a person typed it.
///
/// # Errors
/// A sentence that says which rule the text breaks.
pub fn parse_slug(text: &str) -> Result<String, ParseError> {
    let text = text.trim();
    let wrong = |sentence: &'static str| Err(ParseError::new(sentence));
    refuse_secret(text)?;
    if text.is_empty() {
        return wrong("The address is empty. Type one such as acme.");
    }
    if !text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return wrong("An address has only lower-case letters, digits and dashes. Remove the others.");
    }
    if text.len() > MAX_SLUG {
        return Err(ParseError::new(format!(
            "An address has at most {MAX_SLUG} characters. Choose a shorter one."
        )));
    }
    if text.starts_with('-') || text.ends_with('-') || text.contains("--") {
        return wrong("A dash stands between two letters or digits. Remove the others.");
    }
    if text.starts_with("v1") || RESERVED_SLUGS.contains(&text) {
        return Err(ParseError::new(format!(
            "{text} is an address of Keydesk itself. Choose another, such as {}.",
            slug_of(text)
        )));
    }
    Ok(text.to_owned())
}

/// An address for an organisation, made from its name: lower-case letters, digits and dashes, never a reserved word or
/// what looks like a secret.
pub fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() == MAX_SLUG {
            break;
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    if refuse_secret(&slug).is_err() {
        return "org".to_owned();
    }
    if slug.is_empty() || slug.starts_with("v1") || RESERVED_SLUGS.contains(&slug.as_str()) {
        let own: String = format!("org-{slug}").chars().take(MAX_SLUG).collect();
        return own.trim_end_matches('-').to_owned();
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namesakes_are_named_with_their_addresses() {
        let person = |id: &str, name: &str| (id.to_owned(), name.to_owned(), format!("{id}@example.com"));
        let choices = distinct_names(vec![person("a", "Kim"), person("b", "Lena"), person("c", "Kim")]);
        let names: Vec<&str> = choices.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["Kim (a@example.com)", "Lena", "Kim (c@example.com)"]);
    }

    #[test]
    fn an_address_is_the_same_in_any_case() {
        assert_eq!(Email::parse(" Ana@Example.COM ").unwrap(), Email::parse("ana@example.com").unwrap());
    }

    #[test]
    fn an_address_has_one_at_sign_and_sane_parts() {
        for wrong in [
            "",
            "ana",
            "ana@",
            "@example.com",
            "ana@example",
            "a b@example.com",
            "ana@.com",
            "a@b@x",
            "a@b@example.com",
            "ana@example..com",
            "ana@example.com.",
            ".ana@example.com",
            "ana.@example.com",
            "a..b@example.com",
            "ana@-example.com",
            "ana@example-.com",
            "ana@exa_mple.com",
            "ana@127.0.0.1",
            "ana@[127.0.0.1]",
            "\"a@b\"@example.com",
            "ana<x>@example.com",
            "ana,ben@example.com",
            "mailto:ana@example.com",
            "ana\0@example.com",
            "ana@example.com\r\nBcc: x@example.com",
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("ana@{}.com", "a".repeat(64))).is_err());
        for right in ["a.b+c@example.co.uk", "o'neil_x@ex-ample.com", "jörg@münchen.example", "1@2.xn--p1ai"]
        {
            assert_eq!(Email::parse(right).unwrap().as_str(), right);
        }
        // A person with an address from before this rule still signs in with it.
        assert_eq!(Email::stored(" A@b@x ").unwrap().as_str(), "a@b@x");
    }

    #[test]
    fn a_name_that_could_disguise_another_is_refused() {
        assert!(visible_name("prod\u{202e}dorp", "Name", 100).is_err());
        assert!(visible_name("a\u{0}b", "Name", 100).is_err());
        assert_eq!(visible_name("  Überprüfung 🚀 ", "Name", 100).unwrap(), "Überprüfung 🚀");
        assert!(visible_name(&"x".repeat(101), "Name", 100).is_err());
    }

    #[test]
    fn joiners_are_allowed_inside_emoji_and_between_letters_only() {
        for name in ["🔑 prod 👩‍💻", "❤️‍🔥", "می‌خواهم", "क्‍ष"] {
            assert_eq!(visible_name(name, "Name", 100).as_deref(), Ok(name));
        }
        for name in
            ["\u{200d}", "\u{200d}prod", "prod\u{200d}", "prod \u{200c}x", "a\u{200d}\u{200d}b", "a\u{200b}b"]
        {
            assert!(visible_name(name, "Name", 100).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_of_nothing_visible_is_refused() {
        for name in ["\u{200d}", "\u{3164}", "\u{2800}", "\u{301}", "\u{fe0f}", " \u{2003} "] {
            let problem = visible_name(name, "Name", 100).unwrap_err();
            assert_eq!(problem.sentence(), "Name is empty. Type at least one character.", "{name:?}");
        }
    }

    #[test]
    fn composed_and_decomposed_names_are_one_name() {
        assert_eq!(visible_name("Cafe\u{301}", "Name", 4).as_deref(), Ok("Caf\u{e9}"));
        assert_eq!(fold("CAFE\u{301}"), fold("caf\u{e9}"));
        assert_eq!(fold("pr\u{200d}od"), fold("PROD"));
    }

    #[test]
    fn a_name_that_is_too_long_is_not_cut() {
        let problem = visible_name(&"x".repeat(300), "Name", 100).unwrap_err();
        assert_eq!(problem.sentence(), "Name has at most 100 characters.");
    }

    #[test]
    fn a_slug_never_shadows_a_path_of_the_program() {
        assert_eq!(slug_of("Acme Corp, Inc."), "acme-corp-inc");
        assert_eq!(slug_of("API"), "org-api");
        assert_eq!(slug_of("v1beta"), "org-v1beta");
        assert_eq!(slug_of("日本"), "org");
        assert_eq!(slug_of("sk 0 0 0 0 0 0 0 0 0 0 0 0"), "org", "an address is no secret");
        for slug in
            RESERVED_SLUGS.into_iter().chain(["v1beta", "", "-a", "a-", "a--b", "Acme", "a/b", "münchen"])
        {
            assert!(parse_slug(slug).is_err(), "{slug}");
            assert_eq!(parse_slug(&slug_of(slug)), Ok(slug_of(slug)));
        }
        assert_eq!(parse_slug(" acme-2 ").unwrap(), "acme-2");
        assert!(parse_slug(&"a".repeat(41)).is_err());
    }
}
