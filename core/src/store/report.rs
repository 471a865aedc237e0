//! What was spent, for reports. One statement, put together from closed sets of fragments: a table, what it is cut and split
//! by, what it is narrowed to. Sums come from roll-ups where one kind of holder has them, else from the cube of days, for
//! tags from theirs; never from the requests themselves.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Via, run};
use crate::domain::ids::{OrgId, PersonId, TeamId};
use crate::domain::moment::Day;
use crate::domain::money::Money;
use crate::domain::report::{Charge, Dimension, Filters, Grain, Span, Sums};

/// Rows of a file that are read at once.
pub const CHUNK_ROWS: usize = 500;

/// The part of an organisation's spend that one person may see.
#[derive(Clone, Debug)]
pub struct Part {
    /// What their keys spend, and what others spent while they owned them.
    pub person: PersonId,
    /// What was spent in these teams.
    pub teams: Vec<TeamId>,
}

/// What is summed up.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The organisation.
    pub org: OrgId,
    /// Which days.
    pub span: Span,
    /// Of what alone.
    pub filters: Filters,
    /// `None` is all of it.
    pub part: Option<Part>,
}

/// Where sums are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// `rollups` of one kind of holder; without a dimension, of the organisation.
    Rollups(Option<Dimension>),
    /// `spend_daily`.
    Cube,
    /// `tag_daily`.
    Tags,
}

impl Source {
    /// `None` where nothing has that: no table knows the provider of what has a tag.
    fn of(asked: &Asked, group: Option<Dimension>) -> Option<Source> {
        let used = |dimension| group == Some(dimension) || asked.filters.get(dimension).is_some();
        if used(Dimension::Tag) {
            return (!used(Dimension::Provider)).then_some(Source::Tags);
        }
        if asked.part.is_some() {
            return Some(Source::Cube);
        }
        let holders: Vec<Dimension> = [Dimension::Key, Dimension::Team, Dimension::Owner]
            .into_iter()
            .filter(|one| used(*one))
            .collect();
        Some(match holders.as_slice() {
            [] => Source::Rollups(None),
            // Roll-ups have no team without a name.
            [Dimension::Team] if asked.filters.get(Dimension::Team).is_none_or(str::is_empty) => Source::Cube,
            [one] => Source::Rollups(Some(*one)),
            _ => Source::Cube,
        })
    }

    fn table(self) -> &'static str {
        match self {
            Source::Rollups(_) => "rollups",
            Source::Cube => "spend_daily",
            Source::Tags => "tag_daily",
        }
    }

    fn column(self, dimension: Dimension) -> &'static str {
        match (self, dimension) {
            (Source::Rollups(_), Dimension::Key | Dimension::Team | Dimension::Owner) => "holder_id",
            (_, Dimension::Key) => "key_id",
            (_, Dimension::Team) => "team_id",
            (_, Dimension::Owner) => "owner_id",
            (_, Dimension::Model) => "model_id",
            (_, Dimension::Provider) => "provider",
            (_, Dimension::Tag) => "tag",
        }
    }

    fn bucket(self) -> &'static str {
        match self {
            Source::Rollups(_) => "bucket",
            Source::Cube | Source::Tags => "day",
        }
    }
}

/// Whether sums so narrowed and split are kept by hour.
pub fn has_hours(asked: &Asked, group: Option<Dimension>) -> bool {
    matches!(Source::of(asked, group), Some(Source::Rollups(_)))
}

/// Whether sums so narrowed and split are kept at all.
pub fn is_kept(asked: &Asked, group: Option<Dimension>) -> bool {
    Source::of(asked, group).is_some()
}

/// What a statement answers with, beside the sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape<'a> {
    /// A row for each bucket of this grain.
    pub grain: Option<Grain>,
    /// A row for each value of this dimension.
    pub group: Option<Dimension>,
    /// What the whole is split by elsewhere, so that it is read where its parts are.
    pub whole_of: Option<Dimension>,
    /// Of the group's values these alone.
    pub only: Option<&'a [String]>,
    /// The most expensive groups: how many, and how many go before them.
    pub top: Option<(usize, usize)>,
}

