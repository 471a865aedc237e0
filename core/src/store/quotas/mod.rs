//! What of limits is granted to nodes, and what they tell of it; `admission/quotas.rs` asks. The messages and what they mean are
//! those of `domain/quota`.
//!
//! On SQLite one process admits requests, and a grant is all of a holder, unless other programs have reservations of it
//! (`sqlite`). On Postgres requests are reserved one by one.

mod reports;
pub(super) mod sqlite;

use std::sync::Arc;

pub use reports::{Reported, count_reports};

use super::dialect::Dialect;
use super::meter::{self, LimitRow, NewReservation};
use super::{Db, StoreError, Via, changed, statements};
use crate::domain::ids::{KeyId, OrgId, TeamId};
use crate::domain::moment::Moment;
use crate::domain::quota::{
    GiveBack, GrantRow, Holder, HolderLimits, LimitNumbers, Reserved, StartRow, Take, Taken,
};
use crate::domain::window::WindowStarts;

statements! {
    REMOVE_RESERVATIONS = "DELETE FROM reservations WHERE node_id IS NOT NULL AND node_id <> $1";
}

/// Whether requests are admitted from memory by the nodes of this database.
pub fn are_granted(db: &Db) -> bool {
    matches!(db, Db::Sqlite { .. })
}

/// A call of a node that changes grants. The database obeys only rising numbers, of the row that the node knows.
pub struct Call<'a> {
    /// The node's id.
    pub node: &'a str,
    /// What its row has.
    pub token: &'a str,
    /// Counts up.
    pub number: i64,
}

/// Grants what a node asks for, of every holder or of none; `None` when its row is not the one that it knows, or a later
/// call came first.
///
/// # Errors
/// When the database cannot be read.
pub async fn take(
    db: &Db,
    call: &Call<'_>,
    asked: &Take,
    starts: &WindowStarts,
) -> Result<Option<Taken>, StoreError> {
    match db {
        Db::Sqlite { .. } => sqlite::take(db, call, asked, starts).await,
        Db::Postgres(..) => Ok(None),
    }
}

/// Writes what is in use of holders whose grants end, and what readers should know. `of` has who reserved each of the
/// message's requests, and these count until `expires_at`. `false` when the node's row is not the one that it knows, or a later
/// call came first.
///
/// # Errors
/// When the database cannot be written.
pub async fn give_back(
    db: &Db,
    call: &Call<'_>,
    message: &GiveBack,
    of: &[Arc<meter::Reservation>],
    expires_at: Moment,
) -> Result<bool, StoreError> {
    match db {
        Db::Sqlite { .. } => sqlite::give_back(db, call, message, of, expires_at).await,
        Db::Postgres(..) => Ok(false),
    }
}

/// What the database answers about a request that it was to reserve.
pub struct AtDatabase {
    /// The enforced limits that it has met, in the order of the gates.
    pub rows: Vec<LimitRow>,
    /// Whether it is reserved.
    pub answer: Reserved,
}

/// Reserves one request of a node, unless a limit does not fit. `judged` are holders of which the node has all, and which it
/// has judged itself.
///
/// # Errors
/// When the database cannot be written.
pub async fn reserve(
    db: &Db,
    node: &str,
    judged: &[Holder],
    new: NewReservation,
    starts: WindowStarts,
) -> Result<AtDatabase, StoreError> {
    match db {
        Db::Sqlite { .. } => sqlite::reserve(db, node, judged, new, starts).await,
        Db::Postgres(..) => Err(StoreError::Lost),
    }
}

/// What a node hears besides the version.
#[derive(Debug, Default)]
pub struct News {
    /// Holders that it has to give back.
    pub recalled: Vec<Holder>,
    /// How many nodes live.
    pub live: i64,
}

/// The news for a node. On SQLite it is the only one.
///
/// # Errors
/// When the database cannot be read.
pub async fn news(_via: &mut impl Via, _node: &str) -> Result<News, StoreError> {
    Ok(News { recalled: Vec::new(), live: 1 })
}

/// The limits of a key, its team and its organisation, as a node judges them.
#[derive(Debug)]
pub struct KeyLimits {
    /// In this order.
    pub holders: Vec<HolderLimits>,
    /// Whether a budget may be passed by the worst cost of one request.
    pub one_may_pass: bool,
    /// When an amount changes by itself, as more of a budget ends that was granted for a time.
    pub until: Option<Moment>,
}

/// The limits of a key.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn limits_of(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    team: Option<&TeamId>,
    at: Moment,
) -> Result<KeyLimits, StoreError> {
    sqlite::limits_of(via, org, key, team, at).await
}

/// What a node adds to a settlement of its requests.
#[derive(Clone, Debug)]
pub struct NodeBatch {
    /// The node's id.
    pub node: String,
    /// The number of this settlement; it rises.
    pub number: u64,
    /// The new totals of grants.
    pub consumed: Vec<GrantRow>,
    /// By request: what is added to seconds in which starts were counted, if this settlement writes it.
    pub corrections: Vec<(Arc<str>, Vec<StartRow>)>,
}

/// Where a settlement that is written asks for what a node adds. Of several that a node has begun, the first comes first: a
/// settlement of which is not known whether it was written keeps its number until that is known.
pub trait NodeBatches: Send + Sync {
    /// What is added to the settlement of these requests, which have ended.
    fn begin(&self, requests: &[u64]) -> Option<NodeBatch>;
    /// It is written.
    fn written(&self, number: u64);
    /// It is known not to be written, so its requests will come again.
    fn not_written(&self, number: u64);
}

/// Removes the reservations of requests that other nodes had under way, for a process that knows that it is the only one.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_others(via: &mut impl Via, node: &str) -> Result<(), StoreError> {
    changed!(via, sqlx::query(REMOVE_RESERVATIONS).bind(node))?;
    Ok(())
}

impl From<&LimitRow> for LimitNumbers {
    fn from(row: &LimitRow) -> Self {
        Self {
            holder: row.holder,
            what: row.what,
            max: row.max,
            used: row.used,
            reserved: row.reserved,
            requested: row.requested,
            frees_at: row.frees_at,
            worst_remaining: row.worst_remaining,
            fits: row.fits,
            enforced: row.enforced,
        }
    }
}

impl From<&LimitNumbers> for LimitRow {
    fn from(numbers: &LimitNumbers) -> Self {
        Self {
            holder: numbers.holder,
            what: numbers.what,
            max: numbers.max,
            used: numbers.used,
            reserved: numbers.reserved,
            requested: numbers.requested,
            frees_at: numbers.frees_at,
            fits: numbers.fits,
            worst_remaining: numbers.worst_remaining,
            enforced: numbers.enforced,
        }
    }
}

/// The statements that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let own = match dialect {
        Dialect::Sqlite => sqlite::texts(),
        Dialect::Postgres => Vec::new(),
    };
    own.into_iter().chain([reports::text(dialect)]).collect()
}
