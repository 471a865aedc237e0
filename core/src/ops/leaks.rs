//! Leaked secrets that no signed-in person reports: on the command line, and by a scanner such as GitHub's.

use std::collections::HashSet;

use super::OpError;
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::ids::{KeyId, OrgId};
use crate::domain::key::{Key, Status};
use crate::domain::key_format::{PlainSecret, hint};
use crate::domain::leak::{FoundSecret, LeakResponse, SecretState, plain_place};
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, Permit};
use crate::store::leaks::{self, SecretPlace};
use crate::store::{Via, keys};

/// A secret that was found in a text.
pub struct ScannedSecret {
    /// Its masked form.
    pub hint: String,
    /// The key that it belongs to; `None` for one that this installation did not issue.
    pub known: Option<KnownSecret>,
}

/// A secret of this installation.
pub struct KnownSecret {
    /// The organisation, the key and the secret, by their ids.
    pub place: SecretPlace,
    /// The key.
    pub key: Key,
    /// The secret and its use.
    pub secret: FoundSecret,
    /// The key's owner, and the admins of its team or the organisation's owners.
    pub people: Vec<Contact>,
    /// Whether requests with it may pass.
    pub works: bool,
}

/// What is known about each of these secrets, in order, each once.
///
/// # Errors
/// When the database cannot be read.
pub async fn scan(desk: &Desk, secrets: &[PlainSecret]) -> Result<Vec<ScannedSecret>, OpError> {
    let mut seen = HashSet::new();
    let mut scanned = Vec::new();
    for secret in secrets {
        let hash = secret.hash();
        if seen.insert(*hash.as_bytes()) {
            let mut read = desk.db.read().await?;
            let known = match leaks::place(&mut read, &hash).await? {
                Some(place) => known(&mut read, place, desk.now()).await?,
                None => None,
            };
            scanned.push(ScannedSecret { hint: hint(secret.last_four()), known });
        }
    }
    Ok(scanned)
}

async fn known(via: &mut impl Via, place: SecretPlace, now: Moment) -> Result<Option<KnownSecret>, OpError> {
    let key = keys::find(via, &place.org, &place.key).await?;
    let secret = leaks::secret(via, &place.org, &place.key, &place.secret, now).await?;
    let (Some(key), Some(secret)) = (key, secret) else { return Ok(None) };
    let people = people(via, &place.org, &place.key, "").await?;
    let works = works(&key, &secret, now);
    Ok(Some(KnownSecret { place, key, secret, people, works }))
}

/// A secret in use by its state; gates may reject it for other reasons.
pub(super) fn works(key: &Key, secret: &FoundSecret, now: Moment) -> bool {
    key.is_live(now) && key.status == Status::Active && !matches!(secret.state, SecretState::Ended(_))
}

/// The key's owner and whom they can ask, each once and without the person with the address `but`.
pub(super) async fn people(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    but: &str,
) -> Result<Vec<Contact>, OpError> {
    let owner = leaks::owner(via, org, key).await?.filter(|owner| owner.email != but);
    let others = keys::contacts(via, key, but).await?;
    let is_owner = |contact: &Contact| owner.as_ref().is_some_and(|owner| owner.email == contact.email);
    let others: Vec<Contact> = others.into_iter().filter(|contact| !is_owner(contact)).collect();
    Ok(owner.into_iter().chain(others).collect())
}

/// The event about a leaked secret. `found_at` is where, such as the address of a commit; empty when that is not known.
pub(super) fn leaked_event(key: &Key, secret: &FoundSecret, found_at: &str) -> Event {
    let place = plain_place(found_at);
    let place = (!place.is_empty()).then(|| Change::added("found_at", place.as_str()));
    let changes = [Change::added("secret", secret.hint())].into_iter().chain(place);
    Event::new(EventKind::SecretLeaked, key.id.as_str(), &key.name).with(changes)
}

/// Records that a secret leaked, and does `response` to its key where requests with the secret may pass; says whether it
/// changed the key. `by` is who found it, for the audit.
///
/// # Errors
/// `NotFound` when the key is gone; otherwise when the database cannot be written.
pub async fn respond(
    desk: &Desk,
    place: &SecretPlace,
    response: LeakResponse,
    found_at: &str,
    by: &'static str,
) -> Result<bool, OpError> {
    let mut tx = desk.db.write().await?;
    // Until this is saved no one else changes the key.
    keys::lock(&mut tx, &place.org, &place.key).await?;
    let now = desk.now();
    let KnownSecret { key, secret, works, .. } =
        known(&mut tx, place.clone(), now).await?.ok_or(OpError::NotFound)?;
    let permit = |action| Permit::program(&place.org, action, key.id.as_str(), by);
    let event = |kind| Event::new(kind, key.id.as_str(), &key.name);
    let mut events = vec![(permit(Action::ReportLeak), leaked_event(&key, &secret, found_at))];
    match response {
        LeakResponse::Disable if works => {
            let permit = permit(Action::DisableKey);
            keys::set_status(&mut tx, &permit, &key.id, Status::Active, Status::Disabled, now).await?;
            events.push((permit, event(EventKind::KeyDisabled)));
        }
        LeakResponse::Revoke if works => {
            let permit = permit(Action::RevokeKey);
            keys::revoke(&mut tx, &permit, &key.id, now).await?;
            events.push((permit, event(EventKind::KeyRevoked)));
        }
        LeakResponse::Notify | LeakResponse::Disable | LeakResponse::Revoke => {}
    }
    let changed = events.len() > 1;
    tx.save_all(events, now).await?;
    Ok(changed)
}
