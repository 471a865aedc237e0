//! Recalls: when a limit changes, when another node needs what this one has, and when grants stay unused. Requests under way
//! become reservations of the database and starts its counted seconds, so that it judges others by the limits themselves.

use std::collections::BTreeSet;

use super::holder::{HolderState, Standing};
use super::limit::{Holder, window_start};
use super::messages::{GiveBack, GrantRow, ReservationRow};
use super::node::{Counted, Known, NodeQuota, size_on};
use crate::domain::moment::Moment;

impl NodeQuota {
    /// From now on nothing more is admitted from what this node has of the holder. The database hears of it by `give_back`.
    /// `to_database`: it then reserves the holder's requests one by one, because there is too little left for grants.
    pub fn recall(&mut self, holder: &Holder, to_database: bool) {
        self.due.holders.insert(holder.clone());
        if let Some(state) = self.holders.get_mut(holder) {
            state.generation += 1;
            state.standing = if to_database { Standing::Database } else { Standing::Unknown };
            state.closed.clear();
            state.heard.clear();
            self.due.starts.extend(state.start_rows(holder));
        }
        for (id, entry) in &mut self.in_flight {
            let Some(part) = entry.parts().find(|part| part.holder == *holder) else { continue };
            // What consumed a grant stays granted until its settlement is written.
            if entry.known != Known::No || (entry.ended.is_some() && part.charged) {
                continue;
            }
            entry.known = Known::Due;
            self.due.reservations.insert(*id);
            for part in entry.parts.iter_mut().flatten().filter(|_| entry.ended.is_none()) {
                let covered = part.covered.take();
                let Some(state) = self.holders.get_mut(&part.holder) else { continue };
                if covered == Some(state.generation) {
                    // It counts as a reservation for its other holders too, and no longer on their grants.
                    for grant in state.covering(part.grants, &entry.starts) {
                        let size = size_on(grant.what, &entry.need);
                        grant.in_use -= size;
                        grant.granted -= size;
                        grant.is_due = true;
                    }
                    self.due.holders.insert(part.holder.clone());
                }
            }
        }
        if let Some(state) = self.holders.get_mut(holder) {
            for grant in &mut state.grants {
                (grant.granted, grant.in_use, grant.is_due) = (grant.consumed, 0, true);
            }
        }
    }

    /// Whether the database has to be told something.
    pub fn is_due(&self) -> bool {
        let due = &self.due;
        let has_rows = !(due.released.is_empty() && due.starts.is_empty() && due.reservations.is_empty());
        has_rows || !due.holders.is_empty()
    }

    /// All that the database has to be told; in one transaction, and one such call at a time. `None` when that is nothing.
    pub fn give_back(&mut self) -> Option<GiveBack> {
        if !self.is_due() {
            return None;
        }
        let due = std::mem::take(&mut self.due);
        self.giving_back = due.holders.clone();
        let mut message = GiveBack { released: due.released, starts: due.starts, ..GiveBack::default() };
        for id in due.reservations {
            let Some(entry) = self.in_flight.get(&id) else { continue };
            let cost = entry.ended.map(|(cost, _)| cost);
            message.reservations.push(ReservationRow {
                request: entry.request.clone(),
                holders: entry.parts().map(|part| part.holder.clone()).collect(),
                starts: entry.starts,
                likely: cost.unwrap_or(entry.need.likely),
                worst: cost.unwrap_or(entry.need.worst),
                tokens: entry.need.tokens,
                id,
            });
        }
        for holder in due.holders {
            let Some(state) = self.holders.get_mut(&holder) else { continue };
            if state.standing == Standing::Whole {
                continue;
            }
            for grant in state.grants.iter_mut().filter(|grant| grant.is_due) {
                grant.is_due = false;
                let (what, start, granted, consumed) =
                    (grant.what, grant.start, grant.granted, grant.written);
                message.grants.push(GrantRow { holder: holder.clone(), what, start, granted, consumed });
            }
            if state.whole_is_written {
                message.no_longer_whole.push(holder);
            }
        }
        Some(message)
    }

    /// The database has it.
    pub fn given_back(&mut self, message: &GiveBack) {
        self.giving_back.clear();
        for row in &message.reservations {
            if let Some(entry) = self.in_flight.get_mut(&row.id).filter(|entry| entry.known == Known::Due) {
                entry.known = Known::Reserved;
            }
        }
        for holder in &message.no_longer_whole {
            if let Some(state) = self.holders.get_mut(holder).filter(|one| one.standing != Standing::Whole) {
                state.whole_is_written = false;
            }
        }
    }

