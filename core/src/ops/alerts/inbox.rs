//! A person's inbox in one organisation, and what they want to get. Both are theirs alone, so no other person's id is taken
//! and no event is written. Who sees nothing of the organisation as its member has none.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use crate::Desk;
use crate::domain::alert::{AlertKind, Choices, OrgChoices};
use crate::domain::ids::DeliveryId;
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, Page};
use crate::store::alerts;
pub use crate::store::alerts::InboxEntry;
use crate::store::{Unaudited, Via};

/// What of the inbox is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// Unread entries alone.
    pub unread: bool,
    /// Of one kind.
    pub kind: Option<AlertKind>,
}

/// What the inbox is drawn from.
pub struct InboxView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The newest first.
    pub page: Page<InboxEntry>,
    /// When it was read.
    pub now: Moment,
}

async fn open_member(via: &mut impl Via, caller: &Caller, slug: &str) -> Result<OrgContext, OpError> {
    let context = open_org(via, caller, slug).await?;
    if context.principal.role().is_none() {
        return Err(OpError::Forbidden);
    }
    Ok(context)
}

/// A page of the caller's inbox.
///
/// # Errors
/// `Forbidden` for who is no member.
pub async fn inbox(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    filter: InboxFilter,
    at: Option<&Cursor>,
) -> Result<InboxView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_member(&mut read, caller, slug).await?;
    let whose = (&context.org.id, &caller.person.id);
    let page = alerts::inbox(&mut read, whose, (filter.unread, filter.kind), at).await?;
    Ok(InboxView { context, page, now: desk.now() })
}

/// Marks one entry as read, or all without an id; says how many were not.
///
/// # Errors
/// `NotFound` for what is no entry's id; `Forbidden` for who is no member.
pub async fn mark_read(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<u64, OpError> {
    let one = match id {
        "" => None,
        id => Some(DeliveryId::parse(id).ok_or(OpError::NotFound)?),
    };
    let mut tx = desk.db.write().await?;
    let context = open_member(&mut tx, caller, slug).await?;
    let whose = (&context.org.id, &caller.person.id);
    let count = alerts::mark_read(&mut tx, whose, one.as_ref(), desk.now()).await?;
    tx.save_unaudited(Unaudited::Alerts).await?;
    Ok(count)
}

/// What the form of a person's choices is drawn from.
pub struct ChoicesView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The person's own.
    pub own: Choices,
    /// What holds where they chose nothing.
    pub org: OrgChoices,
}

/// What the caller wants to get.
///
/// # Errors
/// `Forbidden` for who is no member.
pub async fn choices(desk: &Desk, caller: &Caller, slug: &str) -> Result<ChoicesView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_member(&mut read, caller, slug).await?;
    let own = alerts::choices(&mut read, &context.org.id, &caller.person.id).await?;
    let org = alerts::org_choices(&mut read, &context.org.id).await?;
    Ok(ChoicesView { context, own, org })
}

/// Replaces what the caller wants to get.
///
/// # Errors
/// `Forbidden` for who is no member.
pub async fn save_choices(desk: &Desk, caller: &Caller, slug: &str, own: &Choices) -> Result<(), OpError> {
    let mut tx = desk.db.write().await?;
    let context = open_member(&mut tx, caller, slug).await?;
    alerts::choose(&mut tx, &context.org.id, &caller.person.id, own).await?;
    Ok(tx.save_unaudited(Unaudited::Alerts).await?)
}
