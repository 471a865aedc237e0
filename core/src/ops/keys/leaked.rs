//! A secret that someone found where it should not be: whose it is, where it is used, and ending it.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::leaks::{leaked_event, people, works};
use super::super::support::{SupportAccess, record_support_access};
use super::create::IssuedKey;
use super::{end_previous, find_seen, revoke, rotate, undo_rotation};
use crate::Desk;
use crate::domain::ids::{KeyId, SecretId};
use crate::domain::key::Key;
use crate::domain::leak::{FoundSecret, LeakAction, SecretState};
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, On};
use crate::domain::rotation::{GracePeriod, KeySecrets};
use crate::store::{Via, leaks, secrets};

/// What the page of a secret is drawn from.
pub struct SecretView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key that it belongs to.
    pub key: Key,
    /// The secret and its use.
    pub secret: FoundSecret,
    /// What the caller may do about it, the gentlest first; empty when nothing is to be done.
    pub actions: Vec<LeakAction>,
    /// Whom to tell; not the caller.
    pub contacts: Vec<Contact>,
    /// When it was read.
    pub now: Moment,
}

impl SecretView {
    /// Whether requests with the secret may pass.
    pub fn works(&self) -> bool {
        works(&self.key, &self.secret, self.now)
    }
}

/// A secret of a key, for who may see the key.
///
/// # Errors
/// `NotFound` when the caller may not see the key, or it has no such secret.
pub async fn secret(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &str,
    secret: &str,
) -> Result<SecretView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let (key, secret) = find(&mut read, &context, (id, secret), now).await?;
    let of_key = secrets::of_key(&mut read, &context.org.id, &key.id, now).await?;
    let actions = actions(&context, &key, &secret, &of_key, now);
    let contacts = people(&mut read, &context.org.id, &key.id, &caller.person.email).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.id.as_str(), name: &key.name })
        .await?;
    Ok(SecretView { context, key, secret, actions, contacts, now })
}

async fn find(
    via: &mut impl Via,
    context: &OrgContext,
    (id, secret): (&str, &str),
    now: Moment,
) -> Result<(Key, FoundSecret), OpError> {
    let key = find_seen(via, context, id, now).await?;
    let secret = SecretId::parse(secret).ok_or(OpError::NotFound)?;
    let secret = leaks::secret(via, &context.org.id, &key.id, &secret, now).await?;
    Ok((key, secret.ok_or(OpError::NotFound)?))
}

fn actions(
    context: &OrgContext,
    key: &Key,
    secret: &FoundSecret,
    of_key: &KeySecrets,
    now: Moment,
) -> Vec<LeakAction> {
    if !key.is_live(now) {
        return vec![];
    }
    let act = match secret.state {
        SecretState::Ended(_) => return vec![],
        SecretState::Previous(_) => LeakAction::EndSecret,
        // Two secrets are in use: the other one goes on.
        SecretState::Current if !of_key.may_rotate() => LeakAction::EndSecret,
        SecretState::Current => LeakAction::Rotate,
    };
    let may = |action| context.may(action, On::Key(key.facts()));
    let act = may(Action::RotateKey).then_some(act);
    act.into_iter().chain(may(Action::RevokeKey).then_some(LeakAction::Revoke)).collect()
}

/// What was done about a leaked secret.
pub struct HandledLeak {
    /// The key's name.
    pub key: String,
    /// The key's id.
    pub id: KeyId,
    /// The secret's masked form.
    pub hint: String,
    /// The organisation's name.
    pub org: String,
    /// The new secret, after a rotation.
    pub issued: Option<IssuedKey>,
    /// Whom to tell.
    pub people: Vec<Contact>,
}

/// Records that a secret leaked, and ends it. The report stays recorded where ending it fails.
///
/// # Errors
/// `Invalid` on the field `action` when it cannot be done about this secret; `ReauthRequired` for another person's key;
/// otherwise as `rotate`, `end_previous`, `undo_rotation` and `revoke`.
pub async fn report_leak(
    desk: &Desk,
    caller: &Caller,
    (org, id): (&str, &str),
    secret: &str,
    action: LeakAction,
) -> Result<HandledLeak, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let (key, found) = find(&mut tx, &context, (id, secret), now).await?;
    let of_key = secrets::of_key(&mut tx, &context.org.id, &key.id, now).await?;
    let permit = context.permit(Action::ReportLeak, On::Key(key.facts()))?;
    if !actions(&context, &key, &found, &of_key, now).contains(&action) {
        let sentence = "This can't be done about the secret any more. This is its state now.";
        return Err(OpError::say("action", sentence));
    }
    if key.owner.id != caller.person.id {
        caller.require_recent_auth(now)?;
    }
    let people = people(&mut tx, &context.org.id, &key.id, &caller.person.email).await?;
    tx.save(&permit, leaked_event(&key, &found, ""), now).await?;
    let at = (org, id);
    let mut issued = None;
    match (action, found.state) {
        (LeakAction::Rotate, _) => {
            issued = Some(rotate(desk, caller, at, secret, GracePeriod::None).await?);
        }
        (LeakAction::EndSecret, SecretState::Current) => {
            if let Some(previous) = &of_key.previous {
                undo_rotation(desk, caller, at, previous.id.as_str()).await?;
            }
        }
        (LeakAction::EndSecret, _) => {
            end_previous(desk, caller, at, secret).await?;
        }
        // The page has asked, with the key's use in sight.
        (LeakAction::Revoke, _) => {
            revoke(desk, caller, org, id, &key.name).await?;
        }
    }
    Ok(HandledLeak { hint: found.hint(), key: key.name, id: key.id, org: context.org.name, issued, people })
}
