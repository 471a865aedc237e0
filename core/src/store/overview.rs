//! Sums for the first page of an organisation and for the list of keys. They are read from counters, roll-ups and the days
//! of the cube, never from requests. A person who does not see every key is told of what was spent while they owned the
//! key, or in teams that they administer.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::models::really_serves;
use super::search_sql::seen_by;
use super::{StoreError, Via, run, statements};
use crate::domain::ids::{KeyId, OrgId};
use crate::domain::key::Key;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::overview::{By, DayUse, Grown, MIN_GROWN};
use crate::domain::policy::{Permit, Scope};
use crate::domain::window::WindowStarts;

statements! {
    MONTH = "SELECT spent, requests FROM counters
        WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'month' AND window_start = $2 AND org_id = $1";
    DAYS = "SELECT r.bucket, CAST(SUM(r.cost) AS BIGINT), CAST(SUM(r.requests) AS BIGINT) FROM rollups r
        WHERE r.holder_kind = 'org' AND r.holder_id = $1 AND r.org_id = $1 AND r.grain = 'day' AND r.bucket >= $2
        GROUP BY r.bucket ORDER BY r.bucket";
    /// What there is to begin with: keys of the organisation, a model that a provider really serves, other people.
    BEGUN = concat!("SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM keys WHERE org_id = $1) THEN 1 ELSE 0 END AS BIGINT),
        CAST(CASE WHEN EXISTS (SELECT 1 FROM providers p WHERE ", really_serves!(), ") THEN 1 ELSE 0 END AS BIGINT),
        CAST(CASE WHEN (SELECT COUNT(*) FROM memberships WHERE org_id = $1 AND removed_at IS NULL) > 1
            OR EXISTS (SELECT 1 FROM invitations WHERE org_id = $1 AND accepted_at IS NULL AND withdrawn_at IS NULL)
            THEN 1 ELSE 0 END AS BIGINT)");
}

/// Candidates of each month for the five that the chart shows.
const CANDIDATES: i64 = 10;
/// Keys that spent most yesterday, among which the fastest are sought.
const MAX_COMPARED: i64 = 200;

/// What was used in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthUse {
    /// What requests cost.
    pub spent: Money,
    /// Settled requests.
    pub requests: i64,
}

/// Days of the cube that a person is told of, as `s`: `$1` is the organisation, `$2` the person, `$3` the first day. Two
/// lists put together, as an OR would make the databases look at every row.
fn own_days(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM spend_daily s WHERE s.org_id = $1 AND s.owner_id = $2 AND s.day >= $3
        UNION ALL SELECT {columns} FROM team_members m JOIN teams t ON t.id = m.team_id AND t.archived_at IS NULL
        JOIN spend_daily s ON s.org_id = $1 AND s.team_id = m.team_id AND s.day >= $3 AND s.owner_id <> $2
        WHERE m.org_id = $1 AND m.person_id = $2 AND m.role = 'admin'"
    )
}

fn own_days_text() -> String {
    let own = own_days("s.day, s.cost, s.requests");
    format!(
        "SELECT day, CAST(SUM(cost) AS BIGINT), CAST(SUM(requests) AS BIGINT) FROM ({own}) own GROUP BY day ORDER BY day"
    )
}

/// The five parts that spent most since a day, by day: `id, name, day, cost`. For an organisation `$1` it is, `$2` the day, and
/// unless by model `$3` and `$4` the starts of this and the last month; for a person see `own_days`.
fn parts_text(dialect: Dialect, by: By, own: bool) -> String {
    let (column, kind) = match by {
        By::Model => ("model_id", "org"),
        By::Team => ("team_id", "team"),
        By::Key => ("key_id", "key"),
    };
    let days = if own {
        own_days(&format!("s.{column} AS id, s.day AS day, s.cost AS cost"))
    } else if by == By::Model {
        "SELECT r.model_id AS id, r.bucket AS day, r.cost AS cost FROM rollups r
            WHERE r.org_id = $1 AND r.holder_kind = 'org' AND r.holder_id = $1 AND r.grain = 'day' AND r.bucket >= $2"
            .to_owned()
    } else {
        // Those that spent most this month and last month are known without reading all the days.
        let of_month = |start: &str| {
            format!(
                "SELECT c.holder_id FROM (SELECT holder_id FROM counters WHERE org_id = $1 AND holder_kind = '{kind}'
                    AND period = 'month' AND window_start = {start} ORDER BY spent DESC, holder_id DESC LIMIT {CANDIDATES}) c"
            )
        };
        let (rollups, of_them) = dialect.rows_of(
            "rollups r",
            "r.holder_id",
            &format!("{} UNION {}", of_month("$3"), of_month("$4")),
        );
        format!(
            "SELECT r.holder_id AS id, r.bucket AS day, r.cost AS cost FROM {rollups}
            WHERE r.org_id = $1 AND r.holder_kind = '{kind}' AND {of_them} AND r.grain = 'day' AND r.bucket >= $2"
        )
    };
    let (name, join) = match by {
        By::Model => ("top.id", ""),
        By::Team => ("COALESCE(t.name, '')", " LEFT JOIN teams t ON t.id = top.id AND t.org_id = $1"),
        By::Key => ("COALESCE(k.name, '')", " LEFT JOIN keys k ON k.id = top.id AND k.org_id = $1"),
    };
    // A day's models are added up once: there are many times as many rows as days.
    format!(
        "WITH days AS (SELECT d.id, d.day, CAST(SUM(d.cost) AS BIGINT) AS cost FROM ({days}) d GROUP BY d.id, d.day),
        top AS (SELECT id FROM days GROUP BY id ORDER BY SUM(cost) DESC, id LIMIT 5)
        SELECT top.id, {name} AS name, days.day, days.cost FROM top JOIN days ON days.id = top.id{join}"
    )
}

