//! What is known about every request before its handler runs.

use std::net::IpAddr;

/// In the extensions of every request, from `http::request`.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    pub id: String,
    /// The client's address: the connection's, or what a configured proxy says it is.
    pub address: Option<IpAddr>,
    /// A browser that sent it is not at the configured base URL.
    pub elsewhere: bool,
}
