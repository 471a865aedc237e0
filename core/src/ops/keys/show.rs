//! One key, with what it spends and what happened to it.

use super::super::OpError;
use super::super::access::{Caller, Visit, enter};
use super::super::spend::{KeySpend, of_key};
use super::super::support::{self, Look};
use super::find_seen;
use crate::Desk;
use crate::domain::audit::PastEvent;
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::store::audit;

const HISTORY_MOST: i64 = 50;

pub struct KeyView {
    pub visit: Visit,
    pub key: Key,
    pub spend: KeySpend,
    pub history: Vec<PastEvent>,
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
    drop(read);
    support::trace(desk, &visit, Look::Thing { id: key.id.as_str(), name: &key.name }).await?;
    Ok(KeyView { visit, key, spend, history, now })
}
