//! When keys were last used, gathered in memory and written every few seconds: one small write for many requests. What
//! a crash loses is at most those seconds of a display value; spend is never kept this way.

use crate::store::Unaudited;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::domain::ids::KeyId;
use crate::domain::moment::Moment;
use crate::store::{Db, StoreError, keys};

#[derive(Clone, Default)]
pub struct LastUsed {
    seen: Arc<Mutex<HashMap<KeyId, Moment>>>,
}

impl LastUsed {
    pub fn note(&self, key: &KeyId, at: Moment) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.entry(key.clone()).and_modify(|last| *last = at.max(*last)).or_insert(at);
    }

    /// Writes what was gathered. After a failed write it is still there for the next one.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let mut gathered: Vec<(KeyId, Moment)> = {
            let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            seen.drain().collect()
        };
        // In one order everywhere, so that two nodes wait for each other instead of standing in each other's way.
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
