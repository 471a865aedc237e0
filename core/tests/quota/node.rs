//! A gateway process around the real quota code: it registers, renews, hears of changes, asks, settles, dies.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use keydesk_core::admission::quota::{
    Ask, Decision, Demand, GrantRow, Holder, HolderLimits, Limit, NODE_RENEW_MS, Next, NodeLease, NodeQuota,
    ReservationId, Reserved,
};
use keydesk_core::domain::limit_use::Limited;
use keydesk_core::domain::moment::Moment;

use crate::db::{Change, Db, News, NodeId, SCALE, ToReserve, UsageRow};
use crate::planted::Planted;
use crate::truth::{Attempt, Request, Truth};
use crate::world::{Away, Lock, Owner, World, lock};

/// How often a node looks at the version; how long a request waits for what others give back, and how often it asks; when
/// an unused grant is given back.
const LOOK: i64 = 100;
const WAIT: i64 = 250;
const RETRY: i64 = 15;
const IDLE: i64 = 12_000;

/// Everything that a run shares.
pub struct Run {
    pub world: Rc<World>,
    pub db: Rc<RefCell<Db>>,
    pub truth: Rc<RefCell<Truth>>,
    pub nodes: Vec<Rc<Node>>,
    pub planted: Option<Planted>,
    pub numbers: Cell<u64>,
    pub is_over: Cell<bool>,
    pub big: i64,
    pub one_may_pass: bool,
    pub verbose: bool,
}

impl Run {
    pub fn is(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }
    pub fn log(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:7} {}", self.world.now.get(), line());
        }
    }
    pub fn range(&self, low: i64, high: i64) -> i64 {
        self.world.rng.borrow_mut().range(low, high)
    }
    pub fn choice<T: Clone>(&self, of: &[T]) -> T {
        self.world.rng.borrow_mut().choice(of)
    }
    /// A transaction, by somebody.
    pub async fn call<T: 'static>(
        &self,
        owner: Option<Owner>,
        name: &'static str,
        what: impl FnOnce(&mut Db, &mut Truth) -> T + 'static,
    ) -> Result<T, Away> {
        let (db, truth, world) = (self.db.clone(), self.truth.clone(), self.world.clone());
        let at_once = move || {
            let mut db = db.borrow_mut();
            db.now = world.now.get();
            what(&mut db, &mut truth.borrow_mut())
        };
        self.world.call(owner, name, at_once).await
    }
    pub fn outcome(&self, request: &Request) -> (i64, i64) {
        let need = &request.need;
        let cost = self.choice(&[0, need.likely / 2, need.likely, need.likely, need.worst]);
        let cost = if self.range(0, 99) < 2 { need.worst * 2 + 1 } else { cost };
        (cost, self.choice(&[0, need.tokens / 2, need.tokens]))
    }
    pub fn work_time(&self) -> i64 {
        self.choice(&[2, 20, 100, 400, 1_500, 5_000])
    }
}

struct Entry {
    is_revoked: bool,
    holders: Vec<HolderLimits>,
}

pub struct Node {
    pub index: usize,
    pub state: RefCell<State>,
}

pub struct State {
    pub is_up: bool,
    pub is_stopping: bool,
    pub id: NodeId,
    token: u64,
    quota: NodeQuota,
    lease: NodeLease,
    seen: usize,
    live: i64,
    skew: i64,
    keys: BTreeMap<Holder, Rc<Entry>>,
    loads: u64,
    pub journal: Vec<UsageRow>,
    /// The process before this one, which died.
    old: Option<NodeId>,
    /// What ended and is not settled.
    ended: BTreeMap<Arc<str>, UsageRow>,
    settled: u64,
    written: BTreeSet<Arc<str>>,
    lock: Rc<Lock>,
    starts: u32,
}

impl Node {
    pub fn new(index: usize) -> Rc<Self> {
        let state = State {
            is_up: false,
            is_stopping: false,
            id: 0,
            token: 0,
            quota: NodeQuota::default(),
            lease: NodeLease::default(),
            seen: 0,
            live: 1,
            skew: 0,
            keys: BTreeMap::new(),
            loads: 0,
            journal: Vec::new(),
            old: None,
            ended: BTreeMap::new(),
            settled: 0,
            written: BTreeSet::new(),
            lock: Rc::default(),
            starts: 0,
        };
        Rc::new(Self { index, state: RefCell::new(state) })
    }

