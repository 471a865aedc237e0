//! One key, with what it spends and what happened to it.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::spend::{KeySpend, of_key};
use super::super::support::{SupportAccess, record_support_access};
use super::find_seen;
use crate::Desk;
use crate::domain::audit::PastEvent;
use crate::domain::gate::RecentRejection;
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::store::{audit, rejections};

const MAX_HISTORY: i64 = 50;
pub const REFUSED_DAYS: i64 = 7;
/// Minutes with rejections that are read; beyond them a count is of the newest.
const MAX_REFUSED: i64 = 1_000;

pub struct KeyView {
    pub context: OrgContext,
    pub key: Key,
    pub spend: KeySpend,
    pub history: Vec<PastEvent>,
    /// Requests that were refused in the last week, the newest first.
    pub refused: Vec<RecentRejection>,
    pub now: Moment,
}

/// Everything about one key.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<KeyView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &context, id, now).await?;
    let spend = of_key(&mut read, &context.org, &key, now).await?;
    let history = audit::of_subject(&mut read, &context.org.id, key.id.as_str(), MAX_HISTORY).await?;
    let week = now.plus_days(-REFUSED_DAYS);
    let refused = rejections::of_key(&mut read, &context.org.id, &key.id, week, MAX_REFUSED).await?;
    let refused = RecentRejection::grouped(refused);
    drop(read);
    record_support_access(desk, &context, SupportAccess::Item { id: key.id.as_str(), name: &key.name })
        .await?;
    Ok(KeyView { context, key, spend, history, refused, now })
}
