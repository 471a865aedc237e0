//! Gates 7 and 8 from memory: what this process has of limits (`domain/quota` is the rule), the calls by which it gets and gives
//! back (`calls`), and its life as a node (`node`).
//!
//! While the process has a row as a node, every request of its own is decided here. Without a lease nothing is: a request waits a
//! moment and is then answered that the database is not available. It is not reserved in the database instead, as that does
//! not know what was admitted from memory. Only before the row is made, and once it is removed and everything was given back,
//! requests are reserved in the database alone.
//!
//! What else changes limits or counters of a holder, such as the reservation that another program makes over HTTP, comes after
//! everything of that holder was given back, and before anything is granted again (`outside`).

mod calls;
mod node;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(super) use calls::{holders_of, outside};
pub(super) use node::leave;
pub use node::sweep_quotas;

use super::AuthContext;
use super::key_cache::LimitsOfKey;
use crate::Desk;
use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::quota::{
    Ask, Decision, Demand, Holder, HolderLimits, LimitNumbers, Need, Next, NodeQuota, ReservationId,
    Reserving,
};
use crate::domain::window::WindowStarts;
use crate::store::meter::{self, LimitRow, NewReservation};
use crate::store::quotas::{self as stored, Reported};
use crate::store::{Lease, Seen, StoreError};

/// How long a reservation lasts without a renewal, in milliseconds.
pub const LEASE_MS: i64 = 120_000;
/// How long a request waits for what other nodes give back, and how often it asks.
const WAIT: Duration = Duration::from_millis(250);
const RETRY: Duration = Duration::from_millis(15);
/// How long a request waits for this node's lease.
const WAIT_FOR_LEASE: Duration = Duration::from_secs(1);
/// A request that is decided more often than this meets changes all the time, and gives up.
const MAX_TRIES: usize = 1_000;

/// What this process has of limits; one in a process.
#[derive(Default)]
pub struct Quotas {
    /// Never locked while something is waited for.
    state: Mutex<State>,
    /// One call at a time changes what this node has.
    calls: tokio::sync::Mutex<()>,
    /// While others change limits or counters at the database, nothing is granted: they read, and a grant writes.
    outside: tokio::sync::RwLock<()>,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Quotas")
    }
}

#[derive(Default)]
struct State {
    quota: NodeQuota,
    /// The node's row, while it has one.
    row: Option<NodeName>,
    /// Its id, also afterwards.
    node: String,
    /// The number of the last call.
    calls: i64,
    /// How many nodes live.
    live: i64,
    orgs: HashMap<String, OfOrg>,
    /// Who has which request under way, or not settled.
    requests: HashMap<ReservationId, Arc<meter::Reservation>>,
    /// What limits that only report would have rejected, by holder, limit and hour.
    reported: BTreeMap<(Holder, &'static str, i64), Reported>,
    /// Requests that no one will settle, each with when it counts no more, once that was set.
    abandoned: BTreeMap<ReservationId, Option<Moment>>,
    sweeps: u64,
}

/// A node's row, as its calls name it.
#[derive(Clone, PartialEq, Eq)]
struct NodeName {
    id: String,
    token: String,
}

/// Holders of one organisation.
struct OfOrg {
    /// Before any of their numbers was read.
    seen: Seen,
    holders: BTreeSet<Holder>,
}

/// A request that waits for its admission.
#[derive(Clone)]
struct Asking {
    request: Arc<str>,
    of: Arc<LimitsOfKey>,
    starts: WindowStarts,
    need: Need,
}

impl Asking {
    fn demand(&self) -> Demand<'_> {
        Demand {
            request: &self.request,
            holders: &self.of.limits.holders,
            starts: self.starts,
            need: self.need,
            one_may_pass: self.of.limits.one_may_pass,
        }
    }
}

/// A request that was admitted from memory. When the last of them is dropped and it was not settled, its task has broken down:
/// it counts as long as the reservation of a process that has.
#[derive(Debug)]
pub(super) struct Admitted {
    quotas: Arc<Quotas>,
    id: ReservationId,
}

