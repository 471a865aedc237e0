//! `keydesk restore`: a backup becomes the database of an empty data folder, after it was verified. Until then nothing in the
//! folder has the database's name.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keydesk_core::Desk;
use keydesk_core::ops::backups::{self, Unopened};
use keydesk_core::ops::orgs::OperatorActor;
use keydesk_core::store::{DatabaseUrl, Db, SchemaState, backup, serving_lock};

use super::backup::{key_files, on_postgres, sound, words};
use crate::backup_file::{self, Draft, KeyFile, Kind, folder_of};
use crate::config::{DataConfig, ServeConfig};
use crate::open::{self, changing, desk, op_error, schema_error, store_error};
use crate::{cookie_keys, provider_keys};

#[derive(Args)]
pub struct RestoreArgs {
    /// What `keydesk backup` wrote.
    file: PathBuf,
    /// The file with the passphrase of an encrypted backup.
    #[arg(long, env = "KEYDESK_BACKUP_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// End every session and every open link of the backup: some may have been ended since it was made.
    #[arg(long)]
    sign_everyone_out: bool,
    /// Restore it although the audit or the spend does not verify, or it was copied from a database in use.
    #[arg(long)]
    despite_findings: bool,
    #[command(flatten)]
    serve: ServeConfig,
}

/// # Errors
/// A sentence for the terminal; the folder has no database then.
pub async fn run(args: RestoreArgs) -> Result<(), String> {
    let config = &args.serve;
    let DatabaseUrl::Sqlite(database) = config.data.database()? else {
        return Err(on_postgres("Restore it with: pg_restore"));
    };
    let kind = backup_file::kind(&args.file)?;
    refuse_log(&args.file)?;
    let passphrase = match (kind, &args.passphrase_file) {
        (Kind::Sealed, None) => {
            return Err(format!(
                "{} is encrypted. Name the file with its passphrase with --passphrase-file.",
                args.file.display()
            ));
        }
        (_, path) => path.as_deref().map(backup_file::passphrase).transpose()?,
    };
    open::make_folder(&DatabaseUrl::Sqlite(database.clone()))?;
    let _lock = open::serving_lock(&config.data)?;
    refuse_present(&database)?;

    let draft = Draft::beside(&database)?;
    let keys = fill(&args.file, kind, passphrase.as_ref().map(|text| text.as_str()), &draft)?;
    let db = Db::open(&DatabaseUrl::Sqlite(draft.path().to_owned())).await.map_err(store_error)?;
    let restored = prepare(&args, kind, &desk(db)).await?;
    put_keys(config, &keys)?;
    draft.publish(&database)?;
    println!("{} is restored: {restored}.", database.display());
    tell_missing_keys(config).await
}

/// Everyone has to sign in again. For a database that came back in another way, too.
///
/// # Errors
/// A sentence for the terminal.
pub async fn sign_everyone_out(data: &DataConfig) -> Result<(), String> {
    changing(data, async |desk| {
        println!("{}", signed_out(desk).await?);
        Ok(())
    })
    .await
}

async fn signed_out(desk: &Desk) -> Result<String, String> {
    let ended = backups::sign_everyone_out(desk, OperatorActor::CommandLine).await.map_err(op_error)?;
    Ok(format!("Sessions ended: {}. Open links ended: {}.", ended.sessions, ended.links))
}

