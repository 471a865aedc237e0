//! Files that no other account of the machine may read or change: the database and the cookie key.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::ServeConfig;

/// What every account of the machine can do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposed {
    Readable,
    Writable,
}

/// `None` when no other account gets at it, or it is not there.
pub fn exposed(path: &Path) -> Option<Exposed> {
    let mode = |path: &Path| Some(std::fs::metadata(path).ok()?.permissions().mode());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Who may not enter the folder does not reach what is in it.
    if mode(folder)? & 0o001 == 0 {
        return None;
    }
    match mode(path)? {
        mode if mode & 0o002 != 0 => Some(Exposed::Writable),
        mode if mode & 0o004 != 0 => Some(Exposed::Readable),
        _ => None,
    }
}

/// What is wrong and what to do.
pub fn sentence(path: &Path, exposed: Exposed) -> String {
    let can = match exposed {
        Exposed::Readable => "read",
        Exposed::Writable => "change",
    };
    let path = path.display();
    format!("Every account of this machine can {can} {path}. Run: chmod 600 {path}")
}

/// Asked at the start, before a file is opened: SQLite gives a new log the mode of its database. A file that others can read
/// is only warned of, because containers mount secrets in that way.
///
/// # Errors
/// A sentence for a file that every account can change.
pub fn check(config: &ServeConfig) -> Result<(), String> {
    for path in config.private_files() {
        match exposed(&path) {
            Some(found @ Exposed::Writable) => return Err(sentence(&path, found)),
            Some(found @ Exposed::Readable) => tracing::warn!("{}", sentence(&path, found)),
            None => {}
        }
    }
    Ok(())
}