impl Admitted {
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

/// What became of a request.
pub(super) struct Outcome {
    /// The enforced limits as it met them, or the one that stopped it.
    pub rows: Vec<LimitRow>,
    /// When it was decided.
    pub at: Moment,
    /// `None` when it was stopped.
    pub admitted: Option<(Arc<Admitted>, Arc<meter::Reservation>)>,
}

/// What follows from one decision.
enum Step {
    NoLease,
    Admitted(Outcome),
    Stopped(Outcome),
    Ask(Ask),
    /// The database decides; with what this node says of holders that are wholly its own.
    Reserve(Reserving, Vec<LimitNumbers>),
}

impl Quotas {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process's requests are decided here.
    pub(super) fn are_used(&self) -> bool {
        self.state().row.is_some()
    }

    /// Decides at once, as far as memory goes.
    fn step(self: &Arc<Self>, desk: &Desk, asking: &Asking, new: &NewReservation) -> Step {
        let mut state = self.state();
        let lease = desk.lease();
        if state.row.is_none() || !lease.is_valid() {
            return Step::NoLease;
        }
        state.drop_changed_of(asking.of.org.as_str(), &lease);
        let demand = asking.demand();
        match state.quota.try_admit(&demand) {
            Decision::Admitted(id, lines) => {
                let stored = Arc::new(at_moment(new, asking).reservation);
                state.requests.insert(id, stored.clone());
                state.report(&asking.of.limits.holders, &lines, asking.starts.at);
                let admitted = Arc::new(Admitted { quotas: self.clone(), id });
                Step::Admitted(Outcome {
                    rows: enforced(&lines),
                    at: asking.starts.at,
                    admitted: Some((admitted, stored)),
                })
            }
            Decision::Rejected(numbers, _) => Step::Stopped(stopped_by(&numbers, asking.starts.at)),
            Decision::Ask(Ask::Reserve) => {
                let lines = state.quota.report(&demand);
                match state.quota.begin_reserve(&demand) {
                    Some(asked) => {
                        let stored = Arc::new(at_moment(new, asking).reservation);
                        state.requests.insert(asked.id, stored);
                        let judged = |line: &LimitNumbers| {
                            asked.judged.iter().any(|holder| holder.kind == line.holder)
                        };
                        let lines = lines.into_iter().filter(judged).collect();
                        Step::Reserve(asked, lines)
                    }
                    None => Step::Ask(Ask::GiveBack),
                }
            }
            Decision::Ask(ask) => Step::Ask(ask),
        }
    }
}

impl State {
    /// The number of the next call, and the row that it names.
    fn next_call(&mut self) -> Option<(NodeName, i64)> {
        let row = self.row.clone()?;
        self.calls += 1;
        Some((row, self.calls))
    }

    /// What the organisation's holders have is given back, if a change concerns them that came after their numbers were read.
    fn drop_changed_of(&mut self, org: &str, lease: &Lease<'_>) {
        let Some(of) = self.orgs.get_mut(org).filter(|of| lease.has_changed(of.seen, org)) else { return };
        of.seen = lease.seen();
        for holder in std::mem::take(&mut of.holders) {
            self.quota.recall(&holder, false);
        }
    }

    /// Remembers whose these holders are, before their numbers are read.
    fn note(&mut self, org: &str, holders: impl Iterator<Item = Holder>, lease: &Lease<'_>) {
        if let Some(of) = self.orgs.get_mut(org) {
            of.holders.extend(holders);
        } else {
            let of = OfOrg { seen: lease.seen(), holders: holders.collect() };
            self.orgs.insert(org.to_owned(), of);
        }
    }

