//! One request with everything that is known about it.

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use super::request_log::{names_of, seen_by};
use super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::failover::Attempt;
use crate::domain::ids::RequestId;
use crate::domain::moment::Moment;
use crate::domain::names::Names;
use crate::domain::policy::{Action, On};
use crate::domain::price::Price;
use crate::domain::request_log::{RequestCorrection, RequestEntry};
use crate::store::{attempts, prices, requests};

/// What a request's page is drawn from.
pub struct RequestView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The request, or those that were counted together with it.
    pub entry: RequestEntry,
    /// The names of its key, team and owner.
    pub names: Names,
    /// Whether the caller may see the key as it is now.
    pub sees_key: bool,
    /// The price at which it was paid, and its model; `None` where it names none.
    pub price: Option<(String, Price)>,
    /// What re-ratings changed of it, the first one first.
    pub corrections: Vec<RequestCorrection>,
    /// To whom it was sent, the first one first; none where its model had one provider.
    pub attempts: Vec<Attempt>,
    /// When it was read.
    pub now: Moment,
}

/// A request by its id, for who sees the log's entry or the key.
///
/// # Errors
/// `NotFound` when there is no such request here, or it is not theirs to see.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<RequestView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListKeys, On::Org)?;
    let id = RequestId::parse(id).ok_or(OpError::NotFound)?;
    let org = &context.org.id;
    let entry = requests::find(&mut read, org, &id).await?.ok_or(OpError::NotFound)?;
    let names = names_of(&mut read, &context, &entry).await?;
    let sees_key = names.key(&entry.key).is_some_and(|key| context.may(Action::SeeKey, On::Key(key)));
    let was_theirs = seen_by(&context, &permit).is_none_or(|seen| {
        entry.owner.as_ref() == Some(seen.person)
            || entry.team.as_ref().is_some_and(|team| seen.teams.contains(team))
    });
    if !was_theirs && !sees_key {
        return Err(OpError::NotFound);
    }
    let price = match entry.used.as_ref().and_then(|used| used.price.as_ref()) {
        Some(price) => prices::by_id(&mut read, price).await?,
        None => None,
    };
    let corrections = requests::corrections(&mut read, org, &id).await?;
    let attempts = attempts::list(&mut read, org, &id).await?;
    drop(read);
    let name = names.name(entry.key.as_str());
    record_support_access(desk, &context, SupportAccess::Item { id: entry.key.as_str(), name }).await?;
    let now = desk.now();
    Ok(RequestView { context, sees_key, names, price, corrections, attempts, entry, now })
}
