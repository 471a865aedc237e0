//! One row that is written to see whether the database can be written.

use super::{Db, StoreError, Unaudited, changed, statements};
use crate::domain::moment::Moment;

statements! {
    WRITE = "UPDATE readiness SET written_at = $1, padding = $2";
}

/// Bytes; a new key with its audit event changes fewer pages.
const PADDING: usize = 128 * 1024;

/// Writes and commits: a full disk, a database that may only be read and a lock are found by nothing less.
///
/// # Errors
/// When the database cannot be written. A login without the right to write this row is no error.
pub async fn probe(db: &Db, now: Moment) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    // Another text each time: SQLite writes no page that stays as it is.
    let padding = format!("{:>16}", now.ms()).repeat(PADDING / 16);
    match changed!(&mut tx, sqlx::query(WRITE).bind(now.ms()).bind(&padding)) {
        // A gateway's login from before this row. The database has answered, and has not said that it is read-only.
        Err(error) if error.is_denied() => Ok(()),
        written => {
            written?;
            tx.save_unaudited(Unaudited::Readiness).await
        }
    }
}