    fn owner(&self, run: &Run) -> Owner {
        Owner { node: self.index, life: run.world.fates.borrow()[self.index].life }
    }

    pub fn start(self: &Rc<Self>, run: &Rc<Run>) {
        run.world.fates.borrow_mut()[self.index].life += 1;
        {
            let mut state = self.state.borrow_mut();
            state.starts += 1;
            state.id = self.index as NodeId * 1_000 + state.starts;
            state.token = run.range(1, i64::MAX / 2) as u64;
            (state.is_up, state.is_stopping) = (true, false);
            (state.quota, state.lease) = (NodeQuota::default(), NodeLease::default());
            (state.seen, state.live, state.settled) = (0, 1, 0);
            state.skew = run.range(-2, 2);
            state.keys.clear();
            state.ended.clear();
            state.written.clear();
            state.lock = Rc::default();
        }
        let (node, shared, owner) = (self.clone(), run.clone(), self.owner(run));
        run.world.spawn(Some(owner), async move { node.live_on(shared, owner).await });
    }

    /// Everything in memory is gone, and what was under way with it. The journal stays.
    pub fn kill(&self, run: &Run) {
        run.world.fates.borrow_mut()[self.index].life += 1;
        let mut state = self.state.borrow_mut();
        (state.is_up, state.old) = (false, Some(state.id));
        let (db, mut truth) = (run.db.borrow(), run.truth.borrow_mut());
        for request in truth.of_node(self.index) {
            let row = state.journal.iter().find(|row| row.request == request.name);
            let row = row.or_else(|| db.usage.get(&request.name));
            let (cost, tokens) = row.map_or((0, request.need.tokens), |row| (row.cost, row.tokens));
            truth.leave(&db, &request, cost, tokens);
        }
        truth.pending.retain(|_, one| one.node != Some(self.index));
        truth.trouble = truth.trouble.max(run.world.now.get());
    }

    // Its life: register, renew, look, hear.

    async fn live_on(self: Rc<Self>, run: Rc<Run>, owner: Owner) {
        loop {
            let (old, journal) = {
                let state = self.state.borrow();
                (state.old, state.journal.clone())
            };
            if let Some(old) = old {
                if run.call(Some(owner), "take over", move |db, _| db.take_over(old, &journal)).await.is_err()
                {
                    run.world.sleep(200).await;
                    continue;
                }
                let mut state = self.state.borrow_mut();
                state.old = None;
                state.journal.clear();
            }
            if self.register(&run, owner).await.is_ok() {
                break;
            }
            run.world.sleep(200).await;
        }
        let (node, shared) = (self.clone(), run.clone());
        run.world.spawn(Some(owner), async move { node.settle_on(shared, owner).await });
        let (node, shared) = (self.clone(), run.clone());
        run.world.spawn(Some(owner), async move { node.sweep_on(shared, owner).await });
        let (mut last, mut tell) = (run.world.now.get(), false);
        loop {
            run.world.sleep(LOOK + run.range(-5, 5)).await;
            let mut renews = tell || run.world.now.get() - last >= NODE_RENEW_MS;
            loop {
                match self.look(&run, owner, renews).await {
                    Err(Away) => {
                        tell = true;
                        break;
                    }
                    Ok(changed) => {
                        if renews {
                            (last, tell) = (run.world.now.get(), false);
                        }
                        if !changed {
                            break;
                        }
                        renews = true;
                    }
                }
            }
        }
    }

    /// Renews, or only looks; `true` when it heard of a change.
    async fn look(self: &Rc<Self>, run: &Rc<Run>, owner: Owner, renews: bool) -> Result<bool, Away> {
        let sent = run.world.now.get();
        let (id, token, seen) = {
            let state = self.state.borrow();
            (state.id, state.token, state.seen)
        };
        let news = if renews {
            let renewal = self.state.borrow_mut().lease.renewal();
            let news =
                run.call(Some(owner), "renew", move |db, _| db.renew(id, token, renewal, seen)).await?;
            let Some(news) = news else {
                self.begin_anew(run, owner).await?;
                return Ok(false);
            };
            self.state.borrow_mut().lease.renewed(renewal, sent);
            news
        } else {
            run.call(Some(owner), "look", move |db, _| db.news(id, seen)).await?
        };
        let changed = self.hear(run, news);
        if changed {
            // What is in use is in the database before the change is said to be seen.
            self.give_back(run, owner).await?;
        }
        Ok(changed)
    }

