//! `keydesk doctor`: what an operator checks first, each with what to do about it. It changes nothing, and calls nothing but the
//! database unless it is asked to.

mod machine;
mod online;
mod report;

use std::process::ExitCode;

use clap::Args;
use ipnet::IpNet;
use keydesk_core::domain::meter::Meter;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::backups::{self, Unopened};
use keydesk_core::ops::{OpError, models, upkeep};
use keydesk_core::store::Db;
use keydesk_core::{Clock, Desk};

use crate::clock::SystemClock;
use crate::config::ServeConfig;
use crate::gateway::origins::AllowedOrigin;
use crate::open::{desk, existing, op_error, schema_error, store_error};
use crate::settings::Settings;
use crate::{cookie_keys, provider_keys};
use report::Report;

/// The day this release was made: a clock before it is wrong.
const RELEASED_MS: i64 = 1_793_000_000_000;
const DAY_MS: i64 = 86_400_000;
/// A backup that is older is warned of.
const OLD_BACKUP_DAYS: i64 = 7;

#[derive(Args)]
pub struct DoctorArgs {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Call this installation's own addresses, the mail server and the providers too.
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    serve: ServeConfig,
}

/// 0 when all is well, 1 with warnings, 2 when a check failed.
pub async fn examine(args: &DoctorArgs, settings: &Settings) -> ExitCode {
    let (config, mut report) = (&args.serve, Report::new(args.json));
    configuration(&mut report, config, settings);
    proxies(&mut report, config);
    origins(&mut report, &config.allowed_origins);
    metrics(&mut report, config);
    mail(&mut report, config);
    let now = SystemClock.now();
    match now > Moment::from_ms(RELEASED_MS) {
        true => report.fine("clock", now.rfc3339()),
        false => report.fail("clock", format!("{} is before this release. Set the clock.", now.rfc3339())),
    }
    machine::examine(&mut report, config, settings);
    if args.online {
        online::addresses(&mut report, config).await;
        online::mail(&mut report, config).await;
    }
    match existing(&config.data) {
        Err(sentence) => report.fail("database", sentence),
        Ok(url) => match Db::open_readonly(&url).await {
            Err(error) => report.fail("database", format!("{error}. Check the address and that it runs.")),
            Ok(db) => database(&mut report, args, db).await,
        },
    }
    report.finish()
}

fn configuration(report: &mut Report, config: &ServeConfig, settings: &Settings) {
    match (config.check(), &settings.file) {
        (Err(sentence), _) => report.fail("configuration", sentence),
        (Ok(()), None) => report.fine("configuration", format!("base URL {}", config.base_url())),
        (Ok(()), Some(file)) => {
            report.fine("configuration", format!("base URL {}, file {}", config.base_url(), file.display()));
        }
    }
    if !config.secure() && !config.listen.ip().is_loopback() {
        report.fail("https", "the desk is reachable from a network without https. Put a proxy with https in front and set KEYDESK_BASE_URL.");
    }
}

/// Whose word is taken for where a client is.
fn proxies(report: &mut Report, config: &ServeConfig) {
    let everyone = |network: &&IpNet| network.prefix_len() == 0;
    if let Some(network) = config.trusted_proxies.iter().find(everyone) {
        let words = format!(
            "{network} are all addresses, so every client can claim to be at another one. Name only your proxies in KEYDESK_TRUSTED_PROXIES."
        );
        report.fail("proxies", words);
    } else if config.secure() && config.trusted_proxies.is_empty() {
        report.warn(
            "proxies",
            "https ends at a proxy, and none is trusted, so all clients seem to be at the proxy's address: lists of IP addresses and the bounds of sign-in go by it. Name the proxy in KEYDESK_TRUSTED_PROXIES.",
        );
    } else if !config.trusted_proxies.is_empty() {
        let listed: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        report.fine("proxies", format!("X-Forwarded-For is believed from {}", listed.join(", ")));
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
            report.warn("metrics", words);
        }
        _ => report.fine("metrics", format!("at http://{address}/metrics")),
    }
}

