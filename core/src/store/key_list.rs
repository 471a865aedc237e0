//! The list of keys: statements put together from closed sets of fragments (filter, order, direction), never from text
//! that was typed.

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, MAX_SEARCH};
use super::keys::{KeyRow, is_live, select_key};
use super::{StoreError, Via, run, statements};
use crate::domain::key::{Key, Status};
use crate::domain::key_filter::{KeyFilter, SEARCH_INSIDE_FROM, SecretAge, Sort, StateFilter};
use crate::domain::key_format::{any_case, valid_last_four};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::person::fold;
use crate::domain::policy::{Permit, Scope};

statements! {
    ROTATE_DAYS = "SELECT rotate_days FROM orgs WHERE id = $1";
}

/// Counting stops here; beyond it a list says "10,000+".
pub const MAX_COUNT: i64 = 10_000;

/// What to look at. `$1` is the organisation, `$2` the person a narrowed scope is for, `$3` the team, `$4` the name
/// search, `$5` the last four, `$6` the value and `$7` the number to page from, `$8` now, `$9` a week from now,
/// `$10` the start of the month, `$11` the organisation's period of rotation before now. Only those that a text uses are in
/// it.
#[derive(Clone, Copy)]
struct Shape {
    scoped: bool,
    state: StateFilter,
    older: Option<SecretAge>,
    team: bool,
    search: Search,
    order: Order,
    descending: bool,
    from: Option<Direction>,
}

/// What a statement sorts by.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    By(Sort),
    /// By number, of those only that spent nothing this month. No index has them by spend, so sorted by spend they are a
    /// stretch of their own, before or after `By(Sort::Spend)`.
    Unspent,
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

/// Keys that are due for rotation: two lists put together, each from its index. Keys without a setting of their own are due
/// when their secret was made at `$11` or before. It is NULL, and they never are, when the organisation has no period.
const DUE: &str = concat!(
    "SELECT k.seq FROM keys k WHERE k.org_id = $1 AND ",
    is_live!(),
    " AND k.rotate_days IS NOT NULL AND (k.secret_created_at + k.rotate_days * 86400000) <= $8
    UNION ALL SELECT k.seq FROM keys k WHERE k.org_id = $1 AND ",
    is_live!(),
    " AND k.rotate_days IS NULL AND k.secret_created_at <= $11"
);

impl Shape {
    fn order_by(&self) -> &'static str {
        match self.order {
            Order::By(Sort::Created) | Order::Unspent => "k.seq",
            Order::By(Sort::Name) => "k.name_folded",
            Order::By(Sort::LastUsed) => "COALESCE(k.last_used_at, 0)",
            Order::By(Sort::Expires) => "COALESCE(k.expires_at, 9007199254740991)",
            Order::By(Sort::Rotated) => "k.secret_created_at",
            Order::By(Sort::Spend) => "m.spent",
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
        // The lists' partial indexes need to read that the key is live, also where another word implies it.
        text += match self.state {
            StateFilter::Live | StateFilter::RotationDue => concat!(" AND ", is_live!()),
            StateFilter::Only(Status::Active) => concat!(" AND ", is_live!(), " AND k.status = 'active'"),
            StateFilter::Only(Status::Disabled) => concat!(" AND ", is_live!(), " AND k.status = 'disabled'"),
            StateFilter::Only(Status::Expired) => " AND k.status = 'expired'",
            StateFilter::Only(Status::Revoked) => " AND k.status = 'revoked'",
            StateFilter::Expiring => concat!(
                " AND ",
                is_live!(),
                " AND k.status = 'active' AND COALESCE(k.expires_at, 9007199254740991) > $8
                AND COALESCE(k.expires_at, 9007199254740991) < $9"
            ),
        };
        if self.state == StateFilter::RotationDue {
            text += &format!(" AND {}", dialect.among("k.seq", DUE));
        }
        if let Some(age) = self.older {
            text += &format!(" AND k.secret_created_at <= $8 - {} * CAST(86400000 AS BIGINT)", age.days());
        }
        if self.team {
            text += " AND k.team_id = $3";
        }
        let some_case = dialect.any_of("last_four", "$5");
        let with_last_four = format!("SELECT key_id FROM key_secrets WHERE org_id = $1 AND {some_case}");
        let last_four = dialect.among("k.id", &with_last_four);
        let inside = dialect.name_contains("$4", &text);
        match self.search {
            Search::None => {}
            Search::Start => text += " AND k.name_folded >= $4 AND k.name_folded < $5",
            Search::Inside => text += &format!(" AND {inside}"),
            Search::InsideOrLastFour => text += &format!(" AND ({inside} OR {last_four})"),
        }
        text
    }

