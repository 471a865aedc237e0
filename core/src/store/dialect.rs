//! Every difference between the two databases, each with its reason.

use sqlx::Executor;

use super::error::StoreError;
use super::{Conn, Reader, Tx, Via};

/// The database that a statement is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, of version 3.51.3 or later.
    Sqlite,
    /// Postgres.
    Postgres,
}

impl Dialect {
    /// That of the connection behind `via`.
    pub fn of(via: &mut impl Via) -> Self {
        match via.conn() {
            Conn::Sqlite(_) => Dialect::Sqlite,
            Conn::Postgres(..) => Dialect::Postgres,
        }
    }

    /// After a table's name: the index to read it through. Postgres knows from its statistics which index leads to fewer
    /// rows, and SQLite does not always.
    pub fn through(self, index: &str) -> String {
        match self {
            Dialect::Sqlite => format!(" INDEXED BY {index}"),
            Dialect::Postgres => String::new(),
        }
    }

    /// A list that is passed as one JSON text parameter: SQLite has no arrays, so both take this way.
    pub fn json_list(self, parameter: &str) -> String {
        match self {
            Dialect::Sqlite => format!("(SELECT value FROM json_each({parameter}))"),
            Dialect::Postgres => format!("(SELECT jsonb_array_elements_text(CAST({parameter} AS JSONB)))"),
        }
    }

    /// The lists in such a list, as a table `j`: `value` is one of them, of which `->> 0` is the first element, and `key` rises.
    pub fn json_rows_in(self, parameter: &str) -> String {
        match self {
            Dialect::Sqlite => format!("json_each({parameter}) j"),
            Dialect::Postgres => {
                format!("jsonb_array_elements(CAST({parameter} AS JSONB)) WITH ORDINALITY AS j (value, key)")
            }
        }
    }

