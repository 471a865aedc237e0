//! The limits that apply to a request at gates 7 and 8, as they are when it arrives.
//!
//! Admission makes these, responses carry them in headers, and a rejection names one. They count nothing themselves.

use super::moment::Moment;
use super::window::Period;

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderKind {
    /// The key's own.
    Key,
    /// The team's, for all its keys together.
    Team,
    /// The organisation's, for all its keys together.
    Org,
}

impl HolderKind {
    /// The word in the database and in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            HolderKind::Key => "key",
            HolderKind::Team => "team",
            HolderKind::Org => "org",
        }
    }

    /// Reads the word that [`HolderKind::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [HolderKind::Key, HolderKind::Team, HolderKind::Org].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is limited. Requests and tokens are those of the last sixty seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// What may be spent in the current window of this period.
    Budget(Period),
    /// What remains of the money paid in for the organisation.
    Balance,
    /// Requests per minute.
    Requests,
    /// Tokens per minute, input and output together.
    Tokens,
    /// Requests under way at the same time.
    Concurrent,
}

impl Limited {
    /// The word in the database: a budget's is its period.
    pub const fn as_str(self) -> &'static str {
        match self {
            Limited::Budget(period) => period.as_str(),
            Limited::Balance => "balance",
            Limited::Requests => "requests",
            Limited::Tokens => "tokens",
            Limited::Concurrent => "concurrent",
        }
    }

    /// Reads the word that [`Limited::as_str`] writes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "balance" => Limited::Balance,
            "requests" => Limited::Requests,
            "tokens" => Limited::Tokens,
            "concurrent" => Limited::Concurrent,
            period => Limited::Budget(Period::parse(period)?),
        })
    }

    /// Nano-dollars rather than a count.
    pub const fn is_money(self) -> bool {
        matches!(self, Limited::Budget(_) | Limited::Balance)
    }
}

/// One limit and how much of it is used. Money is nano-dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// Whose limit it is.
    pub holder: HolderKind,
    /// The team's or the organisation's name; a key's is its own.
    pub holder_name: String,
    /// What is limited, and so the unit of the numbers below.
    pub what: Limited,
    /// The limit itself; a balance's may be below zero.
    pub max: i64,
    /// Spent, sent or in flight, before this request.
    pub used: i64,
    /// Reserved by other requests in flight.
    pub reserved: i64,
    /// What this request is expected to add, or the most where the organisation allows no overshoot.
    pub requested: i64,
    /// Of money: what remains if every request in flight and this one cost the most, without the dearest where the
    /// organisation allows one request more. `None` for rate limits.
    pub worst_remaining: Option<i64>,
    /// When a budget's next window begins, or when the oldest of the last sixty seconds no longer counts.
    pub resets_at: Option<Moment>,
}

impl LimitUse {
    /// What remained before this request; never below zero.
    pub fn remaining(&self) -> i64 {
        self.max.saturating_sub(self.used).saturating_sub(self.reserved).max(0)
    }

    /// Whether the request fits. A budget that is used up also stops requests that cost nothing.
    pub fn fits(&self) -> bool {
        let open = !self.what.is_money() || self.used < self.max;
        let worst_fits = self.worst_remaining.is_none_or(|left| left >= 0);
        open && worst_fits
            && self.requested <= self.max.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// Whether the request would fit without other requests in flight or in the last minute.
    pub fn fits_alone(&self) -> bool {
        match self.what {
            Limited::Budget(_) | Limited::Balance => {
                self.used < self.max && self.requested <= self.max.saturating_sub(self.used)
            }
            Limited::Requests | Limited::Tokens | Limited::Concurrent => self.requested <= self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(max: i64, used: i64, reserved: i64, requested: i64) -> LimitUse {
        LimitUse {
            holder: HolderKind::Key,
            holder_name: "ci".into(),
            what: Limited::Budget(Period::Month),
            max,
            used,
            reserved,
            requested,
            worst_remaining: Some(0),
            resets_at: None,
        }
    }

    #[test]
    fn a_budget_may_be_used_to_its_last_nano_dollar_and_no_further() {
        assert!(budget(100, 60, 30, 10).fits());
        assert!(!budget(100, 60, 30, 11).fits());
        assert!(budget(100, 60, 30, 11).fits_alone());
        assert!(!budget(100, 60, 0, 41).fits_alone());
        let waits = LimitUse { worst_remaining: Some(-1), ..budget(100, 60, 10, 10) };
        assert!(!waits.fits() && waits.fits_alone());
    }

    #[test]
    fn a_budget_that_is_used_up_stops_what_costs_nothing() {
        assert!(budget(100, 99, 0, 0).fits());
        assert!(!budget(100, 100, 0, 0).fits());
    }

    #[test]
    fn every_word_reads_back() {
        for period in Period::ALL {
            assert_eq!(Limited::parse(period.as_str()), Some(Limited::Budget(period)));
        }
        for what in [Limited::Balance, Limited::Requests, Limited::Tokens, Limited::Concurrent] {
            assert_eq!(Limited::parse(what.as_str()), Some(what));
        }
        assert_eq!(Limited::parse("year"), None);
    }
}
