//! What belongs to a backup beside the copy itself: whether a database is whole, what its keys do not open, when the last backup
//! was made, and that everyone is signed out after an older state came back. For the command line.

use super::orgs::OperatorActor;
use super::{OpError, audit, connection, verify_spend};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Chain};
use crate::store::{backup, invitations, links, second_factor, sessions};

/// What a check of a whole database found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// How many organisations were looked at.
    pub orgs: usize,
    /// How many audit events, the installation's among them.
    pub events: i64,
    /// How many requests.
    pub requests: i64,
    /// A sentence for each audit chain and each organisation's spend that does not verify.
    pub findings: Vec<String>,
}

/// Every audit chain, and every organisation's spend, as `audit verify` and `spend verify` check them.
///
/// # Errors
/// When the database cannot be read.
pub async fn check(desk: &Desk) -> Result<Checked, OpError> {
    let mut checked = Checked::default();
    for report in audit::verify_all(desk).await? {
        checked.events += report.events;
        if let Some(broken) = report.broken {
            checked.findings.push(format!("The audit of {} is broken: {broken}.", report.name));
        }
    }
    for report in verify_spend::spend_of_all(desk).await? {
        checked.orgs += 1;
        checked.requests += report.requests;
        if !report.adds_up() {
            checked.findings.push(format!("The spend of {} does not add up.", report.slug));
        }
    }
    Ok(checked)
}

/// What the keys of this desk do not open.
#[derive(Clone, Debug, Default)]
pub struct Unopened {
    /// How many people have a second factor whose secret the cookie key does not open.
    pub second_factors: usize,
    /// Names of providers whose stored API key the provider key does not open.
    pub providers: Vec<String>,
}

/// # Errors
/// When the database cannot be read.
pub async fn unopened(desk: &Desk) -> Result<Unopened, OpError> {
    let mut people = second_factor::every(&mut desk.db.read().await?).await?;
    people.retain(|(person, sealed)| desk.vault.open(person, sealed).is_none());
    Ok(Unopened { second_factors: people.len(), providers: connection::unopened(desk).await? })
}

/// Remembers that a backup was made now.
///
/// # Errors
/// When the database cannot be written.
pub async fn record(desk: &Desk) -> Result<(), OpError> {
    Ok(backup::record(&desk.db, desk.now()).await?)
}

/// When the last backup was made; `None` when none is known of.
///
/// # Errors
/// When the database cannot be read.
pub async fn last(desk: &Desk) -> Result<Option<Moment>, OpError> {
    Ok(backup::last(&mut desk.db.read().await?).await?)
}

/// How much `sign_everyone_out` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Sessions.
    pub sessions: u64,
    /// Links for the set-up and for new passwords, and those of invitations.
    pub links: u64,
}

/// Ends every session and every open link. Who may invite can send invitations again.
///
/// # Errors
/// When the database cannot be written.
pub async fn sign_everyone_out(desk: &Desk, by: OperatorActor<'_>) -> Result<SignedOut, OpError> {
    let (now, object) = (desk.now(), Chain::Installation.id());
    let permit = by.operator_permit(Action::SignEveryoneOut, object)?;
    let mut tx = desk.db.write().await?;
    let sessions = sessions::end_every(&mut tx, &permit, now).await?;
    let links = links::drop_every(&mut tx, &permit).await?;
    let links = links + invitations::end_every(&mut tx, &permit, now).await?;
    let count = |field, count: u64| {
        Change::added(field, ChangeValue::Count(i64::try_from(count).unwrap_or(i64::MAX)))
    };
    let event = Event::new(EventKind::EveryoneSignedOut, object, "this installation")
        .with([count("all_sessions", sessions), count("links", links)]);
    tx.save(&permit, event, now).await?;
    Ok(SignedOut { sessions, links })
}
