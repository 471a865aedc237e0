//! Requests of known keys that were rejected or failed before they were sent, gathered in memory and written every second, so that recording one neither slows
//! nor fails the answer. A crash loses that second.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::KnownKey;
use crate::domain::gate::Rejection;
use crate::domain::ids::KeyId;
use crate::domain::key_format::looks_like_secret;
use crate::domain::moment::Moment;
use crate::domain::request_log::RequestFailure;
use crate::store::Unaudited;
use crate::store::rejections::{RejectionCount, record};
use crate::store::{Db, StoreError};

/// Counts that wait to be written. Beyond this, new ones are dropped until the next write.
const MAX_WAITING: usize = 10_000;
/// Models that one key's rejections name in a minute; further ones are counted together, without a name, so that a client
/// that invents models adds no rows.
const MAX_MODELS: usize = 20;
const MAX_ROUTE: usize = 100;
/// Characters of a model that are kept; no model of the catalogue is longer.
const MAX_MODEL: usize = 200;

/// Key, minute, reason, model: what is counted together. It sorts the way the rows are written.
type CountKey = (KeyId, i64, &'static str, String);

#[derive(Default)]
struct Waiting {
    counts: HashMap<CountKey, RejectionCount>,
    /// The minute that `models` is about.
    minute: i64,
    models: HashMap<KeyId, HashSet<String>>,
}

/// The rejections of this process that are not written yet.
#[derive(Clone, Default)]
pub struct Rejections(Arc<Mutex<Waiting>>);

/// A rejected request, apart from its key.
#[derive(Clone, Debug, Default)]
pub struct RejectedRequest<'a> {
    /// The request's path, as sent.
    pub route: &'a str,
    /// The model that it named; empty when that is not known.
    pub model: &'a str,
    /// The client's IP address; empty when it is unknown.
    pub address: String,
    /// The request's id; empty when it has none.
    pub request_id: String,
}

impl Rejections {
    /// Counts a rejection. One that is not about a known key, such as an unknown secret's, is not counted.
    pub fn note(&self, key: &KnownKey, rejection: &Rejection, request: &RejectedRequest<'_>, now: Moment) {
        let Some(reason) = rejection.reason() else { return };
        let model = match rejection {
            Rejection::Model { model, .. } | Rejection::NoPrice { model, .. } => model,
            _ => request.model,
        };
        self.add(key, rejection.gate().as_str(), reason, model, request, now);
    }

    /// Counts a request that no gate rejected and that failed before it was sent.
    pub fn note_failure(
        &self,
        key: &KnownKey,
        failure: RequestFailure,
        request: &RejectedRequest<'_>,
        now: Moment,
    ) {
        self.add(key, "", failure.as_str(), request.model, request, now);
    }

    fn add(
        &self,
        key: &KnownKey,
        gate: &'static str,
        reason: &'static str,
        model: &str,
        request: &RejectedRequest<'_>,
        now: Moment,
    ) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.ms().div_euclid(60_000);
        let model = waiting.model(&key.key, minute, &shown_model(model));
        waiting.add(RejectionCount {
            key: key.key.clone(),
            org: key.org.clone(),
            minute,
            gate,
            reason,
            model,
            times: 1,
            first_at: now,
            last_at: now,
            route: shown_route(request.route),
            address: request.address.clone(),
            request_id: request.request_id.clone(),
        });
    }

    /// Writes the counts. After a failed write they wait for the next one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).counts);
        if waiting.is_empty() {
            return Ok(());
        }
        let mut sorted: Vec<_> = waiting.into_iter().collect();
        // Every process writes in this order, so that two of them cannot deadlock.
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let counts: Vec<RejectionCount> = sorted.into_iter().map(|(_, count)| count).collect();
        let written = async {
            let mut tx = db.write().await?;
            record(&mut tx, &counts).await?;
            tx.save_unaudited(Unaudited::Rejections).await
        };
        if let Err(error) = written.await {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            counts.into_iter().for_each(|count| waiting.add(count));
            return Err(error);
        }
        Ok(())
    }
}

impl Waiting {
    /// The model under which a rejection is counted: itself, or empty beyond `MAX_MODELS`.
    fn model(&mut self, key: &KeyId, minute: i64, model: &str) -> String {
        if self.minute != minute {
            self.minute = minute;
            self.models.clear();
        }
        if model.is_empty() {
            return String::new();
        }
        let models = self.models.entry(key.clone()).or_default();
        if !models.contains(model) {
            if models.len() >= MAX_MODELS {
                return String::new();
            }
            models.insert(model.to_owned());
        }
        model.to_owned()
    }

    fn add(&mut self, new: RejectionCount) {
        let key = (new.key.clone(), new.minute, new.reason, new.model.clone());
        let full = self.counts.len() >= MAX_WAITING;
        match self.counts.get_mut(&key) {
            Some(there) => {
                let times = there.times.saturating_add(new.times);
                let first_at = there.first_at.min(new.first_at);
                if new.last_at >= there.last_at {
                    *there = new;
                }
                (there.times, there.first_at) = (times, first_at);
            }
            None if full => {}
            None => {
                self.counts.insert(key, new);
            }
        }
    }
}

/// The client chose this text: nothing when it may be a key.
fn shown_model(model: &str) -> String {
    if looks_like_secret(model) {
        return String::new();
    }
    model.chars().filter(|c| !c.is_control()).take(MAX_MODEL).collect()
}

/// The path, or nothing when it may contain a key.
fn shown_route(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.:".contains(&b));
    if !plain || path.split(['/', ':']).any(looks_like_secret) {
        return String::new();
    }
    path.chars().take(MAX_ROUTE).collect()
}
