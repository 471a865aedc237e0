//! The second factor: codes from a device (TOTP, RFC 6238) that are asked for after the password, and ten recovery codes for
//! when the device is lost. The secret is shown while it is set up, to a fresh sign-in, and never after it is turned on.
//! Wrong codes are counted by person, with growing delays of a minute at most: whoever counts here has given the right
//! password before, so this is no way to keep somebody out.

use crate::store::Unaudited;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

use super::OpError;
use super::access::Caller;
use super::account::{By, own_permit, save};
use super::reauthentication::reauthenticate_always;
use super::sign_in::{FORGET_AFTER_MS, VerifiedPassword, delay_ms};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::hidden::Hidden;
use crate::domain::ids::PersonId;
use crate::domain::member::Membership;
use crate::domain::moment::Moment;
use crate::domain::person::Email;
use crate::domain::policy::{AccountPermit, Action};
use crate::forms::reauth::Reauth;
use crate::passwords::SHORTEST;
use crate::store::second_factor::{self as store, SecondFactor};
use crate::store::throttle::{self, Throttled};
use crate::store::{Tx, people, sessions};

/// What every authenticator app can do, and most can do nothing else.
const DIGITS: u8 = 6;
const STEP_S: u64 = 30;
/// Codes of the step before and after work too: clocks differ.
const SKEW: u16 = 1;
const SECRET_BYTES: usize = 20;

const CODES: usize = 10;
/// No letter that looks like a digit or another letter.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const CODE_LETTERS: usize = 24;
const CODE_GROUP: usize = 6;