    async fn register(&self, run: &Rc<Run>, owner: Owner) -> Result<(), Away> {
        let sent = run.world.now.get();
        let (id, token) = {
            let state = self.state.borrow();
            (state.id, state.token)
        };
        let seen = run.call(Some(owner), "register", move |db, _| db.register(id, token)).await?;
        let mut state = self.state.borrow_mut();
        state.seen = seen;
        state.lease.registered(sent);
        Ok(())
    }

    /// Its row is not as it left it, so its grants are gone; what is in use is told anew.
    async fn begin_anew(&self, run: &Rc<Run>, owner: Owner) -> Result<(), Away> {
        run.log(|| format!("node{} begins anew", self.index));
        {
            let mut truth = run.truth.borrow_mut();
            truth.trouble = truth.trouble.max(run.world.now.get());
            let mut state = self.state.borrow_mut();
            state.lease.lost();
            state.token = run.range(1, i64::MAX / 2) as u64;
            state.keys.clear();
            state.loads += 1;
            if run.is(Planted::BegunAnewWithoutTelling) {
                state.quota = NodeQuota::default();
            }
            state.quota.begin_anew();
        }
        // Whether the batch under way is in the database has to be known before its counters are read.
        let batch = self.state.borrow_mut().quota.settlement().map_or(0, |batch| batch.number);
        while self.state.borrow().settled < batch && !run.is(Planted::BegunAnewWithoutTelling) {
            run.world.sleep(20).await;
        }
        self.register(run, owner).await?;
        self.give_back(run, owner).await
    }

    /// Drops what changed, at once; `true` when something did.
    fn hear(self: &Rc<Self>, run: &Rc<Run>, news: News) -> bool {
        let mut state = self.state.borrow_mut();
        state.live = news.live;
        for (_, change) in &news.changes {
            state.loads += 1;
            let (Change::Key(target) | Change::Limits(target)) = change;
            state
                .keys
                .retain(|key, entry| key != target && entry.holders.iter().all(|of| of.holder != *target));
            if matches!(change, Change::Limits(_)) && !run.is(Planted::GrantsOutliveAChange) {
                state.quota.recall(target, false);
            }
        }
        if !news.recalled.is_empty() {
            for holder in &news.recalled {
                state.quota.recall(holder, true);
            }
            let (node, shared, owner) = (self.clone(), run.clone(), self.owner(run));
            run.world.spawn(Some(owner), async move {
                let _ = node.give_back(&shared, owner).await;
            });
        }
        let last = news.changes.last().map_or(0, |(version, _)| *version);
        let changed = last > state.seen;
        state.seen = state.seen.max(last);
        changed
    }

    /// All that is due, in one transaction.
    async fn give_back(&self, run: &Rc<Run>, owner: Owner) -> Result<(), Away> {
        let queue = self.state.borrow().lock.clone();
        let _guard = lock(&run.world, &queue).await;
        let (told, id, token, call) = {
            let mut state = self.state.borrow_mut();
            let Some(told) = state.quota.give_back() else { return Ok(()) };
            (told, state.id, state.token, state.lease.next_call())
        };
        let message = told.clone();
        let answer =
            run.call(Some(owner), "give back", move |db, _| db.give_back(id, token, call, &message)).await;
        let mut state = self.state.borrow_mut();
        match answer {
            Ok(true) => {
                state.quota.given_back(&told);
                Ok(())
            }
            Ok(false) => {
                state.quota.give_back_lost(told);
                Err(Away)
            }
            Err(Away) => {
                state.quota.give_back_lost(told);
                let mut truth = run.truth.borrow_mut();
                truth.trouble = truth.trouble.max(run.world.now.get());
                Err(Away)
            }
        }
    }

    async fn sweep_on(self: Rc<Self>, run: Rc<Run>, owner: Owner) {
        loop {
            run.world.sleep(1_000).await;
            {
                let mut state = self.state.borrow_mut();
                let at = run.db.borrow().windows(run.world.now.get() + state.skew).at;
                state.quota.sweep(at, IDLE * SCALE);
                state.quota.publish(Moment::from_ms(at.ms() - 1_000));
            }
            let _ = self.give_back(&run, owner).await;
        }
    }

    // Admission.

