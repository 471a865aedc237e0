//! Balances, the check of spend and re-rating on the command line. The forms are those of the pages, so a mistake has the same
//! sentence here.

use clap::{Args, Subcommand};
use keydesk_core::Desk;
use keydesk_core::domain::ledger::{AddEntry, EntryKind, NewEntry, parse_amount, parse_note};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::orgs::{self, Entered, OperatorActor};
use keydesk_core::ops::{spend_check, verify_spend};
use keydesk_core::store::verify::{Difference, Mischarged, Sums, Why};

use super::rerating;
use crate::config::DataConfig;
use crate::open::{changing, op_error, org_error, reading};

#[derive(Subcommand)]
pub enum SpendCommand {
    /// Compare counters and roll-ups with the requests. Exits with 1 when something differs.
    Verify {
        /// Only the organisation with this slug.
        #[arg(long, value_name = "SLUG")]
        org: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Bring an organisation's counters and roll-ups to the sums of its requests. It is recorded in the audit.
    Repair {
        /// The organisation's slug, such as acme.
        slug: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Charge past requests of a model at another price. Shows what it comes to; changes nothing without --confirm.
    Rerate(rerating::RerateArgs),
}

#[derive(Args)]
pub struct EntryArgs {
    /// The organisation's slug, such as acme.
    slug: String,
    /// In dollars, such as 250 or 1250.50.
    amount: String,
    /// What it is for, such as the invoice's number.
    #[arg(long)]
    note: String,
    #[command(flatten)]
    data: DataConfig,
}

pub async fn run(command: SpendCommand) -> Result<(), String> {
    match command {
        SpendCommand::Verify { org, data } => {
            reading(&data, async |desk| verify_spend(desk, org.as_deref()).await).await
        }
        SpendCommand::Repair { slug, data } => {
            changing(&data, async |desk| repair_spend(desk, &slug).await).await
        }
        SpendCommand::Rerate(args) => rerating::run(args).await,
    }
}

async fn verify_spend(desk: &Desk, org: Option<&str>) -> Result<(), String> {
    let reports = match org {
        None => verify_spend::spend_of_all(desk).await.map_err(op_error)?,
        Some(slug) => {
            vec![verify_spend::spend_of(desk, slug).await.map_err(|error| org_error(error, slug))?]
        }
    };
    for report in &reports {
        let requests = match report.requests {
            1 => "1 request".to_owned(),
            count => format!("{} requests", grouped(count)),
        };
        let state = if report.adds_up() { "adds up" } else { "DIFFERS" };
        println!("{}: {requests}, {state}", report.slug);
        for Difference { of, counted, summed } in &report.differences {
            println!("  {of}: counted {}, the requests come to {}", sums(*counted), sums(*summed));
        }
        for mischarged in &report.mischarged {
            println!("  {}", mischarged_line(mischarged));
        }
        if let Some(left_out) = &report.left_out {
            println!("  {left_out}");
        }
    }
    match reports.iter().filter(|report| !report.adds_up()).count() {
        0 => Ok(()),
        1 => Err("The spend of one organisation does not add up.".into()),
        count => Err(format!("The spend of {count} organisations does not add up.")),
    }
}

async fn repair_spend(desk: &Desk, slug: &str) -> Result<(), String> {
    let done = spend_check::repair_from_command_line(desk, slug).await;
    let done = done.map_err(|error| org_error(error, slug))?;
    println!("totals put right\t{}", grouped(i64::try_from(done.totals).unwrap_or(i64::MAX)));
    println!("before\t{}", sums(done.before));
    println!("after\t{}", sums(done.after));
    match done.check.differing {
        0 => Ok(()),
        count => Err(format!("{} still differ. Run: keydesk spend verify --org {slug}", grouped(count))),
    }
}

fn mischarged_line(Mischarged { request, charged, why }: &Mischarged) -> String {
    let charged = format!("{request}: charged {}", charged.exact());
    match why {
        Why::Meters => format!("{charged}, and its meters do not come to its tokens"),
        Why::NoPrice(price) => format!("{charged} at the price {price}, which is not stored"),
        Why::Cost(cost) => format!("{charged}, its meters at its price come to {}", cost.exact()),
        Why::Priced(true) => {
            format!("{charged} and marked as priced, and its price lacks something that was used")
        }
        Why::Priced(false) => {
            format!("{charged} and marked as not priced, and its price has all that was used")
        }
        Why::Correction(cost) => format!("{charged}, its last correction says {}", cost.exact()),
    }
}

/// To the last digit: a difference may be smaller than a cent.
fn sums(sums: Sums) -> String {
    format!("{} in {} requests, {} tokens", sums.spent.exact(), grouped(sums.requests), grouped(sums.tokens))
}

pub async fn show_balance(desk: &Desk, slug: &str) -> Result<(), String> {
    let view = orgs::balance(desk, OperatorActor::CommandLine, slug, None).await;
    let balance = view.map_err(|error| org_error(error, slug))?.balance;
    let state = match balance.enforced_at {
        Some(at) => format!("enforced since {}", at.date(&Zone::utc())),
        None => "not enforced".to_owned(),
    };
    println!("balance\t{}\t{state}", balance.left());
    println!("paid in\t{}", balance.paid_in);
    println!("deducted\t{}", balance.taken_out);
    println!("spent since\t{}", balance.spent_since());
    Ok(())
}

pub async fn enter(kind: EntryKind, args: EntryArgs) -> Result<(), String> {
    let EntryArgs { slug, amount, note, data } = args;
    let amount = parse_amount(&amount).map_err(|error| error.to_string())?;
    let entry = NewEntry { kind, amount, note: parse_note(&note).map_err(|error| error.to_string())? };
    changing(&data, async |desk| {
        let view = orgs::balance(desk, OperatorActor::CommandLine, &slug, None).await;
        let seq = view.map_err(|error| org_error(error, &slug))?.balance.last_seq + 1;
        let add = AddEntry { org: slug.clone(), seq, entry };
        let entered = orgs::add_entry(desk, OperatorActor::CommandLine, &add).await;
        match entered.map_err(|error| org_error(error, &slug))? {
            Outcome::Saved(Entered { name, entry, left })
            | Outcome::Unchanged(Entered { name, entry, left }) => {
                let done = if kind == EntryKind::Debit { "deducted from" } else { "added to" };
                println!("{} is {done} the balance of {name}. It is {left} now.", entry.amount);
                Ok(())
            }
            Outcome::Conflict(_) => {
                Err("Another entry was made at the same time, so nothing was entered. Check the balance and try again.".into())
            }
        }
    })
    .await
}

pub async fn enforce(desk: &Desk, slug: String, on: bool) -> Result<(), String> {
    let done = orgs::enforce(desk, OperatorActor::CommandLine, &slug, on).await;
    let done = done.map_err(|error| org_error(error, &slug))?;
    let (name, left) = (done.name, done.balance.left());
    match done.balance.enforced_at {
        None => println!("The balance of {name} is not enforced any more. It is {left}."),
        Some(_) if done.balance.refuses() => {
            println!(
                "The balance of {name} is enforced, and it is {left}: its requests are refused until there is credit."
            );
        }
        Some(_) => println!("The balance of {name} is enforced from now on. It is {left}."),
    }
    Ok(())
}
