//! What several holders spent in a month, read from roll-ups: for lists of teams and of organisations.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Via, run};
use crate::domain::ids::{OrgId, TeamId};
use crate::domain::money::Money;

/// `$1` and `$2` are lists of organisations and holders, `$3` and `$4` months such as `2026-11`.
fn text(dialect: Dialect, kind: &str) -> String {
    format!(
        "SELECT r.holder_id, r.bucket, CAST(SUM(r.cost) AS BIGINT) FROM rollups r
        WHERE r.holder_kind = '{kind}' AND r.holder_id IN {} AND r.grain = 'month' AND r.bucket IN ($3, $4) AND r.org_id IN {}
        GROUP BY r.holder_id, r.bucket",
        dialect.json_list("$2"),
        dialect.json_list("$1")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![text(dialect, "team"), text(dialect, "org")]
}

/// What these teams spent in a month such as `2026-11`, in their order.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_teams(
    via: &mut impl Via,
    org: &OrgId,
    teams: &[TeamId],
    month: &str,
) -> Result<Vec<Money>, StoreError> {
    let ids: Vec<&str> = teams.iter().map(TeamId::as_str).collect();
    let asked: Vec<(&str, &str)> = ids.iter().map(|id| (*id, month)).collect();
    read(via, "team", &[org.as_str()], &asked).await
}

/// What these organisations spent, each in a month of its own, in their order.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_orgs(via: &mut impl Via, orgs: &[(&OrgId, &str)]) -> Result<Vec<Money>, StoreError> {
    let asked: Vec<(&str, &str)> = orgs.iter().map(|(id, month)| (id.as_str(), *month)).collect();
    let ids: Vec<&str> = asked.iter().map(|(id, _)| *id).collect();
    read(via, "org", &ids, &asked).await
}

/// At one moment there are two months at most, in all time zones.
async fn read(
    via: &mut impl Via,
    kind: &str,
    orgs: &[&str],
    asked: &[(&str, &str)],
) -> Result<Vec<Money>, StoreError> {
    let holders: Vec<&str> = asked.iter().map(|(id, _)| *id).collect();
    let (first, last) =
        (asked.iter().map(|(_, month)| *month).min(), asked.iter().map(|(_, month)| *month).max());
    let text = text(Dialect::of(via), kind);
    let rows: Vec<(String, String, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, i64)>(AssertSqlSafe(text.clone()))
            .bind(serde_json::to_string(orgs).unwrap_or_default())
            .bind(serde_json::to_string(&holders).unwrap_or_default())
            .bind(first.unwrap_or_default())
            .bind(last.unwrap_or_default())
    )?;
    let spent = |(id, month): &(&str, &str)| {
        let found = rows.iter().find(|(holder, bucket, _)| holder == id && bucket == month);
        found.map_or(Money::ZERO, |(_, _, nanos)| Money::from_nanos(*nanos))
    };
    Ok(asked.iter().map(spent).collect())
}
