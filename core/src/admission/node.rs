//! This process as one that serves: while it has a lease, it may keep what admission reads. It looks at the version of the
//! configuration all the time, drops what has changed, and says so, for who changed it waits for that.
//!
//! Without a lease nothing is used from memory: keys are read from the database, and limits admit nothing (`quotas`).

use std::time::Duration;

use crate::Desk;
use crate::store::nodes::{self, GIVEN_UP_EARLY, LOOK_COUNTS, NodeRow};
use crate::store::{StoreError, config_changes, quotas};

pub use crate::store::nodes::LOOK_EVERY;

/// One process, or in a test one desk.
pub struct Node {
    id: String,
    row: Option<NodeRow>,
    /// When the last renewal was sent, by the clock that does not jump.
    renewed_at: Duration,
}

impl Node {
    /// One without a row, which may keep nothing until its first look.
    pub fn new(desk: &Desk) -> Self {
        Self { id: name(desk), row: None, renewed_at: Duration::ZERO }
    }

    /// Removes the rows that others left, when this process knows that it is the only one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remove_others(&self, desk: &Desk) -> Result<(), StoreError> {
        nodes::remove_others(&desk.db, &self.id).await
    }

    /// Looks at the version, drops what has changed, and says so where someone waits for it. Without a row, or when the row is
    /// not the one that this process knows, it begins anew with nothing in memory.
    ///
    /// # Errors
    /// When the database cannot be read or written. What is kept may be used until the lease ends.
    pub async fn look(&mut self, desk: &Desk) -> Result<(), StoreError> {
        let Some(row) = self.row.clone() else { return self.begin(desk).await };
        let sent = desk.clock.steady();
        let mut read = desk.db.read().await?;
        let version = nodes::look(&mut read, &row).await?;
        let news = quotas::news(&mut read, &row.id).await?;
        drop(read);
        let Some(version) = version else {
            self.forget(desk);
            return self.begin(desk).await;
        };
        // First what has changed is dropped, then the lease is longer.
        config_changes::catch_up(&desk.db, version).await?;
        self.extend(desk, sent);
        desk.quotas.heard(desk, news, version != row.seen_version).await?;
        if version != row.seen_version || sent >= self.renewed_at + nodes::renew_every(&desk.db) {
            let renewed_at = desk.clock.steady();
            match nodes::renew(&desk.db, &row, version).await? {
                Some(row) => (self.row, self.renewed_at) = (Some(row), renewed_at),
                None => {
                    self.forget(desk);
                    return self.begin(desk).await;
                }
            }
            self.extend(desk, sent);
        }
        Ok(())
    }

    async fn begin(&mut self, desk: &Desk) -> Result<(), StoreError> {
        // Behind the end of the lease, before the next one.
        desk.quotas.begin_anew().await?;
        let sent = desk.clock.steady();
        let row = nodes::join(&desk.db, &self.id, name(desk)).await?;
        // What is read from here on has every change that does not wait for the new row.
        desk.quotas.begun(desk, &row);
        desk.db.config().begin(&row.id, row.seen_version);
        (self.row, self.renewed_at) = (Some(row), sent);
        self.extend(desk, sent);
        Ok(())
    }

    /// Who has changed something waits for a process until its row's lease is over, and not for longer than a look counts.
    fn extend(&self, desk: &Desk, looked_at: Duration) {
        let until = (looked_at + LOOK_COUNTS).min(self.renewed_at + nodes::row_lease(&desk.db));
        desk.db.config().use_until(until.saturating_sub(GIVEN_UP_EARLY));
    }

    fn forget(&mut self, desk: &Desk) {
        desk.db.config().end();
        self.row = None;
    }

    /// Uses nothing from memory any more, and removes the row, so that no one waits for this process.
    ///
    /// # Errors
    /// When the database cannot be written; the row's lease then ends by itself.
    pub async fn leave(&mut self, desk: &Desk) -> Result<(), StoreError> {
        self.forget(desk);
        super::quotas::leave(desk).await?;
        nodes::leave(&desk.db, &self.id).await
    }
}

fn name(desk: &Desk) -> String {
    desk.bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
