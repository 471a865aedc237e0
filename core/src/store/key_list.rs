//! The list of keys: statements put together from closed sets of fragments (filter, order, direction), never from text
//! that was typed.

use std::cmp::Reverse;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, MAX_SEARCH};
use super::keys::{KeyRow, is_live, select_key};
use super::search::{self, Hits};
use super::search_sql::{self, Within, seen_by};
use super::{StoreError, Via, run, statements};
use crate::domain::key::{Key, Status};
use crate::domain::key_filter::{KeyFilter, SecretAge, Sort, StateFilter};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::policy::{Permit, Scope};
use crate::domain::search::{folded, is_searched};

statements! {
    ROTATE_DAYS = "SELECT rotate_days FROM orgs WHERE id = $1";
}

/// Counting stops here; beyond it a list says "10,000+".
const MAX_COUNT: i64 = 10_000;
/// As `MAX_COUNT`, for keys that are due for rotation: on Postgres their index says of none that it is there, so each is read.
pub const MAX_DUE: i64 = 1_000;

/// What to look at. `$1` is the organisation, `$2` the person a narrowed scope is for, `$3` the team, `$4` and `$5` where
/// names begin and end that begin with a search, `$6` the value and `$7` the number to page from, `$8` now, `$9` a week
/// from now, `$10` the start of the month, `$11` the organisation's period of rotation before now. For keys that a search
/// found, `$4` is their list. Only those that a text uses are in it.
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
    /// Names that begin with a text that is too short for the index.
    Start,
    /// The keys that `search` found, all of them in the list's scope and team.
    Found,
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
        if self.search == Search::Found {
            text += &format!(" AND {}", dialect.any_number_of("k.seq", "$4"));
        } else if self.scoped {
            text += &format!(" AND {}", dialect.among("k.seq", &seen_by("$1", "$2")));
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
            // Of a few keys each is asked; the organisation's are read from their indexes.
            text += &match self.scoped || self.search == Search::Found {
                true => format!(" AND {}", search_sql::is_due("$8", "$11")),
                false => format!(" AND {}", dialect.among("k.seq", DUE)),
            };
        }
        if let Some(age) = self.older {
            text += &format!(" AND k.secret_created_at <= $8 - {} * CAST(86400000 AS BIGINT)", age.days());
        }
        if self.team && self.search != Search::Found {
            text += " AND k.team_id = $3";
        }
        if self.search == Search::Start {
            text += " AND k.name_folded >= $4 AND k.name_folded < $5";
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
        let (value, source, unspent) = match self.order {
            Order::By(Sort::Spend) => ("m.spent", format!(" JOIN counters m ON {COUNTER}"), String::new()),
            Order::Unspent => {
                let unspent = format!(" AND NOT EXISTS (SELECT 1 FROM counters m WHERE {COUNTER})");
                ("0", String::new(), unspent)
            }
            Order::By(_) => ("0", String::new(), String::new()),
        };
        let select = select_key(dialect).replacen(
            "SELECT ",
            &format!("SELECT CAST({value} AS BIGINT) AS sort_value, "),
            1,
        );
        let conditions = self.conditions(dialect);
        let limit = PAGE_ROWS + 1;
        let page = format!("{source} WHERE {conditions}{unspent}{from} ORDER BY {ordering} LIMIT {limit}");
        let text = match self.search {
            // Whole rows are read of the page only.
            Search::Found => {
                let page = dialect.among("k.seq", &format!("SELECT k.seq FROM keys k{page}"));
                format!("{select}{source} WHERE k.org_id = $1 AND {page} ORDER BY {ordering}")
            }
            Search::None | Search::Start => format!("{select}{page}"),
        };
        self.found_first(dialect, numbered(&text, &PARAMETERS))
    }

    /// SQLite would walk through an index of the list's order and ask of each key whether the search found it. With a plus
    /// the organisation's indexes do not serve, and a cross join keeps the keys before their counters.
    fn found_first(&self, dialect: Dialect, text: String) -> String {
        if self.search != Search::Found || dialect != Dialect::Sqlite {
            return text;
        }
        text.replace("k.org_id = $1", "+k.org_id = $1").replace(" JOIN counters", " CROSS JOIN counters")
    }

    /// A count that reaches it may be of more.
    fn count_limit(&self) -> i64 {
        match (self.search, self.state) {
            (Search::None, StateFilter::RotationDue) => MAX_DUE + 1,
            (Search::None, _) => MAX_COUNT + 1,
            (Search::Start | Search::Found, _) => MAX_SEARCH as i64 + 1,
        }
    }

    fn count_text(&self, dialect: Dialect) -> String {
        let limit = self.count_limit();
        let is_narrowed = self.scoped || self.team || self.older.is_some() || self.search != Search::None;
        if self.state == StateFilter::RotationDue && !is_narrowed {
            // Stops at the limit, where a list of them all would be made first.
            let text = format!("SELECT COUNT(*) FROM (SELECT 1 FROM ({DUE}) due LIMIT {limit}) counted");
            return numbered(&text, &PARAMETERS);
        }
        let conditions = self.conditions(dialect);
        let text = numbered(
            &format!("SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE {conditions} LIMIT {limit}) counted"),
            &PARAMETERS,
        );
        self.found_first(dialect, text)
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
    name_end: Option<String>,
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
            .bind(&$binds.name_end)
            .bind(&$binds.value)
            .bind($binds.seq)
            .bind($binds.now)
            .bind($binds.week)
            .bind($binds.month)
            .bind($binds.due)
    };
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
    sort_value: i64,
    #[sqlx(flatten)]
    key: KeyRow,
}

