//! Gates 7 and 8 from memory: what this process has of limits (`domain/quota` is the rule), the calls by which it gets and gives
//! back (`calls`), what is remembered between them (`state`), and its life as a node (`node`).
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
mod state;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(super) use calls::{holders_of, outside};
pub(super) use node::leave;
pub use node::sweep_quotas;
pub(super) use state::Admitted;
pub use state::{LEASE_MS, Quotas};

use super::AuthContext;
use super::key_cache::LimitsOfKey;
use crate::Desk;
use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::quota::{Ask, Decision, Demand, LimitNumbers, Need, Next, ReservationId, Reserving};
use crate::domain::window::WindowStarts;
use crate::store::StoreError;
use crate::store::meter::{self, LimitRow, NewReservation};
use crate::store::quotas as stored;

/// How long a request waits for what other nodes give back, and how often it asks.
const WAIT: Duration = Duration::from_millis(250);
const RETRY: Duration = Duration::from_millis(15);
/// How long a request waits for this node's lease.
const WAIT_FOR_LEASE: Duration = Duration::from_secs(1);
/// A request that is decided more often than this meets changes all the time, and gives up.
const MAX_TRIES: usize = 1_000;

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

/// Decides at once, as far as memory goes.
fn step(desk: &Desk, asking: &Asking, new: &NewReservation) -> Step {
    let mut state = desk.quotas.state();
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
            let admitted = Admitted::new(&desk.quotas, id);
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
                    let judged =
                        |line: &LimitNumbers| asked.judged.iter().any(|holder| holder.kind == line.holder);
                    let lines = lines.into_iter().filter(judged).collect();
                    Step::Reserve(asked, lines)
                }
                None => Step::Ask(Ask::GiveBack),
            }
        }
        Decision::Ask(ask) => Step::Ask(ask),
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
        if !desk.lease().is_valid() {
            match waits_for_lease.wait().await {
                true => continue,
                false => break,
            }
        }
        let of = limits_of(desk, context).await?;
        let starts = WindowStarts::at(desk.now(), context.zone());
        let asking = Asking { request: request.clone(), of, starts, need };
        let is_known = match step(desk, &asking, new) {
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
            break;
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
    let admitted = stored.map(|stored| (Admitted::new(&desk.quotas, id), stored));
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
