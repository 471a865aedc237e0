//! The one place where the real clock is read and real randomness is drawn. Everything else is handed these.

use keydesk_core::domain::moment::Moment;
use keydesk_core::{Clock, Random};

pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in everywhere else")]
    fn now(&self) -> Moment {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Moment::from_ms(since.map_or(0, |since| since.as_millis() as i64))
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
