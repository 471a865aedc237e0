//! The kernel of the simulation: one clock, one order of events, processes that wait, and calls of the database that are
//! slow, lost, or run after their caller gave up. A seed decides everything.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The database did not answer; whether it did what was asked is unknown.
#[derive(Clone, Copy, Debug)]
pub struct Away;

/// Random numbers that follow from a seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// From `low` to `high`, both included.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }
    /// With this probability, in thousandths.
    pub fn chance(&mut self, thousandths: i64) -> bool {
        self.range(0, 999) < thousandths
    }
    pub fn choice<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.range(0, of.len() as i64 - 1) as usize].clone()
    }
}

/// A process of a node: it ends when its node's life does, and waits while the node is paused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub node: usize,
    pub life: u64,
}

/// What the kernel knows of a node.
#[derive(Clone, Copy, Default)]
pub struct Fate {
    pub life: u64,
    pub paused_until: i64,
    pub cut_until: i64,
}

/// More than any run needs: processes that keep each other busy.
pub const EVENTS: u64 = 3_000_000;

type Process = Pin<Box<dyn Future<Output = ()>>>;
/// Whose process it is, and the process unless it runs at the moment.
type Task = (Option<Owner>, Option<Process>);

pub struct World {
    pub now: Cell<i64>,
    pub rng: RefCell<Rng>,
    /// How many calls in a thousand are slow.
    pub slow: Cell<i64>,
    pub fates: RefCell<Vec<Fate>>,
    heap: RefCell<BinaryHeap<Reverse<(i64, u64, u64)>>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    count: Cell<u64>,
    current: Cell<u64>,
    pub calls: RefCell<BTreeMap<&'static str, u64>>,
    /// Until when the database serves nobody.
    pub down_until: Cell<i64>,
}

impl World {
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            rng: RefCell::new(Rng::new(seed)),
            slow: Cell::new(0),
            fates: RefCell::default(),
            heap: RefCell::default(),
            tasks: RefCell::default(),
            count: Cell::new(0),
            current: Cell::new(0),
            calls: RefCell::default(),
            down_until: Cell::new(0),
        })
    }

    pub fn is_exhausted(&self) -> bool {
        self.count.get() > EVENTS
    }

    fn number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    fn wake(&self, at: i64, task: u64) {
        let event = (at.max(self.now.get()), self.number(), task);
        self.heap.borrow_mut().push(Reverse(event));
    }

    pub fn spawn(&self, owner: Option<Owner>, process: impl Future<Output = ()> + 'static) {
        let task = self.number();
        self.tasks.borrow_mut().insert(task, (owner, Some(Box::pin(process))));
        self.wake(self.now.get(), task);
    }

    pub fn is_alive(&self, owner: Owner) -> bool {
        self.fates.borrow()[owner.node].life == owner.life
    }

    pub fn is_cut(&self, owner: Option<Owner>) -> bool {
        owner.is_some_and(|owner| self.fates.borrow()[owner.node].cut_until >= self.now.get())
    }

    pub fn run(&self, until: i64) {
        loop {
            let Some(Reverse((at, _, task))) = self.heap.borrow().peek().copied() else { break };
            if at > until {
                break;
            }
            self.heap.borrow_mut().pop();
            self.now.set(at);
            self.step(task);
            if self.count.get() > EVENTS {
                return;
            }
        }
        self.now.set(until);
    }

    /// Processes that wait have each other and the run; they are dropped with what they have.
    pub fn end(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        self.heap.borrow_mut().clear();
    }

    fn step(&self, task: u64) {
        let mut process = {
            let mut tasks = self.tasks.borrow_mut();
            let Some((owner, process)) = tasks.get_mut(&task) else { return };
            if let Some(owner) = *owner {
                let fate = self.fates.borrow()[owner.node];
                if fate.life != owner.life {
                    let dead = tasks.remove(&task);
                    drop(tasks);
                    drop(dead);
                    return;
                }
                if fate.paused_until > self.now.get() {
                    return self.wake(fate.paused_until, task);
                }
            }
            match process.take() {
                Some(process) => process,
                None => return,
            }
        };
        self.current.set(task);
        let poll = process.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut tasks = self.tasks.borrow_mut();
        if poll.is_ready() {
            tasks.remove(&task);
        } else if let Some((_, place)) = tasks.get_mut(&task) {
            *place = Some(process);
        }
    }

    pub async fn sleep(self: &Rc<Self>, ms: i64) {
        Sleep { world: self.clone(), ms: Some(ms) }.await;
    }

    pub fn latency(&self) -> i64 {
        let mut rng = self.rng.borrow_mut();
        if rng.chance(self.slow.get()) { rng.range(20, 60) } else { rng.range(0, 2) }
    }

    /// One call: it is executed at one moment between its sending and its answer. Either may be lost, and a call that was
    /// given up may be executed later.
    pub async fn call<T: 'static>(
        self: &Rc<Self>,
        owner: Option<Owner>,
        name: &'static str,
        what: impl FnOnce() -> T + 'static,
    ) -> Result<T, Away> {
        let answer = Rc::new(Answer { value: RefCell::new(None), waiter: Cell::new(None) });
        let (there, world, lost) = (answer.clone(), self.clone(), self.now.get() + 300);
        self.spawn(None, async move {
            world.sleep(world.latency()).await;
            if owner.is_none() {
                world.sleep(world.down_until.get() - world.now.get()).await;
            }
            if world.is_cut(owner) {
                let is_late = world.rng.borrow_mut().chance(200);
                world.sleep(lost - world.now.get()).await;
                there.give(&world, Err(Away));
                if is_late {
                    let late = world.rng.borrow_mut().range(1, 2_000);
                    world.sleep(late).await;
                    *world.calls.borrow_mut().entry(name).or_default() += 1;
                    what();
                }
                return;
            }
            // It died with the call still on its own side.
            if owner.is_some_and(|owner| !world.is_alive(owner)) && world.rng.borrow_mut().chance(500) {
                return;
            }
            *world.calls.borrow_mut().entry(name).or_default() += 1;
            let result = what();
            world.sleep(world.latency()).await;
            if world.is_cut(owner) {
                world.sleep(lost - world.now.get()).await;
                there.give(&world, Err(Away));
            } else {
                there.give(&world, Ok(result));
            }
        });
        Wait { world: self.clone(), answer }.await
    }
}

