//! Seals the few secrets that the database must keep readable for the program: those behind the codes of a second
//! factor, and the addresses and secrets of webhooks. A copy of the database alone opens none of them, because the key is derived from the installation's cookie
//! key, which is a file of its own. What is sealed is bound to its person: moved to another's row it does not open.
//!
//! While the cookie key is rotated there are several keys: the first one seals, and each opens what it sealed.

use std::sync::{Arc, PoisonError, RwLock};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::ids::PersonId;

const LABEL: &[u8] = b"keydesk second factor 1";
const TAG_LABEL: &[u8] = b"keydesk tag 1";
/// The first byte says how the rest is sealed.
const FORM: u8 = 1;
const NONCE: usize = 12;

/// What the files of keys contain, the one that seals first.
pub type LoadKeys = Arc<dyn Fn() -> Vec<Zeroizing<Vec<u8>>> + Send + Sync>;

type Key = Zeroizing<[u8; 32]>;

/// The keys that seal and open; clones share them, and the last one dropped wipes them from memory.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<RwLock<Vec<Key>>>,
    /// `None` where the keys never change.
    load: Option<LoadKeys>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// `material` is random bytes that every node of the installation has.
    pub fn derive(material: &[u8]) -> Self {
        Self::derive_for(LABEL, material)
    }

    /// A key for another use of the same kind, which `label` names.
    pub(crate) fn derive_for(label: &[u8], material: &[u8]) -> Self {
        Self { keys: Arc::new(RwLock::new(vec![derived(label, material)])), load: None }
    }

    /// With keys that are read now, and again when something does not open. The first one seals.
    pub fn loading(load: LoadKeys) -> Self {
        let vault = Self { keys: Arc::default(), load: Some(load) };
        vault.reload();
        vault
    }

    /// Reads the keys again. Where there is none now, those that were read before stay.
    pub fn reload(&self) {
        let Some(load) = &self.load else { return };
        let loaded: Vec<Key> = load().iter().map(|material| derived(LABEL, material)).collect();
        if !loaded.is_empty() {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        }
    }

    /// `nonce` is drawn again each time. There are a few secrets per person, so twelve random bytes do not repeat.
    pub fn seal(&self, person: &PersonId, nonce: [u8; NONCE], secret: &[u8]) -> Option<Vec<u8>> {
        self.seal_for(person.as_str(), nonce, secret)
    }

    /// `seal` for what belongs to something else than a person; `bound` says to what, and for which use.
    pub fn seal_for(&self, bound: &str, nonce: [u8; NONCE], secret: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: secret, aad: bound.as_bytes() };
        let sealed = cipher(&self.first()?)?.encrypt(Nonce::from_slice(&nonce), payload).ok()?;
        Some([&[FORM], &nonce[..], &sealed].concat())
    }

    /// `None` when it was sealed with another key, for another person, or was altered.
    pub fn open(&self, person: &PersonId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open_for(person.as_str(), sealed)
    }

    /// `open` of what `seal_for` sealed, with the same `bound`.
    pub fn open_for(&self, bound: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open_known(bound, sealed).or_else(|| {
            self.load.as_ref()?;
            self.reload();
            self.open_known(bound, sealed)
        })
    }

    /// The same text, sealed with the first key; `None` when that has sealed it already, or no key opens it.
    pub fn seal_anew(&self, bound: &str, nonce: [u8; NONCE], sealed: &[u8]) -> Option<Vec<u8>> {
        if opened(&self.first()?, bound, sealed).is_some() {
            return None;
        }
        self.seal_for(bound, nonce, &self.open_for(bound, sealed)?)
    }

    fn open_known(&self, bound: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find_map(|key| opened(key, bound, sealed))
    }

    fn first(&self) -> Option<Key> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// Eight hexadecimal digits that stand for a text; without the key, guesses at the text cannot be compared with them.
    pub fn tag(&self, text: &str) -> String {
        let mut tag = [0; 4];
        let key = self.first().unwrap_or_default();
        let made = Hkdf::<Sha256>::new(Some(TAG_LABEL), key.as_slice()).expand(text.as_bytes(), &mut tag);
        debug_assert!(made.is_ok());
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn derived(label: &[u8], material: &[u8]) -> Key {
    let mut key = Zeroizing::new([0; 32]);
    // Fails only for a key of more than 8,160 bytes.
    let made = Hkdf::<Sha256>::new(None, material).expand(label, key.as_mut());
    debug_assert!(made.is_ok());
    key
}

fn cipher(key: &Key) -> Option<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key.as_slice()).ok()
}

fn opened(key: &Key, bound: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (&FORM, rest) = sealed.split_first()? else { return None };
    let (nonce, text) = rest.split_at_checked(NONCE)?;
    let payload = Payload { msg: text, aad: bound.as_bytes() };
    cipher(key)?.decrypt(Nonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::moment::Moment;

    #[test]
    fn what_is_sealed_opens_for_its_person_with_its_key_and_unaltered() {
        let (ana, ben) = (person(1), person(2));
        let vault = Vault::derive(&[7; 64]);
        let sealed = vault.seal(&ana, [3; NONCE], b"twenty bytes of it..").unwrap();
        assert_eq!(vault.open(&ana, &sealed).unwrap().as_slice(), b"twenty bytes of it..");
        assert!(!sealed.windows(6).any(|part| part == b"twenty"));
        assert!(vault.open(&ben, &sealed).is_none());
        assert!(Vault::derive(&[8; 64]).open(&ana, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(vault.open(&ana, &altered).is_none(), "byte {at}");
        }
        assert!(vault.open(&ana, &sealed[..9]).is_none() && vault.open(&ana, &[]).is_none());
    }

    #[test]
    fn a_rotated_key_is_found_and_what_the_old_one_sealed_is_sealed_anew() {
        let files: Arc<Mutex<Vec<Vec<u8>>>> = Arc::new(Mutex::new(vec![vec![1; 64]]));
        let read = files.clone();
        let vault = Vault::loading(Arc::new(move || {
            read.lock().unwrap().iter().map(|key| Zeroizing::new(key.clone())).collect()
        }));
        let ana = person(1);
        let old = vault.seal(&ana, [3; NONCE], b"before").unwrap();
        assert!(vault.seal_anew(ana.as_str(), [4; NONCE], &old).is_none());
        // Another process has rotated: what it sealed opens here without a restart.
        files.lock().unwrap().insert(0, vec![2; 64]);
        let theirs = Vault::derive(&[2; 64]).seal(&ana, [5; NONCE], b"after").unwrap();
        assert_eq!(vault.open(&ana, &theirs).unwrap().as_slice(), b"after");
        assert_eq!(vault.open(&ana, &old).unwrap().as_slice(), b"before");
        let new = vault.seal_anew(ana.as_str(), [6; NONCE], &old).unwrap();
        assert_eq!(Vault::derive(&[2; 64]).open(&ana, &new).unwrap().as_slice(), b"before");
        files.lock().unwrap().truncate(1);
        vault.reload();
        assert!(vault.open(&ana, &old).is_none() && vault.open(&ana, &new).is_some());
        // Files that cannot be read for a moment take nothing away.
        files.lock().unwrap().clear();
        vault.reload();
        assert!(vault.open(&ana, &new).is_some());
    }

    fn person(n: u8) -> PersonId {
        PersonId::new(Moment::from_ms(1), [n; 10])
    }
}
