//! The second factor of a sign-in: the sealed secret behind a person's codes, and the hashes of their recovery codes. Each
//! code is used up by one guarded statement, so that it works once, also for two requests at the same moment. They are a
//! person's own, of no organisation, so what is written takes an account permit.

use super::permit::compare;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::PersonId;
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::policy::{AccountPermit, Action, Chain, OperatorPermit};

statements! {
    FIND = "SELECT totp_secret, totp_since FROM people WHERE id = $1 AND disabled_at IS NULL";
    EVERY = "SELECT id, totp_secret FROM people WHERE totp_secret IS NOT NULL AND totp_since IS NOT NULL ORDER BY id";
    EVERY_SEALED = "SELECT id, totp_secret FROM people WHERE totp_secret IS NOT NULL ORDER BY id";
    RESEAL = "UPDATE people SET totp_secret = $3 WHERE id = $1 AND totp_secret = $2";
    /// In the place of one that was never turned on.
    PREPARE = "UPDATE people SET totp_secret = $2 WHERE id = $1 AND totp_since IS NULL";
    /// The password's moment moves too: what was verified before with the password alone begins no session any more.
    TURN_ON = "UPDATE people SET totp_since = $3, totp_step = $4,
            password_set_at = CASE WHEN password_set_at < $3 THEN $3 ELSE password_set_at + 1 END
        WHERE id = $1 AND totp_secret = $2 AND totp_since IS NULL";
    TURN_OFF = "UPDATE people SET totp_secret = NULL, totp_since = NULL, totp_step = 0 WHERE id = $1 AND totp_since IS NOT NULL";
    /// A step and those before it work no more.
    USE_STEP = "UPDATE people SET totp_step = $2 WHERE id = $1 AND totp_since IS NOT NULL AND totp_step < $2";
    DROP_CODES = "DELETE FROM recovery_codes WHERE person_id = $1";
    INSERT_CODE = "INSERT INTO recovery_codes (person_id, hash, created_at) VALUES ($1, $2, $3)";
    USE_CODE = "UPDATE recovery_codes SET used_at = $3 WHERE person_id = $1 AND hash = $2 AND used_at IS NULL";
    COUNT_WRONG = "UPDATE people SET wrong_codes = wrong_codes + 1 WHERE id = $1";
    WRONG = "SELECT wrong_codes FROM people WHERE id = $1";
    FORGET_WRONG = "UPDATE people SET wrong_codes = 0, wrong_codes_told_at = NULL WHERE id = $1 AND wrong_codes > 0";
    /// Once, until the person signs in.
    TELL_WRONG = "UPDATE people SET wrong_codes_told_at = $3 WHERE id = $1 AND wrong_codes >= $2
            AND wrong_codes_told_at IS NULL AND disabled_at IS NULL
        RETURNING name, email";
    CODES_LEFT = "SELECT COUNT(*) FROM recovery_codes WHERE person_id = $1 AND used_at IS NULL";
}

/// A person's second factor as stored: both are `None` when there is none.
#[derive(Clone, Debug, Default)]
pub struct SecondFactor {
    /// There before it is turned on, while a person sets it up.
    pub sealed: Option<Vec<u8>>,
    /// When it was turned on; `None` while it is off.
    pub since: Option<Moment>,
}

/// `None` for an unknown or disabled person.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(via: &mut impl Via, person: &PersonId) -> Result<Option<SecondFactor>, StoreError> {
    type Row = (Option<Vec<u8>>, Option<i64>);
    let row: Option<Row> = run!(via, fetch_optional, sqlx::query_as::<_, Row>(FIND).bind(person.as_str()))?;
    Ok(row.map(|(sealed, since)| SecondFactor { sealed, since: since.map(Moment::from_ms) }))
}

/// The sealed secrets of all people who have a second factor.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn every(via: &mut impl Via) -> Result<Vec<(PersonId, Vec<u8>)>, StoreError> {
    sealed(via, EVERY).await
}

/// Also those that are being set up.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn every_sealed(via: &mut impl Via) -> Result<Vec<(PersonId, Vec<u8>)>, StoreError> {
    sealed(via, EVERY_SEALED).await
}

async fn sealed(via: &mut impl Via, text: &'static str) -> Result<Vec<(PersonId, Vec<u8>)>, StoreError> {
    let rows: Vec<(String, Vec<u8>)> = run!(via, fetch_all, sqlx::query_as::<_, (String, Vec<u8>)>(text))?;
    let read = |(id, sealed): (String, Vec<u8>)| {
        Ok((PersonId::parse(&id).ok_or(StoreError::Unreadable { column: "people.id" })?, sealed))
    };
    rows.into_iter().map(read).collect()
}

