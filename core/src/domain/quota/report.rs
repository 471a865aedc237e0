//! What is said of limits: to clients in headers, to people on pages, and at limits that only report.

use super::holder::Standing;
use super::limit::{Demand, Holder, LimitNumbers};
use super::node::NodeQuota;

impl NodeQuota {
    /// The database's numbers about a holder's limits over all nodes, at most a second old.
    pub fn heard(&mut self, holder: &Holder, numbers: Vec<LimitNumbers>) {
        if let Some(state) = self.holders.get_mut(holder) {
            state.heard = numbers;
        }
    }

    /// Every limit that applies, as a request meets it: judged here where all of a holder is this node's, else as the
    /// database last said.
    pub fn report(&self, demand: &Demand<'_>) -> Vec<LimitNumbers> {
        let mut lines: Vec<LimitNumbers> = Vec::new();
        for of in demand.holders {
            let Some(state) = self.holders.get(&of.holder) else { continue };
            if state.standing == Standing::Whole {
                lines.extend(self.whole(of, state, demand, &demand.need));
            } else {
                lines.extend(state.heard.iter().map(|line| line.asked(&demand.need, demand.one_may_pass)));
            }
        }
        lines.sort_by_key(LimitNumbers::rank);
        lines
    }
}
