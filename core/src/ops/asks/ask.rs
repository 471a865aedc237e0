//! Making an ask: for more of a budget that stops a key, or for a new key; and taking it back.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{KeyBudget, Seen, asked_key, budgets_of, contacts_of, edited_on, find_ask};
use crate::Desk;
use crate::domain::ask::{Ask, AskForBudget, AskForKey, AskState, MAX_ASKS_PER_HOUR, MAX_GRANT_DAYS, Wanted};
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::{AskId, KeyId};
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, KeyFacts, On, Permit};
use crate::domain::team::Team;
use crate::store::asks::NewAsk;
use crate::store::{ConstraintViolation, StoreError, Tx, Via, asks, teams};

const AN_HOUR_MS: i64 = 3_600_000;

/// A budget that can be asked for, and who answers.
pub struct AskedBudget {
    /// The budget.
    pub budget: KeyBudget,
    /// Those who can answer.
    pub contacts: Vec<Contact>,
}

/// What the form for more is drawn from.
pub struct AskFormView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The key that needs more.
    pub key: Key,
    /// The budgets to choose from, the one that stops the key first; never empty.
    pub budgets: Vec<AskedBudget>,
    /// When it was read.
    pub now: Moment,
}

/// The form that asks for more of a budget of this key.
///
/// # Errors
/// `NotFound` and `Forbidden` for keys that are not the caller's to ask about; `Conflict` when they have an open ask about
/// it, when no budget applies, or when they may change every budget themselves.
pub async fn budget_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<AskFormView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let key = asked_key(&mut read, &context, id, now).await?;
    must_be_first(&mut read, &context, Some(&key.id), &key.name).await?;
    let mut budgets = Vec::new();
    for budget in askable(&context, &key)? {
        let team = key.team.as_ref().map(|team| &team.id);
        let holder = (budget.holder.kind(), team);
        let contacts = contacts_of(&mut read, &context, holder, &caller.person.email).await?;
        budgets.push(AskedBudget { budget, contacts });
    }
    Ok(AskFormView { context, key, budgets, now })
}

/// The budgets of the key that the caller may not change: those that are used up first, then the fullest.
fn askable(context: &OrgContext, key: &Key) -> Result<Vec<KeyBudget>, OpError> {
    let all = budgets_of(key, &context.org.name);
    if all.is_empty() {
        let sentence = format!("No budget applies to the key {}, so there is nothing to ask for.", key.name);
        return Err(OpError::Conflict(sentence));
    }
    let mut askable: Vec<KeyBudget> = all
        .into_iter()
        .filter(|budget| !context.may(Action::AnswerAsk, edited_on(&budget.holder, key)))
        .collect();
    if askable.is_empty() {
        let sentence = format!("You can change the budgets of the key {} yourself. Edit it.", key.name);
        return Err(OpError::Conflict(sentence));
    }
    // Sorting is stable: among budgets that are equally full, the key's own stays first.
    askable.sort_by_key(|budget| std::cmp::Reverse(budget.used.spent.percent_of(budget.used.limit())));
    Ok(askable)
}

/// What the form for a new key is drawn from.
pub struct AskKeyView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The teams to choose from: the caller's.
    pub teams: Vec<AskedKey>,
    /// Those who answer for a key without a team.
    pub contacts: Vec<Contact>,
}

/// A team that a new key can be asked for in, and who answers.
pub struct AskedKey {
    /// The team.
    pub team: Team,
    /// Those who can answer.
    pub contacts: Vec<Contact>,
}

/// The form that asks for a new key.
///
/// # Errors
/// `Conflict` when the caller may create keys, or has an open ask for one.
pub async fn key_form(desk: &Desk, caller: &Caller, slug: &str) -> Result<AskKeyView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    may_ask_for_key(&context)?;
    must_be_first(&mut read, &context, None, "").await?;
    let (org, but) = (&context.org.id, caller.person.email.as_str());
    let mut teams = Vec::new();
    for team in teams::of_person(&mut read, org, &caller.person.id).await? {
        let contacts = asks::answerers(&mut read, org, Some(&team.id), but).await?;
        teams.push(AskedKey { team, contacts });
    }
    let contacts = asks::answerers(&mut read, org, None, but).await?;
    Ok(AskKeyView { context, teams, contacts })
}

