//! Signing in, and setting a new password through a one-time link. Failures are counted in the database. The delays that
//! hurt belong to one account from one network, and to a network; an account as a whole is slowed by two seconds at most,
//! and a device or network that it signed in from before not even by that (`lane.rs`). One sentence serves every failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::lane::{Delays, Lane, SignInSource, admit, lane_of, network_of};
use super::self_service::words_about;
use super::{OpError, links as link_ops};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::hidden::Hidden;
use crate::domain::ids::PersonId;
use crate::domain::key_format::has_secret;
use crate::domain::link::{LinkKind, OneTimeLink};
use crate::domain::moment::Moment;
use crate::domain::person::Email;
use crate::domain::policy::{AccountPermit, Action};
use crate::passwords::check_new_of;
use crate::security_log;
use crate::store::throttle::{self, Throttled};
use crate::store::{Unaudited, links, people, sessions};

/// As a browser sends it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignInForm {
    /// The email address as typed.
    pub email: String,
    /// The password.
    pub password: Hidden,
    /// Where to go afterwards; only a local path is followed.
    pub next: String,
}

/// Sets a new password through a reset link.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResetForm {
    /// The reset link's token.
    pub token: Hidden,
    /// The new password.
    pub password: Hidden,
}

/// A person whose password was right a moment ago. A session begins only while it is still theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPassword {
    /// The person's id.
    pub person: PersonId,
    /// The moment that stands for that password.
    pub password_set_at: Moment,
    /// Then the password alone begins no session.
    pub second_factor: bool,
}

const PAIR: Delays = (5, 60_000);
/// Short enough that an attempt can be held until its time comes.
const DEVICE: Delays = (5, 4_000);
const ACCOUNT: Delays = (100, 2_000);
const NETWORK: Delays = (20, 60_000);
/// An attempt that comes too early is held for so many seconds at most.
const DELAYED_S: i64 = 5;
/// The error for an unknown address and for a wrong password alike.
pub const WRONG: &str = "The email address or the password is wrong.";

/// When the person's current password was set; a session begins with this moment.
///
/// # Errors
/// `NotFound` when the person has no password.
pub async fn password_set_at(desk: &Desk, person: &PersonId) -> Result<Moment, OpError> {
    people::password_set_at(&mut desk.db.read().await?, person).await?.ok_or(OpError::NotFound)
}

/// Who it is, if address and password are right. An attempt that comes a few seconds too early is held until its time has
/// come, as long as not too many are.
///
/// # Errors
/// As `check_password`.
pub async fn sign_in(
    desk: &Desk,
    form: &SignInForm,
    from: &SignInSource<'_>,
) -> Result<VerifiedPassword, OpError> {
    let mut left = DELAYED_S;
    loop {
        match check_password(desk, form, from, "sign-in").await {
            Err(OpError::TooMany { retry_after_s }) if retry_after_s <= left => {
                let Some(_place) = desk.passwords.wait(!from.devices.is_empty()) else {
                    return Err(OpError::TooMany { retry_after_s });
                };
                left -= retry_after_s;
                tokio::time::sleep(Duration::from_secs(retry_after_s.unsigned_abs())).await;
            }
            ended => return ended,
        }
    }
}

