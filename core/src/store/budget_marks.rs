//! Marks of budgets that are nearly or wholly spent, so that a list can be filtered by them without adding up anything. A
//! settlement marks the budgets that it brings to 80 % or to their end (`settle_text`). What changes a budget, a time zone or
//! what was spent renews the marks of those holders, in the same transaction (`renew`, `renew_all`).
//!
//! A mark counts only while its `window_start` is the start of the present window.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::grants::{budget_amount, granted};
use super::{StoreError, Tx, changed, run};
use crate::domain::ids::OrgId;
use crate::domain::limit_use::HolderKind;
use crate::domain::window::WindowStarts;

macro_rules! insert {
    () => {
        "INSERT INTO budget_marks (holder_kind, holder_id, org_id, period, window_start, level) "
    };
}
/// The marks of budgets `b` by their counters `c`.
macro_rules! marks {
    ($at:literal) => {
        concat!(
            "SELECT b.holder_kind, b.holder_id, b.org_id, b.period, c.window_start,
            CASE WHEN c.spent >= ",
            budget_amount!($at),
            " THEN 'reached' ELSE 'near' END AS level
        "
        )
    };
}
/// Whether 80 % is spent.
macro_rules! is_near {
    ($at:literal) => {
        concat!("c.spent >= ", budget_amount!($at), " - ", budget_amount!($at), " / 5")
    };
}
/// Within a window a mark only rises, and a request that began in an earlier window changes nothing.
macro_rules! raise {
    () => {
        " ON CONFLICT (holder_kind, holder_id, period) DO UPDATE SET window_start = excluded.window_start, level = excluded.level
        WHERE excluded.window_start > budget_marks.window_start
            OR excluded.window_start = budget_marks.window_start AND excluded.level = 'reached' AND budget_marks.level = 'near'"
    };
}

/// The last step of a settlement: its counters are locked by then, and the marks with them. `counted` are the windows that
/// it added to, each with the moment of its last request. Of two windows of a budget the later one is marked.
pub(super) fn settle_text(counted: &str) -> String {
    format!(
        concat!(
            insert!(),
            "SELECT m.holder_kind, m.holder_id, m.org_id, m.period, m.window_start, m.level FROM (
            SELECT n.*, ROW_NUMBER() OVER (PARTITION BY n.holder_kind, n.holder_id, n.period ORDER BY n.window_start DESC) AS place
            FROM (",
            marks!("w.at"),
            "FROM ({}) w CROSS JOIN budgets b CROSS JOIN counters c
                WHERE b.holder_kind = w.holder_kind AND b.holder_id = w.holder_id AND b.period = w.period
                    AND c.holder_kind = w.holder_kind AND c.holder_id = w.holder_id AND c.period = w.period
                    AND c.window_start = w.window_start AND ",
            is_near!("w.at"),
            ") n) m
        WHERE m.place = 1
        ORDER BY CASE m.holder_kind WHEN 'key' THEN 1 WHEN 'team' THEN 2 ELSE 3 END, m.holder_id, m.period",
            raise!()
        ),
        counted
    )
}

/// The holders that are meant: those of a JSON list, or all with a budget or a mark.
fn holders(dialect: Dialect, all: bool) -> String {
    if all {
        "(SELECT holder_id FROM budgets WHERE org_id = $1 AND CAST($2 AS TEXT) = ''
            UNION SELECT holder_id FROM budget_marks WHERE org_id = $1)"
            .to_owned()
    } else {
        dialect.json_list("$2")
    }
}

fn lock_text(dialect: Dialect, all: bool) -> String {
    format!(
        "SELECT c.window_start FROM counters c WHERE c.org_id = $1 AND c.holder_kind = $3 AND c.holder_id IN {}
            AND c.window_start IN (0, $4, $5, $6)
        ORDER BY c.holder_id, CASE c.period WHEN 'total' THEN 1 WHEN 'month' THEN 2 WHEN 'week' THEN 3 ELSE 4 END,
            c.window_start{}",
        holders(dialect, all),
        dialect.for_change()
    )
}

fn clear_text(dialect: Dialect, all: bool) -> String {
    format!(
        "DELETE FROM budget_marks WHERE org_id = $1 AND holder_kind = $3 AND holder_id IN {}",
        holders(dialect, all)
    )
}

fn mark_text(dialect: Dialect, all: bool) -> String {
    format!(
        concat!(
            insert!(),
            marks!("CAST($7 AS BIGINT)"),
            "FROM budgets b JOIN counters c ON c.holder_kind = b.holder_kind AND c.holder_id = b.holder_id AND c.period = b.period
                AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN CAST($4 AS BIGINT)
                    WHEN 'week' THEN CAST($5 AS BIGINT) ELSE CAST($6 AS BIGINT) END
            WHERE b.org_id = $1 AND b.holder_kind = $3 AND b.holder_id IN {} AND ",
            is_near!("CAST($7 AS BIGINT)"),
            raise!()
        ),
        holders(dialect, all)
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let of = |all| [lock_text(dialect, all), clear_text(dialect, all), mark_text(dialect, all)];
    [of(false), of(true)].concat()
}

/// Makes the marks of these holders what their budgets and counters say, in the windows that begin at `starts`. For the
/// transaction that changed a budget or what was spent of one, after the change. It owes no event of its own.
///
/// # Errors
/// When the database cannot be written.
pub async fn renew(
    tx: &mut Tx,
    org: &OrgId,
    kind: HolderKind,
    ids: &[&str],
    starts: WindowStarts,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = serde_json::to_string(ids).unwrap_or_default();
    write(tx, org, kind, (&ids, false), starts).await
}

/// The same for every holder of the organisation; for the transaction that changed its time zone.
///
/// # Errors
/// When the database cannot be written.
pub async fn renew_all(tx: &mut Tx, org: &OrgId, starts: WindowStarts) -> Result<(), StoreError> {
    // In the order of a settlement.
    for kind in [HolderKind::Key, HolderKind::Team, HolderKind::Org] {
        write(tx, org, kind, ("", true), starts).await?;
    }
    Ok(())
}

/// Locks the counters that `renew` reads, in the order of a settlement, for a transaction that changes counters of these
/// holders before.
///
/// # Errors
/// When the database cannot be read.
pub(super) async fn lock(
    tx: &mut Tx,
    org: &OrgId,
    kind: HolderKind,
    (ids, all): (&str, bool),
    starts: WindowStarts,
) -> Result<(), StoreError> {
    let text = lock_text(Dialect::of(tx), all);
    run!(
        &mut *tx,
        fetch_all,
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(ids)
            .bind(kind.as_str())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
    )?;
    Ok(())
}

async fn write(
    tx: &mut Tx,
    org: &OrgId,
    kind: HolderKind,
    (ids, all): (&str, bool),
    starts: WindowStarts,
) -> Result<(), StoreError> {
    let dialect = Dialect::of(tx);
    // A settlement that is under way is waited for, and the next one sees the new budget.
    lock(tx, org, kind, (ids, all), starts).await?;
    let text = clear_text(dialect, all);
    changed!(
        &mut *tx,
        sqlx::query(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(ids).bind(kind.as_str())
    )?;
    let text = mark_text(dialect, all);
    changed!(
        &mut *tx,
        sqlx::query(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(ids)
            .bind(kind.as_str())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(starts.at.ms())
    )?;
    Ok(())
}
