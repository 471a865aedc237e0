//! One run: nodes, those who change the configuration, programs that reserve request by request, and what goes wrong.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use keydesk_core::admission::quota::{Holder, Limit, NODE_LEASE_MS, Need, Reserved};
use keydesk_core::domain::limit_use::{HolderKind, Limited};

use crate::db::{
    CONCURRENT, Change, Db, FAR, GRACE, REQUESTS, TOKENS, ToReserve, UsageRow, WHATS, What, holder, what,
};
use crate::node::{Node, Run};
use crate::planted::Planted;
use crate::truth::{ALIVE, Attempt, Request, Truth};
use crate::world::{Fate, Owner, World};

/// How long requests come, in milliseconds.
const UNTIL: i64 = 60_000;

/// What a seed decides besides the order of events.
struct Setup {
    tightness: i64,
    pace: i64,
    has_faults: bool,
    has_outsiders: bool,
}

impl Run {
    pub fn new(seed: u64, planted: Option<Planted>, verbose: bool) -> Rc<Self> {
        let world = World::new(seed);
        let (count, slow, big, day, one_may_pass) = {
            let mut rng = world.rng.borrow_mut();
            (
                rng.choice(&[1, 1, 2, 2, 3, 3, 4, 5]),
                rng.choice(&[0, 10, 10, 50, 200]),
                rng.choice(&[2, 2, 20]),
                rng.choice(&[0, 13_000, 26_000]),
                !rng.chance(250),
            )
        };
        world.slow.set(slow);
        *world.fates.borrow_mut() = vec![Fate { paused_until: 0, cut_until: -1, life: 0 }; count];
        let offset = world.rng.borrow_mut().range(0, day.max(1));
        let db = Db { planted, one_may_pass, day: (day, offset), ..Db::default() };
        let mut truth = Truth::new(one_may_pass);
        truth.is_slow = slow > 20;
        Rc::new(Run {
            world,
            db: Rc::new(RefCell::new(db)),
            truth: Rc::new(RefCell::new(truth)),
            nodes: (0..count).map(Node::new).collect(),
            planted,
            numbers: Cell::new(0),
            is_over: Cell::new(false),
            big,
            one_may_pass,
            verbose,
        })
    }

    /// About as much as a run uses, times the run's tightness.
    fn some_limit(&self, setup: &Setup, holder: &Holder, of: What, always: bool) -> Option<i64> {
        let (chance, base) = match of {
            0 | 4 => (35, 4_000),
            1 => (25, 3_000),
            2 => (25, 2_200),
            3 => (40, 1_500),
            REQUESTS => (40, 80),
            TOKENS => (40, 2_000),
            _ => (40, 8),
        };
        let is_possible = match holder.kind {
            HolderKind::Org => of <= 4,
            _ => of != 4,
        };
        if !is_possible || (self.range(0, 99) >= chance && !always) {
            return None;
        }
        let size = holder.kind as i64 + 1;
        Some((base * size * setup.tightness * self.range(30, 150) / 1_000).max(1))
    }