/// How many wrong codes are free, and how long the longest delay is.
const DELAYS: (i64, i64) = (5, 60_000);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeForm {
    pub code: Hidden,
    /// A recovery code, in place of the other.
    pub recovery: Hidden,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartForm {
    pub reauth: Reauth,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RenewForm {
    /// Says nothing, but that there is a form while nothing has to be proved.
    pub confirm: String,
    pub reauth: Reauth,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnOnForm {
    pub code: Hidden,
    pub reauth: Reauth,
}

/// Always proved, however young the last proof is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnOffForm {
    pub current: Hidden,
    pub code: Hidden,
}

/// What the page of the second factor shows.
pub enum View {
    Off,
    /// Begun, and shown to a fresh caller only: the secret as text, and the address behind the QR code.
    SettingUp {
        secret: String,
        url: String,
    },
    On {
        since: Moment,
        codes_left: i64,
        asked_by: Option<String>,
    },
}

/// What was used in place of which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    Code,
    RecoveryCode { left: i64 },
}

fn totp(secret: &[u8], account: &str) -> Option<Totp> {
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
fn step_of(secret: &[u8], code: &str, now: Moment) -> Option<i64> {
    let seconds = u64::try_from(now.ms() / 1_000).ok()?;
    let step = totp(secret, "")?.check(code, seconds)?;
    i64::try_from(step).ok()
}

/// As people type and paste: with spaces and dashes, in any case.
fn tidy(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).take(64).collect()
}

fn is_totp(code: &str) -> bool {
    code.len() == usize::from(DIGITS) && code.bytes().all(|b| b.is_ascii_digit())
}

/// 24 letters of 32: 120 random bits, which no list of guesses reaches, so a plain hash keeps them as well as a slow one.
/// The person in it makes equal codes of two people differ.
fn hash(person: &PersonId, code: &str) -> Vec<u8> {
    Sha256::new().chain_update(person.as_str()).chain_update([0]).chain_update(code).finalize().to_vec()
}

fn new_code(desk: &Desk) -> String {
    // 256 is eight times 32, so each letter is as likely as any other.
    let letters = desk.bytes::<CODE_LETTERS>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = letters.chunks(CODE_GROUP).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// The secret in the clear. `None` when the installation's key is another than the one it was sealed with.
fn open(desk: &Desk, person: &PersonId, found: &SecondFactor) -> Option<Zeroizing<Vec<u8>>> {
    let opened = desk.vault.open(person, found.sealed.as_deref()?);
    if opened.is_none() {
        tracing::error!("a second factor cannot be opened: the cookie key is not the one it was sealed with");
    }
    opened
}

/// Uses a code up: one from the device, or a recovery code. `field` is what the form calls it.
///
/// # Errors
/// `Invalid` when it is wrong, late or used; `TooMany` after many wrong ones.
pub(super) async fn use_code(
    desk: &Desk,
    by: By<'_>,
    code: &str,
    field: &'static str,
) -> Result<Used, OpError> {
    let (now, person) = (desk.now(), &by.person.id);
    let code = tidy(code);
    if code.is_empty() {
        return Err(OpError::say(field, "Type the code that your device shows now, or a recovery code."));
    }
    // One transaction: of many attempts at once, each sees those before it.
    let mut tx = desk.db.write().await?;
    let (failures, last_at) = throttle::lock(&mut tx, Throttled::SecondFactor, person.as_str(), now).await?;
    let wait = last_at.plus_ms(delay_ms(failures, DELAYS)).ms() - now.ms();
    if wait > 0 {
        return Err(OpError::TooMany { retry_after_s: wait.div_euclid(1_000) + 1 });
    }
    let permit = own_permit(&mut tx, by).await?;
    match try_code(desk, &mut tx, &permit, person, &code, now).await? {
        Some(Used::Code) => {
            throttle::clear(&mut tx, Throttled::SecondFactor, person.as_str()).await?;
            tx.save_unaudited(Unaudited::SignIn).await?;
            Ok(Used::Code)
        }
        Some(Used::RecoveryCode { left }) => {
            throttle::clear(&mut tx, Throttled::SecondFactor, person.as_str()).await?;
            let change = codes_left(left + 1, left);
            save(tx, &permit, by, EventKind::RecoveryCodeUsed, vec![change], now).await?;
            Ok(Used::RecoveryCode { left })
        }
        None => {
            let forget_before = now.plus_ms(-FORGET_AFTER_MS);
            throttle::count(&mut tx, Throttled::SecondFactor, person.as_str(), now, forget_before).await?;
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

/// The second step of a sign-in. `verified` is what the first step gave.
///
/// # Errors
/// `NotFound` when the first step does not count any more; else as `use_code`.
pub async fn finish_sign_in(
    desk: &Desk,
    verified: &VerifiedPassword,
    form: &CodeForm,
    address: &str,
    request_id: &str,
) -> Result<Used, OpError> {
    let (person, password_set_at) = {
        let mut read = desk.db.read().await?;
        let person = people::find(&mut read, &verified.person).await?.ok_or(OpError::NotFound)?;
        (person, people::password_set_at(&mut read, &verified.person).await?)
    };
    if password_set_at != Some(verified.password_set_at) || !person.second_factor {
        return Err(OpError::NotFound);
    }
    let by = By { person: &person, address, request_id };
    if form.recovery.as_str().is_empty() {
        use_code(desk, by, form.code.as_str(), "code").await
    } else {
        use_code(desk, by, form.recovery.as_str(), "recovery").await
    }
}

pub async fn show(desk: &Desk, caller: &Caller) -> Result<View, OpError> {
    let mut read = desk.db.read().await?;
    let person = &caller.person;
    let found = store::find(&mut read, &person.id).await?.ok_or(OpError::NotFound)?;
    if let Some(since) = found.since {
        let codes_left = store::codes_left(&mut read, &person.id).await?;
        let places = people::memberships_of(&mut read, &person.id).await?;
        let asked_by = places.into_iter().find(Membership::requires_second_factor).map(|place| place.name);
        return Ok(View::On { since, codes_left, asked_by });
    }
    if found.sealed.is_none() || !caller.recently_authenticated(desk.now()) {
        return Ok(View::Off);
    }
    let totp = open(desk, &person.id, &found).and_then(|secret| totp(&secret, &person.email));
    let Some(totp) = totp else { return Ok(View::Off) };
    let Ok(url) = totp.to_url() else { return Ok(View::Off) };
    Ok(View::SettingUp { secret: totp.secret().to_base32(), url })
}

/// Makes a secret that proves itself with its first code. Nothing is asked at sign-in yet. The password is always asked, so
/// that there are ten whole minutes to set the device up.
///
/// # Errors
/// `Invalid` when the password is wrong; `Conflict` when it is on already.
pub async fn start(desk: &Desk, caller: &Caller, form: &StartForm) -> Result<(), OpError> {
    if caller.person.second_factor {
        return Err(on_already());
    }
    reauthenticate_always(desk, caller, &form.reauth, ("reauth", "reauth_code")).await?;
    let person = &caller.person.id;
    let secret = Zeroizing::new(desk.bytes::<SECRET_BYTES>());
    let sealed = desk.vault.seal(person, desk.bytes(), secret.as_slice()).ok_or_else(OpError::stopping)?;
    let mut tx = desk.db.write().await?;
    if !store::prepare(&mut tx, person, &sealed).await? {
        return Err(on_already());
    }
    Ok(tx.save_unaudited(Unaudited::SecondFactorPrepared).await?)
}

fn on_already() -> OpError {
    OpError::Conflict("Your second factor is on already. Nothing was changed.".into())
}

/// Turns it on after a right code, and ends the sessions that began without it. Gives the recovery codes, to be shown once.
///
/// # Errors
/// `ReauthRequired` without a fresh sign-in; `Invalid` when the code is wrong; `Conflict` when it is on already.
pub async fn turn_on(desk: &Desk, caller: &Caller, form: &TurnOnForm) -> Result<Vec<String>, OpError> {
    let now = desk.now();
    caller.require_recent_auth(now)?;
    let person = &caller.person.id;
    let mut tx = desk.db.write().await?;
    let found = store::find(&mut tx, person).await?.ok_or(OpError::NotFound)?;
    if found.since.is_some() {
        return Err(on_already());
    }
    let code = tidy(form.code.as_str());
    let step = open(desk, person, &found).and_then(|secret| step_of(&secret, &code, now));
    let (Some(step), Some(sealed)) = (step, &found.sealed) else {
        return Err(OpError::say(
            "code",
            "This is not the code that belongs to this secret now. Check that the device's clock is right, and type the newest code.",
        ));
    };
    let permit = own_permit(&mut tx, By::from(caller)).await?;
    if !store::turn_on(&mut tx, &permit, person, sealed, now, step).await? {
        return Err(on_already());
    }
    let codes = replace_codes(desk, &mut tx, &permit, person, now).await?;
    sessions::end_others(&mut tx, &permit, person, &caller.session, now).await?;
    save(tx, &permit, By::from(caller), EventKind::SecondFactorOn, vec![], now).await?;
    Ok(codes)
}

async fn replace_codes(
    desk: &Desk,
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    now: Moment,
) -> Result<Vec<String>, OpError> {
    let codes: Vec<String> = (0..CODES).map(|_| new_code(desk)).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| hash(person, &tidy(code))).collect();
    store::replace_codes(tx, permit, person, &hashes, now).await?;
    Ok(codes)
}

/// Turns it off: with the password and a code, however young the last proof is.
///
/// # Errors
/// `Invalid` when one of them is wrong; `Conflict` while an organisation asks for it, or the password is too short alone.
pub async fn turn_off(desk: &Desk, caller: &Caller, form: &TurnOffForm) -> Result<(), OpError> {
    let person = &caller.person.id;
    // Said before a code is used up.
    if let Some(sentence) = rejection(desk, caller, form.current.as_str()).await? {
        return Err(OpError::Conflict(sentence));
    }
    let reauth = Reauth { password: form.current.clone(), code: form.code.clone() };
    let (caller, _) = reauthenticate_always(desk, caller, &reauth, ("current", "code")).await?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let permit = own_permit(&mut tx, By::from(&caller)).await?;
    if !store::turn_off(&mut tx, &permit, person).await? {
        return Err(OpError::Conflict("Your second factor is off already. Nothing was changed.".into()));
    }
    save(tx, &permit, By::from(&caller), EventKind::SecondFactorOff, vec![], now).await
}

/// For somebody who lost device and recovery codes, on the command line, by whoever made sure who asks. Every session of
/// theirs ends. `None` when nobody signs in with the address, `Some(false)` when it was off.
pub async fn turn_off_lost(desk: &Desk, email: &Email) -> Result<Option<bool>, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let Some(found) = people::credentials(&mut tx, email).await? else { return Ok(None) };
    let Some(person) = people::find(&mut tx, &found.person).await? else { return Ok(None) };
    let orgs = people::org_ids_of(&mut tx, &person.id).await?;
    let permit =
        AccountPermit::program(&person.id, person.platform, &orgs, Action::OwnAccount, "command line");
    if !store::turn_off(&mut tx, &permit, &person.id).await? {
        return Ok(Some(false));
    }
    sessions::end_all(&mut tx, &permit, &person.id, now).await?;
    let event = Event::new(EventKind::SecondFactorOff, person.id.as_str(), &person.name);
    tx.save(&permit, event, now).await?;
    Ok(Some(true))
}

async fn rejection(desk: &Desk, caller: &Caller, password: &str) -> Result<Option<String>, OpError> {
    if !caller.person.second_factor {
        return Ok(Some("Your second factor is off already. Nothing was changed.".into()));
    }
    let places = people::memberships_of(&mut desk.db.read().await?, &caller.person.id).await?;
    if let Some(place) = places.iter().find(|place| place.requires_second_factor()) {
        return Ok(Some(format!(
            "{} asks its owners and admins for a second factor, so yours stays on.",
            place.name
        )));
    }
    let length = password.chars().count();
    Ok((1..SHORTEST).contains(&length).then(|| {
        format!("A password of {length} characters is enough only beside a second factor. Change it to one of {SHORTEST} or more first.")
    }))
}

fn codes_left(before: i64, after: i64) -> Change {
    Change::replaced("recovery_codes", ChangeValue::Count(before), ChangeValue::Count(after))
}

/// Ten new recovery codes in the place of those that are left. To be shown once.
///
/// # Errors
/// `ReauthRequired` without a fresh sign-in; `Conflict` when the second factor is off.
pub async fn renew_codes(desk: &Desk, caller: &Caller) -> Result<Vec<String>, OpError> {
    let now = desk.now();
    caller.require_recent_auth(now)?;
    let person = &caller.person.id;
    let mut tx = desk.db.write().await?;
    // Held, so that it is not turned off at the same moment and leaves codes behind.
    people::lock_password(&mut tx, person).await?;
    if store::find(&mut tx, person).await?.is_none_or(|found| found.since.is_none()) {
        return Err(OpError::Conflict("Your second factor is off, so there are no recovery codes.".into()));
    }
    let permit = own_permit(&mut tx, By::from(caller)).await?;
    let before = store::codes_left(&mut tx, person).await?;
    let codes = replace_codes(desk, &mut tx, &permit, person, now).await?;
    let change = codes_left(before, CODES as i64);
    save(tx, &permit, By::from(caller), EventKind::RecoveryCodesMade, vec![change], now).await?;
    Ok(codes)
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
