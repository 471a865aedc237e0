//! A later expiry for a key that has expired, for 30 days after it did. The key keeps its secrets, limits and spend.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::create::{expiry_rules, name_taken};
use super::{find_seen, must_live, place};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::edit::Editable;
use crate::domain::expiry::{ExtendKey, KeyDraft};
use crate::domain::ids::KeyId;
use crate::domain::key::{EXTENDABLE_DAYS, Key, KeySpec, Names, State};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, On};
use crate::store::{keys, members, people};

/// What the form is drawn from.
pub struct ExtendView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// Until when it can be extended.
    pub until: Moment,
    /// When it was read.
    pub now: Moment,
}

/// The form that extends an expired key.
///
/// # Errors
/// `Forbidden` for who may not edit it; `Conflict` when it has not expired, or too long ago.
pub async fn extend_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<ExtendView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::EditKey, On::Key(key.facts()))?;
    let until = must_be_extendable(&key, now)?;
    Ok(ExtendView { context, key, until, now })
}

fn must_be_extendable(key: &Key, now: Moment) -> Result<Moment, OpError> {
    if let Some(until) = key.extendable_until(now) {
        return Ok(until);
    }
    if matches!(key.state(now), State::Expired { .. }) {
        return Err(OpError::Conflict(format!(
            "The key {} expired more than {EXTENDABLE_DAYS} days ago, so it can't be extended. Create a new key to replace it.",
            key.name
        )));
    }
    must_live(key, now)?;
    Err(OpError::Conflict(format!("The key {} has not expired. Edit it to change when it does.", key.name)))
}

/// Puts the key back in use with a later expiry, whether it was disabled before or not. Returns its id and name.
///
/// # Errors
/// `Invalid` on the fields `name` and `expiry`; `Conflict` when the key has not expired or too long ago, when it was
/// changed meanwhile, or when its owner can own no further live key.
pub async fn extend(desk: &Desk, caller: &Caller, wish: &ExtendKey) -> Result<(KeyId, String), OpError> {
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &wish.org).await?;
    let org = &context.org;
    let now = desk.now();
    let key = find_seen(&mut tx, &context, &wish.id, now).await?;
    let permit = context.permit(Action::EditKey, On::Key(key.facts()))?;
    must_be_extendable(&key, now)?;
    let current = key.spec();
    let draft =
        KeyDraft { spec: KeySpec { name: wish.name.clone(), ..current.clone() }, expiry: wish.expiry };
    let spec = draft.resolve(&expiry_rules(org, Some(&current), now))?;
    if spec.expires_at == current.expires_at {
        return Err(OpError::say("expiry", "Choose when the key expires."));
    }
    people::lock_member(&mut tx, &org.id, &key.owner.id).await?;
    if let Some(member) = members::find(&mut tx, &org.id, &key.owner.id).await?
        && let Some(sentence) = place::no_room(&mut tx, &context, &member, now).await?
    {
        return Err(OpError::Conflict(sentence));
    }
    let extended = keys::extend(&mut tx, &permit, &key.id, wish.version, &spec, now)
        .await
        .map_err(|error| name_taken(error, &spec))?;
    if !extended {
        return Err(OpError::Conflict(format!(
            "The key {} was changed in the meantime. Reload and try again.",
            key.name
        )));
    }
    let changes = spec.changes_since(&current, &Names::default());
    let event = Event::new(EventKind::KeyExtended, key.id.as_str(), &spec.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok((key.id, spec.name))
}
