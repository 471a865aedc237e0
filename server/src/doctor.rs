//! `keydesk doctor`: what an operator checks first, each with what to do about it.

use keydesk_core::Clock;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::upkeep;
use keydesk_core::store::Db;

use crate::clock::SystemClock;
use crate::config::ServeConfig;
use crate::files;
use crate::open::{existing, schema_error, store_error};

/// The day this release was made: a clock before it is wrong.
const RELEASED_MS: i64 = 1_793_000_000_000;

pub async fn examine(config: &ServeConfig) -> Result<(), String> {
    let mut failed = 0;
    let mut say = |fine: bool, what: &str, words: String| {
        failed += u32::from(!fine);
        println!("{} {what}: {words}", if fine { "ok  " } else { "FAIL" });
    };
    match config.check() {
        Ok(()) => say(true, "configuration", format!("base URL {}", config.base_url())),
        Err(sentence) => say(false, "configuration", sentence),
    }
    if !config.secure() && !config.listen.ip().is_loopback() {
        say(false, "https", "the desk is reachable from a network without https. Put a proxy with https in front and set KEYDESK_BASE_URL.".into());
    }
    if config.mail().is_ok() {
        let words = match (&config.smtp_url, &config.mail_from) {
            (Some(_), Some(from)) => format!("sent from {from}"),
            _ => {
                "none is sent, and you pass invitation links on yourself. KEYDESK_SMTP_URL sets a mail server"
                    .into()
            }
        };
        say(true, "mail", words);
    }
    let now = SystemClock.now();
    let sane = now > Moment::from_ms(RELEASED_MS);
    say(
        sane,
        "clock",
        format!("{}{}", now.rfc3339(), if sane { "" } else { " is before this release. Set the clock." }),
    );
    for path in config.private_files() {
        if let Some(exposed) = files::exposed(&path) {
            say(false, "files", files::sentence(&path, exposed));
        }
    }
    match existing(&config.data) {
        Err(sentence) => say(false, "database", sentence),
        Ok(url) => match Db::open_readonly(&url).await {
            Err(error) => say(false, "database", format!("{error}. Check the address and that it runs.")),
            Ok(db) => {
                say(true, "database", format!("{} answers", db.name()));
                match upkeep::clock_problem(&db, &SystemClock).await {
                    Ok(None) => {}
                    Ok(Some(sentence)) => say(false, "clock", sentence),
                    Err(error) => say(false, "clock", store_error(error)),
                }
                let schema = db.schema().await.map_err(store_error);
                match schema.map(schema_error) {
                    Ok(None) => say(true, "migrations", "all are in".into()),
                    Ok(Some(sentence)) | Err(sentence) => say(false, "migrations", sentence),
                }
                say(true, "audit", "`keydesk audit verify` checks that nothing was rewritten".into());
                db.close().await;
            }
        },
    }
    match failed {
        0 => Ok(()),
        1 => Err("One check failed.".into()),
        count => Err(format!("{count} checks failed.")),
    }
}
