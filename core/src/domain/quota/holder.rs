//! What a node knows of one holder: how its requests are admitted, what of its limits the node has, and how much of that
//! is in use.

use std::collections::VecDeque;

use super::limit::{HolderLimits, Limit, LimitNumbers, Need, Use, window_start};
use super::sizing::LastAsk;
use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::window::{Period, WindowStarts};

/// Sixty whole seconds and the running one count, so that no sixty seconds exceed a limit.
const MINUTE: i64 = 60;
/// Seconds by which clocks may differ.
const AHEAD: i64 = 5;

/// Where the requests of a holder are admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing was granted: ask for grants.
    #[default]
    Unknown,
    /// Here, by the limits themselves: all is this node's.
    Whole,
    /// Here, from grants. Wholesale.
    Shares,
    /// At the database, one by one. Retail.
    Database,
}

/// What is spent and reserved in one window of a holder that is wholly this node's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub period: Period,
    pub start: Moment,
    pub used: i64,
    pub likely: i64,
    pub worst: i64,
}

/// This node's part of one limit, for one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub what: Limited,
    pub start: Moment,
    /// Grows with each grant; falls by what is given back or becomes a reservation of the database.
    pub granted: i64,
    /// What ended requests used; it only grows.
    pub consumed: i64,
    /// What the database is known to have of `consumed`.
    pub written: i64,
    /// Worst costs of requests under way on this grant, or their number.
    pub in_use: i64,
    /// Whether the database has to hear its totals.
    pub is_due: bool,
    pub last_ask: Option<LastAsk>,
}

impl Grant {
    pub fn free(&self) -> i64 {
        self.granted - self.consumed - self.in_use
    }
}

/// Starts of one second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    pub second: i64,
    pub requests: i64,
    pub tokens: i64,
    /// Of these, what is not counted in the database.
    pub new_requests: i64,
    pub new_tokens: i64,
}

/// A limit that the database has said to be closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub start: Moment,
    pub until: Moment,
    pub numbers: LimitNumbers,
}

#[derive(Debug, Default)]
pub(super) struct HolderState {
    pub standing: Standing,
    /// How often it was recalled. An answer to a question from before a recall is not used.
    pub generation: u64,
    pub windows: Vec<Window>,
    pub under_way: i64,
    pub seconds: VecDeque<Second>,
    /// How often its starts were handed to the database.
    pub handed_over: u64,
    /// Whether some were counted since.
    pub has_new_starts: bool,
    pub grants: Vec<Grant>,
    pub closed: Vec<Closed>,
    /// The limits as the database last said, for holders that are not wholly this node's.
    pub heard: Vec<LimitNumbers>,
    /// Whether the database may think that all of it is this node's.
    pub whole_is_written: bool,
    /// The moment of its last request, and the windows around it.
    pub last_starts: Option<WindowStarts>,
}

/// The counted seconds that matter at a moment.
#[derive(Clone, Copy, Default)]
pub(super) struct Minute {
    requests: i64,
    tokens: i64,
    new_requests: i64,
    new_tokens: i64,
    first: Option<i64>,
}