/// `$1` is the organisation, `$2` the least spend, `$3` the start of yesterday, `$4` to `$7` of the days to compare with, and
/// `$8` the person for whom it is narrowed.
fn grown_text(own: bool) -> String {
    let source = match own {
        false => "counters y".to_owned(),
        true => format!(
            "(SELECT DISTINCT o.id FROM ({}) seen JOIN keys o ON o.seq = seen.seq) own
            JOIN counters y ON y.holder_id = own.id",
            seen_by("$1", "$8")
        ),
    };
    let unused = if own { "" } else { " AND (CAST($8 AS TEXT) IS NULL OR TRUE)" };
    format!(
        "SELECT c.holder_id, k.name, c.spent, CAST(COALESCE(SUM(b.spent), 0) AS BIGINT)
        FROM (SELECT y.holder_id, y.spent FROM {source} WHERE y.org_id = $1 AND y.holder_kind = 'key' AND y.period = 'day'
            AND y.window_start = $3 AND y.spent >= $2{unused} ORDER BY y.spent DESC, y.holder_id DESC LIMIT {MAX_COMPARED}) c
        JOIN keys k ON k.id = c.holder_id AND k.org_id = $1
        LEFT JOIN counters b ON b.holder_kind = 'key' AND b.holder_id = c.holder_id AND b.period = 'day'
            AND b.window_start IN ($4, $5, $6, $7) AND b.org_id = $1
        GROUP BY c.holder_id, k.name, c.spent"
    )
}

fn of_keys_text(dialect: Dialect) -> String {
    format!(
        "SELECT s.key_id, s.day, CAST(SUM(s.cost) AS BIGINT) FROM spend_daily s
        WHERE s.org_id = $1 AND s.day >= $3 AND {} GROUP BY s.key_id, s.day",
        dialect.any_of("s.key_id", "$2")
    )
}

/// The texts that are put together, for the tests that prepare and explain them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let parts = By::ALL.into_iter().flat_map(|by| [false, true].map(|own| parts_text(dialect, by, own)));
    let others = [own_days_text(), of_keys_text(dialect)];
    parts.chain([false, true].map(grown_text)).chain(others).collect()
}

fn day(text: &str) -> Result<Day, StoreError> {
    Day::parse(text).ok_or(StoreError::Unreadable { column: "rollups.bucket" })
}

/// What was used this month of all that the permit's holder is told of.
///
/// # Errors
/// When the database cannot be read.
pub async fn month(
    via: &mut impl Via,
    permit: &Permit,
    (starts, first): (WindowStarts, Day),
) -> Result<MonthUse, StoreError> {
    if matches!(permit.scope(), Scope::OfPerson(_)) {
        let days = days(via, permit, first).await?;
        let (spent, requests) = (days.iter().map(|one| one.spent), days.iter().map(|one| one.requests));
        return Ok(MonthUse { spent: spent.sum(), requests: requests.sum() });
    }
    let row: Option<(i64, i64)> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, (i64, i64)>(MONTH).bind(permit.org().as_str()).bind(starts.month.ms())
    )?;
    let used = |(spent, requests)| MonthUse { spent: Money::from_nanos(spent), requests };
    Ok(row.map(used).unwrap_or_default())
}

/// Days with any use since `first`, oldest first, of all that the permit's holder is told of.
///
/// # Errors
/// When the database cannot be read.
pub async fn days(via: &mut impl Via, permit: &Permit, first: Day) -> Result<Vec<DayUse>, StoreError> {
    type Row = (String, i64, i64);
    let org = permit.org().as_str();
    let rows: Vec<Row> = match permit.scope() {
        Scope::Org => run!(via, fetch_all, sqlx::query_as::<_, Row>(DAYS).bind(org).bind(first.to_string()))?,
        Scope::OfPerson(person) => {
            let text = own_days_text();
            run!(
                via,
                fetch_all,
                sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
                    .bind(org)
                    .bind(person.as_str())
                    .bind(first.to_string())
            )?
        }
    };
    let read =
        |(at, spent, requests): Row| Ok(DayUse { day: day(&at)?, spent: Money::from_nanos(spent), requests });
    rows.into_iter().map(read).collect()
}

