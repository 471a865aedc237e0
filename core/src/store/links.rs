//! One-time links: set-up and password reset. Only the SHA-256 of a link's token is stored, and using it is one guarded
//! statement, so that it works once.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::permit::compare;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::PersonId;
use crate::domain::link::{LinkKind, OneTimeLink};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, OperatorPermit};

statements! {
    INSERT = "INSERT INTO one_time_links (hash, kind, person_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    /// A newer link of a kind for the same person takes the older ones' place.
    DROP_OLDER = "DELETE FROM one_time_links WHERE kind = $1 AND used_at IS NULL
        AND COALESCE(person_id, '') = COALESCE(CAST($2 AS TEXT), '')";
    DROP_EVERY = "DELETE FROM one_time_links WHERE used_at IS NULL";
    SETUPS = "SELECT hash FROM one_time_links WHERE kind = 'setup' ORDER BY hash";
    FIND = "SELECT COALESCE(person_id, '') FROM one_time_links
        WHERE hash = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3";
    USE = "UPDATE one_time_links SET used_at = $3
        WHERE hash = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3 RETURNING COALESCE(person_id, '')";
}

/// # Errors
/// `StoreError` when the database fails.
pub async fn insert(
    tx: &mut Tx,
    hash: &[u8],
    kind: LinkKind,
    person: Option<&PersonId>,
    now: Moment,
    expires_at: Moment,
) -> Result<(), StoreError> {
    drop_unused(tx, kind, person).await?;
    let person = person.map(PersonId::as_str);
    changed!(
        &mut *tx,
        sqlx::query(INSERT).bind(hash).bind(kind.as_str()).bind(person).bind(now.ms()).bind(expires_at.ms())
    )?;
    Ok(())
}

/// Takes back what is not used yet of a kind.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn drop_unused(tx: &mut Tx, kind: LinkKind, person: Option<&PersonId>) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(DROP_OLDER).bind(kind.as_str()).bind(person.map(PersonId::as_str)))?;
    Ok(())
}

/// Takes back every link that is not used yet; answers how many.
///
/// # Errors
/// `WrongPermit` when the permit is for another action; otherwise when the database cannot be written.
pub async fn drop_every(tx: &mut Tx, permit: &OperatorPermit) -> Result<u64, StoreError> {
    compare(permit, &[Action::SignEveryoneOut], None)?;
    changed!(tx, sqlx::query(DROP_EVERY))
}

/// Makes set-ups at the same moment queue, whichever link each has.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn lock_setups(tx: &mut Tx) -> Result<(), StoreError> {
    let text = format!("{SETUPS}{}", Dialect::of(tx).for_update());
    run!(tx, fetch_all, sqlx::query_scalar::<_, Vec<u8>>(AssertSqlSafe(text.clone())))?;
    Ok(())
}

/// `Some` while the link works: known, unused and in time.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn find(
    via: &mut impl Via,
    hash: &[u8],
    kind: LinkKind,
    now: Moment,
) -> Result<Option<OneTimeLink>, StoreError> {
    let person: Option<String> = run!(
        via,
        fetch_optional,
        sqlx::query_scalar::<_, String>(FIND).bind(hash).bind(kind.as_str()).bind(now.ms())
    )?;
    Ok(person.map(|id| OneTimeLink { person: PersonId::parse(&id) }))
}

/// Uses the link up; `None` when it is unknown, used or expired.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn take(
    tx: &mut Tx,
    hash: &[u8],
    kind: LinkKind,
    now: Moment,
) -> Result<Option<OneTimeLink>, StoreError> {
    let person: Option<String> = run!(
        tx,
        fetch_optional,
        sqlx::query_scalar::<_, String>(USE).bind(hash).bind(kind.as_str()).bind(now.ms())
    )?;
    Ok(person.map(|id| OneTimeLink { person: PersonId::parse(&id) }))
}
