//! `keydesk backup`: a copy of an SQLite database that is in use, verified, in one file. With a passphrase it is encrypted and
//! contains the key files too, so that a restore needs nothing else; without one it has no keys, which open what is sealed in it.

use std::path::{Path, PathBuf};

use clap::Args;
use keydesk_core::Desk;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::ops::backups::{self, Checked};
use keydesk_core::store::{DatabaseUrl, Db, SchemaState, backup};
use zeroize::Zeroizing;

use crate::backup_file::{self, Draft, KeyFile};
use crate::config::{DataConfig, ServeConfig};
use crate::open::{changing, desk, existing, op_error, schema_error, store_error};
use crate::{cookie_keys, provider_keys};

#[derive(Args)]
pub struct BackupArgs {
    /// The file to write, which must not be there yet.
    #[arg(required_unless_present = "record")]
    file: Option<PathBuf>,
    /// Encrypt the backup with the passphrase in this file, and put the key files into it. Left out, the backup is a plain
    /// database without the key files.
    #[arg(long, env = "KEYDESK_BACKUP_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Only record that a backup was made in another way, such as with pg_dump, so that `keydesk doctor` knows its age.
    #[arg(long, conflicts_with = "file")]
    record: bool,
    #[command(flatten)]
    serve: ServeConfig,
}

/// # Errors
/// A sentence for the terminal. A backup that has the same faults as its database is written all the same.
pub async fn run(args: BackupArgs) -> Result<(), String> {
    let BackupArgs { file, passphrase_file, record, serve } = args;
    let url = existing(&serve.data)?;
    let Some(file) = file.filter(|_| !record) else {
        changing(&serve.data, async |desk| backups::record(desk).await.map_err(op_error)).await?;
        println!("It is recorded that a backup was made now.");
        return Ok(());
    };
    let DatabaseUrl::Sqlite(database) = url else { return Err(on_postgres("Back it up with: pg_dump")) };
    if file.exists() {
        return Err(format!(
            "{} is there already, and no file is overwritten. Choose another name.",
            file.display()
        ));
    }
    let passphrase = passphrase_file.as_deref().map(backup_file::passphrase).transpose()?;
    let keys = read_keys(&serve)?;
    // A plain copy that is to be encrypted stays where the database is.
    let draft = Draft::beside(if passphrase.is_some() { &database } else { &file })?;
    backup::copy_sqlite(&database, draft.path())
        .await
        .map_err(|error| format!("The database cannot be copied: {error}. Check that there is space."))?;
    let (checked, is_current) = check_copy(&draft, &database).await?;
    match &passphrase {
        None => draft.publish(&file)?,
        Some(passphrase) => {
            let sealed = Draft::beside(&file)?;
            backup_file::seal(draft.path(), &keys, passphrase, &sealed)?;
            backup_file::verify(sealed.path(), passphrase, draft.path(), &keys)?;
            sealed.publish(&file)?;
        }
    }
    say(&file, &checked, &key_paths(&serve), passphrase.is_some());
    if is_current {
        let recorded = remember(&serve.data).await;
        recorded.unwrap_or_else(|error| {
            eprintln!("keydesk: The backup is whole, but it could not be recorded. {error}")
        });
    }
    match checked.findings.is_empty() {
        true => Ok(()),
        false => {
            Err(format!("{} is a whole copy, and has the faults that the database has.", file.display()))
        }
    }
}

pub fn on_postgres(command: &str) -> String {
    format!(
        "The data is in Postgres, which has tools of its own for this. {command}, as docs/operate.md says under Backup, and keep copies of the key files."
    )
}

async fn remember(data: &DataConfig) -> Result<(), String> {
    let db = Db::open(&existing(data)?).await.map_err(store_error)?;
    let desk = desk(db);
    let recorded = backups::record(&desk).await.map_err(op_error);
    desk.db.close().await;
    recorded
}