/// One of the parts that spent most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The id of a team or key, or a model's; empty is no team.
    pub id: String,
    /// Its name; empty for no team.
    pub name: String,
    /// What it spent by day, where it spent anything.
    pub days: HashMap<Day, Money>,
}

/// The five teams, models or keys that spent most since `first`, the largest first. `months` are the starts of this month and
/// the one before.
///
/// # Errors
/// When the database cannot be read.
pub async fn parts(
    via: &mut impl Via,
    permit: &Permit,
    by: By,
    first: Day,
    months: [Moment; 2],
) -> Result<Vec<Part>, StoreError> {
    type Row = (String, String, String, i64);
    let org = permit.org().as_str();
    let rows: Vec<Row> = match permit.scope() {
        Scope::Org => {
            let text = parts_text(Dialect::of(via), by, false);
            match by {
                By::Team | By::Key => run!(
                    via,
                    fetch_all,
                    sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
                        .bind(org)
                        .bind(first.to_string())
                        .bind(months[0].ms())
                        .bind(months[1].ms())
                )?,
                By::Model => run!(
                    via,
                    fetch_all,
                    sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())).bind(org).bind(first.to_string())
                )?,
            }
        }
        Scope::OfPerson(person) => {
            let text = parts_text(Dialect::of(via), by, true);
            run!(
                via,
                fetch_all,
                sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
                    .bind(org)
                    .bind(person.as_str())
                    .bind(first.to_string())
            )?
        }
    };
    let mut parts: Vec<Part> = Vec::new();
    for (id, name, at, cost) in rows {
        let (at, cost) = (day(&at)?, Money::from_nanos(cost));
        match parts.iter_mut().find(|part| part.id == id) {
            Some(part) => {
                part.days.insert(at, cost);
            }
            None => parts.push(Part { id, name, days: HashMap::from([(at, cost)]) }),
        }
    }
    parts
        .sort_by_key(|part| (std::cmp::Reverse(part.days.values().copied().sum::<Money>()), part.id.clone()));
    Ok(parts)
}

/// Keys that spent a dollar or more in the first of these windows, and what they spent in the four after it.
///
/// # Errors
/// When the database cannot be read.
pub async fn grown(
    via: &mut impl Via,
    permit: &Permit,
    windows: [Moment; 5],
) -> Result<Vec<Grown>, StoreError> {
    type Row = (String, String, i64, i64);
    let person = match permit.scope() {
        Scope::Org => None,
        Scope::OfPerson(person) => Some(person.to_string()),
    };
    let text = grown_text(person.is_some());
    let [yesterday, one, two, three, four] = windows.map(Moment::ms);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
            .bind(permit.org().as_str())
            .bind(MIN_GROWN.nanos())
            .bind(yesterday)
            .bind(one)
            .bind(two)
            .bind(three)
            .bind(four)
            .bind(&person)
    )?;
    let read = |(id, name, spent, usual): Row| {
        let id = KeyId::parse(&id).ok_or(StoreError::Unreadable { column: "counters.holder_id" })?;
        Ok(Grown { id, name, spent: Money::from_nanos(spent), usual: Money::from_nanos(usual) })
    };
    rows.into_iter().map(read).collect()
}

/// What each of the keys spent in the days since `first`, where it spent anything.
///
/// # Errors
/// When the database cannot be read.
pub async fn days_of_keys(
    via: &mut impl Via,
    org: &OrgId,
    keys: &[Key],
    first: Day,
) -> Result<HashMap<(KeyId, Day), Money>, StoreError> {
    type Row = (String, String, i64);
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let text = of_keys_text(Dialect::of(via));
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(&ids)
            .bind(first.to_string())
    )?;
    let read = |(id, at, cost): Row| {
        let key = KeyId::parse(&id).ok_or(StoreError::Unreadable { column: "spend_daily.key_id" })?;
        Ok(((key, day(&at)?), Money::from_nanos(cost)))
    };
    rows.into_iter().map(read).collect()
}

/// What an organisation has to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// It has or had a key.
    pub keys: bool,
    /// The installation has a provider.
    pub provider: bool,
    /// Another person is in it or invited.
    pub people: bool,
}

/// Which of the first steps are done.
///
/// # Errors
/// When the database cannot be read.
pub async fn begun(via: &mut impl Via, org: &OrgId) -> Result<Begun, StoreError> {
    type Row = (i64, i64, i64);
    let (keys, provider, people) = run!(via, fetch_one, sqlx::query_as::<_, Row>(BEGUN).bind(org.as_str()))?;
    Ok(Begun { keys: keys > 0, provider: provider > 0, people: people > 0 })
}
