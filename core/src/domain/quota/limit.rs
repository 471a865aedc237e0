//! The rule of one limit: what it is, what a request needs of it, and whether that fits. The statement `LIMITS` of the
//! store is the same rule in SQL.
//!
//! Everything here is a number that was passed in. Who has a limit and how much of it is used is not known here.

use std::sync::Arc;

use crate::domain::limit_use::{HolderKind, Limited};
use crate::domain::moment::Moment;
use crate::domain::window::{Period, WindowStarts};

/// What a limit belongs to: a key, a team or an organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Which of the three.
    pub kind: HolderKind,
    /// Its id, shared by all that name it.
    pub id: Arc<str>,
}

/// One limit. Money is nano-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub what: Limited,
    /// How much; a balance's may be below zero.
    pub max: i64,
    /// `false` for a limit that only reports.
    pub enforced: bool,
}

/// The limits of a holder, as the key's entry in the cache has them.
#[derive(Clone, Debug)]
pub struct HolderLimits {
    /// Whose they are.
    pub holder: Holder,
    /// Those that are set.
    pub limits: Vec<Limit>,
}

impl HolderLimits {
    /// Whether requests and tokens of the holder are counted by the second.
    pub(super) fn counts_seconds(&self) -> bool {
        self.limits.iter().any(|limit| matches!(limit.what, Limited::Requests | Limited::Tokens))
    }

    /// Those that can reject a request.
    pub(super) fn enforced(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(|limit| limit.enforced)
    }
}

/// What a request may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Its likely cost in nano-dollars.
    pub likely: i64,
    /// The upper bound of its cost, at least the likely one.
    pub worst: i64,
    /// Its likely tokens.
    pub tokens: i64,
    /// What of the likely cost is only presumed.
    pub presumed_cost: i64,
    /// What of the tokens is only presumed.
    pub presumed_tokens: i64,
}

impl Need {
    /// The same with less presumed, where that alone does not fit into what is left of money and of tokens: half of what they
    /// leave for it. So what a key used lately never locks it out.
    pub fn presuming_less(&self, money: i64, tokens: i64) -> Option<Self> {
        let likely = presuming_less(self.likely, self.presumed_cost, money);
        let fewer = presuming_less(self.tokens, self.presumed_tokens, tokens);
        let is_less = (likely, fewer) != (self.likely, self.tokens);
        is_less.then_some(Self { likely, tokens: fewer, presumed_cost: 0, presumed_tokens: 0, ..*self })
    }
}

/// A request that wants to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The request's id.
    pub request: &'a Arc<str>,
    /// Its key, its team if it has one, and its organisation, in this order.
    pub holders: &'a [HolderLimits],
    /// The moment, by the database's time, and the windows around it.
    pub starts: WindowStarts,
    /// What it may use.
    pub need: Need,
    /// Whether a budget may be passed by the worst cost of one request; else no worst cost may pass it.
    pub one_may_pass: bool,
}

/// When the current window of a limit began; zero for what has no windows.
pub(super) fn window_start(what: Limited, starts: &WindowStarts) -> Moment {
    match what {
        Limited::Budget(Period::Month) => starts.month,
        Limited::Budget(Period::Week) => starts.week,
        Limited::Budget(Period::Day) => starts.day,
        _ => Moment::from_ms(0),
    }
}

/// How much of a limit is used, besides the request that asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// Spent, sent, or under way.
    pub used: i64,
    /// Likely costs of requests under way.
    pub likely: i64,
    /// Their worst costs.
    pub worst: i64,
    /// The largest of these.
    pub largest: i64,
    /// When the oldest counted second leaves the minute.
    pub frees_at: Option<Moment>,
}

/// A limit and its use, as a request meets them. The fields mean the same as in a line of `keydesk_limits_v3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitNumbers {
    /// Whose limit it is.
    pub holder: HolderKind,
    /// What is limited.
    pub what: Limited,
    /// The limit itself.
    pub max: i64,
    /// Spent, sent or under way, before this request.
    pub used: i64,
    /// Reserved by other requests under way; zero for rates.
    pub reserved: i64,
    /// What this request adds.
    pub requested: i64,
    /// When the oldest of the last sixty seconds no longer counts.
    pub frees_at: Option<Moment>,
    /// What remains of money if all requests under way and this one cost the upper bound. `None` for rates.
    pub worst_remaining: Option<i64>,
    /// Whether the request fits.
    pub fits: bool,
    /// `false` for a limit that only reports.
    pub enforced: bool,
}

impl LimitNumbers {
    /// Judges a request by one limit.
    pub(super) fn judge(
        holder: HolderKind,
        limit: &Limit,
        used: &Use,
        need: &Need,
        one_may_pass: bool,
    ) -> Self {
        let room = limit.max.saturating_sub(used.used);
        let (reserved, requested, presumed, opens) = match limit.what {
            Limited::Requests | Limited::Concurrent => (0, 1, 0, room),
            Limited::Tokens => (0, need.tokens, need.presumed_tokens, limit.max),
            _ if one_may_pass => (used.likely, need.likely, need.presumed_cost, room),
            _ => (used.worst, need.worst, 0, room),
        };
        // What is presumed shrinks for a limit that only reports as the request does for the others.
        let requested = if limit.enforced { requested } else { presuming_less(requested, presumed, opens) };
        let worst_remaining = limit.what.is_money().then(|| {
            let new = if one_may_pass { (need.worst - used.largest).min(0) } else { need.worst };
            room.saturating_sub(used.worst).saturating_sub(new)
        });
        let open = worst_remaining.is_none_or(|left| left >= 0 && room > 0);
        Self {
            holder,
            what: limit.what,
            max: limit.max,
            used: used.used,
            reserved,
            requested,
            frees_at: used.frees_at,
            worst_remaining,
            fits: open && requested <= room.saturating_sub(reserved),
            enforced: limit.enforced,
        }
    }

    /// The same limit as another request meets it.
    pub(super) fn asked(&self, need: &Need, one_may_pass: bool) -> Self {
        let limit = Limit { what: self.what, max: self.max, enforced: self.enforced };
        let used = Use {
            used: self.used,
            likely: self.reserved,
            worst: self.reserved,
            largest: 0,
            frees_at: self.frees_at,
        };
        Self::judge(self.holder, &limit, &used, need, one_may_pass)
    }

    /// The place of a limit in the order of the gates.
    pub fn rank(&self) -> (u8, &'static str) {
        let holder = self.holder as u8;
        let position = match self.what {
            Limited::Budget(_) => holder,
            Limited::Balance => 3,
            Limited::Requests => 4 + holder,
            Limited::Tokens => 7 + holder,
            Limited::Concurrent => 10 + holder,
        };
        (position, self.what.as_str())
    }
}

/// A need of which a part is only presumed, where that alone does not fit: half of what is left for the presumed part.
fn presuming_less(whole: i64, presumed: i64, left: i64) -> i64 {
    let least = whole - presumed;
    if whole > left && least <= left { least + (left - least) / 2 } else { whole }
}
