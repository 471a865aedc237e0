//! Quota leases: what a gateway node may admit from memory, what it asks the database for, and what it gives back.
//!
//! Everything in here is a rule: no I/O, no clock, no randomness, no waiting. Moments, and all that the database says, are
//! passed in; the order of every map is that of its keys. So the simulation in `core/tests/quota` drives the very code that
//! the gateway runs (`admission/quotas.rs`).
//!
//! A holder is a key, a team or an organisation. Where one node has all of a holder's limits, it judges requests by the same
//! rule as the database (`limit`). Where several have a part, each has grants and admits what these cover at its worst
//! cost. Where too little is left for that, the database reserves each request, and all grants of the holder have become
//! reservations there. Only the first and the last place reject.
//!
//! - `limit`: the rule of one limit. `holder`: what a node knows of one holder. `node`: admission, and how a request ends.
//! - `taking`: grants, and requests that the database reserves. `giving_back`: recalls, idle grants, windows that are over.
//! - `publishing`: what readers of the database should know meanwhile. `settling`: settlements in batches. `sizing`: how much. `lease`: how long. `messages`: what is said to the database.

mod giving_back;
mod holder;
mod lease;
mod limit;
mod messages;
mod node;
mod publishing;
mod report;
mod settling;
mod sizing;
mod taking;

pub use lease::{NODE_LEASE_MS, NODE_MARGIN_MS, NODE_RENEW_MS, NodeLease, Renewal};
pub use limit::{Demand, Holder, HolderLimits, Limit, LimitNumbers, Need};
pub use messages::{
    Ask, Decision, GiveBack, GrantRow, GrantedTo, Loaded, ReservationId, ReservationRow, Reserved,
    SettlementBatch, StartRow, StoppedBy, Take, TakeFor, Taken, Want,
};
pub use node::NodeQuota;
pub use sizing::largest_grant;
pub use taking::{Next, Reserving};