impl HolderState {
    pub fn grant(&self, what: Limited, start: Moment) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.what == what && grant.start == start)
    }

    pub fn grant_or_new(&mut self, what: Limited, start: Moment) -> &mut Grant {
        let found = self.grants.iter().position(|grant| grant.what == what && grant.start == start);
        let at = found.unwrap_or_else(|| {
            self.grants.push(Grant {
                what,
                start,
                granted: 0,
                consumed: 0,
                written: 0,
                in_use: 0,
                is_due: false,
                last_ask: None,
            });
            self.grants.len() - 1
        });
        &mut self.grants[at]
    }

    pub fn minute(&self, now: Moment) -> Minute {
        let second = now.ms().div_euclid(1_000);
        // What a clock counted that ran ahead by more than that is none of this minute.
        let counted = second - MINUTE..=second + AHEAD;
        let mut sum = Minute::default();
        for second in self.seconds.iter().filter(|one| counted.contains(&one.second)) {
            sum.requests += second.requests;
            sum.tokens += second.tokens;
            sum.new_requests += second.new_requests;
            sum.new_tokens += second.new_tokens;
            sum.first = sum.first.or(Some(second.second));
        }
        sum
    }

    /// Counts a start that the database does not know.
    pub fn count(&mut self, now: Moment, tokens: i64) {
        self.has_new_starts = true;
        let second = now.ms().div_euclid(1_000);
        while self
            .seconds
            .front()
            .is_some_and(|first| first.second < second - MINUTE && first.new_requests == 0)
        {
            self.seconds.pop_front();
        }
        let at = self.second_or_new(second);
        at.requests += 1;
        at.tokens += tokens;
        at.new_requests += 1;
        at.new_tokens += tokens;
    }

    pub fn second(&mut self, second: i64) -> Option<&mut Second> {
        self.seconds.iter_mut().find(|one| one.second == second)
    }

    pub fn second_or_new(&mut self, second: i64) -> &mut Second {
        let at = self.seconds.partition_point(|one| one.second < second);
        if self.seconds.get(at).is_none_or(|one| one.second != second) {
            self.seconds
                .insert(at, Second { second, requests: 0, tokens: 0, new_requests: 0, new_tokens: 0 });
        }
        &mut self.seconds[at]
    }

    /// The window of this period; none if nothing happened in it.
    pub fn window_or_new(&mut self, period: Period, start: Moment) -> &mut Window {
        let found = self.windows.iter().position(|window| window.period == period && window.start == start);
        let at = found.unwrap_or_else(|| {
            // At a turn. A request that began just before it may still come, and what was under way has a place until it ends.
            let before = self.windows.iter().filter(|one| one.period == period && one.start < start);
            let before = before.map(|one| one.start).max();
            self.windows.retain(|one| {
                one.period != period || one.worst > 0 || one.start > start || Some(one.start) == before
            });
            self.windows.push(Window { period, start, used: 0, likely: 0, worst: 0 });
            self.windows.len() - 1
        });
        &mut self.windows[at]
    }

    /// How much of a limit is used, where all of it is this node's. `largest` finds the largest worst cost under way.
    pub fn used(
        &self,
        limit: &Limit,
        starts: &WindowStarts,
        largest: impl FnOnce() -> i64,
        need: &Need,
    ) -> Use {
        match limit.what {
            Limited::Budget(_) | Limited::Balance => {
                let period = if let Limited::Budget(period) = limit.what { period } else { Period::Total };
                let start = window_start(limit.what, starts);
                let window = self.windows.iter().find(|one| one.period == period && one.start == start);
                let Some(window) = window else { return Use::default() };
                let (used, likely, worst) = (window.used, window.likely, window.worst);
                // Where all worst costs fit, the largest changes nothing.
                let fits = worst.saturating_add(need.worst) <= limit.max.saturating_sub(used);
                Use { used, likely, worst, largest: if fits { 0 } else { largest() }, frees_at: None }
            }
            Limited::Requests | Limited::Tokens => {
                let minute = self.minute(starts.at);
                let used = if limit.what == Limited::Requests { minute.requests } else { minute.tokens };
                let frees_at = minute.first.map(|first| Moment::from_ms((first + MINUTE + 1) * 1_000));
                Use { used, frees_at, ..Use::default() }
            }
            Limited::Concurrent => Use { used: self.under_way, ..Use::default() },
        }
    }

    /// Whether a window of these began before the first one that is known: a clock was set back.
    pub fn is_ahead_of(&self, starts: &WindowStarts) -> bool {
        Period::LONGEST_FIRST.iter().any(|&period| {
            let start = window_start(Limited::Budget(period), starts);
            let mut known = self.windows.iter().filter(|one| one.period == period).map(|one| one.start);
            known.clone().any(|one| one > start) && known.all(|one| one != start)
        })
    }

    /// What the grant of this limit lacks for a request; zero when it covers its worst cost.
    pub fn lacks(&self, what: Limited, starts: &WindowStarts, need: &Need) -> i64 {
        let grant = self.grant(what, window_start(what, starts));
        let free = grant.map_or(0, Grant::free);
        let (need, free) = match what {
            Limited::Requests => (1, free - self.minute(starts.at).new_requests),
            Limited::Tokens => (need.tokens.max(1), free - self.minute(starts.at).new_tokens),
            Limited::Concurrent => (1, free),
            // A budget that is used up also stops what costs nothing.
            Limited::Budget(_) | Limited::Balance => (need.worst.max(1), free),
        };
        need.saturating_sub(free).max(0)
    }

    pub fn lacks_nothing(&self, of: &HolderLimits, starts: &WindowStarts, need: &Need) -> bool {
        of.enforced().all(|limit| self.lacks(limit.what, starts, need) == 0)
    }

    /// A limit that is known to be closed to this request.
    pub fn closed_to(&self, starts: &WindowStarts, need: &Need) -> Option<(LimitNumbers, Moment)> {
        let closed = self.closed.iter().find(|closed| {
            let numbers = &closed.numbers;
            let left = numbers.max.saturating_sub(numbers.used);
            starts.at < closed.until
                && closed.start == window_start(numbers.what, starts)
                && (!numbers.what.is_money() || left <= 0 || need.likely - need.presumed_cost > left)
        });
        closed.map(|closed| (closed.numbers, closed.until))
    }

    /// Starts of this node that are in no grant any more go to the database, each once.
    pub fn hand_over(&mut self) -> impl Iterator<Item = (i64, i64, i64)> + '_ {
        self.handed_over += 1;
        self.has_new_starts = false;
        self.seconds.iter_mut().filter_map(|second| {
            let new = (second.second, second.new_requests, second.new_tokens);
            (second.new_requests, second.new_tokens) = (0, 0);
            (new.1 != 0 || new.2 != 0).then_some(new)
        })
    }
}
