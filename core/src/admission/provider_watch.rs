//! How requests to providers go, as this process meets it: which provider is passed over for now, and what is written for
//! operators every second. A node decides by what it met itself, because networks differ; what is shown is of all nodes.
//!
//! Nothing here refuses a request: a provider that is passed over is asked when no other one is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::ProviderId;
use crate::domain::moment::Moment;
use crate::domain::provider_failure::{FailureCount, MetFailure, ProviderFailure, ProviderHealth};
use crate::store::{Db, StoreError, Unaudited, provider_watch as stored};

/// The first time that a provider is passed over. It doubles with each further failure, to `PASS_OVER_MAX_MS`.
const PASS_OVER_MS: i64 = 5_000;
/// The longest; also where the provider asks for more, because other models of it may do.
const PASS_OVER_MAX_MS: i64 = 60_000;
/// While one request finds out whether a provider is back, the others still pass it over.
const TRIAL_MS: i64 = 5_000;
/// A provider that answers is written so often.
const ANSWERED_EVERY_MS: i64 = 60_000;

#[derive(Default)]
struct Watched {
    /// Failures that count, without an answer in between.
    in_a_row: i64,
    /// Until when it is passed over; milliseconds since 1970.
    until: i64,
    /// When an answer was last written.
    written_at: i64,
    /// What is not written yet.
    health: Option<ProviderHealth>,
    failures: BTreeMap<ProviderFailure, FailureCount>,
}

/// Clones share what is known.
#[derive(Clone, Default)]
pub struct ProviderWatch(Arc<Mutex<HashMap<ProviderId, Watched>>>);

/// For what a failure is counted beside its provider.
#[derive(Clone, Copy, Debug)]
pub struct MetWith<'a> {
    /// The model's id.
    pub model: &'a str,
    /// The request's id.
    pub request: &'a str,
}

impl ProviderWatch {
    fn all(&self) -> MutexGuard<'_, HashMap<ProviderId, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request asks others first.
    pub fn is_passed_over(&self, provider: &ProviderId, now: Moment) -> bool {
        self.all().get(provider).is_some_and(|watched| now.ms() < watched.until)
    }

    /// Notes that a request is sent to it. Of a provider that failed this is the trial.
    pub fn begin(&self, provider: &ProviderId, now: Moment) {
        if let Some(watched) = self.all().get_mut(provider)
            && watched.until > 0
        {
            watched.until = watched.until.max(now.ms() + TRIAL_MS);
        }
    }

    /// Notes an answer that is not a failure of the provider.
    pub fn note_answer(&self, provider: &ProviderId, now: Moment) {
        let mut all = self.all();
        let watched = all.entry(provider.clone()).or_default();
        let was_failing = watched.until > 0 || watched.in_a_row > 0 || watched.health.is_some();
        (watched.in_a_row, watched.until) = (0, 0);
        if was_failing || now.ms() - watched.written_at >= ANSWERED_EVERY_MS {
            watched.written_at = now.ms();
            let health = watched.health.get_or_insert_default();
            (health.answered_at, health.failing_since) = (now, Moment::from_ms(0));
        }
    }

    /// Notes a failure.
    pub fn note_failure(&self, provider: &ProviderId, met: &MetFailure, with: MetWith<'_>, now: Moment) {
        let mut all = self.all();
        let watched = all.entry(provider.clone()).or_default();
        watched.count(FailureCount {
            failure: met.failure,
            times: 1,
            first_at: now,
            last_at: now,
            status: met.status,
            words: met.words.clone(),
            model: with.model.to_owned(),
            request: with.request.to_owned(),
        });
        let Some(after) = met.failure.passed_over_after() else { return };
        watched.in_a_row = watched.in_a_row.saturating_add(1);
        let health = watched.health.get_or_insert_default();
        if health.failing_since.ms() == 0 {
            health.failing_since = now;
        }
        (health.failed_at, health.failure) = (now, Some(met.failure));
        if watched.in_a_row >= after {
            let doubled = u32::try_from(watched.in_a_row - after).unwrap_or(u32::MAX).min(8);
            let wait = met.retry_after_ms.unwrap_or(PASS_OVER_MS << doubled);
            let wait = wait.clamp(1_000, PASS_OVER_MAX_MS);
            watched.until = watched.until.max(now.ms() + wait);
        }
    }

    /// Writes what was met since the last time. After a failed write it waits for the next one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let mut waiting: Vec<(ProviderId, Option<ProviderHealth>, Vec<FailureCount>)> = self
            .all()
            .iter_mut()
            .filter(|(_, watched)| watched.health.is_some() || !watched.failures.is_empty())
            .map(|(id, watched)| {
                (
                    id.clone(),
                    watched.health.take(),
                    std::mem::take(&mut watched.failures).into_values().collect(),
                )
            })
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        // Every process writes in this order, so that two of them cannot deadlock.
        waiting.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let written = async {
            let mut tx = db.write().await?;
            for (provider, health, failures) in &waiting {
                stored::count(&mut tx, provider, failures).await?;
                if let Some(health) = health {
                    stored::set_health(&mut tx, provider, health).await?;
                }
            }
            tx.save_unaudited(Unaudited::ProviderWatch).await
        };
        if let Err(error) = written.await {
            let mut all = self.all();
            for (provider, health, failures) in waiting {
                let watched = all.entry(provider).or_default();
                failures.into_iter().for_each(|count| watched.count(count));
                watched.health = match (health, watched.health) {
                    (Some(older), Some(newer)) => Some(later(older, newer)),
                    (older, newer) => newer.or(older),
                };
            }
            return Err(error);
        }
        Ok(())
    }
}

