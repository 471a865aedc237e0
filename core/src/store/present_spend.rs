//! What a key, a team or an organisation spent lately and in its present windows, whether a budget counts it or not; read
//! from counters, a few rows each.

use super::{StoreError, Via, run, statements};
use crate::domain::ids::{KeyId, OrgId, TeamId};
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::next_stop::{PACE_DAYS, Paces, pace};
use crate::domain::window::{Period, WindowStarts};

statements! {
    /// Days have 25 hours at most.
    LATELY = "SELECT c.holder_kind, c.window_start, c.spent
        FROM (SELECT 'key' AS kind, CAST($2 AS TEXT) AS id UNION ALL SELECT 'team', CAST($3 AS TEXT)
            UNION ALL SELECT 'org', CAST($1 AS TEXT)) h
        JOIN counters c ON c.holder_kind = h.kind AND c.holder_id = h.id AND c.period = 'day' AND c.window_start >= $4
        WHERE c.org_id = $1";
    WINDOWS = "SELECT c.period, c.spent
        FROM (SELECT 'total' AS period, CAST(0 AS BIGINT) AS start UNION ALL SELECT 'month', CAST($4 AS BIGINT)
            UNION ALL SELECT 'week', CAST($5 AS BIGINT) UNION ALL SELECT 'day', CAST($6 AS BIGINT)) w
        JOIN counters c ON c.holder_kind = $2 AND c.holder_id = $3 AND c.period = w.period AND c.window_start = w.start
        WHERE c.org_id = $1";
}

/// How fast the organisation spends, and of it this key and this team.
///
/// # Errors
/// When the database cannot be read.
pub async fn paces(
    via: &mut impl Via,
    org: &OrgId,
    key: Option<&KeyId>,
    team: Option<&TeamId>,
    starts: WindowStarts,
) -> Result<Paces, StoreError> {
    let from = starts.day.plus_days(1 - PACE_DAYS).plus_ms(-7_200_000);
    let rows: Vec<(String, i64, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, i64, i64)>(LATELY)
            .bind(org.as_str())
            .bind(key.map(KeyId::as_str))
            .bind(team.map(TeamId::as_str))
            .bind(from.ms())
    )?;
    let of = |kind: HolderKind| {
        let days = rows.iter().filter(|(holder, ..)| holder == kind.as_str());
        let days: Vec<(Moment, i64)> =
            days.map(|(_, start, spent)| (Moment::from_ms(*start), *spent)).collect();
        pace(&days, starts.day)
    };
    Ok(Paces { key: of(HolderKind::Key), team: of(HolderKind::Team), org: of(HolderKind::Org) })
}

/// What a holder spent in the present window of each period in which it spent anything.
///
/// # Errors
/// When the database cannot be read.
pub async fn in_windows(
    via: &mut impl Via,
    org: &OrgId,
    (kind, holder): (HolderKind, &str),
    starts: WindowStarts,
) -> Result<Vec<(Period, Money)>, StoreError> {
    let rows: Vec<(String, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, i64)>(WINDOWS)
            .bind(org.as_str())
            .bind(kind.as_str())
            .bind(holder)
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
    )?;
    rows.into_iter()
        .map(|(period, spent)| {
            let period =
                Period::parse(&period).ok_or(StoreError::Unreadable { column: "counters.period" })?;
            Ok((period, Money::from_nanos(spent)))
        })
        .collect()
}