    /// The different lines of a text that are not empty, as a table of one column, `line`.
    pub fn lines_of(self, text: &str) -> String {
        match self {
            Dialect::Sqlite => format!(
                "(WITH RECURSIVE cut (line, rest) AS (SELECT '', {text} || char(10) UNION ALL
                    SELECT substr(rest, 1, instr(rest, char(10)) - 1), substr(rest, instr(rest, char(10)) + 1) FROM cut WHERE rest <> '')
                SELECT DISTINCT line FROM cut WHERE line <> '')"
            ),
            Dialect::Postgres => format!(
                "(SELECT DISTINCT line FROM unnest(string_to_array({text}, chr(10))) AS cut (line) WHERE line <> '')"
            ),
        }
    }

    /// What a subquery finds, as one JSON text of lists: handing hundreds of rows from the driver takes longer than finding
    /// them. In any order.
    pub fn json_rows(self, columns: &str, found: &str) -> String {
        match self {
            Dialect::Sqlite => format!("SELECT json_group_array(json_array({columns})) FROM ({found}) found"),
            Dialect::Postgres => {
                format!(
                    "SELECT CAST(COALESCE(json_agg(json_build_array({columns})), '[]') AS TEXT) FROM ({found}) found"
                )
            }
        }
    }

    /// Whether `column` is one of such a list, through its index.
    pub fn any_of(self, column: &str, parameter: &str) -> String {
        let list = self.json_list(parameter);
        match self {
            Dialect::Sqlite => format!("{column} IN {list}"),
            Dialect::Postgres => format!("{column} = ANY (ARRAY{list})"),
        }
    }

    /// Whether `column` is one of the numbers in such a list, through its index.
    pub fn any_number_of(self, column: &str, parameter: &str) -> String {
        let list = self.json_list(parameter);
        match self {
            Dialect::Sqlite => format!("{column} IN {list}"),
            Dialect::Postgres => format!("{column} = ANY (CAST(ARRAY{list} AS BIGINT[]))"),
        }
    }

    /// The patterns of one holder as lines of one text: the two call it by different names.
    pub fn patterns_of(self, kind: &str, id: &str) -> String {
        let joined = match self {
            Dialect::Sqlite => "group_concat(pattern, char(10))",
            Dialect::Postgres => "string_agg(pattern, chr(10))",
        };
        format!("(SELECT {joined} FROM scopes WHERE holder_kind = '{kind}' AND holder_id = {id})")
    }

    /// Keys whose `column` is among a few that a subquery finds. Postgres looks an array up in an index; a subquery it
    /// would join, reading every key, or beside an `OR` test for each.
    pub fn among(self, column: &str, few: &str) -> String {
        match self {
            Dialect::Sqlite => format!("{column} IN ({few})"),
            Dialect::Postgres => format!("{column} = ANY (ARRAY({few}))"),
        }
    }

    /// The rows of a table whose `column` is one of a few that a subquery finds as `holder_id`: what to read from, and the
    /// condition. SQLite without statistics would rather read all rows of some days and use few of them.
    pub fn rows_of(self, table: &str, column: &str, few: &str) -> (String, String) {
        match self {
            Dialect::Sqlite => {
                (format!("({few}) few CROSS JOIN {table}"), format!("{column} = few.holder_id"))
            }
            Dialect::Postgres => (table.to_owned(), self.among(column, few)),
        }
    }

    /// Rows of `each`, each beside the keys that a subquery finds for it by number. SQLite has no lateral joins; an ordinary join
    /// could read all keys in place of those of one row after the other.
    pub fn keys_of_each(self, each: &str, found: &str) -> String {
        match self {
            Dialect::Sqlite => format!("{each} CROSS JOIN keys found ON found.seq IN ({found})"),
            Dialect::Postgres => format!("{each} CROSS JOIN LATERAL ({found}) found"),
        }
    }

    /// Events `e` about one of a few things that a subquery finds by the name `id`. SQLite, left to itself, walks through
    /// every event and asks whether it is about one of them.
    pub fn events_about(self, few: &str, org: &str) -> String {
        match self {
            Dialect::Sqlite => format!(
                "e.seq IN (SELECT about.seq FROM ({few}) few CROSS JOIN audit_events about
                WHERE about.chain_id = {org} AND about.subject_id = few.id)"
            ),
            Dialect::Postgres => self.among("e.subject_id", few),
        }
    }

    /// The database's clock in milliseconds, as it is now and not when the transaction began.
    pub fn clock_ms(self) -> &'static str {
        match self {
            Dialect::Sqlite => "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
            Dialect::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// Holds the row read until the transaction ends. On SQLite the whole transaction has the write lock already.
    pub fn for_update(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// Like `for_update` for a row whose key stays as it is, so that rows that point at it can be added meanwhile.
    pub fn for_change(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR NO KEY UPDATE",
        }
    }
}

/// Lets the connection's statements take as long as they need: for commands that read everything. SQLite never stops one.
pub(super) async fn patient(read: &mut Reader) -> Result<(), StoreError> {
    set(read, "SET statement_timeout = 0").await
}

/// As before `patient`: for what goes on to other statements, as a server's connections do.
pub(super) async fn impatient(read: &mut Reader) -> Result<(), StoreError> {
    set(read, "RESET statement_timeout").await
}

/// The same until the transaction ends.
pub(super) async fn patient_within(tx: &mut Tx) -> Result<(), StoreError> {
    set(tx, "SET LOCAL statement_timeout = 0").await
}

async fn set(via: &mut impl Via, setting: &'static str) -> Result<(), StoreError> {
    if let Conn::Postgres(conn, _) = via.conn() {
        conn.execute(setting).await?;
    }
    Ok(())
}

/// A pattern for LIKE with a backslash as its escape: what holds the text, in which everything is data.
pub fn like_contains(text: &str) -> String {
    format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

/// How many hits of a search are looked at, the newest ones; the page says so when there are more.
pub const MAX_SEARCH: usize = 500;
