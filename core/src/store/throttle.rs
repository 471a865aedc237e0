//! Failed attempts, counted where every node sees them.

use std::ops::Range;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::PersonId;
use crate::domain::moment::Moment;

statements! {
    /// So that there is a row to hold, also at the first attempt.
    ENSURE = "INSERT INTO throttles (kind, subject, failures, last_at) VALUES ($1, $2, 0, $3)
        ON CONFLICT (kind, subject) DO NOTHING";
    FIND = "SELECT failures, last_at FROM throttles WHERE kind = $1 AND subject = $2";
    /// What was counted by a clock that ran ahead counts as if it had been now, so that it ends as soon as its rule says.
    PULL_BACK = "UPDATE throttles SET last_at = $3 WHERE kind = $1 AND subject = $2 AND last_at > $3";
    /// Attempts before `$4`, or at `$5` and after by a clock that ran ahead, start a new count.
    COUNT = "INSERT INTO throttles (kind, subject, failures, last_at) VALUES ($1, $2, 1, $3)
        ON CONFLICT (kind, subject) DO UPDATE SET failures =
            CASE WHEN throttles.last_at < $4 OR throttles.last_at >= $5 THEN 1 ELSE throttles.failures + 1 END, last_at = $3";
    UNCOUNT = "UPDATE throttles SET failures = failures - 1 WHERE kind = $1 AND subject = $2 AND failures > 0";
    CLEAR = "DELETE FROM throttles WHERE kind = $1 AND subject = $2";
    CLEAR_ACCOUNT = "DELETE FROM throttles WHERE (kind = 'sign_in_account' AND subject = $1)
        OR (kind = 'sign_in_pair' AND substr(subject, 1, length($1) + 1) = CAST($1 AS TEXT) || ' ')
        OR (kind = 'sign_in_device' AND substr(subject, 1, length(CAST($2 AS TEXT)) + 1) = CAST($2 AS TEXT) || ' ')";
    SWEEP = "DELETE FROM throttles WHERE last_at < $1 OR last_at > $2";
}

/// What is counted; the word is the column's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttled {
    /// One account from one network.
    SignInPair,
    /// One account from all networks; the subject is the address that was typed.
    SignInAccount,
    /// One network, whatever the account: an IPv4 address or an IPv6 /64.
    SignInNetwork,
    /// One account from one device that it signed in on before; the subject is the person and the device.
    SignInDevice,
    /// Codes of a second factor by person, but for those that are counted by lane alone.
    SecondFactor,
    /// Codes by person and lane: a known device, a known network, a session, or one attempt to sign in.
    SecondFactorLane,
    /// Searches for secrets, by person or, on the public page, by network; live tests, tests of webhooks and tests of
    /// providers, by person with a word before it.
    Search,
    /// Invitations sent, by organisation.
    Invitation,
}

impl Throttled {
    fn as_str(self) -> &'static str {
        match self {
            Throttled::SignInPair => "sign_in_pair",
            Throttled::SignInAccount => "sign_in_account",
            Throttled::SignInNetwork => "sign_in_network",
            Throttled::SignInDevice => "sign_in_device",
            Throttled::SecondFactor => "second_factor",
            Throttled::SecondFactorLane => "second_factor_lane",
            Throttled::Search => "search",
            Throttled::Invitation => "invitation",
        }
    }
}

/// How many counted attempts, and when the last was.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(
    via: &mut impl Via,
    kind: Throttled,
    subject: &str,
) -> Result<Option<(i64, Moment)>, StoreError> {
    let row: Option<(i64, i64)> =
        run!(via, fetch_optional, sqlx::query_as::<_, (i64, i64)>(FIND).bind(kind.as_str()).bind(subject))?;
    Ok(row.map(|(failures, at)| (failures, Moment::from_ms(at))))
}

/// A count that is locked.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// How many attempts.
    pub failures: i64,
    /// When the last one was; never later than now.
    pub last_at: Moment,
    /// The last one was counted by a clock that ran ahead: worth saving, whatever else happens.
    pub pulled_back: bool,
}

/// Like `find`, and no other caller reads the count until the transaction ends: of many attempts at once, each sees those
/// before it.
///
/// # Errors
/// When the database cannot be written, or the row cannot be locked in time.
pub async fn lock(tx: &mut Tx, kind: Throttled, subject: &str, now: Moment) -> Result<Locked, StoreError> {
    changed!(&mut *tx, sqlx::query(ENSURE).bind(kind.as_str()).bind(subject).bind(now.ms()))?;
    let text = format!("{FIND}{}", Dialect::of(tx).for_update());
    let (failures, at): (i64, i64) = run!(
        &mut *tx,
        fetch_one,
        sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(text.clone())).bind(kind.as_str()).bind(subject)
    )?;
    let pulled_back = at > now.ms();
    if pulled_back {
        changed!(tx, sqlx::query(PULL_BACK).bind(kind.as_str()).bind(subject).bind(now.ms()))?;
    }
    Ok(Locked { failures, last_at: Moment::from_ms(at).min(now), pulled_back })
}

/// An attempt that was counted turned out not to be a failure.
///
/// # Errors
/// When the database cannot be written.
pub async fn uncount(tx: &mut Tx, kind: Throttled, subject: &str) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(UNCOUNT).bind(kind.as_str()).bind(subject))?;
    Ok(())
}

/// Counts one attempt, from 1 again when the last one was not within `window`, from its start to before its end.
///
/// # Errors
/// When the database cannot be written.
pub async fn count(
    tx: &mut Tx,
    kind: Throttled,
    subject: &str,
    now: Moment,
    window: Range<Moment>,
) -> Result<(), StoreError> {
    changed!(
        tx,
        sqlx::query(COUNT)
            .bind(kind.as_str())
            .bind(subject)
            .bind(now.ms())
            .bind(window.start.ms())
            .bind(window.end.ms())
    )?;
    Ok(())
}

/// Forgets the count of one subject.
///
/// # Errors
/// When the database cannot be written.
pub async fn clear(tx: &mut Tx, kind: Throttled, subject: &str) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(CLEAR).bind(kind.as_str()).bind(subject))?;
    Ok(())
}

/// Forgets every count of one account, from whatever network or device.
///
/// # Errors
/// When the database cannot be written.
pub async fn clear_account(tx: &mut Tx, account: &str, person: &PersonId) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(CLEAR_ACCOUNT).bind(account).bind(person.as_str()))?;
    Ok(())
}

/// Deletes counts whose last attempt was before this range, or after it by a clock that ran ahead; returns how many.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, kept: Range<Moment>) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(SWEEP).bind(kept.start.ms()).bind(kept.end.ms()))
}
