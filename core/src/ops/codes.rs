//! Codes of the second factor: from a device (TOTP, RFC 6238) and recovery codes. Each is used up once. Wrong codes from a
//! device are counted by lane: a known device, a known network or a session has its own, with delays of a minute at most;
//! anyone else has five in one attempt to sign in, and all of them together are slowed. Recovery codes cannot be guessed, so
//! they wait for nothing: with one, the owner gets in whatever others type.

use sha2::{Digest, Sha256};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

use super::OpError;
use super::lane::{Delays, admit};
use super::self_service::{SelfActor, own_permit, save};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, EventKind};
use crate::domain::ids::PersonId;
use crate::domain::moment::Moment;
use crate::domain::policy::AccountPermit;
use crate::security_log;
use crate::store::second_factor::{self as store, SecondFactor};
use crate::store::throttle::{self, Throttled};
use crate::store::{Tx, Unaudited};

/// What every authenticator app can do, and most can do nothing else.
pub(super) const DIGITS: u8 = 6;
pub(super) const STEP_S: u64 = 30;
/// Codes of the step before and after work too: clocks differ.
pub(super) const SKEW: u16 = 1;
pub(super) const SECRET_BYTES: usize = 20;

pub(super) const CODES: usize = 10;
/// No letter that looks like a digit or another letter.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const CODE_LETTERS: usize = 24;
const CODE_GROUP: usize = 6;

/// Of one known device, network or session.
const KNOWN: Delays = (5, 60_000);
/// Of everyone else together.
const STRANGERS: Delays = (20, 60_000);
/// Of one attempt that is in no lane of its own: then it is over.
const IN_ONE_ATTEMPT: i64 = 5;
const NO_DELAY: Delays = (i64::MAX, 0);

/// Which wrong codes are counted together.
#[derive(Clone, Copy, Debug)]
pub(super) enum CodeLane<'a> {
    /// Those of this device, network or session.
    Known(&'a str),
    /// Those of this attempt to sign in, and all of strangers.
    Attempt(&'a str),
}

/// What was used in place of which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// A code from the device.
    Code,
    /// A recovery code.
    RecoveryCode {
        /// How many recovery codes are not used yet.
        left: i64,
    },
}

pub(super) fn totp(secret: &[u8], account: &str) -> Option<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_skew(SKEW)
        .with_step_duration(STEP_S)
        .with_secret(secret.to_vec())
        // A colon parts the issuer from the account in the address.
        .with_account_name(account.replace(':', " "))
        .with_issuer(Some("Keydesk"))
        .build()
        .ok()
}

/// The step of the code, if it is one of now or of a step beside it.
pub(super) fn step_of(secret: &[u8], code: &str, now: Moment) -> Option<i64> {
    let seconds = u64::try_from(now.ms() / 1_000).ok()?;
    let step = totp(secret, "")?.check(code, seconds)?;
    i64::try_from(step).ok()
}

/// As people type and paste: with spaces and dashes, in any case.
pub(super) fn tidy(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).take(64).collect()
}

pub(super) fn is_totp(code: &str) -> bool {
    code.len() == usize::from(DIGITS) && code.bytes().all(|b| b.is_ascii_digit())
}

/// 24 letters of 32: 120 random bits, which no list of guesses reaches, so a plain hash keeps them as well as a slow one.
/// The person in it makes equal codes of two people differ.
pub(super) fn hash(person: &PersonId, code: &str) -> Vec<u8> {
    Sha256::new().chain_update(person.as_str()).chain_update([0]).chain_update(code).finalize().to_vec()
}

