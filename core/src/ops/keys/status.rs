//! Taking a key out of use: disabled and enabled again, or revoked for good.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{find_seen, must_live};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::key::{Key, Status};
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, On, Permit};
use crate::store::{Tx, keys, spend};

/// Takes a key out of use, reversibly. Returns its name.
///
/// # Errors
/// `NotFound` or `Forbidden` when the caller may not see or disable the key; `Conflict` when it is disabled, expired or
/// revoked already.
pub async fn disable(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<String, OpError> {
    set_status(desk, caller, (org, id), Switch::Off).await
}

/// Takes a disabled key back into use. Returns its name.
///
/// # Errors
/// `NotFound` or `Forbidden` when the caller may not see or enable the key; `Conflict` when it is active, expired or
/// revoked, or the organisation is suspended.
pub async fn enable(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<String, OpError> {
    set_status(desk, caller, (org, id), Switch::On).await
}

/// What the question before a disabling says to who cannot enable the key again.
pub struct DisableView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// Who can enable it again.
    pub contacts: Vec<Contact>,
}

/// The question before a key is disabled.
///
/// # Errors
/// `Forbidden` for who may not disable it; `Conflict` when it is not active.
pub async fn disable_form(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &str,
) -> Result<DisableView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::DisableKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    if key.status != Status::Active {
        return Err(OpError::Conflict(format!("The key {} is disabled already.", key.name)));
    }
    let contacts = keys::contacts(&mut read, &key.id, &caller.person.email).await?;
    Ok(DisableView { context, key, contacts })
}

/// Which way a key is switched.
#[derive(Clone, Copy)]
pub(super) enum Switch {
    Off,
    On,
}

async fn set_status(
    desk: &Desk,
    caller: &Caller,
    (org, id): (&str, &str),
    to: Switch,
) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let key = find_seen(&mut tx, &context, id, now).await?;
    let (permit, event) = switch(&mut tx, &context, &key, to, now).await?;
    tx.save(&permit, event, now).await?;
    Ok(key.name)
}

/// Switches a live key off or on, and answers the event to save.
pub(super) async fn switch(
    tx: &mut Tx,
    context: &OrgContext,
    key: &Key,
    to: Switch,
    now: Moment,
) -> Result<(Permit, Event), OpError> {
    let (action, from, to, kind) = match to {
        Switch::Off => (Action::DisableKey, Status::Active, Status::Disabled, EventKind::KeyDisabled),
        Switch::On => (Action::EnableKey, Status::Disabled, Status::Active, EventKind::KeyEnabled),
    };
    let permit = context.permit(action, On::Key(key.facts()))?;
    must_live(key, now)?;
    if !keys::set_status(tx, &permit, &key.id, from, to, now).await? {
        return Err(OpError::Conflict(format!("The key {} is {} already.", key.name, to.as_str())));
    }
    Ok((permit, Event::new(kind, key.id.as_str(), &key.name)))
}

/// What the confirmation page says.
pub struct RevokeView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// Requests of the last hour, counted to 10,001.
    pub used_last_hour: i64,
    /// Whether the key was used in the last 24 hours, so that `revoke` requires its name.
    pub must_type_name: bool,
    /// When it was read.
    pub now: Moment,
}

/// What the page before a revocation is drawn from.
///
/// # Errors
/// `NotFound` or `Forbidden` when the caller may not see or revoke the key; `Conflict` when it is revoked already.
pub async fn revoke_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<RevokeView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::RevokeKey, On::Key(key.facts()))?;
    if key.status == Status::Revoked {
        return Err(OpError::Conflict(format!("The key {} is already revoked.", key.name)));
    }
    let used_last_hour =
        spend::requests_since(&mut read, &context.org.id, &key.id, now.plus_ms(-3_600_000)).await?;
    Ok(RevokeView { must_type_name: key.in_use(now), context, key, used_last_hour, now })
}

/// Ends a key for good. `typed_name` is asked for only when the key is in use. When this has answered, no request that starts later is let in. Returns its name.
///
/// # Errors
/// `Invalid` when the key is in use and its name was not typed; `Conflict` when it was revoked already.
pub async fn revoke(
    desk: &Desk,
    caller: &Caller,
    org: &str,
    id: &str,
    typed_name: &str,
) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let key = find_seen(&mut tx, &context, id, now).await?;
    let (permit, event) = end(&mut tx, &context, &key, typed_name, now).await?;
    tx.save(&permit, event, now).await?;
    Ok(key.name)
}

/// Revokes the key, and answers the event to save.
pub(super) async fn end(
    tx: &mut Tx,
    context: &OrgContext,
    key: &Key,
    typed_name: &str,
    now: Moment,
) -> Result<(Permit, Event), OpError> {
    let permit = context.permit(Action::RevokeKey, On::Key(key.facts()))?;
    if key.in_use(now) && typed_name.trim() != key.name {
        let sentence =
            format!("This key was used in the last 24 hours. Type its name, {}, to revoke it.", key.name);
        return Err(OpError::say("name", sentence));
    }
    if !keys::revoke(tx, &permit, &key.id, now).await? {
        return Err(OpError::Conflict(format!("The key {} is already revoked.", key.name)));
    }
    Ok((permit, Event::new(EventKind::KeyRevoked, key.id.as_str(), &key.name)))
}
