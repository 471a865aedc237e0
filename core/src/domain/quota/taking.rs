//! What is asked of the database: grants, and the reservation of single requests; and what its answers mean.

use std::collections::BTreeSet;

use super::holder::{Closed, HolderState, Standing, Window};
use super::limit::{Demand, Holder, LimitNumbers, Need, window_start};
use super::messages::{GrantedTo, Loaded, ReservationId, Reserved, Take, TakeFor, Taken, Want};
use super::node::{Counted, Known, NodeQuota};
use super::sizing::{LastAsk, is_roomy, wanted};
use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::window::Period;

/// What follows from the database's answer about one request.
#[derive(Clone, Debug)]
pub enum Next {
    /// It is reserved.
    Admitted,
    /// Decide again, now.
    Again,
    /// Other nodes were asked to give back: decide again soon, for a bounded time, and then reject with this limit.
    Wait(LimitNumbers),
    /// Rejected, and until when nothing changes that, as far as that is known.
    Rejected(LimitNumbers, Option<Moment>),
}

/// A request that the database is asked to reserve.
#[derive(Clone, Debug)]
pub struct Reserving {
    /// The request, which is counted as under way.
    pub id: ReservationId,
    /// What it reserves.
    pub need: Need,
    /// Holders whose limits this node has judged, because they are wholly its own. The database judges the others.
    pub judged: Vec<Holder>,
    /// How often each of its holders had been recalled.
    generations: Vec<u64>,
}

impl NodeQuota {
    /// What to ask for, so that this request can be admitted from memory; `None` when that is no longer the question. One
    /// such call at a time, and none while `give_back` is on its way.
    pub fn take(&mut self, demand: &Demand<'_>) -> Option<Take> {
        let limited = || demand.holders.iter().filter(|of| !of.limits.is_empty());
        let stands = |of: &Holder, place| self.holders.get(of).is_some_and(|state| state.standing == place);
        if limited().any(|of| self.is_due_of(&of.holder) || stands(&of.holder, Standing::Database)) {
            return None;
        }
        let (need, starts, now) = (demand.need, demand.starts, demand.starts.at);
        let mut holders = Vec::new();
        for of in limited() {
            let state = self.holders.entry(of.holder.clone()).or_default();
            let is_lacking = match state.standing {
                Standing::Unknown => true,
                Standing::Shares => !state.lacks_nothing(of, &starts, &need),
                Standing::Whole | Standing::Database => false,
            };
            if !is_lacking {
                continue;
            }
            let mut wants = Vec::new();
            for limit in of.enforced() {
                let lacks = state.lacks(limit.what, &starts, &need);
                if lacks == 0 {
                    continue;
                }
                let whole_need = match limit.what {
                    Limited::Requests | Limited::Concurrent => 1,
                    Limited::Tokens => need.tokens,
                    Limited::Budget(_) | Limited::Balance => need.worst,
                };
                let start = window_start(limit.what, &starts);
                let grant = state.grant_or_new(limit.what, start);
                let size = wanted(whole_need.max(1), grant.last_ask, now).max(lacks);
                grant.last_ask = Some(LastAsk { size, at: now });
                wants.push(Want { what: limit.what, start, need: lacks, wanted: size });
            }
            state.last_starts = Some(starts);
            holders.push(TakeFor { holder: of.holder.clone(), generation: state.generation, wants });
        }
        self.is_taking = !holders.is_empty();
        self.is_taking.then_some(Take { holders })
    }

    /// The answer to `take`.
    pub fn taken(&mut self, asked: &Take, answer: Taken) {
        match answer {
            Taken::Scarce(holders) => holders.iter().for_each(|holder| self.recall(holder, true)),
            Taken::Granted(to) => {
                for (of, granted) in asked.holders.iter().zip(to) {
                    self.take_up(of, granted);
                }
            }
        }
        self.end_taking();
    }

    fn end_taking(&mut self) {
        self.is_taking = false;
        for (_, ids) in std::mem::take(&mut self.settled_meanwhile) {
            self.forget(&ids);
        }
    }

    /// There was no answer, so what is granted is unknown. It is given back.
    pub fn take_lost(&mut self, asked: &Take) {
        for of in &asked.holders {
            self.refuse_grants(of);
        }
        self.end_taking();
    }

    /// The database is told what this node really has.
    fn refuse_grants(&mut self, of: &TakeFor) {
        let state = self.holders.entry(of.holder.clone()).or_default();
        state.whole_is_written = true;
        for want in &of.wants {
            state.grant_or_new(want.what, want.start).is_due = true;
        }
        self.due.holders.insert(of.holder.clone());
    }

    fn take_up(&mut self, of: &TakeFor, granted: GrantedTo) {
        let state = self.holders.entry(of.holder.clone()).or_default();
        if state.generation != of.generation {
            // It was recalled meanwhile, so this was granted under what held before.
            return self.refuse_grants(of);
        }
        match granted {
            GrantedTo::Share(sizes) => {
                state.standing = Standing::Shares;
                for (want, size) in of.wants.iter().zip(sizes) {
                    state.grant_or_new(want.what, want.start).granted += size;
                }
            }
            // A window has turned since the numbers were read.
            GrantedTo::Whole(loaded)
                if state.last_starts.is_some_and(|last| last.day > loaded.starts.day) =>
            {
                self.refuse_grants(of);
            }
            GrantedTo::Whole(loaded) => self.take_whole(&of.holder, &loaded),
        }
    }

