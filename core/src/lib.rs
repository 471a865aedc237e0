//! The key desk itself, without any web.
//!
//! `domain` is plain data and rules: no I/O, no clock, no randomness. `forms` reads what a browser sends into commands
//! of the domain; operations know no forms. With the feature `store` come the
//! operations that people ask for (`ops`), what a gateway asks for (`admission`), and all SQL (`store`).
//! Data runs one way: operations ask the policy, then the store; nothing in here knows a page or a route.

#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod domain;
pub mod forms;

#[cfg(feature = "store")]
pub mod admission;
#[cfg(feature = "store")]
pub mod desk;
#[cfg(feature = "store")]
pub mod ops;
#[cfg(feature = "store")]
pub mod passwords;
#[cfg(feature = "store")]
pub mod provider_vault;
#[cfg(feature = "store")]
pub mod sealed_stream;
#[cfg(feature = "store")]
pub mod security_log;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "store")]
pub mod vault;

#[cfg(feature = "store")]
pub use desk::{Clock, Desk, Random};
#[cfg(feature = "store")]
pub use provider_vault::ProviderVault;
#[cfg(feature = "store")]
pub use vault::Vault;
