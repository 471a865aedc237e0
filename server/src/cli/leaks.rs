//! Leaked secrets on the command line: found in a text, informed with their keys and people, and taken out of use when that
//! is asked for. No secret is printed.

use std::io::Read;

use clap::Args;
use keydesk_app::mail::leaks::notify;
use keydesk_core::Desk;
use keydesk_core::domain::key::Status;
use keydesk_core::domain::leak::{LeakResponse, SecretState, secrets_in};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::ops::leaks::{KnownSecret, ScannedSecret, respond, scan};

use crate::config::ServeConfig;
use crate::http::leaks::notice;
use crate::open::{changing, op_error, reading};

#[derive(Args)]
pub struct LeakedArgs {
    /// Disable the keys of the secrets that work, and tell their people by mail.
    #[arg(long)]
    disable: bool,
    /// Revoke these keys for good, and tell their people by mail.
    #[arg(long, conflicts_with = "disable")]
    revoke: bool,
    /// Where the text is from, such as the address of a commit; for the audit and the mails.
    #[arg(long, default_value = "", value_name = "PLACE")]
    found_at: String,
    #[command(flatten)]
    serve: ServeConfig,
}

pub async fn run(args: LeakedArgs) -> Result<(), String> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(|error| format!("The text cannot be read: {error}."))?;
    let secrets = secrets_in(&String::from_utf8_lossy(&text));
    if secrets.is_empty() {
        eprintln!("No secret was found in the text.");
        return Ok(());
    }
    let response = match (args.disable, args.revoke) {
        (true, _) => Some(LeakResponse::Disable),
        (_, true) => Some(LeakResponse::Revoke),
        _ => None,
    };
    let tell = async |desk: &Desk| {
        let mut working = 0;
        for scanned in scan(desk, &secrets).await.map_err(op_error)? {
            let done = match (&scanned.known, response) {
                (Some(known), Some(response)) => stop(desk, &args, known, response).await?,
                _ => String::new(),
            };
            working +=
                usize::from(done.is_empty() && scanned.known.as_ref().is_some_and(|known| known.works));
            println!("{}{done}", line(&scanned));
        }
        if working > 0 {
            let secrets = if working == 1 { "secret works" } else { "secrets work" };
            eprintln!("{working} {secrets}. Run the command again with --disable or --revoke.");
        }
        Ok(())
    };
    match response {
        None => reading(&args.serve.data, tell).await,
        Some(_) => changing(&args.serve.data, tell).await,
    }
}

/// Says what was done, as the line's next column.
async fn stop(
    desk: &Desk,
    args: &LeakedArgs,
    known: &KnownSecret,
    response: LeakResponse,
) -> Result<String, String> {
    let changed =
        respond(desk, &known.place, response, &args.found_at, "command line").await.map_err(op_error)?;
    if !changed {
        return Ok("\tnothing to do".into());
    }
    let by = "Your administrator";
    let notice = notice(by, known, (response, changed), &args.found_at, &args.serve.base_url());
    let informed = match args.serve.mail()? {
        Some(mailer) => notify(&mailer, &notice, &known.people).await,
        None => vec![],
    };
    let done = if response == LeakResponse::Revoke { "revoked" } else { "disabled" };
    let people: Vec<&str> = known.people.iter().map(|person| person.name.as_str()).collect();
    Ok(match informed.len() == people.len() {
        true => format!("\t{done}, mailed to {}", people.join(", ")),
        false => format!("\t{done}, tell {}", people.join(", ")),
    })
}

/// Columns, separated by tabs: hint, whether it works, organisation, team, key, owner, last use, requests and addresses.
fn line(scanned: &ScannedSecret) -> String {
    let Some(KnownSecret { place, key, secret, works, .. }) = &scanned.known else {
        return format!("{}\tnot issued here", scanned.hint);
    };
    let zone = Zone::utc();
    let state = match secret.state {
        _ if *works => "works".to_owned(),
        SecretState::Ended(at) => format!("replaced, ended {}", at.exact(&zone)),
        // The job has not marked it as expired yet.
        _ if key.status == Status::Active => Status::Expired.as_str().to_owned(),
        _ => key.status.as_str().to_owned(),
    };
    let used = secret
        .last_used_at
        .map_or_else(|| "never used".into(), |at| format!("last used {}", at.exact(&zone)));
    let requests: i64 = secret.uses.iter().map(|one| one.requests).sum();
    let addresses: Vec<&str> = secret.uses.iter().map(|one| one.address.as_str()).collect();
    [
        scanned.hint.clone(),
        state,
        place.slug.clone(),
        key.team.as_ref().map_or("no team", |team| team.name.as_str()).to_owned(),
        key.name.clone(),
        key.owner.name.clone(),
        used,
        format!("{} requests in 7 days {}", grouped(requests), addresses.join(" ")).trim_end().to_owned(),
    ]
    .join("\t")
}
