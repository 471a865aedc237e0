//! Memory that all requests share: for bodies that are read, and for responses that are gathered. It is taken as bytes
//! come, and given back when they are gone.
//!
//! One organisation may have as much as is left for the others, and one key half as much as is left: who comes later
//! always finds room. The first bytes of each body are taken from a part of their own, so that small ones never wait for
//! large ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use keydesk_core::admission::AuthContext;

/// What a body takes up to here is taken from the part for small ones.
const SMALL: usize = 64 << 10;

/// Too much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Whose bytes they are.
#[derive(Clone)]
pub struct Holder {
    org: Arc<str>,
    key: Arc<str>,
}

impl Holder {
    pub fn of(context: &AuthContext) -> Self {
        Self { org: context.org().as_str().into(), key: context.key().as_str().into() }
    }

    /// For what comes without a key. All of it shares.
    pub fn named(name: &'static str) -> Self {
        Self { org: name.into(), key: name.into() }
    }
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_org: HashMap<Arc<str>, usize>,
    by_key: HashMap<Arc<str>, usize>,
}

struct Part {
    max: usize,
    taken: Mutex<Taken>,
}

impl Part {
    fn new(max: usize) -> Self {
        Self { max, taken: Mutex::default() }
    }

    fn take(&self, holder: &Holder, bytes: usize) -> Result<(), NoRoom> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.all + bytes;
        let org = taken.by_org.get(&holder.org).unwrap_or(&0) + bytes;
        let key = taken.by_key.get(&holder.key).unwrap_or(&0) + bytes;
        let left = self.max.checked_sub(all).ok_or(NoRoom)?;
        if org > left || key > left / 2 {
            return Err(NoRoom);
        }
        taken.all = all;
        taken.by_org.insert(holder.org.clone(), org);
        taken.by_key.insert(holder.key.clone(), key);
        Ok(())
    }

    fn give_back(&self, holder: &Holder, bytes: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= bytes;
        subtract(&mut taken.by_org, &holder.org, bytes);
        subtract(&mut taken.by_key, &holder.key, bytes);
    }
}

fn subtract(taken: &mut HashMap<Arc<str>, usize>, name: &Arc<str>, bytes: usize) {
    if let Some(count) = taken.get_mut(name) {
        *count -= bytes;
        if *count == 0 {
            taken.remove(name);
        }
    }
}

/// Shared by all requests of the process.
#[derive(Clone)]
pub struct Room {
    small: Arc<Part>,
    large: Arc<Part>,
}

impl Room {
    /// So many bytes for the beginnings of all, and so many for the rest of those that are larger.
    pub fn new(small: usize, large: usize) -> Self {
        Self { small: Arc::new(Part::new(small)), large: Arc::new(Part::new(large)) }
    }

    /// Nothing yet.
    pub fn share(&self, holder: Holder) -> Share {
        Share { room: self.clone(), holder, bytes: 0 }
    }

    #[cfg(test)]
    pub fn taken(&self) -> usize {
        let taken = |part: &Part| part.taken.lock().unwrap().all;
        taken(&self.small) + taken(&self.large)
    }
}

/// What one body has of a room, until it is dropped.
pub struct Share {
    room: Room,
    holder: Holder,
    bytes: usize,
}

impl Share {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// When that would leave too little for others. What it has, it keeps.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let small = bytes.min(SMALL.saturating_sub(self.bytes));
        if small > 0 {
            self.room.small.take(&self.holder, small)?;
            self.bytes += small;
        }
        if bytes > small {
            self.room.large.take(&self.holder, bytes - small)?;
            self.bytes += bytes - small;
        }
        Ok(())
    }

    /// Gives back all but so many bytes.
    pub fn keep(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        let large = |bytes: usize| bytes.saturating_sub(SMALL);
        let spare = large(self.bytes) - large(bytes);
        if spare > 0 {
            self.room.large.give_back(&self.holder, spare);
        }
        let spare = self.bytes.min(SMALL) - bytes.min(SMALL);
        if spare > 0 {
            self.room.small.give_back(&self.holder, spare);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(org: &str, key: &str) -> Holder {
        Holder { org: org.into(), key: key.into() }
    }

    /// As many shares of eight steps as one holder gets.
    fn greedy(room: &Room, holder: Holder, step: usize) -> Vec<Share> {
        let mut shares = Vec::new();
        loop {
            let mut share = room.share(holder.clone());
            let full = (0..8).any(|_| share.grow(step).is_err());
            shares.push(share);
            if full {
                return shares;
            }
        }
    }

    fn size(shares: &[Share]) -> usize {
        shares.iter().map(|share| share.bytes).sum::<usize>() >> 20
    }

    #[test]
    fn who_comes_later_finds_room() {
        let room = Room::new(64 << 20, 512 << 20);
        let one = greedy(&room, holder("a", "a1"), 1 << 20);
        assert!((165..=172).contains(&size(&one)), "{}", size(&one));
        let more: Vec<_> = (2..9).map(|n| greedy(&room, holder("a", &format!("a{n}")), 1 << 20)).collect();
        let org = size(&one) + more.iter().map(|shares| size(shares)).sum::<usize>();
        assert!((250..=260).contains(&org), "{org}");
        // Two others, and a fourth with a longest body.
        let others = ["b", "c"].map(|name| greedy(&room, holder(name, name), 1 << 20));
        assert!(others.iter().all(|shares| size(shares) >= 40));
        let mut last = room.share(holder("d", "d1"));
        assert_eq!(last.grow(32 << 20), Ok(()));
        drop((one, more, others, last));
        assert_eq!(room.taken(), 0);
        assert!(room.large.taken.lock().unwrap().by_key.is_empty());
    }

    #[test]
    fn small_ones_do_not_wait_for_large_ones() {
        let room = Room::new(1 << 20, 1 << 20);
        let large = greedy(&room, holder("a", "a1"), SMALL);
        let mut small = room.share(holder("a", "a1"));
        assert_eq!(small.grow(SMALL), Ok(()));
        assert_eq!(small.grow(SMALL), Err(NoRoom));
        drop(large);
        assert_eq!(room.taken(), SMALL);
        assert_eq!(small.grow(SMALL), Ok(()));
        assert_eq!(room.taken(), 2 * SMALL);
        small.keep(10);
        assert_eq!(room.taken(), 10);
    }
}
