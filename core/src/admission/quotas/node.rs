//! What a node does about limits by itself: it begins, hears of changes, tells what readers should know, and stops.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::state::{NodeName, Quotas};
use super::{RETRY, calls};
use crate::Desk;
use crate::domain::ids::RequestId;
use crate::store::StoreError;
use crate::store::nodes::NodeRow;
use crate::store::quotas::{self as stored, News, Reported};

/// Holders without a request for so long are given back.
const IDLE_MS: i64 = 120_000;
/// Requests that take longer are written as reservations, for those who look.
const SHOWN_AFTER_MS: i64 = 1_000;
/// How long a node that begins anew waits until it is known what was settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);
/// So often what is remembered of organisations is put in order.
const TIDIED_EVERY: u64 = 64;

impl Quotas {
    /// The node's row is gone, or not the one that it knows: what it has is nothing, and what is in use is told anew. The lease
    /// has ended before.
    ///
    /// # Errors
    /// When it is not known in time whether the last settlement was written.
    pub(in crate::admission) async fn begin_anew(&self) -> Result<(), StoreError> {
        if !self.are_used() {
            return Ok(());
        }
        self.state().quota.begin_anew();
        let until = Instant::now() + SETTLED_WITHIN;
        while self.state().quota.is_settling() {
            if Instant::now() >= until {
                return Err(StoreError::Lost);
            }
            sleep(RETRY).await;
        }
        Ok(())
    }

    /// The node has this row. From now on requests are decided from memory, unless they are left to the database.
    pub(in crate::admission) fn begun(&self, desk: &Desk, row: &NodeRow) {
        if stored::are_granted(&desk.db) && !self.are_left() {
            let mut state = self.state();
            state.row = Some(NodeName { id: row.id.clone(), token: row.token.clone() });
            state.node = row.id.clone();
            state.live = 1;
        }
    }

    /// What others need is given back; and what is concerned by a change that this node has heard of, before it says that it has
    /// seen it.
    ///
    /// # Errors
    /// When the database cannot be written, or does not know this node.
    pub(in crate::admission) async fn heard(
        &self,
        desk: &Desk,
        news: News,
        is_change: bool,
    ) -> Result<(), StoreError> {
        if !is_change && news.recalled.is_empty() {
            self.state().live = news.live;
            return Ok(());
        }
        let is_due = {
            let mut state = self.state();
            state.live = news.live;
            for holder in &news.recalled {
                state.quota.recall(holder, true);
            }
            let lease = desk.lease();
            for org in state.orgs.keys().cloned().collect::<Vec<_>>() {
                state.drop_changed_of(&org, &lease);
            }
            state.row.is_some() && state.quota.is_due()
        };
        match is_due && !calls::give_back(desk).await? {
            true => Err(StoreError::Lost),
            false => Ok(()),
        }
    }

    /// A request that was admitted from memory and is not to be forwarded; `false` when it is none.
    pub(in crate::admission) fn release_request(&self, request: &RequestId) -> bool {
        let mut state = self.state();
        let Some(id) = state.quota.id_of(request.as_str()) else { return false };
        state.release(id);
        true
    }

    fn take_reports(&self) -> Vec<Reported> {
        std::mem::take(&mut self.state().reported).into_values().collect()
    }

    async fn write_reports(&self, desk: &Desk) -> Result<(), StoreError> {
        let reports = self.take_reports();
        if reports.is_empty() {
            return Ok(());
        }
        let written = stored::count_reports(&desk.db, &reports).await;
        if written.is_err() {
            self.state().keep_reports(reports);
        }
        written
    }
}

/// Each second: what was not used for long is given back, and starts and requests under way are written for those who look.
///
/// # Errors
/// When the database cannot be written; the same is tried with the next call.
pub async fn sweep_quotas(desk: &Desk) -> Result<(), StoreError> {
    let now = desk.now();
    let is_due = {
        let mut state = desk.quotas.state();
        if state.row.is_none() {
            return Ok(());
        }
        state.end_abandoned(now);
        state.quota.sweep(now, IDLE_MS);
        state.quota.publish(now.plus_ms(-SHOWN_AFTER_MS));
        state.sweeps += 1;
        if state.sweeps.is_multiple_of(TIDIED_EVERY) {
            state.tidy();
        }
        state.quota.is_due()
    };
    if is_due {
        calls::give_back(desk).await?;
    }
    desk.quotas.write_reports(desk).await
}

/// Everything is given back, for a clean stop: from then on the database decides alone. The lease has ended before.
///
/// # Errors
/// When the database cannot be written, or does not know this node.
pub(in crate::admission) async fn leave(desk: &Desk) -> Result<(), StoreError> {
    if !desk.quotas.are_used() {
        return Ok(());
    }
    desk.quotas.state().quota.give_back_all();
    if !calls::give_back(desk).await? {
        return Err(StoreError::Lost);
    }
    desk.quotas.write_reports(desk).await?;
    desk.quotas.state().row = None;
    Ok(())
}
