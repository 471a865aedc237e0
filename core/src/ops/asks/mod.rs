//! Asking for more of a budget or for a new key, and the answers. Who may answer is a matter of whose budget it is
//! (`Ask::answered_on`), and the same people are named to the person who asks.

mod answer;
mod ask;
mod show;

pub use answer::{Answered, grant, refuse};
pub use ask::{
    AskFormView, AskKeyView, AskedBudget, AskedKey, Made, ask_for_budget, ask_for_key, budget_form, key_form,
    withdraw,
};
pub use show::{AskView, AsksView, list, show};

use super::OpError;
use super::access::OrgContext;
use super::keys::find_seen;
use crate::domain::ask::{Ask, BudgetHolder, Wanted};
use crate::domain::ids::{AskId, TeamId};
use crate::domain::key::{Key, Whose};
use crate::domain::limit_use::HolderKind;
use crate::domain::limits::BudgetUse;
use crate::domain::moment::Moment;
use crate::domain::person::Contact;
use crate::domain::policy::{Action, On};
use crate::domain::window::WindowStarts;
use crate::store::{StoreError, Via, asks, keys, spend};

/// A budget that applies to a key, with its holder.
#[derive(Clone, Debug)]
pub struct KeyBudget {
    /// Whose it is.
    pub holder: BudgetHolder,
    /// The holder's name.
    pub holder_name: String,
    /// The budget, what was spent of it and what is granted.
    pub used: BudgetUse,
}

/// Every budget that applies to the key: its own, its team's and its organisation's.
fn budgets_of(key: &Key, org_name: &str) -> Vec<KeyBudget> {
    let own = key.budgets.iter().map(|used| KeyBudget {
        holder: BudgetHolder::Key(key.id.clone()),
        holder_name: key.name.clone(),
        used: used.clone(),
    });
    let shared = key.shared.iter().filter_map(|shared| {
        let (holder, holder_name) = match (shared.whose, &key.team) {
            (Whose::Team, Some(team)) => (BudgetHolder::Team(team.id.clone()), team.name.clone()),
            (Whose::Team, None) => return None,
            (Whose::Org, _) => (BudgetHolder::Org, org_name.to_owned()),
        };
        Some(KeyBudget { holder, holder_name, used: shared.used.clone() })
    });
    own.chain(shared).collect()
}

/// Where the budget of this holder is edited, for the policy.
fn edited_on<'a>(holder: &'a BudgetHolder, key: &'a Key) -> On<'a> {
    match holder {
        BudgetHolder::Key(_) => On::Key(key.facts()),
        BudgetHolder::Team(team) => On::Team(team),
        BudgetHolder::Org => On::Org,
    }
}

/// The team whose admins may answer; `None` where only owners and admins may.
fn answering_team<'a>(ask: &'a Ask, key: Option<&'a Key>) -> Option<&'a TeamId> {
    match &ask.wanted {
        Wanted::Budget { holder: BudgetHolder::Key(_), .. } => {
            key.and_then(|key| key.team.as_ref()).map(|team| &team.id)
        }
        Wanted::Budget { .. } => None,
        Wanted::Key { team, .. } => team.as_ref().map(|team| &team.id),
    }
}

/// Whom the caller can ask about a budget of this kind of holder.
async fn contacts_of(
    via: &mut impl Via,
    context: &OrgContext,
    (kind, team): (HolderKind, Option<&TeamId>),
    but: &str,
) -> Result<Vec<Contact>, StoreError> {
    let team = team.filter(|_| kind == HolderKind::Key);
    asks::answerers(via, &context.org.id, team, but).await
}

/// The ask with its key, as it is now, and whether the caller may answer it.
struct Seen {
    ask: Ask,
    /// The key that needs more, with its budgets; `None` for a new key.
    key: Option<Key>,
    may_answer: bool,
}

impl Seen {
    /// The budget that it asks more of, as it is now; `None` for a new key, and where that budget is gone.
    fn budget(&self, org_name: &str) -> Option<KeyBudget> {
        let (Wanted::Budget { holder, period, .. }, Some(key)) = (&self.ask.wanted, &self.key) else {
            return None;
        };
        budgets_of(key, org_name)
            .into_iter()
            .find(|budget| budget.holder == *holder && budget.used.budget.period == *period)
    }
}

/// The ask with this id, if the caller made it or may answer it.
async fn find_ask(via: &mut impl Via, context: &OrgContext, id: &str, now: Moment) -> Result<Seen, OpError> {
    let id = AskId::parse(id).ok_or(OpError::NotFound)?;
    context.permit(Action::ListAsks, On::Org)?;
    let ask = asks::find(via, &context.org.id, &id).await?.ok_or(OpError::NotFound)?;
    let key = match &ask.wanted {
        Wanted::Budget { key: (key, _), .. } => keys::find(via, &context.org.id, key).await?,
        Wanted::Key { .. } => None,
    };
    let mut key: Vec<Key> = key.into_iter().collect();
    spend::fill(via, &context.org.id, &mut key, WindowStarts::at(now, &context.org.zone)).await?;
    let key = key.pop();
    let may_answer = ask
        .answered_on(key.as_ref())
        .is_some_and(|on| crate::domain::policy::allows(&context.principal, Action::AnswerAsk, on));
    if !may_answer && ask.person.id != *context.principal.person() {
        return Err(OpError::NotFound);
    }
    Ok(Seen { ask, key, may_answer })
}

/// The key that the caller asks about: in use, and theirs to see.
async fn asked_key(via: &mut impl Via, context: &OrgContext, id: &str, now: Moment) -> Result<Key, OpError> {
    let key = find_seen(via, context, id, now).await?;
    context.permit(Action::AskForMore, On::Key(key.facts()))?;
    if !key.is_live(now) {
        return Err(OpError::Conflict(format!("The key {} is no longer in use.", key.name)));
    }
    Ok(key)
}
