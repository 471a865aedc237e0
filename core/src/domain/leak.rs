//! Secrets in text where they should not be: a log, a chat, a commit. Finding them, and what is known about one. The
//! same form stands in docs/secret-scanning.md as a regular expression and as rules of scanners.

use super::ids::SecretId;
use super::key_format::{self, PlainSecret, has_secret, hint};
use super::moment::Moment;
use super::rotation::SecretEnd;

/// What begins every secret.
const START: &str = "sk-";
/// The longest prefix, up to and with its last dash.
const LONGEST_PREFIX: usize = 20;
/// What follows the prefix.
const TAIL: usize = 38;

/// The whole secrets in a text, each as often as it stands there, in order. The checksum decides, so that almost nothing
/// else is taken for one.
pub fn secrets_in(text: &str) -> Vec<PlainSecret> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(START).map(|at| from + at) {
        match secret_at(&text[at..]) {
            Some((secret, length)) => {
                found.push(secret);
                from = at + length;
            }
            None => from = at + START.len(),
        }
    }
    found
}

/// The secret that a text begins with, and its length. What follows it is not read: a URL goes on after it.
fn secret_at(text: &str) -> Option<(PlainSecret, usize)> {
    let prefix = text.bytes().take(LONGEST_PREFIX);
    let dashes = prefix.enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at + 1);
    dashes.into_iter().find_map(|dash| {
        let length = dash + TAIL;
        let secret = key_format::read(text.get(..length)?).ok()?;
        Some((secret, length))
    })
}

/// Characters of a place that are kept.
const MAX_PLACE: usize = 300;

/// Where a secret was found, such as the address of a commit, as it is stored and mailed; empty where a secret is part of
/// it.
pub fn plain_place(text: &str) -> String {
    let bare: String = text.chars().filter(|c| !c.is_control()).collect();
    // What stands before a secret may be a part of its word, such as `%2Fsk-…`.
    if has_secret(text) || !secrets_in(&bare).is_empty() {
        return String::new();
    }
    bare.chars().take(MAX_PLACE).collect()
}

/// A secret that someone found, without the secret itself.
#[derive(Clone, Debug)]
pub struct FoundSecret {
    /// The secret's id.
    pub id: SecretId,
    /// Its last four characters.
    pub last_four: String,
    /// Whether it still works, as far as the key itself does.
    pub state: SecretState,
    /// When a request last used it; `None` is never.
    pub last_used_at: Option<Moment>,
    /// Where its billed requests of the last `LEAK_DAYS` came from, the latest first.
    pub uses: Vec<AddressUse>,
    /// Where rejected requests with it, or with another ended secret of its key, came from, the latest first.
    pub attempts: Vec<AddressUse>,
}

/// How far back uses of a found secret are listed, in days.
pub const LEAK_DAYS: i64 = 7;

impl FoundSecret {
    /// Its masked form, such as `sk-…a1B2`.
    pub fn hint(&self) -> String {
        hint(&self.last_four)
    }
}

/// What a rotation has done to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It is its key's current secret.
    Current,
    /// It was replaced and works until then.
    Previous(SecretEnd),
    /// It was replaced and ended then.
    Ended(Moment),
}

/// Requests from one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressUse {
    /// The client's IP address; empty when it is unknown.
    pub address: String,
    /// How many.
    pub requests: i64,
    /// When the newest came.
    pub last_at: Moment,
}

/// What a person does about a secret that leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeakAction {
    /// The key gets a new secret, and the leaked one ends at once.
    Rotate,
    /// The leaked secret ends at once, and the key's other one goes on.
    EndSecret,
    /// The key is revoked.
    Revoke,
}

impl LeakAction {
    /// The word in a form.
    pub fn as_str(self) -> &'static str {
        match self {
            LeakAction::Rotate => "rotate",
            LeakAction::EndSecret => "end",
            LeakAction::Revoke => "revoke",
        }
    }

    /// The word of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        [LeakAction::Rotate, LeakAction::EndSecret, LeakAction::Revoke]
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}

/// What the program does by itself about a secret in use that a scanner reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeakResponse {
    /// It tells the people, and changes nothing.
    Notify,
    /// It disables the key, which can be rotated and enabled again.
    #[default]
    Disable,
    /// It revokes the key.
    Revoke,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE";

    fn found(text: &str) -> Vec<String> {
        secrets_in(text).iter().map(|secret| secret.reveal().to_owned()).collect()
    }

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        for text in [
            SECRET.to_owned(),
            format!("KEY=\"{SECRET}\""),
            format!("https://desk.example/v1/models?key={SECRET}&alt=sse"),
            format!("sk-sk-{SECRET}"),
            format!("é{SECRET}é"),
            format!("Authorization: Bearer {SECRET}\r\n"),
            format!("{SECRET}ABC"),
        ] {
            assert_eq!(found(&text), [SECRET], "{text}");
        }
        assert_eq!(found(&format!("{SECRET}{SECRET}")).len(), 2);
    }

    #[test]
    fn look_alikes_are_not_secrets() {
        for text in [
            "",
            "sk-",
            "sk-desk-…ngPE",
            "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPF",
            "sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4Ongé",
            "sk-ant-api03-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_place_is_kept_without_a_secret() {
        let commit = "https://github.com/acme/site/blob/0a1b2c3d4e5f60718293a4b5c6d7e8f901234567/.env";
        assert_eq!(plain_place(commit), commit);
        assert_eq!(plain_place("a\r\nb"), "ab");
        assert_eq!(plain_place(&"word ".repeat(100)).chars().count(), MAX_PLACE);
        for place in [
            format!("https://paste.example/{SECRET}/raw"),
            format!("https://paste.example/x#{SECRET}"),
            format!("{} {SECRET}", "word ".repeat(100)),
            format!("https://paste.example/a%2F{SECRET}.txt/raw"),
            format!("task{SECRET}s and more"),
        ] {
            assert_eq!(plain_place(&place), "", "{place}");
        }
    }
}