/// Sums, and what they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summed {
    /// The bucket's name, as [`Grain::buckets`] has it; empty without a grain.
    pub bucket: String,
    /// The group's value; empty without a group.
    pub group: String,
    /// The sums.
    pub sums: Sums,
}

/// A statement under construction, with its parameters.
struct Sql {
    dialect: Dialect,
    binds: Vec<String>,
    conditions: Vec<String>,
}

impl Sql {
    fn new(dialect: Dialect, org: &OrgId) -> Self {
        Self { dialect, binds: vec![org.to_string()], conditions: vec!["org_id = $1".into()] }
    }

    fn bind(&mut self, value: impl Into<String>) -> String {
        self.binds.push(value.into());
        format!("${}", self.binds.len())
    }

    fn is(&mut self, column: &str, value: &str) {
        let value = self.bind(value);
        self.conditions.push(format!("{column} = {value}"));
    }

    fn any_of(&mut self, column: &str, values: &[impl AsRef<str>]) -> String {
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        let list = self.bind(serde_json::to_string(&values).unwrap_or_default());
        self.dialect.any_of(column, &list)
    }

    /// From the first bucket on, and before the bucket after the last: a day's hours come after its own name.
    fn between(&mut self, column: &str, first: &str, after: &str) {
        let (first, after) = (self.bind(first), self.bind(after));
        self.conditions.push(format!("{column} >= {first} AND {column} < {after}"));
    }

    fn narrow(&mut self, source: Source, asked: &Asked) {
        for (dimension, value) in asked.filters.set() {
            self.is(source.column(dimension), value);
        }
        let Some(Part { person, teams }) = &asked.part else { return };
        let me = self.bind(person.as_str());
        let own_keys = format!("SELECT id FROM keys WHERE org_id = $1 AND owner_id = {me}");
        let mut any = vec![format!("owner_id = {me}"), self.dialect.among("key_id", &own_keys)];
        if !teams.is_empty() {
            let teams: Vec<&str> = teams.iter().map(TeamId::as_str).collect();
            any.push(self.any_of("team_id", &teams));
        }
        self.conditions.push(format!("({})", any.join(" OR ")));
    }

    fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    /// The rows of a stretch of one grain: a table and a condition.
    fn stretch(&mut self, source: Source, grain: Grain, Span { first, last }: Span) -> String {
        let (first, after) = (first.to_string(), last.next().to_string());
        let named = |day: &str| if grain == Grain::Month { day[..7].to_owned() } else { day.to_owned() };
        let (first, after) = (self.bind(named(&first)), self.bind(named(&after)));
        let stored = match source {
            Source::Rollups(_) => format!("grain = '{}' AND ", grain.as_str()),
            Source::Cube | Source::Tags => String::new(),
        };
        let (table, bucket) = (source.table(), source.bucket());
        format!("{table} WHERE {} AND {stored}{bucket} >= {first} AND {bucket} < {after}", self.condition())
    }
}

const SUMS: [&str; 5] = ["requests", "input_tokens", "output_tokens", "cached_tokens", "cost"];

fn sums() -> String {
    SUMS.map(|column| format!("COALESCE(CAST(SUM({column}) AS BIGINT), 0) AS {column}")).join(", ")
}

/// Which rows add up to the span: in whole months one row has what a month of days adds up to.
fn stretches(source: Source, span: Span, grain: Option<Grain>) -> Vec<(Grain, Span)> {
    match (source, grain) {
        (Source::Rollups(_), Some(Grain::Hour)) => vec![(Grain::Hour, span)],
        (Source::Rollups(_), None | Some(Grain::Month)) => span.by_months().into_iter().flatten().collect(),
        _ => vec![(Grain::Day, span)],
    }
}

