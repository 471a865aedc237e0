//! What a person asks about themselves: their name, password and sessions, and where they belong. It is theirs alone, so
//! no other person's id is ever taken; the organisations that they belong to are told of it in their audits.

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::Caller;
use super::reauthentication::reauthenticate_always;
use super::self_service::{SelfActor, own_permit, save, words_about};
use super::sign_in::VerifiedPassword;
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, EventKind};
use crate::domain::device::device_of;
use crate::domain::hidden::Hidden;
use crate::domain::ids::SessionId;
use crate::domain::member::Membership;
use crate::domain::moment::Moment;
use crate::domain::person::{Person, visible_name};
use crate::domain::reauth::Reauth;
use crate::domain::session::OpenSession;
use crate::passwords::check_new_of;
use crate::store::people;
use crate::store::sessions;
use crate::store::{Via, second_factor};

/// How long a session lives without a request, and in any case.
#[derive(Clone, Copy, Debug)]
pub struct SessionLife {
    /// The longest time without a request, in milliseconds.
    pub idle_ms: i64,
    /// The longest time since the sign-in, in milliseconds.
    pub whole_ms: i64,
}

/// Everything on the account's page.
pub struct Account {
    /// The organisations where the person is an active member, by name.
    pub places: Vec<Membership>,
    /// When the second factor was turned on; `None` while it is off.
    pub second_factor_since: Option<Moment>,
    /// How many recovery codes are not used yet; 0 while the second factor is off.
    pub codes_left: i64,
    /// How many open sessions the person has, counted to 100.
    pub sessions: usize,
    /// When it was read.
    pub now: Moment,
}

/// Renames the caller.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameForm {
    /// The new name, of 1 to 100 characters.
    pub name: String,
}

/// Changes the caller's password.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordForm {
    /// The current password.
    pub current: Hidden,
    /// For those who have a second factor.
    pub code: Hidden,
    /// The new one.
    pub password: Hidden,
}

/// Ends one of the caller's sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionForm {
    /// The session's id.
    pub id: String,
}

/// What the account's page shows.
///
/// # Errors
/// `NotFound` when the person was disabled meanwhile.
pub async fn show(desk: &Desk, caller: &Caller, life: SessionLife) -> Result<Account, OpError> {
    let (now, person) = (desk.now(), &caller.person.id);
    let mut read = desk.db.read().await?;
    Ok(Account {
        places: people::memberships_of(&mut read, person).await?,
        second_factor_since: second_factor::find(&mut read, person).await?.and_then(|found| found.since),
        codes_left: second_factor::codes_left(&mut read, person).await?,
        sessions: open(&mut read, caller, life, now).await?.len(),
        now,
    })
}

/// # Errors
/// `Invalid` when the name is refused.
pub async fn rename(desk: &Desk, caller: &Caller, form: &NameForm) -> Result<(), OpError> {
    let name =
        visible_name(&form.name, "Name", 100).map_err(|problem| OpError::say("name", problem.to_string()))?;
    if name == caller.person.name {
        return Ok(());
    }
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let person = Person { name: name.clone(), ..caller.person.clone() };
    let by = SelfActor { person: &person, ..SelfActor::from(caller) };
    let permit = own_permit(&mut tx, by).await?;
    people::rename(&mut tx, &permit, &caller.person.id, &name).await?;
    let change = Change::replaced("name", caller.person.name.as_str(), name);
    save(tx, &permit, by, EventKind::PersonRenamed, vec![change], now).await
}

/// Sets a new password and ends every session of the person; the one that asked begins again with what this gives back.
///
/// # Errors
/// `Invalid` when the current password (or code) is wrong, or the new one is refused; `TooMany` after many wrong ones.
pub async fn change_password(
    desk: &Desk,
    caller: &Caller,
    form: &PasswordForm,
) -> Result<VerifiedPassword, OpError> {
    let person = &caller.person;
    // Said before anything is counted or used up.
    let about = words_about(&mut desk.db.read().await?, person).await?;
    check_new_of(form.password.as_str(), &about, person.second_factor)
        .map_err(|problem| OpError::say("password", problem.to_string()))?;
    if form.password == form.current {
        return Err(OpError::say("password", "This is your current password. Choose another."));
    }
    let reauth = Reauth { password: form.current.clone(), code: form.code.clone() };
    let (caller, verified) = reauthenticate_always(desk, caller, &reauth, ("current", "code")).await?;
    let hash = desk
        .passwords
        .hash(form.password.as_str().to_owned(), desk.bytes())
        .await
        .ok_or_else(OpError::stopping)?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    if people::lock_password(&mut tx, &person.id).await? != Some(verified.password_set_at) {
        return Err(OpError::Conflict(
            "Your password was changed elsewhere meanwhile. Sign in with that one.".into(),
        ));
    }
    let permit = own_permit(&mut tx, SelfActor::from(&caller)).await?;
    let password_set_at = people::set_password(&mut tx, &permit, &person.id, &hash, now).await?;
    sessions::end_all(&mut tx, &permit, &person.id, now).await?;
    save(tx, &permit, SelfActor::from(&caller), EventKind::PasswordChanged, vec![], now).await?;
    Ok(VerifiedPassword { password_set_at, ..verified })
}

/// The caller's sessions that still live, newest first, and which is the one that asks.
///
/// # Errors
/// When the database cannot be read.
pub async fn list_sessions(
    desk: &Desk,
    caller: &Caller,
    life: SessionLife,
) -> Result<(Vec<OpenSession>, Moment), OpError> {
    let now = desk.now();
    Ok((open(&mut desk.db.read().await?, caller, life, now).await?, now))
}

async fn open(
    via: &mut impl Via,
    caller: &Caller,
    life: SessionLife,
    now: Moment,
) -> Result<Vec<OpenSession>, OpError> {
    let (idle, begun) = (now.plus_ms(-life.idle_ms), now.plus_ms(-life.whole_ms));
    Ok(sessions::list(via, &caller.person.id, idle, begun).await?)
}

/// Ends one session of the caller's. Gives its device.
///
/// # Errors
/// `NotFound` when it is none of theirs, or over.
pub async fn end_session(desk: &Desk, caller: &Caller, form: &SessionForm) -> Result<String, OpError> {
    let id = SessionId::parse(&form.id).ok_or(OpError::NotFound)?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let permit = own_permit(&mut tx, SelfActor::from(caller)).await?;
    let ended = sessions::end_one(&mut tx, &permit, &caller.person.id, &id, now).await?;
    let (agent, address) = ended.ok_or(OpError::NotFound)?;
    let device = device_of(&agent);
    let change = Change::removed("session", format!("{device}, {address}"));
    save(tx, &permit, SelfActor::from(caller), EventKind::SessionsEnded, vec![change], now).await?;
    Ok(device)
}

/// Ends all sessions of the caller's but the one that asks. Gives their number.
///
/// # Errors
/// When the database cannot be written.
pub async fn end_other_sessions(desk: &Desk, caller: &Caller) -> Result<u64, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let permit = own_permit(&mut tx, SelfActor::from(caller)).await?;
    let ended = sessions::end_others(&mut tx, &permit, &caller.person.id, &caller.session, now).await?;
    if ended > 0 {
        let count = i64::try_from(ended).unwrap_or(i64::MAX);
        let change = Change::removed("sessions", ChangeValue::Count(count));
        save(tx, &permit, SelfActor::from(caller), EventKind::SessionsEnded, vec![change], now).await?;
    }
    Ok(ended)
}
