//! The list of keys: a page of it, how many there are, and how many under each of its filters. The texts are
//! `key_list_sql`'s.

use std::cmp::Reverse;

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, MAX_SEARCH};
use super::key_list_sql::{Direction, Order, Search, Shape};
pub use super::key_list_sql::{MAX_OFFERED, every_text};
use super::keys::KeyRow;
use super::search::{self, Hits};
use super::search_sql::{self, Within};
use super::{StoreError, Via, run};
use crate::domain::key::{Key, Status};
use crate::domain::key_filter::{KeyFilter, Sort, StateFilter};
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::policy::{Permit, Scope};
use crate::domain::search::{folded, is_searched};
use crate::domain::window::WindowStarts;

/// What a list depends on beside its filter.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// When it is read.
    pub now: Moment,
    /// The organisation's windows around `now`.
    pub starts: WindowStarts,
    /// Days after which keys without a period of their own are due for rotation; `None` is never.
    pub rotate_days: Option<i64>,
    /// Nothing is left of a budget of the organisation or of its balance, so every active key is stopped.
    pub org_stopped: bool,
    /// A budget of the organisation is used to 80 % or more, so every active key is near a limit.
    pub org_near: bool,
}

impl At {
    /// Keys without a period of their own are due when their secret was made then or before.
    fn due(&self) -> Option<i64> {
        self.rotate_days.map(|days| self.now.plus_days(-days).ms())
    }
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
    week_start: i64,
    day_start: i64,
    owner: Option<String>,
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
            .bind($binds.week_start)
            .bind($binds.day_start)
            .bind(&$binds.owner)
    };
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
    at: At,
    count_ended: bool,
) -> Result<Listed, StoreError> {
    let asked = Asked::new(permit, filter, at);
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

/// How many keys there are under each of the page's filters; counting stops one above `MAX_OFFERED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([i64; StateFilter::OFFERED.len()]);

impl Counts {
    /// How many keys are in this state; none for a state that is no filter of the page.
    pub fn of(&self, state: StateFilter) -> i64 {
        let mut counted = StateFilter::OFFERED.iter().zip(self.0);
        counted.find(|(offered, _)| **offered == state).map_or(0, |(_, count)| count)
    }
}

/// How many keys each of the page's filters would show in place of the filter's state. Its search is of few letters or none.
///
/// # Errors
/// When the database does not answer.
pub async fn counts(
    via: &mut impl Via,
    permit: &Permit,
    filter: &KeyFilter,
    at: At,
) -> Result<Counts, StoreError> {
    type Row = (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);
    let filter = KeyFilter { page: None, ..filter.clone() };
    let asked = Asked::new(permit, &filter, at);
    let (shape, binds) = asked.shape_and_binds(&filter, None);
    let text = shape.counts_text(Dialect::of(via));
    let row = run!(via, fetch_one, bound!(sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())), binds))?;
    let (live, stopped, near, expiring, due, idle, unlimited, disabled, expired, revoked) = row;
    Ok(Counts([live, stopped, near, expiring, due, idle, unlimited, disabled, expired, revoked]))
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
    at: At,
}

impl<'a> Asked<'a> {
    fn new(permit: &'a Permit, filter: &'a KeyFilter, at: At) -> Self {
        let within = Within {
            org: Some(permit.org().to_string()),
            person: person_of(permit),
            team: filter.team.as_ref().map(ToString::to_string),
            owner: filter.owner.as_ref().map(ToString::to_string),
            made_before: filter.older.map(|age| at.now.plus_days(-age.days())),
            state: Some((filter.state, at.now)),
            due: at.due(),
            starts: Some(at.starts),
            org_stopped: at.org_stopped,
            org_near: at.org_near,
        };
        Self { permit, filter, within, at }
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
        let (permit, now, starts) = (self.permit, self.at.now, self.at.starts);
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
            owner: filter.owner.is_some(),
            org_stopped: self.at.org_stopped,
            org_near: self.at.org_near,
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
            month: starts.month.ms(),
            due: self.at.due(),
            week_start: starts.week.ms(),
            day_start: starts.day.ms(),
            owner: filter.owner.as_ref().map(ToString::to_string),
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

/// A search's statements with examples in them, and what each is, for the tests that prepare and explain them.
pub fn every_search(dialect: Dialect, org: &str, person: &str, now: Moment) -> Vec<(String, String)> {
    search_sql::every_text(dialect, org, person, now)
}
