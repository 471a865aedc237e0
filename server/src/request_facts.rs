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
    /// The address that the client used, such as `http://desk.lan:3000`, as far as it is known and no base URL is configured.
    pub at: Option<String>,
}
