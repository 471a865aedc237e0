//! On SQLite one connection writes, and each commit waits for the disk. Steps that come while others are written wait
//! together and are written together: one transaction, one wait, and each step whole or not at all by itself.
//!
//! It is for many small steps that know nothing of each other, such as requests at a gateway. What people do takes a
//! transaction of its own.

use super::Unaudited;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::Executor;
use tokio::sync::oneshot;

use super::{Conn, Db, StoreError, Tx, Via};

/// Steps of one transaction at most, so that others who write are not kept waiting for long.
const MAX: usize = 64;

type Running<'t, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 't>>;
/// Runs a step and gives what tells its caller, once it is known whether the transaction was committed.
type Step = Box<dyn for<'t> FnOnce(&'t mut Tx) -> Pin<Box<dyn Future<Output = Done> + Send + 't>> + Send>;

struct Done {
    failed: bool,
    tell: Box<dyn FnOnce(bool) + Send>,
}

#[derive(Default)]
struct Waiting {
    steps: Vec<Step>,
    /// A person is writing, and will look here again before they stop.
    written: bool,
}

#[derive(Clone, Default)]
pub struct WriteBatcher(Arc<Mutex<Waiting>>);

impl WriteBatcher {
    /// Answers when what the step wrote is on the disk.
    ///
    /// # Errors
    /// The step's own, or `Lost` when the transaction around it could not be begun or committed.
    pub async fn run<T, F>(&self, db: &Db, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Running<'t, T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let step: Step = Box::new(move |tx| {
            Box::pin(async move {
                let outcome = step(tx).await;
                let failed = outcome.is_err();
                let tell = move |committed: bool| {
                    let outcome = if failed || committed { outcome } else { Err(StoreError::Lost) };
                    // No one may be waiting any more.
                    let _ = sender.send(outcome);
                };
                Done { failed, tell: Box::new(tell) }
            })
        });
        let first = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.steps.push(step);
            !std::mem::replace(&mut waiting.written, true)
        };
        if first {
            // In a task of its own: the caller who happened to be first may be gone before the others are answered.
            tokio::spawn(write(Writing { of: self.clone(), done: false }, db.clone()));
        }
        receiver.await.unwrap_or(Err(StoreError::Lost))
    }
}

/// Whatever becomes of the one who writes, the next caller can begin.
struct Writing {
    of: WriteBatcher,
    done: bool,
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            // A step panicked. The callers of those that wait are told `Lost`.
            let mut waiting = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
            *waiting = Waiting::default();
        }
    }
}

impl Writing {
    /// The next steps; `None`, and this one is done, when there are none.
    fn next(&mut self) -> Option<Vec<Step>> {
        let mut waiting = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.steps.is_empty() {
            waiting.written = false;
            self.done = true;
            return None;
        }
        let count = waiting.steps.len().min(MAX);
        Some(waiting.steps.drain(..count).collect())
    }
}

async fn write(mut writing: Writing, db: Db) {
    while let Some(steps) = writing.next() {
        // A failure is told to each of their callers, who are `Lost` when the steps are dropped.
        let Ok(mut tx) = db.write().await else { continue };
        let mut done = Vec::with_capacity(steps.len());
        let mut whole = true;
        for step in steps {
            // After some failures there is no transaction any more, and a step would be written half.
            whole = whole && plain(&mut tx, "SAVEPOINT step").await;
            if !whole {
                break;
            }
            let one = step(&mut tx).await;
            if one.failed {
                whole = whole && plain(&mut tx, "ROLLBACK TO step").await;
            }
            whole = whole && plain(&mut tx, "RELEASE step").await;
            done.push(one);
        }
        let committed = whole && tx.save_unaudited(Unaudited::Usage).await.is_ok();
        done.into_iter().for_each(|one| (one.tell)(committed));
    }
}

async fn plain(tx: &mut Tx, text: &'static str) -> bool {
    match tx.conn() {
        Conn::Sqlite(conn) => conn.execute(text).await.is_ok(),
        Conn::Postgres(conn, _) => conn.execute(text).await.is_ok(),
    }
}
