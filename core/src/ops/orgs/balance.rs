//! What an organisation has left. An operator, at the desk or on the command line, enters credits and debits and decides
//! whether requests stop at nothing; owners and admins of the organisation read it. An entry carries the number that
//! its form was drawn with, so that no form and no two operators ever enter twice.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::operator::{By, find};
use crate::Desk;
use crate::domain::audit::{Change, Event, EventKind};
use crate::domain::field_error::FieldError;
use crate::domain::ledger::{Balance, Entry, EntryKind, NewEntry};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::org::{Org, OrgName};
use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Action, On, Permit};
use crate::forms::ledger::{EnforceForm, EnterForm, EntryForm};
use crate::store::{Tx, Via, ledger, people};

/// The balance as an operator sees it.
pub struct BalanceView {
    pub org: Org,
    /// Slug and name of each organisation that the caller belongs to.
    pub own: Vec<OrgName>,
    pub balance: Balance,
    pub page: Page<Entry>,
    pub now: Moment,
}

/// # Errors
/// `NotFound` for who is no operator.
pub async fn balance(
    desk: &Desk,
    by: By<'_>,
    slug: &str,
    page: Option<&Cursor>,
) -> Result<BalanceView, OpError> {
    let mut read = desk.db.read().await?;
    let org = find(&mut read, slug).await?;
    by.permit(&org.id, Action::ChangeBalance)?;
    let own = match &by {
        By::Operator(caller) => people::orgs_of(&mut read, &caller.person.id).await?,
        By::CommandLine => Vec::new(),
    };
    let (balance, page) = both(&mut read, &org, page).await?;
    Ok(BalanceView { org, own, balance, page, now: desk.now() })
}

/// The balance as the organisation's own people see it.
pub struct OwnBalanceView {
    pub context: OrgContext,
    pub balance: Balance,
    pub page: Page<Entry>,
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

pub enum Entered {
    /// What was entered, and what is left with it.
    Entered { name: String, entry: NewEntry, left: Money },
    /// Something has that number already. Nothing was entered.
    EditConflict(Box<EntryConflict>),
}

pub struct EntryConflict {
    pub sentence: String,
    pub errors: Vec<FieldError>,
    /// What the form holds now: nothing when the very same was entered.
    pub form: EntryForm,
}

/// Adds credit or takes it out.
///
/// # Errors
/// `Invalid` with every mistake; `NotFound` for who is no operator.
pub async fn add_entry(desk: &Desk, by: By<'_>, form: &EnterForm) -> Result<Entered, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let org = find(&mut tx, &form.org).await?;
    let permit = by.permit(&org.id, Action::ChangeBalance)?;
    let new = form.entry.parse().map_err(OpError::Invalid)?;
    let before = ledger::balance(&mut tx, &org.id).await?;
    before.check(&new).map_err(|problem| OpError::Invalid(vec![FieldError::new("amount", problem)]))?;
    if !ledger::append(&mut tx, &permit, form.seq, &new, now).await? {
        return Ok(Entered::EditConflict(Box::new(conflict(&mut tx, &org, &permit, form, &new).await?)));
    }
    let left = ledger::balance(&mut tx, &org.id).await?.left();
    let kind = match new.kind {
        EntryKind::Debit => EventKind::BalanceDebited,
        EntryKind::Opening | EntryKind::Credit => EventKind::BalanceCredited,
    };
    let changes = [Change::added("amount", new.amount), Change::added("note", new.note.as_str())];
    let event = Event::new(kind, org.id.as_str(), &org.name).with(changes);
    tx.save(&permit, event, now).await?;
    Ok(Entered::Entered { name: org.name, entry: new, left })
}

/// Which entry has the number that this form was drawn with.
async fn conflict(
    tx: &mut Tx,
    org: &Org,
    permit: &Permit,
    form: &EnterForm,
    new: &NewEntry,
) -> Result<EntryConflict, OpError> {
    let newest = ledger::list(tx, &org.id, None).await?.rows;
    let there = newest.iter().find(|entry| entry.seq == form.seq);
    let same = |entry: &&Entry| new.is(entry) && entry.actor_id == permit.actor().id();
    let (sentence, form) = match there {
        Some(entry) if same(&entry) => (
            format!(
                "This entry was already added at {}: {}. It was not added again.",
                entry.at.time(&org.zone),
                entry.told()
            ),
            EntryForm::default(),
        ),
        Some(entry) => (
            format!(
                "{} added {} in the meantime. Your entry is below and not added yet. Check the balance, and add it if it is still right.",
                entry.who(),
                entry.told()
            ),
            form.entry.clone(),
        ),
        None => (
            "The ledger changed in the meantime. Your entry is below and not added yet. Check the balance, and add it if it is still right.".into(),
            form.entry.clone(),
        ),
    };
    Ok(EntryConflict { sentence, errors: Vec::new(), form })
}

/// What became of the switch: the organisation's name, and its balance.
pub struct Enforced {
    pub name: String,
    pub balance: Balance,
}

/// Turns on that requests are refused at a balance of nothing, or off. What was spent before it is first on is entered as
/// the opening, in the same transaction, so that the balance begins with what was paid in and nothing less.
///
/// # Errors
/// `Conflict` when it is so already.
pub async fn enforce(desk: &Desk, by: By<'_>, form: &EnforceForm) -> Result<Enforced, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let org = find(&mut tx, &form.org).await?;
    let permit = by.permit(&org.id, Action::ChangeBalance)?;
    let on = match form.enforce.as_str() {
        "on" => true,
        "off" => false,
        _ => return Err(OpError::say("enforce", "Choose on or off.")),
    };
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
        // Somebody took the number that the opening was to have.
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