pub(super) fn new_code(desk: &Desk) -> String {
    // 256 is eight times 32, so each letter is as likely as any other.
    let letters = desk.bytes::<CODE_LETTERS>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = letters.chunks(CODE_GROUP).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// The secret in the clear. `None` when the installation's key is another than the one it was sealed with.
pub(super) fn open(desk: &Desk, person: &PersonId, found: &SecondFactor) -> Option<Zeroizing<Vec<u8>>> {
    let opened = desk.vault.open(person, found.sealed.as_deref()?);
    if opened.is_none() {
        tracing::error!("a second factor cannot be opened: the cookie key is not the one it was sealed with");
    }
    opened
}

/// Uses a code up: one from the device, or a recovery code. `field` is what the form calls it.
///
/// # Errors
/// `Invalid` when it is wrong, late or used; `TooMany` after many wrong ones; `Conflict` when the attempt is over.
pub(super) async fn use_code(
    desk: &Desk,
    by: SelfActor<'_>,
    code: &str,
    field: &'static str,
    lane: CodeLane<'_>,
) -> Result<Used, OpError> {
    let (who, from) = (by.person.id.as_str(), (by.address, by.request_id));
    let used = try_in_lane(desk, by, code, field, lane).await;
    match &used {
        Ok(Used::Code) => security_log::done("code", who, from),
        // Saved with an event of its own, which is logged.
        Ok(Used::RecoveryCode { .. }) => {}
        Err(OpError::TooMany { .. }) => security_log::refused("code", "too many", who, from),
        Err(OpError::Conflict(_)) => security_log::refused("code", "attempt is over", who, from),
        Err(_) => security_log::refused("code", "wrong code", who, from),
    }
    used
}

async fn try_in_lane(
    desk: &Desk,
    by: SelfActor<'_>,
    code: &str,
    field: &'static str,
    lane: CodeLane<'_>,
) -> Result<Used, OpError> {
    let (now, person) = (desk.now(), &by.person.id);
    let code = tidy(code);
    if code.is_empty() {
        return Err(OpError::say(field, "Type the code that your device shows now, or a recovery code."));
    }
    // One transaction: of many attempts at once, each sees those before it.
    let mut tx = desk.db.write().await?;
    let counted = if is_totp(&code) { lane.counted(person) } else { vec![] };
    if let (CodeLane::Attempt(_), Some((kind, subject, _))) = (lane, counted.first())
        && throttle::lock(&mut tx, *kind, subject, now).await?.failures >= IN_ONE_ATTEMPT
    {
        return Err(OpError::Conflict(
            "Too many wrong codes. Sign in again with your password, or use a recovery code.".into(),
        ));
    }
    let mut tx = admit(tx, &counted, now).await?;
    let permit = own_permit(&mut tx, by).await?;
    match try_code(desk, &mut tx, &permit, person, &code, now).await? {
        Some(Used::Code) => {
            for (at, (kind, subject, _)) in counted.iter().enumerate() {
                match at {
                    0 => throttle::clear(&mut tx, *kind, subject).await?,
                    _ => throttle::uncount(&mut tx, *kind, subject).await?,
                }
            }
            tx.save_unaudited(Unaudited::SignIn).await?;
            Ok(Used::Code)
        }
        Some(Used::RecoveryCode { left }) => {
            let change = codes_left(left + 1, left);
            save(tx, &permit, by, EventKind::RecoveryCodeUsed, vec![change], now).await?;
            Ok(Used::RecoveryCode { left })
        }
        None => {
            tx.save_unaudited(Unaudited::AttemptCounted).await?;
            let sentence = match is_totp(&code) {
                true => {
                    "This code is wrong, too old, or was used before. Wait for the next one and type that."
                }
                false => "This is none of your recovery codes, or it was used before. Each works once.",
            };
            Err(OpError::say(field, sentence))
        }
    }
}

impl CodeLane<'_> {
    /// The first is the lane's own.
    fn counted(self, person: &PersonId) -> Vec<(Throttled, String, Delays)> {
        let own = |lane: &str, delays| (Throttled::SecondFactorLane, format!("{person} {lane}"), delays);
        match self {
            CodeLane::Known(lane) => vec![own(lane, KNOWN)],
            CodeLane::Attempt(attempt) => {
                vec![own(attempt, NO_DELAY), (Throttled::SecondFactor, person.to_string(), STRANGERS)]
            }
        }
    }
}

async fn try_code(
    desk: &Desk,
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    code: &str,
    now: Moment,
) -> Result<Option<Used>, OpError> {
    let found = store::find(tx, person).await?.filter(|found| found.since.is_some());
    let Some(found) = found else { return Ok(None) };
    if is_totp(code) {
        let step = open(desk, person, &found).and_then(|secret| step_of(&secret, code, now));
        let Some(step) = step else { return Ok(None) };
        return Ok(store::use_step(tx, person, step).await?.then_some(Used::Code));
    }
    if !store::use_code(tx, permit, person, &hash(person, code), now).await? {
        return Ok(None);
    }
    Ok(Some(Used::RecoveryCode { left: store::codes_left(tx, person).await? }))
}

pub(super) fn codes_left(before: i64, after: i64) -> Change {
    Change::replaced("recovery_codes", ChangeValue::Count(before), ChangeValue::Count(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the rows of SHA-1, of whose eight digits the last six are ours.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let at = Moment::from_ms(seconds * 1_000);
            assert_eq!(step_of(secret, &code[2..], at), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_counts_one_step_early_and_one_late_and_no_more() {
        let secret = b"12345678901234567890";
        let (code, step) = ("287082", 1);
        for (seconds, counts) in [(0, true), (29, true), (59, true), (89, true), (90, false), (1_000, false)]
        {
            let found = step_of(secret, code, Moment::from_ms(seconds * 1_000));
            assert_eq!(found, counts.then_some(step), "{seconds}");
        }
        assert_eq!(step_of(secret, "287083", Moment::from_ms(59_000)), None);
        assert_eq!(step_of(secret, "", Moment::from_ms(59_000)), None);
    }

    #[test]
    fn codes_may_be_typed_with_spaces_and_dashes_in_any_case() {
        assert_eq!(tidy(" 287 082 "), "287082");
        assert_eq!(tidy("ABCDEF-ghijkm"), "abcdefghijkm");
        assert!(is_totp("287082") && !is_totp("28708") && !is_totp("28708a"));
    }
}
