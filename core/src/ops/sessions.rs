//! Sessions as the server's session store needs them, each found by the hash of its cookie's value.

use super::account::SessionLife;
use crate::Desk;
use crate::domain::ids::SessionId;
use crate::domain::moment::Moment;
use crate::domain::person::Person;
use crate::store::StoreError;
use crate::store::Unaudited;
use crate::store::sessions;
pub use crate::store::sessions::{Begun, NewSession};

/// A session's last sight is written at most this often.
const SEEN_EVERY_MS: i64 = 60_000;

/// Adds a session, unless its hash is taken or the password that was verified is not the person's any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin(desk: &Desk, new: &NewSession<'_>) -> Result<Begun, StoreError> {
    let mut tx = desk.db.write().await?;
    let begun = sessions::insert(&mut tx, new, desk.now()).await?;
    if begun == Begun::Yes {
        tx.save_unaudited(Unaudited::Session).await?;
    }
    Ok(begun)
}

/// Replaces a session's data (JSON). One that ended stays ended.
///
/// # Errors
/// When the database cannot be written.
pub async fn save(desk: &Desk, hash: &[u8], data: &str) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    sessions::save(&mut tx, hash, data).await?;
    tx.save_unaudited(Unaudited::Session).await
}

/// The data (JSON) of a session that still lives, and notes that it was seen.
///
/// # Errors
/// When the database cannot be read, or written when the last sight is due.
pub async fn load(desk: &Desk, hash: &[u8], life: SessionLife) -> Result<Option<String>, StoreError> {
    let now = desk.now();
    let (idle_since, begun_since) = (now.plus_ms(-life.idle_ms), now.plus_ms(-life.whole_ms));
    let found = {
        // Given back before the write: on a small pool, holding both could wait for itself.
        let mut read = desk.db.read().await?;
        sessions::load(&mut read, hash, idle_since, begun_since).await?
    };
    let Some((data, seen_at)) = found else { return Ok(None) };
    if now.ms() - seen_at.ms() > SEEN_EVERY_MS.min(life.idle_ms / 4) {
        let mut tx = desk.db.write().await?;
        sessions::seen(&mut tx, hash, now).await?;
        tx.save_unaudited(Unaudited::Session).await?;
    }
    Ok(Some(data))
}

/// Ends a session for good.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(desk: &Desk, hash: &[u8]) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    sessions::end(&mut tx, hash, desk.now()).await?;
    tx.save_unaudited(Unaudited::Session).await
}

/// The session's id, when its person last authenticated, and the person.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(desk: &Desk, hash: &[u8]) -> Result<Option<(SessionId, Moment, Person)>, StoreError> {
    sessions::who(&mut desk.db.read().await?, hash).await
}
