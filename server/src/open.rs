//! Opening the database for a command, and errors as sentences for the terminal.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use keydesk_core::Desk;
use keydesk_core::ops::{OpError, catalogue};
pub use keydesk_core::store::serving_lock::ServingLock;
use keydesk_core::store::serving_lock::{self, ServingLockError};
use keydesk_core::store::{DatabaseUrl, Db, SchemaState, StoreError};

use crate::clock::{SystemClock, SystemRandom};
use crate::config::DataConfig;

/// Runs a command that only reads: it changes nothing, makes nothing, and needs the schema of this program.
///
/// # Errors
/// The command's own, or a sentence when there is no database or its schema is older or newer.
pub async fn reading<T>(
    data: &DataConfig,
    command: impl AsyncFnOnce(&Desk) -> Result<T, String>,
) -> Result<T, String> {
    finish(open_readonly(data).await?, command).await
}

/// Runs a command that changes something, on a database that is made or migrated first where it has to be.
///
/// # Errors
/// The command's own, or those of `open_migrated`.
pub async fn changing<T>(
    data: &DataConfig,
    command: impl AsyncFnOnce(&Desk) -> Result<T, String>,
) -> Result<T, String> {
    finish(open_migrated(data).await?, command).await
}

/// Closes the database in any case: SQLite removes its write-ahead log then.
async fn finish<T>(desk: Desk, command: impl AsyncFnOnce(&Desk) -> Result<T, String>) -> Result<T, String> {
    let done = command(&desk).await;
    desk.db.close().await;
    done
}

async fn open_readonly(data: &DataConfig) -> Result<Desk, String> {
    let url = existing(data)?;
    require_current(Db::open_readonly(&url).await.map_err(unreachable_database)?).await
}

/// For the gateway alone: reads and writes, but does not migrate.
///
/// # Errors
/// A sentence when there is no database, or when its schema is older or newer.
pub async fn open_current(data: &DataConfig) -> Result<Desk, String> {
    let url = existing(data)?;
    require_current(Db::open(&url).await.map_err(unreachable_database)?).await
}

/// Makes what is missing, folder and database, and brings the schema up to date.
///
/// # Errors
/// A sentence when that fails, or when a newer program made the schema.
pub async fn open_migrated(data: &DataConfig) -> Result<Desk, String> {
    let url = data.database()?;
    make_folder(&url)?;
    let db = Db::open(&url).await.map_err(unreachable_database)?;
    match db.schema().await.map_err(store_error)? {
        SchemaState::Current | SchemaState::None | SchemaState::Older { .. } => {
            db.migrate().await.map_err(store_error)?;
        }
        SchemaState::Newer { .. } | SchemaState::Different { .. } => return require_current(db).await,
    }
    let desk = desk(db);
    catalogue::seed(&desk).await.map_err(op_error)?;
    Ok(desk)
}

/// What a process has to have to serve an SQLite file; `None` for Postgres.
///
/// # Errors
/// A sentence when another process serves the file, or it is a copy of one that was being served.
pub fn lock_to_serve(data: &DataConfig) -> Result<Option<ServingLock>, String> {
    let lock = serving_lock(data)?;
    if let DatabaseUrl::Sqlite(path) = data.database()?
        && let Some(copied) = serving_lock::copied(&path)
    {
        let sentence = format!(
            "The database {} is a copy of {}, made while that was served or after its process was killed, so the newest requests may be missing from it. Restore a backup in its place. To use it as it is, remove {}.",
            path.display(),
            copied.from.display(),
            serving_lock::beside(&path).display()
        );
        if copied.is_elsewhere {
            return Err(sentence);
        }
        tracing::warn!("{sentence}");
    }
    Ok(lock)
}

/// The lock alone, for a command that no server may run beside.
///
/// # Errors
/// A sentence when another process serves the file.
pub fn serving_lock(data: &DataConfig) -> Result<Option<ServingLock>, String> {
    let url = data.database()?;
    make_folder(&url)?;
    ServingLock::take(&url).map_err(|error| match error {
        ServingLockError::Taken(path) => format!(
            "Another process serves the database {}. An SQLite file is served by one process: stop the other one, or use Postgres for several, with --database-url.",
            path.display()
        ),
        ServingLockError::Unusable { path, error } => {
            format!("{} cannot be locked: {error}.", path.display())
        }
    })
}

pub fn make_folder(url: &DatabaseUrl) -> Result<(), String> {
    let DatabaseUrl::Sqlite(path) = url else { return Ok(()) };
    let Some(folder) = path.parent() else { return Ok(()) };
    // Password hashes and the cookie key are in there: no other account of the machine may read them.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| format!("The folder {} cannot be made: {error}.", folder.display()))
}

/// Where the database is, if it is there; a server is found only by connecting.
pub fn existing(data: &DataConfig) -> Result<DatabaseUrl, String> {
    match data.database()? {
        DatabaseUrl::Sqlite(path) if !path.exists() => Err(format!(
            "There is no database at {}. Name its folder with --data, or make it with: keydesk migrate",
            path.display()
        )),
        url => Ok(url),
    }
}

async fn require_current(db: Db) -> Result<Desk, String> {
    let state = db.schema().await.map_err(store_error)?;
    match schema_error(state) {
        None => Ok(desk(db)),
        Some(sentence) => {
            db.close().await;
            Err(sentence)
        }
    }
}

/// What is wrong with a schema and what to do about it.
pub fn schema_error(state: SchemaState) -> Option<String> {
    match state {
        SchemaState::Current => None,
        SchemaState::None => Some("The database has no tables of Keydesk. Run: keydesk migrate".into()),
        SchemaState::Older { missing } => Some(format!(
            "The database is older than this program: {missing} {} missing. Run: keydesk migrate",
            if missing == 1 { "migration is" } else { "migrations are" }
        )),
        SchemaState::Newer { version } => Some(format!(
            "The database is newer than this program: it has migration {version}. Use the release that made it, or a newer one."
        )),
        SchemaState::Different { version } => Some(format!(
            "Migration {version} of the database is not this program's, or did not finish. Use the program that made the database, or restore a backup."
        )),
    }
}

/// On a database whose schema may be another one's.
pub fn desk(db: Db) -> Desk {
    Desk::new(db, Arc::new(SystemClock), Arc::new(SystemRandom))
}

fn unreachable_database(error: StoreError) -> String {
    format!("The database cannot be opened: {error}. Check --data or KEYDESK_DATABASE_URL.")
}

/// The terminal shows the cause: its reader runs the installation.
pub fn store_error(error: StoreError) -> String {
    format!("The database cannot be used: {error}.")
}

/// Mistakes in several fields are a line each.
pub fn op_error(error: OpError) -> String {
    match error {
        OpError::Store(error) => store_error(error),
        OpError::Conflict(sentence) => sentence,
        OpError::Invalid(field_errors) => {
            let sentences: Vec<_> =
                field_errors.iter().map(|field_error| field_error.problem.to_string()).collect();
            sentences.join("\n")
        }
        other => other.to_string(),
    }
}

/// Like `op_error`, for an operation on the organisation at an address.
pub fn org_error(error: OpError, slug: &str) -> String {
    match error {
        OpError::NotFound => format!("There is no organisation at the address {slug}."),
        other => op_error(other),
    }
}
