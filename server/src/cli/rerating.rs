//! `keydesk spend rerate`: what a re-rating comes to, and the re-rating itself.

use clap::Args;
use keydesk_core::Desk;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::counted;
use keydesk_core::domain::rerating::{Rerating, Totals, parse_from, parse_to};
use keydesk_core::ops::orgs::{self, OperatorActor, RatedOrg};

use crate::config::DataConfig;
use crate::open::{changing, op_error, reading};

#[derive(Args)]
pub struct RerateArgs {
    /// The model's id in the catalogue.
    #[arg(long, value_name = "ID")]
    model: String,
    /// Requests that started from then on: a day in UTC such as 2026-11-01, or a moment such as 2026-11-01T13:00:00Z.
    #[arg(long, value_name = "WHEN")]
    from: String,
    /// Requests that started until then: a day in UTC, which is included, or a moment, which is not.
    #[arg(long, value_name = "WHEN")]
    to: String,
    /// The id of the price that they are to cost, or `current` for the one in force now.
    #[arg(long, value_name = "PRICE")]
    at: String,
    /// Write it.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    data: DataConfig,
}

pub async fn run(args: RerateArgs) -> Result<(), String> {
    if args.confirm {
        changing(&args.data, async |desk| rerate(desk, &args).await).await
    } else {
        reading(&args.data, async |desk| preview(desk, &args).await.map(|_| ())).await
    }
}

/// Shows it, and answers it when there is something to change.
async fn preview(desk: &Desk, args: &RerateArgs) -> Result<Option<Rerating>, String> {
    let by = OperatorActor::CommandLine;
    let from = parse_from(&args.from).map_err(|error| format!("--from: {error}"))?;
    let to = parse_to(&args.to).map_err(|error| format!("--to: {error}"))?;
    let plan = orgs::plan(desk, &by, &args.model, (from, to), &args.at).await.map_err(op_error)?;
    let (utc, price) = (Zone::utc(), &plan.price);
    println!(
        "{} from {} until before {}, at the price {} of {}",
        plan.model,
        from.exact(&utc),
        to.exact(&utc),
        price.id,
        price.starts_at.exact(&utc)
    );
    let rated = orgs::preview(desk, &by, &plan).await.map_err(op_error)?;
    if rated.is_empty() {
        println!(
            "Every request of this period is charged at this price already. There is nothing to change."
        );
        return Ok(None);
    }
    show(&rated);
    if !args.confirm {
        println!("Nothing was changed. To re-rate these requests, run the same with --confirm.");
    }
    Ok(Some(plan))
}

async fn rerate(desk: &Desk, args: &RerateArgs) -> Result<(), String> {
    let Some(plan) = preview(desk, args).await? else { return Ok(()) };
    let rated = orgs::rerate(desk, &OperatorActor::CommandLine, &plan).await.map_err(op_error)?;
    let requests: i64 = rated.iter().map(|org| org.totals.requests).sum();
    println!(
        "{} re-rated, in {}.",
        counted(requests, "request"),
        counted(rated.len() as i64, "organisation")
    );
    Ok(())
}

fn show(rated: &[RatedOrg]) {
    let mut all = Totals::default();
    for org in rated {
        let RatedOrg { slug, totals, .. } = org;
        println!("{slug}: {}", amounts(totals));
        for remark in org.remarks() {
            println!("  {remark}");
        }
        all.requests += totals.requests;
        all.before = all.before.saturating_add(totals.before);
        all.after = all.after.saturating_add(totals.after);
    }
    println!("total of {}: {}", counted(rated.len() as i64, "organisation"), amounts(&all));
}

/// "1,204 requests, $12.5 becomes $9, $3.5 less"
fn amounts(totals: &Totals) -> String {
    let requests = counted(totals.requests, "request");
    format!("{requests}, {} becomes {}, {}", totals.before.exact(), totals.after.exact(), totals.difference())
}