    /// There was no answer: all of it is due again. Starts may count twice then, for a minute.
    pub fn give_back_lost(&mut self, message: GiveBack) {
        self.giving_back.clear();
        for row in message.reservations {
            if self.in_flight.contains_key(&row.id) {
                self.due.reservations.insert(row.id);
            }
            self.due.holders.extend(row.holders);
        }
        for row in message.grants {
            if let Some(state) = self.holders.get_mut(&row.holder) {
                state.grant_or_new(row.what, row.start).is_due = true;
            }
            self.due.holders.insert(row.holder);
        }
        self.due.holders.extend(message.no_longer_whole);
        self.due.released.extend(message.released);
        self.due.starts.extend(message.starts);
    }

    /// The database has forgotten this node: nothing is granted, and what is in use is told anew.
    pub fn begin_anew(&mut self) {
        for entry in self.in_flight.values_mut() {
            entry.known = Known::No;
        }
        let of_requests = self.in_flight.values().flat_map(|entry| entry.parts());
        let holders: BTreeSet<Holder> =
            of_requests.map(|part| part.holder.clone()).chain(self.holders.keys().cloned()).collect();
        for holder in holders {
            self.recall(&holder, false);
        }
    }

    /// Whether the database does not know all that is in use of the holder: this node has something of it, or has yet to tell.
    pub fn is_untold(&self, holder: &Holder) -> bool {
        let is_here = |state: &HolderState| matches!(state.standing, Standing::Whole | Standing::Shares);
        match self.holders.get(holder) {
            Some(state) => is_here(state) || self.is_due_of(holder),
            // It had no limit so far.
            None => {
                let mut new = self.in_flight.values().filter(|entry| entry.known == Known::No);
                self.is_due_of(holder) || new.any(|entry| entry.parts().any(|part| part.holder == *holder))
            }
        }
    }

    /// Whether the database reserves the holder's requests one by one.
    pub fn is_at_database(&self, holder: &Holder) -> bool {
        self.holders.get(holder).is_some_and(|state| state.standing == Standing::Database)
    }

    /// Whether anything is known of the holder.
    pub fn knows(&self, holder: &Holder) -> bool {
        self.holders.contains_key(holder)
    }

    /// Gives back everything, for a clean stop.
    pub fn give_back_all(&mut self) {
        for holder in self.holders.keys().cloned().collect::<Vec<_>>() {
            self.recall(&holder, false);
        }
    }

    /// Gives back what was not used for so long, and what is left of windows that are over; forgets what has nothing.
    pub fn sweep(&mut self, now: Moment, idle_ms: i64) {
        let mut idle = Vec::new();
        let mut empty = Vec::new();
        for (holder, state) in &mut self.holders {
            let is_idle = state.last_starts.is_none_or(|last| now.ms() - last.at.ms() > idle_ms);
            if is_idle && state.standing != Standing::Unknown {
                idle.push(holder.clone());
            } else if state.end_past_windows() {
                self.due.holders.insert(holder.clone());
            } else if is_idle && state.has_nothing() && !self.due.holders.contains(holder) {
                empty.push(holder.clone());
            }
        }
        idle.iter().for_each(|holder| self.recall(holder, false));
        if empty.is_empty() {
            return;
        }
        let in_use: BTreeSet<&Holder> =
            self.in_flight.values().flat_map(|entry| entry.parts()).map(|part| &part.holder).collect();
        empty.retain(|holder| !in_use.contains(holder));
        for holder in empty {
            self.holders.remove(&holder);
        }
    }
}

impl HolderState {
    /// Frees what is left of windows before the last one in which a request came; `true` when the database has to hear it.
    fn end_past_windows(&mut self) -> bool {
        let Some(starts) = self.last_starts else { return false };
        let mut is_due = false;
        for grant in self.grants.iter_mut().filter(|one| one.start < window_start(one.what, &starts)) {
            if grant.free() > 0 {
                grant.granted = grant.consumed + grant.in_use;
                grant.is_due = true;
            }
            is_due |= grant.is_due;
        }
        self.grants.retain(|one| {
            one.is_due || one.granted != one.written || one.start >= window_start(one.what, &starts)
        });
        is_due
    }

    fn has_nothing(&self) -> bool {
        !self.whole_is_written && self.grants.iter().all(|one| !one.is_due && one.granted == one.written)
    }
}

impl Counted {
    /// Whether the database has the start, although it was counted here.
    pub(super) fn is_handed_over(self, state: &HolderState) -> bool {
        matches!(self, Counted::Here(times) if times != state.handed_over)
    }
}
