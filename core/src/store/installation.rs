//! Sums over all organisations, for operators. Each organisation's days and months are those of its own time zone: the caller
//! passes what time it is in each zone (`ZoneTime`). Read from counters and roll-ups, never from requests.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::overview::MonthUse;
use super::{StoreError, Via, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::org::OrgName;
use crate::domain::overview::{DayUse, Grown, MIN_GROWN, ZoneTime};

statements! {
    ZONES_OF_ORGS = "SELECT DISTINCT zone FROM orgs";
    /// Days since `$1` by time zone, of the five organisations that spent most since `$2` and, without a name, of the others.
    /// Materialised, as it is read twice.
    DAYS = "WITH days AS MATERIALIZED (
            SELECT o.id, o.slug, o.name, o.zone, r.bucket AS day, SUM(r.cost) AS cost, SUM(r.requests) AS requests
            FROM orgs o CROSS JOIN rollups r
            WHERE r.holder_kind = 'org' AND r.holder_id = o.id AND r.grain = 'day' AND r.bucket >= $1
            GROUP BY o.id, o.slug, o.name, o.zone, r.bucket),
        top AS (SELECT id, slug, name FROM days WHERE day >= $2 GROUP BY id, slug, name
            HAVING SUM(cost) > 0 ORDER BY SUM(cost) DESC, id LIMIT 5)
        SELECT days.zone, top.slug, top.name, days.day, CAST(SUM(days.cost) AS BIGINT), CAST(SUM(days.requests) AS BIGINT)
        FROM days LEFT JOIN top ON top.id = days.id GROUP BY days.zone, top.slug, top.name, days.day";
}

/// Organisations that spent most yesterday, among which the fastest are sought.
const MAX_COMPARED: i64 = 200;

/// The list that `zone_times` reads.
pub(super) fn zone_list(times: &[ZoneTime]) -> String {
    let starts = |time: &ZoneTime| [time.starts.month, time.starts.week, time.starts.day].map(Moment::ms);
    let rows: Vec<_> = times
        .iter()
        .map(|time| {
            (&time.zone, &time.months[0], &time.months[1], starts(time), time.yesterday.map(Moment::ms))
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

/// The time zones of `$1`, as `zone_list` writes them: the names of this month and the last one, the starts of the present
/// windows, of yesterday and of the days that it is compared with.
pub(super) fn zone_times(dialect: Dialect) -> String {
    let list = dialect.json_rows_in("$1");
    let start =
        |list: usize, at: usize, name: &str| format!("CAST(j.value -> {list} ->> {at} AS BIGINT) AS {name}");
    let windows = ["month", "week", "day"].iter().enumerate().map(|(at, name)| start(3, at, name));
    let days = ["yesterday", "usual_1", "usual_2", "usual_3", "usual_4"];
    let days = days.iter().enumerate().map(|(at, name)| start(4, at, name));
    let starts = windows.chain(days).collect::<Vec<_>>().join(", ");
    format!(
        "(SELECT j.value ->> 0 AS zone, j.value ->> 1 AS this_month, j.value ->> 2 AS last_month, {starts} FROM {list})"
    )
}

/// Of keys that are used and teams that are not archived: what is over has its marks for good.
fn marks_text(dialect: Dialect) -> String {
    format!(
        "SELECT b.org_id, b.level, b.period, b.window_start, COUNT(*) AS count FROM budget_marks b
        WHERE {} AND CASE b.holder_kind
            WHEN 'key' THEN EXISTS (SELECT 1 FROM keys k WHERE k.id = b.holder_id AND k.status = 'active')
            WHEN 'team' THEN EXISTS (SELECT 1 FROM teams t WHERE t.id = b.holder_id AND t.archived_at IS NULL)
            ELSE TRUE END
        GROUP BY b.org_id, b.level, b.period, b.window_start",
        dialect.any_of("b.org_id", "$1")
    )
}

/// Organisations `o`, and what each used in this month and the last one.
fn months_of_orgs(dialect: Dialect) -> String {
    let times = zone_times(dialect);
    format!(
        "SELECT o.id, o.slug, o.name, o.zone, o.name_folded,
            CAST(COALESCE(SUM(CASE WHEN r.bucket = z.this_month THEN r.cost END), 0) AS BIGINT) AS spent,
            CAST(COALESCE(SUM(CASE WHEN r.bucket = z.last_month THEN r.cost END), 0) AS BIGINT) AS before,
            CAST(COALESCE(SUM(CASE WHEN r.bucket = z.this_month THEN r.requests END), 0) AS BIGINT) AS requests
        FROM {times} z JOIN orgs o ON o.zone = z.zone
        LEFT JOIN rollups r ON r.holder_kind = 'org' AND r.holder_id = o.id AND r.grain = 'month'
            AND r.bucket IN (z.this_month, z.last_month)
        GROUP BY o.id, o.slug, o.name, o.zone, o.name_folded"
    )
}

fn of_orgs_text(dialect: Dialect) -> String {
    let months = months_of_orgs(dialect);
    format!(
        "SELECT id, slug, name, zone, spent, before, requests FROM ({months}) of_orgs
        ORDER BY spent DESC, name_folded, id LIMIT $2"
    )
}

fn of_all_orgs_text(dialect: Dialect) -> String {
    let months = months_of_orgs(dialect);
    format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(spent), 0) AS BIGINT), CAST(COALESCE(SUM(before), 0) AS BIGINT),
            CAST(COALESCE(SUM(requests), 0) AS BIGINT) FROM ({months}) of_orgs"
    )
}