    pub fn whole(self: &Rc<Self>, seed: u64) -> Result<(), String> {
        let setup = Rc::new(Setup {
            tightness: self.choice(&[3, 10, 20, 40, 100]),
            pace: self.choice(&[15, 40, 100]),
            has_faults: !seed.is_multiple_of(3),
            has_outsiders: seed % 4 == 1,
        });
        let org = holder(HolderKind::Org, "org");
        let keys: Vec<Holder> =
            (0..self.range(1, 4)).map(|n| holder(HolderKind::Key, &format!("key{n}"))).collect();
        let teams: Vec<Holder> =
            (0..self.range(1, 2)).map(|n| holder(HolderKind::Team, &format!("team{n}"))).collect();
        {
            let (mut db, mut truth) = (self.db.borrow_mut(), self.truth.borrow_mut());
            db.org = Some(org.clone());
            for one in keys.iter().chain(&teams).chain([&org]) {
                let mut limits = Vec::new();
                for (of, limited) in WHATS.into_iter().enumerate() {
                    let max = self.some_limit(&setup, one, of, false);
                    truth.set(&db, one, of, max, 0);
                    limits.extend(max.map(|max| Limit { what: limited, max, enforced: true }));
                }
                db.limits.insert(one.clone(), limits);
            }
            for key in &keys {
                truth.set(&db, key, ALIVE, Some(1), 0);
                let team = self.choice(&teams);
                db.teams.insert(key.clone(), team);
            }
        }
        let keys: Rc<[Holder]> = keys.into();
        let teams: Rc<[Holder]> = teams.into();
        self.nodes.iter().for_each(|node| node.start(self));
        let world = self.world.clone();
        world.spawn(None, Self::arrivals(self.clone(), setup.clone(), keys.clone()));
        world.spawn(None, Self::people(self.clone(), setup.clone(), keys.clone(), teams));
        world.spawn(None, Self::sweeps(self.clone()));
        if setup.has_outsiders {
            world.spawn(None, Self::outsiders(self.clone(), keys));
        }
        if setup.has_faults {
            world.spawn(None, Self::chaos(self.clone()));
        }
        for until in (1_000..=UNTIL + 12_000).step_by(1_000) {
            world.run(until);
            self.check()?;
        }
        // All that fell comes back, and then all that is up ends.
        for node in &self.nodes {
            world.fates.borrow_mut()[node.index].cut_until = -1;
            self.bring_back(node);
        }
        world.run(world.now.get() + 8_000);
        self.is_over.set(true);
        for node in &self.nodes {
            let is_up = node.state.borrow().is_up && !node.state.borrow().is_stopping;
            if is_up {
                self.stop(node);
            }
        }
        world.run(world.now.get() + GRACE + NODE_LEASE_MS + 30_000);
        self.check()?;
        self.truth.borrow_mut().check_the_end(&self.db.borrow());
        self.check()?;
        let db = self.db.borrow();
        let left: Vec<_> = db
            .grants
            .iter()
            .filter(|(_, grant)| grant.granted > grant.consumed)
            .map(|(place, _)| place)
            .collect();
        let up: Vec<usize> =
            self.nodes.iter().filter(|node| node.state.borrow().is_up).map(|node| node.index).collect();
        if left.is_empty() && db.whole.is_empty() && db.reservations.is_empty() && up.is_empty() {
            return Ok(());
        }
        for node in &self.nodes {
            self.log(|| node.state.borrow().busy(self, node.index));
        }
        let reserved: Vec<_> = db.reservations.keys().collect();
        Err(format!("left at the end: {left:?} {:?} {reserved:?}, up: {up:?}", db.whole))
    }

    fn check(&self) -> Result<(), String> {
        if self.world.is_exhausted() {
            return Err(format!("too many events, at {}", self.world.now.get()));
        }
        self.truth.borrow().violation.clone().map_or(Ok(()), Err)
    }

    fn owner(&self, node: &Node) -> Owner {
        Owner { node: node.index, life: self.world.fates.borrow()[node.index].life }
    }

    fn stop(self: &Rc<Self>, node: &Rc<Node>) {
        let owner = self.owner(node);
        self.world.spawn(Some(owner), node.clone().stop(self.clone(), owner));
    }

    fn bring_back(self: &Rc<Self>, node: &Rc<Node>) {
        let is_up = node.state.borrow().is_up;
        if !is_up && !self.is_over.get() {
            node.start(self);
        }
    }

    fn request(&self, keys: &[Holder], node: Option<usize>) -> Rc<Request> {
        self.numbers.set(self.numbers.get() + 1);
        let is_big = self.range(0, 99) < self.big;
        let likely = self.choice(&[0, 1, 5, 10, 20]) * if is_big { 20 } else { 1 };
        let worst = likely * self.choice(&[1, 1, 2, 6]) + self.choice(&[0, 0, 3]);
        let tokens = self.choice(&[0, 5, 20, 50]) * if is_big { 10 } else { 1 };
        let number = self.numbers.get();
        let starts = self.db.borrow().windows(self.world.now.get());
        Rc::new(Request {
            number,
            name: Arc::from(format!("r{number}")),
            key: self.choice(keys),
            need: Need { likely, worst, tokens, ..Need::default() },
            began: self.world.now.get(),
            node,
            skew: 0,
            at: RefCell::new(Attempt { holders: Vec::new(), starts, rated: Vec::new(), node: 0 }),
            unfit: Cell::new(false),
        })
    }

    async fn arrivals(run: Rc<Self>, setup: Rc<Setup>, keys: Rc<[Holder]>) {
        let mut favourite = run.choice(&run.nodes);
        while run.world.now.get() < UNTIL {
            let pace = setup.pace;
            run.world.sleep(run.choice(&[0, 1, pace / 2, pace, pace * 3])).await;
            if run.range(0, 99) < 1 {
                favourite = run.choice(&run.nodes);
            }
            let node = if run.range(0, 9) < 4 { favourite.clone() } else { run.choice(&run.nodes) };
            let takes = node.state.borrow().is_up && !node.state.borrow().is_stopping;
            if takes {
                node.handle(&run, run.request(&keys, Some(node.index)));
            }
        }
    }

