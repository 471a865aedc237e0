//! What was used and what it cost, read from counters. A counter always equals the sum of its requests,
//! because `meter` writes both in one transaction and the window is part of its key.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::grants::{granted, read_granted};
use super::keys::read_budget;
use super::ledger::{self, OrgLeft};
use super::{StoreError, Via, run, statements};
use crate::domain::bill::Bill;
use crate::domain::ids::{KeyId, OrgId, RequestId, SecretId, TeamId};
use crate::domain::key::{Key, SharedBudget, Whose};
use crate::domain::limits::BudgetUse;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::window::WindowStarts;

statements! {
    COST_OF = "SELECT cost FROM usage WHERE request_id = $1";
    TOTAL = "SELECT spent, requests, tokens FROM counters
        WHERE holder_kind = 'key' AND holder_id = $1 AND period = 'total' AND window_start = 0 AND org_id = $2";
    REQUESTS_SINCE = "SELECT COUNT(*) FROM (SELECT 1 FROM usage WHERE key_id = $1 AND org_id = $2 AND started_at >= $3 LIMIT 10001) counted";
}

/// One finished request. `cost` is what it is charged.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The request's id.
    pub request: RequestId,
    /// The organisation's id.
    pub org: OrgId,
    /// The key's id.
    pub key: KeyId,
    /// The id of the secret that the request presented.
    pub secret: SecretId,
    /// The team's id; `None` for a key without a team.
    pub team: Option<TeamId>,
    /// The model's id in the catalogue.
    pub model: String,
    /// The request's path; empty when it might contain a secret.
    pub route: String,
    /// HTTP status as the client saw it; 499 when the client disconnected.
    pub status: i64,
    /// What it used and is charged.
    pub bill: Bill,
    /// When it was reserved; its windows and its day are those of this moment.
    pub started_at: Moment,
    /// From the reservation to the end of the answer, in milliseconds.
    pub latency_ms: i64,
    /// From the reservation to the first byte of the answer, in milliseconds; `None` without one.
    pub first_byte_ms: Option<i64>,
    /// The client's IP address; empty when it is unknown.
    pub address: String,
    /// The client's user agent; empty when it sent none.
    pub user_agent: String,
    /// What the provider, or the gateway about it, said; empty without an error.
    pub error: String,
    /// What the request names itself, in no order and without line breaks; empty is nothing.
    pub tags: Vec<String>,
}

/// Whose budgets and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Keys.
    Key,
    /// Teams.
    Team,
}

impl Holder {
    fn as_str(self) -> &'static str {
        match self {
            Holder::Key => "key",
            Holder::Team => "team",
        }
    }
}

fn budgets_text(dialect: Dialect, holder: Holder) -> String {
    let kind = holder.as_str();
    format!(
        "SELECT b.holder_id, b.period, b.amount, COALESCE(c.spent, 0), {}, {} FROM budgets b
        LEFT JOIN counters c ON c.holder_kind = '{kind}' AND c.holder_id = b.holder_id AND c.period = b.period
            AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN $3 WHEN 'week' THEN $4 ELSE $5 END
        WHERE b.org_id = $1 AND b.holder_kind = '{kind}' AND b.holder_id IN {}",
        granted!("$6"),
        granted!("$6", until),
        dialect.json_list("$2")
    )
}

fn months_text(dialect: Dialect, holder: Holder) -> String {
    format!(
        "SELECT holder_id, spent FROM counters
        WHERE org_id = $1 AND holder_kind = '{}' AND period = 'month' AND window_start = $3 AND holder_id IN {}",
        holder.as_str(),
        dialect.json_list("$2")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let of = |holder| [budgets_text(dialect, holder), months_text(dialect, holder)];
    [of(Holder::Key), of(Holder::Team)].concat()
}

/// Holder, period, amount, spent, granted, and when the first grant ends.
type BudgetRow = (String, String, i64, i64, i64, Option<i64>);

/// The budgets of these holders and what was spent of them, the longest period first. `ids` is a JSON list.
pub(super) async fn budgets(
    via: &mut impl Via,
    org: &OrgId,
    holder: Holder,
    ids: &str,
    starts: WindowStarts,
) -> Result<Vec<(String, BudgetUse)>, StoreError> {
    let text = budgets_text(Dialect::of(via), holder);
    let rows: Vec<BudgetRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, BudgetRow>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(ids)
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(starts.at.ms())
    )?;
    let read = |(id, period, amount, spent, granted, until): BudgetRow| {
        Ok::<_, StoreError>((id, read_budget(&period, (amount, spent), read_granted(granted, until))?))
    };
    let mut found = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|(_, used)| used.budget.period.rank());
    Ok(found)
}

