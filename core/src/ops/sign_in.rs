//! Signing in, and setting a new password through a one-time link. Failures are counted per account and per network in
//! the database; delays grow and then end, so nobody locks the rightful owner out. One sentence serves every failure.

use serde::{Deserialize, Serialize};

use super::passwords::check_new;
use super::{OpError, links as link_ops};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::hidden::Hidden;
use crate::domain::ids::PersonId;
use crate::domain::key_form::FieldError;
use crate::domain::person::Email;
use crate::domain::policy::{Action, system_permit};
use crate::store::links::{self, LinkKind};
use crate::store::throttle::{self, Throttled};
use crate::store::{people, sessions};

/// As a browser sends it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignInForm {
    pub email: String,
    pub password: Hidden,
    /// Where to go afterwards; only a local path is followed.
    pub next: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResetForm {
    pub token: Hidden,
    pub password: Hidden,
}

const FORGET_AFTER_MS: i64 = 30 * 60_000;
/// Failures before delays begin, and the longest delay.
const FREE_FAILURES_ACCOUNT: i64 = 5;
const FREE_FAILURES_NETWORK: i64 = 20;
const LONGEST_DELAY_MS: i64 = 60_000;
pub const WRONG: &str = "The e-mail address or the password is wrong.";

/// How long after its last failure a subject must wait: doubling from one second, never above a minute.
fn delay_ms(failures: i64, free: i64) -> i64 {
    match failures - free {
        over if over < 0 => 0,
        over => (1_000_i64 << over.min(10)).min(LONGEST_DELAY_MS),
    }
}

/// The person, if address and password are right. `network` is where the request came from.
///
/// # Errors
/// `TooMany` while the account or the network has to wait; `Invalid` with the same sentence for every wrong pair.
pub async fn sign_in(desk: &Desk, form: &SignInForm, network: &str) -> Result<PersonId, OpError> {
    let now = desk.now();
    // Whatever was typed is counted: as much of it as an address can have, without what Postgres takes in no text.
    let account = form.email.trim().to_lowercase().chars().filter(|c| *c != '\0').take(254).collect();
    let subjects = [
        (Throttled::SignInAccount, account, FREE_FAILURES_ACCOUNT),
        (Throttled::SignInNetwork, network.to_owned(), FREE_FAILURES_NETWORK),
    ];
    // Counted before the password is looked at, and taken back when it is right: of many attempts at once, each sees
    // those before it.
    let mut tx = desk.db.write().await?;
    for (kind, subject, free) in &subjects {
        let (failures, last_at) = throttle::hold(&mut tx, *kind, subject, now).await?;
        let wait = last_at.plus_ms(delay_ms(failures, *free)).ms() - now.ms();
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
    tx.save_unaudited("attempts are counted, not audited").await?;

    let (person, hash) = stored.unzip();
    let right = desk.passwords.verify(form.password.as_str().to_owned(), hash).await;
    let Some(person) = person.filter(|_| right) else {
        return Err(OpError::Invalid(vec![FieldError::say("password", WRONG)]));
    };
    let mut tx = desk.db.write().await?;
    throttle::clear(&mut tx, Throttled::SignInAccount, &subjects[0].1).await?;
    throttle::uncount(&mut tx, Throttled::SignInNetwork, network).await?;
    tx.save_unaudited("a sign-in changes nothing of an organisation").await?;
    Ok(person)
}

/// Sets a new password through a reset link and ends every session of the person.
///
/// # Errors
/// `NotFound` when the link is unknown, used or late; `Invalid` when the password is refused.
pub async fn reset_password(desk: &Desk, form: &ResetForm) -> Result<(), OpError> {
    let Some(Some(person)) = link_ops::find(desk, form.token.as_str(), LinkKind::Reset).await? else {
        return Err(OpError::NotFound);
    };
    let somebody = people::find(&mut desk.db.read().await?, &person).await?.ok_or(OpError::NotFound)?;
    check_new(form.password.as_str(), &[&somebody.email, &somebody.name])
        .map_err(|problem| OpError::Invalid(vec![FieldError::new("password", problem)]))?;
    let hash = desk
        .passwords
        .hash(form.password.as_str().to_owned(), desk.bytes())
        .await
        .ok_or(OpError::Forbidden)?;
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    if links::take(&mut tx, &link_ops::hash(form.token.as_str()), LinkKind::Reset, now).await?.is_none() {
        return Err(OpError::NotFound);
    }
    people::set_password(&mut tx, &person, &hash).await?;
    sessions::end_all(&mut tx, &person, now).await?;
    throttle::clear(&mut tx, Throttled::SignInAccount, &somebody.email).await?;
    let orgs = people::org_ids_of(&mut tx, &person).await?;
    let event = Event::new(EventKind::PasswordReset, person.as_str(), &somebody.name);
    let permits = orgs.iter().map(|org| system_permit(org, Action::SeeKey, "one-time link"));
    tx.save_for_each(permits, event, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_begin_late_grow_and_end() {
        assert_eq!(delay_ms(4, FREE_FAILURES_ACCOUNT), 0);
        assert_eq!(delay_ms(5, FREE_FAILURES_ACCOUNT), 1_000);
        assert_eq!(delay_ms(8, FREE_FAILURES_ACCOUNT), 8_000);
        assert_eq!(delay_ms(1_000_000, FREE_FAILURES_ACCOUNT), LONGEST_DELAY_MS);
    }
}
