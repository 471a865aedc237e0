//! The command line. Each command is a few steps; an error is a sentence that says what to do.

mod backup;
mod cookie_key;
mod health;
mod leaks;
mod models;
mod money;
mod provider_keys;
mod rerating;
mod restore;
mod rotate;
mod upstreams;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::ledger::EntryKind;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::org::{NewOrg, parse_org_name, parse_zone};
use keydesk_core::domain::parse_error::ParseError;
use keydesk_core::domain::person::{Email, parse_slug, slug_of};
use keydesk_core::ops::orgs::{self, OperatorActor, Owner};
use keydesk_core::ops::{OpError, audit, links, second_factor};
use keydesk_core::store::DatabaseUrl;

use crate::config::{DataConfig, ServeConfig};
use crate::open::{changing, op_error, open_migrated, org_error, reading, store_error};
use crate::settings::{self, Setting, Settings};
use crate::{demo, doctor, serve};

/// The key desk for LLM gateways.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// File with settings, named like the options. Left out, /etc/keydesk/keydesk.toml if it is there.
    #[arg(long, global = true, env = "KEYDESK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the database up to date and serve the desk and the gateway.
    Serve(ServeConfig),
    /// Serve the gateway alone, on a database that another process brought up to date.
    Gateway(ServeConfig),
    /// Bring the database up to date and stop.
    Migrate(DataConfig),
    /// Print a new one-time link to set up an installation that has no people yet.
    SetupLink(ServeConfig),
    /// Print a one-time link with which a person sets a new password.
    ResetPassword(ResetArgs),
    /// Turn off two-factor authentication for a person who lost device and recovery codes, and end their sessions.
    ResetSecondFactor(ResetArgs),
    /// Fill an empty database with a made-up organisation to look around in.
    Demo(DemoArgs),
    /// List, add, change and retire providers, which serve models.
    #[command(subcommand)]
    Providers(upstreams::ProvidersCommand),
    /// List, import, change and route models: what keys can be limited to, and prices.
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Check that no audit event was changed or removed.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check that the amounts spent are the sum of the requests, and re-rate past ones.
    #[command(subcommand)]
    Spend(money::SpendCommand),
    /// List, create, suspend and resume organisations, and manage their balances.
    #[command(subcommand)]
    Orgs(OrgsCommand),
    /// Find secrets in a text on standard input, tell whose they are, and take their keys out of use.
    Leaked(leaks::LeakedArgs),
    /// Give a program's own key a new secret through the gateway, and print only that
    Rotate(rotate::RotateArgs),
    /// Ask the process that serves on this machine whether it can work.
    Health(health::HealthArgs),
    /// Check the configuration, the machine and the database. Exits with 0 when all is well, 1 with warnings, 2 when a check fails
    Doctor(doctor::DoctorArgs),
    /// Show the settings and where each comes from.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Copy the SQLite database into a file while it is in use, and verify the copy.
    Backup(backup::BackupArgs),
    /// Verify a backup and make it the database of an empty data folder.
    Restore(restore::RestoreArgs),
    /// Replace the cookie key, without signing anyone out.
    RotateCookieKey(cookie_key::RotateCookieKeyArgs),
    /// End every session and every open link, as after an older state of the database came back.
    SignEveryoneOut(DataConfig),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print each setting, its value and where it comes from, separated by tabs, and check them. Passwords are not shown
    Check(ServeConfig),
}

#[derive(Args)]
struct ResetArgs {
    /// The email address that the person signs in with.
    email: String,
    #[command(flatten)]
    serve: ServeConfig,
}

