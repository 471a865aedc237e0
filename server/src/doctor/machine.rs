//! What `keydesk doctor` asks the machine: files and their modes, space, open files.

use std::path::Path;

use keydesk_core::store::{DatabaseUrl, serving_lock};

use super::report::Report;
use crate::backup_file::folder_of;
use crate::config::ServeConfig;
use crate::files;
use crate::net::raise_open_files;
use crate::settings::Settings;

/// Less space than this is used up soon; the database, its log and a backup need some.
const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 64 << 20;
/// Fewer connections are used up by one organisation.
const FEW_CONNECTIONS: usize = 1_000;

pub fn examine(report: &mut Report, config: &ServeConfig, settings: &Settings) {
    private_files(report, config, settings);
    open_files(report, config);
    if let Ok(DatabaseUrl::Sqlite(database)) = config.data.database()
        && database.exists()
    {
        space(report, &database);
        copied(report, &database);
    }
}

fn private_files(report: &mut Report, config: &ServeConfig, settings: &Settings) {
    let mut files = config.private_files();
    files.extend(settings.file.clone().filter(|_| settings.file_has_secrets));
    for path in files {
        if let Some(exposed) = files::exposed(&path) {
            report.fail("files", files::sentence(&path, exposed));
        }
    }
}

fn open_files(report: &mut Report, config: &ServeConfig) {
    let (possible, wanted) = (raise_open_files(), config.max_connections as usize);
    if possible >= wanted.min(FEW_CONNECTIONS) {
        report.fine("open files", format!("enough for {} connections", possible.min(wanted)));
    } else {
        report.warn(
            "open files",
            format!(
                "the system allows enough of them for {possible} connections. Raise the limit: LimitNOFILE in the systemd unit, or ulimit -n."
            ),
        );
    }
}

fn space(report: &mut Report, database: &Path) {
    let folder = folder_of(database);
    let shown = folder.display();
    let about = match rustix::fs::statvfs(folder) {
        Ok(about) => about,
        Err(error) => return report.warn("disk", format!("the space at {shown} is not known: {error}.")),
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let database = std::fs::metadata(database).map_or(0, |about| about.len());
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let words = format!("{} MB free at {shown}", megabytes(free));
    if free < NO_SPACE {
        report.fail("disk", format!("{words}. Requests are refused when there is none: make space now."));
    } else if free < LITTLE_SPACE.max(database) {
        report.warn("disk", format!("{words}, and the database has {} MB. Make space.", megabytes(database)));
    } else {
        report.fine("disk", words);
    }
}

fn copied(report: &mut Report, database: &Path) {
    if let Some(copied) = serving_lock::copied(database) {
        let words = format!(
            "{} is a copy of {}, made while that was served or after its process was killed, so the newest requests may be missing from it. Restore a backup in its place, or remove {} to use it as it is.",
            database.display(),
            copied.from.display(),
            serving_lock::beside(database).display()
        );
        report.fail("copy", words);
    }
}
