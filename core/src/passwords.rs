//! Passwords: hashing that costs the same for every caller, and which ones are refused. Hashing runs on threads of its own
//! behind a semaphore, so that a crowd at the door takes its turn instead of all memory.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, CustomizedPasswordHasher, Params, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::domain::parse_error::ParseError;

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Above this a hash would only serve to keep the server busy. Nothing is ever cut off.
const LONGEST: usize = 256;
/// Without a second factor, and beside one.
pub const SHORTEST: usize = 15;
const SHORTEST_BESIDE_CODES: usize = 8;
/// At most this many hashes at once: 19 MiB each.
const AT_ONCE: usize = 4;
/// The hash of no password that anyone can type: checked for unknown people, so that they take as long as known ones.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords; clones share the limit of four hashes at once.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn hasher() -> Argon2<'static> {
    // The three numbers are constants within argon2's bounds.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    /// A hasher with a limit of its own.
    pub fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// argon2's text form of the hash. `None` only when the runtime is shutting down.
    pub async fn hash(&self, password: String, salt: [u8; 16]) -> Option<String> {
        // The turn ends with the work, also when the caller has gone.
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let hash = hasher().hash_password_customized(
                password.as_bytes(),
                &salt,
                None,
                None,
                hasher().params().clone(),
            );
            hash.ok().map(|hash| hash.to_string())
        })
        .await
        .ok()?
    }

    /// Whether the password is the stored one. `stored` is `None` for an unknown person, which takes just as long.
    pub async fn verify(&self, password: String, stored: Option<String>) -> bool {
        let Ok(turn) = self.turns.clone().acquire_owned().await else { return false };
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let known = stored.is_some();
            let text = stored.unwrap_or_else(|| DUMMY_HASH.to_owned());
            let Ok(hash) = PasswordHash::new(&text) else { return false };
            hasher().verify_password(password.as_bytes(), &hash).is_ok() && known
        })
        .await
        .unwrap_or(false)
    }
}

/// Length, and how fast it would be guessed; no rules about kinds of characters. `about` are words that an attacker who
/// knows the person would try first.
///
/// # Errors
/// A sentence that says why this password is refused.
pub fn check_new(password: &str, about: &[&str]) -> Result<(), ParseError> {
    check(password, about, SHORTEST)
}

/// For a person who may have a second factor: then a shorter one does.
///
/// # Errors
/// As `check_new`.
pub fn check_new_of(password: &str, about: &[&str], second_factor: bool) -> Result<(), ParseError> {
    check(password, about, if second_factor { SHORTEST_BESIDE_CODES } else { SHORTEST })
}

fn check(password: &str, about: &[&str], shortest: usize) -> Result<(), ParseError> {
    let length = password.chars().count();
    if length < shortest {
        return Err(ParseError::new(format!(
            "A password has at least {shortest} characters; this one has {length}. Four unusual words do well."
        )));
    }
    if length > LONGEST {
        return Err(ParseError::new(format!("A password has at most {LONGEST} characters.")));
    }
    let about = about.join(" ").to_lowercase();
    let words: Vec<&str> = about
        .split(|c: char| !c.is_alphanumeric())
        .chain(["keydesk"])
        .filter(|word| word.len() > 2)
        .collect();
    let mut rest = password.to_lowercase();
    for word in &words {
        rest = rest.replace(word, "");
    }
    if rest.chars().filter(|c| c.is_alphanumeric()).count() < shortest / 2 && rest.is_ascii() {
        return Err(ParseError::new(
            "This password is made of your name, address or organisation. Choose words that no one connects with you.",
        ));
    }
    // Eight random characters are guessed in as many tries as the scale's second step; a code stands beside them.
    let enough = if shortest < SHORTEST { zxcvbn::Score::Two } else { zxcvbn::Score::Three };
    if zxcvbn::zxcvbn(password, &words).score() < enough {
        return Err(ParseError::new(
            "This password is on lists that attackers try first, or made of such parts. Choose a less common one.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_and_another_does_not() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse battery".into(), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse battery".into(), Some(hash.clone())).await);
        assert!(!passwords.verify("correct horse batterz".into(), Some(hash.clone())).await);
        assert!(!passwords.verify(hash.clone(), Some(hash)).await);
        assert!(!passwords.verify("anything".into(), None).await);
    }

    #[tokio::test]
    async fn nothing_is_cut_off_or_folded() {
        let passwords = Passwords::new();
        let long = "a".repeat(100);
        let hash = passwords.hash(format!("{long}x"), [1; 16]).await.unwrap();
        assert!(!passwords.verify(format!("{long}y"), Some(hash.clone())).await);
        assert!(!passwords.verify(format!("{long}X"), Some(hash.clone())).await);
        assert!(!passwords.verify(format!("{long}x "), Some(hash)).await);
    }

    #[test]
    fn the_stand_in_for_nobody_is_a_readable_hash() {
        assert!(PasswordHash::new(DUMMY_HASH).is_ok());
    }

    #[test]
    fn beside_a_second_factor_eight_characters_do_and_common_ones_still_do_not() {
        assert!(check_new_of("kVq7#xZ2", &[], true).is_ok());
        for (refused, second_factor) in
            [("kVq7#xZ2", false), ("kVq7#xZ", true), ("password", true), ("anaruiz1", true)]
        {
            assert!(check_new_of(refused, &["Ana Ruiz"], second_factor).is_err(), "{refused}");
        }
    }

    #[test]
    fn short_common_and_personal_passwords_are_refused() {
        for refused in
            ["fourteen chars", "passwordpassword", "123456789012345", "aaaaaaaaaaaaaaa", "keydeskkeydesk1"]
        {
            assert!(check_new(refused, &["ana@example.com", "Ana Ruiz"]).is_err(), "{refused}");
        }
        assert!(check_new("ana ruiz ana ruiz", &["ana@example.com", "ana", "ruiz"]).is_err());
        assert!(check_new("violet tram kettle orbit", &[]).is_ok());
        assert!(check_new(&"🚲".repeat(256), &[]).is_err());
        assert!(check_new(&"x".repeat(257), &[]).is_err());
    }
}
