//! The file of a backup. A plain one is the SQLite database itself. A sealed one begins with a line that says so and the salt of
//! its passphrase; what follows is encrypted: a line of JSON that lists the files, then the files, the key files before the
//! database. Either is written under another name, and gets its own when it is complete.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use keydesk_core::Random;
use keydesk_core::sealed_stream::{OpeningReader, SALT, SealingWriter, StreamKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::SystemRandom;

const SQLITE: &[u8] = b"SQLite format 3\0";
const SEALED: &[u8] = b"keydesk sealed backup ";
const FORM: &[u8] = b"1\n";
/// Where SQLite's header says whether the file is used with a write-ahead log.
const FORMAT_VERSION: usize = 18;
const WITH_LOG: [u8; 2] = [2, 2];
/// Its name in a sealed backup.
pub const DATABASE: &str = "keydesk.sqlite";
const MAX_LIST: u64 = 64 * 1024;
const MAX_KEY: u64 = 64 * 1024;
/// A shorter passphrase is guessed.
const MIN_PASSPHRASE: usize = 12;

/// A file on its way to its name. Dropped before, it is removed.
pub struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// An empty file for this account alone, in the folder of `target`.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn beside(target: &Path) -> Result<Self, String> {
        let mut random = [0; 4];
        SystemRandom.fill(&mut random);
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".partial-{:08x}", u32::from_be_bytes(random)));
        let path = PathBuf::from(path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| format!("{} cannot be made: {error}.", path.display()))?;
        Ok(Self { path, file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, which no other file may have, once all of it is on the disk.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn publish(self, target: &Path) -> Result<(), String> {
        let named = || {
            self.file.sync_all()?;
            match std::fs::hard_link(&self.path, target) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
                // Some file systems have no second names.
                Err(_) if !target.exists() => std::fs::rename(&self.path, target)?,
                linked => linked?,
            }
            File::open(folder_of(target))?.sync_all()
        };
        named().map_err(|error| format!("{} cannot be written: {error}.", target.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal", ".turn"] {
            let mut path = self.path.as_os_str().to_owned();
            path.push(end);
            let _ = std::fs::remove_file(path);
        }
    }
}

pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The passphrase in a file, without the end of its line.
///
/// # Errors
/// A sentence for the terminal.
pub fn passphrase(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("The passphrase {} cannot be read: {error}.", path.display()))?;
    let text = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if text.chars().count() < MIN_PASSPHRASE {
        return Err(format!(
            "The passphrase in {} has to have at least {MIN_PASSPHRASE} characters. Make one with: openssl rand -base64 24",
            path.display()
        ));
    }
    Ok(text)
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A database as `keydesk backup` writes it.
    Database,
    /// A database in the form in which it is used: `keydesk backup` writes none, so it was copied in another way.
    DatabaseInUse,
    /// With its key files, encrypted.
    Sealed,
}

/// # Errors
/// A sentence for a file that cannot be read, or is no backup.
pub fn kind(path: &Path) -> Result<Kind, String> {
    let shown = path.display();
    let read = || -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(path)?.take(100).read_to_end(&mut head)?;
        Ok(head)
    };
    let head = read().map_err(|error| format!("{shown} cannot be read: {error}."))?;
    if head.len() == 100 && head.starts_with(SQLITE) {
        let form = &head[FORMAT_VERSION..FORMAT_VERSION + 2];
        return Ok(if form == WITH_LOG { Kind::DatabaseInUse } else { Kind::Database });
    }
    match head.strip_prefix(SEALED) {
        Some(rest) if rest.starts_with(FORM) => Ok(Kind::Sealed),
        Some(_) => {
            Err(format!("{shown} was made by a newer release. Restore it with that one, or a newer one."))
        }
        None => {
            Err(format!("{shown} is no backup of Keydesk: it is neither a database nor a sealed backup."))
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    name: String,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    files: Vec<Listed>,
}

/// A key file: its name in the backup, and what it contains.
pub type KeyFile = (String, Zeroizing<Vec<u8>>);

/// Writes a sealed backup of a database and key files.
///
/// # Errors
/// A sentence for the terminal.
pub fn seal(database: &Path, keys: &[KeyFile], passphrase: &str, into: &Draft) -> Result<(), String> {
    let mut salt = [0; SALT];
    SystemRandom.fill(&mut salt);
    let key = StreamKey::of(passphrase.as_bytes(), &salt).ok_or(NO_KEY)?;
    let write = || -> io::Result<()> {
        let mut file = File::open(database)?;
        let mut files: Vec<Listed> =
            keys.iter().map(|(name, key)| Listed { name: name.clone(), bytes: key.len() as u64 }).collect();
        files.push(Listed { name: DATABASE.into(), bytes: file.metadata()?.len() });
        let mut out = BufWriter::new(&into.file);
        out.write_all(&[SEALED, FORM, &salt].concat())?;
        let mut out = SealingWriter::new(out, key);
        serde_json::to_writer(&mut out, &List { files })?;
        out.write_all(b"\n")?;
        for (_, key) in keys {
            out.write_all(key)?;
        }
        io::copy(&mut file, &mut out)?;
        out.finish()?.flush()
    };
    write().map_err(|error| format!("{} cannot be written: {error}.", into.path.display()))
}

const NO_KEY: &str = "There is not enough memory to make a key of the passphrase: it takes 64 MB.";

/// Reads a sealed backup: its database goes to `database`, and its key files are the answer. All of it was authenticated when
/// this answers.
///
/// # Errors
/// A sentence for the terminal.
pub fn open(path: &Path, passphrase: &str, database: &mut impl Write) -> Result<Vec<KeyFile>, String> {
    let shown = path.display();
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::InvalidData => format!("{shown} cannot be opened: {error}."),
        _ => format!("{shown} cannot be read: {error}."),
    };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut head, mut salt) = (vec![0; SEALED.len() + FORM.len()], [0; SALT]);
    file.read_exact(&mut head).and_then(|()| file.read_exact(&mut salt)).map_err(failed)?;
    let key = StreamKey::of(passphrase.as_bytes(), &salt).ok_or(NO_KEY)?;
    let read = || -> io::Result<Option<Vec<KeyFile>>> {
        let mut stream = OpeningReader::new(&mut file, key)?;
        let list: List = serde_json::from_slice(&line(&mut stream)?)?;
        let mut keys = Vec::new();
        for Listed { name, bytes } in list.files {
            match name.as_str() {
                DATABASE => {
                    io::copy(&mut (&mut stream).take(bytes), database)?;
                }
                _ if bytes > MAX_KEY || name.contains('/') => return Ok(None),
                _ => {
                    let mut key = Zeroizing::new(vec![0; bytes as usize]);
                    stream.read_exact(key.as_mut())?;
                    keys.push((name, key));
                }
            }
        }
        database.flush()?;
        // The last part says that it is the last one.
        Ok((stream.read(&mut [0])? == 0).then_some(keys))
    };
    read().map_err(failed)?.ok_or_else(|| format!("{shown} contains what this release does not know."))
}

