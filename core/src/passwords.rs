//! Passwords: hashing that costs the same for every caller, and which ones are refused. Hashing runs on threads of its own
//! behind a semaphore, so that a crowd at the door takes its turn instead of all memory. The memory of a hash is kept for the
//! next one: given back to the allocator, it would stay with the thread that it was used on.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
/// At most this many hashes at once: 19 MiB each, kept from then on.
const AT_ONCE: usize = 3;
/// The hash of no password that anyone can type: checked for unknown people, so that they take as long as known ones.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords; clones share the limit of three hashes at once, and their memory.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Memory that no hash is made in; as many as hashes at once at most.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn params() -> Params {
    // The three numbers are constants within argon2's bounds.
    Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default()
}

/// The hash of a password in argon2's text form. `None` for a salt or params that argon2 refuses.
fn hashed(password: &[u8], salt: &[u8], params: Params, memory: &mut Vec<Block>) -> Option<PasswordHash> {
    // A hash that was made with other costs may need more.
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password, salt, &mut out, memory)
        .ok()?;
    Some(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(&out).ok()?),
    })
}

impl Passwords {
    /// A hasher with a limit of its own.
    pub fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), memory: Arc::default() }
    }

    /// Hashes in the next turn. `None` only when the runtime is shutting down, or for what argon2 refuses.
    async fn next_turn(&self, password: String, salt: Vec<u8>, params: Params) -> Option<PasswordHash> {
        // The turn ends with the work, also when the caller has gone.
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        let kept = self.memory.clone();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let kept = || kept.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = kept().pop().unwrap_or_default();
            let hash = hashed(password.as_bytes(), &salt, params, &mut memory);
            kept().push(memory);
            hash
        })
        .await
        .ok()?
    }

    /// argon2's text form of the hash. `None` only when the runtime is shutting down.
    pub async fn hash(&self, password: String, salt: [u8; 16]) -> Option<String> {
        Some(self.next_turn(password, salt.to_vec(), params()).await?.to_string())
    }

    /// Whether the password is the stored one. `stored` is `None` for an unknown person, which takes just as long.
    pub async fn verify(&self, password: String, stored: Option<String>) -> bool {
        let known = stored.is_some();
        let Ok(stored) = PasswordHash::new(stored.as_deref().unwrap_or(DUMMY_HASH)) else { return false };
        let (Some(salt), Ok(params)) = (&stored.salt, Params::try_from(&stored)) else { return false };
        let made = self.next_turn(password, salt.to_vec(), params).await;
        // Outputs are compared in constant time.
        made.is_some_and(|made| made.hash == stored.hash && made.algorithm == stored.algorithm) && known
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
