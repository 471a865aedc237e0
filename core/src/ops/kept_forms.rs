//! What a person typed into a form whose session was over when they sent it. It is kept for an hour, sealed for that person,
//! and shown again on its page when the same person has signed in. Nothing of it is done before they send it again.

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::Caller;
use crate::Desk;
use crate::domain::ids::RequestId;
use crate::domain::key_format::looks_like_secret;
use crate::store::{Unaudited, kept_forms, sessions};

const KEPT_MS: i64 = 60 * 60_000;

/// A form as it was sent, without what must not be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptForm {
    /// The path of the page that it is on, with its query.
    pub page: String,
    /// Names and values of its fields.
    pub values: Vec<(String, String)>,
}

/// Keeps the form for the person whose session this is or was; `None` when it was no one's. A value that looks like
/// a secret is left out.
///
/// # Errors
/// When the database cannot be written.
pub async fn keep(desk: &Desk, session: &[u8], mut form: KeptForm) -> Result<Option<RequestId>, OpError> {
    form.values.retain(|(_, value)| !looks_like_secret(value));
    let Some(person) = sessions::whose(&mut desk.db.read().await?, session).await? else { return Ok(None) };
    let text = serde_json::to_vec(&form).unwrap_or_default();
    let Some(sealed) = desk.vault.seal(&person, desk.bytes(), &text) else { return Ok(None) };
    let now = desk.now();
    let id = RequestId::new(now, desk.id_entropy());
    let mut tx = desk.db.write().await?;
    kept_forms::insert(&mut tx, &id, &person, &sealed, now).await?;
    tx.save_unaudited(Unaudited::Session).await?;
    Ok(Some(id))
}

/// The form, if it is the caller's and not too old.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(desk: &Desk, caller: &Caller, id: &RequestId) -> Result<Option<KeptForm>, OpError> {
    let person = &caller.person.id;
    let since = desk.now().plus_ms(-KEPT_MS);
    let sealed = kept_forms::find(&mut desk.db.read().await?, id, person, since).await?;
    let opened = sealed.and_then(|sealed| desk.vault.open(person, &sealed));
    Ok(opened.and_then(|text| serde_json::from_slice(&text).ok()))
}
