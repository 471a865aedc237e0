//! When keys were last used, collected in memory and written every second: one small write for many requests. A crash loses
//! that second of a display value; spend is never collected this way.

use crate::store::Unaudited;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::domain::ids::KeyId;
use crate::domain::moment::Moment;
use crate::store::{Db, StoreError, keys};

/// The last uses of this process that are not written yet.
#[derive(Clone, Default)]
pub struct LastUsed {
    seen: Arc<Mutex<HashMap<KeyId, Moment>>>,
}

impl LastUsed {
    /// Records a use of the key.
    pub fn note(&self, key: &KeyId, at: Moment) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.entry(key.clone()).and_modify(|last| *last = at.max(*last)).or_insert(at);
    }

    /// Writes the last uses. After a failed write they wait for the next one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let mut gathered: Vec<(KeyId, Moment)> = {
            let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            seen.drain().collect()
        };
        // Every process writes in this order, so that two of them cannot deadlock.
        gathered.sort();
        if gathered.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = db.write().await?;
            keys::touch(&mut tx, &gathered).await?;
            tx.save_unaudited(Unaudited::Usage).await
        };
        if let Err(error) = written.await {
            gathered.iter().for_each(|(key, at)| self.note(key, *at));
            return Err(error);
        }
        Ok(())
    }
}
