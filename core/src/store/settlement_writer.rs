//! Group commit of settlements: each commit waits for the disk, so the requests that end while others are written are
//! written together, in one transaction. Its caller is answered when a request is on the disk.
//!
//! A batch that fails is written in parts, down to the requests that cannot be written, so that these do not affect
//! the others. Where the database cannot be reached, all callers are told so, and ask again when they choose.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::quotas::{NodeBatch, NodeBatches};
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

/// How soon a batch is tried again of which it is not known whether it was written.
const AGAIN: Duration = Duration::from_millis(250);

/// Writes the settlements of one process; clones share it.
#[derive(Clone, Default)]
pub struct SettlementWriter {
    queue: Arc<Mutex<Option<mpsc::Sender<Waiting>>>>,
    node: Option<Arc<dyn NodeBatches>>,
}

struct Waiting {
    request: String,
    org: String,
    row: String,
    /// How the node knows it that admitted it from memory.
    of_node: Option<u64>,
    caller: oneshot::Sender<Result<bool, StoreError>>,
}

impl SettlementWriter {
    /// One that also settles requests that this node admitted from memory.
    pub fn of_node(node: Arc<dyn NodeBatches>) -> Self {
        Self { node: Some(node), ..Self::default() }
    }

    /// Whether the next request need not wait until others are written.
    pub fn has_room(&self, db: &Db) -> bool {
        self.queue(db).capacity() > 0
    }

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
        self.write(db, usage, attempts, zone, None).await
    }

    /// The same for a request that has ended at the node under this number.
    ///
    /// # Errors
    /// As `settle`.
    pub async fn settle_of_node(
        &self,
        db: &Db,
        usage: &Usage,
        attempts: &[Attempt],
        zone: &Zone,
        number: u64,
    ) -> Result<bool, StoreError> {
        self.write(db, usage, attempts, zone, Some(number)).await
    }

    async fn write(
        &self,
        db: &Db,
        usage: &Usage,
        attempts: &[Attempt],
        zone: &Zone,
        of_node: Option<u64>,
    ) -> Result<bool, StoreError> {
        let (caller, answer) = oneshot::channel();
        let waiting = Waiting {
            request: usage.request.as_str().to_owned(),
            org: usage.org.as_str().to_owned(),
            row: settlement::row(usage, attempts, zone),
            of_node,
            caller,
        };
        self.queue(db).send(waiting).await.map_err(|_| StoreError::Lost)?;
        answer.await.unwrap_or(Err(StoreError::Lost))
    }

    /// The queue of the task that writes. The task ends with the last clone of this; one that broke down has a successor.
    fn queue(&self, db: &Db) -> mpsc::Sender<Waiting> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = queue.as_ref().filter(|open| !open.is_closed()) {
            return open.clone();
        }
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let writing = Writing { db: db.clone(), node: self.node.clone(), open: None };
        tokio::spawn(writing.write_all(receiver));
        queue.insert(sender).clone()
    }
}

/// The task that writes.
struct Writing {
    db: Db,
    node: Option<Arc<dyn NodeBatches>>,
    /// Requests of the node of which it is not known whether they were written. Nothing else is, until it is known.
    open: Option<(String, NodeBatch)>,
}

impl Writing {
    async fn write_all(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::new();
        loop {
            let received = queue.recv_many(&mut batch, MAX_TOGETHER);
            let received = match self.open {
                Some(_) => timeout(AGAIN, received).await,
                None => Ok(received.await),
            };
            match received {
                Ok(0) => break,
                Ok(_) => self.write_batch(std::mem::take(&mut batch)).await,
                Err(_) => drop(self.close().await),
            }
        }
    }

    async fn write_batch(&mut self, batch: Vec<Waiting>) {
        if let Err(error) = self.close().await {
            return fail(batch, error);
        }
        let mut parts = VecDeque::from([Part { requests: batch, waits: 0 }]);
        while let Some(mut part) = parts.pop_front() {
            match self.write_part(&part).await {
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

    /// The ids of the requests that were not settled before.
    async fn write_part(&mut self, part: &Part) -> Result<HashSet<String>, StoreError> {
        let mut seen = HashSet::new();
        let different = part.requests.iter().filter(|waiting| seen.insert(waiting.request.as_str()));
        let rows = different.map(|waiting| waiting.row.as_str()).collect::<Vec<_>>().join(",");
        let rows = format!("[{rows}]");
        let of_node: Vec<u64> = part.requests.iter().filter_map(|waiting| waiting.of_node).collect();
        let batch = self.node.as_ref().filter(|_| !of_node.is_empty()).and_then(|node| node.begin(&of_node));
        let written = write(&self.db, &rows, batch.as_ref()).await;
        self.note(&written, rows, batch);
        Ok(written?.into_iter().collect())
    }

    /// Tries again what is not known to be written.
    async fn close(&mut self) -> Result<(), StoreError> {
        let Some((rows, batch)) = self.open.take() else { return Ok(()) };
        let written = write(&self.db, &rows, Some(&batch)).await;
        self.note(&written, rows, Some(batch));
        match written {
            Err(error) if self.open.is_some() => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells the node what became of its requests.
    fn note(&mut self, written: &Result<Vec<String>, StoreError>, rows: String, batch: Option<NodeBatch>) {
        let (Some(node), Some(batch)) = (&self.node, batch) else { return };
        match written {
            Ok(_) => node.written(batch.number),
            // The answer to a commit may be lost.
            Err(error) if error.is_everywhere() => self.open = Some((rows, batch)),
            Err(_) => node.not_written(batch.number),
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

async fn write(db: &Db, rows: &str, node: Option<&NodeBatch>) -> Result<Vec<String>, StoreError> {
    match db {
        Db::Postgres(..) => {
            let mut call = db.read().await?;
            let written = settlement::write(&mut call, rows, Some(PATIENCE), node).await?;
            call.done().await?;
            Ok(written)
        }
        // In one transaction with the reservations that are made meanwhile.
        Db::Sqlite { together, .. } => {
            let (rows, node) = (rows.to_owned(), node.cloned());
            let step = together.run(db, move |tx| {
                Box::pin(async move { settlement::write(tx, &rows, None, node.as_ref()).await })
            });
            step.await
        }
    }
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
