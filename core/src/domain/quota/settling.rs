//! Settlements in batches: all that ended since the last one, with what it consumed of grants, in one transaction.

use super::messages::{GrantRow, ReservationId, SettlementBatch, StartRow};
use super::node::NodeQuota;

impl NodeQuota {
    /// The next batch, or the one that is not known to be written; `None` when nothing ended. The same transaction writes
    /// what requests cost, raises the totals of grants and deletes reservations, each request once.
    pub fn settlement(&mut self) -> Option<&SettlementBatch> {
        let all: Vec<ReservationId> = self.ended.iter().copied().collect();
        self.settlement_of(&all)
    }

    /// The same with these alone, of those that ended. What is not known to be written comes first all the same.
    pub fn settlement_of(&mut self, ids: &[ReservationId]) -> Option<&SettlementBatch> {
        if self.batch.is_none() {
            let ids: Vec<ReservationId> = ids.iter().copied().filter(|id| self.ended.remove(id)).collect();
            if !ids.is_empty() {
                self.batches += 1;
                self.batch = Some((self.batch_of(&ids), ids));
            }
        }
        self.batch.as_ref().map(|(batch, _)| batch)
    }

    /// The batch is known not to be written: its requests are without a settlement again.
    pub fn not_settled(&mut self, number: u64) {
        if let Some((_, ids)) = self.batch.take_if(|(batch, _)| batch.number == number) {
            self.ended.extend(ids);
        }
    }

    /// Whether something is not known to be written.
    pub fn is_settling(&self) -> bool {
        self.batch.is_some()
    }

    fn batch_of(&self, ids: &[ReservationId]) -> SettlementBatch {
        let (mut requests, mut consumed) = (Vec::with_capacity(ids.len()), Vec::<GrantRow>::new());
        for entry in ids.iter().filter_map(|id| self.in_flight.get(id)) {
            let mut corrections = Vec::new();
            for part in entry.parts() {
                let Some(state) = self.holders.get(&part.holder) else { continue };
                let tokens = entry.ended.map_or(0, |(_, tokens)| tokens) - entry.need.tokens;
                if tokens != 0 && part.corrects {
                    let holder = part.holder.clone();
                    corrections.push(StartRow { holder, second: entry.second(), requests: 0, tokens });
                }
                for grant in state.grants.iter().filter(|one| part.charged && one.consumed > one.written) {
                    let (what, start) = (grant.what, grant.start);
                    let is_same =
                        |row: &GrantRow| row.holder == part.holder && row.what == what && row.start == start;
                    if !consumed.iter().any(is_same) {
                        let (holder, granted) = (part.holder.clone(), grant.granted);
                        consumed.push(GrantRow { holder, what, start, granted, consumed: grant.consumed });
                    }
                }
            }
            requests.push((entry.request.clone(), corrections));
        }
        SettlementBatch { number: self.batches, requests, consumed }
    }

    /// The batch is written. Answers its requests.
    pub fn settled(&mut self, number: u64) -> Vec<ReservationId> {
        let Some((batch, ids)) = self.batch.take_if(|(batch, _)| batch.number == number) else {
            return Vec::new();
        };
        for row in &batch.consumed {
            if let Some(state) = self.holders.get_mut(&row.holder) {
                let grant = state.grant_or_new(row.what, row.start);
                grant.written = grant.written.max(row.consumed);
            }
        }
        if self.is_taking {
            // The numbers that are being read may not have it in them.
            self.settled_meanwhile.push((number, ids.clone()));
        } else {
            self.forget(&ids);
        }
        ids
    }

    /// The database has its own rows of these.
    pub(super) fn forget(&mut self, ids: &[ReservationId]) {
        for id in ids {
            self.in_flight.remove(id);
            self.due.reservations.remove(id);
        }
    }
}
