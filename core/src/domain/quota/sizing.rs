//! How much a node asks for, how much of what is left it may get, and when a holder needs the database for each request.

use crate::domain::moment::Moment;

/// A first grant is for so many requests.
const BULK: i64 = 32;
/// A grant that was used up within this time is doubled, in milliseconds.
const SOON_MS: i64 = 1_000;
/// A holder gets grants again when there is room for so many requests in one part.
const ROOMY: i64 = 4;

/// The size of the last grant of one limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastAsk {
    pub(super) size: i64,
    pub(super) at: Moment,
}

/// What to ask for: enough for some requests like this one, and twice as much as was used up within a second.
pub(super) fn wanted(need: i64, last: Option<LastAsk>, now: Moment) -> i64 {
    let again = last.map_or(0, |last| {
        if now.ms() - last.at.ms() < SOON_MS { last.size.saturating_mul(2) } else { last.size / 2 }
    });
    need.saturating_mul(BULK).max(again)
}

/// The largest grant of what remains: all of it for one live node, half of an equal share among several. A program that
/// reserves request by request counts as a node.
pub fn largest_grant(remaining: i64, live_nodes: i64) -> i64 {
    remaining / if live_nodes <= 1 { 1 } else { 2 * live_nodes }
}

/// Whether grants are worth having again for a holder whose requests the database reserves one by one.
pub(super) fn is_roomy(room: i64, live_nodes: i64, need: i64) -> bool {
    largest_grant(room, live_nodes) >= need.max(1).saturating_mul(ROOMY)
}
