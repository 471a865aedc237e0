//! What every operation works with: the database, the clock, the randomness and the password hasher. Made once at the
//! start and passed down; nothing below reads a global one, so a test can move the clock and foretell an id.

use std::sync::Arc;

use crate::domain::moment::Moment;
use crate::passwords::Passwords;
use crate::store::Db;
use crate::store::org_queues::OrgQueues;
use crate::vault::Vault;

pub trait Clock: Send + Sync {
    fn now(&self) -> Moment;
}

/// Randomness fit for secrets.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

#[derive(Clone)]
pub struct Desk {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub passwords: Passwords,
    pub vault: Vault,
    pub queues: OrgQueues,
}

impl Desk {
    /// What this desk seals, only it and its clones can open, until it is given the installation's vault.
    pub fn new(db: Db, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let mut own = [0; 32];
        random.fill(&mut own);
        Self {
            db,
            clock,
            random,
            passwords: Passwords::new(),
            vault: Vault::derive(&own),
            queues: OrgQueues::default(),
        }
    }

    pub fn with_vault(self, vault: Vault) -> Self {
        Self { vault, ..self }
    }

    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// For an id.
    pub fn id_entropy(&self) -> [u8; 10] {
        self.bytes()
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}
