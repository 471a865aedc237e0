//! The list of keys: one statement, put together from closed sets of fragments (filter, order, direction), never from
//! text that somebody typed. Pages go by keyset, so page 1,000 costs what page 1 does.

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, MAX_SEARCH};
use super::keys::{KeyRow, select_key};
use super::{StoreError, Via, run};
use crate::domain::key::{Key, Status};
use crate::domain::key_filter::{Cursor, KeyFilter, Sort, StateFilter};
use crate::domain::key_format::valid_last_four;
use crate::domain::moment::Moment;
use crate::domain::person::fold;
use crate::domain::policy::{Permit, Scope};

pub const PAGE_ROWS: usize = 50;
/// Counting stops here; beyond it a list says "10,000+".
pub const MAX_COUNT: i64 = 10_000;
const MAX_SPEND_COUNT: i64 = 1_000;
/// Shorter searches look at the beginning of names only: three characters are what the index is made of.
pub const SEARCH_INSIDE_FROM: usize = 3;

pub struct KeyPage {
    pub keys: Vec<Key>,
    pub previous: Option<Cursor>,
    pub next: Option<Cursor>,
}

/// What to look at. `$1` is the organisation, `$2` the person a narrowed scope is for, `$3` the team, `$4` the name
/// search, `$5` the last four, `$6` the value and `$7` the number to page from, `$8` now, `$9` a week from now,
/// `$10` the start of the month. Only those that a text uses are in it.
struct Shape {
    scoped: bool,
    state: StateFilter,
    team: bool,
    search: Search,
    sort: Sort,
    descending: bool,
    from: Option<Direction>,
}

#[derive(Clone, Copy, PartialEq)]
enum Search {
    None,
    Start,
    Inside,
    /// Inside a name, or the last four characters of a secret.
    InsideOrLastFour,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    On,
    Back,
}

impl Shape {
    fn order_by(&self) -> &'static str {
        match self.sort {
            Sort::Created => "k.seq",
            Sort::Name => "k.name_folded",
            Sort::LastUsed => "COALESCE(k.last_used_at, 0)",
            Sort::Expires => "COALESCE(k.expires_at, 9007199254740991)",
            Sort::Spend => "m.spent",
        }
    }

    fn conditions(&self, dialect: Dialect) -> String {
        let mut text = String::from("k.org_id = $1");
        if self.scoped {
            // Two lists put together: an OR of the two would make the databases look at every key of the organisation.
            let seen = "SELECT k.seq FROM keys k WHERE k.owner_id = $2
                UNION ALL SELECT k.seq FROM team_members m
                JOIN teams t ON t.id = m.team_id AND t.archived_at IS NULL
                JOIN keys k ON k.org_id = $1 AND k.team_id = m.team_id
                WHERE m.person_id = $2 AND m.role = 'admin'";
            text += &format!(" AND {}", dialect.among("k.seq", seen));
        }
        // The lists' partial indexes need to read that the key is not revoked, also where another word implies it.
        text += match self.state {
            StateFilter::Live => " AND k.status <> 'revoked'",
            StateFilter::Only(Status::Active) => " AND k.status <> 'revoked' AND k.status = 'active'",
            StateFilter::Only(Status::Disabled) => " AND k.status <> 'revoked' AND k.status = 'disabled'",
            StateFilter::Only(Status::Expired) => " AND k.status <> 'revoked' AND k.status = 'expired'",
            StateFilter::Only(Status::Revoked) => " AND k.status = 'revoked'",
            StateFilter::Expiring => {
                " AND k.status <> 'revoked' AND k.status = 'active'
                AND COALESCE(k.expires_at, 9007199254740991) > $8
                AND COALESCE(k.expires_at, 9007199254740991) < $9"
            }
        };
        if self.team {
            text += " AND k.team_id = $3";
        }
        let with_last_four = "SELECT key_id FROM key_secrets WHERE org_id = $1 AND last_four = $5";
        let last_four = dialect.among("k.id", with_last_four);
        let inside = dialect.name_contains("$4", &text);
        match self.search {
            Search::None => {}
            Search::Start => text += " AND k.name_folded >= $4 AND k.name_folded < $5",
            Search::Inside => text += &format!(" AND {inside}"),
            Search::InsideOrLastFour => text += &format!(" AND ({inside} OR {last_four})"),
        }
        text
    }

    fn source(&self) -> &'static str {
        match self.sort {
            // Only keys that spent anything this month: their counters are the index.
            Sort::Spend => {
                " JOIN counters m ON m.org_id = $1 AND m.holder_kind = 'key' AND m.holder_id = k.id
                AND m.period = 'month' AND m.window_start = $10 AND m.spent > 0"
            }
            Sort::Created | Sort::Name | Sort::LastUsed | Sort::Expires => "",
        }
    }

    /// One row more than a page, so that it is known whether there is a next one. `fetch` needs no count.
    fn list_text(&self, dialect: Dialect) -> String {
        let order = self.order_by();
        let descends = self.descending != (self.from == Some(Direction::Back));
        let way = if descends { "DESC" } else { "ASC" };
        let beyond = if descends { "<" } else { ">" };
        let value = match self.sort {
            Sort::Name => "$6",
            Sort::Created | Sort::LastUsed | Sort::Expires | Sort::Spend => "CAST($6 AS BIGINT)",
        };
        let from = match (self.from, self.sort) {
            (None, _) => String::new(),
            (Some(_), Sort::Created) => format!(" AND k.seq {beyond} $7"),
            (Some(_), _) => format!(" AND ({order}, k.seq) {beyond} ({value}, $7)"),
        };
        let ordering = if self.sort == Sort::Created {
            format!("k.seq {way}")
        } else {
            format!("{order} {way}, k.seq {way}")
        };
        let select = select_key(dialect);
        let select = match self.sort {
            Sort::Spend => select.replacen("SELECT ", "SELECT m.spent AS sort_spent, ", 1),
            Sort::Created | Sort::Name | Sort::LastUsed | Sort::Expires => {
                select.replacen("SELECT ", "SELECT CAST(0 AS BIGINT) AS sort_spent, ", 1)
            }
        };
        numbered(
            &format!(
                "{select}{} WHERE {}{from} ORDER BY {ordering} LIMIT {}",
                self.source(),
                self.conditions(dialect),
                PAGE_ROWS + 1
            ),
            &PARAMETERS,
        )
    }

    fn max_count(&self) -> i64 {
        max_count_of(self.sort, self.search != Search::None)
    }

    fn count_text(&self, dialect: Dialect) -> String {
        numbered(
            &format!(
                "SELECT COUNT(*) FROM (SELECT 1 FROM keys k{} WHERE {} LIMIT {}) counted",
                self.source(),
                self.conditions(dialect),
                self.max_count() + 1
            ),
            &PARAMETERS,
        )
    }
}

