//! One process serves an SQLite file: it has a lock on a file beside the database for as long as it runs. Any number of
//! commands read and write the database meanwhile.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::DatabaseUrl;

/// Proof that no other process serves the database; the end of the process ends it in any case.
#[derive(Debug)]
pub struct ServingLock {
    _file: File,
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
        error: std::io::Error,
    },
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
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(ServingLockError::Taken(database.clone())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

/// `keydesk.sqlite.serving` for `keydesk.sqlite`. The file stays: who removed it could take a lock from under another process.
fn beside(database: &Path) -> PathBuf {
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
}
