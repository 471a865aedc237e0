//! One-time links: the set-up link of a new installation and the reset link that the command line prints. The token is
//! shown once, where the link was made; the database keeps its hash.

use crate::store::Unaudited;
use sha2::{Digest, Sha256};

use super::OpError;
use crate::Desk;
use crate::domain::link::{LinkKind, OneTimeLink};
use crate::domain::person::Email;
use crate::store::links;
use crate::store::people;

const HOUR_MS: i64 = 3_600_000;
const SETUP_HOURS: i64 = 24;
const RESET_HOURS: i64 = 1;

/// 32 random bytes as 64 hex digits.
pub(super) fn new_token(desk: &Desk) -> String {
    desk.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Anything that is not a token hashes to something that is not stored.
pub(super) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The token of a new set-up link; older ones stop working. `None` once there is a person who can sign in.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn new_setup(desk: &Desk) -> Result<Option<String>, OpError> {
    let now = desk.now();
    let token = new_token(desk);
    let mut tx = desk.db.write().await?;
    if !people::none_yet(&mut tx).await? {
        return Ok(None);
    }
    let expires_at = now.plus_ms(SETUP_HOURS * HOUR_MS);
    links::insert(&mut tx, &hash(&token), LinkKind::Setup, None, now, expires_at).await?;
    tx.save_unaudited(Unaudited::LinkMade).await?;
    Ok(Some(token))
}

/// The token of a new reset link for the person with this address; `None` when there is none.
///
/// # Errors
/// `Store` when the database cannot be written.
pub async fn new_reset(desk: &Desk, email: &Email) -> Result<Option<String>, OpError> {
    let now = desk.now();
    let token = new_token(desk);
    let mut tx = desk.db.write().await?;
    let Some(found) = people::credentials(&mut tx, email).await? else { return Ok(None) };
    let expires_at = now.plus_ms(RESET_HOURS * HOUR_MS);
    links::insert(&mut tx, &hash(&token), LinkKind::Reset, Some(&found.person), now, expires_at).await?;
    tx.save_unaudited(Unaudited::LinkMade).await?;
    Ok(Some(token))
}

/// `Some` while the link works. Does not use it up.
///
/// # Errors
/// `Store` when the database cannot be read.
pub async fn find(desk: &Desk, token: &str, kind: LinkKind) -> Result<Option<OneTimeLink>, OpError> {
    let mut read = desk.db.read().await?;
    Ok(links::find(&mut read, &hash(token), kind, desk.now()).await?)
}