impl ListedRow {
    fn place(&self, sort: Sort) -> (String, String) {
        let value = match sort {
            Sort::Created if self.sort_value == 0 => String::new(),
            Sort::Created | Sort::Spend => self.sort_value.to_string(),
            Sort::Name => self.key.name_folded.clone(),
            Sort::LastUsed => self.key.last_used_at.unwrap_or(0).to_string(),
            Sort::Expires => self.key.expires_at.unwrap_or(9_007_199_254_740_991).to_string(),
            Sort::Rotated => self.key.secret_created_at.to_string(),
        };
        (value, self.key.seq.to_string())
    }
}

/// A page of keys, and how many there are.
pub struct Listed {
    /// Without budgets: `spend::fill` adds them.
    pub page: Page<Key>,
    /// How many the filter matches, whatever they are sorted by.
    pub count: i64,
    /// Counting stopped at `count`.
    pub capped: bool,
    /// How many expired and revoked keys match the same search, where it was asked; a status without any is left out. `None`
    /// is not counted, because the search matches more keys than it lists.
    pub ended: Vec<(Status, Option<i64>)>,
}

/// A page of what the permit's scope lets its holder see. `count_ended` asks for `Listed::ended`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    now: Moment,
    month_start: Moment,
    count_ended: bool,
) -> Result<Listed, StoreError> {
    let asked = Asked::new(via, permit, filter, now, month_start).await?;
    if is_searched(&filter.search) {
        let hits = search::find(via, &asked.within, &filter.search, MAX_SEARCH, count_ended).await?;
        let page = asked.found(via, &hits).await?;
        let count = hits.keys.len().min(MAX_SEARCH + 1);
        return Ok(Listed { page, count: count as i64, capped: count > MAX_SEARCH, ended: hits.ended });
    }
    let page = asked.page(via, None).await?;
    let (count, capped) = match page.only() {
        Some(count) => (count, false),
        None => asked.count(via, filter.state).await?,
    };
    let mut ended = Vec::new();
    for status in [Status::Expired, Status::Revoked].into_iter().filter(|_| count_ended) {
        let (count, _) = asked.count(via, StateFilter::Only(status)).await?;
        ended.extend((count > 0).then_some((status, Some(count))));
    }
    Ok(Listed { page, count, capped, ended })
}

/// How many keys the filter matches that has no search; counting stops one above `MAX_COUNT`, or `MAX_DUE`.
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
    let asked = Asked::new(via, permit, filter, now, month_start).await?;
    let (count, _) = asked.count(via, filter.state).await?;
    Ok(count)
}

fn person_of(permit: &Permit) -> Option<String> {
    match permit.scope() {
        Scope::Org => None,
        Scope::OfPerson(person) => Some(person.to_string()),
    }
}

/// What a list was asked for.
struct Asked<'a> {
    permit: &'a Permit,
    filter: &'a KeyFilter,
    within: Within,
    now: Moment,
    month_start: Moment,
    /// Keys without a period of their own are due when their secret was made then or before.
    due: Option<i64>,
}

impl<'a> Asked<'a> {
    async fn new(
        via: &mut impl Via,
        permit: &'a Permit,
        filter: &'a KeyFilter,
        now: Moment,
        month_start: Moment,
    ) -> Result<Self, StoreError> {
        let due = due_by_org(via, permit, filter, now).await?;
        let within = Within {
            org: Some(permit.org().to_string()),
            person: person_of(permit),
            team: filter.team.as_ref().map(ToString::to_string),
            made_before: filter.older.map(|age| now.plus_days(-age.days())),
            state: Some((filter.state, now)),
            due,
        };
        Ok(Self { permit, filter, within, now, month_start, due })
    }

