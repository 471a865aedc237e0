//! What this process remembers of requests that are over: what each key used lately with a model, how large the
//! conversations are that providers store, and how often each key counted tokens. It is lost with the process, and only
//! makes expectations better: what is promised about budgets does not depend on it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::expected_use::UsedLately;
use crate::domain::gate::MAX_COUNTS;
use crate::domain::ids::KeyId;
use crate::domain::meter::Counts;
use crate::domain::moment::Moment;

/// Requests that are remembered of a key and model.
const REQUESTS: usize = 8;
/// Of each kind; twice as many at most.
const MAX_REMEMBERED: usize = 20_000;
const MINUTE_MS: i64 = 60_000;
/// How long a request says something about the next one. No provider caches an input for longer unasked.
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Remembers the newest: when it is full, the older half is forgotten.
struct Newest<K, V> {
    new: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Newest<K, V> {
    fn default() -> Self {
        Self { new: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash, V> Newest<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.new.get(key).or_else(|| self.old.get(key))
    }

    /// The value to change, which counts as new.
    fn change(&mut self, key: K, default: impl FnOnce() -> V) -> &mut V {
        let kept = self.old.remove(&key);
        if self.new.len() >= MAX_REMEMBERED && !self.new.contains_key(&key) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.entry(key).or_insert_with(|| kept.unwrap_or_else(default))
    }
}

#[derive(Default)]
struct Memory {
    used: Newest<(KeyId, String), VecDeque<(Moment, Counts)>>,
    stored: Newest<String, i64>,
    /// Since when, and how many since then.
    counted: Newest<KeyId, (Moment, i64)>,
}

/// Clones share what is remembered.
#[derive(Clone, Default)]
pub struct Lately(Arc<Mutex<Memory>>);

impl Lately {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a request used that is over now.
    pub fn note_use(&self, key: &KeyId, model: &str, counts: &Counts, now: Moment) {
        if *counts == Counts::NONE {
            return;
        }
        let mut memory = self.memory();
        let last = memory.used.change((key.clone(), model.to_owned()), VecDeque::new);
        last.push_back((now, *counts));
        if last.len() > REQUESTS {
            last.pop_front();
        }
    }

    /// What the key used in the last hour with the model; `None` when nothing is known.
    pub fn used(&self, key: &KeyId, model: &str, now: Moment) -> Option<UsedLately> {
        let memory = self.memory();
        let last = memory.used.get(&(key.clone(), model.to_owned()))?;
        let is_new = |(at, _): &&(Moment, Counts)| now.ms().saturating_sub(at.ms()) < HOUR_MS;
        let last: Vec<&Counts> = last.iter().filter(is_new).map(|(_, counts)| counts).collect();
        if last.is_empty() {
            return None;
        }
        let largest = |of: fn(&Counts) -> i64| last.iter().map(|counts| of(counts)).max().unwrap_or_default();
        let sum = |of: fn(&Counts) -> i64| last.iter().map(|counts| of(counts)).sum();
        Some(UsedLately {
            output: largest(Counts::output),
            input: sum(Counts::input),
            cached: sum(Counts::cached),
            largest: largest(Counts::all_tokens),
        })
    }

    /// Remembers how many tokens a provider stores under an id. Nothing is stored without one.
    pub fn note_stored(&self, id: &str, tokens: i64) {
        if id.is_empty() {
            return;
        }
        *self.memory().stored.change(id.to_owned(), || 0) = tokens;
    }

    /// How many tokens a provider stores under an id; `None` when it is not known.
    pub fn stored(&self, id: &str) -> Option<i64> {
        self.memory().stored.get(&id.to_owned()).copied()
    }

    /// Counts a request for the number of tokens.
    ///
    /// # Errors
    /// With the seconds to wait when the key has asked too often.
    pub fn count(&self, key: &KeyId, now: Moment) -> Result<(), i64> {
        let mut memory = self.memory();
        let (since, count) = memory.counted.change(key.clone(), || (now, 0));
        if now.ms() - since.ms() >= MINUTE_MS {
            (*since, *count) = (now, 0);
        }
        if *count >= MAX_COUNTS {
            return Err((since.ms() + MINUTE_MS - now.ms()).div_euclid(1_000) + 1);
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> KeyId {
        KeyId::new(Moment::from_ms(0), [number; 10])
    }

    #[test]
    fn the_last_requests_of_a_key_and_model_are_remembered() {
        let lately = Lately::default();
        let now = Moment::from_ms(1_000_000);
        assert_eq!(lately.used(&key(1), "m", now), None);
        for output in 1..=20 {
            lately.note_use(&key(1), "m", &Counts::of_totals(100, 50, 30 - output), now);
        }
        let used = lately.used(&key(1), "m", now.plus_ms(HOUR_MS - 1)).unwrap();
        assert_eq!(used, UsedLately { output: 17, input: 800, cached: 400, largest: 117 });
        assert_eq!(lately.used(&key(1), "other", now), None);
        assert_eq!(lately.used(&key(2), "m", now), None);
        // Of a request an hour ago nothing follows, and of the later ones something does.
        assert_eq!(lately.used(&key(1), "m", now.plus_ms(HOUR_MS)), None);
        lately.note_use(&key(1), "m", &Counts::of_totals(10, 0, 1), now.plus_ms(1));
        let used = lately.used(&key(1), "m", now.plus_ms(HOUR_MS)).unwrap();
        assert_eq!(used, UsedLately { output: 1, input: 10, cached: 0, largest: 11 });
    }

    #[test]
    fn it_forgets_the_oldest_and_never_grows_beyond_its_bound() {
        let lately = Lately::default();
        lately.note_stored("", 7);
        assert_eq!(lately.stored(""), None);
        for number in 0..3 * MAX_REMEMBERED {
            lately.note_stored(&format!("resp_{number}"), 7);
        }
        assert_eq!(lately.stored("resp_0"), None);
        assert_eq!(lately.stored(&format!("resp_{}", 3 * MAX_REMEMBERED - 1)), Some(7));
        let memory = lately.memory();
        assert!(memory.stored.new.len() + memory.stored.old.len() <= 2 * MAX_REMEMBERED);
    }

    #[test]
    fn a_key_counts_tokens_often_but_not_without_end() {
        let lately = Lately::default();
        let now = Moment::from_ms(1_000_000);
        for _ in 0..MAX_COUNTS {
            lately.count(&key(1), now).unwrap();
        }
        let wait = lately.count(&key(1), now.plus_ms(10_000)).unwrap_err();
        assert_eq!(wait, 51);
        lately.count(&key(2), now).unwrap();
        lately.count(&key(1), now.plus_ms(10_000 + wait * 1_000)).unwrap();
    }
}
