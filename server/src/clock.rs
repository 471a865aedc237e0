//! The one place where the real clock is read and real randomness is drawn. Everything else is handed these.

use std::time::Duration;

use keydesk_core::domain::moment::Moment;
use keydesk_core::{Clock, Random};
use rustix::time::{ClockId, clock_gettime};

pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in everywhere else")]
    fn now(&self) -> Moment {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Moment::from_ms(since.map_or(0, |since| since.as_millis() as i64))
    }

    fn steady(&self) -> Duration {
        // Where the system has one that goes on while the machine sleeps.
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        Duration::try_from(clock_gettime(clock)).unwrap_or_default()
    }
}

pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the randomness that is passed in everywhere else")]
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no secret may be made: stopping is the only safe answer.
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}
