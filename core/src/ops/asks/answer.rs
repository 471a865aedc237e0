//! The answer to an ask: a grant that adds to a budget until it ends, leave to create a key, or no.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::ask::{answered_already, check_until};
use super::{KeyBudget, Seen, find_ask};
use crate::Desk;
use crate::domain::ask::{Ask, AskState, BudgetHolder, GrantAsk, Wanted};
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::bounds::budget_of;
use crate::domain::ids::GrantId;
use crate::domain::key::{Key, Whose};
use crate::domain::limits::Budget;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, Permit};
use crate::domain::window::WindowStarts;
use crate::store::grants::NewGrant;
use crate::store::{Tx, asks, budget_marks, grants, keys};

/// An ask with its answer, and the person to inform.
pub struct Answered {
    /// The ask as it is now.
    pub ask: Ask,
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The person who asked; `None` when they are no active member any more.
    pub person: Option<Contact>,
}

/// Grants an ask: more of the budget from now on, or leave to create the key.
///
/// # Errors
/// `NotFound` and `Forbidden` for who may not answer it; `Conflict` when it was answered meanwhile or the budget is gone;
/// `Invalid` for more than is asked for or than the team allows, and for an end that is past.
pub async fn grant(desk: &Desk, caller: &Caller, wish: &GrantAsk) -> Result<Answered, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &wish.org).await?;
    let first = find_ask(&mut tx, &context, &wish.id, now).await?;
    if let Some(key) = &first.key {
        // Of two grants for one key at once, the second is added to the first when it is compared with the team's budget.
        keys::lock(&mut tx, &context.org.id, &key.id).await?;
    }
    let seen = find_ask(&mut tx, &context, &wish.id, now).await?;
    let permit = answer_permit(&context, &seen)?;
    answer(&mut tx, &permit, &seen.ask, (AskState::Granted, &caller.person.id, &wish.note), now).await?;
    let mut changes = match &seen.ask.wanted {
        Wanted::Budget { holder, period, amount, until, .. } => {
            let budget = seen.budget(&context.org.name).ok_or_else(|| budget_gone(&seen.ask))?;
            let amount = trimmed(wish.amount, *amount, &seen.ask)?;
            let until = wish.until.map_or(*until, |day| day.end(&context.org.zone));
            check_until(until, now)?;
            within_reach(&budget, amount)?;
            within_team(&context, seen.key.as_ref(), &budget, amount)?;
            let id = GrantId::new(now, desk.id_entropy());
            let by = &caller.person.id;
            let new = NewGrant { id: &id, holder, period: *period, amount, until, by, ask: &seen.ask.id };
            grants::insert(&mut tx, &permit, &new, now).await?;
            let holder_id = match holder {
                BudgetHolder::Key(key) => key.as_str(),
                BudgetHolder::Team(team) => team.as_str(),
                BudgetHolder::Org => context.org.id.as_str(),
            };
            let starts = WindowStarts::at(now, &context.org.zone);
            budget_marks::renew(&mut tx, &context.org.id, holder.kind(), &[holder_id], starts).await?;
            vec![
                Change::added("amount", amount),
                Change::added("budget", format!("{}, {}", budget.holder_name, period.label())),
                Change::added("until", ChangeValue::Expiry(Some(until))),
            ]
        }
        Wanted::Key { team, .. } => {
            vec![Change::added("team", ChangeValue::Team(team.as_ref().map(|team| team.name.clone())))]
        }
    };
    changes.push(Change::added("person", seen.ask.person.name.as_str()));
    finish(desk, tx, context, (permit, EventKind::AskGranted, changes), &seen.ask).await
}

/// Refuses an ask; `why` is for the person who asked.
///
/// # Errors
/// `NotFound` and `Forbidden` for who may not answer it; `Conflict` when it was answered meanwhile.
pub async fn refuse(
    desk: &Desk,
    caller: &Caller,
    (slug, id): (&str, &str),
    why: &str,
) -> Result<Answered, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let seen = find_ask(&mut tx, &context, id, now).await?;
    let permit = answer_permit(&context, &seen)?;
    answer(&mut tx, &permit, &seen.ask, (AskState::Refused, &caller.person.id, why), now).await?;
    let changes = vec![Change::added("person", seen.ask.person.name.as_str()), Change::added("reason", why)];
    finish(desk, tx, context, (permit, EventKind::AskRefused, changes), &seen.ask).await
}

