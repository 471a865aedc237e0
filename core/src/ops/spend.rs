//! What keys spend, as pages show it. Reads roll-ups and counters only, never raw rows.

use super::OpError;
use crate::domain::key::Key;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::org::Org;
use crate::store::Via;
use crate::store::spend::{self, SpendDay};

/// How many days the chart of a key's spend shows, today included.
pub const CHART_DAYS: u32 = 30;

/// What one key spent.
pub struct KeySpend {
    /// The last thirty days of the organisation's calendar, oldest first, also those without spend.
    pub days: Vec<SpendDay>,
    /// All that the key ever spent.
    pub total: Money,
    /// How many requests it ever made.
    pub requests: i64,
    /// Their input and output tokens.
    pub tokens: i64,
}

impl KeySpend {
    /// What the key spent in `days`.
    pub fn of_days(&self) -> Money {
        self.days.iter().map(|day| day.cost).sum()
    }
}

/// What a key spent in each of the last thirty days and in all.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_key(via: &mut impl Via, org: &Org, key: &Key, now: Moment) -> Result<KeySpend, OpError> {
    let first = first_day(now, &org.zone);
    let stored = spend::days_of_key(via, &org.id, &key.id, first).await?;
    let (total, requests, tokens) = spend::total_of_key(via, &org.id, &key.id).await?;
    let empty = |day| SpendDay { day, requests: 0, tokens: 0, cost: Money::ZERO };
    let days = std::iter::successors(Some(first), |day| Some(day.next()))
        .take(CHART_DAYS as usize)
        .map(|day| stored.iter().find(|found| found.day == day).cloned().unwrap_or_else(|| empty(day)))
        .collect();
    Ok(KeySpend { days, total, requests, tokens })
}

fn first_day(now: Moment, zone: &Zone) -> Day {
    Day::of(now, zone).back(CHART_DAYS - 1)
}