    /// In the direction of reading.
    fn descends(&self) -> bool {
        self.descending != (self.from == Some(Direction::Back))
    }

    /// One row more than a page, so that it is known whether there is a next one.
    fn list_text(&self, dialect: Dialect) -> String {
        const COUNTER: &str = "m.org_id = $1 AND m.holder_kind = 'key' AND m.holder_id = k.id
            AND m.period = 'month' AND m.window_start = $10 AND m.spent > 0";
        let order = self.order_by();
        let (way, beyond) = if self.descends() { ("DESC", "<") } else { ("ASC", ">") };
        let value = if order == "k.name_folded" { "$6" } else { "CAST($6 AS BIGINT)" };
        let (from, ordering) = match order {
            "k.seq" => (format!(" AND k.seq {beyond} $7"), format!("k.seq {way}")),
            _ => {
                let from = format!(" AND ({order}, k.seq) {beyond} ({value}, $7)");
                (from, format!("{order} {way}, k.seq {way}"))
            }
        };
        let from = self.from.map(|_| from).unwrap_or_default();
        let (spent, source, unspent) = match self.order {
            Order::By(Sort::Spend) => ("m.spent", format!(" JOIN counters m ON {COUNTER}"), String::new()),
            Order::Unspent => {
                let unspent = format!(" AND NOT EXISTS (SELECT 1 FROM counters m WHERE {COUNTER})");
                ("CAST(0 AS BIGINT)", String::new(), unspent)
            }
            Order::By(_) => ("CAST(0 AS BIGINT)", String::new(), String::new()),
        };
        let select = select_key(dialect).replacen("SELECT ", &format!("SELECT {spent} AS sort_spent, "), 1);
        let conditions = self.conditions(dialect);
        let limit = PAGE_ROWS + 1;
        numbered(
            &format!("{select}{source} WHERE {conditions}{unspent}{from} ORDER BY {ordering} LIMIT {limit}"),
            &PARAMETERS,
        )
    }

    fn max_count(&self) -> i64 {
        if self.search == Search::None { MAX_COUNT } else { MAX_SEARCH as i64 - 1 }
    }

    fn count_text(&self, dialect: Dialect) -> String {
        let (conditions, limit) = (self.conditions(dialect), self.max_count() + 1);
        numbered(
            &format!("SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE {conditions} LIMIT {limit}) counted"),
            &PARAMETERS,
        )
    }
}

const PARAMETERS: [&str; 11] = ["$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11"];

/// Postgres wants every parameter used and typed, and a list's text uses only some: a clause that is always true names
/// the rest, with their types.
fn numbered(text: &str, parameters: &[&str; 11]) -> String {
    const BIGINTS: [usize; 5] = [6, 7, 8, 9, 10];
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
    due: Option<i64>,
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
            .bind($binds.due)
    };
}

fn shape_and_binds(
    dialect: Dialect,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
) -> (Shape, Binds) {
    // No name contains a zero character, and neither database takes one in text.
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
            let four = serde_json::to_string(&any_case(filter.search.trim())).ok();
            (Some(dialect.name_needle(&needle)), four)
        }
    };
    let person = match permit.scope() {
        Scope::Org => None,
        Scope::OfPerson(person) => Some(person.to_string()),
    };
    let at = filter.page.as_ref();
    let shape = Shape {
        scoped: person.is_some(),
        state: filter.state,
        older: filter.older,
        team: filter.team.is_some(),
        search,
        order: Order::By(filter.sort),
        descending: filter.descending,
        from: at.map(|at| if at.backwards() { Direction::Back } else { Direction::On }),
    };
    let value = at.map(|at| match filter.sort {
        Sort::Name => at.value().to_owned(),
        // Postgres takes nothing else as a number.
        _ => at.value().parse::<i64>().unwrap_or(0).to_string(),
    });
    let binds = Binds {
        org: permit.org().to_string(),
        person,
        team: filter.team.as_ref().map(ToString::to_string),
        name,
        four,
        value,
        seq: at.map(Cursor::seq),
        now: now.ms(),
        week: now.plus_days(7).ms(),
        month: month_start.ms(),
        due: None,
    };
    (shape, binds)
}