/// `None` where nothing has what is asked for.
fn text(dialect: Dialect, asked: &Asked, shape: &Shape<'_>) -> Option<(String, Vec<String>)> {
    let source = Source::of(asked, shape.group.or(shape.whole_of))?;
    let mut sql = Sql::new(dialect, &asked.org);
    if let Source::Rollups(holder) = source {
        let kind = holder.map_or("org", Dimension::as_str);
        sql.conditions.push(format!("holder_kind = '{kind}'"));
        if holder.is_none() {
            sql.conditions.push("holder_id = $1".into());
        }
    }
    sql.narrow(source, asked);
    let bucket = source.bucket();
    let by_bucket = shape.grain.map(|grain| match grain {
        Grain::Month => format!("substr({bucket}, 1, 7)"),
        Grain::Hour | Grain::Day => bucket.to_owned(),
    });
    let by_group = shape.group.map(|group| source.column(group));
    if let (Some(column), Some(only)) = (by_group, shape.only) {
        let only = sql.any_of(column, only);
        sql.conditions.push(only);
    }
    let from: Vec<String> = stretches(source, asked.span, shape.grain)
        .into_iter()
        .map(|(grain, span)| sql.stretch(source, grain, span))
        .collect();
    let from = match from.as_slice() {
        [one] => one.clone(),
        // Each by itself, so that each goes through the index.
        several => {
            let several: Vec<String> = several.iter().map(|one| format!("SELECT * FROM {one}")).collect();
            format!("({}) parts", several.join(" UNION ALL "))
        }
    };
    let columns = [by_bucket.as_deref(), by_group];
    let grouped: Vec<&str> = columns.into_iter().flatten().collect();
    let [bucket, group] = columns.map(|column| column.unwrap_or("''"));
    let mut text = format!("SELECT {bucket} AS named, {group} AS grouped, {} FROM {from}", sums());
    if !grouped.is_empty() {
        text += &format!(" GROUP BY {}", grouped.join(", "));
    }
    if let (Some((limit, skip)), Some(group)) = (shape.top, by_group) {
        text += &format!(" ORDER BY SUM(cost) DESC, SUM(requests) DESC, {group} LIMIT {limit} OFFSET {skip}");
    }
    Some((text, sql.binds))
}

/// A statement with its parameters written out, for the tests that prepare it and ask for its plan.
pub fn example(dialect: Dialect, asked: &Asked, shape: &Shape<'_>) -> Option<String> {
    text(dialect, asked, shape).map(|(text, binds)| written_out(text, &binds))
}

/// The same for a chunk of a file.
pub fn example_of_charges(dialect: Dialect, asked: &Asked, last: Option<&Charge>) -> String {
    let (text, binds) = charges_text(dialect, asked, last);
    written_out(text, &binds)
}

fn written_out(text: String, binds: &[String]) -> String {
    // The highest numbers first, as $1 begins $10.
    binds.iter().enumerate().rev().fold(text, |text, (place, value)| {
        text.replace(&format!("${}", place + 1), &format!("'{}'", value.replace('\'', "''")))
    })
}

type Row = (String, String, i64, i64, i64, i64, i64);

fn read_sums(
    (requests, input_tokens, output_tokens, cached_tokens, cost): (i64, i64, i64, i64, i64),
) -> Sums {
    Sums { requests, input_tokens, output_tokens, cached_tokens, cost: Money::from_nanos(cost) }
}

/// Sums of what was asked for; in any order unless the most expensive are asked for. Nothing where no table has it.
///
/// # Errors
/// When the database cannot be read.
pub async fn summed(via: &mut impl Via, asked: &Asked, shape: &Shape<'_>) -> Result<Vec<Summed>, StoreError> {
    let Some((text, binds)) = text(Dialect::of(via), asked, shape) else { return Ok(vec![]) };
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        binds.iter().fold(sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())), |query, value| {
            query.bind(value.clone())
        })
    )?;
    let read = |(bucket, group, requests, input, output, cached, cost): Row| Summed {
        bucket,
        group,
        sums: read_sums((requests, input, output, cached, cost)),
    };
    Ok(rows.into_iter().map(read).collect())
}

/// All of what was asked for in one sum; that of what is split by `whole_of`, where it is.
///
/// # Errors
/// When the database cannot be read.
pub async fn total(
    via: &mut impl Via,
    asked: &Asked,
    whole_of: Option<Dimension>,
) -> Result<Sums, StoreError> {
    let found = summed(via, asked, &Shape { whole_of, ..Shape::default() }).await?;
    Ok(found.into_iter().map(|row| row.sums).sum())
}

