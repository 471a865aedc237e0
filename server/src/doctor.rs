//! `keydesk doctor`: what an operator checks first, each with what to do about it. It changes nothing.

use keydesk_core::domain::meter::Meter;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::{OpError, connection, models, upkeep};
use keydesk_core::store::Db;
use keydesk_core::{Clock, Desk};

use crate::clock::SystemClock;
use crate::config::ServeConfig;
use crate::gateway::origins::AllowedOrigin;
use crate::open::{desk, existing, op_error, schema_error, store_error};
use crate::{files, provider_keys};

/// The day this release was made: a clock before it is wrong.
const RELEASED_MS: i64 = 1_793_000_000_000;

/// Prints what each check found.
#[derive(Default)]
struct Report {
    failed: u32,
}

impl Report {
    fn fine(&mut self, what: &str, words: &str) {
        println!("ok   {what}: {words}");
    }

    /// It works, and may not be what the operator wants.
    fn warn(&mut self, what: &str, words: &str) {
        println!("warn {what}: {words}");
    }

    fn fail(&mut self, what: &str, words: &str) {
        self.failed += 1;
        println!("FAIL {what}: {words}");
    }
}

pub async fn examine(config: &ServeConfig) -> Result<(), String> {
    let mut report = Report::default();
    match config.check() {
        Ok(()) => report.fine("configuration", &format!("base URL {}", config.base_url())),
        Err(sentence) => report.fail("configuration", &sentence),
    }
    if !config.secure() && !config.listen.ip().is_loopback() {
        report.fail("https", "the desk is reachable from a network without https. Put a proxy with https in front and set KEYDESK_BASE_URL.");
    }
    origins(&mut report, &config.allowed_origins);
    metrics(&mut report, config);
    if config.mail().is_ok() {
        match (&config.smtp_url, &config.mail_from) {
            (Some(_), Some(from)) => report.fine("mail", &format!("sent from {from}")),
            _ => report.fine(
                "mail",
                "none is sent, and you pass invitation links on yourself. KEYDESK_SMTP_URL sets a mail server",
            ),
        }
    }
    let now = SystemClock.now();
    match now > Moment::from_ms(RELEASED_MS) {
        true => report.fine("clock", &now.rfc3339()),
        false => report.fail("clock", &format!("{} is before this release. Set the clock.", now.rfc3339())),
    }
    for path in config.private_files() {
        if let Some(exposed) = files::exposed(&path) {
            report.fail("files", &files::sentence(&path, exposed));
        }
    }
    match existing(&config.data) {
        Err(sentence) => report.fail("database", &sentence),
        Ok(url) => match Db::open_readonly(&url).await {
            Err(error) => report.fail("database", &format!("{error}. Check the address and that it runs.")),
            Ok(db) => database(&mut report, config, db).await,
        },
    }
    match report.failed {
        0 => Ok(()),
        1 => Err("One check failed.".into()),
        count => Err(format!("{count} checks failed.")),
    }
}

/// Who can read the metrics.
fn metrics(report: &mut Report, config: &ServeConfig) {
    let Some(address) = config.metrics_listen else { return };
    match config.metrics_token() {
        Ok(None) if !address.ip().is_loopback() => {
            let words = format!(
                "everyone who can reach {address} can read them. Set KEYDESK_METRICS_TOKEN, or listen on 127.0.0.1."
            );
            report.warn("metrics", &words);
        }
        _ => report.fine("metrics", &format!("at http://{address}/metrics")),
    }
}

/// What may call the gateway with a key from a window of a browser's kind.
fn origins(report: &mut Report, allowed: &[AllowedOrigin]) {
    let (pages, programs): (Vec<_>, Vec<_>) = allowed.iter().partition(|origin| origin.may_be_a_page());
    if !programs.is_empty() {
        let words = format!("desktop programs at {} may call the gateway with a key", listed(&programs));
        report.fine("origins", &words);
    }
    if !pages.is_empty() {
        let words = format!(
            "{} may be a web page, and everyone can read a key in one. Take it out of KEYDESK_ALLOW_ORIGINS, unless only a desktop program is there.",
            listed(&pages)
        );
        report.warn("origins", &words);
    }
}

async fn database(report: &mut Report, config: &ServeConfig, db: Db) {
    report.fine("database", &format!("{} answers", db.name()));
    match upkeep::clock_problem(&db, &SystemClock).await {
        Ok(None) => {}
        Ok(Some(sentence)) => report.fail("clock", &sentence),
        Err(error) => report.fail("clock", &store_error(error)),
    }
    let desk = desk(db);
    match desk.db.schema().await.map_err(store_error).map(schema_error) {
        Ok(None) => {
            report.fine("migrations", "all are in");
            if let Err(error) = providers(report, config, &desk).await {
                report.fail("providers", &op_error(error));
            }
        }
        Ok(Some(sentence)) | Err(sentence) => report.fail("migrations", &sentence),
    }
    report.fine("audit", "`keydesk audit verify` checks that nothing was rewritten");
    desk.db.close().await;
}

/// Stored API keys that this installation's key does not open, and models for images whose price is missing.
async fn providers(report: &mut Report, config: &ServeConfig, desk: &Desk) -> Result<(), OpError> {
    let path = config.provider_key_path();
    let desk = desk.clone().with_provider_vault(provider_keys::vault(&path));
    for name in connection::unopened(&desk).await? {
        let words = format!(
            "the stored API key of {name} cannot be opened with the key in {}, so requests to it fail. Put that key's file back, or paste the API key again at the provider.",
            path.display()
        );
        report.fail("provider keys", &words);
    }
    let mut models = models::every(&desk).await?;
    models.retain(|known| known.model.route.is_some() && known.model.paints());
    for model in models.into_iter().map(|known| known.model) {
        if !model.price.as_ref().is_some_and(|price| price.tariff.prices_meter(Meter::ImageOutput)) {
            let words = format!(
                "{} has no price for image output, so its images are refused, or not counted. Set the price under Models.",
                model.id
            );
            report.warn("images", &words);
        }
    }
    Ok(())
}

fn listed(origins: &[&AllowedOrigin]) -> String {
    origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