struct Sleep {
    world: Rc<World>,
    ms: Option<i64>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.ms.take() {
            None => Poll::Ready(()),
            Some(ms) => {
                self.world.wake(self.world.now.get() + ms.max(0), self.world.current.get());
                Poll::Pending
            }
        }
    }
}

struct Answer<T> {
    value: RefCell<Option<Result<T, Away>>>,
    waiter: Cell<Option<u64>>,
}

impl<T> Answer<T> {
    fn give(&self, world: &World, value: Result<T, Away>) {
        *self.value.borrow_mut() = Some(value);
        if let Some(task) = self.waiter.take() {
            world.wake(world.now.get(), task);
        }
    }
}

struct Wait<T> {
    world: Rc<World>,
    answer: Rc<Answer<T>>,
}

impl<T> Future for Wait<T> {
    type Output = Result<T, Away>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.answer.value.borrow_mut().take() {
            Some(value) => Poll::Ready(value),
            None => {
                self.answer.waiter.set(Some(self.world.current.get()));
                Poll::Pending
            }
        }
    }
}

/// One at a time.
#[derive(Default)]
pub struct Lock {
    is_taken: Cell<bool>,
    queue: RefCell<VecDeque<u64>>,
}

pub struct Guard {
    world: Rc<World>,
    lock: Rc<Lock>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        match self.lock.queue.borrow_mut().pop_front() {
            Some(task) => self.world.wake(self.world.now.get(), task),
            None => self.lock.is_taken.set(false),
        }
    }
}

pub async fn lock(world: &Rc<World>, lock: &Rc<Lock>) -> Guard {
    if lock.is_taken.get() {
        Queued { world: world.clone(), lock: lock.clone(), waits: false }.await;
    }
    lock.is_taken.set(true);
    Guard { world: world.clone(), lock: lock.clone() }
}

struct Queued {
    world: Rc<World>,
    lock: Rc<Lock>,
    waits: bool,
}

impl Future for Queued {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.waits {
            return Poll::Ready(());
        }
        self.waits = true;
        self.lock.queue.borrow_mut().push_back(self.world.current.get());
        Poll::Pending
    }
}
