//! How many connections there are, and of whom. An address has at most as many as are left for all others. Where it has
//! them, or none are left, the oldest one that has not sent a request yet makes room for the next: silent connections keep
//! no one out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

pub struct Places {
    max: usize,
    trusted: Vec<IpNet>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    next: u64,
    by_address: HashMap<IpAddr, Address>,
    /// Those that have not sent a request yet, the oldest first.
    silent: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

#[derive(Default)]
struct Address {
    open: usize,
    silent: BTreeSet<u64>,
}

impl Open {
    /// Closes a silent connection: of the same address, or of any.
    fn make_room(&mut self, address: IpAddr, is_own: bool) -> Option<()> {
        let own = || self.by_address.get(&address)?.silent.first();
        let number = if is_own { *own()? } else { *self.silent.keys().next()? };
        let (address, evicted) = self.silent.get(&number)?.clone();
        self.leave(address, number);
        evicted.cancel();
        Some(())
    }

    fn leave(&mut self, address: IpAddr, number: u64) {
        self.all -= 1;
        self.silent.remove(&number);
        if let Some(own) = self.by_address.get_mut(&address) {
            own.open -= 1;
            own.silent.remove(&number);
            if own.open == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// One connection's, until it is dropped.
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
    number: u64,
    evicted: CancellationToken,
    /// Whether another one was closed for it.
    pub is_crowded: bool,
}

/// There are too many connections, and none of them is silent.
#[derive(Debug)]
pub struct Crowded;

impl Places {
    pub fn new(max: usize, trusted: Vec<IpNet>) -> Self {
        Self { max, trusted, open: Mutex::default() }
    }

    /// # Errors
    /// When there are too many already.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Crowded> {
        let peer = peer.to_canonical();
        let address = network(peer);
        // Everyone comes through it.
        let is_trusted = self.trusted.iter().any(|network| network.contains(&peer));
        let mut open = self.open();
        let left = self.max.saturating_sub(open.all);
        let own = open.by_address.get(&address);
        let has_its_part = !is_trusted && own.is_some_and(|own| own.open >= left);
        let is_crowded = left == 0 || has_its_part;
        if is_crowded {
            open.make_room(address, has_its_part).ok_or(Crowded)?;
        }
        let number = open.next;
        open.next += 1;
        open.all += 1;
        let evicted = CancellationToken::new();
        let own = open.by_address.entry(address).or_default();
        own.open += 1;
        own.silent.insert(number);
        open.silent.insert(number, (address, evicted.clone()));
        Ok(Place { places: self.clone(), address, number, evicted, is_crowded })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Cancelled when another connection takes its place.
    pub fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }

    /// It has sent a request.
    pub fn keep(&self) {
        let mut open = self.places.open();
        open.silent.remove(&self.number);
        if let Some(own) = open.by_address.get_mut(&self.address) {
            own.silent.remove(&self.number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open();
        if !self.evicted.is_cancelled() {
            open.leave(self.address, self.number);
        }
    }
}

/// A customer of IPv6 has 2^64 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// As many as an address gets, all of which have sent a request.
    fn all(places: &Arc<Places>, address: &str) -> Vec<Place> {
        let take = || places.take(address.parse().unwrap()).ok().inspect(Place::keep);
        std::iter::from_fn(take).take(200).collect()
    }

    #[test]
    fn an_address_has_as_many_as_are_left() {
        let places = Arc::new(Places::new(96, vec!["10.0.0.0/8".parse().unwrap()]));
        let one = all(&places, "192.0.2.1");
        assert_eq!(one.len(), 48);
        let two = all(&places, "2001:db8::1");
        assert_eq!(two.len(), 24);
        // The same network.
        assert!(places.take(address("2001:db8::2")).is_err());
        // A proxy brings others.
        assert_eq!(all(&places, "10.1.2.3").len(), 24);
        drop(two);
        assert!(places.take(address("2001:db8::2")).is_ok());
        drop(one);
        assert!(places.open().by_address.is_empty());
        assert_eq!(places.open().all, 0);
    }

    #[test]
    fn the_oldest_silent_one_makes_room() {
        let places = Arc::new(Places::new(4, vec![]));
        let take = |text: &str| places.take(address(text));
        let own = [take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap()];
        own[0].keep();
        let third = take("192.0.2.1").unwrap();
        assert!(third.is_crowded && own[1].evicted.is_cancelled() && !own[0].evicted.is_cancelled());
        third.keep();
        assert!(take("192.0.2.1").is_err());
        // All are taken, one of them by a silent one.
        let silent = take("192.0.2.2").unwrap();
        let full = take("192.0.2.3").unwrap();
        full.keep();
        assert!(!full.is_crowded && !silent.evicted.is_cancelled());
        let last = take("192.0.2.4").unwrap();
        assert!(last.is_crowded && silent.evicted.is_cancelled());
        last.keep();
        assert!(take("192.0.2.5").is_err());
        drop((own, third, silent, full, last));
        let open = places.open();
        assert!(open.all == 0 && open.by_address.is_empty() && open.silent.is_empty());
    }
}