const CHARGE: &str = "day, key_id, model_id, provider, team_id, owner_id";

fn charges_text(dialect: Dialect, asked: &Asked, last: Option<&Charge>) -> (String, Vec<String>) {
    let mut sql = Sql::new(dialect, &asked.org);
    // Through the index of days, from the last one that was read on.
    let first = last.map_or(asked.span.first, |last| last.day);
    sql.between("day", &first.to_string(), &asked.span.last.next().to_string());
    sql.narrow(Source::Cube, asked);
    if let Some(last) = last {
        let day = last.day.to_string();
        let place = [&day, &last.key, &last.model, &last.provider, &last.team, &last.owner];
        let place = place.map(|value| sql.bind(value.as_str())).join(", ");
        sql.conditions.push(format!("({CHARGE}) > ({place})"));
    }
    let text = format!(
        "SELECT {CHARGE}, {} FROM spend_daily WHERE {} ORDER BY {CHARGE} LIMIT {CHUNK_ROWS}",
        SUMS.join(", "),
        sql.condition()
    );
    (text, sql.binds)
}

#[derive(sqlx::FromRow)]
struct ChargeRow {
    day: String,
    key_id: String,
    model_id: String,
    provider: String,
    team_id: String,
    owner_id: String,
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    cost: i64,
}

/// The next `CHUNK_ROWS` charges after `last`, the oldest first. A filter by tag is not for charges.
///
/// # Errors
/// When the database cannot be read.
pub async fn charges(
    via: &mut impl Via,
    asked: &Asked,
    last: Option<&Charge>,
) -> Result<Vec<Charge>, StoreError> {
    if asked.filters.get(Dimension::Tag).is_some() {
        return Ok(vec![]);
    }
    let (text, binds) = charges_text(Dialect::of(via), asked, last);
    let rows: Vec<ChargeRow> = run!(
        via,
        fetch_all,
        binds.iter().fold(sqlx::query_as::<_, ChargeRow>(AssertSqlSafe(text.clone())), |query, value| {
            query.bind(value.clone())
        })
    )?;
    rows.into_iter()
        .map(|row| {
            let day = Day::parse(&row.day).ok_or(StoreError::Unreadable { column: "spend_daily.day" })?;
            let counts = (row.requests, row.input_tokens, row.output_tokens, row.cached_tokens, row.cost);
            Ok(Charge {
                day,
                key: row.key_id,
                model: row.model_id,
                provider: row.provider,
                team: row.team_id,
                owner: row.owner_id,
                sums: read_sums(counts),
            })
        })
        .collect()
}

fn names_text(dialect: Dialect, dimension: Dimension) -> Option<String> {
    let select = match dimension {
        Dimension::Key => "SELECT id, name FROM keys WHERE org_id = $1 AND ",
        Dimension::Team => "SELECT id, name FROM teams WHERE org_id = $1 AND ",
        Dimension::Owner => {
            "SELECT p.id, p.name FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.org_id = $1 AND m.person_id = p.id AND "
        }
        // They are their own names.
        Dimension::Model | Dimension::Provider | Dimension::Tag => return None,
    };
    let id = if dimension == Dimension::Owner { "m.person_id" } else { "id" };
    Some(format!("{select}{}", dialect.any_of(id, "$2")))
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    Dimension::ALL.into_iter().filter_map(|dimension| names_text(dialect, dimension)).collect()
}

/// The names of keys, teams or people of the organisation, by id; those who left among them.
///
/// # Errors
/// When the database cannot be read.
pub async fn names(
    via: &mut impl Via,
    org: &OrgId,
    dimension: Dimension,
    ids: &[String],
) -> Result<HashMap<String, String>, StoreError> {
    let Some(text) = names_text(Dialect::of(via), dimension).filter(|_| !ids.is_empty()) else {
        return Ok(HashMap::new());
    };
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let rows: Vec<(String, String)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String)>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&ids)
    )?;
    Ok(rows.into_iter().collect())
}
