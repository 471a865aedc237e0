//! Looks up names for connections to hosts that people choose: the address that is connected to is one that was checked. The
//! live test and webhooks go to public addresses only; providers may be in a private network, but not where a machine's own
//! cloud answers.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use keydesk_core::domain::base_url::is_refused;
use keydesk_core::domain::live_test::{NoAnswer, is_public};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks up a name's addresses.
pub type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;

/// Asks the operating system.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    })
}

/// Gives a connection the addresses of a name when all of them are allowed. One that is not spoils the name.
pub struct CheckedNames {
    lookup: Lookup,
    allowed: fn(IpAddr) -> bool,
}

impl CheckedNames {
    /// Public addresses only.
    pub fn public(lookup: Lookup) -> Self {
        Self { lookup, allowed: is_public }
    }

    /// Also private ones, but none that no provider can be at.
    pub fn of_providers(lookup: Lookup) -> Self {
        Self { lookup, allowed: |address| !is_refused(address) }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = (self.lookup)(name.as_str().to_owned());
        let allowed = self.allowed;
        Box::pin(async move {
            let addresses = looking.await?;
            if !addresses.iter().all(|address| allowed(*address)) {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[derive(Debug)]
struct NotAllowed;

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has an address that is not called")
    }
}

impl Error for NotAllowed {}

/// Why there is no answer.
pub fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(one) = cause {
        if one.is::<NotAllowed>() {
            return NoAnswer::Private;
        }
        cause = one.source();
    }
    match error {
        error if error.is_timeout() => NoAnswer::TimedOut,
        error if error.is_connect() => NoAnswer::Unreachable,
        _ => NoAnswer::Broken,
    }
}