/// Only the filter for due keys needs it. The databases choose an index by its value.
async fn due_by_org(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
) -> Result<Option<i64>, StoreError> {
    if filter.state != StateFilter::RotationDue {
        return Ok(None);
    }
    let days: Option<Option<i64>> = run!(
        via,
        fetch_optional,
        sqlx::query_scalar::<_, Option<i64>>(ROTATE_DAYS).bind(permit.org().as_str())
    )?;
    Ok(days.flatten().map(|days| now.plus_days(-days).ms()))
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    sort_spent: i64,
    #[sqlx(flatten)]
    key: KeyRow,
}

impl ListedRow {
    fn place(&self, sort: Sort) -> (String, String) {
        let value = match sort {
            Sort::Created => String::new(),
            Sort::Name => self.key.name_folded.clone(),
            Sort::LastUsed => self.key.last_used_at.unwrap_or(0).to_string(),
            Sort::Expires => self.key.expires_at.unwrap_or(9_007_199_254_740_991).to_string(),
            Sort::Rotated => self.key.secret_created_at.to_string(),
            Sort::Spend => self.sort_spent.to_string(),
        };
        (value, self.key.seq.to_string())
    }
}

/// A page of what the permit's scope lets its holder see. Without budgets: `spend::fill` adds them.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
) -> Result<Page<Key>, StoreError> {
    let dialect = Dialect::of(via);
    let (shape, mut binds) = shape_and_binds(dialect, permit, filter, now, month_start);
    binds.due = due_by_org(via, permit, filter, now).await?;
    let mut shapes = vec![shape];
    if filter.sort == Sort::Spend {
        let unspent = Shape { order: Order::Unspent, ..shape };
        let in_unspent = binds.value.as_deref() == Some("0");
        shapes = match (shape.descends(), in_unspent) {
            (true, true) => vec![unspent],
            (true, false) => vec![shape, Shape { from: None, descending: true, ..unspent }],
            (false, false) if shape.from.is_some() => vec![shape],
            (false, _) => vec![unspent, Shape { from: None, descending: false, ..shape }],
        };
    }
    let mut rows: Vec<ListedRow> = Vec::new();
    for shape in shapes {
        if rows.len() <= PAGE_ROWS {
            let text = shape.list_text(dialect);
            let more: Vec<ListedRow> = run!(
                via,
                fetch_all,
                bound!(sqlx::query_as::<_, ListedRow>(AssertSqlSafe(text.clone())), binds)
            )?;
            rows.extend(more);
        }
    }
    Page::read(rows, filter.page.as_ref(), |row| row.place(filter.sort)).try_map(|row| Key::try_from(row.key))
}

/// How many keys the filter matches, up to one more than `max_count`, whatever they are sorted by.
///
/// # Errors
/// When the database does not answer.
pub async fn count(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
) -> Result<i64, StoreError> {
    let dialect = Dialect::of(via);
    let (shape, mut binds) = shape_and_binds(dialect, permit, filter, now, month_start);
    binds.due = due_by_org(via, permit, filter, now).await?;
    let text = shape.count_text(dialect);
    run!(via, fetch_one, bound!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(text.clone())), binds))
}

/// Where a count stops being exact for this filter.
pub fn max_count(filter: &KeyFilter) -> i64 {
    if filter.search.trim().is_empty() { MAX_COUNT } else { MAX_SEARCH as i64 - 1 }
}

/// Every text that a list can become, for the test that prepares them all.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let mut texts = vec![super::keys::find_text(dialect)];
    for order in Sort::ALL.map(Order::By).into_iter().chain([Order::Unspent]) {
        for state in StateFilter::ALL {
            for search in [Search::None, Search::Start, Search::Inside, Search::InsideOrLastFour] {
                for (scoped, team) in [(false, false), (true, true)] {
                    for (descending, from) in
                        [(false, None), (true, Some(Direction::On)), (true, Some(Direction::Back))]
                    {
                        let older = None;
                        let shape = Shape { scoped, state, older, team, search, order, descending, from };
                        texts.push(shape.list_text(dialect));
                        if from.is_none() {
                            texts.push(shape.count_text(dialect));
                            let older = Shape { older: Some(SecretAge::Year), ..shape };
                            texts.extend([older.list_text(dialect), older.count_text(dialect)]);
                        }
                    }
                }
            }
        }
    }
    texts
}
