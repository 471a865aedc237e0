//! The files with the keys that seal providers' API keys: `provider.key` beside the cookie key, or where an option says, and
//! during a rotation the new one beside it, with `.new` at its end. The new one seals as soon as it is there; what the other
//! one sealed opens until it is gone. A file is made with a mode that no other account reads.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keydesk_core::{ProviderVault, Random};
use zeroize::Zeroizing;

use crate::clock::SystemRandom;

/// Fewer bytes are no key.
const MIN_BYTES: usize = 32;

/// The file of a key on its way to be the key.
pub fn new_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The keys of these files, read again when one is not known yet.
pub fn vault(path: &Path) -> ProviderVault {
    let files = [new_path(path), path.to_owned()];
    ProviderVault::new(Arc::new(move || files.iter().filter_map(|file| read(file).ok()).collect()))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| format!("The key for providers' API keys {shown} cannot be read: {error}."))?;
    let bytes = Zeroizing::new(bytes);
    if bytes.len() < MIN_BYTES {
        return Err(format!(
            "The key for providers' API keys {shown} holds {} bytes and needs at least {MIN_BYTES} random ones. Make it with: head -c 64 /dev/urandom",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// Whether there is a key, or may be none: a file that was named has to be there.
///
/// # Errors
/// A sentence for the terminal.
pub fn check(path: &Path, is_named: bool) -> Result<(), String> {
    if is_named || path.exists() { read(path).map(drop) } else { Ok(()) }
}

/// Makes the key where there is none yet. Of two processes that make it at once, both use the first one's.
///
/// # Errors
/// A sentence for the terminal.
pub fn make(path: &Path) -> Result<(), String> {
    let made = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut bytes = Zeroizing::new([0; 64]);
        SystemRandom.fill(bytes.as_mut());
        // Complete before it has its name: a process that reads it at this moment reads all of it.
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}", std::process::id()));
        let draft = PathBuf::from(draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let linked = file
            .write_all(bytes.as_ref())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::hard_link(&draft, path));
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    };
    made().map_err(|error| {
        format!("The key for providers' API keys {} cannot be made: {error}.", path.display())
    })
}

/// Puts the new key in the place of the old one.
///
/// # Errors
/// A sentence for the terminal.
pub fn replace(path: &Path) -> Result<(), String> {
    std::fs::rename(new_path(path), path).map_err(|error| {
        format!(
            "Everything is sealed with the key in {}, which cannot be put in the place of {}: {error}. Move it there yourself; until then both are read.",
            new_path(path).display(),
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_this_account_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data").join("provider.key");
        make(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        make(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn the_new_key_seals_as_soon_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provider.key");
        assert!(vault(&path).sealing_tag().is_none());
        make(&path).unwrap();
        let running = vault(&path);
        let before = running.sealing_tag().unwrap();
        make(&new_path(&path)).unwrap();
        running.reload();
        let after = running.sealing_tag().unwrap();
        assert_ne!(before, after);
        replace(&path).unwrap();
        running.reload();
        assert_eq!(running.sealing_tag().unwrap(), after);
        assert!(!new_path(&path).exists());
    }

    #[test]
    fn a_named_file_is_there_and_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provider.key");
        assert!(check(&path, false).is_ok());
        assert!(check(&path, true).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, [0; 31]).unwrap();
        for named in [true, false] {
            assert!(check(&path, named).unwrap_err().contains("at least 32"));
        }
        assert!(vault(&path).sealing_tag().is_none());
    }
}
