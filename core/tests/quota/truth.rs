//! What is true, whichever node knows it: every request that was admitted, what it came to, and every value that a setting
//! had. The checks of the invariants are here. Nothing but the checks asks for it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use keydesk_core::admission::quota::{Holder, Need};
use keydesk_core::domain::limit_use::Limited;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::window::WindowStarts;

use crate::db::{CONCURRENT, Db, FAR, GRACE, MINUTE, NodeId, REQUESTS, SCALE, TOKENS, What, window_start};

/// A request, whatever becomes of it.
pub struct Request {
    pub number: u64,
    pub name: Arc<str>,
    pub key: Holder,
    pub need: Need,
    pub began: i64,
    /// The node that has it, and how far its clock is ahead.
    pub node: Option<usize>,
    pub skew: i64,
    pub at: RefCell<Attempt>,
    pub unfit: Cell<bool>,
}

/// A request as it was last tried.
#[derive(Clone)]
pub struct Attempt {
    pub holders: Vec<Holder>,
    pub starts: WindowStarts,
    /// Which of its holders had a limit of requests, and of tokens.
    pub rated: Vec<(bool, bool)>,
    pub node: NodeId,
}

#[derive(Clone)]
struct Start {
    request: u64,
    when: i64,
    tokens: i64,
    seen_tokens: i64,
    rated: (bool, bool),
}

/// One value of a setting, and when its change was answered.
struct Value {
    value: i64,
    answered: i64,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    /// Settled, up to the likely and up to the worst cost of each request.
    covered: i64,
    covered_worst: i64,
    /// The largest worst cost that was ever admitted.
    largest: i64,
    /// What was really used.
    used: i64,
    likely: i64,
    worst: i64,
    /// The same for those whose answer has not left, for what must not be rejected.
    seen_likely: i64,
    seen_worst: i64,
}

pub struct Truth {
    pub one_may_pass: bool,
    sums: BTreeMap<(Holder, What, Moment), Sums>,
    under_way: BTreeMap<u64, Rc<Request>>,
    unanswered: BTreeMap<u64, Rc<Request>>,
    starts: BTreeMap<Holder, VecDeque<Start>>,
    values: BTreeMap<(Holder, What), Vec<Value>>,
    pub pending: BTreeMap<u64, Rc<Request>>,
    pub answered: BTreeSet<Arc<str>>,
    /// Admitted by nodes from memory; those that the database has are dropped now and then.
    unwritten: Vec<Rc<Request>>,
    costs: BTreeMap<u64, i64>,
    /// Requests that a first limit cannot know of, by holder.
    excused: BTreeSet<(Holder, u64)>,
    /// When the last fault ended.
    pub trouble: i64,
    pub violation: Option<String>,
    pub is_slow: bool,
    pub counts: BTreeMap<&'static str, u64>,
}

/// The setting of a key that says whether it is alive.
pub const ALIVE: What = 8;