/// Puts the same secret, sealed anew, in the place of what was read; 0 when that was changed meanwhile.
///
/// # Errors
/// `WrongPermit` when the permit is for another action; otherwise when the database cannot be written.
pub async fn reseal(
    tx: &mut Tx,
    permit: &OperatorPermit,
    person: &PersonId,
    (before, after): (&[u8], &[u8]),
) -> Result<u64, StoreError> {
    tx.charge(permit, &[Action::RotateCookieKey], Chain::Installation.id())?;
    changed!(tx, sqlx::query(RESEAL).bind(person.as_str()).bind(before).bind(after))
}

/// `false` when it is on already.
///
/// # Errors
/// When the database cannot be written.
pub async fn prepare(tx: &mut Tx, person: &PersonId, sealed: &[u8]) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(PREPARE).bind(person.as_str()).bind(sealed))? == 1)
}

/// `step` is that of the code that proved the secret. `false` when it is on already, or another secret was prepared.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn turn_on(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    sealed: &[u8],
    now: Moment,
    step: i64,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    let rows =
        changed!(tx, sqlx::query(TURN_ON).bind(person.as_str()).bind(sealed).bind(now.ms()).bind(step))?;
    Ok(rows == 1)
}

/// Takes the recovery codes away too. `false` when it is off already.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn turn_off(tx: &mut Tx, permit: &AccountPermit, person: &PersonId) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    changed!(&mut *tx, sqlx::query(DROP_CODES).bind(person.as_str()))?;
    Ok(changed!(tx, sqlx::query(TURN_OFF).bind(person.as_str()))? == 1)
}

/// `false` when a code of this step or a later one was used before.
///
/// # Errors
/// When the database cannot be written.
pub async fn use_step(tx: &mut Tx, person: &PersonId, step: i64) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(USE_STEP).bind(person.as_str()).bind(step))? == 1)
}

/// In the place of all that the person had.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn replace_codes(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    hashes: &[Vec<u8>],
    now: Moment,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    changed!(&mut *tx, sqlx::query(DROP_CODES).bind(person.as_str()))?;
    for hash in hashes {
        let hash = hash.as_slice();
        changed!(&mut *tx, sqlx::query(INSERT_CODE).bind(person.as_str()).bind(hash).bind(now.ms()))?;
    }
    Ok(())
}

/// `false` when it is none of theirs, or was used before.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or person; otherwise when the database cannot be written.
pub async fn use_code(
    tx: &mut Tx,
    permit: &AccountPermit,
    person: &PersonId,
    hash: &[u8],
    now: Moment,
) -> Result<bool, StoreError> {
    compare(permit, &[Action::OwnAccount], Some(person.as_str()))?;
    let used =
        changed!(&mut *tx, sqlx::query(USE_CODE).bind(person.as_str()).bind(hash).bind(now.ms()))? == 1;
    // A wrong code changes nothing, so no event is due.
    if used {
        tx.charge(permit, &[Action::OwnAccount], person.as_str())?;
    }
    Ok(used)
}

/// Counts a wrong code that came after a right password.
///
/// # Errors
/// When the database cannot be written.
pub async fn count_wrong(tx: &mut Tx, person: &PersonId) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(COUNT_WRONG).bind(person.as_str()))?;
    Ok(())
}

/// How many wrong codes came after a right password since the person last signed in.
///
/// # Errors
/// When the database cannot be read.
pub async fn wrong(via: &mut impl Via, person: &PersonId) -> Result<i64, StoreError> {
    let found = run!(via, fetch_optional, sqlx::query_scalar::<_, i64>(WRONG).bind(person.as_str()))?;
    Ok(found.unwrap_or_default())
}

/// The person has signed in: what comes from now on is counted anew.
///
/// # Errors
/// When the database cannot be written.
pub async fn forget_wrong(tx: &mut Tx, person: &PersonId) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(FORGET_WRONG).bind(person.as_str()))?;
    Ok(())
}

/// Whom to tell that there were `at_least` wrong codes; `None` when there were fewer, or they were told.
///
/// # Errors
/// When the database cannot be written.
pub async fn tell_wrong(
    tx: &mut Tx,
    person: &PersonId,
    at_least: i64,
    now: Moment,
) -> Result<Option<Contact>, StoreError> {
    let row: Option<(String, String)> = run!(
        tx,
        fetch_optional,
        sqlx::query_as::<_, (String, String)>(TELL_WRONG).bind(person.as_str()).bind(at_least).bind(now.ms())
    )?;
    Ok(row.map(|(name, email)| Contact { name, email }))
}

/// How many recovery codes of the person are unused.
///
/// # Errors
/// When the database cannot be read.
pub async fn codes_left(via: &mut impl Via, person: &PersonId) -> Result<i64, StoreError> {
    run!(via, fetch_one, sqlx::query_scalar::<_, i64>(CODES_LEFT).bind(person.as_str()))
}
