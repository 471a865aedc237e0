//! When keys and their secrets were last used, collected in memory and written every second: one small write for many requests. A crash loses
//! that second of a display value; spend is never collected this way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::domain::ids::{KeyId, SecretId};
use crate::domain::moment::Moment;
use crate::store::{Db, StoreError, Unaudited, keys, secrets};

/// The last uses of this process that are not written yet.
#[derive(Clone, Default)]
pub struct LastUsed {
    seen: Arc<Mutex<Uses>>,
}

/// The first and the last use of each secret. Every process writes in this order, so that two of them cannot deadlock.
type Uses = BTreeMap<(KeyId, SecretId), (Moment, Moment)>;

impl LastUsed {
    /// Records a use of the key through one of its secrets.
    pub fn note(&self, key: &KeyId, secret: &SecretId, at: Moment) {
        self.add((key.clone(), secret.clone()), (at, at));
    }

    fn add(&self, which: (KeyId, SecretId), (first, last): (Moment, Moment)) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let uses = seen.entry(which).or_insert((first, last));
        *uses = (uses.0.min(first), uses.1.max(last));
    }

    /// Writes the last uses. After a failed write they wait for the next one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let uses = std::mem::take(&mut *self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = db.write().await?;
            for ((key, secret), (first, last)) in &uses {
                keys::touch(&mut tx, key, *last).await?;
                secrets::touch(&mut tx, secret, *first, *last).await?;
            }
            tx.save_unaudited(Unaudited::Usage).await
        };
        if let Err(error) = written.await {
            uses.into_iter().for_each(|(which, moments)| self.add(which, moments));
            return Err(error);
        }
        Ok(())
    }
}
