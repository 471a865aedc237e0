//! What every operation works with: the database, the clock, the randomness and the password hasher. Made once at the
//! start and passed down; nothing below reads a global one, so a test can move the clock and foretell an id.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::{KeyCache, Lately, Quotas};
use crate::domain::moment::Moment;
use crate::passwords::Passwords;
use crate::provider_vault::ProviderVault;
use crate::store::org_queues::OrgQueues;
use crate::store::settlement_writer::SettlementWriter;
use crate::store::{Db, Lease};
use crate::vault::Vault;

/// Where operations read the time.
pub trait Clock: Send + Sync {
    /// The current moment.
    fn now(&self) -> Moment;
    /// The time since some moment, by a clock that no one sets: it goes on while the process or the machine is stopped, and
    /// never goes back. Leases are judged by it.
    fn steady(&self) -> Duration;
}

/// Randomness fit for secrets.
pub trait Random: Send + Sync {
    /// Overwrites all of `bytes`. It returns no error, so an implementation without randomness has to panic.
    fn fill(&self, bytes: &mut [u8]);
}

/// What every operation works with; clones share it.
#[derive(Clone)]
pub struct Desk {
    /// The database.
    pub db: Db,
    /// The system's clock; a test may set its own.
    pub clock: Arc<dyn Clock>,
    /// The source of ids, salts and secrets.
    pub random: Arc<dyn Random>,
    /// Hashes and verifies passwords, a few at once.
    pub passwords: Passwords,
    /// Seals the secrets of second factors.
    pub vault: Vault,
    /// Seals the API keys of providers.
    pub provider_vault: ProviderVault,
    /// The queues in front of Postgres, one for each organisation.
    pub queues: OrgQueues,
    /// What this process has of limits, while it serves.
    pub quotas: Arc<Quotas>,
    /// Writes finished requests, those that end meanwhile together.
    pub settlements: SettlementWriter,
    /// What is remembered of requests that are over.
    pub lately: Lately,
    /// What the request path keeps of the configuration.
    pub key_cache: Arc<KeyCache>,
}

impl Desk {
    /// What this desk seals, only it and its clones can open, until it is given the installation's vault.
    pub fn new(db: Db, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let mut own = [0; 32];
        random.fill(&mut own);
        let quotas = Arc::<Quotas>::default();
        Self {
            db,
            clock,
            random,
            passwords: Passwords::new(),
            vault: Vault::derive(&own),
            provider_vault: ProviderVault::without_key(),
            queues: OrgQueues::default(),
            settlements: SettlementWriter::of_node(quotas.clone()),
            quotas,
            lately: Lately::default(),
            key_cache: Arc::default(),
        }
    }

    /// The same desk with the installation's vault, which also opens what earlier runs sealed.
    pub fn with_vault(self, vault: Vault) -> Self {
        Self { vault, ..self }
    }

    /// The same desk with the installation's keys for providers' API keys; without them none can be stored or used.
    pub fn with_provider_vault(self, provider_vault: ProviderVault) -> Self {
        Self { provider_vault, ..self }
    }

    /// The clock's current moment.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// What may be kept and used of the configuration now.
    pub fn lease(&self) -> Lease<'_> {
        self.db.config().lease(self.clock.steady())
    }

    /// For an id.
    pub fn id_entropy(&self) -> [u8; 10] {
        self.bytes()
    }

    /// `N` random bytes, fit for secrets.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}
