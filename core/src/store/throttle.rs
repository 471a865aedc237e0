//! Failed attempts, counted where every node sees them.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::moment::Moment;

statements! {
    FIND = "SELECT failures, last_at FROM throttles WHERE kind = $1 AND subject = $2";
    /// Attempts further apart than `$4` start a new count.
    COUNT = "INSERT INTO throttles (kind, subject, failures, last_at) VALUES ($1, $2, 1, $3)
        ON CONFLICT (kind, subject) DO UPDATE SET
            failures = CASE WHEN throttles.last_at < $4 THEN 1 ELSE throttles.failures + 1 END, last_at = $3";
    CLEAR = "DELETE FROM throttles WHERE kind = $1 AND subject = $2";
    SWEEP = "DELETE FROM throttles WHERE last_at < $1";
}

/// What is counted; the word is the column's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttled {
    SignInAccount,
    SignInNetwork,
    Search,
}

impl Throttled {
    fn as_str(self) -> &'static str {
        match self {
            Throttled::SignInAccount => "sign_in_account",
            Throttled::SignInNetwork => "sign_in_network",
            Throttled::Search => "search",
        }
    }
}

/// How many counted attempts, and when the last was.
pub async fn find(
    via: &mut impl Via,
    kind: Throttled,
    subject: &str,
) -> Result<Option<(i64, Moment)>, StoreError> {
    let row: Option<(i64, i64)> =
        run!(via, fetch_optional, sqlx::query_as::<_, (i64, i64)>(FIND).bind(kind.as_str()).bind(subject))?;
    Ok(row.map(|(failures, at)| (failures, Moment::from_ms(at))))
}

pub async fn count(
    tx: &mut Tx,
    kind: Throttled,
    subject: &str,
    now: Moment,
    forget_before: Moment,
) -> Result<(), StoreError> {
    changed!(
        tx,
        sqlx::query(COUNT).bind(kind.as_str()).bind(subject).bind(now.ms()).bind(forget_before.ms())
    )?;
    Ok(())
}

pub async fn clear(tx: &mut Tx, kind: Throttled, subject: &str) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(CLEAR).bind(kind.as_str()).bind(subject))?;
    Ok(())
}

pub async fn sweep(tx: &mut Tx, before: Moment) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(SWEEP).bind(before.ms()))
}
