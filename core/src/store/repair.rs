//! Makes everything that is added up again: days, hours and tags from the requests that are still there, and counters of all
//! time, days and months of roll-ups from the days. Only `ops::spend_check` calls it, when `verify` found a difference.
//!
//! Settlements of the organisation wait meanwhile: on Postgres a settlement needs its row, which is locked here.

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, patient_within};
use super::verify::Sums;
use super::{StoreError, Tx, Via, budget_marks, changed, rollups, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::domain::policy::{Action, Permit};
use crate::domain::tags::OTHER_TAGS;
use crate::domain::window::WindowStarts;

statements! {
    TOTAL = "SELECT spent, requests, tokens FROM counters
        WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'total' AND window_start = 0 AND org_id = $1";
    CLEAR_DAYS = "DELETE FROM spend_daily WHERE org_id = $1 AND day >= $2";
    CLEAR_ROLLUPS = "DELETE FROM rollups WHERE org_id = $1 AND (grain <> 'hour' OR bucket >= $2)";
    CLEAR_TAGS = "DELETE FROM tag_daily WHERE org_id = $1 AND day >= $2";
    CLEAR_TOTALS = "DELETE FROM counters WHERE org_id = $1 AND period = 'total'";
}

/// Answers the first day of which every request is still there; empty is the very first.
fn lock_text(dialect: Dialect) -> String {
    format!("SELECT COALESCE(raw_from, '') FROM orgs WHERE id = $1{}", dialect.for_update())
}

/// What is written again, in order. Each takes the organisation and the first day; `$3` of the sums is their second.
fn texts(dialect: Dialect) -> [String; 5] {
    let since = |text: &str| text.replace("$3", "CAST($2 AS TEXT)");
    let rollup = "INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens,
            output_tokens, cached_tokens, cost)
        SELECT CAST($1 AS TEXT), s.holder_kind, s.holder_id, s.grain, s.bucket, s.model_id, s.provider, s.requests, s.input_tokens,
            s.output_tokens, s.cached_tokens, s.cost";
    let any_day = "WHERE CAST($2 AS TEXT) = CAST($2 AS TEXT)";
    [
        format!(
            "INSERT INTO spend_daily (key_id, day, model_id, provider, team_id, owner_id, org_id, requests, input_tokens,
                output_tokens, cached_tokens, cost)
            SELECT s.key_id, s.day, s.model_id, s.provider, s.team_id, s.owner_id, CAST($1 AS TEXT), s.requests, s.input_tokens,
                s.output_tokens, s.cached_tokens, s.cost FROM ({}) s",
            since(rollups::DAYS)
        ),
        format!("{rollup} FROM ({}) s {any_day}", rollups::days_and_months()),
        format!("{rollup} FROM ({}) s", since(&rollups::hours())),
        format!(
            "INSERT INTO tag_daily (key_id, day, tag, model_id, team_id, owner_id, org_id, requests, input_tokens, output_tokens,
                cached_tokens, cost)
            SELECT s.key_id, s.day, s.tag, s.model_id, s.team_id, s.owner_id, CAST($1 AS TEXT), s.requests, s.input_tokens,
                s.output_tokens, s.cached_tokens, s.cost FROM ({}) s",
            since(&rollups::tags(dialect, OTHER_TAGS))
        ),
        format!(
            "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
            SELECT s.holder_kind, s.holder_id, 'total', 0, CAST($1 AS TEXT), s.spent, s.requests, s.tokens FROM ({}) s {any_day}",
            rollups::TOTALS
        ),
    ]
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    texts(dialect).into_iter().chain([lock_text(dialect)]).collect()
}

/// What the organisation's own counter of all time says.
///
/// # Errors
/// When the database cannot be read.
pub async fn total(via: &mut impl Via, org: &OrgId) -> Result<Sums, StoreError> {
    let row: Option<(i64, i64, i64)> =
        run!(via, fetch_optional, sqlx::query_as::<_, (i64, i64, i64)>(TOTAL).bind(org.as_str()))?;
    let (spent, requests, tokens) = row.unwrap_or_default();
    Ok(Sums { spent: Money::from_nanos(spent), requests, tokens })
}

/// Makes all of it again, and the marks of budgets with it. Answers what the organisation's own counter said before.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn rebuild(tx: &mut Tx, permit: &Permit, zone: &Zone, now: Moment) -> Result<Sums, StoreError> {
    tx.charge(permit, &[Action::RepairSpend], permit.org().as_str())?;
    patient_within(tx).await?;
    let dialect = Dialect::of(tx);
    let (org, lock) = (permit.org().as_str(), lock_text(dialect));
    // Read with the lock: requests may have been deleted since anyone looked, and their days cannot be made again.
    let from: Option<String> = run!(
        &mut *tx,
        fetch_optional,
        sqlx::query_scalar::<_, String>(AssertSqlSafe(lock.clone())).bind(org)
    )?;
    let from = from.unwrap_or_default();
    let before = total(tx, permit.org()).await?;
    // First, as what renews the marks of a budget locks counters before it needs the organisation's row.
    changed!(&mut *tx, sqlx::query(CLEAR_TOTALS).bind(org))?;
    for clear in [CLEAR_DAYS, CLEAR_ROLLUPS, CLEAR_TAGS] {
        changed!(&mut *tx, sqlx::query(clear).bind(org).bind(&from))?;
    }
    add_up(tx, permit.org(), &from, WindowStarts::at(now, zone)).await?;
    Ok(before)
}

/// Writes everything that is added up, where nothing of it is there, and the marks of budgets with it: hours and days since
/// the day `from`, the others of all days.
///
/// # Errors
/// When the database cannot be written.
pub(super) async fn add_up(
    tx: &mut Tx,
    org: &OrgId,
    from: &str,
    starts: WindowStarts,
) -> Result<(), StoreError> {
    for text in texts(Dialect::of(tx)) {
        changed!(&mut *tx, sqlx::query(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(from))?;
    }
    budget_marks::renew_all(tx, org, starts).await
}