fn may_ask_for_key(context: &OrgContext) -> Result<Permit, OpError> {
    let facts = KeyFacts { id: None, team: None, owner: context.principal.person() };
    let permit = context.permit(Action::AskForMore, On::Key(facts))?;
    if context.may(Action::CreateKey, On::Org) {
        return Err(OpError::Conflict("You can create keys yourself.".into()));
    }
    Ok(permit)
}

/// One open ask of a person about a key, and one for a new one.
async fn must_be_first(
    via: &mut impl Via,
    context: &OrgContext,
    key: Option<&KeyId>,
    name: &str,
) -> Result<(), OpError> {
    let open = asks::open_about(via, &context.org.id, context.principal.person(), key).await?;
    if open.is_some() { Err(one_at_a_time(name)) } else { Ok(()) }
}

fn one_at_a_time(key: &str) -> OpError {
    let about = if key.is_empty() { "for a new key".to_owned() } else { format!("about the key {key}") };
    OpError::Conflict(format!(
        "You have an open ask {about}. Wait for the answer, or withdraw it first. Open asks are listed under Asks."
    ))
}

/// An ask that was made, and the people to inform.
pub struct Made {
    /// The ask.
    pub ask: Ask,
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// Those who can answer it.
    pub people: Vec<Contact>,
}

/// Asks for more of a budget.
///
/// # Errors
/// `Invalid` with the field that is wrong; `Conflict` as `budget_form`, and `TooMany` after `MAX_ASKS_PER_HOUR`.
pub async fn ask_for_budget(desk: &Desk, caller: &Caller, wish: &AskForBudget) -> Result<Made, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &wish.org).await?;
    let key = asked_key(&mut tx, &context, &wish.key, now).await?;
    let permit = context.permit(Action::AskForMore, On::Key(key.facts()))?;
    let is_it =
        |budget: &KeyBudget| (budget.holder.kind(), budget.used.budget.period) == (wish.holder, wish.period);
    let budget = askable(&context, &key)?.into_iter().find(is_it);
    let budget = budget.ok_or(OpError::say("budget", "Choose a budget from the list."))?;
    let zone = &context.org.zone;
    let until = wish.until.moment(wish.period, now, zone);
    let until = until.ok_or(OpError::say("until", "This budget never resets. Choose a day."))?;
    check_until(until, now)?;
    let wanted = Wanted::Budget {
        key: (key.id.clone(), key.name.clone()),
        holder: budget.holder,
        holder_name: budget.holder_name,
        period: wish.period,
        amount: wish.amount,
        until,
    };
    let team = key.team.as_ref().map(|team| &team.id);
    let people = contacts_of(&mut tx, &context, (wish.holder, team), &caller.person.email).await?;
    let changes = changes_of(&wanted, &wish.reason);
    let event = Event::new(EventKind::AskMade, key.id.as_str(), &key.name).with(changes);
    make(desk, tx, context, (permit, event), (wanted, &wish.reason), people, &key.name).await
}

/// A grant ends in the future, and not later than any calendar is planned.
pub(super) fn check_until(until: Moment, now: Moment) -> Result<(), OpError> {
    if until <= now {
        return Err(OpError::say("until", "This time has passed. Choose a later day."));
    }
    if until > now.plus_days(MAX_GRANT_DAYS) {
        let sentence = format!("Choose a day within {MAX_GRANT_DAYS} days.");
        return Err(OpError::say("until", sentence));
    }
    Ok(())
}

/// Asks for a new key.
///
/// # Errors
/// `Invalid` for a team that the caller is not in; `Conflict` as `key_form`, and `TooMany` after `MAX_ASKS_PER_HOUR`.
pub async fn ask_for_key(desk: &Desk, caller: &Caller, wish: &AskForKey) -> Result<Made, OpError> {
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &wish.org).await?;
    let permit = may_ask_for_key(&context)?;
    let team = match &wish.team {
        None => None,
        Some(id) => {
            let mine = teams::of_person(&mut tx, &context.org.id, &caller.person.id).await?;
            let team = mine.into_iter().find(|team| team.id == *id);
            Some(team.ok_or(OpError::say("team", "Choose one of your teams."))?)
        }
    };
    let org = &context.org.id;
    let people = asks::answerers(&mut tx, org, wish.team.as_ref(), &caller.person.email).await?;
    let wanted = Wanted::Key { name: wish.name.clone(), team, month: wish.month };
    // About the ask itself: there is no key yet.
    let event = Event::new(EventKind::AskMade, "", &wish.name).with(changes_of(&wanted, &wish.reason));
    make(desk, tx, context, (permit, event), (wanted, &wish.reason), people, "").await
}

