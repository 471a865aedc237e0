//! What the gateway keeps between requests.

use secrecy::SecretString;

use super::body_budget::BodyBudget;
use super::disconnect::Readings;
use super::reservation_guard::InFlight;
use super::upstream::Upstreams;

/// One for the process; its clones share everything.
#[derive(Clone, Default)]
pub struct Gateway {
    pub in_flight: InFlight,
    pub upstreams: Upstreams,
    pub body_budget: BodyBudget,
    pub readings: Readings,
    /// What other gateways authenticate with; without one, their routes are not served.
    pub token: Option<SecretString>,
}
