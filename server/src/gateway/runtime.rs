//! What the gateway keeps between requests.

use secrecy::SecretString;

use super::bodies::Bodies;
use super::holding::UnderWay;
use super::upstream::Upstreams;

/// One for the process; its clones share everything.
#[derive(Clone, Default)]
pub struct Gateway {
    pub under_way: UnderWay,
    pub upstreams: Upstreams,
    pub bodies: Bodies,
    /// What other gateways authenticate with; without one, their routes are not served.
    pub token: Option<SecretString>,
}
