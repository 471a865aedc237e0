//! What SQL will do: one struct, one method a transaction. Times are milliseconds of the simulation; a quota's second is a
//! sixth of one (`SCALE`), so that a run has many minutes of rates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keydesk_core::admission::quota::{
    GiveBack, GrantRow, GrantedTo, Holder, Limit, LimitNumbers, Loaded, NODE_LEASE_MS, Need, Renewal,
    Reserved, StartRow, StoppedBy, Take, Taken, largest_grant,
};
use keydesk_core::domain::limit_use::{HolderKind, Limited};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::window::{Period, WindowStarts};

use crate::planted::Planted;

pub const SCALE: i64 = 6;
/// How long what a dead node has counts: 120 seconds of the quota's time.
pub const GRACE: i64 = 20_000;
/// The quota's minute.
pub const MINUTE: i64 = 10_000;
/// How long a holder gets no grants after a recall.
const QUIET: i64 = 1_000;
pub const FAR: i64 = 1 << 60;

pub type NodeId = u32;
/// What is limited, as a place in an order: 0 to 3 the periods, then balance, requests, tokens, concurrent.
pub type What = usize;

pub const WHATS: [Limited; 8] = [
    Limited::Budget(Period::Total),
    Limited::Budget(Period::Month),
    Limited::Budget(Period::Week),
    Limited::Budget(Period::Day),
    Limited::Balance,
    Limited::Requests,
    Limited::Tokens,
    Limited::Concurrent,
];
pub const REQUESTS: What = 5;
pub const TOKENS: What = 6;
pub const CONCURRENT: What = 7;

pub fn what(limited: Limited) -> What {
    WHATS.iter().position(|one| *one == limited).unwrap()
}

pub fn window_start(of: What, starts: &WindowStarts) -> Moment {
    match of {
        1 => starts.month,
        2 => starts.week,
        3 => starts.day,
        _ => Moment::from_ms(0),
    }
}

pub struct NodeRow {
    pub token: u64,
    pub turn: i64,
    pub seen: usize,
    pub until: i64,
    /// The last call that changed grants.
    pub call: i64,
    pub settled: u64,
    /// Its successor has its journal; only the pace of its last minute counts.
    pub is_taken_over: bool,
}

#[derive(Clone, Copy, Default)]
pub struct GrantTotals {
    pub granted: i64,
    pub consumed: i64,
}

impl GrantTotals {
    fn open(&self) -> i64 {
        (self.granted - self.consumed).max(0)
    }
}

pub struct ReservationOf {
    pub holders: Vec<Holder>,
    pub node: Option<NodeId>,
    pub need: Need,
    pub at: Moment,
    pub until: i64,
    /// Whose seconds this reservation counted.
    pub counted: Vec<Holder>,
}

#[derive(Clone)]
pub struct UsageRow {
    pub request: Arc<str>,
    pub holders: Vec<Holder>,
    pub starts: WindowStarts,
    pub cost: i64,
    pub tokens: i64,
    pub corrections: Vec<StartRow>,
}

#[derive(Clone)]
pub enum Change {
    Limits(Holder),
    Key(Holder),
}

pub struct News {
    pub changes: Vec<(usize, Change)>,
    pub recalled: Vec<Holder>,
    pub live: i64,
}

/// A request that the database is to reserve.
pub struct ToReserve {
    pub request: Arc<str>,
    pub holders: Vec<Holder>,
    pub need: Need,
    pub starts: WindowStarts,
}

/// One limit, all that is used of it, and what others may have of it.
struct Met {
    limit: Limit,
    start: Moment,
    used: i64,
    likely: i64,
    worst: i64,
    largest: i64,
    /// In grants of nodes; part of `likely` and `worst` of money.
    granted: i64,
    /// Another node has all of it.
    is_elsewhere: bool,
    first: Option<i64>,
}

impl Met {
    fn asked(&self, need: &Need, one_may_pass: bool) -> i64 {
        match what(self.limit.what) {
            REQUESTS | CONCURRENT => 1,
            TOKENS => need.tokens,
            _ if one_may_pass => need.likely,
            _ => need.worst,
        }
    }

