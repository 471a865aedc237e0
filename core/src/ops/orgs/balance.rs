//! What an organisation has left. An operator, at the desk or on the command line, enters credits and debits and decides
//! whether requests stop at nothing; owners and admins of the organisation read it. An entry carries the number that
//! its form was drawn with, so that no form and no two operators ever enter twice.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::edit::{EditConflict, Outcome};
use super::operator::{OperatorActor, find};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::ledger::{AddEntry, Balance, Entry, EntryKind, NewEntry};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::org::{Org, OrgName};
use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Action, On, Permit};
use crate::store::{Tx, Via, ledger, people};

/// The balance as an operator sees it.
pub struct BalanceView {
    /// The organisation.
    pub org: Org,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
    /// What is left, and the sums that it is made of.
    pub balance: Balance,
    /// The ledger's entries, newest first.
    pub page: Page<Entry>,
    /// When it was read.
    pub now: Moment,
}

/// # Errors
/// `NotFound` for who is no operator.
pub async fn balance(
    desk: &Desk,
    by: OperatorActor<'_>,
    slug: &str,
    page: Option<&Cursor>,
) -> Result<BalanceView, OpError> {
    let mut read = desk.db.read().await?;
    let org = find(&mut read, slug).await?;
    by.permit(&org.id, Action::ChangeBalance)?;
    let own = match &by {
        OperatorActor::Operator(caller) => people::orgs_of(&mut read, &caller.person.id).await?,
        OperatorActor::CommandLine => Vec::new(),
    };
    let (balance, page) = both(&mut read, &org, page).await?;
    Ok(BalanceView { org, own, balance, page, now: desk.now() })
}

/// The balance as the organisation's own people see it.
pub struct OwnBalanceView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// What is left, and the sums that it is made of.
    pub balance: Balance,
    /// The ledger's entries, newest first.
    pub page: Page<Entry>,
    /// When it was read.
    pub now: Moment,
}

/// # Errors
/// `Forbidden` for who does not run the organisation.
pub async fn own_balance(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    page: Option<&Cursor>,
) -> Result<OwnBalanceView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::SeeBalance, On::Org)?;
    let (balance, page) = both(&mut read, &context.org, page).await?;
    Ok(OwnBalanceView { context, balance, page, now: desk.now() })
}

async fn both(
    via: &mut impl Via,
    org: &Org,
    page: Option<&Cursor>,
) -> Result<(Balance, Page<Entry>), OpError> {
    Ok((ledger::balance(via, &org.id).await?, ledger::list(via, &org.id, page).await?))
}

/// An entry that was made.
pub struct Entered {
    /// The organisation's.
    pub name: String,
    /// The entry; its amount is above zero whatever its kind.
    pub entry: NewEntry,
    /// The balance with it.
    pub left: Money,
}

/// Adds credit or takes it out. In a conflict another entry has the number; `merged` is `None` when it is this very entry.
///
/// # Errors
/// `Invalid` when the sums would grow too large; `NotFound` for who is no operator.
pub async fn add_entry(
    desk: &Desk,
    by: OperatorActor<'_>,
    add: &AddEntry,
) -> Result<Outcome<Entered, Option<NewEntry>>, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let org = find(&mut tx, &add.org).await?;
    let permit = by.permit(&org.id, Action::ChangeBalance)?;
    let new = &add.entry;
    let before = ledger::balance(&mut tx, &org.id).await?;
    before.check(new).map_err(|problem| FieldError::new("amount", problem))?;
    if !ledger::append(&mut tx, &permit, add.seq, new, now).await? {
        return Ok(Outcome::Conflict(Box::new(conflict(&mut tx, &org, &permit, add).await?)));
    }
    let left = ledger::balance(&mut tx, &org.id).await?.left();
    let kind = match new.kind {
        EntryKind::Debit => EventKind::BalanceDebited,
        EntryKind::Opening | EntryKind::Credit => EventKind::BalanceCredited,
    };
    let changes = [Change::added("amount", new.amount), Change::added("note", new.note.as_str())];
    let event = Event::new(kind, org.id.as_str(), &org.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Outcome::Saved(Entered { name: org.name, entry: new.clone(), left }))
}

/// Which entry has the number that this one was to get.
async fn conflict(
    tx: &mut Tx,
    org: &Org,
    permit: &Permit,
    add: &AddEntry,
) -> Result<EditConflict<Option<NewEntry>>, OpError> {
    let newest = ledger::list(tx, &org.id, None).await?.rows;
    let there = newest.iter().find(|entry| entry.seq == add.seq);
    let same = |entry: &&Entry| add.entry.is(entry) && entry.actor_id == permit.actor().id();
    const AGAIN: &str =
        "Your entry is below and not added yet. Check the balance, and add it if it is still right.";
    let (sentence, merged) = match there {
        Some(entry) if same(&entry) => {
            let (at, words) = (entry.at.time(&org.zone), entry.description());
            (format!("This entry was already added at {at}: {words}. It was not added again."), None)
        }
        Some(entry) => {
            let (who, words) = (entry.who(), entry.description());
            (format!("{who} added {words} in the meantime. {AGAIN}"), Some(add.entry.clone()))
        }
        None => (format!("The ledger changed in the meantime. {AGAIN}"), Some(add.entry.clone())),
    };
    Ok(EditConflict { sentence, errors: Vec::new(), merged })
}

/// What became of the switch: the organisation's name, and its balance.
pub struct Enforced {
    /// The organisation's name.
    pub name: String,
    /// The balance after the change.
    pub balance: Balance,
}

/// Turns on that requests are refused at a balance of nothing, or off. What was spent before it is first on is entered as
/// the opening, in the same transaction, so that the balance begins with what was paid in and nothing less.
///
/// # Errors
/// `Conflict` when it is so already.
pub async fn enforce(desk: &Desk, by: OperatorActor<'_>, org: &str, on: bool) -> Result<Enforced, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let org = find(&mut tx, org).await?;
    let permit = by.permit(&org.id, Action::ChangeBalance)?;
    let before = ledger::balance(&mut tx, &org.id).await?;
    let changed = match on {
        true => ledger::enforce(&mut tx, &permit, now).await?,
        false => ledger::stop_enforcing(&mut tx, &permit).await?,
    };
    if !changed {
        let state = if on { "already enforced" } else { "not enforced" };
        return Err(OpError::Conflict(format!("The balance of {} is {state}. Nothing was saved.", org.name)));
    }
    let balance = ledger::balance(&mut tx, &org.id).await?;
    let kind = if on { EventKind::BalanceEnforced } else { EventKind::BalanceNotEnforced };
    let mut changes = vec![Change::added("balance", balance.left())];
    match (before.opening, balance.opening) {
        (None, Some(opening)) => changes.push(Change::added("opening", opening)),
        // A person took the number that the opening was to have.
        (None, None) if on => {
            return Err(OpError::Conflict(format!(
                "An entry for {} was added at the same time. Nothing was saved. Reload and try again.",
                org.name
            )));
        }
        _ => {}
    }
    let event = Event::new(kind, org.id.as_str(), &org.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Enforced { name: org.name, balance })
}
