//! The texts of the list of keys, put together from closed sets of fragments (filter, order, direction), never from text
//! that was typed. `key_list` binds them; `seen_by` and the conditions of one key are `search_sql`'s.

use super::dialect::{Dialect, MAX_SEARCH};
use super::keys::{is_live, select_key};
use super::search_sql::{self, is_idle, is_marked, no_limit, seen_by, valid_mark};
use crate::domain::key::Status;
use crate::domain::key_filter::{SecretAge, Sort, StateFilter};
use crate::domain::page::PAGE_ROWS;

/// Counting stops here; beyond it a list says "10,000+".
const MAX_COUNT: i64 = 10_000;
/// As `MAX_COUNT`, for keys that are due for rotation: on Postgres their index says of none that it is there, so each is read.
pub const MAX_DUE: i64 = 1_000;
/// As `MAX_COUNT`, for the count on each of the list's filters: all of them together may take a few milliseconds.
pub const MAX_OFFERED: i64 = 1_000;

/// What to look at. `$1` is the organisation, `$2` the person a narrowed scope is for, `$3` the team, `$4` and `$5` where
/// names begin and end that begin with a search, `$6` the value and `$7` the number to page from, `$8` now, `$9` a week
/// from now, `$10` the start of the month, `$11` the organisation's period of rotation before now, `$12` the start of the
/// week and `$13` of the day, `$14` the owner. For keys that a search found, `$4` is their list. Only those that a text
/// uses are in it.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) scoped: bool,
    pub(super) state: StateFilter,
    pub(super) older: Option<SecretAge>,
    pub(super) team: bool,
    pub(super) owner: bool,
    /// Nothing is left of a budget of the organisation or of its balance: every active key is stopped.
    pub(super) org_stopped: bool,
    /// A budget of the organisation is used to 80 % or more: every active key is near a limit.
    pub(super) org_near: bool,
    pub(super) search: Search,
    pub(super) order: Order,
    pub(super) descending: bool,
    pub(super) from: Option<Direction>,
}

/// What a statement sorts by.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Order {
    By(Sort),
    /// By number, of those only that spent nothing this month. No index has them by spend, so sorted by spend they are a
    /// stretch of their own, before or after `By(Sort::Spend)`.
    Unspent,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Search {
    None,
    /// Names that begin with a text that is too short for the index.
    Start,
    /// The keys that `search` found, all of them in the list's scope and team.
    Found,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
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

/// Keys with such a mark on a budget of their own or of their team: two lists put together, each from its index.
fn marked(level: &str) -> String {
    let valid = valid_mark("$10", "$12", "$13");
    format!(
        "SELECT k.seq FROM budget_marks b JOIN keys k ON k.id = b.holder_id
            WHERE b.org_id = $1 AND b.holder_kind = 'key' AND b.level = '{level}' AND {valid}
        UNION ALL SELECT k.seq FROM budget_marks b JOIN keys k ON k.org_id = $1 AND k.team_id = b.holder_id
            WHERE b.org_id = $1 AND b.holder_kind = 'team' AND b.level = '{level}' AND {valid}"
    )
}

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
            StateFilter::Stopped | StateFilter::NearLimit => {
                concat!(" AND ", is_live!(), " AND k.status = 'active'")
            }
            StateFilter::Idle => concat!(" AND ", is_live!(), " AND ", is_idle!("$8")),
            StateFilter::Unlimited => concat!(" AND ", is_live!(), " AND ", no_limit!()),
        };
        let few = self.scoped || self.team || self.owner || self.search == Search::Found;
        let level = match self.state {
            StateFilter::Stopped if !self.org_stopped => Some("reached"),
            StateFilter::NearLimit if !self.org_near => Some("near"),
            _ => None,
        };
        if let Some(level) = level {
            // Of a few keys each is asked; the organisation's are read from their marks.
            text += &match few {
                true => format!(" AND {}", is_marked(level, "$10", "$12", "$13")),
                false => format!(" AND {}", dialect.among("k.seq", &marked(level))),
            };
        }
        if self.state == StateFilter::RotationDue {
            // Of a few keys each is asked; the organisation's are read from their indexes.
            text += &match self.scoped || self.owner || self.search == Search::Found {
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
        if self.owner && self.search != Search::Found {
            text += " AND k.owner_id = $14";
        }
        if self.search == Search::Start {
            text += " AND k.name_folded >= $4 AND k.name_folded < $5";
        }
        text
    }

    /// In the direction of reading.
    pub(super) fn descends(&self) -> bool {
        self.descending != (self.from == Some(Direction::Back))
    }

    /// One row more than a page, so that it is known whether there is a next one.
    pub(super) fn list_text(&self, dialect: Dialect) -> String {
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
    pub(super) fn count_limit(&self) -> i64 {
        match (self.search, self.state) {
            (Search::None, StateFilter::RotationDue) => MAX_DUE + 1,
            (Search::None, _) => MAX_COUNT + 1,
            (Search::Start | Search::Found, _) => MAX_SEARCH as i64 + 1,
        }
    }

    pub(super) fn count_text(&self, dialect: Dialect) -> String {
        let limit = self.count_limit();
        let is_narrowed =
            self.scoped || self.team || self.owner || self.older.is_some() || self.search != Search::None;
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

    /// How many there are under each of the page's filters, in their order; counting stops one above `MAX_OFFERED`.
    pub(super) fn counts_text(&self, dialect: Dialect) -> String {
        let limit = MAX_OFFERED + 1;
        let count = |state| {
            let shape = Shape { state, ..*self };
            let is_whole = !(self.scoped || self.team || self.owner || self.older.is_some());
            if state == StateFilter::RotationDue && is_whole && self.search == Search::None {
                return format!("(SELECT COUNT(*) FROM (SELECT 1 FROM ({DUE}) due LIMIT {limit}) counted)");
            }
            let conditions = shape.conditions(dialect);
            format!("(SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE {conditions} LIMIT {limit}) counted)")
        };
        let counts = StateFilter::OFFERED.map(count).join(", ");
        numbered(&format!("SELECT {counts}"), &PARAMETERS)
    }
}

const PARAMETERS: [&str; 14] =
    ["$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14"];

/// Postgres wants every parameter used and typed, and a list's text uses only some: a clause that is always true names
/// the rest, with their types.
fn numbered(text: &str, parameters: &[&str; 14]) -> String {
    const BIGINTS: [usize; 7] = [6, 7, 8, 9, 10, 11, 12];
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
                        let (older, owner, org_stopped, org_near) = (None, false, false, false);
                        let shape = Shape {
                            scoped,
                            state,
                            older,
                            team,
                            owner,
                            org_stopped,
                            org_near,
                            search,
                            order,
                            descending,
                            from,
                        };
                        texts.push(shape.list_text(dialect));
                        if from.is_none() && search != Search::Found {
                            texts.push(shape.count_text(dialect));
                            let older = Shape { older: Some(SecretAge::Year), ..shape };
                            texts.extend([older.list_text(dialect), older.count_text(dialect)]);
                        }
                        if from.is_none() && search != Search::Found && state == StateFilter::Live {
                            texts.push(shape.counts_text(dialect));
                            let owned = Shape { owner: true, org_stopped: true, org_near: true, ..shape };
                            texts.extend([owned.list_text(dialect), owned.counts_text(dialect)]);
                        }
                    }
                }
            }
        }
    }
    texts
}