    /// Counts the request at each limit that only reports and would have rejected it.
    fn report(&mut self, of: &[HolderLimits], lines: &[LimitNumbers], at: Moment) {
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
    fn release(&mut self, id: ReservationId) {
        self.quota.release(id);
        if !self.quota.has(id) {
            self.requests.remove(&id);
        }
    }
}

/// The reservation at the moment of this attempt.
fn at_moment(new: &NewReservation, asking: &Asking) -> NewReservation {
    let mut new = new.clone();
    new.reservation.reserved_at = asking.starts.at;
    new.expires_at = asking.starts.at.plus_ms(LEASE_MS);
    new
}

fn enforced(lines: &[LimitNumbers]) -> Vec<LimitRow> {
    lines.iter().filter(|line| line.enforced).map(LimitRow::from).collect()
}

fn stopped_by(numbers: &LimitNumbers, at: Moment) -> Outcome {
    Outcome { rows: vec![LimitRow::from(numbers)], at, admitted: None }
}

/// Gates 7 and 8 for a request of this process.
///
/// # Errors
/// When there is no lease, or the database has to be asked and is not available.
pub(super) async fn admit(
    desk: &Desk,
    context: &AuthContext,
    new: &NewReservation,
) -> Result<Outcome, StoreError> {
    let request: Arc<str> = Arc::from(new.reservation.request.as_str());
    let mut need = Need {
        likely: new.amount.nanos(),
        worst: new.worst.nanos(),
        tokens: new.tokens,
        presumed_cost: new.presumed_amount.nanos(),
        presumed_tokens: new.presumed_tokens,
    };
    let (mut waits, mut waits_for_lease) = (Patience::new(WAIT), Patience::new(WAIT_FOR_LEASE));
    for _ in 0..MAX_TRIES {
        let of = limits_of(desk, context).await?;
        let starts = WindowStarts::at(desk.now(), context.zone());
        let asking = Asking { request: request.clone(), of, starts, need };
        let is_known = match desk.quotas.step(desk, &asking, new) {
            Step::Admitted(outcome) | Step::Stopped(outcome) => return Ok(outcome),
            Step::NoLease => false,
            Step::Ask(Ask::Take) => calls::take(desk, &asking).await?,
            Step::Ask(_) => calls::give_back(desk).await?,
            Step::Reserve(asked, lines) => {
                let id = asked.id;
                let (rows, next) = calls::reserve(desk, &asking, new, asked, &lines).await?;
                match next {
                    Next::Admitted => return Ok(at_database(desk, &asking, id, rows, &lines)),
                    Next::Again => true,
                    Next::Wait(numbers) => {
                        if !waits.wait().await {
                            return Ok(stopped_by(&numbers, starts.at));
                        }
                        true
                    }
                    Next::Rejected(numbers, _) => match presuming_less(&need, &rows) {
                        Some(less) => {
                            need = less;
                            true
                        }
                        None => return Ok(stopped_by(&numbers, starts.at)),
                    },
                }
            }
        };
        if !is_known && !waits_for_lease.wait().await {
            return Err(StoreError::Lost);
        }
    }
    Err(StoreError::Lost)
}

/// The database has reserved it: the limits that it judged, and those that this node did.
fn at_database(
    desk: &Desk,
    asking: &Asking,
    id: ReservationId,
    mut rows: Vec<LimitRow>,
    lines: &[LimitNumbers],
) -> Outcome {
    let mut state = desk.quotas.state();
    state.report(&asking.of.limits.holders, lines, asking.starts.at);
    let stored = state.requests.get(&id).cloned();
    drop(state);
    rows.extend(enforced(lines));
    rows.sort_by_key(|row| LimitNumbers::from(row).rank());
    let admitted = stored.map(|stored| (Arc::new(Admitted { quotas: desk.quotas.clone(), id }), stored));
    Outcome { rows, at: asking.starts.at, admitted }
}

fn presuming_less(need: &Need, rows: &[LimitRow]) -> Option<Need> {
    let money = rows.iter().filter(|row| row.what.is_money()).map(|row| row.max.saturating_sub(row.used));
    let tokens = rows.iter().filter(|row| row.what == Limited::Tokens);
    need.presuming_less(money.min().unwrap_or(i64::MAX), tokens.map(|row| row.max).min().unwrap_or(i64::MAX))
}

/// The limits of the key, kept with it.
async fn limits_of(desk: &Desk, context: &AuthContext) -> Result<Arc<LimitsOfKey>, StoreError> {
    let (lease, kept, now) = (desk.lease(), &desk.key_cache.limits, desk.now());
    let (org, key, team) = (context.org(), context.key(), context.team());
    let found = kept.get(&lease, key.as_str(), Some(now)).filter(|found| found.team.as_ref() == team);
    if let Some(found) = found {
        return Ok(found);
    }
    let seen = lease.seen();
    let limits = stored::limits_of(&mut desk.db.read().await?, org, key, team, now).await?;
    let until = limits.until;
    let of = LimitsOfKey { org: org.clone(), team: team.cloned(), limits };
    Ok(kept.put_for(&lease, key.as_str().to_owned(), of, seen, None, until))
}

/// A bounded wait, in steps.
struct Patience {
    longest: Duration,
    until: Option<Instant>,
}

impl Patience {
    fn new(longest: Duration) -> Self {
        Self { longest, until: None }
    }

    /// `false` when the time is over.
    async fn wait(&mut self) -> bool {
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + self.longest);
        if now >= until {
            return false;
        }
        sleep(RETRY).await;
        true
    }
}
