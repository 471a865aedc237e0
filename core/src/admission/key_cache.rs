//! What the request path reads of the configuration, kept in memory: the key of a secret with its team, organisation and
//! scopes as they were parsed, and who serves a model at which price. An entry is used while this process has a lease and no
//! change has come that concerns it (`ConfigWatch`); expiry and prices that start later are judged at each request. Unknown
//! secrets and models are not kept, so what strangers send displaces nothing.

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::domain::ids::{OrgId, TeamId};
use crate::domain::model::Model;
use crate::domain::moment::Moment;
use crate::domain::provider::Provider;
use crate::domain::quota::HolderLimits;
use crate::domain::scope::ModelScope;
use crate::store::admission::PresentedKey;
use crate::store::quotas::KeyLimits;
use crate::store::{Lease, Seen};

/// What was used once leaves before what is used again, and of that what was used longest ago, by bytes. An entry counts at
/// least `LEAST`.
const LEAST: usize = 800;
/// 100,000 keys without many patterns, addresses or long names, and fewer of those that have.
const KEYS: usize = 100_000 * LEAST;
const LIMITS: usize = 100_000 * LEAST;
const MODELS: usize = 5_000 * LEAST;

/// By the hash of a secret.
pub(super) type Keys = Kept<[u8; 32], PresentedKey>;

/// The limits of a key, as one that was in this team.
pub(super) struct LimitsOfKey {
    pub org: OrgId,
    pub team: Option<TeamId>,
    pub limits: KeyLimits,
}

/// All that is kept; one in a process.
pub struct KeyCache {
    pub(super) keys: Keys,
    /// By the key's id.
    pub(super) limits: Kept<String, LimitsOfKey>,
    /// By the model's id: who serves it first.
    pub(super) served: Kept<String, (Model, Provider)>,
    /// By the model's id: its price, in use or retired.
    pub(super) priced: Kept<String, Model>,
    /// By the model's id: who else serves it.
    pub(super) further: Kept<String, Vec<Provider>>,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self {
            keys: Kept::new(KEYS),
            limits: Kept::new(LIMITS),
            served: Kept::new(MODELS),
            priced: Kept::new(MODELS),
            further: Kept::new(MODELS),
        }
    }
}

impl KeyCache {
    /// How many keys are kept, used or not.
    pub fn keys(&self) -> usize {
        self.keys.entries.len()
    }
}

/// Something that can be kept.
pub(super) trait Keepable {
    /// Whose it is; `None` where it is every organisation's.
    fn org(&self) -> Option<&OrgId>;
    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize;
}

/// Answers of the database, kept until a change concerns them or others need the room.
pub(super) struct Kept<K, V> {
    entries: Cache<K, Entry<V>, ByBytes>,
}

struct Entry<V> {
    value: Arc<V>,
    /// When it was read, in changes.
    seen: Seen,
    /// From when and until when it is true, where it is a question of time.
    from: Option<Moment>,
    until: Option<Moment>,
    bytes: u64,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), ..*self }
    }
}

#[derive(Clone)]
struct ByBytes;

impl<K, V> Weighter<K, Entry<V>> for ByBytes {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.bytes
    }
}

impl<K: Hash + Eq, V: Keepable> Kept<K, V> {
    fn new(bytes: usize) -> Self {
        Self { entries: Cache::with_weighter(bytes / LEAST, bytes as u64, ByBytes) }
    }

    /// What is kept and counts now, for a question about `at` where it is one of time.
    pub(super) fn get<Q>(&self, lease: &Lease<'_>, key: &Q, at: Option<Moment>) -> Option<Arc<V>>
    where
        Q: Hash + quick_cache::Equivalent<K> + ?Sized,
    {
        let entry = self.entries.get(key)?;
        let is_in_time = at.is_none_or(|at| {
            entry.from.is_none_or(|from| from <= at) && entry.until.is_none_or(|until| at < until)
        });
        (is_in_time && lease.counts(entry.seen, entry.value.org())).then_some(entry.value)
    }

    /// Keeps what was read after `seen`, if this process may keep anything.
    pub(super) fn put(&self, lease: &Lease<'_>, key: K, value: V, seen: Seen) -> Arc<V> {
        self.put_for(lease, key, value, seen, None, None)
    }

    /// The same for what is true from a moment until another one.
    pub(super) fn put_for(
        &self,
        lease: &Lease<'_>,
        key: K,
        value: V,
        seen: Seen,
        from: Option<Moment>,
        until: Option<Moment>,
    ) -> Arc<V> {
        let value = Arc::new(value);
        // What a change has reached meanwhile is used this once.
        if lease.counts(seen, value.org()) {
            let bytes = value.bytes().max(LEAST) as u64;
            self.entries.insert(key, Entry { value: value.clone(), seen, from, until, bytes });
        }
        value
    }
}

impl Keepable for PresentedKey {
    fn org(&self) -> Option<&OrgId> {
        Some(&self.org)
    }