async fn make(
    desk: &Desk,
    mut tx: Tx,
    context: OrgContext,
    (permit, mut event): (Permit, Event),
    (wanted, reason): (Wanted, &str),
    people: Vec<Contact>,
    key: &str,
) -> Result<Made, OpError> {
    let (now, person) = (desk.now(), context.principal.person().clone());
    let hour = now.plus_ms(-AN_HOUR_MS);
    if asks::count_since(&mut tx, &context.org.id, &person, hour).await? >= MAX_ASKS_PER_HOUR {
        return Err(OpError::TooMany { retry_after_s: AN_HOUR_MS / 1_000 });
    }
    let id = AskId::new(now, desk.id_entropy());
    let new = NewAsk { id: &id, person: &person, wanted: &wanted, reason };
    asks::insert(&mut tx, &permit, &new, now).await.map_err(|error| match error {
        StoreError::ConstraintViolation(ConstraintViolation::Ask) => one_at_a_time(key),
        error => error.into(),
    })?;
    if event.subject_id.is_empty() {
        event.subject_id = id.to_string();
    }
    let ask = asks::find(&mut tx, &context.org.id, &id).await?.ok_or(OpError::NotFound)?;
    tx.save(&permit, event, now).await?;
    Ok(Made { ask, context, people })
}

/// What the audit keeps of an ask.
pub(super) fn changes_of(wanted: &Wanted, reason: &str) -> Vec<Change> {
    let mut changes = match wanted {
        Wanted::Budget { holder_name, period, amount, until, .. } => vec![
            Change::added("amount", *amount),
            Change::added("budget", format!("{holder_name}, {}", period.label())),
            Change::added("until", ChangeValue::Expiry(Some(*until))),
        ],
        Wanted::Key { team, month, .. } => vec![
            Change::added("team", ChangeValue::Team(team.as_ref().map(|team| team.name.clone()))),
            Change::added("month", ChangeValue::Budget(*month)),
        ],
    };
    if !reason.is_empty() {
        changes.push(Change::added("reason", reason));
    }
    changes
}

/// Takes one's own open ask back.
///
/// # Errors
/// `NotFound` for an ask that is not the caller's; `Conflict` when it was answered meanwhile.
pub async fn withdraw(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<(), OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, slug).await?;
    let Seen { ask, key, .. } = find_ask(&mut tx, &context, id, now).await?;
    if ask.person.id != caller.person.id {
        return Err(OpError::Forbidden);
    }
    // It stays theirs to withdraw when the key has another owner by now.
    let own = KeyFacts { id: key.as_ref().map(|key| &key.id), team: None, owner: &caller.person.id };
    let permit = context.permit(Action::AskForMore, On::Key(own))?;
    if !asks::withdraw(&mut tx, &permit, &ask, &caller.person.id, now).await? {
        return Err(answered_already(&ask));
    }
    let (subject, name) = subject_of(&ask);
    let event = Event::new(EventKind::AskWithdrawn, subject, name);
    tx.save(&permit, event, now).await?;
    Ok(())
}

/// What an ask and its withdrawal are about: the key that needs more, or the ask for a new one.
fn subject_of(ask: &Ask) -> (&str, &str) {
    match &ask.wanted {
        Wanted::Budget { key: (id, name), .. } => (id.as_str(), name),
        Wanted::Key { name, .. } => (ask.id.as_str(), name),
    }
}

/// Someone was faster.
pub(super) fn answered_already(ask: &Ask) -> OpError {
    let by = ask.answered_by.as_deref().unwrap_or("another person");
    OpError::Conflict(match ask.state {
        AskState::Withdrawn => format!("{} withdrew this ask.", ask.person.name),
        AskState::Granted => format!("This ask was already granted by {by}."),
        AskState::Refused => format!("This ask was already refused by {by}."),
        AskState::Open => "This ask was answered in the meantime. Reload to see how.".to_owned(),
    })
}
