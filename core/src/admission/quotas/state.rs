//! What is remembered of limits between two decisions. All of it is behind one lock, which is never kept while something is
//! waited for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::moment::Moment;
use crate::domain::quota::{Holder, HolderLimits, LimitNumbers, NodeQuota, ReservationId};
use crate::store::meter;
use crate::store::quotas::{NodeBatch, NodeBatches, Reported};
use crate::store::{Lease, Seen, StoreError};

/// How long a reservation lasts without a renewal, in milliseconds.
pub const LEASE_MS: i64 = 120_000;

/// What this process has of limits; one in a process.
#[derive(Default)]
pub struct Quotas {
    /// Never locked while something is waited for.
    state: Mutex<State>,
    /// Whether the database decides although this process has a row.
    left: AtomicBool,
    /// One call at a time changes what this node has.
    pub(super) calls: tokio::sync::Mutex<()>,
    /// While others change limits or counters at the database, nothing is granted: they read, and a grant writes.
    pub(super) outside: tokio::sync::RwLock<()>,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Quotas")
    }
}

#[derive(Default)]
pub(super) struct State {
    pub quota: NodeQuota,
    /// The node's row, while it has one.
    pub row: Option<NodeName>,
    /// Its id, also afterwards.
    pub node: String,
    /// The number of the last call.
    pub calls: i64,
    /// How many calls were lost. Who waited behind one is told so, and does not wait as long again.
    pub lost: u64,
    /// How many nodes live.
    pub live: i64,
    pub orgs: HashMap<String, OfOrg>,
    /// Who has which request under way, or not settled.
    pub requests: HashMap<ReservationId, Arc<meter::Reservation>>,
    /// What limits that only report would have rejected, by holder, limit and hour.
    pub reported: BTreeMap<(Holder, &'static str, i64), Reported>,
    /// Requests that no one will settle, each with when it counts no more, once that was set.
    pub abandoned: BTreeMap<ReservationId, Option<Moment>>,
    pub sweeps: u64,
}

/// A node's row, as its calls name it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct NodeName {
    pub id: String,
    pub token: String,
}

/// Holders of one organisation.
pub(super) struct OfOrg {
    /// Before any of their numbers was read.
    seen: Seen,
    holders: BTreeSet<Holder>,
}

/// A request that was admitted from memory. When the last of them is dropped and it was not settled, its task has broken down:
/// it counts as long as the reservation of a process that has.
#[derive(Debug)]
pub(in crate::admission) struct Admitted {
    quotas: Arc<Quotas>,
    id: ReservationId,
}

impl Admitted {
    /// The request that this process knows by this number.
    pub fn new(quotas: &Arc<Quotas>, id: ReservationId) -> Arc<Self> {
        Arc::new(Self { quotas: quotas.clone(), id })
    }

    /// That number.
    pub fn id(&self) -> ReservationId {
        self.id
    }

    /// The request is over. `true` when its answer has to wait for its settlement.
    pub fn end(&self, cost: i64, tokens: i64) -> bool {
        self.quotas.state().quota.end(self.id, cost, tokens)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.quotas.state();
        if state.requests.contains_key(&self.id) {
            state.abandoned.insert(self.id, None);
        }
    }
}

impl Quotas {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database decides about requests of this process, too. To be called before the process has its row.
    pub fn leave_to_database(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    pub(super) fn are_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether this process's requests are decided here.
    pub(in crate::admission) fn are_used(&self) -> bool {
        self.state().row.is_some()
    }
}

impl State {
    /// The number of the next call, and the row that it names.
    pub fn next_call(&mut self) -> Option<(NodeName, i64)> {
        let row = self.row.clone()?;
        self.calls += 1;
        Some((row, self.calls))
    }

    /// A call was lost while one waited for its turn behind it.
    pub fn check_lost(&self, before: u64) -> Result<(), StoreError> {
        if self.lost == before { Ok(()) } else { Err(StoreError::Lost) }
    }

    /// What the organisation's holders have is given back, if a change concerns them that came after their numbers were read.
    pub fn drop_changed_of(&mut self, org: &str, lease: &Lease<'_>) {
        let Some(of) = self.orgs.get_mut(org).filter(|of| lease.has_changed(of.seen, org)) else { return };
        of.seen = lease.seen();
        for holder in std::mem::take(&mut of.holders) {
            self.quota.recall(&holder, false);
        }
    }

    /// Remembers whose these holders are, before their numbers are read.
    pub fn note(&mut self, org: &str, holders: impl Iterator<Item = Holder>, lease: &Lease<'_>) {
        if let Some(of) = self.orgs.get_mut(org) {
            of.holders.extend(holders);
        } else {
            let of = OfOrg { seen: lease.seen(), holders: holders.collect() };
            self.orgs.insert(org.to_owned(), of);
        }
    }

    /// Counts the request at each limit that only reports and would have rejected it.
    pub fn report(&mut self, of: &[HolderLimits], lines: &[LimitNumbers], at: Moment) {
        for line in lines.iter().filter(|line| !line.enforced && !line.fits) {
            let Some(of) = of.iter().find(|of| of.holder.kind == line.holder) else { continue };
            let hour = at.ms().div_euclid(3_600_000);
            let one =
                self.reported.entry((of.holder.clone(), line.what.as_str(), hour)).or_insert_with(|| {
                    Reported { holder: of.holder.clone(), what: line.what, requests: 0, first: at, last: at }
                });
            one.requests += 1;
            one.last = one.last.max(at);
        }
    }

    /// The request was never forwarded, or is over already.
    pub fn release(&mut self, id: ReservationId) {
        self.quota.release(id);
        if !self.quota.has(id) {
            self.requests.remove(&id);
        }
    }

    /// They could not be written.
    pub fn keep_reports(&mut self, reports: Vec<Reported>) {
        for report in reports {
            let hour = report.first.ms().div_euclid(3_600_000);
            let place = (report.holder.clone(), report.what.as_str(), hour);
            match self.reported.get_mut(&place) {
                Some(newer) => {
                    newer.requests += report.requests;
                    newer.first = newer.first.min(report.first);
                }
                None => drop(self.reported.insert(place, report)),
            }
        }
    }

    /// Ends requests that no one will settle, a lease after they were found.
    pub fn end_abandoned(&mut self, now: Moment) {
        let mut over = Vec::new();
        for (id, until) in &mut self.abandoned {
            if *until.get_or_insert(now.plus_ms(LEASE_MS)) <= now {
                over.push(*id);
            }
        }
        for id in over {
            self.abandoned.remove(&id);
            self.release(id);
        }
    }

    pub fn tidy(&mut self) {
        let quota = &self.quota;
        self.orgs.retain(|_, of| {
            of.holders.retain(|holder| quota.knows(holder));
            !of.holders.is_empty()
        });
        self.requests.retain(|id, _| quota.has(*id));
    }
}

impl NodeBatches for Quotas {
    fn begin(&self, requests: &[ReservationId]) -> Option<NodeBatch> {
        let mut state = self.state();
        let node = state.node.clone();
        let batch = state.quota.settlement_of(requests)?;
        Some(NodeBatch {
            node,
            number: batch.number,
            consumed: batch.consumed.clone(),
            corrections: batch.requests.iter().filter(|(_, rows)| !rows.is_empty()).cloned().collect(),
        })
    }

    fn written(&self, number: u64) {
        let mut guard = self.state();
        let state = &mut *guard;
        for id in state.quota.settled(number) {
            state.requests.remove(&id);
        }
    }

    fn not_written(&self, number: u64) {
        self.state().quota.not_settled(number);
    }
}
