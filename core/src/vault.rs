//! Seals the few secrets that the database must keep readable for the program: those behind the codes of a second
//! factor, and the addresses and secrets of webhooks. A copy of the database alone opens none of them, because the key is derived from the installation's cookie
//! key, which is a file of its own. What is sealed is bound to its person: moved to another's row it does not open.

use std::sync::Arc;

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

/// The key that seals and opens; clones share it, and the last one dropped wipes it from memory.
#[derive(Clone)]
pub struct Vault(Arc<Zeroizing<[u8; 32]>>);

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
        let mut key = Zeroizing::new([0; 32]);
        // Fails only for a key of more than 8,160 bytes.
        let made = Hkdf::<Sha256>::new(None, material).expand(label, key.as_mut());
        debug_assert!(made.is_ok());
        Self(Arc::new(key))
    }

    /// `nonce` is drawn again each time. There are a few secrets per person, so twelve random bytes do not repeat.
    pub fn seal(&self, person: &PersonId, nonce: [u8; NONCE], secret: &[u8]) -> Option<Vec<u8>> {
        self.seal_for(person.as_str(), nonce, secret)
    }

    /// `seal` for what belongs to something else than a person; `bound` says to what, and for which use.
    pub fn seal_for(&self, bound: &str, nonce: [u8; NONCE], secret: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: secret, aad: bound.as_bytes() };
        let sealed = self.cipher()?.encrypt(Nonce::from_slice(&nonce), payload).ok()?;
        Some([&[FORM], &nonce[..], &sealed].concat())
    }

    /// `None` when it was sealed with another key, for another person, or was altered.
    pub fn open(&self, person: &PersonId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open_for(person.as_str(), sealed)
    }

    /// `open` of what `seal_for` sealed, with the same `bound`.
    pub fn open_for(&self, bound: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&FORM, rest) = sealed.split_first()? else { return None };
        let (nonce, text) = rest.split_at_checked(NONCE)?;
        let payload = Payload { msg: text, aad: bound.as_bytes() };
        self.cipher()?.decrypt(Nonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }

    /// Eight hexadecimal digits that stand for a text; without the key, guesses at the text cannot be compared with them.
    pub fn tag(&self, text: &str) -> String {
        let mut tag = [0; 4];
        let made = Hkdf::<Sha256>::new(Some(TAG_LABEL), self.0.as_slice()).expand(text.as_bytes(), &mut tag);
        debug_assert!(made.is_ok());
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn cipher(&self) -> Option<Aes256Gcm> {
        Aes256Gcm::new_from_slice(self.0.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests {
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

    fn person(n: u8) -> PersonId {
        PersonId::new(Moment::from_ms(1), [n; 10])
    }
}