#[derive(Args)]
struct DemoArgs {
    /// Serve it afterwards. Without --data, a demonstration lives in data/demo.
    #[arg(long)]
    serve: bool,
    /// Print only the accounts.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    config: ServeConfig,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Check every event: no number missing, no hash broken. Exits with 1 when something is wrong.
    Verify {
        /// Only the organisation with this slug, or `installation` for the installation's own audit.
        #[arg(long, value_name = "SLUG")]
        org: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
}

#[derive(Subcommand)]
enum OrgsCommand {
    /// List the organisations: slug, status, live keys, people, date created and name, separated by tabs.
    List(DataConfig),
    /// Create an organisation. Prints a one-time link for its owner, unless they sign in here already.
    Create(Box<CreateOrgArgs>),
    /// Suspend an organisation: requests with its keys and most changes are refused.
    Suspend(OrgStatusArgs),
    /// Resume a suspended organisation.
    Resume(OrgStatusArgs),
    /// Show an organisation's balance and what it is made of.
    Balance {
        /// The organisation's slug, such as acme.
        slug: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Add to an organisation's balance.
    Credit(money::EntryArgs),
    /// Deduct from an organisation's balance.
    Debit(money::EntryArgs),
    /// Turn on or off that requests are refused when an organisation's balance is used up.
    EnforceBalance {
        /// The organisation's slug, such as acme.
        slug: String,
        #[arg(value_parser = ["on", "off"])]
        enforce: String,
        #[command(flatten)]
        data: DataConfig,
    },
}

#[derive(Args)]
struct CreateOrgArgs {
    name: String,
    /// The owner's email address.
    #[arg(long, value_name = "EMAIL")]
    owner: String,
    /// The first part of its pages' addresses; left out, it is made from the name.
    #[arg(long, default_value = "")]
    slug: String,
    /// The time zone in which its days and budgets begin.
    #[arg(long, default_value = "UTC")]
    zone: String,
    #[command(flatten)]
    serve: ServeConfig,
}

#[derive(Args)]
struct OrgStatusArgs {
    /// The organisation's slug, such as acme.
    slug: String,
    /// Recorded in the organisation's audit; required for a suspension.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    data: DataConfig,
}

pub async fn run(cli: Cli, settings: &Settings) -> Result<ExitCode, String> {
    let done = match cli.command {
        Command::Doctor(args) => return Ok(doctor::examine(&args, settings).await),
        Command::Serve(config) => serve::serve(config).await,
        Command::Gateway(config) => serve::gateway(config).await,
        Command::Migrate(data) => {
            changing(&data, async |_| Ok(())).await?;
            println!("The database is up to date.");
            Ok(())
        }
        Command::SetupLink(config) => {
            changing(&config.data, async |desk| setup_link(desk, &config).await).await
        }
        Command::ResetPassword(args) => reset(&args, reset_password).await,
        Command::ResetSecondFactor(args) => reset(&args, reset_second_factor).await,
        Command::Demo(args) => demonstrate(args).await,
        Command::Providers(command) => upstreams::run_providers(command).await,
        Command::Models(command) => models::run(command).await,
        Command::Audit(AuditCommand::Verify { org, data }) => {
            reading(&data, async |desk| verify_audit(desk, org.as_deref()).await).await
        }
        Command::Spend(command) => money::run(command).await,
        Command::Orgs(command) => organisations(command).await,
        Command::Leaked(args) => leaks::run(args).await,
        Command::Rotate(args) => rotate::run(&args).await,
        Command::Health(args) => health::run(&args),
        Command::Config(ConfigCommand::Check(config)) => check_settings(&config, settings),
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => restore::run(args).await,
        Command::RotateCookieKey(args) => cookie_key::run(args).await,
        Command::SignEveryoneOut(data) => restore::sign_everyone_out(&data).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn check_settings(config: &ServeConfig, settings: &Settings) -> Result<(), String> {
    for Setting { name, value, from } in &settings.list {
        println!("{name}\t{}\t{from}", value.as_deref().unwrap_or("-"));
    }
    for name in settings::unknown_variables() {
        eprintln!("keydesk: The variable {name} is no setting.");
    }
    config.check()
}

async fn setup_link(desk: &Desk, config: &ServeConfig) -> Result<(), String> {
    match links::new_setup(desk).await.map_err(op_error)? {
        Some(token) => println!("{}/setup/{token}", config.base_url()),
        None => {
            return Err(
                "This installation is set up already. To let a person in again, run: keydesk reset-password EMAIL"
                    .into(),
            );
        }
    }
    Ok(())
}

/// Runs a command on the account with an address.
async fn reset(
    args: &ResetArgs,
    command: impl AsyncFnOnce(&Desk, &Email, &ServeConfig) -> Result<(), String>,
) -> Result<(), String> {
    let email = Email::stored(&args.email).ok_or("This is no email address.")?;
    changing(&args.serve.data, async |desk| command(desk, &email, &args.serve).await).await
}

async fn reset_password(desk: &Desk, email: &Email, config: &ServeConfig) -> Result<(), String> {
    let token = links::new_reset(desk, email).await.map_err(op_error)?.ok_or_else(|| no_account(email))?;
    println!("{}/reset/{token}", config.base_url());
    Ok(())
}

async fn reset_second_factor(desk: &Desk, email: &Email, _: &ServeConfig) -> Result<(), String> {
    let turned_off = second_factor::turn_off_lost(desk, email).await.map_err(op_error)?;
    if !turned_off.ok_or_else(|| no_account(email))? {
        return Err(format!("{} has no two-factor authentication.", email.as_str()));
    }
    println!(
        "Two-factor authentication of {} is off, and their sessions are ended. They sign in with the password alone.",
        email.as_str()
    );
    Ok(())
}

fn no_account(email: &Email) -> String {
    format!("There is no account with the email address {}.", email.as_str())
}

async fn verify_audit(desk: &Desk, org: Option<&str>) -> Result<(), String> {
    let reports = match org {
        None => audit::verify_all(desk).await.map_err(store_error)?,
        Some(slug) => {
            let report = audit::verify(desk, slug).await.map_err(store_error)?;
            vec![report.ok_or_else(|| org_error(OpError::NotFound, slug))?]
        }
    };
    for report in &reports {
        println!("{}", audit_line(report));
    }
    match reports.iter().filter(|report| report.broken.is_some()).count() {
        0 => Ok(()),
        1 => Err("One audit chain is broken.".into()),
        count => Err(format!("{count} audit chains are broken.")),
    }
}

fn audit_line(report: &audit::Report) -> String {
    let events = match report.events {
        1 => "1 event".to_owned(),
        count => format!("{} events", grouped(count)),
    };
    match &report.broken {
        None => {
            let head: String = report.head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}: {events}, intact, head {head}", report.name)
        }
        Some(broken) => format!("{}: BROKEN after {events} in order: {broken}.", report.name),
    }
}

async fn organisations(command: OrgsCommand) -> Result<(), String> {
    match command {
        OrgsCommand::List(data) => reading(&data, list_orgs).await,
        OrgsCommand::Create(args) => {
            changing(&args.serve.data, async |desk| create_org(desk, &args).await).await
        }
        OrgsCommand::Suspend(OrgStatusArgs { slug, reason, data }) => {
            let done = changing(&data, async |desk| {
                let done = orgs::suspend(desk, OperatorActor::CommandLine, &slug, &reason).await;
                done.map_err(|error| org_error(error, &slug))
            });
            println!("{} is suspended. Requests with its keys are refused from now on.", done.await?);
            Ok(())
        }
        OrgsCommand::Resume(OrgStatusArgs { slug, reason, data }) => {
            let done = changing(&data, async |desk| {
                let done = orgs::resume(desk, OperatorActor::CommandLine, &slug, &reason).await;
                done.map_err(|error| org_error(error, &slug))
            });
            println!("{} is resumed. Its keys work again.", done.await?);
            Ok(())
        }
        OrgsCommand::Balance { slug, data } => {
            reading(&data, async |desk| money::show_balance(desk, &slug).await).await
        }
        OrgsCommand::Credit(args) => money::enter(EntryKind::Credit, args).await,
        OrgsCommand::Debit(args) => money::enter(EntryKind::Debit, args).await,
        OrgsCommand::EnforceBalance { slug, enforce, data } => {
            changing(&data, async |desk| money::enforce(desk, slug, enforce == "on").await).await
        }
    }
}

async fn list_orgs(desk: &Desk) -> Result<(), String> {
    for org in orgs::every(desk).await.map_err(op_error)? {
        let status = if org.suspended_at.is_some() { "suspended" } else { "active" };
        let created = org.created_at.date(&Zone::utc());
        println!("{}\t{status}\t{}\t{}\t{created}\t{}", org.slug, org.live_keys, org.people, org.name);
    }
    Ok(())
}

async fn create_org(desk: &Desk, args: &CreateOrgArgs) -> Result<(), String> {
    let CreateOrgArgs { name, owner, slug, zone, serve } = args;
    let new = new_org(name, slug, zone, owner).map_err(|error| error.to_string())?;
    let created = orgs::create(desk, OperatorActor::CommandLine, &new).await.map_err(op_error)?;
    match created.owner {
        Owner::Joined(owner) => {
            println!("{} is created at /{}. {owner} is its owner.", created.name, created.slug)
        }
        Owner::Invited(token) => {
            println!("{} is created at /{}. Its owner's link:", created.name, created.slug);
            println!("{}/invite/{}", serve.base_url(), token.as_str());
        }
    }
    Ok(())
}

/// An empty slug is made from the name.
fn new_org(name: &str, slug: &str, zone: &str, email: &str) -> Result<NewOrg, ParseError> {
    let name = parse_org_name(name)?;
    let slug = if slug.trim().is_empty() { slug_of(&name) } else { parse_slug(slug)? };
    Ok(NewOrg { name, slug, zone: parse_zone(zone)?, email: Email::typed(email)? })
}

async fn demonstrate(args: DemoArgs) -> Result<(), String> {
    let mut config = args.config;
    if args.serve && config.data.database_url.is_none() && config.data.data == Path::new("data") {
        config.data.data = PathBuf::from("data/demo");
    }
    let fresh = match config.data.database()? {
        DatabaseUrl::Sqlite(path) => !path.exists(),
        DatabaseUrl::Postgres(_) => true,
    };
    let desk = open_migrated(&config.data).await?;
    let seeded = if args.serve && !fresh { Ok(None) } else { demo::seed(&desk).await.map(Some) };
    desk.db.close().await;
    match seeded {
        Ok(Some(report)) => {
            if !args.quiet {
                println!("{} keys and {} requests over 90 days.", report.keys, report.requests);
            }
            for (email, role) in &report.people {
                println!("{role} {email}");
            }
            println!("password {}", demo::PASSWORD);
        }
        Ok(None) => println!("The demonstration in {} is used again.", config.data.data.display()),
        // On Postgres it shows only now that it is there already.
        Err(OpError::Conflict(_)) if args.serve => {
            println!("The demonstration is there already and used again.")
        }
        Err(error) => return Err(op_error(error)),
    }
    if args.serve {
        let (owner, _) = &demo::who()[0];
        println!("Sign in as {owner} with the password: {}", demo::PASSWORD);
        return serve::serve(config).await;
    }
    Ok(())
}