    pub fn handle(self: &Rc<Self>, run: &Rc<Run>, request: Rc<Request>) {
        let (node, shared, owner) = (self.clone(), run.clone(), self.owner(run));
        run.truth.borrow_mut().pending.insert(request.number, request.clone());
        run.world.spawn(Some(owner), async move {
            let outcome = node.admitted(&shared, owner, &request).await;
            let at_database = matches!(outcome, Ok(Outcome::Admitted(_, true)));
            if let Some(id) = node.note(&shared, &request, outcome, at_database) {
                shared.world.sleep(shared.work_time()).await;
                node.finish(&shared, &request, id).await;
            }
        });
    }

    /// Notes what became of a request; under which id it was admitted, if it was.
    fn note(
        &self,
        run: &Run,
        request: &Rc<Request>,
        outcome: Result<Outcome, Away>,
        at_database: bool,
    ) -> Option<ReservationId> {
        let mut truth = run.truth.borrow_mut();
        truth.pending.remove(&request.number);
        match outcome {
            Ok(Outcome::Admitted(id, _)) => {
                truth.count(if at_database { "retail" } else { "leased" });
                return Some(id);
            }
            Ok(Outcome::Rejected(waited)) => truth.rejected(&run.db.borrow(), request, waited),
            Ok(Outcome::Unknown) => truth.count("unknown"),
            Err(Away) => {
                truth.count("away");
                // It may have been reserved by a call whose answer was lost; it was never forwarded.
                truth.leave(&run.db.borrow(), request, 0, 0);
            }
        }
        None
    }

    async fn admitted(&self, run: &Rc<Run>, owner: Owner, request: &Rc<Request>) -> Result<Outcome, Away> {
        let (mut until, mut tries) = (None, 0);
        loop {
            tries += 1;
            if tries > 1_000 {
                run.truth.borrow_mut().fail(format!("{} is decided again and again", request.name));
                return Err(Away);
            }
            let now = run.world.now.get();
            if !self.state.borrow().lease.is_valid(now) {
                if now - request.began > 1_000 {
                    return Err(Away);
                }
                run.world.sleep(20).await;
                continue;
            }
            let entry = self.state.borrow().keys.get(&request.key).cloned();
            let Some(entry) = entry else {
                self.load(run, owner, &request.key).await?;
                continue;
            };
            if entry.is_revoked {
                return Ok(Outcome::Unknown);
            }
            let decision = self.decide(run, request, &entry);
            let ask = match decision {
                Decision::Admitted(id, _) => {
                    run.truth.borrow_mut().admit(&run.db.borrow(), request);
                    return Ok(Outcome::Admitted(id, false));
                }
                Decision::Rejected(numbers, until) => {
                    run.log(|| {
                        format!("node{} {} rejects {numbers:?} until {until:?}", self.index, request.name)
                    });
                    return Ok(Outcome::Rejected(false));
                }
                Decision::Ask(ask) => ask,
            };
            run.log(|| format!("node{} {} {ask:?}", self.index, request.name));
            match ask {
                Ask::GiveBack => self.give_back(run, owner).await?,
                Ask::Take => self.take(run, owner, request, &entry).await?,
                Ask::Reserve => match self.reserve(run, owner, request, &entry).await? {
                    Ok(id) => return Ok(Outcome::Admitted(id, true)),
                    Err(Next::Wait(_)) => {
                        let until = *until.get_or_insert(run.world.now.get() + WAIT);
                        if run.world.now.get() >= until || run.is(Planted::RejectedAtOnce) {
                            return Ok(Outcome::Rejected(true));
                        }
                        run.world.sleep(RETRY).await;
                    }
                    Err(Next::Rejected(..)) => return Ok(Outcome::Rejected(false)),
                    Err(Next::Again | Next::Admitted) => {}
                },
            }
        }
    }

    async fn load(&self, run: &Rc<Run>, owner: Owner, key: &Holder) -> Result<(), Away> {
        let (before, of) = (self.state.borrow().loads, key.clone());
        let facts = run.call(Some(owner), "load", move |db, _| db.facts(&of)).await?;
        let holders = facts.holders.into_iter().map(|(holder, limits)| HolderLimits { holder, limits });
        let entry = Rc::new(Entry { is_revoked: facts.is_revoked, holders: holders.collect() });
        let mut state = self.state.borrow_mut();
        // What changed while it was read may be missing in it.
        if before == state.loads {
            state.keys.insert(key.clone(), entry);
        }
        Ok(())
    }

