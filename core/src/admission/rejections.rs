//! Refused requests of known keys, gathered in memory and written every second: noting one costs a rejection nothing and
//! cannot fail it. What a crash loses is that second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::KnownKey;
use crate::domain::gate::Rejection;
use crate::domain::ids::KeyId;
use crate::domain::key_format::looks_like_secret;
use crate::domain::moment::Moment;
use crate::store::rejections::{Counted, record};
use crate::store::{Db, StoreError};

/// Entries that wait to be written. There are no more keys than the desk made, so a flood of unknown ones adds nothing;
/// beyond this, new entries are left out until the next turn.
const MAX_WAITING: usize = 10_000;
const MAX_ROUTE: usize = 100;

type Place = (KeyId, i64, &'static str);

#[derive(Clone, Default)]
pub struct Rejections {
    waiting: Arc<Mutex<HashMap<Place, Counted>>>,
}

/// What is known of a refused request beside its key.
#[derive(Clone, Debug, Default)]
pub struct Refused<'a> {
    pub route: &'a str,
    pub address: String,
    pub request_id: String,
}

impl Rejections {
    /// Rejections that tell nothing of a key, such as an unknown secret's, are not counted.
    pub fn note(&self, key: &KnownKey, rejection: &Rejection, request: &Refused<'_>, now: Moment) {
        let Some(reason) = rejection.reason() else { return };
        let model = match rejection {
            Rejection::Model { model, .. } if !looks_like_secret(model) => model.clone(),
            _ => String::new(),
        };
        let counted = Counted {
            key: key.key.clone(),
            org: key.org.clone(),
            minute: now.ms().div_euclid(60_000),
            gate: rejection.gate().as_str(),
            reason,
            times: 1,
            last_at: now,
            model,
            route: shown_route(request.route),
            address: request.address.clone(),
            request_id: request.request_id.clone(),
        };
        self.add(counted);
    }

    fn add(&self, new: Counted) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (new.key.clone(), new.minute, new.reason);
        let full = waiting.len() >= MAX_WAITING;
        match waiting.get_mut(&place) {
            Some(there) => {
                let times = there.times.saturating_add(new.times);
                if new.last_at >= there.last_at {
                    *there = new;
                }
                there.times = times;
            }
            None if full => {}
            None => {
                waiting.insert(place, new);
            }
        }
    }

    /// Writes what was gathered. After a failed write it is still there for the next one.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let mut gathered: Vec<Counted> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.drain().map(|(_, counted)| counted).collect()
        };
        if gathered.is_empty() {
            return Ok(());
        }
        // In one order everywhere, so that two nodes wait for each other instead of standing in each other's way.
        gathered.sort_by(|a, b| (&a.key, a.minute, a.reason).cmp(&(&b.key, b.minute, b.reason)));
        let written = async {
            let mut tx = db.write().await?;
            record(&mut tx, &gathered).await?;
            tx.save_unaudited("a refused request changes nothing").await
        };
        if let Err(error) = written.await {
            gathered.into_iter().for_each(|counted| self.add(counted));
            return Err(error);
        }
        Ok(())
    }
}

/// A path, unless somebody may have put a key into it.
fn shown_route(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.:".contains(&b));
    if !plain || path.split(['/', ':']).any(looks_like_secret) {
        return String::new();
    }
    path.chars().take(MAX_ROUTE).collect()
}
