//! The list of asks, and one ask with what its answer depends on.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{KeyBudget, answering_team, find_ask};
use crate::Desk;
use crate::domain::ask::{Ask, AskState, Wanted};
use crate::domain::key::Key;
use crate::domain::moment::Moment;
use crate::domain::page::{Cursor, Page};
use crate::domain::person::Contact;
use crate::domain::policy::{Action, KeyFacts, On};
use crate::store::asks;

/// What the page of asks is drawn from.
pub struct AsksView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The newest first: the caller's own, and those that they may answer.
    pub page: Page<Ask>,
    /// Whether the caller may ask for a new key.
    pub may_ask_for_key: bool,
    /// When it was read.
    pub now: Moment,
}

/// Open asks, or those that are answered or withdrawn.
///
/// # Errors
/// `Forbidden` for who does not belong to the organisation.
pub async fn list(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    open: bool,
    at: Option<&Cursor>,
) -> Result<AsksView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListAsks, On::Org)?;
    let page = asks::list(&mut read, &context.org.id, permit.scope(), open, at).await?;
    let own = KeyFacts { id: None, team: None, owner: &caller.person.id };
    let may_ask_for_key =
        context.may(Action::AskForMore, On::Key(own)) && !context.may(Action::CreateKey, On::Org);
    Ok(AsksView { context, page, may_ask_for_key, now: desk.now() })
}

/// What the page of an ask is drawn from.
pub struct AskView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The ask.
    pub ask: Ask,
    /// The key that needs more; `None` for a new key.
    pub key: Option<Key>,
    /// The budget that it asks more of, as it is now; `None` for a new key, and where the budget is gone.
    pub budget: Option<KeyBudget>,
    /// The caller may grant or refuse it now.
    pub may_answer: bool,
    /// The caller may take it back now.
    pub may_withdraw: bool,
    /// The caller may create the key that was granted.
    pub may_create: bool,
    /// Who else can answer.
    pub contacts: Vec<Contact>,
    /// When it was read.
    pub now: Moment,
}

/// One ask.
///
/// # Errors
/// `NotFound` unless the caller made it or may answer it.
pub async fn show(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<AskView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let seen = find_ask(&mut read, &context, id, now).await?;
    let budget = seen.budget(&context.org.name);
    let team = answering_team(&seen.ask, seen.key.as_ref());
    let contacts = asks::answerers(&mut read, &context.org.id, team, &caller.person.email).await?;
    let open = seen.ask.state == AskState::Open;
    let on = seen.ask.answered_on(seen.key.as_ref());
    let may_answer = open && on.is_some_and(|on| context.may(Action::AnswerAsk, on));
    let may_withdraw = open && seen.ask.person.id == caller.person.id && !context.org.suspended;
    let may_create = seen.ask.state == AskState::Granted
        && matches!(seen.ask.wanted, Wanted::Key { .. })
        && on.is_some_and(|on| context.may(Action::CreateKey, on));
    let (ask, key) = (seen.ask, seen.key);
    Ok(AskView { context, ask, key, budget, may_answer, may_withdraw, may_create, contacts, now })
}
