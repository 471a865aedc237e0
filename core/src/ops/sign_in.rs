//! Signing in, and setting a new password through a one-time link. Failures are counted in the database. The delays that
//! hurt belong to one account from one network, and to a network; an account as a whole is slowed by two seconds at
//! most, so no one elsewhere can keep its owner out. One sentence serves every failure.

use crate::store::Unaudited;
use serde::{Deserialize, Serialize};

use super::access::Caller;
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
use crate::store::links;
use crate::store::throttle::{self, Throttled};
use crate::store::{people, sessions};

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

pub(super) const FORGET_AFTER_MS: i64 = 30 * 60_000;
/// How many failures are free, and how long the longest delay is.
const PAIR: (i64, i64) = (5, 60_000);
const ACCOUNT: (i64, i64) = (100, 2_000);
const NETWORK: (i64, i64) = (20, 60_000);
/// The error for an unknown address and for a wrong password alike.
pub const WRONG: &str = "The email address or the password is wrong.";

/// How long after its last failure a subject must wait: doubling from one second up to the longest.
pub(super) fn delay_ms(failures: i64, (free, longest): (i64, i64)) -> i64 {
    match failures - free {
        over if over < 0 => 0,
        over => (1_000_i64 << over.min(10)).min(longest),
    }
}

/// What counts as one network: a whole IPv6 network of one customer, or one IPv4 address.
pub(super) fn network_of(address: &str) -> String {
    match address.parse() {
        Ok(std::net::IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        _ => address.to_owned(),
    }
}

/// When the person's current password was set; a session begins with this moment.
///
/// # Errors
/// `NotFound` when the person has no password.
pub async fn password_set_at(desk: &Desk, person: &PersonId) -> Result<Moment, OpError> {
    people::password_set_at(&mut desk.db.read().await?, person).await?.ok_or(OpError::NotFound)
}

/// Who it is, if address and password are right. `address` is where the request came from.
///
/// # Errors
/// `TooMany` while the account or the network has to wait; `Invalid` with the same sentence for every wrong pair.
pub async fn sign_in(desk: &Desk, form: &SignInForm, address: &str) -> Result<VerifiedPassword, OpError> {
    let now = desk.now();
    // Whatever was typed is counted, but for a secret: as much of it as an address can have, without what Postgres takes in
    // no text.
    let typed = if has_secret(&form.email) { "" } else { form.email.trim() };
    let account: String = typed.to_lowercase().chars().filter(|c| *c != '\0').take(254).collect();
    let network = network_of(address);
    let subjects = [
        (Throttled::SignInPair, format!("{account} {network}"), PAIR),
        (Throttled::SignInNetwork, network, NETWORK),
        (Throttled::SignInAccount, account, ACCOUNT),
    ];
    // Counted before the password is looked at, and taken back when it is right: of many attempts at once, each sees
    // those before it.
    let mut tx = desk.db.write().await?;
    for (kind, subject, delays) in &subjects {
        let (failures, last_at) = throttle::lock(&mut tx, *kind, subject, now).await?;
        let wait = last_at.plus_ms(delay_ms(failures, *delays)).ms() - now.ms();
        if wait > 0 {
            return Err(OpError::TooMany { retry_after_s: wait.div_euclid(1_000) + 1 });
        }
        let forget_before = now.plus_ms(-FORGET_AFTER_MS);
        throttle::count(&mut tx, *kind, subject, now, forget_before).await?;
    }
    let stored = match Email::parse(&form.email) {
        Ok(email) => people::credentials(&mut tx, &email).await?,
        Err(_) => None,
    };
    tx.save_unaudited(Unaudited::AttemptCounted).await?;

    let hash = stored.as_ref().map(|stored| stored.password_hash.clone());
    let right = desk.passwords.verify(form.password.as_str().to_owned(), hash).await;
    let Some(stored) = stored.filter(|_| right) else {
        return Err(OpError::Invalid(vec![FieldError::say("password", WRONG)]));
    };
    let mut tx = desk.db.write().await?;
    let [(pair, pair_subject, _), rest @ ..] = &subjects;
    throttle::clear(&mut tx, *pair, pair_subject).await?;
    for (kind, subject, _) in rest {
        throttle::uncount(&mut tx, *kind, subject).await?;
    }
    tx.save_unaudited(Unaudited::SignIn).await?;
    Ok(VerifiedPassword {
        person: stored.person,
        password_set_at: stored.password_set_at,
        second_factor: stored.second_factor,
    })
}

/// Sets a new password through a reset link and ends every session of the person. A second factor stays on.
///
/// # Errors
/// `NotFound` when the link is unknown, used or late; `Invalid` when the password is refused.
pub async fn reset_password(desk: &Desk, form: &ResetForm) -> Result<(), OpError> {
    let Some(OneTimeLink { person: Some(person) }) =
        link_ops::find(desk, form.token.as_str(), LinkKind::Reset).await?
    else {
        return Err(OpError::NotFound);
    };
    let account = people::find(&mut desk.db.read().await?, &person).await?.ok_or(OpError::NotFound)?;
    check_new_of(form.password.as_str(), &[&account.email, &account.name], account.second_factor)
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
    throttle::clear_account(&mut tx, &account.email).await?;
    links::drop_unused(&mut tx, LinkKind::Reset, Some(&person)).await?;
    let event = Event::new(EventKind::PasswordReset, person.as_str(), &account.name);
    tx.save(&permit, event, now).await?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_begin_late_grow_and_end() {
        assert_eq!(delay_ms(4, PAIR), 0);
        assert_eq!(delay_ms(5, PAIR), 1_000);
        assert_eq!(delay_ms(8, PAIR), 8_000);
        assert_eq!(delay_ms(1_000_000, PAIR), PAIR.1);
        assert_eq!(delay_ms(1_000_000, ACCOUNT), 2_000);
    }

    #[test]
    fn a_customers_whole_ipv6_network_is_one_network() {
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), network_of("2001:db8:1:2::9"));
        assert_ne!(network_of("2001:db8:1:2::9"), network_of("2001:db8:1:3::9"));
        assert_eq!(network_of("192.0.2.7"), "192.0.2.7");
    }
}
