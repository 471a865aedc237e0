//! Admission from memory, and how an admitted request ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::holder::{Grant, HolderState, Standing};
use super::limit::{Demand, Holder, HolderLimits, LimitNumbers, Need, window_start};
use super::messages::{Ask, Decision, ReservationId, SettlementBatch, StartRow};
use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::window::{Period, WindowStarts};

/// How the database knows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Not at all, but by the grants of its holders.
    No,
    /// It has to be told of it.
    Due,
    /// It has, or may have, a reservation.
    Reserved,
}

/// Where the second is that counted a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    No,
    /// Here, when starts had been handed over so many times.
    Here(u64),
    /// In the database, whose settlement corrects it.
    ByDatabase,
}

/// One holder of a request.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub holder: Holder,
    /// The generation of the grants that cover it.
    pub covered: Option<u64>,
    /// Which grants these are, a bit for each.
    pub grants: u8,
    /// Whether its cost is in what they consumed.
    pub charged: bool,
    /// Whether its settlement corrects a second that was handed over before it ended.
    pub corrects: bool,
    pub counted: Counted,
}

/// A request from its admission until its settlement is written.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub request: Arc<str>,
    pub parts: [Option<Part>; 3],
    pub starts: WindowStarts,
    pub need: Need,
    pub known: Known,
    /// Its cost and tokens, once it ended.
    pub ended: Option<(i64, i64)>,
}

impl InFlight {
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().flatten()
    }

    pub fn second(&self) -> i64 {
        self.starts.at.ms().div_euclid(1_000)
    }

    /// The windows that it counts in.
    pub fn windows(&self) -> [(Period, Moment); 4] {
        Period::LONGEST_FIRST.map(|period| (period, window_start(Limited::Budget(period), &self.starts)))
    }
}

/// All that one node has of quotas, and all that it has under way.
#[derive(Debug, Default)]
pub struct NodeQuota {
    pub(super) holders: BTreeMap<Holder, HolderState>,
    pub(super) in_flight: BTreeMap<ReservationId, InFlight>,
    pub(super) last_id: ReservationId,
    /// Ended requests that no settlement has yet.
    pub(super) ended: BTreeSet<ReservationId>,
    pub(super) batch: Option<(SettlementBatch, Vec<ReservationId>)>,
    pub(super) batches: u64,
    pub(super) is_taking: bool,
    /// Batches that were written while a `Take` was on its way.
    pub(super) settled_meanwhile: Vec<(u64, Vec<ReservationId>)>,
    pub(super) due: Due,
    /// Holders of a `GiveBack` that is on its way.
    pub(super) giving_back: BTreeSet<Holder>,
}

/// What the database has to hear before it is asked about these holders.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub holders: BTreeSet<Holder>,
    pub reservations: BTreeSet<ReservationId>,
    pub released: Vec<Arc<str>>,
    pub starts: Vec<StartRow>,
}

enum Verdict {
    Fits,
    Stopped(LimitNumbers, Option<Moment>),
    Ask(Ask),
}

impl NodeQuota {
    /// Gates 7 and 8, from memory.
    pub fn try_admit(&mut self, demand: &Demand<'_>) -> Decision {
        for of in demand.holders {
            let state = self.holders.get(&of.holder).filter(|state| state.standing == Standing::Whole);
            if state.is_some_and(|state| state.is_ahead_of(&demand.starts)) {
                self.recall(&of.holder, false);
            }
        }
        let (need, verdict) = self.judge_presuming(demand);
        match verdict {
            Verdict::Fits => {
                let lines = self.report(&Demand { need, ..*demand });
                Decision::Admitted(self.admit(demand, need, Known::No), lines)
            }
            Verdict::Stopped(numbers, until) => Decision::Rejected(numbers, until),
            Verdict::Ask(ask) => Decision::Ask(ask),
        }
    }

    /// The verdict, and the need that it is about: with less presumed where that alone stops the request.
    fn judge_presuming(&self, demand: &Demand<'_>) -> (Need, Verdict) {
        let verdict = self.judge(demand, &demand.need);
        match verdict {
            Verdict::Stopped(..) => match self.presuming_less(demand) {
                Some(less) => (less, self.judge(demand, &less)),
                None => (demand.need, verdict),
            },
            _ => (demand.need, verdict),
        }
    }

    /// What is reserved of a request that the database judges with this node.
    pub(super) fn fitting_need(&self, demand: &Demand<'_>) -> Need {
        self.judge_presuming(demand).0
    }

    /// Whether the database has yet to hear what is in use of a holder.
    pub(super) fn is_due_of(&self, holder: &Holder) -> bool {
        self.due.holders.contains(holder) || self.giving_back.contains(holder)
    }