fn answer_permit(context: &OrgContext, seen: &Seen) -> Result<Permit, OpError> {
    let on = seen.ask.answered_on(seen.key.as_ref()).ok_or(OpError::NotFound)?;
    if !seen.may_answer {
        return Err(OpError::Forbidden);
    }
    context.permit(Action::AnswerAsk, on)
}

async fn answer(
    tx: &mut Tx,
    permit: &Permit,
    ask: &Ask,
    how: (AskState, &crate::domain::ids::PersonId, &str),
    now: Moment,
) -> Result<(), OpError> {
    if ask.state != AskState::Open || !asks::answer(tx, permit, ask, how, now).await? {
        return Err(answered_already(ask));
    }
    Ok(())
}

async fn finish(
    desk: &Desk,
    mut tx: Tx,
    context: OrgContext,
    (permit, kind, changes): (Permit, EventKind, Vec<Change>),
    ask: &Ask,
) -> Result<Answered, OpError> {
    let org = &context.org.id;
    let now_ask = asks::find(&mut tx, org, &ask.id).await?.ok_or(OpError::NotFound)?;
    let person = asks::contact(&mut tx, org, &ask.person.id).await?;
    let (subject, name) = match &ask.wanted {
        Wanted::Budget { holder: BudgetHolder::Key(key), holder_name, .. } => (key.as_str(), holder_name),
        Wanted::Budget { holder: BudgetHolder::Team(team), holder_name, .. } => (team.as_str(), holder_name),
        Wanted::Budget { holder: BudgetHolder::Org, holder_name, .. } => (org.as_str(), holder_name),
        Wanted::Key { name, .. } => (ask.id.as_str(), name),
    };
    let event = Event::new(kind, subject, name).with(changes);
    tx.save(&permit, event, desk.now()).await?;
    Ok(Answered { ask: now_ask, context, person })
}

fn budget_gone(ask: &Ask) -> OpError {
    let Wanted::Budget { holder_name, period, .. } = &ask.wanted else { return OpError::NotFound };
    OpError::Conflict(format!(
        "{holder_name} has no budget {} any more, so there is nothing to add to. Refuse the ask.",
        period.label()
    ))
}

/// As much as is asked for, or less.
fn trimmed(granted: Option<Money>, wanted: Money, ask: &Ask) -> Result<Money, OpError> {
    match granted {
        Some(granted) if granted > wanted => Err(OpError::say(
            "amount",
            format!("{} asked for {wanted}. Enter that or less.", ask.person.name),
        )),
        granted => Ok(granted.unwrap_or(wanted)),
    }
}

/// Many grants together stay where sums are exact: a budget comes to no more with them than it may be without.
fn within_reach(budget: &KeyBudget, amount: Money) -> Result<(), OpError> {
    let (limit, max) = (budget.used.limit(), Money::MAX_INPUT);
    if limit.saturating_add(amount) <= max {
        return Ok(());
    }
    let sentence =
        format!("With what is granted already, a budget comes to {max} or less. This one has {limit}.");
    Err(OpError::say("amount", sentence))
}

/// A key gets no more than its team may spend, as when its budget is edited.
fn within_team(
    context: &OrgContext,
    key: Option<&Key>,
    budget: &KeyBudget,
    amount: Money,
) -> Result<(), OpError> {
    let (BudgetHolder::Key(_), Some(key)) = (&budget.holder, key) else { return Ok(()) };
    let of_team: Vec<Budget> = key
        .shared
        .iter()
        .filter(|shared| shared.whose == Whose::Team)
        .map(|shared| shared.used.effective())
        .collect();
    let Some(max) = budget_of(&of_team, budget.used.budget.period) else { return Ok(()) };
    let room = max.saturating_sub(budget.used.limit());
    if amount <= room {
        return Ok(());
    }
    let team = key.team.as_ref().map_or(context.org.name.as_str(), |team| team.name.as_str());
    let (limit, label) = (budget.used.limit(), budget.used.budget.period.label());
    Err(OpError::say(
        "amount",
        if room <= Money::ZERO {
            format!(
                "{team} allows its keys at most {max} {label}, and this key has {limit} already. Raise the team's budget first."
            )
        } else {
            format!(
                "{team} allows its keys at most {max} {label}, and this key has {limit}. Enter {room} or less."
            )
        },
    ))
}
