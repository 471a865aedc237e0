//! The command line. Each command is a few steps; what fails is told in a sentence that says what to do.

mod money;
mod upstreams;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use keydesk_core::domain::ledger::EntryKind;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::person::Email;
use keydesk_core::forms::org::{NewOrgForm, OrgStatusForm};
use keydesk_core::ops::orgs::{self, By, Owner};
use keydesk_core::ops::{OpError, audit, links, second_factor};
use keydesk_core::store::DatabaseUrl;

use crate::config::{DataConfig, ServeConfig};
use crate::open::{op_error, open_migrated, open_readonly, org_error, store_error};
use crate::{demo, doctor, serve};

/// The key desk for LLM gateways.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
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
    /// Print a new one-time link for setting up an installation that nobody can sign in to yet.
    SetupLink(ServeConfig),
    /// Print a one-time link with which somebody sets a new password.
    ResetPassword(ResetArgs),
    /// Turn off the second factor of somebody who lost device and recovery codes, and end their sessions.
    ResetSecondFactor(ResetArgs),
    /// Fill an empty database with a made-up organisation to look around in.
    Demo(DemoArgs),
    /// List, connect, change and retire providers: where models are served.
    #[command(subcommand)]
    Providers(upstreams::ProvidersCommand),
    /// List, import, change and route models: what keys can be scoped to and what it costs.
    #[command(subcommand)]
    Models(upstreams::ModelsCommand),
    /// Prove that nobody rewrote the audit.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Prove that what the desk shows as spent is the sum of the requests.
    #[command(subcommand)]
    Spend(money::SpendCommand),
    /// List, create, suspend and resume organisations, and keep their balances.
    #[command(subcommand)]
    Orgs(OrgsCommand),
    /// Check configuration, database, migrations and clock.
    Doctor(ServeConfig),
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
    /// Print only who can sign in.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    config: ServeConfig,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Walk through every event: numbers without holes, unbroken hashes. Fails when something is wrong.
    Verify {
        /// Only the organisation with this short name.
        #[arg(long, value_name = "SLUG")]
        org: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
}