/// What may call the gateway with a key from a window of a browser's kind.
fn origins(report: &mut Report, allowed: &[AllowedOrigin]) {
    let (pages, programs): (Vec<_>, Vec<_>) = allowed.iter().partition(|origin| origin.may_be_a_page());
    if !programs.is_empty() {
        let words = format!("desktop programs at {} may call the gateway with a key", listed(&programs));
        report.fine("origins", words);
    }
    if !pages.is_empty() {
        let words = format!(
            "{} may be a web page, and everyone can read a key in one. Take it out of KEYDESK_ALLOW_ORIGINS, unless only a desktop program is there.",
            listed(&pages)
        );
        report.warn("origins", words);
    }
}

fn mail(report: &mut Report, config: &ServeConfig) {
    if config.mail().is_err() {
        // The configuration's check has said it.
        return;
    }
    match (&config.smtp_url, &config.mail_from) {
        (Some(_), Some(from)) => report.fine("mail", format!("sent from {from}")),
        _ => report.fine(
            "mail",
            "none is sent, and you pass invitation links on yourself. KEYDESK_SMTP_URL sets a mail server",
        ),
    }
}

async fn database(report: &mut Report, args: &DoctorArgs, db: Db) {
    report.fine("database", format!("{} answers", db.name()));
    if db.is_pooled() {
        report.fine(
            "pooler",
            "the database is behind one that gives a connection for a transaction, as PgBouncer with pool_mode = transaction. A direct connection is faster",
        );
    }
    match upkeep::clock_problem(&db, &SystemClock).await {
        Ok(None) => {}
        Ok(Some(sentence)) => report.fail("clock", sentence),
        Err(error) => report.fail("clock", store_error(error)),
    }
    let config = &args.serve;
    let desk = desk(db)
        .with_provider_vault(provider_keys::vault(&config.provider_key_path()))
        .with_vault(cookie_keys::vault_of(&config.cookie_key_path()));
    match desk.db.schema().await.map_err(store_error).map(schema_error) {
        Ok(None) => {
            report.fine("migrations", "all are in");
            if let Err(error) = content(report, config, &desk).await {
                report.fail("database", op_error(error));
            }
            if args.online {
                online::providers(report, &desk).await;
            }
        }
        Ok(Some(sentence)) | Err(sentence) => report.fail("migrations", sentence),
    }
    report.fine("audit", "`keydesk audit verify` checks that nothing was rewritten");
    desk.db.close().await;
}

/// What is only there in a database with this program's schema.
async fn content(report: &mut Report, config: &ServeConfig, desk: &Desk) -> Result<(), OpError> {
    keys(report, config, backups::unopened(desk).await?);
    backup_age(report, backups::last(desk).await?);
    images(report, desk).await
}

/// What is sealed with other keys than those that are here.
fn keys(report: &mut Report, config: &ServeConfig, unopened: Unopened) {
    if unopened.second_factors > 0 {
        let words = format!(
            "the two-factor authentication of {} people cannot be opened with the key in {}, so their codes are refused. Put the earlier key back.",
            unopened.second_factors,
            config.cookie_key_path().display()
        );
        report.fail("cookie key", words);
    }
    for name in unopened.providers {
        let words = format!(
            "the stored API key of {name} cannot be opened with the key in {}, so requests to it fail. Put that key's file back, or paste the API key again at the provider.",
            config.provider_key_path().display()
        );
        report.fail("provider keys", words);
    }
}

fn backup_age(report: &mut Report, last: Option<Moment>) {
    let Some(last) = last else {
        return report.fine(
            "backup",
            "none is recorded. `keydesk backup FILE` makes one, and `keydesk backup --record` records one that was made in another way",
        );
    };
    let days = (SystemClock.now().ms() - last.ms()) / DAY_MS;
    match days > OLD_BACKUP_DAYS {
        false => report.fine("backup", format!("the last one was made at {}", last.rfc3339())),
        true => report.warn("backup", format!("the last one is {days} days old. Run: keydesk backup FILE")),
    }
}

/// Models for images whose price is missing.
async fn images(report: &mut Report, desk: &Desk) -> Result<(), OpError> {
    let mut models = models::every(desk).await?;
    models.retain(|known| known.model.route.is_some() && known.model.paints());
    for model in models.into_iter().map(|known| known.model) {
        if !model.price.as_ref().is_some_and(|price| price.tariff.prices_meter(Meter::ImageOutput)) {
            let words = format!(
                "{} has no price for image output, so its images are refused, or not counted. Set the price under Models.",
                model.id
            );
            report.warn("images", words);
        }
    }
    Ok(())
}

fn listed(origins: &[&AllowedOrigin]) -> String {
    origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
