//! What a node asks of the database and hears from it. The store writes each request as one transaction.
//!
//! Sums are absolute and each message says whose they are, so that all of them can be repeated when an answer is lost. Only
//! starts are added up: those of a lost answer may count twice, for a minute.

use std::sync::Arc;

use super::limit::{Holder, LimitNumbers};
use crate::domain::limit_use::Limited;
use crate::domain::moment::Moment;
use crate::domain::window::WindowStarts;

/// A request under way, as the node knows it by number.
pub type ReservationId = u64;

/// What the gates say of a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It is reserved in memory. Also: every limit that is known, as the request met it.
    Admitted(ReservationId, Vec<LimitNumbers>),
    /// Call the database, and then decide again.
    Ask(Ask),
    /// The first limit that does not fit. No call of the database would say otherwise before that moment; `None` where it
    /// is the end of the window.
    Rejected(LimitNumbers, Option<Moment>),
}

/// Which call comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `NodeQuota::give_back`, because the database does not know yet what is in use.
    GiveBack,
    /// `NodeQuota::take`.
    Take,
    /// `NodeQuota::begin_reserve`: the database reserves this request itself.
    Reserve,
}

/// Asks for grants, of all these holders or of none.
#[derive(Clone, Debug)]
pub struct Take {
    /// Whose, and what of their limits.
    pub holders: Vec<TakeFor>,
}

/// What a node asks for one holder.
#[derive(Clone, Debug)]
pub struct TakeFor {
    /// Whose limits.
    pub holder: Holder,
    /// How often the holder was recalled before this was asked.
    pub(super) generation: u64,
    /// For each limit that lacks something. None for a holder whose limits only report.
    pub wants: Vec<Want>,
}

/// How much of one limit is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Which limit.
    pub what: Limited,
    /// The start of its window.
    pub start: Moment,
    /// Without so much the request cannot be admitted.
    pub need: i64,
    /// So much would be welcome.
    pub wanted: i64,
}

/// What the database answers to `Take`.
#[derive(Clone, Debug)]
pub enum Taken {
    /// These holders have too little left for grants, or were recalled just now, or a change of theirs is under way.
    Scarce(Vec<Holder>),
    /// For each holder, in the order of the question.
    Granted(Vec<GrantedTo>),
}

/// What a node may use of one holder's limits.
#[derive(Clone, Debug)]
pub enum GrantedTo {
    /// All of it. No other node has a grant, and no request that this node does not know has a reservation.
    Whole(Loaded),
    /// So much more of each limit that was asked for, in the order of the question.
    Share(Vec<i64>),
}

/// How much of a holder's limits is used, as the node begins to count for itself.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the counters of the windows say: total, month, week, day.
    pub spent: [i64; 4],
    /// The windows.
    pub starts: WindowStarts,
    /// Second, requests and tokens of the last minute.
    pub seconds: Vec<(i64, i64, i64)>,
    /// The last settlement of this node that these numbers have in them.
    pub settled: u64,
}

/// What the database answers to a request that it was to reserve itself.
#[derive(Clone, Debug)]
pub enum Reserved {
    /// It is reserved.
    Fits {
        /// What each limit still has room for, after it.
        room: Vec<(Holder, Limited, i64)>,
        /// Whether this node would be given all of each holder: nothing but this node's requests is in its way.
        alone: bool,
    },
    /// It is not.
    Stopped {
        /// The limits that do not fit, in the order of the gates.
        by: Vec<StoppedBy>,
        /// Whether live nodes were asked to give back what they have of these.
        recalled: bool,
    },
}

/// A limit that stopped a request at the database.
#[derive(Clone, Debug)]
pub struct StoppedBy {
    /// Whose limit it is.
    pub holder: Holder,
    /// The limit as the request met it; `used` is what only the end of the window can undo.
    pub numbers: LimitNumbers,
    /// The start of its window.
    pub start: Moment,
    /// Until when nothing that happens can make room; `None` when a settlement can.
    pub closed_until: Option<Moment>,
}

/// Tells the database what is in use of holders whose grants end: then nothing else of theirs is this node's.
#[derive(Clone, Debug, Default)]
pub struct GiveBack {
    /// Requests under way, each once: a reservation is made unless there is one, or the request is settled.
    pub reservations: Vec<ReservationRow>,
    /// Reservations of requests that were never forwarded.
    pub released: Vec<Arc<str>>,
    /// Starts to add to the counted seconds.
    pub starts: Vec<StartRow>,
    /// Totals of grants.
    pub grants: Vec<GrantRow>,
    /// Holders of which this node has no longer all.
    pub no_longer_whole: Vec<Holder>,
}

/// A request under way, as the database has it.
#[derive(Clone, Debug)]
pub struct ReservationRow {
    /// The request's id.
    pub request: Arc<str>,
    /// Key, team, organisation.
    pub holders: Vec<Holder>,
    /// When it started, and its windows.
    pub starts: WindowStarts,
    /// Its likely cost.
    pub likely: i64,
    /// Its worst cost.
    pub worst: i64,
    /// Its tokens.
    pub tokens: i64,
    /// As the node knows it.
    pub id: ReservationId,
}

/// Requests and tokens that started in one second; also corrections of tokens.
#[derive(Clone, Debug)]
pub struct StartRow {
    /// Whose.
    pub holder: Holder,
    /// Seconds since 1970.
    pub second: i64,
    /// Requests to add.
    pub requests: i64,
    /// Tokens to add.
    pub tokens: i64,
}

/// The totals of a grant. What is granted and not consumed is in use or free at its node.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// Whose limit.
    pub holder: Holder,
    /// Which limit.
    pub what: Limited,
    /// The start of its window.
    pub start: Moment,
    /// All that was granted so far, less what was given back.
    pub granted: i64,
    /// What settlements have consumed of it, as far as the database is known to have them.
    pub consumed: i64,
}

/// All that ended since the last settlement. It stays the same until it is known to be written.
#[derive(Clone, Debug)]
pub struct SettlementBatch {
    /// Counts up; the database keeps the last of each node.
    pub number: u64,
    /// The requests, with how many tokens to add to seconds in which their starts were counted.
    pub requests: Vec<(Arc<str>, Vec<StartRow>)>,
    /// Grants whose consumption grew, with the new total.
    pub consumed: Vec<GrantRow>,
}