impl Watched {
    fn count(&mut self, new: FailureCount) {
        match self.failures.get_mut(&new.failure) {
            None => _ = self.failures.insert(new.failure, new),
            Some(there) => {
                let (times, first_at) =
                    (there.times.saturating_add(new.times), there.first_at.min(new.first_at));
                if new.last_at >= there.last_at {
                    *there = new;
                }
                (there.times, there.first_at) = (times, first_at);
            }
        }
    }
}

/// What both came to.
fn later(older: ProviderHealth, newer: ProviderHealth) -> ProviderHealth {
    let since = match newer.answered_at.ms() > 0 || older.failing_since.ms() == 0 {
        true => newer.failing_since,
        false => older.failing_since,
    };
    ProviderHealth {
        answered_at: older.answered_at.max(newer.answered_at),
        failed_at: older.failed_at.max(newer.failed_at),
        failing_since: since,
        failure: newer.failure.or(older.failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: MetWith<'static> = MetWith { model: "m", request: "req_1" };

    fn provider() -> ProviderId {
        ProviderId::new(Moment::from_ms(0), [1; 10])
    }

    fn met(failure: ProviderFailure) -> MetFailure {
        MetFailure { failure, status: 0, words: String::new(), retry_after_ms: None }
    }

    fn at(ms: i64) -> Moment {
        Moment::from_ms(1_790_000_000_000 + ms)
    }

    #[test]
    fn a_provider_that_cannot_be_reached_is_passed_over_for_longer_each_time_until_it_answers() {
        let (watch, id) = (ProviderWatch::default(), provider());
        assert!(!watch.is_passed_over(&id, at(0)));
        watch.note_failure(&id, &met(ProviderFailure::Unreachable), WITH, at(0));
        assert!(watch.is_passed_over(&id, at(PASS_OVER_MS - 1)));
        assert!(!watch.is_passed_over(&id, at(PASS_OVER_MS)));
        // One request tries, the others wait for what it finds.
        watch.begin(&id, at(PASS_OVER_MS));
        assert!(watch.is_passed_over(&id, at(PASS_OVER_MS)));
        watch.note_failure(&id, &met(ProviderFailure::Unreachable), WITH, at(PASS_OVER_MS));
        assert!(watch.is_passed_over(&id, at(3 * PASS_OVER_MS - 1)));
        for _ in 0..100 {
            watch.note_failure(&id, &met(ProviderFailure::Unreachable), WITH, at(20_000));
        }
        assert!(!watch.is_passed_over(&id, at(20_000 + PASS_OVER_MAX_MS)));
        watch.note_answer(&id, at(20_001));
        assert!(!watch.is_passed_over(&id, at(20_001)));
    }

    #[test]
    fn one_server_error_says_nothing_and_three_in_a_row_do() {
        let (watch, id) = (ProviderWatch::default(), provider());
        let failed = |ms| watch.note_failure(&id, &met(ProviderFailure::Failed), WITH, at(ms));
        failed(0);
        failed(1);
        watch.note_answer(&id, at(2));
        failed(3);
        failed(4);
        assert!(!watch.is_passed_over(&id, at(4)));
        failed(5);
        assert!(watch.is_passed_over(&id, at(5)));
    }

    #[test]
    fn what_an_account_may_not_use_is_counted_and_passes_nothing_over() {
        let (watch, id) = (ProviderWatch::default(), provider());
        for ms in 0..10 {
            watch.note_failure(&id, &met(ProviderFailure::Refused), WITH, at(ms));
        }
        assert!(!watch.is_passed_over(&id, at(10)));
        assert_eq!(watch.all()[&id].failures[&ProviderFailure::Refused].times, 10);
        assert_eq!(watch.all()[&id].health, None);
    }

    #[test]
    fn a_provider_is_asked_again_when_it_says() {
        let (watch, id) = (ProviderWatch::default(), provider());
        let limited = |ms| MetFailure { retry_after_ms: Some(ms), ..met(ProviderFailure::Limited) };
        watch.note_failure(&id, &limited(2_000), WITH, at(0));
        assert!(watch.is_passed_over(&id, at(1_999)) && !watch.is_passed_over(&id, at(2_000)));
        watch.note_failure(&id, &limited(86_400_000), WITH, at(2_000));
        assert!(!watch.is_passed_over(&id, at(2_000 + PASS_OVER_MAX_MS)));
    }
}
