//! Brings what is added up to what it should be, where `sums` finds a difference. Only `ops::spend_check` calls it.
//!
//! A repair stops no settlement. One statement finds by how much each row differs, without a lock, and short transactions
//! add these differences afterwards. That is right, because a difference does not change meanwhile:
//!
//! - A settlement adds the same to a request's row and to everything that is added up from it, in one transaction. A
//!   statement sees both or neither, and the difference between them is as before.
//! - Each row of a sum has its difference added once, whatever it has become since: adding is done by the database, to the
//!   row as it is.
//! - What could change a difference moves something that `CLAIM` compares, and locks the organisation's row as it does: a
//!   repair and a re-rating count `spend_version` up, the deletion of requests moves `raw_from` before the first one goes,
//!   and a change of the time zone is one of `zone`. Then nothing is written, and the comparison is made again.
//!
//! So every transaction of a repair makes rows right that stay right, and a repair that is interrupted has only done less.
//! The rows of one are locked in the order in which a settlement locks them, so the two cannot deadlock, and a settlement
//! waits for `MAX_ROWS` of them at most. Postgres takes no lock on the organisation's row that a settlement's references to
//! it need. On SQLite, reading is done beside the writer, which is held only while rows are written.

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, impatient, patient};
use super::sums::{Basis, MEASURES, Part, basis};
use super::verify::Sums;
use super::{Reader, StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::policy::{Action, Permit};

/// Rows of one transaction.
pub const MAX_ROWS: usize = 200;
/// So many differences are kept in memory. A part with more of them is compared again.
pub const MAX_DIFFERENCES: i64 = 50_000;

statements! {
    TOTAL = "SELECT spent, requests, tokens FROM counters
        WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'total' AND window_start = 0 AND org_id = $1";
    /// Changes a row when everything is as it was when the differences were found, and keeps it so until the end.
    CLAIM = "UPDATE orgs SET spend_version = spend_version + 1
        WHERE id = $1 AND spend_version = $2 AND COALESCE(raw_from, '') = $3 AND zone = $4";
}

/// Each row that differs, by what makes it, and by how much each of its sums is too low. A row that has fewer than six keys
/// has empty ones.
fn find_text(part: Part, dialect: Dialect) -> String {
    let keys: Vec<String> = (0..6)
        .map(|place| match part.keys().get(place) {
            Some(key) => format!("CAST({key} AS TEXT)"),
            None => "''".to_owned(),
        })
        .collect();
    let more = MEASURES.map(|name| format!("CAST(summed_{name} - counted_{name} AS BIGINT)"));
    format!(
        "SELECT {}, {} FROM ({}) differing ORDER BY {} LIMIT $3",
        keys.join(", "),
        more.join(", "),
        part.differing(dialect),
        part.order()
    )
}

/// An element of a row in the list `$1`.
fn element(part: Part, place: usize) -> String {
    let is_number = place >= 6 || part.keys().get(place) == Some(&"window_start");
    if is_number { format!("CAST(j.value ->> {place} AS BIGINT)") } else { format!("(j.value ->> {place})") }
}

fn each_key(part: Part, write: impl Fn(&str, String) -> String, between: &str) -> String {
    let keys = part.keys().iter().enumerate();
    keys.map(|(place, key)| write(key, element(part, place))).collect::<Vec<_>>().join(between)
}

fn each_measure(part: Part, write: impl Fn(&str, String) -> String, between: &str) -> String {
    let measures = part.measures().iter();
    measures.map(|(name, place)| write(name, element(part, 6 + place))).collect::<Vec<_>>().join(between)
}

/// Makes rows that are missing, and locks all of them in the order of the list.
fn lock_text(part: Part, dialect: Dialect) -> String {
    let table = part.table();
    format!(
        "INSERT INTO {table} ({}, org_id, {}) SELECT {}, CAST($2 AS TEXT), {} FROM {} WHERE TRUE ORDER BY j.key
        ON CONFLICT ({}) DO UPDATE SET requests = {table}.requests",
        part.keys().join(", "),
        each_measure(part, |name, _| name.to_owned(), ", "),
        each_key(part, |_, value| value, ", "),
        each_measure(part, |_, _| "0".to_owned(), ", "),
        dialect.json_rows_in("$1"),
        part.unique()
    )
}

/// Adds to the rows of the list.
fn add_text(part: Part, dialect: Dialect) -> String {
    let table = part.table();
    format!(
        "UPDATE {table} SET {} FROM {} WHERE {} AND {table}.org_id = $2",
        each_measure(part, |name, more| format!("{name} = {table}.{name} + {more}"), ", "),
        dialect.json_rows_in("$1"),
        each_key(part, |key, value| format!("{table}.{key} = {value}"), " AND ")
    )
}

/// Deletes those of them in which nothing is left.
fn drop_text(part: Part, dialect: Dialect) -> String {
    format!(
        "DELETE FROM {} WHERE ({}) IN (SELECT {} FROM {}) AND {} AND org_id = $2",
        part.table(),
        part.keys().join(", "),
        each_key(part, |_, value| value, ", "),
        dialect.json_rows_in("$1"),
        each_measure(part, |name, _| format!("{name} = 0"), " AND ")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let of = |part| {
        [
            find_text(part, dialect),
            lock_text(part, dialect),
            add_text(part, dialect),
            drop_text(part, dialect),
        ]
    };
    Part::ALL.map(of).concat()
}

/// What makes a row, and by how much its sums are too low.
type Row = (String, String, String, String, String, String, i64, i64, i64, i64, i64);

/// The rows of a part that differ, and what has to be the same when they are put right.
pub struct Differing {
    part: Part,
    basis: Basis,
    version: i64,
    rows: Vec<Row>,
}

impl Differing {
    /// How many rows differ.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there may be more of them.
    pub fn is_cut(&self) -> bool {
        self.rows.len() as i64 >= MAX_DIFFERENCES
    }
}

/// What the organisation's own counter of all time says.
///
/// # Errors
/// When the database cannot be read.
pub async fn total(via: &mut impl Via, org: &OrgId) -> Result<Sums, StoreError> {
    let row: Option<(i64, i64, i64)> =
        run!(via, fetch_optional, sqlx::query_as::<_, (i64, i64, i64)>(TOTAL).bind(org.as_str()))?;
    let (spent, requests, tokens) = row.unwrap_or_default();
    Ok(Sums { spent: Money::from_nanos(spent), requests, tokens })
}

/// The rows of a part that differ, `MAX_DIFFERENCES` at most. Reads without a time limit, and locks nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(read: &mut Reader, org: &OrgId, part: Part, now: Moment) -> Result<Differing, StoreError> {
    // Before the comparison: what happens after this is noticed.
    let (basis, version) = basis(read, org).await?;
    patient(read).await?;
    let text = find_text(part, Dialect::of(read));
    let rows = run!(
        &mut *read,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(basis.range(part, now))
            .bind(MAX_DIFFERENCES)
    );
    impatient(read).await?;
    Ok(Differing { part, basis, version, rows: rows? })
}

/// What one transaction put right.
pub struct Written {
    /// How many rows.
    pub rows: usize,
    /// What the organisation's own counter of all time said before.
    pub before: Sums,
    /// What it says now.
    pub after: Sums,
}

/// Puts the next `MAX_ROWS` rows right, and takes them out of `found`. `None` when something came in between: then nothing
/// is written, and the part has to be compared again. Budgets' marks are renewed afterwards.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn write_some(
    tx: &mut Tx,
    permit: &Permit,
    found: &mut Differing,
) -> Result<Option<Written>, StoreError> {
    tx.charge(permit, &[Action::RepairSpend], permit.org().as_str())?;
    let (org, basis) = (permit.org(), &found.basis);
    let claimed = changed!(
        &mut *tx,
        sqlx::query(CLAIM).bind(org.as_str()).bind(found.version).bind(&basis.first).bind(&basis.zone_name)
    )?;
    if claimed != 1 {
        return Ok(None);
    }
    found.version += 1;
    let rows: Vec<Row> = found.rows.drain(..found.rows.len().min(MAX_ROWS)).collect();
    let list = serde_json::to_string(&rows).unwrap_or_default();
    let dialect = Dialect::of(tx);
    let text = lock_text(found.part, dialect);
    changed!(&mut *tx, sqlx::query(AssertSqlSafe(text.clone())).bind(&list).bind(org.as_str()))?;
    let before = total(tx, org).await?;
    for text in [add_text(found.part, dialect), drop_text(found.part, dialect)] {
        changed!(&mut *tx, sqlx::query(AssertSqlSafe(text.clone())).bind(&list).bind(org.as_str()))?;
    }
    // Not read again: unless the row was among those that are locked, a request may have been settled since.
    let is_total = |row: &&Row| found.part == Part::Counters && row.0 == "org" && row.2 == "total";
    let after = rows.iter().find(is_total).map_or(before, |row| Sums {
        spent: Money::from_nanos(before.spent.nanos() + row.10),
        requests: before.requests + row.6,
        tokens: before.tokens + row.7,
    });
    Ok(Some(Written { rows: rows.len(), before, after }))
}
