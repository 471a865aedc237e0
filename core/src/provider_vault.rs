//! Seals the API keys of providers with the installation's key for them, which is a file of its own: neither the database nor
//! the key of cookies opens them. While the key is rotated there are two, the new one and the one before; the newest seals,
//! and each opens what it sealed. Files are read by `load`, again when something was sealed with a key that is not known
//! yet, so that a rotation needs no restart.

use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::domain::ids::ProviderId;
use crate::domain::provider::SealedKey;
use crate::domain::provider_wire::last_four;
use crate::vault::{LoadKeys, Vault};

const LABEL: &[u8] = b"keydesk provider credential 1";

/// Clones share the keys.
#[derive(Clone)]
pub struct ProviderVault {
    keys: Arc<RwLock<Vec<(String, Vault)>>>,
    load: LoadKeys,
}

impl std::fmt::Debug for ProviderVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProviderVault")
    }
}

impl ProviderVault {
    /// Reads the keys for the first time.
    pub fn new(load: LoadKeys) -> Self {
        let vault = Self { keys: Arc::default(), load };
        vault.reload();
        vault
    }

    /// Without a key: it seals nothing and opens nothing.
    pub fn without_key() -> Self {
        Self::new(Arc::new(Vec::new))
    }

    /// With keys that never change, the newest first.
    pub fn of(keys: &[&[u8]]) -> Self {
        let keys: Vec<Zeroizing<Vec<u8>>> = keys.iter().map(|key| Zeroizing::new(key.to_vec())).collect();
        Self::new(Arc::new(move || keys.clone()))
    }

    /// Reads the keys again.
    pub fn reload(&self) {
        let tagged = |material: Zeroizing<Vec<u8>>| {
            let vault = Vault::derive_for(LABEL, &material);
            (vault.tag("key"), vault)
        };
        let loaded = (self.load)().into_iter().map(tagged).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// The tag of the key that seals; `None` without a key.
    pub fn sealing_tag(&self) -> Option<String> {
        self.newest().map(|(tag, _)| tag)
    }

    fn newest(&self) -> Option<(String, Vault)> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    fn find(&self, tag: &str) -> Option<Vault> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|(known, _)| known == tag).map(|(_, vault)| vault.clone())
    }

    /// Seals a provider's key with the newest key there is now; `None` without one.
    pub fn seal(&self, provider: &ProviderId, nonce: [u8; 12], key: &str) -> Option<SealedKey> {
        self.reload();
        let (sealed_with, vault) = self.newest()?;
        let sealed = vault.seal_for(provider.as_str(), nonce, key.as_bytes())?;
        Some(SealedKey { sealed, sealed_with, last_four: last_four(key) })
    }

    /// A provider's key; `None` when the key that sealed it is not here, or it was altered or moved.
    pub fn open(&self, provider: &ProviderId, key: &SealedKey) -> Option<Zeroizing<String>> {
        let vault = match self.find(&key.sealed_with) {
            Some(vault) => vault,
            None => {
                self.reload();
                self.find(&key.sealed_with)?
            }
        };
        let opened = vault.open_for(provider.as_str(), &key.sealed)?;
        std::str::from_utf8(&opened).ok().map(|text| Zeroizing::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::moment::Moment;

    fn provider(n: u8) -> ProviderId {
        ProviderId::new(Moment::from_ms(1), [n; 10])
    }

    #[test]
    fn a_key_opens_for_its_provider_with_the_installations_key_alone() {
        let vault = ProviderVault::of(&[&[7; 64]]);
        let sealed = vault.seal(&provider(1), [3; 12], "sk-proj-0123456789abcd").unwrap();
        assert_eq!(sealed.last_four, "abcd");
        assert!(!sealed.sealed.windows(7).any(|part| part == b"sk-proj"));
        assert_eq!(vault.open(&provider(1), &sealed).unwrap().as_str(), "sk-proj-0123456789abcd");
        assert!(vault.open(&provider(2), &sealed).is_none());
        assert!(ProviderVault::of(&[&[8; 64]]).open(&provider(1), &sealed).is_none());
        let renamed = SealedKey { sealed_with: "00000000".into(), ..sealed };
        assert!(vault.open(&provider(1), &renamed).is_none());
        assert!(ProviderVault::without_key().seal(&provider(1), [3; 12], "sk-proj-0123").is_none());
        // The vault of second factors has the same form, and another key even from the same file.
        assert!(Vault::derive(&[7; 64]).open_for(provider(1).as_str(), &renamed.sealed).is_none());
    }

    #[test]
    fn a_rotated_key_is_found_without_a_restart() {
        let files: Arc<Mutex<Vec<Vec<u8>>>> = Arc::new(Mutex::new(vec![vec![1; 64]]));
        let read = files.clone();
        let vault = ProviderVault::new(Arc::new(move || {
            read.lock().unwrap().iter().map(|key| Zeroizing::new(key.clone())).collect()
        }));
        let old = vault.seal(&provider(1), [3; 12], "sk-before-rotation").unwrap();
        files.lock().unwrap().insert(0, vec![2; 64]);
        let new = vault.seal(&provider(1), [4; 12], "sk-after-rotation").unwrap();
        assert_ne!(old.sealed_with, new.sealed_with);
        assert!(vault.open(&provider(1), &old).is_some() && vault.open(&provider(1), &new).is_some());
        files.lock().unwrap().pop();
        vault.reload();
        assert!(vault.open(&provider(1), &old).is_none() && vault.open(&provider(1), &new).is_some());
    }
}
