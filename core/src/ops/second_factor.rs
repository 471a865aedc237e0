//! The second factor: codes from a device (TOTP, RFC 6238) that are asked for after the password, and ten recovery codes for
//! when the device is lost. The secret is shown while it is set up, to a fresh sign-in, and never after it is turned on.
//! Who types a code has given the right password before, so wrong ones are also told to the owner: by mail if there is any, and
//! by a notice when they next sign in. How they are counted is in `codes.rs`.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::OpError;
use super::access::Caller;
use super::codes::{
    CODES, CodeLane, SECRET_BYTES, Used, codes_left, hash, new_code, open, step_of, tidy, totp, use_code,
};
use super::lane::{Lane, SignInSource, lane_of, network_of};
use super::reauthentication::reauthenticate_always;
use super::self_service::{SelfActor, own_permit, save};
use super::sign_in::VerifiedPassword;
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::hidden::Hidden;
use crate::domain::ids::{PersonId, SessionId};
use crate::domain::member::Membership;
use crate::domain::moment::Moment;
use crate::domain::person::{Contact, Email};
use crate::domain::policy::{AccountPermit, Action};
use crate::domain::reauth::Reauth;
use crate::passwords::SHORTEST;
use crate::security_log;
use crate::store::second_factor as store;
use crate::store::{Tx, Unaudited, people, sessions};

/// The second step of a sign-in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeForm {
    /// The code that the device shows; not read when there is a recovery code.
    pub code: Hidden,
    /// A recovery code, in place of the other.
    pub recovery: Hidden,
}

/// Starts to set the second factor up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartForm {
    /// The current password; required however young the last proof is.
    pub reauth: Reauth,
}

/// Replaces the recovery codes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RenewForm {
    /// Says nothing, but that there is a form while nothing has to be proved.
    pub confirm: String,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

/// Turns the second factor on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnOnForm {
    /// The code that the device shows.
    pub code: Hidden,
    /// Empty while the action does not require it.
    pub reauth: Reauth,
}

/// Always proved, however young the last proof is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnOffForm {
    /// The current password.
    pub current: Hidden,
    /// A code from the device, or a recovery code.
    pub code: Hidden,
}

/// What the page of the second factor shows.
pub enum View {
    /// It is off. Also while it is set up, for a caller whose last proof is too old to see the secret.
    Off,
    /// Begun, and shown to a fresh caller only: the secret as text, and the address behind the QR code.
    SettingUp {
        /// The secret in Base32.
        secret: String,
        /// The `otpauth:` address.
        url: String,
    },
    /// It is on.
    On {
        /// When it was turned on.
        since: Moment,
        /// How many recovery codes are not used yet.
        codes_left: i64,
        /// The first organisation, by name, that requires it of this person; `None` when none does.
        asked_by: Option<String>,
    },
}

/// So many wrong codes are told to the owner by mail.
const MAILED_AT: i64 = 5;

/// An attempt to sign in whose password was right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its own name; made at random.
    pub id: SessionId,
    /// How many wrong codes there were before it, since the person last signed in.
    pub wrong_codes: i64,
}

/// Between the two steps of a sign-in.
///
/// # Errors
/// When the database cannot be read.
pub async fn begin_attempt(desk: &Desk, verified: &VerifiedPassword) -> Result<Attempt, OpError> {
    let wrong_codes = store::wrong(&mut desk.db.read().await?, &verified.person).await?;
    Ok(Attempt { id: SessionId::new(desk.now(), desk.id_entropy()), wrong_codes })
}

/// Whom to tell by mail that wrong codes were typed after the right password; `None` while there are few, and after they
/// were told.
///
/// # Errors
/// When the database cannot be written.
pub async fn owner_to_tell(desk: &Desk, person: &PersonId) -> Result<Option<Contact>, OpError> {
    let mut tx = desk.db.write().await?;
    let owner = store::tell_wrong(&mut tx, person, MAILED_AT, desk.now()).await?;
    tx.save_unaudited(Unaudited::AttemptCounted).await?;
    Ok(owner)
}

/// The second step of a sign-in. `verified` is what the first step gave.
///
/// # Errors
/// `NotFound` when the first step does not count any more; else as `use_code`.
pub async fn finish_sign_in(
    desk: &Desk,
    verified: &VerifiedPassword,
    attempt: &Attempt,
    form: &CodeForm,
    from: &SignInSource<'_>,
) -> Result<Used, OpError> {
    let (person, password_set_at) = {
        let mut read = desk.db.read().await?;
        let person = people::find(&mut read, &verified.person).await?.ok_or(OpError::NotFound)?;
        (person, people::password_set_at(&mut read, &verified.person).await?)
    };
    if password_set_at != Some(verified.password_set_at) || !person.second_factor {
        return Err(OpError::NotFound);
    }
    let by = SelfActor { person: &person, address: from.address, request_id: from.request_id };
    let lane = lane_of(&mut desk.db.read().await?, Some(&person.id), from).await?;
    let network = network_of(from.address);
    let lane = match &lane {
        Lane::Device(device) => CodeLane::Known(device),
        Lane::Network => CodeLane::Known(&network),
        Lane::Stranger => CodeLane::Attempt(attempt.id.as_str()),
    };
    let used = if form.recovery.as_str().is_empty() {
        use_code(desk, by, form.code.as_str(), "code", lane).await
    } else {
        use_code(desk, by, form.recovery.as_str(), "recovery", lane).await
    };
    let is_wrong = matches!(used, Err(OpError::Invalid(_)));
    if used.is_ok() || is_wrong {
        let mut tx = desk.db.write().await?;
        if is_wrong {
            store::count_wrong(&mut tx, &person.id).await?;
        } else {
            store::forget_wrong(&mut tx, &person.id).await?;
            security_log::done("sign-in", person.id.as_str(), from.from());
        }
        tx.save_unaudited(Unaudited::AttemptCounted).await?;
    }
    used
}

/// What the page of the second factor shows to this caller.
///
/// # Errors
/// `NotFound` when the person was disabled meanwhile.
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
    let permit = own_permit(&mut tx, SelfActor::from(caller)).await?;
    if !store::turn_on(&mut tx, &permit, person, sealed, now, step).await? {
        return Err(on_already());
    }
    let codes = replace_codes(desk, &mut tx, &permit, person, now).await?;
    sessions::end_others(&mut tx, &permit, person, &caller.session, now).await?;
    save(tx, &permit, SelfActor::from(caller), EventKind::SecondFactorOn, vec![], now).await?;
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
    let permit = own_permit(&mut tx, SelfActor::from(&caller)).await?;
    if !store::turn_off(&mut tx, &permit, person).await? {
        return Err(OpError::Conflict("Your second factor is off already. Nothing was changed.".into()));
    }
    save(tx, &permit, SelfActor::from(&caller), EventKind::SecondFactorOff, vec![], now).await
}

/// For a person who lost device and recovery codes, on the command line, by a person who has verified who asks. Every session of
/// theirs ends. `None` when no one signs in with the address, `Some(false)` when it was off.
///
/// # Errors
/// When the database cannot be read or written.
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
    let permit = own_permit(&mut tx, SelfActor::from(caller)).await?;
    let before = store::codes_left(&mut tx, person).await?;
    let codes = replace_codes(desk, &mut tx, &permit, person, now).await?;
    let change = codes_left(before, CODES as i64);
    save(tx, &permit, SelfActor::from(caller), EventKind::RecoveryCodesMade, vec![change], now).await?;
    Ok(codes)
}