const PARAMETERS: [&str; 10] = ["$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10"];

/// Postgres wants every parameter used and typed, and a list's text uses only some: a clause that is always true names
/// the rest, with their types.
fn numbered(text: &str, parameters: &[&str; 10]) -> String {
    const BIGINTS: [usize; 4] = [6, 7, 8, 9];
    let unused: Vec<String> = parameters
        .iter()
        .enumerate()
        .filter(|(_, name)| !mentions(text, name))
        .map(|(at, name)| {
            let kind = if BIGINTS.contains(&at) { "BIGINT" } else { "TEXT" };
            format!("(CAST({name} AS {kind}) IS NULL OR TRUE)")
        })
        .collect();
    if unused.is_empty() {
        return text.to_owned();
    }
    text.replacen(" WHERE k.org_id = $1", &format!(" WHERE {} AND k.org_id = $1", unused.join(" AND ")), 1)
}

/// `$1` is not mentioned by `$10`.
fn mentions(text: &str, parameter: &str) -> bool {
    text.match_indices(parameter)
        .any(|(at, _)| !text[at + parameter.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

/// The binds of one list, in the order of `PARAMETERS`.
struct Binds {
    org: String,
    person: Option<String>,
    team: Option<String>,
    name: Option<String>,
    four: Option<String>,
    value: Option<String>,
    seq: Option<i64>,
    now: i64,
    week: i64,
    month: i64,
}

macro_rules! bound {
    ($query:expr, $binds:expr) => {
        $query
            .bind(&$binds.org)
            .bind(&$binds.person)
            .bind(&$binds.team)
            .bind(&$binds.name)
            .bind(&$binds.four)
            .bind(&$binds.value)
            .bind($binds.seq)
            .bind($binds.now)
            .bind($binds.week)
            .bind($binds.month)
    };
}

fn shape_and_binds(
    dialect: Dialect,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
) -> (Shape, Binds) {
    // No name holds a zero character, and neither database takes one in text.
    let needle = fold(filter.search.trim()).replace('\0', "\u{fffd}");
    let long_enough = needle.chars().count() >= SEARCH_INSIDE_FROM;
    let search = match &needle {
        needle if needle.is_empty() => Search::None,
        _ if !long_enough => Search::Start,
        _ if valid_last_four(filter.search.trim()) => Search::InsideOrLastFour,
        _ => Search::Inside,
    };
    let (name, four) = match search {
        Search::None => (None, None),
        Search::Start => (Some(needle.clone()), Some(format!("{needle}\u{10ffff}"))),
        Search::Inside => (Some(dialect.name_needle(&needle)), None),
        Search::InsideOrLastFour => {
            (Some(dialect.name_needle(&needle)), Some(filter.search.trim().to_owned()))
        }
    };
    let person = match permit.scope() {
        Scope::Org => None,
        Scope::OfPerson(person) => Some(person.to_string()),
    };
    let shape = Shape {
        scoped: person.is_some(),
        state: filter.state,
        team: filter.team.is_some(),
        search,
        sort: filter.sort,
        descending: filter.descending,
        from: filter.page.as_ref().map(|page| if page.backwards { Direction::Back } else { Direction::On }),
    };
    let binds = Binds {
        org: permit.org().to_string(),
        person,
        team: filter.team.as_ref().map(ToString::to_string),
        name,
        four,
        value: filter.page.as_ref().map(|page| page.value.replace('\0', "\u{fffd}")),
        seq: filter.page.as_ref().map(|page| page.seq),
        now: now.ms(),
        week: now.plus_days(7).ms(),
        month: month_start.ms(),
    };
    (shape, binds)
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    sort_spent: i64,
    #[sqlx(flatten)]
    key: KeyRow,
}

impl ListedRow {
    fn cursor(&self, sort: Sort, backwards: bool) -> Cursor {
        let value = match sort {
            Sort::Created => self.key.seq.to_string(),
            Sort::Name => self.key.name_folded.clone(),
            Sort::LastUsed => self.key.last_used_at.unwrap_or(0).to_string(),
            Sort::Expires => self.key.expires_at.unwrap_or(9_007_199_254_740_991).to_string(),
            Sort::Spend => self.sort_spent.to_string(),
        };
        Cursor { backwards, value, seq: self.key.seq }
    }
}

/// A page of what the permit's scope lets its holder see. Budgets are filled in by `spend::fill`.
pub async fn list(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
) -> Result<KeyPage, StoreError> {
    let dialect = Dialect::of(via);
    let (shape, binds) = shape_and_binds(dialect, permit, filter, now, month_start);
    let text = shape.list_text(dialect);
    let mut rows: Vec<ListedRow> =
        run!(via, fetch_all, bound!(sqlx::query_as::<_, ListedRow>(AssertSqlSafe(text.clone())), binds))?;
    let more = rows.len() > PAGE_ROWS;
    rows.truncate(PAGE_ROWS);
    let back = shape.from == Some(Direction::Back);
    if back {
        rows.reverse();
    }
    let (before, after) = if back { (more, true) } else { (shape.from.is_some(), more) };
    let previous = rows.first().filter(|_| before).map(|row| row.cursor(filter.sort, true));
    let next = rows.last().filter(|_| after).map(|row| row.cursor(filter.sort, false));
    let keys = rows.into_iter().map(|row| Key::try_from(row.key)).collect::<Result<_, _>>()?;
    Ok(KeyPage { keys, previous, next })
}

/// How many keys the filter matches, up to one more than `count_most`.
pub async fn count(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
) -> Result<i64, StoreError> {
    let dialect = Dialect::of(via);
    let (shape, binds) = shape_and_binds(dialect, permit, filter, now, month_start);
    let text = shape.count_text(dialect);
    run!(via, fetch_one, bound!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(text.clone())), binds))
}

/// Where a count stops being exact for this filter.
pub fn max_count(filter: &KeyFilter) -> i64 {
    max_count_of(filter.sort, !filter.search.trim().is_empty())
}

fn max_count_of(sort: Sort, searching: bool) -> i64 {
    match sort {
        _ if searching => MAX_SEARCH as i64 - 1,
        // Each counted row is looked up by its key's id, so fewer are counted.
        Sort::Spend => MAX_SPEND_COUNT,
        Sort::Created | Sort::Name | Sort::LastUsed | Sort::Expires => MAX_COUNT,
    }
}

/// Every text that a list can become, for the test that prepares them all.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let mut texts = vec![super::keys::find_text(dialect)];
    for sort in Sort::ALL {
        for state in StateFilter::ALL {
            for search in [Search::None, Search::Start, Search::Inside, Search::InsideOrLastFour] {
                for (scoped, team) in [(false, false), (true, true)] {
                    for (descending, from) in
                        [(false, None), (true, Some(Direction::On)), (true, Some(Direction::Back))]
                    {
                        let shape = Shape { scoped, state, team, search, sort, descending, from };
                        texts.push(shape.list_text(dialect));
                        if from.is_none() {
                            texts.push(shape.count_text(dialect));
                        }
                    }
                }
            }
        }
    }
    texts
}