    fn attempt(&self, run: &Run, request: &Request, entry: &Entry) -> Attempt {
        let state = self.state.borrow();
        let has = |limits: &[Limit], what| limits.iter().any(|limit| limit.what == what);
        let rated =
            |of: &HolderLimits| (has(&of.limits, Limited::Requests), has(&of.limits, Limited::Tokens));
        let starts = run.db.borrow().windows(run.world.now.get() + state.skew);
        let at = Attempt {
            holders: entry.holders.iter().map(|of| of.holder.clone()).collect(),
            starts,
            rated: entry.holders.iter().map(rated).collect(),
            node: state.id,
        };
        *request.at.borrow_mut() = at.clone();
        run.truth.borrow().look(&run.db.borrow(), request);
        at
    }

    fn decide(&self, run: &Run, request: &Request, entry: &Entry) -> Decision {
        let at = self.attempt(run, request, entry);
        self.state.borrow_mut().quota.try_admit(&demand(run, request, entry, &at))
    }

    /// One call at a time; when its turn comes, another request may have asked already.
    async fn take(&self, run: &Rc<Run>, owner: Owner, request: &Request, entry: &Entry) -> Result<(), Away> {
        let queue = self.state.borrow().lock.clone();
        let _guard = lock(&run.world, &queue).await;
        let at = self.attempt(run, request, entry);
        let (asked, id, token, call) = {
            let mut state = self.state.borrow_mut();
            if !state.lease.is_valid(run.world.now.get()) {
                return Ok(());
            }
            let Some(asked) = state.quota.take(&demand(run, request, entry, &at)) else { return Ok(()) };
            (asked, state.id, state.token, state.lease.next_call())
        };
        let message = asked.clone();
        let answer =
            run.call(Some(owner), "take", move |db, _| db.take(id, token, call, &message, &at.starts)).await;
        let mut state = self.state.borrow_mut();
        match answer {
            Ok(Some(taken)) if state.token == token => {
                state.quota.taken(&asked, taken);
                Ok(())
            }
            _ => {
                state.quota.take_lost(&asked);
                Err(Away)
            }
        }
    }

    /// By the function that every other gateway calls.
    async fn reserve(
        &self,
        run: &Rc<Run>,
        owner: Owner,
        request: &Rc<Request>,
        entry: &Entry,
    ) -> Result<Result<ReservationId, Next>, Away> {
        let at = self.attempt(run, request, entry);
        let begun = self.state.borrow_mut().quota.begin_reserve(&demand(run, request, entry, &at));
        let Some(asked) = begun else { return Ok(Err(Next::Again)) };
        let new = ToReserve {
            request: request.name.clone(),
            holders: at.holders.clone(),
            need: asked.need,
            starts: at.starts,
        };
        let (node, there, judged) = (self.state.borrow().id, request.clone(), asked.judged.clone());
        let (world, is_given_up) = (run.world.clone(), Rc::new(Cell::new(false)));
        let gave_up = is_given_up.clone();
        let answer = run
            .call(Some(owner), "reserve", move |db, truth| {
                let answer = db.reserve(&new, Some(node), &judged);
                // When its node died meanwhile, or has answered already, it is never forwarded.
                let is_late = !world.is_alive(owner) || gave_up.get();
                if matches!(answer, Reserved::Fits { .. }) && !is_late {
                    truth.admit_at_database(db, &there);
                }
                answer
            })
            .await;
        let mut state = self.state.borrow_mut();
        let live = state.live;
        match answer {
            Err(Away) => {
                is_given_up.set(true);
                state.quota.reserve_lost(&asked);
                Err(Away)
            }
            Ok(answer) => {
                run.log(|| format!("node{} {} {answer:?}", self.index, request.name));
                Ok(match state.quota.reserved(&asked, &demand(run, request, entry, &at), answer, live) {
                    Next::Admitted => Ok(asked.id),
                    next => Err(next),
                })
            }
        }
    }

    // The end of a request.

