//! What the live test needs around it; the server provides it.

use std::sync::Arc;

use keydesk_core::domain::live_test::{AllowedHost, Probe};
use keydesk_core::ops::live_test::LiveTester;

/// In the context of pages and actions.
#[derive(Clone)]
pub struct LiveTest {
    pub probe: Arc<dyn Probe>,
    /// This installation's own addresses, the gateway's first.
    pub own: Vec<String>,
    /// Other hosts that may be called.
    pub allowed: Arc<[AllowedHost]>,
}

impl LiveTest {
    pub fn tester(&self) -> LiveTester<'_> {
        LiveTester { probe: &*self.probe, own: &self.own, allowed: &self.allowed }
    }
}
