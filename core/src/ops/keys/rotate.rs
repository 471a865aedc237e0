//! Rotation: a new secret for a key that keeps everything else, and the end of the one before it.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::create::IssuedKey;
use super::{find_seen, must_live};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::{KeyId, SecretId};
use crate::domain::key::Key;
use crate::domain::key_format::{PlainSecret, hint};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, On, Permit};
use crate::domain::rotation::{GracePeriod, KeySecret, KeySecrets, SecretEnd, after_first_use};
use crate::store::Tx;
use crate::store::keys;
use crate::store::secrets::{self, NewSecret};

/// What the page of a rotation is drawn from.
pub struct RotationView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// Its secrets that work.
    pub secrets: KeySecrets,
    /// When it was read.
    pub now: Moment,
}

/// A key and its secrets, for who may rotate it.
///
/// # Errors
/// `Forbidden` for who may not; `Conflict` when the key is revoked or expired.
pub async fn rotation(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<RotationView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    context.permit(Action::RotateKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    let secrets = secrets::of_key(&mut read, &context.org.id, &key.id, now).await?;
    Ok(RotationView { context, key, secrets, now })
}

/// A key that is about to be changed, with what a change needs.
struct Rotating {
    context: OrgContext,
    permit: Permit,
    key: Key,
    secrets: KeySecrets,
    now: Moment,
}

/// For every change of a key's secrets. With another person's key it needs a recent proof of identity.
async fn open(desk: &Desk, tx: &mut Tx, caller: &Caller, org: &str, id: &str) -> Result<Rotating, OpError> {
    let context = open_org(tx, caller, org).await?;
    // Of two at once the second one waits here, and then sees what the first one did, at a later moment.
    keys::lock(tx, &context.org.id, &KeyId::parse(id).ok_or(OpError::NotFound)?).await?;
    let now = desk.now();
    let key = find_seen(tx, &context, id, now).await?;
    let permit = context.permit(Action::RotateKey, On::Key(key.facts()))?;
    must_live(&key, now)?;
    if key.owner.id != caller.person.id {
        caller.require_recent_auth(now)?;
    }
    let secrets = secrets::of_key(tx, &context.org.id, &key.id, now).await?;
    Ok(Rotating { context, permit, key, secrets, now })
}

/// Gives the key a new secret. `from` is the id of the secret that the caller saw as the current one: a second click or a
/// second person makes no third. While a previous secret works, only a current one that no request used is replaced, and
/// it ends immediately; the previous one then keeps its end.
///
/// # Errors
/// `Invalid` on the field `grace`; `Conflict` when the key was rotated meanwhile, or two secrets are in use;
/// `ReauthRequired` for another person's key.
pub async fn rotate(
    desk: &Desk,
    caller: &Caller,
    (org, id): (&str, &str),
    from: &str,
    grace: GracePeriod,
) -> Result<IssuedKey, OpError> {
    let mut tx = desk.db.write().await?;
    let Rotating { context, permit, key, secrets, now } = open(desk, &mut tx, caller, org, id).await?;
    if secrets.current.id.as_str() != from {
        return Err(OpError::Conflict(rotated_meanwhile(&key.name)));
    }
    if let Some(previous) = secrets.previous.as_ref().filter(|_| !secrets.may_rotate()) {
        return Err(OpError::Conflict(format!(
            "Two secrets of {} are in use. End the previous one, {}, before you rotate the key again.",
            key.name,
            previous.hint()
        )));
    }
    let end = match secrets.previous {
        Some(_) => SecretEnd::At(now),
        None => {
            grace.resolve(now, &context.org.zone).map_err(|error| OpError::say("grace", error.to_string()))?
        }
    };
    let current = (&secrets.current, end);
    let secret = replace(desk, tx, &permit, (&key, &context.org.key_prefix), current, None, now).await?;
    Ok(IssuedKey { id: key.id, secret })
}

/// Gives the key a new secret that begins with `prefix`, and `current` its end. `made_with` is as in `KeySecret`.
pub(super) async fn replace(
    desk: &Desk,
    mut tx: Tx,
    permit: &Permit,
    (key, prefix): (&Key, &str),
    (current, end): (&KeySecret, SecretEnd),
    made_with: Option<&str>,
    now: Moment,
) -> Result<PlainSecret, OpError> {
    let secret = PlainSecret::mint(prefix, &mut |bytes| desk.random.fill(bytes))
        .map_err(|problem| OpError::Conflict(problem.to_string()))?;
    let new = NewSecret {
        id: &SecretId::new(now, desk.id_entropy()),
        hash: &secret.hash(),
        prefix,
        last_four: secret.last_four(),
        made_with,
    };
    if !secrets::replace(&mut tx, permit, &key.id, (&current.id, end), &new, now).await? {
        return Err(OpError::Conflict(rotated_meanwhile(&key.name)));
    }
    let changes = [
        Change::replaced("secret", current.hint(), hint(secret.last_four())),
        Change::added("secret_end", end_value(end)),
    ];
    let event = Event::new(EventKind::KeyRotated, key.id.as_str(), &key.name).with(changes);
    tx.save(permit, event, now).await?;
    Ok(secret)
}

fn rotated_meanwhile(name: &str) -> String {
    format!("The key {name} was rotated in the meantime. This is its state now.")
}

fn end_value(end: SecretEnd) -> ChangeValue {
    match end {
        SecretEnd::At(at) => ChangeValue::Expiry(Some(at)),
        SecretEnd::AfterFirstUse(ms) => after_first_use(ms).into(),
    }
}

/// Ends the previous secret now. Returns the key's name.
///
/// # Errors
/// `Conflict` when it does not work any more; `ReauthRequired` for another person's key.
pub async fn end_previous(
    desk: &Desk,
    caller: &Caller,
    (org, id): (&str, &str),
    secret: &str,
) -> Result<String, OpError> {
    let mut tx = desk.db.write().await?;
    let (rotating, previous) = open_previous(desk, &mut tx, caller, (org, id), secret).await?;
    let (end, kind) = (SecretEnd::At(rotating.now), EventKind::SecretEnded);
    write_end(tx, &rotating, &previous, end, kind).await
}

/// Gives the previous secret another end. Returns the key's name.
///
/// # Errors
/// `Invalid` on the field `grace`; `Conflict` when it does not work any more; `ReauthRequired` for another person's key.
pub async fn set_previous_end(
    desk: &Desk,
    caller: &Caller,
    (org, id): (&str, &str),
    secret: &str,
    grace: GracePeriod,
) -> Result<String, OpError> {
    let mut tx = desk.db.write().await?;
    let (rotating, previous) = open_previous(desk, &mut tx, caller, (org, id), secret).await?;
    if matches!(grace, GracePeriod::HoursAfterFirstUse(_)) && rotating.secrets.current.is_used() {
        return Err(OpError::say("grace", "The new secret is in use already. Choose another end."));
    }
    let end = grace.resolve(rotating.now, &rotating.context.org.zone);
    let end = end.map_err(|error| OpError::say("grace", error.to_string()))?;
    write_end(tx, &rotating, &previous, end, EventKind::SecretExtended).await
}

async fn write_end(
    mut tx: Tx,
    rotating: &Rotating,
    previous: &KeySecret,
    end: SecretEnd,
    kind: EventKind,
) -> Result<String, OpError> {
    let Rotating { permit, key, now, .. } = rotating;
    if !secrets::set_end(&mut tx, permit, &key.id, &previous.id, end, *now).await? {
        return Err(OpError::Conflict(no_previous(&key.name)));
    }
    let changes = [Change::added("secret", previous.hint()), Change::added("secret_end", end_value(end))];
    let event = Event::new(kind, key.id.as_str(), &key.name).with(changes);
    tx.save(permit, event, *now).await?;
    Ok(key.name.clone())
}

/// A key and its previous secret, which has the id that the caller saw.
async fn open_previous(
    desk: &Desk,
    tx: &mut Tx,
    caller: &Caller,
    (org, id): (&str, &str),
    secret: &str,
) -> Result<(Rotating, KeySecret), OpError> {
    let rotating = open(desk, tx, caller, org, id).await?;
    let previous = rotating.secrets.previous.clone().filter(|previous| previous.id.as_str() == secret);
    let previous = previous.ok_or_else(|| OpError::Conflict(no_previous(&rotating.key.name)))?;
    Ok((rotating, previous))
}

fn no_previous(name: &str) -> String {
    format!("That secret of {name} does not work any more.")
}

/// Makes the previous secret the current one again and ends the new one. Returns the key's name.
///
/// # Errors
/// `Conflict` when the previous one does not work any more, or the key was rotated again; `ReauthRequired` for another
/// person's key.
pub async fn undo_rotation(
    desk: &Desk,
    caller: &Caller,
    (org, id): (&str, &str),
    secret: &str,
) -> Result<String, OpError> {
    let mut tx = desk.db.write().await?;
    let (rotating, previous) = open_previous(desk, &mut tx, caller, (org, id), secret).await?;
    let Rotating { permit, key, secrets, now, .. } = &rotating;
    let current = &secrets.current;
    if !secrets::undo(&mut tx, permit, &key.id, (&current.id, &previous), *now).await? {
        return Err(OpError::Conflict(rotated_meanwhile(&key.name)));
    }
    let change = Change::replaced("secret", current.hint(), previous.hint());
    let event = Event::new(EventKind::RotationUndone, key.id.as_str(), &key.name).with([change]);
    tx.save(permit, event, *now).await?;
    Ok(rotating.key.name.clone())
}