    /// Gateways in other languages: they read, reserve, settle, and keep nothing.
    async fn outsiders(run: Rc<Self>, keys: Rc<[Holder]>) {
        while run.world.now.get() < UNTIL {
            run.world.sleep(run.choice(&[20, 100, 300])).await;
            let request = run.request(&keys, None);
            run.world.spawn(None, Self::outside(run.clone(), request));
        }
    }

    async fn outside(run: Rc<Self>, request: Rc<Request>) {
        let key = request.key.clone();
        let Ok(facts) = run.call(None, "facts", move |db, _| db.facts(&key)).await else { return };
        if facts.is_revoked {
            return;
        }
        let starts = run.db.borrow().windows(run.world.now.get());
        let has = |limits: &[Limit], what| limits.iter().any(|limit| limit.what == what);
        let holders: Vec<Holder> = facts.holders.iter().map(|(holder, _)| holder.clone()).collect();
        let rated = facts
            .holders
            .iter()
            .map(|(_, limits)| (has(limits, Limited::Requests), has(limits, Limited::Tokens)));
        *request.at.borrow_mut() =
            Attempt { holders: holders.clone(), starts, rated: rated.collect(), node: 0 };
        {
            let mut truth = run.truth.borrow_mut();
            truth.pending.insert(request.number, request.clone());
            truth.look(&run.db.borrow(), &request);
        }
        let new =
            ToReserve { request: request.name.clone(), holders: holders.clone(), need: request.need, starts };
        let there = request.clone();
        let answer = run.call(None, "reserve v1", move |db, truth| {
            let answer = db.reserve(&new, None, &[]);
            if matches!(answer, Reserved::Fits { .. }) {
                truth.admit_at_database(db, &there);
            }
            answer
        });
        let answer = answer.await;
        run.truth.borrow_mut().pending.remove(&request.number);
        if !matches!(answer, Ok(Reserved::Fits { .. })) {
            return run.truth.borrow_mut().rejected(&run.db.borrow(), &request, false);
        }
        run.truth.borrow_mut().count("other programs");
        if run.range(0, 99) < 2 {
            // It died: its reservation ends by itself.
            run.world.sleep(GRACE - 50).await;
            run.truth.borrow_mut().done(&request, 0, request.need.tokens);
            run.world.sleep(100).await;
            return run.truth.borrow_mut().answer(&run.db.borrow(), &request, request.need.tokens);
        }
        run.world.sleep(run.work_time()).await;
        let (cost, tokens) = run.outcome(&request);
        let row = UsageRow {
            request: request.name.clone(),
            holders,
            starts,
            cost,
            tokens,
            corrections: Vec::new(),
        };
        let _ = run
            .call(None, "settle v1", move |db, truth| {
                db.settle(None, 0, &[row], &[]);
                truth.leave(db, &request, cost, tokens);
                truth.answered.insert(request.name.clone());
            })
            .await;
    }

