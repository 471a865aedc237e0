//! A clock that moves only when a test moves it.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use keydesk_core::Clock;
use keydesk_core::domain::moment::Moment;

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// 2026-11-20T12:00:00Z
pub const START: Moment = Moment::from_ms(1_795_176_000_000);

/// Stands still until it is moved, and can panic once, for tests of what a panic leaves behind.
pub struct FixedClock {
    at: AtomicI64,
    /// How many more calls of `now` until one panics; 0 is never.
    until_panic: AtomicU32,
    /// The clock that leases are judged by, in milliseconds; it goes by `skip` alone.
    steady: AtomicU64,
}

impl FixedClock {
    pub fn at(moment: Moment) -> Self {
        Self { at: AtomicI64::new(moment.ms()), until_panic: AtomicU32::new(0), steady: AtomicU64::new(0) }
    }

    /// Lets time pass for leases alone.
    pub fn skip(&self, ms: u64) {
        self.steady.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn set(&self, at: Moment) {
        self.at.store(at.ms(), Ordering::SeqCst);
    }

    pub fn advance(&self, ms: i64) {
        self.at.fetch_add(ms, Ordering::SeqCst);
    }

    /// Panics once, after this many more calls of `now`.
    pub fn break_after(&self, calls: u32) {
        self.until_panic.store(calls + 1, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.until_panic.store(0, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Moment {
        let left = self.until_panic.load(Ordering::SeqCst);
        if left > 0 {
            self.until_panic.store(left - 1, Ordering::SeqCst);
            assert!(left > 1, "the test's clock breaks down");
        }
        Moment::from_ms(self.at.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady.load(Ordering::SeqCst))
    }
}
