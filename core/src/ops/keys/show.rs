//! One key, with what it spends and what happened to it.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::report::{self, SpendCard};
use super::super::spend::{KeySpend, of_key};
use super::super::support::{SupportAccess, record_support_access};
use super::find_seen;
use crate::Desk;
use crate::domain::audit::PastEvent;
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::report::{Dimension, Filters};
use crate::domain::rotation::KeySecrets;
use crate::store::{audit, keys, secrets};

const MAX_HISTORY: i64 = 50;

/// What the page of a key is drawn from.
pub struct KeyView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key, with its budgets and spend.
    pub key: Key,
    /// What it spent in all.
    pub spend: KeySpend,
    /// What it spent lately.
    pub card: SpendCard,
    /// Its secrets that work.
    pub secrets: KeySecrets,
    /// The key's audit events, newest first, up to 50.
    pub history: Vec<PastEvent>,
    /// Whom the key's owner can ask for more.
    pub contacts: Vec<Contact>,
    /// When it was read.
    pub now: Moment,
}

/// Everything about one key.
///
/// # Errors
/// `NotFound` when the caller may not see it.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<KeyView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    let spend = of_key(&mut read, &context.org, &key).await?;
    let card = report::card(&mut read, &context, Filters::of(Dimension::Key, key.id.as_str()), now).await?;
    let history = audit::of_subject(&mut read, &context.org.id, key.id.as_str(), MAX_HISTORY).await?;
    let secrets = secrets::of_key(&mut read, &context.org.id, &key.id, now).await?;
    let contacts = keys::contacts(&mut read, &key.id, &caller.person.email).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.id.as_str(), name: &key.name })
        .await?;
    Ok(KeyView { context, key, spend, card, secrets, history, contacts, now })
}