/// `$2` is the least spend.
fn grown_text(dialect: Dialect) -> String {
    let times = zone_times(dialect);
    format!(
        "SELECT y.slug, y.name, y.zone, y.spent, CAST(COALESCE(SUM(b.spent), 0) AS BIGINT)
        FROM (SELECT o.id, o.slug, o.name, o.zone, c.spent, z.usual_1, z.usual_2, z.usual_3, z.usual_4
            FROM {times} z JOIN orgs o ON o.zone = z.zone JOIN counters c ON c.holder_kind = 'org' AND c.holder_id = o.id
                AND c.period = 'day' AND c.window_start = z.yesterday AND c.org_id = o.id AND c.spent >= $2
            ORDER BY c.spent DESC, o.id LIMIT {MAX_COMPARED}) y
        LEFT JOIN counters b ON b.holder_kind = 'org' AND b.holder_id = y.id AND b.period = 'day'
            AND b.window_start IN (y.usual_1, y.usual_2, y.usual_3, y.usual_4) AND b.org_id = y.id
        GROUP BY y.id, y.slug, y.name, y.zone, y.spent"
    )
}

/// The texts that are put together, for the tests that prepare and explain them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![
        marks_text(dialect),
        of_orgs_text(dialect),
        of_all_orgs_text(dialect),
        DAYS.to_owned(),
        grown_text(dialect),
    ]
}

/// What an organisation spent, for operators.
#[derive(Clone, Debug)]
pub struct OrgMonth {
    /// The organisation's id.
    pub id: OrgId,
    /// Its name and the first segment of its pages' addresses.
    pub org: OrgName,
    /// The name of its time zone.
    pub zone: String,
    /// Used this month.
    pub month: MonthUse,
    /// Spent in the whole month before.
    pub before: Money,
}

/// All organisations together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllOrgs {
    /// How many there are.
    pub count: i64,
    /// Used this month.
    pub month: MonthUse,
    /// Spent in the whole month before.
    pub before: Money,
}

/// The time zones that organisations have.
///
/// # Errors
/// When the database cannot be read.
pub async fn zones_of_orgs(via: &mut impl Via) -> Result<Vec<String>, StoreError> {
    run!(via, fetch_all, sqlx::query_scalar::<_, String>(ZONES_OF_ORGS))
}

/// The organisations that spent most this month, at most `limit`, and all of them together. `times` has each time zone that
/// organisations have.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_orgs(
    via: &mut impl Via,
    times: &[ZoneTime],
    limit: i64,
) -> Result<(Vec<OrgMonth>, AllOrgs), StoreError> {
    type Row = (String, String, String, String, i64, i64, i64);
    type Total = (i64, i64, i64, i64);
    let times = zone_list(times);
    let dialect = Dialect::of(via);
    let (each, all) = (of_orgs_text(dialect), of_all_orgs_text(dialect));
    let rows: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(AssertSqlSafe(each.clone())).bind(&times).bind(limit))?;
    let (count, spent, before, requests) =
        run!(via, fetch_one, sqlx::query_as::<_, Total>(AssertSqlSafe(all.clone())).bind(&times))?;
    let used = |spent, requests| MonthUse { spent: Money::from_nanos(spent), requests };
    let read = |(id, slug, name, zone, spent, before, requests): Row| {
        let id = OrgId::parse(&id).ok_or(StoreError::Unreadable { column: "orgs.id" })?;
        let (org, before) = (OrgName { slug, name }, Money::from_nanos(before));
        Ok(OrgMonth { id, org, zone, month: used(spent, requests), before })
    };
    let orgs = rows.into_iter().map(read).collect::<Result<_, StoreError>>()?;
    Ok((orgs, AllOrgs { count, month: used(spent, requests), before: Money::from_nanos(before) }))
}