/// Who it is, if address and password are right. `what` it is for is what the security log calls it.
///
/// # Errors
/// `TooMany` while the account or the network has to wait; `Invalid` with the same sentence for every wrong pair.
pub async fn check_password(
    desk: &Desk,
    form: &SignInForm,
    from: &SignInSource<'_>,
    what: &'static str,
) -> Result<VerifiedPassword, OpError> {
    let now = desk.now();
    // Whatever was typed is counted, but for a secret: as much of it as an address can have, without what Postgres takes in
    // no text.
    let typed = if has_secret(&form.email) { "" } else { form.email.trim() };
    let account: String = typed.to_lowercase().chars().filter(|c| *c != '\0').take(254).collect();
    let mut tx = desk.db.write().await?;
    let stored = match Email::stored(&form.email) {
        Some(email) => people::credentials(&mut tx, &email).await?,
        None => None,
    };
    let person = stored.as_ref().map(|stored| &stored.person);
    let who = person.map_or_else(|| security_log::unknown(desk, &account), PersonId::to_string);
    let lane = lane_of(&mut tx, person, from).await?;
    let subjects = subjects(&lane, &who, account, network_of(from.address));
    let tx = admit(tx, &subjects, now)
        .await
        .inspect_err(|_| security_log::refused(what, "too many", &who, from.from()))?;
    tx.save_unaudited(Unaudited::AttemptCounted).await?;

    let hash = stored.as_ref().map(|stored| stored.password_hash.clone());
    let password = form.password.as_str().to_owned();
    let right = desk.passwords.verify(password, hash, lane != Lane::Stranger).await;
    let stored = stored.filter(|_| right == Some(true));
    if right.is_none() || stored.is_some() {
        let mut tx = desk.db.write().await?;
        for (at, (kind, subject, _)) in subjects.iter().enumerate() {
            match (at, right) {
                // The first is the attempt's own; what others did stays.
                (0, Some(_)) => throttle::clear(&mut tx, *kind, subject).await?,
                _ => throttle::uncount(&mut tx, *kind, subject).await?,
            }
        }
        tx.save_unaudited(Unaudited::SignIn).await?;
    }
    match (right, stored) {
        (Some(_), Some(stored)) => {
            security_log::done(if stored.second_factor { "password" } else { what }, &who, from.from());
            Ok(VerifiedPassword {
                person: stored.person,
                password_set_at: stored.password_set_at,
                second_factor: stored.second_factor,
            })
        }
        (None, _) => {
            security_log::refused(what, "busy", &who, from.from());
            Err(OpError::TooMany { retry_after_s: 2 })
        }
        _ => {
            security_log::refused(what, "wrong password", &who, from.from());
            Err(OpError::Invalid(vec![FieldError::say("password", WRONG)]))
        }
    }
}

/// What an attempt is counted by; the first is its own.
fn subjects(lane: &Lane, person: &str, account: String, network: String) -> Vec<(Throttled, String, Delays)> {
    let pair = (Throttled::SignInPair, format!("{account} {network}"), PAIR);
    let whole_network = (Throttled::SignInNetwork, network, NETWORK);
    match lane {
        Lane::Device(id) => vec![(Throttled::SignInDevice, format!("{person} {id}"), DEVICE)],
        Lane::Network => vec![pair, whole_network],
        Lane::Stranger => vec![pair, whole_network, (Throttled::SignInAccount, account, ACCOUNT)],
    }
}

/// Sets a new password through a reset link and ends every session of the person. A second factor stays on. Gives whose
/// password it is.
///
/// # Errors
/// `NotFound` when the link is unknown, used or late; `Invalid` when the password is refused.
pub async fn reset_password(desk: &Desk, form: &ResetForm) -> Result<PersonId, OpError> {
    let Some(OneTimeLink { person: Some(person) }) =
        link_ops::find(desk, form.token.as_str(), LinkKind::Reset).await?
    else {
        return Err(OpError::NotFound);
    };
    let (account, about) = {
        let mut read = desk.db.read().await?;
        let account = people::find(&mut read, &person).await?.ok_or(OpError::NotFound)?;
        let about = words_about(&mut read, &account).await?;
        (account, about)
    };
    check_new_of(form.password.as_str(), &about, account.second_factor)
        .map_err(|problem| OpError::Invalid(vec![FieldError::new("password", problem)]))?;
    let hash = desk
        .passwords
        .hash(form.password.as_str().to_owned(), desk.bytes())
        .await
        .ok_or_else(OpError::stopping)?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    if links::take(&mut tx, &link_ops::hash(form.token.as_str()), LinkKind::Reset, now).await?.is_none() {
        return Err(OpError::NotFound);
    }
    let orgs = people::org_ids_of(&mut tx, &person).await?;
    let permit =
        AccountPermit::program(&person, account.platform, &orgs, Action::ResetPassword, "one-time link");
    people::set_password(&mut tx, &permit, &person, &hash, now).await?;
    sessions::end_all(&mut tx, &permit, &person, now).await?;
    throttle::clear_account(&mut tx, &account.email, &person).await?;
    links::drop_unused(&mut tx, LinkKind::Reset, Some(&person)).await?;
    let event = Event::new(EventKind::PasswordReset, person.as_str(), &account.name);
    tx.save(&permit, event, now).await?;
    Ok(person)
}

/// Light, dark, or as the person's system has it.
///
/// # Errors
/// `Invalid` for any other word.
pub async fn set_theme(desk: &Desk, caller: &Caller, theme: &str) -> Result<(), OpError> {
    if !["system", "light", "dark"].contains(&theme) {
        return Err(OpError::Invalid(vec![FieldError::say("theme", "Choose System, Light or Dark.")]));
    }
    let mut tx = desk.db.write().await?;
    people::set_theme(&mut tx, &caller.person.id, theme).await?;
    Ok(tx.save_unaudited(Unaudited::Theme).await?)
}
