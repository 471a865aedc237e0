//! Throttling of searches for whole secrets, the same for members and support, of questions about one's own secret, by
//! network, of live tests, and of tests of webhooks and of connections to providers.

use super::OpError;
use super::access::Caller;
use super::lane::network_of;
use crate::Desk;
use crate::domain::moment::Moment;
use crate::store::throttle::{self, Throttled};
use crate::store::{StoreError, Tx, Unaudited};

const SECRET_SEARCHES_A_MINUTE: i64 = 60;
const PUBLIC_SEARCHES_A_MINUTE: i64 = 10;
const LIVE_TESTS_A_MINUTE: i64 = 10;
const WEBHOOK_TESTS_A_MINUTE: i64 = 5;
const PROVIDER_TESTS_A_MINUTE: i64 = 10;

/// Counts a search for a whole secret.
///
/// # Errors
/// `TooMany` after many in a minute.
pub(super) async fn count_secret_search(desk: &Desk, caller: &Caller) -> Result<(), OpError> {
    count(desk, caller.person.id.as_str(), SECRET_SEARCHES_A_MINUTE).await
}

/// Counts a question about a secret by a person without an account.
///
/// # Errors
/// `TooMany` after many from one network in a minute.
pub(super) async fn count_public_search(desk: &Desk, address: &str) -> Result<(), OpError> {
    count(desk, &format!("network {}", network_of(address)), PUBLIC_SEARCHES_A_MINUTE).await
}

/// Counts a live test.
///
/// # Errors
/// `TooMany` after ten in a minute.
pub(super) async fn count_live_test(desk: &Desk, caller: &Caller) -> Result<(), OpError> {
    count(desk, &format!("live-test {}", caller.person.id), LIVE_TESTS_A_MINUTE).await
}

/// Counts a test of a webhook, in the transaction that sends it.
///
/// # Errors
/// `TooMany` after five in a minute.
pub(super) async fn count_webhook_test(tx: &mut Tx, caller: &Caller, now: Moment) -> Result<(), OpError> {
    let times = counted(tx, &format!("webhook-test {}", caller.person.id), now).await?;
    within(times, WEBHOOK_TESTS_A_MINUTE, now)
}

/// Counts a test of a provider's connection, which costs money at the provider.
///
/// # Errors
/// `TooMany` after ten in a minute.
pub(super) async fn count_provider_test(desk: &Desk, caller: &Caller) -> Result<(), OpError> {
    count(desk, &format!("provider-test {}", caller.person.id), PROVIDER_TESTS_A_MINUTE).await
}

async fn count(desk: &Desk, subject: &str, max_a_minute: i64) -> Result<(), OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let times = counted(&mut tx, subject, now).await?;
    tx.save_unaudited(Unaudited::SearchCounted).await?;
    within(times, max_a_minute, now)
}

/// How many there were in the present minute, with this one.
async fn counted(tx: &mut Tx, subject: &str, now: Moment) -> Result<i64, StoreError> {
    let minute = Moment::from_ms(now.ms() - now.ms().rem_euclid(60_000));
    let window = minute..minute.plus_ms(60_000);
    throttle::count(tx, Throttled::Search, subject, now, window).await?;
    let counted = throttle::find(tx, Throttled::Search, subject).await?;
    Ok(counted.map_or(1, |(times, _)| times))
}

/// Up to so many in a minute; the next one may be in the minute after.
fn within(times: i64, max_a_minute: i64, now: Moment) -> Result<(), OpError> {
    if times <= max_a_minute {
        return Ok(());
    }
    Err(OpError::TooMany { retry_after_s: 60 - now.ms().rem_euclid(60_000) / 1_000 })
}
