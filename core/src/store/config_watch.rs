//! What a process knows of changes to the configuration, which is everything that admission reads: the version whose changes
//! it has dropped, and until when what it keeps may be used. What is kept asks here each time whether it still counts, so
//! that a change drops whatever concerns it at once, without a search.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::domain::ids::OrgId;

/// With changes of this many organisations, everything is dropped instead.
const MAX_ORGS: usize = 10_000;

/// Clones share what they know.
#[derive(Clone, Default)]
pub struct ConfigWatch {
    known: Arc<RwLock<Known>>,
    /// Whether who writes several transactions waits once behind them, and not behind each.
    waits_once: bool,
}

/// How much had been dropped when a read began. What that read finds counts until more is dropped that concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(u64);

#[derive(Default)]
struct Known {
    /// This process's row in `gateway_nodes`; `None` while it has none.
    node: Option<String>,
    /// Every change up to this version is dropped.
    version: i64,
    /// By the clock that does not jump (`Clock::steady`).
    usable_until: Duration,
    /// How often something was dropped, and at which of these times everything and each organisation was last.
    drops: u64,
    everything: u64,
    orgs: HashMap<String, u64>,
    /// The last time that it was not known what had changed.
    unknown: u64,
}

impl ConfigWatch {
    /// What may be kept and used at `now`, by the clock that does not jump.
    pub fn lease(&self, now: Duration) -> Lease<'_> {
        Lease { watch: self, now }
    }

    /// The same for several transactions.
    pub(super) fn waiting_once(&self) -> Self {
        Self { waits_once: true, ..self.clone() }
    }

    /// Whether a transaction waits by itself until its changes are seen.
    pub(super) fn waits(&self) -> bool {
        !self.waits_once
    }

    /// This process's row, which its own changes need not wait for.
    pub(super) fn node(&self) -> Option<String> {
        self.read().node.clone()
    }

    pub(super) fn version(&self) -> i64 {
        self.read().version
    }

    /// The process has a row that says it has seen `version`. It begins with nothing.
    pub(crate) fn begin(&self, node: &str, version: i64) {
        let mut known = self.write();
        known.drop_everything();
        known.node = Some(node.to_owned());
        known.version = version;
    }

    /// The process has no row any more, or not the one that it knew: nothing is used.
    pub(crate) fn end(&self) {
        let mut known = self.write();
        known.usable_until = Duration::ZERO;
        known.node = None;
        known.drop_everything();
    }

    /// Drops what the changes up to `version` concern: an organisation each, or with an empty text everything.
    pub(crate) fn saw(&self, version: i64, orgs: &[String]) {
        let mut known = self.write();
        if known.orgs.len() + orgs.len() > MAX_ORGS {
            known.drop_everything();
        } else {
            known.drops += 1;
            let at = known.drops;
            for org in orgs {
                match org.as_str() {
                    "" => known.everything = at,
                    org => drop(known.orgs.insert(org.to_owned(), at)),
                }
            }
        }
        known.version = known.version.max(version);
    }

    /// Drops everything, where it is not known what has changed.
    pub(super) fn drop_everything(&self) {
        self.write().drop_everything();
    }

    /// Sets until when what is kept may be used. What has changed before the lease began has to be dropped before.
    pub(crate) fn use_until(&self, until: Duration) {
        self.write().usable_until = until;
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process may keep and use at one moment.
pub struct Lease<'a> {
    watch: &'a ConfigWatch,
    now: Duration,
}

impl Lease<'_> {
    /// To be asked before the database is read for something that will be kept: a change that arrives during the read then
    /// concerns what it finds, whether or not it found the change.
    pub fn seen(&self) -> Seen {
        Seen(self.watch.read().drops)
    }

    /// Whether anything may be used.
    pub fn is_valid(&self) -> bool {
        self.now < self.watch.read().usable_until
    }

    /// Whether something of the organisation itself may have changed since `seen`: a change of all, such as a price, is none of
    /// its limits or counters.
    pub fn has_changed(&self, seen: Seen, org: &str) -> bool {
        let known = self.watch.read();
        seen.0 < known.orgs.get(org).copied().unwrap_or_default().max(known.unknown)
    }

    /// Whether what was read at `seen` still counts; `org` is whose it is, where it is an organisation's. The lease and what
    /// was dropped are asked under one lock: between the two, a process that wakes up could have its lease renewed.
    pub fn counts(&self, seen: Seen, org: Option<&OrgId>) -> bool {
        let known = self.watch.read();
        let of_org = org.and_then(|org| known.orgs.get(org.as_str())).copied().unwrap_or_default();
        self.now < known.usable_until && seen.0 >= known.everything.max(of_org)
    }
}

impl Known {
    fn drop_everything(&mut self) {
        self.drops += 1;
        (self.everything, self.unknown) = (self.drops, self.drops);
        self.orgs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;

    const NOW: Duration = Duration::from_secs(5);

    fn org(number: u8) -> OrgId {
        OrgId::new(Moment::from_ms(0), [number; 10])
    }

    fn watch() -> ConfigWatch {
        let watch = ConfigWatch::default();
        watch.begin("node_1", 7);
        watch.use_until(NOW + Duration::from_secs(1));
        watch
    }

    #[test]
    fn a_change_drops_what_it_concerns_and_no_more() {
        let (watch, one, two) = (watch(), org(1), org(2));
        let seen = watch.lease(NOW).seen();
        watch.saw(8, &[one.to_string()]);
        assert!(!watch.lease(NOW).counts(seen, Some(&one)));
        assert!(watch.lease(NOW).counts(seen, Some(&two)) && watch.lease(NOW).counts(seen, None));
        let later = watch.lease(NOW).seen();
        assert!(watch.lease(NOW).counts(later, Some(&one)));
        let later = watch.lease(NOW).seen();
        watch.saw(9, &[two.to_string(), String::new()]);
        assert!(!watch.lease(NOW).has_changed(later, one.as_str()));
        assert!(watch.lease(NOW).has_changed(later, two.as_str()));
        assert!(watch.lease(NOW).has_changed(seen, one.as_str()));
        for seen in [seen, later] {
            assert!(!watch.lease(NOW).counts(seen, Some(&one)) && !watch.lease(NOW).counts(seen, None));
        }
        assert_eq!(watch.version(), 9);
        // Two who look at the same time may come in either order.
        watch.saw(8, &[one.to_string()]);
        assert_eq!(watch.version(), 9);
    }

    #[test]
    fn nothing_counts_without_a_lease_or_from_before_it_was_lost() {
        let watch = watch();
        let seen = watch.lease(NOW).seen();
        assert!(watch.lease(NOW).counts(seen, None));
        let over = NOW + Duration::from_secs(1);
        assert!(!watch.lease(over).counts(seen, None));
        watch.end();
        assert!(watch.node().is_none());
        watch.begin("node_1", 7);
        watch.use_until(over);
        assert!(!watch.lease(NOW).counts(seen, None));
        assert!(watch.lease(NOW).counts(watch.lease(NOW).seen(), None));
    }

    #[test]
    fn changes_of_many_organisations_are_a_change_of_all() {
        let watch = watch();
        let seen = watch.lease(NOW).seen();
        for number in 0..=MAX_ORGS {
            watch.saw(8 + number as i64, &[format!("org_{number}")]);
        }
        assert!(!watch.lease(NOW).counts(seen, Some(&org(1))));
        assert!(watch.read().orgs.len() <= MAX_ORGS);
    }
}
