//! Passwords: hashing that costs the same for every caller, and which ones are refused. Hashing runs on threads of its own
//! behind semaphores, so that a crowd at the door takes its turn instead of all memory, and keeps no one out who is known. The
//! memory of a hash is kept for the next one: given back to the allocator, it would stay with the thread that it was used on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
/// At most this many hashes at once, for people who are known and for everyone else: 19 MiB each, kept from then on.
const KNOWN_AT_ONCE: usize = 1;
const STRANGERS_AT_ONCE: usize = 2;
/// Strangers who wait for their turn or have it; one more is sent away.
const STRANGERS_IN_LINE: usize = 64;
/// Attempts that came too early and wait for their time, known and unknown ones.
const DELAYED: usize = 64;
/// The hash of no password that anyone can type: checked for unknown people, so that they take as long as known ones.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords; clones share the limit of three hashes at once, and their memory.
#[derive(Clone)]
pub struct Passwords {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    line: Arc<Semaphore>,
    delayed_known: Arc<Semaphore>,
    delayed: Arc<Semaphore>,
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
        let limit = |places| Arc::new(Semaphore::new(places));
        Self {
            known: limit(KNOWN_AT_ONCE),
            strangers: limit(STRANGERS_AT_ONCE),
            line: limit(STRANGERS_IN_LINE),
            delayed_known: limit(DELAYED),
            delayed: limit(DELAYED),
            memory: Arc::default(),
        }
    }

    /// A place for an attempt that came too early, to wait in until it is dropped; `None` when too many wait.
    pub fn wait(&self, known: bool) -> Option<OwnedSemaphorePermit> {
        let places = if known { &self.delayed_known } else { &self.delayed };
        places.clone().try_acquire_owned().ok()
    }

    /// Hashes in the next turn. `None` only when the runtime is shutting down, or for what argon2 refuses.
    async fn next_turn(
        &self,
        turns: &Arc<Semaphore>,
        password: String,
        salt: Vec<u8>,
        params: Params,
    ) -> Option<PasswordHash> {
        // The turn ends with the work, also when the caller has gone.
        let turn = turns.clone().acquire_owned().await.ok()?;
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

    /// argon2's text form of the hash, for a person who is known. `None` only when the runtime is shutting down.
    pub async fn hash(&self, password: String, salt: [u8; 16]) -> Option<String> {
        Some(self.next_turn(&self.known, password, salt.to_vec(), params()).await?.to_string())
    }

    /// Whether the password is the stored one. `stored` is `None` for an unknown person, which takes just as long. `None`
    /// when too many strangers wait for their turn: it was not looked at. Who is `known` does not wait behind them.
    pub async fn verify(&self, password: String, stored: Option<String>, known: bool) -> Option<bool> {
        let _place = if known { None } else { Some(self.line.clone().try_acquire_owned().ok()?) };
        let turns = if known { &self.known } else { &self.strangers };
        let exists = stored.is_some();
        let Ok(stored) = PasswordHash::new(stored.as_deref().unwrap_or(DUMMY_HASH)) else {
            return Some(false);
        };
        let (Some(salt), Ok(params)) = (&stored.salt, Params::try_from(&stored)) else { return Some(false) };
        let made = self.next_turn(turns, password, salt.to_vec(), params).await?;
        // Outputs are compared in constant time.
        Some(made.hash == stored.hash && made.algorithm == stored.algorithm && exists)
    }
}

/// Length, and how fast it would be guessed; no rules about kinds of characters. `about` are words that an attacker who
/// knows the person would try first.
///
/// # Errors
/// A sentence that says why this password is refused.
pub fn check_new(password: &str, about: &[impl AsRef<str>]) -> Result<(), ParseError> {
    check(password, about, SHORTEST)
}

/// For a person who may have a second factor: then a shorter one does.
///
/// # Errors
/// As `check_new`.
pub fn check_new_of(
    password: &str,
    about: &[impl AsRef<str>],
    second_factor: bool,
) -> Result<(), ParseError> {
    check(password, about, if second_factor { SHORTEST_BESIDE_CODES } else { SHORTEST })
}