    fn judge(&self, demand: &Demand<'_>, need: &Need) -> Verdict {
        let mut stopped: Option<(LimitNumbers, Option<Moment>)> = None;
        let mut stop = |numbers: LimitNumbers, until| {
            if stopped.is_none_or(|(first, _)| numbers.rank() < first.rank()) {
                stopped = Some((numbers, until));
            }
        };
        let (mut take, mut reserve, mut is_due) = (false, false, false);
        for of in demand.holders {
            is_due |= self.is_due_of(&of.holder);
            if of.limits.is_empty() {
                continue;
            }
            let Some(state) = self.holders.get(&of.holder) else {
                take = true;
                continue;
            };
            match state.standing {
                Standing::Unknown => take = true,
                Standing::Shares => take |= !state.lacks_nothing(of, &demand.starts, need),
                Standing::Whole => {
                    for numbers in self.whole(of, state, demand, need).filter(|one| one.enforced && !one.fits)
                    {
                        stop(numbers, numbers.frees_at);
                    }
                }
                Standing::Database => {
                    reserve = true;
                    if let Some((numbers, until)) = state.closed_to(&demand.starts, need) {
                        stop(numbers, Some(until));
                    }
                }
            }
        }
        match stopped {
            Some((numbers, until)) => Verdict::Stopped(numbers, until),
            None if !take && !reserve => Verdict::Fits,
            None if is_due => Verdict::Ask(Ask::GiveBack),
            None if reserve => Verdict::Ask(Ask::Reserve),
            None => Verdict::Ask(Ask::Take),
        }
    }

    /// The limits of a holder that is wholly this node's, as a request meets them.
    pub(super) fn whole<'a>(
        &'a self,
        of: &'a HolderLimits,
        state: &'a HolderState,
        demand: &'a Demand<'_>,
        need: &'a Need,
    ) -> impl Iterator<Item = LimitNumbers> + 'a {
        of.limits.iter().map(move |limit| {
            let largest = || self.largest(&of.holder, limit.what, &demand.starts);
            let used = state.used(limit, &demand.starts, largest, need);
            LimitNumbers::judge(of.holder.kind, limit, &used, need, demand.one_may_pass)
        })
    }

    /// The largest worst cost of a holder's requests under way.
    fn largest(&self, holder: &Holder, what: Limited, starts: &WindowStarts) -> i64 {
        let start = window_start(what, starts);
        let under_way = self.in_flight.values().filter(|one| one.ended.is_none());
        let in_window = under_way.filter(|one| window_start(what, &one.starts) == start);
        let of_holder = in_window.filter(|one| one.parts().any(|part| part.holder == *holder));
        of_holder.map(|one| one.need.worst).max().unwrap_or(0)
    }

    /// The same with less presumed, where that alone does not fit.
    fn presuming_less(&self, demand: &Demand<'_>) -> Option<Need> {
        let (mut money, mut tokens) = (i64::MAX, i64::MAX);
        for of in demand.holders {
            for limit in of.enforced().filter(|limit| limit.what == Limited::Tokens) {
                tokens = tokens.min(limit.max);
            }
            let Some(state) = self.holders.get(&of.holder) else { continue };
            if state.standing == Standing::Whole {
                for limit in of.enforced().filter(|limit| limit.what.is_money()) {
                    let used = state.used(limit, &demand.starts, || 0, &demand.need).used;
                    money = money.min(limit.max.saturating_sub(used));
                }
            }
        }
        demand.need.presuming_less(money, tokens)
    }

    /// Counts the request as under way.
    pub(super) fn admit(&mut self, demand: &Demand<'_>, need: Need, known: Known) -> ReservationId {
        self.last_id += 1;
        let mut entry = InFlight {
            request: Arc::clone(demand.request),
            parts: [None, None, None],
            starts: demand.starts,
            need,
            known,
            ended: None,
        };
        let windows = entry.windows();
        for (place, of) in entry.parts.iter_mut().zip(demand.holders) {
            let holder = of.holder.clone();
            let part = place.insert(Part {
                holder,
                covered: None,
                grants: 0,
                charged: false,
                corrects: false,
                counted: Counted::No,
            });
            let Some(state) = self.holders.get_mut(&of.holder) else { continue };
            state.last_starts = Some(demand.starts);
            let is_here = known == Known::No || state.standing == Standing::Whole;
            if of.counts_seconds() {
                part.counted = Counted::ByDatabase;
                if is_here {
                    state.count(demand.starts.at, need.tokens);
                    part.counted = Counted::Here(state.handed_over);
                }
            }
            if state.standing == Standing::Whole {
                state.under_way += 1;
                for (period, start) in windows {
                    let window = state.window_or_new(period, start);
                    window.likely += need.likely;
                    window.worst += need.worst;
                }
            } else if is_here {
                part.covered = Some(state.generation);
                for limit in of.enforced().filter(|one| bit(one.what) != 0) {
                    let start = window_start(limit.what, &demand.starts);
                    state.grant_or_new(limit.what, start).in_use += size_on(limit.what, &need);
                    part.grants |= bit(limit.what);
                }
            }
        }
        self.in_flight.insert(self.last_id, entry);
        self.last_id
    }

    /// The request has ended. `true` when its answer has to wait for its settlement, so that requests which the database
    /// reserves one by one find what this one has freed.
    pub fn end(&mut self, id: ReservationId, cost: i64, tokens: i64) -> bool {
        let Some(entry) = self.in_flight.get_mut(&id).filter(|one| one.ended.is_none()) else { return false };
        entry.ended = Some((cost, tokens));
        let mut waits = entry.known != Known::No;
        for part in entry.parts.iter_mut().flatten() {
            let Some(state) = self.holders.get_mut(&part.holder) else { continue };
            waits |= state.standing == Standing::Database;
            part.charged = part.covered == Some(state.generation);
            part.corrects = part.counted.is_handed_over(state);
            state.leave(&entry.starts, &entry.need, part, cost, (0, tokens - entry.need.tokens));
        }
        self.ended.insert(id);
        waits
    }

    /// The request was never forwarded. Its start counts, as it does in the database.
    pub fn release(&mut self, id: ReservationId) {
        self.undo(id, 0);
    }

    /// The request was not even admitted.
    pub(super) fn undo(&mut self, id: ReservationId, starts: i64) {
        let Some(entry) = self.in_flight.remove(&id) else { return };
        if entry.ended.is_some() {
            self.in_flight.insert(id, entry);
            return;
        }
        for part in entry.parts() {
            let Some(state) = self.holders.get_mut(&part.holder) else { continue };
            // What the database was to count was never counted here.
            let is_here = starts == 0 || part.counted != Counted::ByDatabase;
            let start = if is_here { (-starts, -entry.need.tokens) } else { (0, 0) };
            state.leave(&entry.starts, &entry.need, part, 0, start);
            if part.counted.is_handed_over(state) && (starts != 0 || entry.need.tokens != 0) {
                self.due.starts.push(StartRow {
                    holder: part.holder.clone(),
                    second: entry.second(),
                    requests: -starts,
                    tokens: -entry.need.tokens,
                });
            }
        }
        self.due.reservations.remove(&id);
        if entry.known != Known::No {
            self.due.released.push(entry.request);
        }
    }
}

