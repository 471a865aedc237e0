//! What readers of the database should know of this node meanwhile: pages, the command line, a key's own view. The node gives
//! nothing up by it. When the node is killed, this is what its successor finds.

use super::holder::{HolderState, Standing};
use super::limit::Holder;
use super::messages::{ReservationId, StartRow};
use super::node::{Known, NodeQuota};
use crate::domain::moment::Moment;

impl NodeQuota {
    /// Starts that were counted since the last time, and requests under way that started before `before`, are due to be
    /// written with the next `give_back`. Not where a grant counts them already.
    pub fn publish(&mut self, before: Moment) {
        for (holder, state) in &mut self.holders {
            if state.has_new_starts && state.standing == Standing::Whole {
                self.due.starts.extend(state.start_rows(holder));
            }
        }
        for (id, entry) in &mut self.in_flight {
            let is_covered = entry.parts().any(|part| part.covered.is_some() && part.grants != 0);
            let is_new = entry.known == Known::No && entry.ended.is_none();
            if is_new && !is_covered && entry.starts.at <= before {
                entry.known = Known::Due;
                self.due.reservations.insert(*id);
            }
        }
    }

    /// How this node knows a request that is under way.
    pub fn id_of(&self, request: &str) -> Option<ReservationId> {
        let mut entries = self.in_flight.iter().filter(|(_, entry)| entry.ended.is_none());
        entries.find(|(_, entry)| &*entry.request == request).map(|(id, _)| *id)
    }

    /// Whether the request is under way or not settled.
    pub fn has(&self, id: ReservationId) -> bool {
        self.in_flight.contains_key(&id)
    }
}

impl HolderState {
    /// Starts that the database does not know, handed to it.
    pub(super) fn start_rows<'a>(&'a mut self, holder: &'a Holder) -> impl Iterator<Item = StartRow> + 'a {
        let starts = self.hand_over();
        starts.map(|(second, requests, tokens)| StartRow { holder: holder.clone(), second, requests, tokens })
    }
}
