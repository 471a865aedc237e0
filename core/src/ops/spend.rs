//! What keys spent in all, as pages show it: read from counters, never from raw rows.

use super::OpError;
use crate::domain::key::Key;
use crate::domain::money::Money;
use crate::domain::org::Org;
use crate::store::Via;
use crate::store::spend;

/// What one key spent.
pub struct KeySpend {
    /// All that the key ever spent.
    pub total: Money,
    /// How many requests it ever made.
    pub requests: i64,
    /// Their input and output tokens.
    pub tokens: i64,
}

/// What a key ever spent.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_key(via: &mut impl Via, org: &Org, key: &Key) -> Result<KeySpend, OpError> {
    let (total, requests, tokens) = spend::total_of_key(via, &org.id, &key.id).await?;
    Ok(KeySpend { total, requests, tokens })
}