    /// What is left after this request, by the stricter of the two rules of money.
    fn room(&self, need: &Need, one_may_pass: bool) -> i64 {
        let left = self.limit.max - self.used;
        if !self.limit.what.is_money() {
            return left - self.granted - self.asked(need, one_may_pass);
        }
        let spared = if one_may_pass { self.largest.max(need.worst) } else { 0 };
        let worst = left - self.worst - need.worst + spared;
        let room =
            worst.min(left - if one_may_pass { self.likely + need.likely } else { self.worst + need.worst });
        if left <= 0 { room.min(-1) } else { room }
    }
}

#[derive(Default)]
pub struct Db {
    pub now: i64,
    pub planted: Option<Planted>,
    pub one_may_pass: bool,
    pub limits: BTreeMap<Holder, Vec<Limit>>,
    pub teams: BTreeMap<Holder, Holder>,
    pub org: Option<Holder>,
    pub revoked: BTreeSet<Holder>,
    pub changes: Vec<(usize, Change)>,
    pub nodes: BTreeMap<NodeId, NodeRow>,
    pub grants: BTreeMap<(Holder, What, Moment, NodeId), GrantTotals>,
    pub whole: BTreeSet<(Holder, NodeId)>,
    pub recalls: BTreeMap<Holder, i64>,
    pub reservations: BTreeMap<Arc<str>, ReservationOf>,
    pub usage: BTreeMap<Arc<str>, UsageRow>,
    pub counters: BTreeMap<(Holder, usize, Moment), i64>,
    pub rates: BTreeMap<(Holder, i64), (i64, i64)>,
    /// Until when a program that reserves request by request counts as a node.
    pub others_until: i64,
    /// How long a day is, and when one began; zero for no days.
    pub day: (i64, i64),
}