    async fn people(run: Rc<Self>, setup: Rc<Setup>, keys: Rc<[Holder]>, teams: Rc<[Holder]>) {
        while run.world.now.get() < UNTIL {
            run.world.sleep(run.choice(&[200, 1_000, 3_000, 6_000])).await;
            let act = run
                .choice(&["limit", "limit", "limit", "limit", "revoke", "revive", "revive", "move", "both"]);
            let key = run.choice(&keys);
            let spawn = |act: &'static str, key: &Holder| {
                let person = Self::person(run.clone(), setup.clone(), act, key.clone(), teams.clone());
                run.world.spawn(None, person);
            };
            if act != "both" {
                spawn(act, &key);
                continue;
            }
            // The second change comes while what the first one dropped is being read.
            for act in ["revive", "revoke", "revive"] {
                spawn(act, &key);
                run.world.sleep(run.choice(&[100, 110, 130])).await;
            }
        }
    }

    async fn person(run: Rc<Self>, setup: Rc<Setup>, act: &'static str, key: Holder, teams: Rc<[Holder]>) {
        let (place, version) = match act {
            "limit" => {
                let (of, target, value) = {
                    let db = run.db.borrow();
                    let all: Vec<Holder> = db.limits.keys().cloned().collect();
                    let target = run.choice(&all);
                    let some = if target.kind == HolderKind::Org { 0..=4 } else { 0..=CONCURRENT };
                    let of = run.choice(
                        &some.filter(|of| target.kind == HolderKind::Org || *of != 4).collect::<Vec<_>>(),
                    );
                    let old = db.limits[&target]
                        .iter()
                        .find(|limit| what(limit.what) == of)
                        .map_or(100, |limit| limit.max);
                    let fresh = run.some_limit(&setup, &target, of, false);
                    (of, target, run.choice(&[fresh, fresh, Some((old / 3).max(1))]))
                };
                let holder = target.clone();
                let done = run.call(None, "change", move |db, truth| {
                    let limits = db.limits.get_mut(&holder).unwrap();
                    limits.retain(|limit| what(limit.what) != of);
                    limits.extend(value.map(|max| Limit { what: WHATS[of], max, enforced: true }));
                    let place = truth.set(db, &holder, of, value, FAR);
                    (place, db.change(Change::Limits(holder)))
                });
                let Ok((place, version)) = done.await else { return };
                (Some((target, of, place)), version)
            }
            "move" => {
                let team = run.choice(&teams);
                let done = run.call(None, "change", move |db, _| {
                    db.teams.insert(key.clone(), team);
                    db.change(Change::Key(key))
                });
                let Ok(version) = done.await else { return };
                (None, version)
            }
            _ => {
                let (alive, target) = (act == "revive", key.clone());
                let done = run.call(None, "change", move |db, truth| {
                    if alive {
                        db.revoked.remove(&key);
                    } else {
                        db.revoked.insert(key.clone());
                    }
                    let place = truth.set(db, &key, ALIVE, Some(i64::from(alive)), FAR);
                    (place, db.change(Change::Key(key)))
                });
                let Ok((place, version)) = done.await else { return };
                (Some((target, ALIVE, place)), version)
            }
        };
        let committed = run.world.now.get();
        loop {
            let seen = run.call(None, "unseen", move |db, _| db.have_seen(version)).await;
            // By then every lease that does not know of it is over.
            let is_long = run.world.now.get() - committed > NODE_LEASE_MS + 100;
            if matches!(seen, Ok(true)) || is_long || run.is(Planted::AnsweredWithoutWaiting) {
                break;
            }
            run.world.sleep(10).await;
        }
        run.log(|| format!("{act} {place:?} answered after {} ms", run.world.now.get() - committed));
        if let Some((target, of, place)) = place {
            let (now, mut truth) = (run.world.now.get(), run.truth.borrow_mut());
            truth.set_answered(&target, of, place, now);
            if act == "limit" {
                let mut db = run.db.borrow_mut();
                db.now = now;
                truth.excuse(&db, &target);
            }
        }
    }

    async fn chaos(run: Rc<Self>) {
        while run.world.now.get() < UNTIL - 5_000 {
            run.world.sleep(run.choice(&[500, 2_000, 5_000, 15_000])).await;
            let node = run.choice(&run.nodes);
            let act = run.choice(&["kill", "kill", "cut", "cut", "pause", "stop", "failover"]);
            let span = run.choice(&[50, 400, 1_900, 2_500, 6_000, 25_000]);
            let is_up = node.state.borrow().is_up;
            if !is_up {
                continue;
            }
            let now = run.world.now.get();
            run.log(|| format!("{act} node{} for {span}", node.index));
            {
                let mut truth = run.truth.borrow_mut();
                truth.trouble = truth.trouble.max(now + span.max(3_000));
            }
            match act {
                "kill" => {
                    node.kill(&run);
                    run.later(span, node);
                }
                "cut" => run.world.fates.borrow_mut()[node.index].cut_until = now + span,
                "pause" => run.world.fates.borrow_mut()[node.index].paused_until = now + span.min(6_000),
                // The standby lacks the last renewals, and nothing is served until every lease is over.
                "failover" => {
                    run.world.down_until.set(now + 2_500);
                    for fate in run.world.fates.borrow_mut().iter_mut() {
                        fate.cut_until = fate.cut_until.max(now + 2_500);
                    }
                    for row in run.db.borrow_mut().nodes.values_mut() {
                        (row.turn, row.until) = (row.turn - 1, row.until - 400);
                    }
                }
                _ => {
                    let is_stopping = node.state.borrow().is_stopping;
                    if !is_stopping {
                        run.stop(&node);
                        run.later(10_000, node);
                    }
                }
            }
        }
    }

    fn later(self: &Rc<Self>, span: i64, node: Rc<Node>) {
        let run = self.clone();
        self.world.spawn(None, async move {
            run.world.sleep(span).await;
            run.bring_back(&node);
        });
    }

    async fn sweeps(run: Rc<Self>) {
        loop {
            run.world.sleep(5_000).await;
            let _ = run.call(None, "sweep", |db, _| db.sweep()).await;
        }
    }
}