/// What is in a log beside a file is in no copy of the file alone.
fn refuse_log(file: &Path) -> Result<(), String> {
    let log = beside(file, "-wal");
    match std::fs::metadata(&log) {
        Ok(about) if about.len() > 0 => Err(format!(
            "{} is a database in use, or was copied from one: a part of it is in {}. Make a backup with: keydesk backup",
            file.display(),
            log.display()
        )),
        _ => Ok(()),
    }
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn refuse_present(database: &Path) -> Result<(), String> {
    let present =
        ["", "-wal", "-journal"].map(|end| beside(database, end)).into_iter().find(|path| path.exists());
    match present {
        None => Ok(()),
        Some(path) => Err(format!(
            "{} is there, and a restore overwrites nothing. Name another folder with --data, or move the files of the database away.",
            path.display()
        )),
    }
}

/// Copies the database into the draft; the answer is the key files of an encrypted backup.
fn fill(file: &Path, kind: Kind, passphrase: Option<&str>, draft: &Draft) -> Result<Vec<KeyFile>, String> {
    let unusable = |error: std::io::Error| format!("{} cannot be copied: {error}.", file.display());
    let mut out = OpenOptions::new().write(true).open(draft.path()).map_err(unusable)?;
    if let (Kind::Sealed, Some(passphrase)) = (kind, passphrase) {
        return backup_file::open(file, passphrase, &mut out);
    }
    let mut file = File::open(file).map_err(unusable)?;
    std::io::copy(&mut file, &mut out).and_then(|_| out.flush()).map_err(unusable)?;
    Ok(Vec::new())
}

/// Verifies and migrates the copy, and closes it in any case.
async fn prepare(args: &RestoreArgs, kind: Kind, desk: &Desk) -> Result<String, String> {
    let prepared = verify(args, kind, desk).await;
    desk.db.close().await;
    prepared
}

async fn verify(args: &RestoreArgs, kind: Kind, desk: &Desk) -> Result<String, String> {
    match sound(desk).await? {
        SchemaState::Current => {}
        SchemaState::Older { .. } => desk.db.migrate().await.map_err(store_error)?,
        other => {
            let sentence = schema_error(other).unwrap_or_default();
            return Err(format!("{} cannot be restored. {sentence}", args.file.display()));
        }
    }
    let checked = backups::check(desk).await.map_err(op_error)?;
    let mut findings = checked.findings.clone();
    if was_in_use(&args.file, kind, desk).await? {
        findings.insert(
            0,
            format!(
                "{} was copied from a database in use without its log, so the newest requests may be missing.",
                args.file.display()
            ),
        );
    }
    findings.iter().for_each(|finding| eprintln!("keydesk: {finding}"));
    if !findings.is_empty() && !args.despite_findings {
        return Err(
            "Nothing is restored. Use another backup, or restore this one with --despite-findings.".into()
        );
    }
    let signed_out = match args.sign_everyone_out {
        true => format!(". {}", signed_out(desk).await?.trim_end_matches('.')),
        false => String::new(),
    };
    Ok(format!("{}{signed_out}", words(&checked)))
}

/// A copy of a database's own file that was made while a process served it. Where none did, the file is whole.
async fn was_in_use(file: &Path, kind: Kind, desk: &Desk) -> Result<bool, String> {
    if kind != Kind::DatabaseInUse {
        return Ok(false);
    }
    let served = async { backup::was_served(&mut desk.db.read().await?).await };
    Ok(serving_lock::copied(file).is_some() || served.await.map_err(store_error)?)
}

/// Before the database has its name: a server that starts makes the keys that it does not find.
fn put_keys(config: &ServeConfig, keys: &[KeyFile]) -> Result<(), String> {
    let places = key_files(config);
    for (name, key) in keys {
        let Some((_, path)) = places.iter().find(|(known, _)| known == name) else { continue };
        match std::fs::read(path) {
            Ok(present) if present == **key => continue,
            Ok(_) => {
                return Err(format!(
                    "{} is another key than the backup's, and a restore overwrites nothing. Move it away, and restore again.",
                    path.display()
                ));
            }
            Err(_) => {}
        }
        let write = || {
            std::fs::create_dir_all(folder_of(path))?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(key)?;
            file.sync_all()
        };
        write().map_err(|error| format!("The key {} cannot be written: {error}.", path.display()))?;
    }
    Ok(())
}

/// What the keys that are there do not open, before a server makes others.
async fn tell_missing_keys(config: &ServeConfig) -> Result<(), String> {
    let vault = cookie_keys::vault_of(&config.cookie_key_path());
    let provider_vault = provider_keys::vault(&config.provider_key_path());
    let found = open::reading(&config.data, async |desk| {
        let desk = desk.clone().with_provider_vault(provider_vault).with_vault(vault);
        backups::unopened(&desk).await.map_err(op_error)
    });
    let Unopened { second_factors, providers } = found.await?;
    if second_factors > 0 {
        println!(
            "The two-factor authentication of {second_factors} people cannot be opened: put the cookie key of the backup's time at {} before you start the server.",
            config.cookie_key_path().display()
        );
    }
    if !providers.is_empty() {
        println!(
            "The API keys of {} cannot be opened: put the provider key of the backup's time at {}, or paste them again.",
            providers.join(", "),
            config.provider_key_path().display()
        );
    }
    Ok(())
}
