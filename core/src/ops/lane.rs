//! Which attempts are counted together. A device or a network that the account signed in from before has a lane of its own,
//! so that wrong passwords and codes from elsewhere, however many, do not keep its owner out.

use serde::{Deserialize, Serialize};

use super::OpError;
use crate::domain::ids::{PersonId, SessionId};
use crate::domain::moment::Moment;
use crate::store::throttle::{self, Throttled};
use crate::store::{Tx, Unaudited, Via, sessions};

pub(super) const FORGET_AFTER_MS: i64 = 30 * 60_000;
/// How many failures are free, and how long the longest delay after them is, in milliseconds.
pub(super) type Delays = (i64, i64);

/// A device on which an account signed in before. It comes from a cookie that only the desk can make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Whose account it is.
    pub person: PersonId,
    /// The device's own name; made at random.
    pub id: SessionId,
}

/// Where a sign-in comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignInSource<'a> {
    /// The client's IP address; empty when it is not known.
    pub address: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The accounts that signed in on this device before.
    pub devices: &'a [KnownDevice],
}

impl<'a> SignInSource<'a> {
    pub(super) fn from(&self) -> (&'a str, &'a str) {
        (self.address, self.request_id)
    }
}

/// Whose attempts count together with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Those of this device, or of this session.
    Device(String),
    /// Those of this network, where the account has had a session.
    Network,
    /// Those of everyone else.
    Stranger,
}

/// `person` is `None` for an account that does not exist, which takes as long.
pub(super) async fn lane_of(
    via: &mut impl Via,
    person: Option<&PersonId>,
    from: &SignInSource<'_>,
) -> Result<Lane, OpError> {
    let network = network_of(from.address);
    let known = sessions::addresses_of(via, person).await?;
    let Some(person) = person else { return Ok(Lane::Stranger) };
    if let Some(device) = from.devices.iter().find(|device| device.person == *person) {
        return Ok(Lane::Device(device.id.to_string()));
    }
    let is_known = !network.is_empty() && known.iter().any(|address| network_of(address) == network);
    Ok(if is_known { Lane::Network } else { Lane::Stranger })
}

/// What counts as one network: a whole IPv6 network of one customer, or one IPv4 address.
pub(super) fn network_of(address: &str) -> String {
    match address.parse() {
        Ok(std::net::IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        _ => address.to_owned(),
    }
}

/// How long after its last failure a subject must wait: doubling from one second up to the longest.
pub(super) fn delay_ms(failures: i64, (free, longest): Delays) -> i64 {
    match failures.saturating_sub(free) {
        over if over < 0 => 0,
        over => (1_000_i64 << over.min(10)).min(longest),
    }
}

/// Counts an attempt of each subject, unless one of them has to wait. Counted before anything is looked at, and taken back
/// when it was right: of many attempts at once, each sees those before it. Name subjects in the same order everywhere.
///
/// # Errors
/// `TooMany` while one has to wait; nothing is counted then.
pub(super) async fn admit(
    mut tx: Tx,
    subjects: &[(Throttled, String, Delays)],
    now: Moment,
) -> Result<Tx, OpError> {
    let (mut wait, mut pulled_back) = (0, false);
    for (kind, subject, delays) in subjects {
        let found = throttle::lock(&mut tx, *kind, subject, now).await?;
        wait = wait.max(found.last_at.plus_ms(delay_ms(found.failures, *delays)).ms() - now.ms());
        pulled_back |= found.pulled_back;
    }
    if wait > 0 {
        if pulled_back {
            tx.save_unaudited(Unaudited::AttemptCounted).await?;
        }
        return Err(OpError::TooMany { retry_after_s: (wait + 999).div_euclid(1_000) });
    }
    let window = now.plus_ms(-FORGET_AFTER_MS)..now.plus_ms(FORGET_AFTER_MS);
    for (kind, subject, _) in subjects {
        throttle::count(&mut tx, *kind, subject, now, window.clone()).await?;
    }
    Ok(tx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_begin_late_grow_and_end() {
        assert_eq!(delay_ms(4, (5, 60_000)), 0);
        assert_eq!(delay_ms(5, (5, 60_000)), 1_000);
        assert_eq!(delay_ms(8, (5, 60_000)), 8_000);
        assert_eq!(delay_ms(1_000_000, (5, 60_000)), 60_000);
        assert_eq!(delay_ms(1_000_000, (100, 2_000)), 2_000);
    }

    #[test]
    fn a_customers_whole_ipv6_network_is_one_network() {
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), network_of("2001:db8:1:2::9"));
        assert_ne!(network_of("2001:db8:1:2::9"), network_of("2001:db8:1:3::9"));
        assert_eq!(network_of("192.0.2.7"), "192.0.2.7");
    }
}
