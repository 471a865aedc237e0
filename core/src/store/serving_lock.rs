//! One process serves an SQLite file: it has a lock on a file beside the database for as long as it runs. Any number of
//! commands read and write the database meanwhile.
//!
//! While it serves, the file says which database that is. A copy of the folder that was made meanwhile has what was said, beside
//! a database that is another file: so the copy is known, which may lack what had not reached the database's own file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::DatabaseUrl;

/// Proof that no other process serves the database; the end of the process ends it in any case.
#[derive(Debug)]
pub struct ServingLock {
    file: File,
    database: PathBuf,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum ServingLockError {
    /// Another process has it.
    #[error("another process serves {}", .0.display())]
    Taken(PathBuf),
    /// The file cannot be made or locked.
    #[error("{} cannot be locked: {error}", .path.display())]
    Unusable {
        /// The file beside the database.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A database that another file was when a process served it and did not stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Where that file was.
    pub from: PathBuf,
    /// Whether that is another place. At the same one, some file systems give a file another number after a restart.
    pub is_elsewhere: bool,
}

impl ServingLock {
    /// The lock of an SQLite file, whose folder exists; `None` for Postgres, which many processes serve.
    ///
    /// # Errors
    /// When another process serves the file, or the lock's file cannot be made.
    pub fn take(url: &DatabaseUrl) -> Result<Option<Self>, ServingLockError> {
        let DatabaseUrl::Sqlite(database) = url else { return Ok(None) };
        let path = beside(database);
        let unusable = |error| ServingLockError::Unusable { path: path.clone(), error };
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file, database: database.clone() })),
            Err(TryLockError::WouldBlock) => Err(ServingLockError::Taken(database.clone())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Says that this database is served from now on, until `stopped`.
    ///
    /// # Errors
    /// When the lock's file cannot be written.
    pub fn serving(&self) -> io::Result<()> {
        let (number, place) = identity(&self.database)?;
        self.write(format!("{number}\n{}\n", place.display()).as_bytes())
    }

    /// The database is closed, with all that was written: a copy of the folder is whole from now on.
    ///
    /// # Errors
    /// When the lock's file cannot be written.
    pub fn stopped(&self) -> io::Result<()> {
        self.write(b"")
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text)?;
        file.sync_all()
    }
}

/// Whether the database is a copy of one that was being served, or whose process had been killed. `None` for a database that
/// is not there.
pub fn copied(database: &Path) -> Option<Copied> {
    let mut text = String::new();
    File::open(beside(database)).ok()?.read_to_string(&mut text).ok()?;
    let (number, from) = text.trim_end_matches('\n').split_once('\n')?;
    let (own_number, place) = identity(database).ok()?;
    let from = PathBuf::from(from);
    (number != own_number.to_string()).then(|| Copied { is_elsewhere: from != place, from })
}

/// The number of the file, and its whole path.
fn identity(database: &Path) -> io::Result<(u64, PathBuf)> {
    Ok((std::fs::metadata(database)?.ino(), std::fs::canonicalize(database)?))
}

/// `keydesk.sqlite.serving` for `keydesk.sqlite`. The file stays: who removed it could take a lock from under another process.
pub fn beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".serving");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_served_once_at_a_time_and_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("keydesk.sqlite"));
        let first = ServingLock::take(&url).unwrap().unwrap();
        assert!(matches!(ServingLock::take(&url), Err(ServingLockError::Taken(_))));
        let other = DatabaseUrl::Sqlite(folder.path().join("other.sqlite"));
        assert!(ServingLock::take(&other).unwrap().is_some());
        drop(first);
        assert!(ServingLock::take(&url).unwrap().is_some());
        assert!(ServingLock::take(&DatabaseUrl::Postgres("postgres://localhost".into())).unwrap().is_none());
        let nowhere = DatabaseUrl::Sqlite(folder.path().join("missing/keydesk.sqlite"));
        assert!(matches!(ServingLock::take(&nowhere), Err(ServingLockError::Unusable { .. })));
    }

    #[test]
    fn a_copy_of_a_served_folder_is_known_and_one_of_a_stopped_one_is_whole() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let database = one.path().join("keydesk.sqlite");
        std::fs::write(&database, "rows").unwrap();
        let lock = ServingLock::take(&DatabaseUrl::Sqlite(database.clone())).unwrap().unwrap();
        let copy = || {
            let copy = other.path().join("keydesk.sqlite");
            std::fs::copy(&database, &copy).unwrap();
            std::fs::copy(beside(&database), beside(&copy)).unwrap();
            copied(&copy)
        };
        assert_eq!(copy(), None);
        lock.serving().unwrap();
        let found = copy().unwrap();
        assert_eq!((found.from, found.is_elsewhere), (std::fs::canonicalize(&database).unwrap(), true));
        // A killed process leaves what it said; the database is the same file.
        assert_eq!(copied(&database), None);
        std::fs::rename(&database, one.path().join("before")).unwrap();
        std::fs::copy(one.path().join("before"), &database).unwrap();
        assert!(!copied(&database).unwrap().is_elsewhere);
        lock.stopped().unwrap();
        assert_eq!(copy(), None);
    }
}