    /// The page of what a search found.
    async fn found(&self, via: &mut impl Via, hits: &Hits) -> Result<Page<Key>, StoreError> {
        let all: Vec<i64> = hits.keys.iter().map(|hit| hit.seq).collect();
        if self.filter.sort != Sort::Created || !self.filter.descending {
            return self.page(via, Some(&all)).await;
        }
        // Those with exactly this name first, then with these last four characters, then those whose names begin with the
        // search, each newest first.
        let at = self.filter.page.as_ref();
        let mut places: Vec<(i64, i64)> = hits.keys.iter().map(|hit| (hit.rank, hit.seq)).collect();
        places.sort_unstable_by_key(|place| Reverse(*place));
        if let Some(at) = at {
            let from = (at.value().parse().unwrap_or(0), at.seq());
            places.retain(|place| if at.backwards() { *place > from } else { *place < from });
            if at.backwards() {
                places.reverse();
            }
        }
        places.truncate(PAGE_ROWS + 1);
        let seqs: Vec<i64> = places.iter().map(|(_, seq)| *seq).collect();
        let filter = KeyFilter { page: None, ..self.filter.clone() };
        let (shape, binds) = self.shape_and_binds(&filter, Some(&seqs));
        let mut rows: Vec<ListedRow> = self.rows(via, shape, &binds).await?;
        for row in &mut rows {
            row.sort_value = places.iter().find(|(_, seq)| *seq == row.key.seq).map_or(0, |(rank, _)| *rank);
        }
        rows.sort_by_key(|row| seqs.iter().position(|seq| *seq == row.key.seq));
        Page::read(rows, at, |row| row.place(Sort::Created)).try_map(|row| Key::try_from(row.key))
    }

    async fn page(&self, via: &mut impl Via, found: Option<&[i64]>) -> Result<Page<Key>, StoreError> {
        let sort = self.filter.sort;
        let (shape, binds) = self.shape_and_binds(self.filter, found);
        let mut shapes = vec![shape];
        if sort == Sort::Spend {
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
                rows.extend(self.rows(via, shape, &binds).await?);
            }
        }
        Page::read(rows, self.filter.page.as_ref(), |row| row.place(sort))
            .try_map(|row| Key::try_from(row.key))
    }

    async fn rows(
        &self,
        via: &mut impl Via,
        shape: Shape,
        binds: &Binds,
    ) -> Result<Vec<ListedRow>, StoreError> {
        let text = shape.list_text(Dialect::of(via));
        run!(via, fetch_all, bound!(sqlx::query_as::<_, ListedRow>(AssertSqlSafe(text.clone())), binds))
    }

    /// `found` is what a search found, all of it in the list's scope and team.
    fn shape_and_binds(&self, filter: &KeyFilter, found: Option<&[i64]>) -> (Shape, Binds) {
        let (permit, now) = (self.permit, self.now);
        let person = person_of(permit);
        let text = folded(&filter.search);
        let (search, name, name_end) = match found {
            Some(seqs) => (Search::Found, serde_json::to_string(seqs).ok(), None),
            None if text.is_empty() => (Search::None, None, None),
            None => (Search::Start, Some(text.clone()), Some(format!("{text}\u{10ffff}"))),
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
            name_end,
            value,
            seq: at.map(Cursor::seq),
            now: now.ms(),
            week: now.plus_days(7).ms(),
            month: self.month_start.ms(),
            due: self.due,
        };
        (shape, binds)
    }

    /// How many there are in a state, and whether there may be more. Not for what a search found.
    async fn count(&self, via: &mut impl Via, state: StateFilter) -> Result<(i64, bool), StoreError> {
        let filter = KeyFilter { state, page: None, ..self.filter.clone() };
        let (shape, binds) = self.shape_and_binds(&filter, None);
        let text = shape.count_text(Dialect::of(via));
        let count =
            run!(via, fetch_one, bound!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(text.clone())), binds))?;
        Ok((count, count >= shape.count_limit()))
    }
}

/// Every text that a list can become, for the test that prepares them all.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let mut texts = vec![super::keys::find_text(dialect)];
    for order in Sort::ALL.map(Order::By).into_iter().chain([Order::Unspent]) {
        for state in StateFilter::ALL {
            for search in [Search::None, Search::Start, Search::Found] {
                for (scoped, team) in [(false, false), (true, true)] {
                    for (descending, from) in
                        [(false, None), (true, Some(Direction::On)), (true, Some(Direction::Back))]
                    {
                        let older = None;
                        let shape = Shape { scoped, state, older, team, search, order, descending, from };
                        texts.push(shape.list_text(dialect));
                        if from.is_none() && search != Search::Found {
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

/// A search's statements with examples in them, and what each is, for the tests that prepare and explain them.
pub fn every_search(dialect: Dialect, org: &str, person: &str, now: Moment) -> Vec<(String, String)> {
    search_sql::every_text(dialect, org, person, now)
}
