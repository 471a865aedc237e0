//! Pages of a list. A page begins beyond a row and not after a number of rows, so page 1,000 costs what page 1 does.

use std::fmt;

/// Rows of a page.
pub const PAGE_ROWS: usize = 50;
/// Bytes of a cursor in an address; no cursor of ours is longer.
const MAX_CURSOR: usize = 1_000;

/// Some rows of a list, in its order, and where the pages beside it begin.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most `PAGE_ROWS`.
    pub rows: Vec<T>,
    /// How many rows the list had before these when the pages up to here were read.
    pub before: usize,
    /// `None` on the first page.
    pub previous: Option<Cursor>,
    /// `None` on the last page.
    pub next: Option<Cursor>,
}

/// Where a page begins: beyond one row of the list. Opaque outside the store; `Display` and `parse` are its form in an
/// address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    backwards: bool,
    before: usize,
    id: String,
    value: String,
}

impl Cursor {
    /// The cursor that `Display` wrote. An invented one leads to some page of the same list and to nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_CURSOR || text.contains('\0') {
            return None;
        }
        let mut parts = text.splitn(4, '~');
        let backwards = match parts.next()? {
            "next" => false,
            "previous" => true,
            _ => return None,
        };
        let before = parts.next()?.parse().ok()?;
        let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        Some(Self { backwards, before, id, value: parts.next()?.to_owned() })
    }

    /// The page that begins at this row instead of beyond it: no other row's id lies between the row's and a longer one.
    pub(crate) fn including(value: String, id: String) -> Self {
        Self { backwards: false, before: 0, id, value }
    }

    /// Whether the page ends before the row instead of beginning after it.
    pub fn backwards(&self) -> bool {
        self.backwards
    }

    /// What the list is sorted by, of the row.
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// What tells rows of one value apart.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The id where it is a number.
    pub(crate) fn seq(&self) -> i64 {
        self.id.parse().unwrap_or(0)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.backwards { "previous" } else { "next" };
        write!(f, "{way}~{}~{}~{}", self.before, self.id, self.value)
    }
}

impl<T> Page<T> {
    /// A list without rows.
    pub fn empty() -> Self {
        Self { rows: vec![], before: 0, previous: None, next: None }
    }

    /// The page at a cursor, of up to `PAGE_ROWS + 1` rows as they were read: nearest to the cursor first. `place` gives
    /// a row's value and id.
    pub(crate) fn read(rows: Vec<T>, at: Option<&Cursor>, place: impl Fn(&T) -> (String, String)) -> Self {
        Self::read_of(PAGE_ROWS, rows, at, place)
    }

    /// `read` for pages of another length than `PAGE_ROWS`.
    pub(crate) fn read_of(
        max: usize,
        mut rows: Vec<T>,
        at: Option<&Cursor>,
        place: impl Fn(&T) -> (String, String),
    ) -> Self {
        let more = rows.len() > max;
        rows.truncate(max);
        let backwards = at.is_some_and(|at| at.backwards);
        if backwards {
            rows.reverse();
        }
        let (has_previous, has_next) = if backwards { (more, true) } else { (at.is_some(), more) };
        let before = at.filter(|_| has_previous).map_or(0, |at| at.before);
        let cursor = |row: &T, backwards, before| {
            let (value, id) = place(row);
            Cursor { backwards, before, id, value }
        };
        let previous = rows.first().filter(|_| has_previous);
        let previous = previous.map(|row| cursor(row, true, before.saturating_sub(max)));
        let next = rows.last().filter(|_| has_next);
        let next = next.map(|row| cursor(row, false, before.saturating_add(rows.len())));
        Self { rows, before, previous, next }
    }

    /// The page with each row changed.
    ///
    /// # Errors
    /// The first error of `change`.
    pub(crate) fn try_map<U, E>(self, change: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let rows = self.rows.into_iter().map(change).collect::<Result<_, _>>()?;
        Ok(Page { rows, before: self.before, previous: self.previous, next: self.next })
    }

    /// How many rows the list has, when this page is all of it.
    pub fn only(&self) -> Option<i64> {
        (self.previous.is_none() && self.next.is_none()).then_some(self.rows.len() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a store does: the rows beyond the cursor, nearest first, one more than a page.
    fn read(count: usize, at: Option<&Cursor>) -> Page<usize> {
        let rows: Vec<usize> = match at {
            None => (0..count).collect(),
            Some(at) if at.backwards => (0..at.seq() as usize).rev().collect(),
            Some(at) => (at.seq() as usize + 1..count).collect(),
        };
        let rows = rows.into_iter().take(PAGE_ROWS + 1).collect();
        Page::read(rows, at, |row| ("~ä".into(), row.to_string()))
    }

    #[test]
    fn next_and_previous_visit_every_row_and_count_those_before() {
        for count in [0, 1, 49, 50, 51, 100, 149] {
            let mut page = read(count, None);
            assert_eq!((page.before, &page.previous), (0, &None));
            assert_eq!(page.only().is_some(), count <= PAGE_ROWS);
            let mut pages = vec![page.rows.clone()];
            while let Some(next) = page.next {
                page = read(count, Cursor::parse(&next.to_string()).as_ref());
                assert_eq!(page.before, pages.concat().len());
                pages.push(page.rows.clone());
            }
            assert_eq!(pages.concat(), (0..count).collect::<Vec<_>>());
            for rows in pages.iter().rev().skip(1) {
                page = read(count, page.previous.as_ref());
                assert_eq!(&page.rows, rows);
                assert_eq!(page.before, rows[0]);
            }
            assert_eq!(page.previous, None);
        }
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let long = format!("next~0~1~{}", "x".repeat(MAX_CURSOR));
        for text in ["", "next", "next~0~1", "back~0~1~a", "next~-1~1~a", "next~0~~a", "next~0~1~\0", &long] {
            assert_eq!(Cursor::parse(text), None, "{text:?}");
        }
    }
}