    /// From now on the holder's limits are judged here. What is under way, or ended and not in these numbers, is added.
    fn take_whole(&mut self, holder: &Holder, loaded: &Loaded) {
        let batch = self.batch.iter().map(|(batch, ids)| (batch.number, ids));
        let batches = self.settled_meanwhile.iter().map(|(number, ids)| (*number, ids)).chain(batch);
        let settled: BTreeSet<ReservationId> = batches
            .filter(|(number, _)| *number <= loaded.settled)
            .flat_map(|(_, ids)| ids)
            .copied()
            .collect();
        let Some(state) = self.holders.get_mut(holder) else { return };
        state.become_whole(loaded);
        for (id, entry) in &self.in_flight {
            let Some(part) = entry.parts().find(|part| part.holder == *holder) else { continue };
            match entry.ended {
                Some(_) if settled.contains(id) => {}
                Some((cost, tokens)) => {
                    for (period, start) in entry.windows() {
                        state.window_or_new(period, start).used += cost;
                    }
                    // Its second was counted with what was expected, and still is in the database.
                    let is_there = part.counted == Counted::ByDatabase || part.corrects;
                    if is_there && let Some(second) = state.second(entry.second()) {
                        second.tokens += tokens - entry.need.tokens;
                    }
                }
                None => {
                    state.under_way += 1;
                    for (period, start) in entry.windows() {
                        let window = state.window_or_new(period, start);
                        window.likely += entry.need.likely;
                        window.worst += entry.need.worst;
                    }
                }
            }
        }
    }

    /// Before the database is asked to reserve this request: it is counted as under way. `None` while the database does not
    /// know yet what is in use.
    pub fn begin_reserve(&mut self, demand: &Demand<'_>) -> Option<Reserving> {
        if demand.holders.iter().any(|of| self.is_due_of(&of.holder)) {
            return None;
        }
        let is_whole = |holder: &&Holder| {
            self.holders.get(*holder).is_some_and(|state| state.standing == Standing::Whole)
        };
        let judged = demand.holders.iter().map(|of| &of.holder).filter(is_whole).cloned().collect();
        let generations = demand.holders.iter().map(|of| self.generation(&of.holder)).collect();
        let need = self.fitting_need(demand);
        let id = self.admit(demand, need, Known::Reserved);
        Some(Reserving { id, need, judged, generations })
    }

    fn generation(&self, holder: &Holder) -> u64 {
        self.holders.get(holder).map_or(0, |state| state.generation)
    }

    /// The answer about a request that the database was to reserve.
    pub fn reserved(
        &mut self,
        asked: &Reserving,
        demand: &Demand<'_>,
        answer: Reserved,
        live_nodes: i64,
    ) -> Next {
        match answer {
            Reserved::Fits { room, alone } => {
                for of in demand.holders {
                    let Some(state) = self.holders.get_mut(&of.holder) else { continue };
                    let mut rooms = room.iter().filter(|(holder, ..)| *holder == of.holder);
                    let is_roomy = rooms.all(|(_, what, room)| {
                        let need = match what {
                            Limited::Requests | Limited::Concurrent => 1,
                            Limited::Tokens => demand.need.tokens,
                            Limited::Budget(_) | Limited::Balance => demand.need.worst,
                        };
                        is_roomy(*room, live_nodes, need)
                    });
                    if state.standing == Standing::Database && (alone || is_roomy) {
                        state.standing = Standing::Unknown;
                    }
                }
                Next::Admitted
            }
            Reserved::Stopped { by, recalled } => {
                if let Some(entry) = self.in_flight.get_mut(&asked.id) {
                    entry.known = Known::No;
                }
                self.undo(asked.id, 1);
                // What was recalled meanwhile stood in the way, and what this node has of others does as well.
                let now = demand.holders.iter().map(|of| self.generation(&of.holder));
                let mut again = by.is_empty() || !now.eq(asked.generations.iter().copied());
                for stopped in by.iter().filter(|_| !again).collect::<Vec<_>>() {
                    let Some(state) = self.holders.get_mut(&stopped.holder) else { continue };
                    if state.standing != Standing::Database {
                        self.recall(&stopped.holder, true);
                        again = true;
                    } else if let Some(until) = stopped.closed_until {
                        let closed = Closed { start: stopped.start, until, numbers: stopped.numbers };
                        state.closed.retain(|one| one.numbers.what != closed.numbers.what);
                        state.closed.push(closed);
                    }
                }
                match by.first() {
                    Some(_) if again => Next::Again,
                    None => Next::Again,
                    Some(first) if recalled => Next::Wait(first.numbers),
                    Some(first) => Next::Rejected(first.numbers, first.closed_until),
                }
            }
        }
    }

    /// There was no answer, so the request is not forwarded, and what may have been reserved is released.
    pub fn reserve_lost(&mut self, asked: &Reserving) {
        self.undo(asked.id, 1);
    }
}

impl HolderState {
    fn become_whole(&mut self, loaded: &Loaded) {
        self.standing = Standing::Whole;
        self.whole_is_written = true;
        self.generation += 1;
        self.closed.clear();
        for grant in &mut self.grants {
            (grant.granted, grant.in_use) = (grant.consumed, 0);
        }
        self.windows.clear();
        self.windows.extend(Period::LONGEST_FIRST.iter().zip(loaded.spent).map(|(&period, used)| {
            let start = window_start(Limited::Budget(period), &loaded.starts);
            Window { period, start, used, likely: 0, worst: 0 }
        }));
        self.under_way = 0;
        for second in &mut self.seconds {
            (second.requests, second.tokens) = (second.new_requests, second.new_tokens);
        }
        for (second, requests, tokens) in &loaded.seconds {
            let second = self.second_or_new(*second);
            second.requests += requests;
            second.tokens += tokens;
        }
    }
}
