//! Forms whose session was over when they were sent: kept, sealed, until their person signs in again.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{PersonId, RequestId};
use crate::domain::moment::Moment;

statements! {
    INSERT = "INSERT INTO kept_forms (id, person_id, sealed, created_at) VALUES ($1, $2, $3, $4)";
    /// But for the newest ones.
    DROP_OLDER = "DELETE FROM kept_forms WHERE person_id = $1 AND id NOT IN
        (SELECT id FROM kept_forms WHERE person_id = $1 ORDER BY created_at DESC, id DESC LIMIT 10)";
    FIND = "SELECT sealed FROM kept_forms WHERE id = $1 AND person_id = $2 AND created_at > $3";
    SWEEP = "DELETE FROM kept_forms WHERE created_at < $1";
}

/// Keeps a form, and of the person's others the newest nine.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Tx,
    id: &RequestId,
    person: &PersonId,
    sealed: &[u8],
    now: Moment,
) -> Result<(), StoreError> {
    changed!(
        &mut *tx,
        sqlx::query(INSERT).bind(id.as_str()).bind(person.as_str()).bind(sealed).bind(now.ms())
    )?;
    changed!(tx, sqlx::query(DROP_OLDER).bind(person.as_str()))?;
    Ok(())
}

/// The sealed form, if it is this person's and was kept after `since`.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(
    via: &mut impl Via,
    id: &RequestId,
    person: &PersonId,
    since: Moment,
) -> Result<Option<Vec<u8>>, StoreError> {
    run!(
        via,
        fetch_optional,
        sqlx::query_scalar::<_, Vec<u8>>(FIND).bind(id.as_str()).bind(person.as_str()).bind(since.ms())
    )
}

/// Deletes those that were kept before this moment; returns how many.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, before: Moment) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(SWEEP).bind(before.ms()))
}