fn say(file: &Path, checked: &Checked, keys: &[PathBuf], sealed: bool) {
    let megabytes = std::fs::metadata(file).map_or(0, |about| about.len()) as f64 / 1e6;
    println!("{}: {megabytes:.1} MB, {}.", file.display(), words(checked));
    checked.findings.iter().for_each(|finding| println!("{finding}"));
    let listed: Vec<String> = keys.iter().map(|path| path.display().to_string()).collect();
    match (listed.is_empty(), sealed) {
        (true, _) => {}
        (_, true) => println!("The key files are in it, too. Without the passphrase it cannot be opened."),
        (_, false) => {
            println!(
                "The key files are not in it. Keep copies of them in another place: {}",
                listed.join(", ")
            );
        }
    }
}

/// What was looked at.
pub fn words(checked: &Checked) -> String {
    let count = |number: i64, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{} {many}", grouped(number)),
    };
    let orgs = count(checked.orgs as i64, "organisation", "organisations");
    let events = count(checked.events, "audit event", "audit events");
    format!("{orgs}, {events} and {} verified", count(checked.requests, "request", "requests"))
}

/// Where the key files are, those of a rotation under way among them, with their names in a backup.
pub fn key_files(config: &ServeConfig) -> [(&'static str, PathBuf); 5] {
    let (cookie, provider) = (config.cookie_key_path(), config.provider_key_path());
    [
        ("cookie.key", cookie.clone()),
        ("cookie.key.new", cookie_keys::new_path(&cookie)),
        ("cookie.key.old", cookie_keys::old_path(&cookie)),
        ("provider.key", provider.clone()),
        ("provider.key.new", provider_keys::new_path(&provider)),
    ]
}

fn key_paths(config: &ServeConfig) -> Vec<PathBuf> {
    key_files(config).into_iter().map(|(_, path)| path).filter(|path| path.exists()).collect()
}

fn read_keys(config: &ServeConfig) -> Result<Vec<KeyFile>, String> {
    let present = key_files(config).into_iter().filter(|(_, path)| path.exists());
    present
        .map(|(name, path)| {
            let bytes = std::fs::read(&path)
                .map_err(|error| format!("The key {} cannot be read: {error}.", path.display()))?;
            Ok((name.to_owned(), Zeroizing::new(bytes)))
        })
        .collect()
}

/// Checks a copy, and says whether it has this program's schema. One of an older program is migrated to be checked, in
/// another copy, so that a backup can be made before an upgrade with the new program.
async fn check_copy(copy: &Draft, database: &Path) -> Result<(Checked, bool), String> {
    let desk = open_copy(copy.path()).await?;
    let found = match sound(&desk).await {
        Ok(SchemaState::Older { .. }) => Ok(None),
        Ok(state) => match schema_error(state) {
            None => backups::check(&desk).await.map(Some).map_err(op_error),
            Some(sentence) => Err(sentence),
        },
        Err(sentence) => Err(sentence),
    };
    desk.db.close().await;
    if let Some(checked) = found? {
        return Ok((checked, true));
    }
    let newer = Draft::beside(database)?;
    std::fs::copy(copy.path(), newer.path())
        .map_err(|error| format!("The copy cannot be checked: {error}. Check that there is space."))?;
    Ok((migrate_and_check(newer.path()).await?, false))
}

async fn open_copy(path: &Path) -> Result<Desk, String> {
    let db = Db::open_readonly(&DatabaseUrl::Sqlite(path.to_owned())).await;
    Ok(desk(db.map_err(store_error)?))
}

/// The schema of a database whose pages and indexes are sound.
///
/// # Errors
/// A sentence for a damaged one.
pub async fn sound(desk: &Desk) -> Result<SchemaState, String> {
    let damage = backup::damage(&desk.db).await.map_err(store_error)?;
    match damage.first() {
        None => desk.db.schema().await.map_err(store_error),
        Some(first) => Err(format!(
            "The copy is damaged: {first}. Check the disk, and restore an earlier backup if the database is."
        )),
    }
}

async fn migrate_and_check(path: &Path) -> Result<Checked, String> {
    let db = Db::open(&DatabaseUrl::Sqlite(path.to_owned())).await.map_err(store_error)?;
    let desk = desk(db);
    let checked = match desk.db.migrate().await.map_err(store_error) {
        Ok(()) => backups::check(&desk).await.map_err(op_error),
        Err(sentence) => Err(sentence),
    };
    desk.db.close().await;
    checked
}
