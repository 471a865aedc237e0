//! The files of the cookie key: `cookie.key` in the data folder, or where an option says. During a rotation the new one is beside
//! it, with `.new` at its end, and afterwards the old one, with `.old`. The file itself seals; all of them open.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum_extra::extract::cookie::Key;
use keydesk_core::Vault;
use zeroize::Zeroizing;

/// What is used of a file.
const BYTES: usize = 64;

/// The file of a key on its way to be the key.
pub fn new_path(path: &Path) -> PathBuf {
    with_end(path, ".new")
}

/// The file of the key before.
pub fn old_path(path: &Path) -> PathBuf {
    with_end(path, ".old")
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A vault with the keys of these files, which are read again when something does not open.
pub fn vault(files: Vec<PathBuf>) -> Vault {
    Vault::loading(Arc::new(move || files.iter().filter_map(|file| read(file)).collect()))
}

/// The vault of a running program.
pub fn vault_of(path: &Path) -> Vault {
    vault(vec![path.to_owned(), new_path(path), old_path(path)])
}

/// Whether the file is there and is a key.
pub fn is_key(path: &Path) -> bool {
    read(path).is_some()
}

/// The key in a file; `None` when it is not there or is none.
fn read(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(std::fs::read(path).ok()?);
    (bytes.len() >= BYTES).then(|| {
        bytes.truncate(BYTES);
        bytes
    })
}

/// The keys of cookies; clones share them.
#[derive(Clone)]
pub struct CookieKeys {
    files: Vec<PathBuf>,
    /// The first one seals. Never empty.
    keys: Arc<RwLock<Vec<Key>>>,
}

impl CookieKeys {
    /// A key that never changes.
    pub fn fixed(key: Key) -> Self {
        Self { files: Vec::new(), keys: Arc::new(RwLock::new(vec![key])) }
    }

    /// The key of a file, which was read, and those beside it.
    pub fn of(path: &Path, key: Key) -> Self {
        let keys = Self { files: vec![path.to_owned(), new_path(path), old_path(path)], ..Self::fixed(key) };
        keys.reload();
        keys
    }

    /// Reads the files again. Where none can be read, the keys stay.
    pub fn reload(&self) {
        let read: Vec<Key> = self.files.iter().filter_map(|file| Some(Key::from(&read(file)?))).collect();
        if !read.is_empty() {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = read;
        }
    }

    /// All of them, the one that seals first.
    pub fn all(&self) -> Vec<Key> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Puts the new key in the place of the old one, which goes on opening unless it is to be forgotten.
///
/// # Errors
/// A sentence for the terminal.
pub fn replace(path: &Path, forget_old: bool) -> Result<(), String> {
    let moved = || {
        let (old, new) = (old_path(path), new_path(path));
        std::fs::File::open(&new)?.sync_all()?;
        match forget_old {
            false => std::fs::copy(path, &old).map(drop)?,
            true if old.exists() => std::fs::remove_file(&old)?,
            true => {}
        }
        // The file is never away: who reads it at this moment reads one or the other.
        std::fs::rename(new, path)
    };
    moved().map_err(|error| {
        format!(
            "Everything is encrypted with the key in {}, which cannot be put in the place of {}: {error}. Move it there yourself; until then both are read.",
            new_path(path).display(),
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use keydesk_app::sealed::{DEVICE, Seal};
    use keydesk_core::domain::moment::Moment;

    use super::*;

    #[test]
    fn a_cookie_of_the_old_key_opens_while_that_is_kept() {
        let seal = |keys| Seal { keys, secure: false };
        let now = Moment::from_ms(1_795_176_000_000);
        let (old, new) = (Key::from(&[1; 64]), Key::from(&[2; 64]));
        let closed = seal(vec![old.clone()]).close(DEVICE, "", ("ana", (None, None)), now).unwrap();
        let pair = closed.to_str().unwrap().split(';').next().unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())]);
        let opened = |keys| seal(keys).open::<String>((DEVICE, ""), &headers, &(None, None), now);
        assert_eq!(opened(vec![new.clone(), old]).as_deref(), Some("ana"));
        assert_eq!(opened(vec![new]), None);
    }

    #[test]
    fn the_file_seals_and_those_beside_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cookie.key");
        std::fs::write(&path, [1; 64]).unwrap();
        let keys = CookieKeys::of(&path, Key::from(&[1; 64]));
        std::fs::write(new_path(&path), [2; 70]).unwrap();
        keys.reload();
        assert_eq!(keys.all(), [Key::from(&[1; 64]), Key::from(&[2; 64])]);
        replace(&path, false).unwrap();
        keys.reload();
        assert_eq!(keys.all(), [Key::from(&[2; 64]), Key::from(&[1; 64])]);
        std::fs::write(new_path(&path), [3; 64]).unwrap();
        replace(&path, true).unwrap();
        keys.reload();
        assert_eq!(keys.all(), [Key::from(&[3; 64])]);
        std::fs::write(&path, "short").unwrap();
        keys.reload();
        assert_eq!(keys.all(), [Key::from(&[3; 64])]);
    }
}