    fn bytes(&self) -> usize {
        // Five ids of 37 bytes, and the names.
        let names = self.key_name.len() + self.org_name.len() + self.last_four.len();
        let team = self.team.as_ref().map_or(0, |(_, name)| name.len());
        let scopes = self.scopes.iter().map(|(_, scope)| match scope {
            ModelScope::Every => 0,
            // A text each.
            ModelScope::Listed(patterns) => {
                patterns.iter().map(|pattern| size_of_val(pattern) + pattern.as_str().len()).sum::<usize>()
            }
        });
        let lists = scopes.sum::<usize>() + 20 * self.addresses.count() + size_of_val(&*self.scopes);
        size_of_val(self) + 5 * 48 + names + team + lists
    }
}

impl Keepable for LimitsOfKey {
    fn org(&self) -> Option<&OrgId> {
        Some(&self.org)
    }

    fn bytes(&self) -> usize {
        // Two ids here, and one of each holder.
        let of = |of: &HolderLimits| size_of_val(of) + 64 + size_of_val(&*of.limits);
        size_of_val(self) + 2 * 48 + self.limits.holders.iter().map(of).sum::<usize>()
    }
}

impl Keepable for Model {
    fn org(&self) -> Option<&OrgId> {
        None
    }

    fn bytes(&self) -> usize {
        // A tariff is a few hundred bytes.
        size_of_val(self) + 1_000
    }
}

impl Keepable for (Model, Provider) {
    fn org(&self) -> Option<&OrgId> {
        None
    }

    fn bytes(&self) -> usize {
        self.0.bytes() + provider_bytes(&self.1)
    }
}

impl Keepable for Vec<Provider> {
    fn org(&self) -> Option<&OrgId> {
        None
    }

    fn bytes(&self) -> usize {
        self.iter().map(provider_bytes).sum()
    }
}

fn provider_bytes(provider: &Provider) -> usize {
    size_of_val(provider) + provider.spec.base_url.len() + provider.spec.headers.len() + 500
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::ConfigWatch;

    const NOW: Duration = Duration::from_secs(5);

    struct Thing {
        org: OrgId,
        bytes: usize,
    }

    impl Keepable for Thing {
        fn org(&self) -> Option<&OrgId> {
            Some(&self.org)
        }

        fn bytes(&self) -> usize {
            self.bytes
        }
    }

    fn thing(bytes: usize) -> Thing {
        Thing { org: OrgId::new(Moment::from_ms(0), [1; 10]), bytes }
    }

    fn watch() -> ConfigWatch {
        let watch = ConfigWatch::default();
        watch.begin("node_1", 7);
        watch.use_until(NOW + Duration::from_secs(1));
        watch
    }

    #[test]
    fn what_was_read_while_a_change_came_is_used_once_and_not_kept() {
        let (watch, kept) = (watch(), Kept::<u32, Thing>::new(KEYS));
        let lease = watch.lease(NOW);
        let seen = lease.seen();
        watch.saw(8, &[thing(1).org.to_string()]);
        assert_eq!(kept.put(&lease, 1, thing(1), seen).bytes, 1);
        assert!(kept.get(&lease, &1, None).is_none());
        assert_eq!(kept.entries.len(), 0);
        kept.put(&lease, 1, thing(2), lease.seen());
        assert_eq!(kept.get(&lease, &1, None).unwrap().bytes, 2);
        // A change of another organisation concerns it as little as one that it was read after.
        watch.saw(9, &["org_2".into()]);
        assert!(kept.get(&lease, &1, None).is_some());
        watch.saw(10, &[String::new()]);
        assert!(kept.get(&lease, &1, None).is_none());
    }

    #[test]
    fn what_is_true_for_a_time_is_used_for_questions_about_that_time() {
        let (watch, kept) = (watch(), Kept::<u32, Thing>::new(KEYS));
        let (lease, at) = (watch.lease(NOW), Moment::from_ms);
        kept.put_for(&lease, 1, thing(1), lease.seen(), Some(at(10)), Some(at(20)));
        let is_kept = |ms| kept.get(&lease, &1, Some(at(ms))).is_some();
        assert_eq!([9, 10, 19, 20].map(is_kept), [false, true, true, false]);
    }

    #[test]
    fn it_is_bounded_in_number_and_bytes_and_what_is_used_stays() {
        let (watch, kept) = (watch(), Kept::<u32, Thing>::new(KEYS));
        let lease = watch.lease(NOW);
        for number in 0..250_000 {
            kept.put(&lease, number, thing(1), lease.seen());
            // Each is used a second time, and some all the time.
            kept.get(&lease, &number, None);
            kept.get(&lease, &(number % 100), None);
        }
        assert!((50_000..=100_000).contains(&kept.entries.len()), "{}", kept.entries.len());
        assert!(kept.get(&lease, &200, None).is_none(), "the oldest one is still there");
        let used = (0..100).filter(|number| kept.get(&lease, number, None).is_some()).count();
        assert!(used > 90, "only {used} of those in use stayed");
        for number in 0..1_000 {
            kept.put(&lease, number, thing(200_000), lease.seen());
        }
        assert!(kept.entries.weight() <= KEYS as u64 && kept.entries.len() < 100_000);
    }
}