fn check(password: &str, about: &[impl AsRef<str>], shortest: usize) -> Result<(), ParseError> {
    let length = password.chars().count();
    if length < shortest {
        return Err(ParseError::new(format!(
            "A password has at least {shortest} characters; this one has {length}. Four unusual words do well."
        )));
    }
    if length > LONGEST {
        return Err(ParseError::new(format!("A password has at most {LONGEST} characters.")));
    }
    let about: Vec<String> = about.iter().map(|text| text.as_ref().to_lowercase()).collect();
    let words = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).chain(["keydesk"]);
    let mut words: Vec<&str> = words.filter(|word| word.len() > 2).collect();
    // A longer word before one that is a part of it.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = password.to_lowercase();
    for word in &words {
        rest = rest.replace(word, "");
    }
    // A year, or the same again, makes it no better.
    let adds_little = |text: &str| {
        let different: BTreeSet<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
        different.len() < shortest / 2 && text.is_ascii()
    };
    if words.iter().any(|word| password.to_lowercase().contains(word)) && adds_little(&rest) {
        return Err(ParseError::new(
            "This password is made of your name, address or organisation. Choose words that no one connects with you.",
        ));
    }
    let folded: String = password.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    if quoted_phrases().any(|phrase| folded.contains(&phrase) && adds_little(&folded.replace(&phrase, ""))) {
        return Err(ParseError::new(
            "This password is quoted so often that attackers try it first. Choose words that you have read nowhere.",
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

/// Letters and digits of phrases that look strong and are in every list, because they are quoted so often.
fn quoted_phrases() -> impl Iterator<Item = String> {
    let lines = include_str!("quoted_phrases.txt").lines().filter(|line| !line.starts_with('#'));
    let folded = |line: &str| line.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    lines.map(folded).filter(|phrase| !phrase.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_and_another_does_not() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse battery".into(), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for known in [true, false] {
            let verify = |password: &str, stored| passwords.verify(password.to_owned(), stored, known);
            assert_eq!(verify("correct horse battery", Some(hash.clone())).await, Some(true));
            assert_eq!(verify("correct horse batterz", Some(hash.clone())).await, Some(false));
            assert_eq!(verify(&hash, Some(hash.clone())).await, Some(false));
            assert_eq!(verify("anything", None).await, Some(false));
        }
    }

    #[tokio::test]
    async fn a_crowd_of_strangers_is_bounded_and_keeps_no_one_out_who_is_known() {
        let passwords = Passwords::new();
        let _all = passwords.strangers.clone().acquire_many_owned(STRANGERS_AT_ONCE as u32).await.unwrap();
        let mut line = tokio::task::JoinSet::new();
        for _ in 0..STRANGERS_IN_LINE {
            let passwords = passwords.clone();
            line.spawn(async move { passwords.verify("x".into(), None, false).await });
        }
        while passwords.line.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.verify("one more".into(), None, false).await, None);
        assert_eq!(passwords.verify("known".into(), None, true).await, Some(false));
    }

    #[tokio::test]
    async fn nothing_is_cut_off_or_folded() {
        let passwords = Passwords::new();
        let long = "a".repeat(100);
        let hash = passwords.hash(format!("{long}x"), [1; 16]).await.unwrap();
        for other in [format!("{long}y"), format!("{long}X"), format!("{long}x ")] {
            assert_eq!(passwords.verify(other, Some(hash.clone()), true).await, Some(false));
        }
    }

    #[test]
    fn the_stand_in_for_nobody_is_a_readable_hash() {
        assert!(PasswordHash::new(DUMMY_HASH).is_ok());
    }

    #[test]
    fn beside_a_second_factor_eight_characters_do_and_common_ones_still_do_not() {
        assert!(check_new_of("kVq7#xZ2", &[""], true).is_ok());
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
        assert!(check_new("violet tram kettle orbit", &[""]).is_ok());
        assert!(check_new(&"🚲".repeat(256), &[""]).is_err());
        assert!(check_new(&"x".repeat(257), &[""]).is_err());
    }

    #[test]
    fn phrases_that_everyone_quotes_are_refused_in_any_spelling() {
        for quoted in [
            "correct horse battery staple",
            "CorrectHorseBatteryStaple",
            "Correct-Horse-Battery-Staple-2026!",
            "to be or not to be, that is the question",
        ] {
            let problem = check_new(quoted, &[""]).unwrap_err();
            assert!(problem.sentence().contains("quoted"), "{quoted}: {problem}");
        }
        assert!(check_new("correct walnut battery lantern orbit", &[""]).is_ok());
    }

    #[test]
    fn an_organisations_name_with_a_year_is_no_password() {
        for password in [
            "NorthwindTraders2026!",
            "northwind-traders 1987",
            "Traders_Northwind_2026",
            "northwind northwind",
            "northwind-2026-northwind-2026",
        ] {
            assert!(check_new(password, &["northwind-traders", "Northwind Traders"]).is_err(), "{password}");
        }
    }
}
