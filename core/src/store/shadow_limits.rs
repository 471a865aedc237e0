//! Limits that only report, of keys and teams, and what they would have rejected. `meter` evaluates them and counts.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::limit_use::{HolderKind, Limited};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Permit};
use crate::domain::shadow_limit::{ShadowLimit, ShadowReport, parse_choice};

statements! {
    LIST = "SELECT s.what, s.amount, s.created_at, s.created_by,
            COALESCE((SELECT c.requests FROM counters c WHERE c.holder_kind = s.holder_kind AND c.holder_id = s.holder_id
                AND c.period = 'total' AND c.window_start = 0), 0) - s.requests_before AS requests,
            COALESCE((SELECT CAST(SUM(r.requests) AS BIGINT) FROM shadow_rejections r
                WHERE r.holder_kind = s.holder_kind AND r.holder_id = s.holder_id AND r.what = s.what), 0) AS rejected,
            (SELECT MIN(r.first_at) FROM shadow_rejections r
                WHERE r.holder_kind = s.holder_kind AND r.holder_id = s.holder_id AND r.what = s.what) AS first_at,
            (SELECT MAX(r.last_at) FROM shadow_rejections r
                WHERE r.holder_kind = s.holder_kind AND r.holder_id = s.holder_id AND r.what = s.what) AS last_at
        FROM shadow_limits s WHERE s.org_id = $1 AND s.holder_kind = $2 AND s.holder_id = $3 ORDER BY s.what";
    ADD = "INSERT INTO shadow_limits (holder_kind, holder_id, what, org_id, amount, created_at, created_by, requests_before)
        VALUES ($2, $3, $4, $1, CAST($5 AS BIGINT), CAST($6 AS BIGINT), $7,
            COALESCE((SELECT c.requests FROM counters c WHERE c.holder_kind = $2 AND c.holder_id = $3
                AND c.period = 'total' AND c.window_start = 0), 0))";
    REMOVE = "DELETE FROM shadow_limits WHERE org_id = $1 AND holder_kind = $2 AND holder_id = $3 AND what = $4";
    REMOVE_COUNTS = "DELETE FROM shadow_rejections WHERE org_id = $1 AND holder_kind = $2 AND holder_id = $3 AND what = $4";
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    what: String,
    amount: i64,
    created_at: i64,
    created_by: String,
    requests: i64,
    rejected: i64,
    first_at: Option<i64>,
    last_at: Option<i64>,
}

/// The limits of a key or a team that only report, each with its report.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(
    via: &mut impl Via,
    org: &OrgId,
    (kind, holder): (HolderKind, &str),
) -> Result<Vec<ShadowReport>, StoreError> {
    let rows: Vec<ReportRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, ReportRow>(LIST).bind(org.as_str()).bind(kind.as_str()).bind(holder)
    )?;
    rows.into_iter()
        .map(|row| {
            let what =
                parse_choice(&row.what).ok_or(StoreError::Unreadable { column: "shadow_limits.what" })?;
            Ok(ShadowReport {
                limit: ShadowLimit { what, amount: row.amount },
                since: Moment::from_ms(row.created_at),
                created_by: row.created_by,
                // A request counts here when it is finished, and as rejected when it begins.
                requests: row.requests.max(row.rejected),
                rejected: row.rejected,
                first: row.first_at.map(Moment::from_ms),
                last: row.last_at.map(Moment::from_ms),
            })
        })
        .collect()
}

/// Sets a limit that only reports, in the place of one on the same thing; its report begins anew.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or holder; otherwise when the database cannot be written.
pub async fn set(
    tx: &mut Tx,
    permit: &Permit,
    (kind, holder): (HolderKind, &str),
    limit: &ShadowLimit,
    now: Moment,
) -> Result<(), StoreError> {
    remove(tx, permit, (kind, holder), limit.what).await?;
    changed!(
        tx,
        sqlx::query(ADD)
            .bind(permit.org().as_str())
            .bind(kind.as_str())
            .bind(holder)
            .bind(limit.what.as_str())
            .bind(limit.amount)
            .bind(now.ms())
            .bind(permit.actor().name())
    )?;
    Ok(())
}

/// Removes a limit that only reports, with its report; says whether there was one.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or holder; otherwise when the database cannot be written.
pub async fn remove(
    tx: &mut Tx,
    permit: &Permit,
    (kind, holder): (HolderKind, &str),
    what: Limited,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditKey, Action::EditTeam], holder)?;
    let mut removed = 0;
    for text in [REMOVE_COUNTS, REMOVE] {
        removed = changed!(
            &mut *tx,
            sqlx::query(text)
                .bind(permit.org().as_str())
                .bind(kind.as_str())
                .bind(holder)
                .bind(what.as_str())
        )?;
    }
    Ok(removed == 1)
}