    async fn finish(&self, run: &Rc<Run>, request: &Rc<Request>, id: ReservationId) {
        let (cost, tokens) = run.outcome(request);
        let waits = {
            let mut state = self.state.borrow_mut();
            let waits = state.quota.end(id, cost, tokens);
            let at = request.at.borrow();
            let row = UsageRow {
                request: request.name.clone(),
                holders: at.holders.clone(),
                starts: at.starts,
                cost,
                tokens,
                corrections: Vec::new(),
            };
            if !run.is(Planted::AnsweredBeforeTheJournal) {
                state.journal.push(row.clone());
            }
            state.ended.insert(request.name.clone(), row);
            run.truth.borrow_mut().done(request, cost, tokens);
            waits
        };
        if waits && !run.is(Planted::AnswersDoNotWait) {
            while !self.state.borrow().written.contains(&request.name) {
                run.world.sleep(1).await;
            }
        }
        self.state.borrow_mut().written.remove(&request.name);
        let mut truth = run.truth.borrow_mut();
        truth.answer(&run.db.borrow(), request, tokens);
        truth.answered.insert(request.name.clone());
    }

    /// One writer: all that ended meanwhile is the next batch, repeated until it is known to be written.
    async fn settle_on(self: Rc<Self>, run: Rc<Run>, owner: Owner) {
        loop {
            let batch = {
                let mut guard = self.state.borrow_mut();
                let state = &mut *guard;
                state.quota.settlement().map(|batch| {
                    let rows = batch.requests.iter().filter_map(|(request, corrections)| {
                        let row = state.ended.get(request)?;
                        Some(UsageRow { corrections: corrections.clone(), ..row.clone() })
                    });
                    let rows: Vec<UsageRow> = rows.collect();
                    (batch.number, rows, batch.consumed.clone(), state.id)
                })
            };
            let Some((number, rows, consumed, id)) = batch else {
                run.world.sleep(5).await;
                continue;
            };
            let names: Vec<Arc<str>> = rows.iter().map(|row| row.request.clone()).collect();
            let apart: Vec<GrantRow> = consumed.clone();
            if run.is(Planted::ConsumedApart) {
                let _ = run.call(Some(owner), "consume", move |db, _| db.consume(Some(id), &apart)).await;
            }
            let answer = run
                .call(Some(owner), "settle", move |db, _| db.settle(Some(id), number, &rows, &consumed))
                .await;
            if answer.is_err() {
                run.world.sleep(100).await;
                continue;
            }
            let mut state = self.state.borrow_mut();
            state.quota.settled(number);
            state.settled = number;
            for name in names {
                state.ended.remove(&name);
                state.journal.retain(|row| row.request != name);
                state.written.insert(name);
            }
        }
    }

    /// Clean: what is under way ends, everything is written and given back, and its row goes.
    pub async fn stop(self: Rc<Self>, run: Rc<Run>, owner: Owner) {
        self.state.borrow_mut().is_stopping = true;
        loop {
            let is_busy = {
                let (state, truth) = (self.state.borrow(), run.truth.borrow());
                let is_pending = truth.pending.values().any(|one| one.node == Some(self.index));
                !state.ended.is_empty() || is_pending || !truth.of_node(self.index).is_empty()
            };
            if !is_busy {
                break;
            }
            run.world.sleep(20).await;
        }
        self.state.borrow_mut().quota.give_back_all();
        let id = self.state.borrow().id;
        let is_told = self.give_back(&run, owner).await.is_ok();
        if is_told && run.call(Some(owner), "leave", move |db, _| db.leave(id)).await.is_ok() {
            self.state.borrow_mut().is_up = false;
            run.world.fates.borrow_mut()[self.index].life += 1;
        } else {
            self.kill(&run);
        }
    }
}

enum Outcome {
    /// Also whether the database reserved it.
    Admitted(ReservationId, bool),
    /// Also whether it waited for others.
    Rejected(bool),
    /// Its key is.
    Unknown,
}

fn demand<'a>(run: &Run, request: &'a Request, entry: &'a Entry, at: &Attempt) -> Demand<'a> {
    Demand {
        request: &request.name,
        holders: &entry.holders,
        starts: at.starts,
        need: request.need,
        one_may_pass: run.one_may_pass,
    }
}

impl State {
    /// What keeps a node from stopping.
    pub fn busy(&self, run: &Run, index: usize) -> String {
        let truth = run.truth.borrow();
        let pending: Vec<u64> =
            truth.pending.values().filter(|one| one.node == Some(index)).map(|one| one.number).collect();
        let under_way: Vec<u64> = truth.of_node(index).iter().map(|one| one.number).collect();
        format!("node{index}: ended {:?}, pending {pending:?}, under way {under_way:?}", self.ended.keys())
    }
}
