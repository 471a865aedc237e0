//! What the gateway keeps between requests.

use std::time::Duration;

use keydesk_core::admission::ProviderWatch;
use secrecy::SecretString;

use super::disconnect::Readings;
use super::reservation_guard::InFlight;
use super::room::Room;
use super::silence::Patience;
use super::upstream::Upstreams;
use super::{body, relay};

/// One for the process; its clones share everything.
#[derive(Clone)]
pub struct Gateway {
    pub in_flight: InFlight,
    pub upstreams: Upstreams,
    /// How requests to providers go.
    pub watch: ProviderWatch,
    /// For bodies of requests.
    pub bodies: Room,
    /// For whole responses that are gathered.
    pub responses: Room,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    pub readings: Readings,
    /// How long the client of a stream hears nothing.
    pub patience: Patience,
    /// What other gateways authenticate with; without one, their routes are not served.
    pub token: Option<SecretString>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            in_flight: InFlight::default(),
            upstreams: Upstreams::default(),
            watch: ProviderWatch::default(),
            bodies: body::room(),
            responses: relay::room(),
            body_timeout: Duration::from_secs(120),
            readings: Readings::default(),
            patience: Patience::default(),
            token: None,
        }
    }
}