impl Db {
    fn is(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// The windows around a moment of the simulation: a week has two days, and a month four.
    pub fn windows(&self, at: i64) -> WindowStarts {
        let (day, offset) = self.day;
        let start = |days: i64| {
            let length = day * days;
            Moment::from_ms(if day == 0 {
                -1
            } else {
                ((at - offset).div_euclid(length) * length + offset) * SCALE
            })
        };
        WindowStarts { at: Moment::from_ms(at * SCALE), month: start(4), week: start(2), day: start(1) }
    }

    // Nodes.

    pub fn register(&mut self, node: NodeId, token: u64) -> usize {
        let settled = self.nodes.get(&node).map_or(0, |row| row.settled);
        self.leave(node);
        let seen = self.changes.len();
        let until = self.now + NODE_LEASE_MS;
        let row = NodeRow { token, turn: 0, seen, until, call: 0, settled, is_taken_over: false };
        self.nodes.insert(node, row);
        seen
    }

    fn known(&mut self, node: NodeId, token: u64, call: i64) -> bool {
        let Some(row) = self.nodes.get_mut(&node).filter(|row| row.token == token) else { return false };
        if call <= row.call {
            return false;
        }
        row.call = row.call.max(call);
        true
    }

    pub fn renew(&mut self, node: NodeId, token: u64, renewal: Renewal, seen: usize) -> Option<News> {
        let now = self.now;
        let row = self.nodes.get_mut(&node).filter(|row| row.token == token)?;
        if row.turn < renewal.answered {
            return None;
        }
        row.turn = row.turn.max(renewal.turn);
        row.seen = row.seen.max(seen);
        row.until = now + NODE_LEASE_MS;
        Some(self.news(node, seen))
    }

    pub fn news(&self, node: NodeId, seen: usize) -> News {
        let has =
            |holder: &Holder| self.whole.contains(&(holder.clone(), node)) || self.has_grant(holder, node);
        let recalled = self.recalls.iter().filter(|(holder, until)| **until > self.now && has(holder));
        News {
            changes: self.changes[seen.min(self.changes.len())..].to_vec(),
            recalled: recalled.map(|(holder, _)| holder.clone()).collect(),
            live: self.live(),
        }
    }

    fn grants_of(
        &self,
        holder: &Holder,
    ) -> impl Iterator<Item = (&(Holder, What, Moment, NodeId), &GrantTotals)> {
        let first = (holder.clone(), 0, Moment::from_ms(i64::MIN), 0);
        let end = (holder.clone(), usize::MAX, Moment::from_ms(i64::MIN), 0);
        self.grants.range(first..end)
    }

    fn has_grant(&self, holder: &Holder, node: NodeId) -> bool {
        self.grants_of(holder).any(|((.., of), grant)| *of == node && grant.open() > 0)
    }

    pub fn live(&self) -> i64 {
        let nodes = self.nodes.values().filter(|row| row.until > self.now).count() as i64;
        nodes + i64::from(self.others_until > self.now)
    }

    fn counts(&self, node: NodeId) -> bool {
        let grace = if self.is(Planted::GrantsEndWithTheLease) { 0 } else { GRACE };
        self.nodes.get(&node).is_some_and(|row| row.until + grace > self.now)
    }

    pub fn leave(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.grants.retain(|(.., of), _| *of != node);
        self.whole.retain(|(_, of)| *of != node);
    }

    pub fn sweep(&mut self) {
        let dead = self.nodes.iter().filter(|(_, row)| row.until + GRACE <= self.now).map(|(node, _)| *node);
        for node in dead.collect::<Vec<_>>() {
            self.leave(node);
        }
        let now = self.now;
        self.reservations.retain(|_, one| one.until > now);
        let second = self.now * SCALE / 1_000;
        self.rates.retain(|(_, one), _| *one >= second - 130);
        self.grants.retain(|_, grant| grant.granted != grant.consumed || grant.granted != 0);
    }

    /// The process that has the journal of a dead one writes what that one answered. Of what it had, only its pace stays,
    /// until its last minute is over.
    pub fn take_over(&mut self, old: NodeId, rows: &[UsageRow]) {
        self.settle(None, 0, rows, &[]);
        self.reservations.retain(|_, one| one.node != Some(old));
        let (now, forgets) = (self.now, self.is(Planted::RestartForgetsThePace));
        if let Some(row) = self.nodes.get_mut(&old) {
            row.token = 0;
            row.is_taken_over = true;
            row.until = row.until.min(now - GRACE + MINUTE + 1_000);
            self.grants
                .retain(|(_, of, _, node), _| *node != old || (matches!(*of, REQUESTS | TOKENS) && !forgets));
            if forgets {
                self.whole.retain(|(_, node)| *node != old);
            }
        }
    }

    // The one rule for admissions of the database.

    fn met(&self, holder: &Holder, starts: &WindowStarts, node: Option<NodeId>) -> Vec<Met> {
        let own = |one: &&ReservationOf| one.until > self.now && one.holders.contains(holder);
        let reservations: Vec<&ReservationOf> = self.reservations.values().filter(own).collect();
        let second = starts.at.ms().div_euclid(1_000);
        let lately = self.rates.range((holder.clone(), second - 60)..=(holder.clone(), second + 5));
        let lately: Vec<(i64, (i64, i64))> = lately.map(|((_, second), count)| (*second, *count)).collect();
        let elsewhere = |of: Limited| {
            self.whole.range((holder.clone(), 0)..=(holder.clone(), NodeId::MAX)).any(|(_, other)| {
                Some(*other) != node
                    && self.counts(*other)
                    && (!self.nodes[other].is_taken_over || matches!(of, Limited::Requests | Limited::Tokens))
            })
        };
        let limits = self.limits[holder].iter().filter(|limit| limit.enforced);
        let met = limits.map(|limit| {
            let of = what(limit.what);
            let start = window_start(of, starts);
            let grants = self
                .grants_of(holder)
                .filter(|((_, other, at, node), _)| *other == of && *at >= start && self.counts(*node));
            let granted: i64 = grants.map(|(_, grant)| grant.open()).sum();
            let mut met = Met {
                limit: *limit,
                start,
                used: 0,
                likely: granted,
                worst: granted,
                largest: 0,
                granted,
                is_elsewhere: elsewhere(limit.what),
                first: lately.first().map(|(second, _)| *second),
            };
            match of {
                REQUESTS => met.used = lately.iter().map(|(_, count)| count.0).sum(),
                TOKENS => met.used = lately.iter().map(|(_, count)| count.1).sum(),
                CONCURRENT => met.used = reservations.len() as i64,
                _ => {
                    let place = (holder.clone(), if of == 4 { 0 } else { of }, start);
                    met.used = self.counters.get(&place).copied().unwrap_or(0);
                    for one in reservations.iter().filter(|one| one.at >= start) {
                        met.likely += one.need.likely;
                        met.worst += one.need.worst;
                        met.largest = met.largest.max(one.need.worst);
                    }
                }
            }
            met
        });
        met.collect()
    }

    /// Reserves, or says what stops the request; what live nodes have of that is recalled. `judged` are the holders of which
    /// the asking node has all, and which it has judged itself.
    pub fn reserve(&mut self, new: &ToReserve, node: Option<NodeId>, judged: &[Holder]) -> Reserved {
        if node.is_none() {
            self.others_until = self.now + GRACE;
        }
        let own = |holder: &Holder| node.is_some_and(|node| self.whole.contains(&(holder.clone(), node)));
        if new.holders.iter().any(|holder| own(holder) && !judged.contains(holder)) {
            return Reserved::Stopped { by: Vec::new(), recalled: false };
        }
        let asked: Vec<Holder> = new.holders.iter().filter(|holder| !own(holder)).cloned().collect();
        let (mut by, mut room) = (Vec::new(), Vec::new());
        for holder in &asked {
            for met in self.met(holder, &new.starts, node) {
                let left = met.room(&new.need, self.one_may_pass);
                room.push((holder.clone(), met.limit.what, left));
                if left < 0 || met.is_elsewhere {
                    by.push(self.stopped_by(holder, &met, new));
                }
            }
        }
        if !by.is_empty() {
            let mut recalled = false;
            let others: Vec<NodeId> = self
                .nodes
                .iter()
                .filter(|(id, row)| Some(**id) != node && row.until > self.now)
                .map(|(id, _)| *id)
                .collect();
            for holder in by.iter().map(|one: &StoppedBy| &one.holder) {
                let has = |other: &NodeId| {
                    self.has_grant(holder, *other) || self.whole.contains(&(holder.clone(), *other))
                };
                if others.iter().any(has) {
                    self.recalls.insert(holder.clone(), self.now + QUIET);
                    recalled = true;
                }
            }
            return Reserved::Stopped { by, recalled };
        }
        let is_rate = |limit: &Limit| matches!(limit.what, Limited::Requests | Limited::Tokens);
        let counted: Vec<Holder> =
            asked.iter().filter(|holder| self.limits[*holder].iter().any(is_rate)).cloned().collect();
        for holder in &counted {
            self.count(holder, new.starts.at.ms().div_euclid(1_000), 1, new.need.tokens);
        }
        let alone = node.is_some_and(|node| asked.iter().all(|holder| self.is_alone(holder, node)));
        let reservation = ReservationOf {
            holders: new.holders.clone(),
            node,
            need: new.need,
            at: new.starts.at,
            until: self.now + GRACE,
            counted,
        };
        self.reservations.insert(new.request.clone(), reservation);
        Reserved::Fits { room, alone }
    }

    fn stopped_by(&self, holder: &Holder, met: &Met, new: &ToReserve) -> StoppedBy {
        let asked = met.asked(&new.need, self.one_may_pass);
        let closed_until = if met.limit.what.is_money() {
            let is_closed = met.used >= met.limit.max || asked > met.limit.max - met.used;
            is_closed.then_some(Moment::from_ms(FAR))
        } else if met.limit.what == Limited::Requests
            && met.used + 1 > met.limit.max
            && met.granted == 0
            && !met.is_elsewhere
        {
            met.first.map(|first| Moment::from_ms((first + 61) * 1_000))
        } else {
            None
        };
        let numbers = LimitNumbers {
            holder: holder.kind,
            what: met.limit.what,
            max: met.limit.max,
            used: met.used,
            reserved: met.likely,
            requested: asked,
            frees_at: None,
            worst_remaining: None,
            fits: false,
            enforced: true,
        };
        StoppedBy { holder: holder.clone(), numbers, start: met.start, closed_until }
    }

    fn count(&mut self, holder: &Holder, second: i64, requests: i64, tokens: i64) {
        let count = self.rates.entry((holder.clone(), second)).or_default();
        count.0 += requests;
        count.1 += tokens;
    }

    /// Whether a node may have all of a holder: there is no other node, and nothing of others.
    fn is_alone(&self, holder: &Holder, node: NodeId) -> bool {
        let is_shared = self.is(Planted::WholeBesideOthers);
        let other_grant = self
            .grants_of(holder)
            .any(|((.., of), grant)| *of != node && grant.open() > 0 && self.counts(*of));
        let other_whole =
            self.whole.iter().any(|(of, other)| of == holder && *other != node && self.counts(*other));
        let mut reservations = self.reservations.values().filter(|one| one.until > self.now);
        let others = reservations.any(|one| one.node != Some(node) && one.holders.contains(holder));
        (self.live() == 1 || is_shared) && !other_grant && !other_whole && (!others || is_shared)
    }

    /// While a change of it is not seen by every live node, not everything that is in use is known.
    fn is_changing(&self, holder: &Holder) -> bool {
        let is_it = |(_, change): &&(usize, Change)| matches!(change, Change::Limits(of) if of == holder);
        let last = self.changes.iter().rev().find(is_it).map_or(0, |(version, _)| *version);
        !self.have_seen(last)
    }

    /// Grants what a node asks for, of every holder or of none.
    pub fn take(
        &mut self,
        node: NodeId,
        token: u64,
        call: i64,
        asked: &Take,
        starts: &WindowStarts,
    ) -> Option<Taken> {
        if !self.known(node, token, call) {
            return None;
        }
        let live = self.live();
        let (mut scarce, mut to) = (Vec::new(), Vec::new());
        for of in &asked.holders {
            let holder = &of.holder;
            let is_quiet = self.recalls.get(holder).is_some_and(|until| *until > self.now);
            let met = self.met(holder, starts, Some(node));
            let (mut sizes, mut lacks) = (Vec::new(), is_quiet || self.is_changing(holder));
            for want in &of.wants {
                let Some(one) = met.iter().find(|one| one.limit.what == want.what) else {
                    sizes.push(want.wanted);
                    continue;
                };
                let is_money = want.what.is_money();
                let left = one.limit.max - one.used - if is_money { one.worst } else { one.granted };
                let part = largest_grant(left, live);
                lacks |= part < want.need || one.is_elsewhere || (is_money && one.used >= one.limit.max);
                sizes.push(want.wanted.min(part));
            }
            if self.is_alone(holder, node) && !self.is_changing(holder) && !is_quiet {
                to.push(None);
            } else if lacks {
                scarce.push(holder.clone());
            } else {
                to.push(Some(sizes));
            }
        }
        if !scarce.is_empty() {
            return Some(Taken::Scarce(scarce));
        }
        let granted = asked.holders.iter().zip(to).map(|(of, sizes)| match sizes {
            None => {
                self.whole.insert((of.holder.clone(), node));
                GrantedTo::Whole(self.load(&of.holder, node, starts))
            }
            Some(sizes) => {
                for (want, size) in of.wants.iter().zip(&sizes) {
                    let place = (of.holder.clone(), what(want.what), want.start, node);
                    self.grants.entry(place).or_default().granted += size;
                }
                GrantedTo::Share(sizes)
            }
        });
        Some(Taken::Granted(granted.collect()))
    }

    fn load(&self, holder: &Holder, node: NodeId, starts: &WindowStarts) -> Loaded {
        let spent = std::array::from_fn(|of| {
            self.counters.get(&(holder.clone(), of, window_start(of, starts))).copied().unwrap_or(0)
        });
        let second = starts.at.ms().div_euclid(1_000);
        let lately = self.rates.range((holder.clone(), second - 60)..=(holder.clone(), second + 5));
        let seconds = lately.map(|((_, second), count)| (*second, count.0, count.1)).collect();
        let settled = self.nodes[&node].settled;
        Loaded { spent, starts: *starts, seconds, settled }
    }

    /// A node tells what is in use of holders whose grants end.
    pub fn give_back(&mut self, node: NodeId, token: u64, call: i64, told: &GiveBack) -> bool {
        if !self.known(node, token, call) {
            return false;
        }
        for request in &told.released {
            if let Some(one) = self.reservations.remove(request) {
                self.correct(&one, -one.need.tokens);
            }
        }
        if !self.is(Planted::UnderWayIsNotTold) {
            for row in &told.reservations {
                if self.usage.contains_key(&row.request) || self.reservations.contains_key(&row.request) {
                    continue;
                }
                let need =
                    Need { likely: row.likely, worst: row.worst, tokens: row.tokens, ..Need::default() };
                let (holders, at, until) = (row.holders.clone(), row.starts.at, self.now + GRACE);
                let one = ReservationOf { holders, node: Some(node), need, at, until, counted: Vec::new() };
                self.reservations.insert(row.request.clone(), one);
            }
        }
        if !self.is(Planted::StartsAreNotTold) {
            for row in &told.starts {
                self.count(&row.holder, row.second, row.requests, row.tokens);
            }
        }
        for row in &told.grants {
            let grant = self.grants.entry((row.holder.clone(), what(row.what), row.start, node)).or_default();
            grant.granted = row.granted;
            grant.consumed = grant.consumed.max(row.consumed);
        }
        for holder in &told.no_longer_whole {
            self.whole.remove(&(holder.clone(), node));
        }
        true
    }

    fn correct(&mut self, one: &ReservationOf, tokens: i64) {
        for holder in &one.counted {
            if let Some(count) = self.rates.get_mut(&(holder.clone(), one.at.ms().div_euclid(1_000))) {
                count.1 += tokens;
            }
        }
    }

    // Settlement: rows, counters, grants in one transaction, once per request.

    pub fn settle(&mut self, node: Option<NodeId>, number: u64, rows: &[UsageRow], consumed: &[GrantRow]) {
        for row in rows {
            if self.usage.contains_key(&row.request) {
                continue;
            }
            self.usage.insert(row.request.clone(), row.clone());
            for holder in &row.holders {
                for of in 0..4 {
                    *self.counters.entry((holder.clone(), of, window_start(of, &row.starts))).or_default() +=
                        row.cost;
                }
            }
            if let Some(one) = self.reservations.remove(&row.request) {
                self.correct(&one, row.tokens - one.need.tokens);
            }
            for start in &row.corrections {
                self.count(&start.holder, start.second, 0, start.tokens);
            }
        }
        if !self.is(Planted::ConsumedApart) {
            self.consume(node, consumed);
        }
        if let Some(row) = node.and_then(|node| self.nodes.get_mut(&node)) {
            row.settled = row.settled.max(number);
        }
    }

    pub fn consume(&mut self, node: Option<NodeId>, consumed: &[GrantRow]) {
        let Some(node) = node else { return };
        for row in consumed {
            if let Some(grant) = self.grants.get_mut(&(row.holder.clone(), what(row.what), row.start, node)) {
                grant.consumed = grant.consumed.max(row.consumed);
            }
        }
    }

    // Configuration: a change and its number in one transaction.

    pub fn change(&mut self, change: Change) -> usize {
        let version = self.changes.len() + 1;
        self.changes.push((version, change));
        version
    }

    pub fn have_seen(&self, version: usize) -> bool {
        self.nodes.values().all(|row| row.until <= self.now || row.seen >= version)
    }

    pub fn facts(&self, key: &Holder) -> Facts {
        let team = self.teams[key].clone();
        let org = self.org.clone().unwrap();
        let holders = [key.clone(), team, org];
        Facts {
            is_revoked: self.revoked.contains(key),
            holders: holders.map(|holder| (holder.clone(), self.limits[&holder].clone())),
        }
    }
}

/// What a gateway reads of a key.
#[derive(Clone)]
pub struct Facts {
    pub is_revoked: bool,
    pub holders: [(Holder, Vec<Limit>); 3],
}

pub fn holder(kind: HolderKind, id: &str) -> Holder {
    Holder { kind, id: Arc::from(id) }
}
