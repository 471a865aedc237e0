//! Gate 1: a request must have exactly one credential, in whatever places.

use zeroize::Zeroizing;

use crate::domain::gate::Rejection;

/// Credentials as sent. They are secrets, so this has no Debug and is wiped when dropped.
#[derive(Default)]
pub struct Presented {
    keys: Vec<Zeroizing<String>>,
    wrong_scheme: bool,
}

/// Headers whose value is the key itself: Anthropic's and Google's.
const BARE_HEADERS: [&str; 2] = ["x-api-key", "x-goog-api-key"];

impl Presented {
    /// Adds the header's value, if it is one that has a key. `name` is in lower case.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        if name == "authorization" {
            self.authorization(value);
        } else if BARE_HEADERS.contains(&name) {
            self.bare(value);
        }
    }

    /// Adds the value of an `Authorization` header.
    pub fn authorization(&mut self, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        let (scheme, rest) = text.split_once(' ').unwrap_or((&text, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            self.keys.push(Zeroizing::new(rest.to_owned()));
        } else {
            self.wrong_scheme = true;
        }
    }

    /// Adds a header or parameter whose value is the key itself.
    pub fn bare(&mut self, value: &[u8]) {
        self.keys.push(Zeroizing::new(String::from_utf8_lossy(value).into_owned()));
    }

    /// The one credential. The same key sent in two places is one.
    pub(super) fn single(&self) -> Result<&str, Rejection> {
        let Some(first) = self.keys.first() else {
            return Err(if self.wrong_scheme { Rejection::WrongScheme } else { Rejection::NoCredential });
        };
        if self.keys.iter().any(|key| key != first) {
            return Err(Rejection::TwoCredentials);
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_in_two_places_is_one_and_two_keys_are_refused() {
        let mut sent = Presented::default();
        sent.authorization(b"Bearer sk-one");
        sent.bare(b"sk-one");
        assert_eq!(sent.single(), Ok("sk-one"));
        sent.bare(b"sk-two");
        assert_eq!(sent.single(), Err(Rejection::TwoCredentials));
    }

    #[test]
    fn a_missing_and_a_misspelt_credential_are_told_apart() {
        assert_eq!(Presented::default().single(), Err(Rejection::NoCredential));
        let mut sent = Presented::default();
        sent.authorization(b"Basic abc");
        assert_eq!(sent.single(), Err(Rejection::WrongScheme));
    }
}