impl Truth {
    pub fn new(one_may_pass: bool) -> Self {
        Self {
            one_may_pass,
            sums: BTreeMap::new(),
            under_way: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            starts: BTreeMap::new(),
            values: BTreeMap::new(),
            pending: BTreeMap::new(),
            answered: BTreeSet::new(),
            unwritten: Vec::new(),
            costs: BTreeMap::new(),
            excused: BTreeSet::new(),
            trouble: -FAR,
            violation: None,
            is_slow: false,
            counts: BTreeMap::new(),
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn fail(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// A setting has a new value, from `answered` on for certain.
    pub fn set(&mut self, db: &Db, holder: &Holder, of: What, value: Option<i64>, answered: i64) -> usize {
        let values = self.values.entry((holder.clone(), of)).or_default();
        values.push(Value { value: value.unwrap_or(FAR), answered });
        let place = values.len() - 1;
        self.look_again(db, |_| true);
        place
    }

    pub fn set_answered(&mut self, holder: &Holder, of: What, place: usize, now: i64) {
        if let Some(values) = self.values.get_mut(&(holder.clone(), of)) {
            values[place].answered = now;
        }
    }

    /// Those that may be in force for a request: the last one that was answered before it began, and every later one.
    fn values(&self, holder: &Holder, of: What, began: i64) -> (i64, i64) {
        let Some(values) = self.values.get(&(holder.clone(), of)) else { return (FAR, FAR) };
        let first = values.iter().rposition(|one| one.answered <= began).unwrap_or(0);
        let some = values[first..].iter().map(|one| one.value);
        (some.clone().min().unwrap_or(FAR), some.max().unwrap_or(FAR))
    }

    fn sums(&self, holder: &Holder, of: What, starts: &WindowStarts) -> Sums {
        let of = if of == 4 { 0 } else { of };
        self.sums.get(&(holder.clone(), of, window_start(of, starts))).copied().unwrap_or_default()
    }

    fn change_sums(&mut self, at: &Attempt, mut change: impl FnMut(&mut Sums)) {
        for holder in &at.holders {
            for of in 0..4 {
                change(self.sums.entry((holder.clone(), of, window_start(of, &at.starts))).or_default());
            }
        }
    }

    fn in_window<'a>(
        all: &'a BTreeMap<u64, Rc<Request>>,
        holder: &'a Holder,
        of: What,
        starts: &WindowStarts,
    ) -> impl Iterator<Item = &'a Rc<Request>> {
        let start = window_start(of, starts);
        all.values().filter(move |one| {
            let at = one.at.borrow();
            at.holders.contains(holder) && window_start(of, &at.starts) == start
        })
    }

    /// A request is admitted. Nothing may be admitted beyond a limit that may be in force for it.
    pub fn admit(&mut self, db: &Db, request: &Rc<Request>) {
        let at = request.at.borrow().clone();
        let need = request.need;
        // When it began, by a clock that is right.
        let when = at.starts.at.ms() - request.skew * SCALE;
        for (holder, rated) in at.holders.iter().zip(&at.rated) {
            for of in 0..5 {
                let (_, max) = self.values(holder, of, request.began);
                if max == FAR {
                    continue;
                }
                let sums = self.sums(holder, of, &at.starts);
                // Likely costs never pass the limit, and worst costs by no more than one request's. That one may have ended.
                let passes = |sums: Sums| {
                    let likely = sums.covered + sums.likely + need.likely;
                    let all = sums.covered_worst + sums.worst + need.worst;
                    let one = if self.one_may_pass { sums.largest.max(need.worst) } else { 0 };
                    likely > max || all - one > max
                };
                if passes(sums) {
                    let excused = self.without_lost(db, holder, of, &at.starts, sums);
                    if passes(excused) {
                        self.fail(format!(
                            "{holder:?} {of}: {} settled, {} likely and {} at worst, and {need:?} of {max} at {} by {:?}: {}",
                            sums.covered, sums.likely, sums.worst, db.now, request.node, request.name
                        ));
                    }
                }
            }
            let alone = Start {
                request: request.number,
                when,
                tokens: need.tokens,
                seen_tokens: need.tokens,
                rated: *rated,
            };
            let starts = self.starts.entry(holder.clone()).or_default();
            while starts.front().is_some_and(|one| one.when < db.now * SCALE - (MINUTE + 3_000) * SCALE) {
                starts.pop_front();
            }
            starts.push_back(alone);
            let (requests, tokens) = (
                self.values(holder, REQUESTS, request.began).1,
                self.values(holder, TOKENS, request.began).1,
            );
            let mut wrong = None;
            if (rated.0 && requests < FAR) || (rated.1 && tokens < FAR) {
                let starts = &self.starts[holder];
                // Every minute that has this start in it.
                for end in starts.iter().map(|one| one.when).filter(|end| *end >= when) {
                    let minute =
                        starts.iter().filter(|one| one.when > end - MINUTE * SCALE + 60 && one.when <= end);
                    let (mut sum, mut sum_tokens) = (0, 0);
                    for one in minute {
                        sum += i64::from(one.rated.0);
                        sum_tokens += if one.rated.1 { one.tokens } else { 0 };
                    }
                    if rated.0 && sum > requests {
                        wrong = Some(format!(
                            "{holder:?} requests: {sum} of {requests} {:?} {:?}",
                            starts.iter().map(|one| (one.request, one.when, one.tokens)).collect::<Vec<_>>(),
                            db.rates
                                .iter()
                                .filter(|((h, _), _)| h == holder)
                                .map(|((_, s), c)| (s, c))
                                .collect::<Vec<_>>()
                        ));
                    } else if rated.1 && sum_tokens > tokens {
                        wrong = Some(format!(
                            "{holder:?} tokens: {sum_tokens} of {tokens} {:?} {:?}",
                            starts.iter().map(|one| (one.request, one.when, one.tokens)).collect::<Vec<_>>(),
                            db.rates
                                .iter()
                                .filter(|((h, _), _)| h == holder)
                                .map(|((_, s), c)| (s, c))
                                .collect::<Vec<_>>()
                        ));
                    }
                }
            }
            if let Some(wrong) = wrong {
                self.fail(format!("{wrong} at {} by {:?}: {}", db.now, request.node, request.name));
            }
            let max = self.values(holder, CONCURRENT, request.began).1;
            if max < FAR {
                let parallel = self.under_way.values().filter(|one| one.at.borrow().holders.contains(holder));
                let parallel = parallel.filter(|one| !self.is_lost(db, holder, one)).count() as i64 + 1;
                if parallel > max {
                    self.fail(format!(
                        "{holder:?} parallel: {parallel} of {max} at {} by {:?}: {}",
                        db.now, request.node, request.name
                    ));
                }
            }
        }
        if self.values(&request.key, ALIVE, request.began).1 == 0 {
            self.fail(format!(
                "{:?} is revoked, at {} by {:?}: {}",
                request.key, db.now, request.node, request.name
            ));
        }
        self.change_sums(&at, |sums| {
            sums.likely += need.likely;
            sums.worst += need.worst;
            sums.largest = sums.largest.max(need.worst);
            sums.seen_likely += need.likely;
            sums.seen_worst += need.worst;
        });
        self.under_way.insert(request.number, request.clone());
        self.unanswered.insert(request.number, request.clone());
        if request.node.is_some() {
            self.unwritten.push(request.clone());
            if self.unwritten.len() > 400 {
                self.unwritten.retain(|one| !db.usage.contains_key(&one.name));
            }
        }
        self.look_again(db, |holder| at.holders.contains(holder));
    }

    /// The database admits a request: it counts starts where a limit is set at that moment.
    pub fn admit_at_database(&mut self, db: &Db, request: &Rc<Request>) {
        {
            let mut at = request.at.borrow_mut();
            let Attempt { holders, rated, .. } = &mut *at;
            for (holder, rated) in holders.iter().zip(rated) {
                let has = |of: Limited| db.limits[holder].iter().any(|limit| limit.what == of);
                *rated = (rated.0 && has(Limited::Requests), rated.1 && has(Limited::Tokens));
            }
        }
        self.admit(db, request);
    }

    /// What is documented: a request that could not be written for longer than the grace of its node, and one that was
    /// under way at a node without a lease when a first limit was set.
    fn is_lost(&self, db: &Db, holder: &Holder, one: &Request) -> bool {
        if one.node.is_none() || db.usage.contains_key(&one.name) {
            return false;
        }
        let at = one.at.borrow();
        if self.excused.contains(&(holder.clone(), one.number)) {
            return true;
        }
        if db.reservations.get(&one.name).is_some_and(|one| one.until > db.now + 5) {
            return false;
        }
        db.nodes.get(&at.node).is_none_or(|row| row.until.min(one.began) + GRACE <= db.now + 5)
    }

    fn without_lost(
        &self,
        db: &Db,
        holder: &Holder,
        of: What,
        starts: &WindowStarts,
        mut sums: Sums,
    ) -> Sums {
        let start = window_start(of, starts);
        for one in &self.unwritten {
            let at = one.at.borrow();
            if !at.holders.contains(holder)
                || window_start(of, &at.starts) != start
                || !self.is_lost(db, holder, one)
            {
                continue;
            }
            if self.under_way.contains_key(&one.number) {
                sums.likely -= one.need.likely;
                sums.worst -= one.need.worst;
            } else if let Some(cost) = self.costs.get(&one.number) {
                sums.covered -= cost.min(&one.need.likely);
                sums.covered_worst -= cost.min(&one.need.worst);
            }
        }
        sums
    }

    /// Its work is done.
    pub fn done(&mut self, request: &Request, cost: i64, tokens: i64) {
        if self.under_way.remove(&request.number).is_none() {
            return;
        }
        let at = request.at.borrow().clone();
        self.change_sums(&at, |sums| {
            sums.likely -= request.need.likely;
            sums.worst -= request.need.worst;
            sums.covered += cost.min(request.need.likely);
            sums.covered_worst += cost.min(request.need.worst);
            sums.used += cost;
        });
        self.costs.insert(request.number, cost);
        self.correct(&at, request.number, |start| start.tokens = tokens);
    }

    fn correct(&mut self, at: &Attempt, number: u64, change: impl Fn(&mut Start)) {
        for holder in &at.holders {
            if let Some(starts) = self.starts.get_mut(holder) {
                starts.iter_mut().rev().filter(|one| one.request == number).for_each(&change);
            }
        }
    }

    /// Its answer has left.
    pub fn answer(&mut self, db: &Db, request: &Request, tokens: i64) {
        if self.unanswered.remove(&request.number).is_none() {
            return;
        }
        let at = request.at.borrow().clone();
        self.change_sums(&at, |sums| {
            sums.seen_likely -= request.need.likely;
            sums.seen_worst -= request.need.worst;
        });
        self.correct(&at, request.number, |start| start.seen_tokens = tokens);
        self.look_again(db, |holder| at.holders.contains(holder));
    }

    /// Its node died, or it was never forwarded.
    pub fn leave(&mut self, db: &Db, request: &Request, cost: i64, tokens: i64) {
        self.done(request, cost, tokens);
        self.answer(db, request, tokens);
    }

    pub fn of_node(&self, node: usize) -> Vec<Rc<Request>> {
        let all = self.under_way.values().chain(self.unanswered.values());
        let mut some: Vec<Rc<Request>> = all.filter(|one| one.node == Some(node)).cloned().collect();
        some.sort_by_key(|one| one.number);
        some.dedup_by_key(|one| one.number);
        some
    }

    /// When a limit is set for the first time, what a node without a lease has under way is not known.
    pub fn excuse(&mut self, db: &Db, holder: &Holder) {
        for one in &self.unwritten {
            let at = one.at.borrow();
            let is_silent = db.nodes.get(&at.node).is_none_or(|row| row.until <= db.now);
            if at.holders.contains(holder) && is_silent {
                self.excused.insert((holder.clone(), one.number));
            }
        }
    }

    /// Whether there is room for it anywhere, by the rule itself, under the strictest values that may be in force.
    fn fits(&self, db: &Db, request: &Request) -> bool {
        let (at, need) = (request.at.borrow(), request.need);
        // A call that took long asks about the moment when it was made.
        let second = (db.now.min(at.starts.at.ms() / SCALE) - 5) * SCALE / 1_000;
        at.holders.iter().all(|holder| {
            let money = (0..5).all(|of| {
                let (max, _) = self.values(holder, of, request.began);
                let one = |starts: &WindowStarts| {
                    let sums = self.sums(holder, of, starts);
                    let some = Self::in_window(&self.unanswered, holder, of, starts);
                    let largest = some.map(|one| one.need.worst).max().unwrap_or(0);
                    let left = max - sums.used;
                    let all = sums.seen_worst + need.worst;
                    let fits = if self.one_may_pass {
                        need.likely <= left - sums.seen_likely && all - largest.max(need.worst) <= left
                    } else {
                        all <= left
                    };
                    fits && left > 0
                };
                max == FAR || one(&db.windows(db.now - 5)) && one(&db.windows(db.now + 5))
            });
            let (requests, tokens) = (
                self.values(holder, REQUESTS, request.began).0,
                self.values(holder, TOKENS, request.began).0,
            );
            let (mut sum, mut sum_tokens) = (1, need.tokens);
            if requests < FAR || tokens < FAR {
                for one in self.starts.get(holder).into_iter().flatten() {
                    if (one.when + 5 * SCALE).div_euclid(1_000) >= second - 60 {
                        sum += 1;
                        sum_tokens += one.seen_tokens;
                    }
                }
            }
            let max = self.values(holder, CONCURRENT, request.began).0;
            let parallel = || {
                self.unanswered.values().filter(|one| one.at.borrow().holders.contains(holder)).count() as i64
            };
            money && sum <= requests && sum_tokens <= tokens && (max == FAR || parallel() < max)
        })
    }

    pub fn look(&self, db: &Db, request: &Request) {
        if !request.unfit.get() && !request.at.borrow().holders.is_empty() && !self.fits(db, request) {
            request.unfit.set(true);
        }
    }

    fn look_again(&self, db: &Db, concerns: impl Fn(&Holder) -> bool) {
        for request in self.pending.values() {
            let is_concerned = !request.unfit.get() && request.at.borrow().holders.iter().any(&concerns);
            if is_concerned {
                self.look(db, request);
            }
        }
    }

    pub fn is_calm(&self, now: i64) -> bool {
        now - self.trouble > GRACE + 5_000
    }

    /// A rejection is only right if there was a moment without room since the request came.
    pub fn rejected(&mut self, db: &Db, request: &Request, waited: bool) {
        self.count("rejected");
        self.look(db, request);
        if request.unfit.get() {
            return;
        }
        // The wait is bounded; slow calls in it are not. And at midnight the old day counts what is reserved in the new one.
        let turned = db.windows(db.now + 5).day > request.at.borrow().starts.day;
        if request.node.is_none() {
            return self.count("early: other programs");
        }
        if (waited && self.is_slow) || turned {
            return self.count("early: slow calls and midnight");
        }
        if !self.is_calm(db.now) {
            return self.count("early: after a fault");
        }
        self.fail(format!(
            "rejected although there was room all the time, for {} ms, at {} by {:?}: {} {:?} {:?}",
            db.now - request.began,
            db.now,
            request.node,
            request.name,
            request.need,
            request.at.borrow().holders
        ));
    }

    /// Invariant 6: every answered request has its row, and counters are their sum.
    pub fn check_the_end(&mut self, db: &Db) {
        let lost: Vec<&Arc<str>> =
            self.answered.iter().filter(|name| !db.usage.contains_key(*name)).take(5).collect();
        if !lost.is_empty() {
            let lost = format!("answered and not in the database: {lost:?}");
            self.fail(lost);
        }
        let mut sums = BTreeMap::<(Holder, usize, Moment), i64>::new();
        for row in db.usage.values() {
            for holder in &row.holders {
                for of in 0..4 {
                    *sums.entry((holder.clone(), of, window_start(of, &row.starts))).or_default() += row.cost;
                }
            }
        }
        if sums != db.counters {
            self.fail("counters are not the sum of their rows".into());
        }
        let wrong =
            self.sums.iter().find(|(place, sums)| db.counters.get(place).copied().unwrap_or(0) != sums.used);
        if let Some((place, sums)) = wrong {
            let wrong = format!("{place:?}: {} was used and {:?} counted", sums.used, db.counters.get(place));
            self.fail(wrong);
        }
    }
}