impl HolderState {
    /// A request is no longer under way: it leaves the windows, its second is corrected, and its grants are consumed.
    fn leave(&mut self, starts: &WindowStarts, need: &Need, part: &Part, cost: i64, start: (i64, i64)) {
        if self.standing == Standing::Whole {
            self.under_way -= 1;
            for window in self.windows.iter_mut() {
                if window.start == window_start(Limited::Budget(window.period), starts) {
                    window.used += cost;
                    window.likely -= need.likely;
                    window.worst -= need.worst;
                }
            }
        }
        let is_new = part.counted == Counted::Here(self.handed_over);
        if part.counted != Counted::No
            && let Some(second) = self.second(starts.at.ms().div_euclid(1_000))
        {
            second.requests += start.0;
            second.tokens += start.1;
            if is_new {
                second.new_requests += start.0;
                second.new_tokens += start.1;
            }
        }
        if part.covered == Some(self.generation) {
            for grant in self.covering(part.grants, starts) {
                grant.in_use -= size_on(grant.what, need);
                if grant.what.is_money() {
                    grant.consumed += cost.min(grant.free().max(0));
                }
            }
        }
    }

    /// The grants that these bits name, of the windows of a request.
    pub(super) fn covering(&mut self, bits: u8, starts: &WindowStarts) -> impl Iterator<Item = &mut Grant> {
        let starts = *starts;
        self.grants
            .iter_mut()
            .filter(move |one| bits & bit(one.what) != 0 && one.start == window_start(one.what, &starts))
    }
}

/// How much a request takes of a grant while it is under way.
pub(super) fn size_on(what: Limited, need: &Need) -> i64 {
    if what == Limited::Concurrent { 1 } else { need.worst }
}

const fn bit(what: Limited) -> u8 {
    match what {
        Limited::Budget(period) => 1 << period.rank(),
        Limited::Balance => 1 << 4,
        Limited::Concurrent => 1 << 5,
        // These are counted by the second.
        Limited::Requests | Limited::Tokens => 0,
    }
}