/// What these holders spent in this calendar month, where they spent anything. `ids` is a JSON list.
pub(super) async fn months(
    via: &mut impl Via,
    org: &OrgId,
    holder: Holder,
    ids: &str,
    starts: WindowStarts,
) -> Result<Vec<(String, Money)>, StoreError> {
    let text = months_text(Dialect::of(via), holder);
    let rows: Vec<(String, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(ids)
            .bind(starts.month.ms())
    )?;
    Ok(rows.into_iter().map(|(id, spent)| (id, Money::from_nanos(spent))).collect())
}

/// What a key spent in that month.
///
/// # Errors
/// When the database cannot be read.
pub async fn month_of_key(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    starts: WindowStarts,
) -> Result<Money, StoreError> {
    let ids = serde_json::to_string(&[key.as_str()]).unwrap_or_default();
    Ok(months(via, org, Holder::Key, &ids, starts).await?.first().map_or(Money::ZERO, |(_, spent)| *spent))
}

/// What a settled request cost; `None` when it is not settled.
///
/// # Errors
/// When the database cannot be read.
pub async fn cost_of(via: &mut impl Via, request: &RequestId) -> Result<Option<Money>, StoreError> {
    let cost: Option<i64> =
        run!(via, fetch_optional, sqlx::query_scalar::<_, i64>(COST_OF).bind(request.as_str()))?;
    Ok(cost.map(Money::from_nanos))
}

/// Puts each key's budgets, what was spent of them, the month's spend, and what it shares with others (its team's and its
/// organisation's budgets, the balance) into the keys: four statements for a page.
///
/// # Errors
/// When the database cannot be read.
pub async fn fill(
    via: &mut impl Via,
    org: &OrgId,
    keys: &mut [Key],
    starts: WindowStarts,
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let left = ledger::left(via, org, starts).await?;
    fill_with(via, org, keys, starts, &left).await
}

/// `fill` where what the organisation has left is known already.
///
/// # Errors
/// When the database cannot be read.
pub async fn fill_with(
    via: &mut impl Via,
    org: &OrgId,
    keys: &mut [Key],
    starts: WindowStarts,
    left: &OrgLeft,
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    for (id, used) in budgets(via, org, Holder::Key, &ids, starts).await? {
        if let Some(key) = keys.iter_mut().find(|key| key.id.as_str() == id) {
            key.budgets.push(used);
        }
    }
    for (id, spent) in months(via, org, Holder::Key, &ids, starts).await? {
        if let Some(key) = keys.iter_mut().find(|key| key.id.as_str() == id) {
            key.month_spent = spent;
        }
    }
    let teams: BTreeSet<&str> =
        keys.iter().filter_map(|key| key.team.as_ref()).map(|team| team.id.as_str()).collect();
    if !teams.is_empty() {
        let teams = serde_json::to_string(&teams).unwrap_or_default();
        for (id, used) in budgets(via, org, Holder::Team, &teams, starts).await? {
            let of_team = |key: &&mut Key| key.team.as_ref().is_some_and(|team| team.id.as_str() == id);
            for key in keys.iter_mut().filter(of_team) {
                key.shared.push(SharedBudget { whose: Whose::Team, used: used.clone() });
            }
        }
    }
    for key in keys.iter_mut() {
        let of_org = left.budgets.iter().cloned();
        key.shared.extend(of_org.map(|used| SharedBudget { whose: Whose::Org, used }));
        key.balance = left.balance;
    }
    Ok(())
}

/// All time: spent, requests, tokens.
///
/// # Errors
/// When the database cannot be read.
pub async fn total_of_key(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
) -> Result<(Money, i64, i64), StoreError> {
    let row: Option<(i64, i64, i64)> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, (i64, i64, i64)>(TOTAL).bind(key.as_str()).bind(org.as_str())
    )?;
    Ok(row.map_or((Money::ZERO, 0, 0), |(spent, requests, tokens)| {
        (Money::from_nanos(spent), requests, tokens)
    }))
}

/// How many requests since a moment, counted to 10,001.
///
/// # Errors
/// When the database cannot be read.
pub async fn requests_since(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    since: Moment,
) -> Result<i64, StoreError> {
    run!(
        via,
        fetch_one,
        sqlx::query_scalar::<_, i64>(REQUESTS_SINCE).bind(key.as_str()).bind(org.as_str()).bind(since.ms())
    )
}