/// One of the organisations that spent most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopOrg {
    /// The organisation.
    pub org: OrgName,
    /// What it spent by day, where it spent anything.
    pub days: HashMap<Day, Money>,
}

/// What organisations used by day.
#[derive(Clone, Debug, Default)]
pub struct DaysOfOrgs {
    /// The five that spent most in the days of the chart, the largest first.
    pub top: Vec<TopOrg>,
    /// What all used on each day of their own, by time zone.
    pub of_zones: HashMap<String, Vec<DayUse>>,
}

/// The days since `first` of all organisations. `of_chart` is the first day of those in which the five spent most.
///
/// # Errors
/// When the database cannot be read.
pub async fn days(via: &mut impl Via, first: Day, of_chart: Day) -> Result<DaysOfOrgs, StoreError> {
    type Row = (String, Option<String>, Option<String>, String, i64, i64);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(DAYS).bind(first.to_string()).bind(of_chart.to_string())
    )?;
    let mut days = DaysOfOrgs::default();
    for (zone, slug, name, day, spent, requests) in rows {
        let day = Day::parse(&day).ok_or(StoreError::Unreadable { column: "rollups.bucket" })?;
        let spent = Money::from_nanos(spent);
        if let (Some(slug), Some(name)) = (slug, name) {
            match days.top.iter_mut().find(|one| one.org.slug == slug) {
                Some(one) => {
                    one.days.insert(day, spent);
                }
                None => {
                    days.top
                        .push(TopOrg { org: OrgName { slug, name }, days: HashMap::from([(day, spent)]) });
                }
            }
        }
        days.of_zones.entry(zone).or_default().push(DayUse { day, spent, requests });
    }
    let in_chart = |one: &TopOrg| -> Money {
        one.days.iter().filter(|(day, _)| **day >= of_chart).map(|(_, spent)| *spent).sum()
    };
    days.top.sort_by_key(|one| (std::cmp::Reverse(in_chart(one)), one.org.slug.clone()));
    Ok(days)
}

/// An organisation that may have grown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgInZone {
    /// The first segment of its pages' addresses.
    pub slug: String,
    /// The name of its time zone.
    pub zone: String,
}

/// Organisations that spent a dollar or more yesterday, and what they spent in the four days that it is compared with.
///
/// # Errors
/// When the database cannot be read.
pub async fn grown(via: &mut impl Via, times: &[ZoneTime]) -> Result<Vec<Grown<OrgInZone>>, StoreError> {
    type Row = (String, String, String, i64, i64);
    let text = grown_text(Dialect::of(via));
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())).bind(zone_list(times)).bind(MIN_GROWN.nanos())
    )?;
    let read = |(slug, name, zone, spent, usual): Row| Grown {
        id: OrgInZone { slug, zone },
        name,
        spent: Money::from_nanos(spent),
        usual: Money::from_nanos(usual),
    };
    Ok(rows.into_iter().map(read).collect())
}

/// How many marks of budgets there are.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Marks {
    /// Whose, or whose keys' or teams'.
    pub org_id: String,
    /// `near` or `reached`.
    pub level: String,
    /// The budgets' period.
    pub period: String,
    /// The window that they are of. Whether it is the present one depends on the organisation's time zone.
    pub window_start: i64,
    /// How many.
    pub count: i64,
}

/// Marks of budgets that are nearly or wholly used up, of these organisations, their teams and their keys.
///
/// # Errors
/// When the database cannot be read.
pub async fn marks(via: &mut impl Via, orgs: &[OrgMonth]) -> Result<Vec<Marks>, StoreError> {
    let ids: Vec<&str> = orgs.iter().map(|one| one.id.as_str()).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let text = marks_text(Dialect::of(via));
    run!(via, fetch_all, sqlx::query_as::<_, Marks>(AssertSqlSafe(text.clone())).bind(&ids))
}
