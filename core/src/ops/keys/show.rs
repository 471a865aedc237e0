//! One key, with what it spends and what happened to it.

use super::super::OpError;
use super::super::access::{Caller, Visit, enter};
use super::super::spend::{KeySpend, of_key};
use super::super::support::{self, Look};
use super::find_seen;
use crate::Desk;
use crate::domain::audit::PastEvent;
use crate::domain::gate::RefusedLately;
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::store::{audit, refusals};

const HISTORY_MOST: i64 = 50;
pub const REFUSED_DAYS: i64 = 7;
/// Minutes with refusals that are read; beyond them a count is of the newest.
const REFUSED_MOST: i64 = 1_000;

pub struct KeyView {
    pub visit: Visit,
    pub key: Key,
    pub spend: KeySpend,
    pub history: Vec<PastEvent>,
    /// Requests that were refused in the last week, the newest first.
    pub refused: Vec<RefusedLately>,
    pub now: Moment,
}

/// Everything about one key.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<KeyView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let visit = enter(&mut read, caller, slug).await?;
    let key = find_seen(&mut read, &visit, id, now).await?;
    let spend = of_key(&mut read, &visit.org, &key, now).await?;
    let history = audit::of_subject(&mut read, &visit.org.id, key.id.as_str(), HISTORY_MOST).await?;
    let week = now.plus_days(-REFUSED_DAYS);
    let refused = refusals::of_key(&mut read, &visit.org.id, &key.id, week, REFUSED_MOST).await?;
    let refused = RefusedLately::together(refused);
    drop(read);
    support::trace(desk, &visit, Look::Thing { id: key.id.as_str(), name: &key.name }).await?;
    Ok(KeyView { visit, key, spend, history, refused, now })
}