/// What follows the line stays in the stream.
fn line(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while (line.len() as u64) < MAX_LIST {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
    Err(ErrorKind::UnexpectedEof.into())
}

/// Compares what is written to it with a file.
struct Comparing {
    file: BufReader<File>,
    same: bool,
}

impl Write for Comparing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut theirs = vec![0; bytes.len()];
        self.same &= self.file.read_exact(&mut theirs).is_ok() && theirs == bytes;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a sealed backup that was just written, and compares all of it with what it is made of.
///
/// # Errors
/// A sentence for the terminal.
pub fn verify(path: &Path, passphrase: &str, database: &Path, keys: &[KeyFile]) -> Result<(), String> {
    let file =
        File::open(database).map_err(|error| format!("{} cannot be read: {error}.", database.display()))?;
    let mut comparing = Comparing { file: BufReader::new(file), same: true };
    let found = open(path, passphrase, &mut comparing)?;
    let is_over = matches!(comparing.file.read(&mut [0]), Ok(0));
    match comparing.same && is_over && found == keys {
        true => Ok(()),
        false => Err("What was written differs from the database. Check the disk, and try again.".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSPHRASE: &str = "correct horse battery";

    fn keys() -> Vec<KeyFile> {
        vec![
            ("cookie.key".into(), Zeroizing::new(vec![3; 64])),
            ("provider.key".into(), Zeroizing::new(vec![4; 64])),
        ]
    }

    /// A database of a few parts, and its sealed backup.
    fn sealed(folder: &Path) -> (PathBuf, PathBuf) {
        let (database, backup) = (folder.join("database"), folder.join("backup"));
        let text: Vec<u8> = (0..200_000_u32).map(|at| (at % 253) as u8).collect();
        std::fs::write(&database, text).unwrap();
        let draft = Draft::beside(&backup).unwrap();
        seal(&database, &keys(), PASSPHRASE, &draft).unwrap();
        draft.publish(&backup).unwrap();
        (database, backup)
    }

    #[test]
    fn a_sealed_backup_opens_to_what_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let (database, backup) = sealed(folder.path());
        assert_eq!(kind(&backup).unwrap(), Kind::Sealed);
        assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left");
        let mut opened = Vec::new();
        assert_eq!(open(&backup, PASSPHRASE, &mut opened).unwrap(), keys());
        assert_eq!(opened, std::fs::read(&database).unwrap());
        verify(&backup, PASSPHRASE, &database, &keys()).unwrap();
        let error = open(&backup, "another passphrase", &mut Vec::new()).unwrap_err();
        assert!(error.contains("passphrase"), "{error}");
    }

    #[test]
    fn a_backup_that_is_damaged_or_of_something_else_does_not_verify() {
        let folder = tempfile::tempdir().unwrap();
        let (database, backup) = sealed(folder.path());
        let whole = std::fs::read(&backup).unwrap();
        for wrong in [&whole[..whole.len() - 1], &whole[..70_000], &whole[..30]] {
            std::fs::write(&backup, wrong).unwrap();
            verify(&backup, PASSPHRASE, &database, &keys()).unwrap_err();
        }
        std::fs::write(&backup, &whole).unwrap();
        verify(&backup, PASSPHRASE, &database, &keys()[..1]).unwrap_err();
        let mut text = std::fs::read(&database).unwrap();
        text[150_000] ^= 1;
        std::fs::write(&database, &text).unwrap();
        verify(&backup, PASSPHRASE, &database, &keys()).unwrap_err();
    }

    #[test]
    fn no_file_is_overwritten_and_no_draft_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup");
        std::fs::write(&target, "mine").unwrap();
        Draft::beside(&target).unwrap().publish(&target).unwrap_err();
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
        drop(Draft::beside(&target).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_backup_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut database = [SQLITE, &[0; 84]].concat();
        for (form, kind_of) in [([1, 1], Kind::Database), ([2, 2], Kind::DatabaseInUse)] {
            database[FORMAT_VERSION..FORMAT_VERSION + 2].copy_from_slice(&form);
            std::fs::write(&path, &database).unwrap();
            assert_eq!(kind(&path).unwrap(), kind_of);
        }
        for (text, said) in [
            (&b"keydesk sealed backup 2\n"[..], "newer release"),
            (b"PGDMP", "no backup"),
            (b"", "no backup"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(kind(&path).unwrap_err().contains(said));
        }
        assert!(kind(&folder.path().join("missing")).unwrap_err().contains("cannot be read"));
    }
}
