//! Group commit of settlements: each commit waits for the disk, so the requests that end while others are written are
//! written together, in one transaction. Its caller is answered when a request is on the disk.
//!
//! A batch that fails is written in parts, down to the requests that cannot be written, so that these do not affect
//! the others. Where the database cannot be reached, all callers are told so, and ask again when they choose.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::spend::Usage;
use super::{Db, StoreError, settlement};
use crate::domain::failover::Attempt;
use crate::domain::moment::Zone;

/// Requests of one transaction at most.
const MAX_TOGETHER: usize = 256;
/// Requests that wait at most. Callers beyond them wait until there is room.
const MAX_WAITING: usize = 1_024;
/// How long requests wait on Postgres for a row that another transaction has. It is shorter than the second after
/// which Postgres looks for deadlocks, so that a batch steps back before a person's change is ended for it.
const PATIENCE: &str = "800ms";
/// How often requests of one organisation wait so long before their callers are told.
const MAX_WAITS: usize = 4;

/// Writes the settlements of one process; clones share it.
#[derive(Clone, Default)]
pub struct SettlementWriter(Arc<Mutex<Option<mpsc::Sender<Waiting>>>>);

struct Waiting {
    request: String,
    org: String,
    row: String,
    caller: oneshot::Sender<Result<bool, StoreError>>,
}

impl SettlementWriter {
    /// Writes a finished request and all that is added up from it, and ends its reservation: once. The same request id again
    /// changes nothing and answers `false`. `attempts` are written with it, where its model has several providers. `zone` is
    /// the organisation's; the windows are those of the request's start.
    ///
    /// # Errors
    /// When the database cannot be written; the same call may be made again.
    pub async fn settle(
        &self,
        db: &Db,
        usage: &Usage,
        attempts: &[Attempt],
        zone: &Zone,
    ) -> Result<bool, StoreError> {
        let (caller, answer) = oneshot::channel();
        let waiting = Waiting {
            request: usage.request.as_str().to_owned(),
            org: usage.org.as_str().to_owned(),
            row: settlement::row(usage, attempts, zone),
            caller,
        };
        self.queue(db).send(waiting).await.map_err(|_| StoreError::Lost)?;
        answer.await.unwrap_or(Err(StoreError::Lost))
    }

    /// The queue of the task that writes. The task ends with the last clone of this; one that broke down has a successor.
    fn queue(&self, db: &Db) -> mpsc::Sender<Waiting> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = queue.as_ref().filter(|open| !open.is_closed()) {
            return open.clone();
        }
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write_all(db.clone(), receiver));
        queue.insert(sender).clone()
    }
}

async fn write_all(db: Db, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MAX_TOGETHER).await > 0 {
        write_batch(&db, std::mem::take(&mut batch)).await;
    }
}

async fn write_batch(db: &Db, batch: Vec<Waiting>) {
    let mut parts = VecDeque::from([Part { requests: batch, waits: 0 }]);
    while let Some(mut part) = parts.pop_front() {
        match write(db, &part).await {
            Ok(written) => answer(part.requests, written),
            Err(error) if error.is_everywhere() => {
                part.requests.extend(parts.drain(..).flat_map(|part| part.requests));
                fail(part.requests, error);
            }
            Err(error) => {
                let requests = part.requests.len();
                match part.again(error.is_contention()) {
                    Ok(again) => {
                        tracing::warn!(%error, requests, "not settled together: tried in parts");
                        parts.extend(again);
                    }
                    Err(requests) => fail(requests, error),
                }
            }
        }
    }
}

/// Requests of one transaction.
struct Part {
    requests: Vec<Waiting>,
    /// How often they have waited too long for a lock.
    waits: usize,
}

impl Part {
    /// What to try after the other parts: those of each organisation, and one organisation's requests in halves. Those that
    /// only waited too long share the rows that they waited for, so they stay together. Otherwise there is nothing to try.
    fn again(self, is_contention: bool) -> Result<Vec<Part>, Vec<Waiting>> {
        let mut by_org: BTreeMap<String, Vec<Waiting>> = BTreeMap::new();
        for waiting in self.requests {
            by_org.entry(waiting.org.clone()).or_default().push(waiting);
        }
        let mut parts: Vec<Vec<Waiting>> = by_org.into_values().collect();
        let mut waits = 0;
        if let [alone] = parts.as_mut_slice() {
            if is_contention {
                waits = self.waits + 1;
            }
            if waits == MAX_WAITS || !is_contention && alone.len() == 1 {
                return Err(std::mem::take(alone));
            }
            if !is_contention {
                let rest = alone.split_off(alone.len() / 2);
                parts.push(rest);
            }
        }
        Ok(parts.into_iter().map(|requests| Part { requests, waits }).collect())
    }
}

/// The ids of the requests that were not settled before.
async fn write(db: &Db, part: &Part) -> Result<HashSet<String>, StoreError> {
    let mut seen = HashSet::new();
    let different = part.requests.iter().filter(|waiting| seen.insert(waiting.request.as_str()));
    let rows = different.map(|waiting| waiting.row.as_str()).collect::<Vec<_>>().join(",");
    let rows = format!("[{rows}]");
    let written = match db {
        Db::Postgres(..) => {
            let mut call = db.read().await?;
            let written = settlement::write(&mut call, &rows, Some(PATIENCE)).await?;
            call.done().await?;
            written
        }
        // In one transaction with the reservations that are made meanwhile.
        Db::Sqlite { together, .. } => {
            let step =
                together.run(db, move |tx| Box::pin(async move { settlement::write(tx, &rows, None).await }));
            step.await?
        }
    };
    Ok(written.into_iter().collect())
}

/// Of one request that is there twice, the first caller settled it. A caller may have left.
fn answer(part: Vec<Waiting>, mut written: HashSet<String>) {
    for waiting in part {
        let _ = waiting.caller.send(Ok(written.remove(&waiting.request)));
    }
}

/// The first caller is told why.
fn fail(part: Vec<Waiting>, error: StoreError) {
    let mut error = Some(error);
    for waiting in part {
        let _ = waiting.caller.send(Err(error.take().unwrap_or(StoreError::Lost)));
    }
}