#[derive(Subcommand)]
enum OrgsCommand {
    /// List the organisations: address, state, live keys, people, day of creation and name, with tabs between.
    List(DataConfig),
    /// Create an organisation. Prints a one-time link for its owner, unless they sign in here already.
    Create(Box<CreateOrgArgs>),
    /// Refuse an organisation's keys and changes from now on.
    Suspend(OrgStatusArgs),
    /// Let a suspended organisation go on.
    Resume(OrgStatusArgs),
    /// Show what an organisation has left, and what it is made of.
    Balance {
        /// The organisation's address, such as acme.
        slug: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Add to an organisation's balance.
    Credit(money::EntryArgs),
    /// Take out of an organisation's balance.
    Debit(money::EntryArgs),
    /// Refuse an organisation's requests when its balance is used up, or stop doing so.
    EnforceBalance {
        /// The organisation's address, such as acme.
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
    #[arg(long, value_name = "E-MAIL")]
    owner: String,
    /// The first part of its pages' addresses; without it, made from the name.
    #[arg(long, default_value = "")]
    slug: String,
    /// Where its budgets' days begin.
    #[arg(long, default_value = "UTC")]
    zone: String,
    #[command(flatten)]
    serve: ServeConfig,
}

#[derive(Args)]
struct OrgStatusArgs {
    /// The organisation's address, such as acme.
    slug: String,
    /// Kept in the organisation's audit; a suspension needs one.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    data: DataConfig,
}

pub async fn run(cli: Cli) -> Result<(), String> {
    match cli.command {
        Command::Serve(config) => serve::serve(config).await,
        Command::Gateway(config) => serve::gateway(config).await,
        Command::Migrate(data) => {
            open_migrated(&data).await?.db.close().await;
            println!("The database is up to date.");
            Ok(())
        }
        Command::SetupLink(config) => {
            let desk = open_migrated(&config.data).await?;
            match links::new_setup(&desk).await.map_err(op_error)? {
                Some(token) => println!("{}/setup/{token}", config.base_url()),
                None => {
                    return Err(
                        "Somebody can sign in already. Use `keydesk reset-password` to help them in.".into(),
                    );
                }
            }
            Ok(())
        }
        Command::ResetPassword(args) => {
            let email = Email::parse(&args.email).map_err(|problem| problem.to_string())?;
            let desk = open_migrated(&args.serve.data).await?;
            match links::new_reset(&desk, &email).await.map_err(op_error)? {
                Some(token) => println!("{}/reset/{token}", args.serve.base_url()),
                None => return Err(format!("Nobody signs in with {}.", email.as_str())),
            }
            Ok(())
        }
        Command::ResetSecondFactor(args) => {
            let email = Email::parse(&args.email).map_err(|problem| problem.to_string())?;
            let desk = open_migrated(&args.serve.data).await?;
            match second_factor::turn_off_lost(&desk, &email).await.map_err(op_error)? {
                Some(true) => {
                    println!(
                        "{} signs in with the password alone now; every session is ended.",
                        email.as_str()
                    );
                    Ok(())
                }
                Some(false) => Err(format!("{} has no second factor.", email.as_str())),
                None => Err(format!("Nobody signs in with {}.", email.as_str())),
            }
        }
        Command::Demo(args) => demonstrate(args).await,
        Command::Providers(command) => upstreams::run_providers(command).await,
        Command::Models(command) => upstreams::run_models(command).await,
        Command::Audit(AuditCommand::Verify { org, data }) => verify_audit(org.as_deref(), &data).await,
        Command::Spend(command) => money::run(command).await,
        Command::Orgs(command) => organisations(command).await,
        Command::Doctor(config) => doctor::examine(&config).await,
    }
}

async fn verify_audit(org: Option<&str>, data: &DataConfig) -> Result<(), String> {
    let desk = open_readonly(data).await?;
    let reports = match org {
        None => audit::verify_all(&desk).await.map_err(store_error)?,
        Some(slug) => match audit::verify(&desk, slug).await.map_err(store_error)? {
            Some(report) => vec![report],
            None => return Err(format!("There is no organisation {slug}.")),
        },
    };
    desk.db.close().await;
    for report in &reports {
        println!("{}", audit_line(report));
    }
    match reports.iter().filter(|report| report.broken.is_some()).count() {
        0 => Ok(()),
        1 => Err("One organisation's audit is broken.".into()),
        count => Err(format!("The audits of {count} organisations are broken.")),
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
            format!("{}: {events}, whole, head {head}", report.name)
        }
        Some(broken) => format!("{}: BROKEN after {events} in order: {broken}.", report.name),
    }
}

async fn organisations(command: OrgsCommand) -> Result<(), String> {
    match command {
        OrgsCommand::List(data) => {
            for org in orgs::every(&open_readonly(&data).await?).await.map_err(op_error)? {
                let state = if org.suspended_at.is_some() { "suspended" } else { "active" };
                let created = org.created_at.date(&Zone::utc());
                println!("{}\t{state}\t{}\t{}\t{created}\t{}", org.slug, org.live_keys, org.people, org.name);
            }
        }
        OrgsCommand::Create(args) => {
            let CreateOrgArgs { name, owner, slug, zone, serve } = *args;
            let desk = open_migrated(&serve.data).await?;
            let form = NewOrgForm { name, slug, zone, email: owner };
            let created = orgs::create(&desk, By::CommandLine, &form).await.map_err(op_error)?;
            match created.owner {
                Owner::Joined(owner) => {
                    println!("{} is created at /{}. {owner} is its owner.", created.name, created.slug)
                }
                Owner::Invited(token) => {
                    println!("{} is created at /{}. Its owner's link:", created.name, created.slug);
                    println!("{}/invite/{}", serve.base_url(), token.as_str());
                }
            }
        }
        OrgsCommand::Suspend(OrgStatusArgs { slug, reason, data }) => {
            let (desk, form) = (open_migrated(&data).await?, OrgStatusForm { org: slug.clone(), reason });
            let name = orgs::suspend(&desk, By::CommandLine, &form).await;
            let name = name.map_err(|error| org_error(error, &slug))?;
            println!("{name} is suspended. Requests with its keys are refused from now on.");
        }
        OrgsCommand::Resume(OrgStatusArgs { slug, reason, data }) => {
            let (desk, form) = (open_migrated(&data).await?, OrgStatusForm { org: slug.clone(), reason });
            let name = orgs::resume(&desk, By::CommandLine, &form).await;
            let name = name.map_err(|error| org_error(error, &slug))?;
            println!("{name} is resumed. Its keys work again.");
        }
        OrgsCommand::Balance { slug, data } => money::show_balance(&slug, &data).await?,
        OrgsCommand::Credit(args) => money::enter(EntryKind::Credit, args).await?,
        OrgsCommand::Debit(args) => money::enter(EntryKind::Debit, args).await?,
        OrgsCommand::EnforceBalance { slug, enforce, data } => money::enforce(slug, enforce, &data).await?,
    }
    Ok(())
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
        // On Postgres nobody can tell beforehand whether it is there already.
        Err(OpError::Conflict(_)) if args.serve => {
            println!("The demonstration is there already and used again.")
        }
        Err(error) => return Err(op_error(error)),
    }
    if args.serve {
        let (owner, _) = &demo::who()[0];
        println!("Sign in as {owner} with the password: {}", demo::PASSWORD);
        desk.db.close().await;
        return serve::serve(config).await;
    }
    Ok(())
}
