//! Re-rating: an operator corrects what past requests of a model were charged. What it comes to is shown first; then it is
//! written in bounded transactions, each with its event in the organisation's and the installation's audit. Stopped half
//! way, it is finished by doing it again: what is right already is left alone.

use std::collections::HashMap;

use super::super::OpError;
use super::operator::{OperatorActor, every, find};
use crate::Desk;
use crate::domain::audit::{Change, ChangeValue, Event, EventKind};
use crate::domain::ids::{OrgId, PriceId};
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::domain::numbers::counted;
use crate::domain::org::Org;
use crate::domain::policy::Action;
use crate::domain::rerating::{BudgetTurn, ChargedRequest, Correction, Rerating, Totals};
use crate::domain::window::{Period, WindowStarts};
use crate::store::{Reader, StoreError, ledger, models, prices, rerating};

/// Requests of one transaction, and of one event.
const MAX_REQUESTS: i64 = 1_000;

/// What a re-rating comes to, or came to, in one organisation.
pub struct RatedOrg {
    /// The organisation's slug.
    pub slug: String,
    /// Requests and amounts; never of no request.
    pub totals: Totals,
    /// The budgets, and the balance, that it moves over their limit or back under it. Empty when it is done.
    pub turns: Vec<BudgetTurn>,
}

impl RatedOrg {
    /// What else it changes, in words.
    pub fn remarks(&self) -> Vec<String> {
        let requests =
            |count: i64, what: &str| (count > 0).then(|| format!("{} {what}", counted(count, "request")));
        let totals = &self.totals;
        let without = requests(totals.without_meters, "with nothing but input, cached and output tokens");
        let unpriced =
            requests(totals.not_priced, "not priced afterwards: this price lacks something that was used");
        without.into_iter().chain(unpriced).chain(self.turns.iter().map(BudgetTurn::words)).collect()
    }
}

/// Reads what is to be re-rated. `at` is a price's id, or `current`.
///
/// # Errors
/// `Conflict` with a sentence when there is no such model or price, or nothing lies between the two moments.
pub async fn plan(
    desk: &Desk,
    by: &OperatorActor<'_>,
    model: &str,
    (from, to): (Moment, Moment),
    at: &str,
) -> Result<Rerating, OpError> {
    by.must_operate()?;
    let refuse = |sentence: String| Err(OpError::Conflict(sentence));
    if from >= to {
        return refuse("The period has to end after it begins.".into());
    }
    let mut read = desk.db.read().await?;
    let price = match at {
        "current" => match models::priced(&mut read, model, desk.now()).await? {
            None => return refuse(format!("There is no model {model}. `keydesk models list` shows them.")),
            Some(found) => found.price,
        },
        id => match PriceId::parse(id) {
            None => None,
            Some(id) => {
                prices::by_id(&mut read, &id).await?.filter(|(of, _)| of == model).map(|(_, price)| price)
            }
        },
    };
    match price {
        Some(price) => Ok(Rerating { model: model.to_owned(), from, to, price }),
        None if at == "current" => refuse(format!("{model} has no price. Set one first.")),
        None => refuse(format!("{at} is not a price of {model}.")),
    }
}

/// What it would come to, in each organisation concerned, by slug. Writes nothing.
///
/// # Errors
/// `NotFound` for who is no operator.
pub async fn preview(desk: &Desk, by: &OperatorActor<'_>, of: &Rerating) -> Result<Vec<RatedOrg>, OpError> {
    by.must_operate()?;
    let mut rated = Vec::new();
    for listed in every(desk).await? {
        let mut read = desk.db.read().await?;
        let org = find(&mut read, &listed.slug).await?;
        let starts = WindowStarts::at(desk.now(), &org.zone);
        let (mut totals, mut spent) = (Totals::default(), SpentNow::default());
        let mut last: Option<ChargedRequest> = None;
        loop {
            let requests = rerating::next(&mut read, &org.id, of, last.as_ref(), MAX_REQUESTS).await?;
            let Some(newest) = requests.last() else { break };
            last = Some(newest.clone());
            for correction in requests.into_iter().filter_map(|request| request.corrected(&of.price)) {
                totals.add(&correction);
                spent.add(&org.id, &correction, starts);
            }
        }
        if totals.requests > 0 {
            let turns = spent.turns(&mut read, &org, starts).await?;
            rated.push(RatedOrg { slug: org.slug, totals, turns });
        }
    }
    Ok(rated)
}

/// By how much each holder's spend changes in the windows of now.
#[derive(Default)]
struct SpentNow(HashMap<(String, Period), i64>);

impl SpentNow {
    fn add(&mut self, org: &OrgId, correction: &Correction, starts: WindowStarts) {
        let request = &correction.request;
        let more = correction.cost.nanos() - request.cost.nanos();
        let team = request.team.as_ref().map(ToString::to_string);
        for holder in [Some(request.key.to_string()), team, Some(org.to_string())].into_iter().flatten() {
            for (period, start) in [
                (Period::Total, Moment::from_ms(i64::MIN)),
                (Period::Month, starts.month),
                (Period::Week, starts.week),
                (Period::Day, starts.day),
            ] {
                if request.started_at >= start {
                    *self.0.entry((holder.clone(), period)).or_default() += more;
                }
            }
        }
    }

    async fn turns(
        &self,
        read: &mut Reader,
        org: &Org,
        starts: WindowStarts,
    ) -> Result<Vec<BudgetTurn>, StoreError> {
        let more =
            |holder: &str, period| self.0.get(&(holder.to_owned(), period)).copied().unwrap_or_default();
        let turn = |whose, period, limit, before: Money, more| {
            let after = before.saturating_add(Money::from_nanos(more));
            BudgetTurn { whose, period, limit, before, after }
        };
        let ids: Vec<&str> =
            self.0.keys().filter(|(_, period)| *period == Period::Total).map(|(id, _)| id.as_str()).collect();
        let mut turns = Vec::new();
        for (id, whose, used) in rerating::budgets(read, &org.id, &ids, starts).await? {
            let period = used.budget.period;
            turns.push(turn(whose, Some(period), used.limit(), used.spent, more(&id, period)));
        }
        let balance = ledger::balance(read, &org.id).await?;
        if balance.enforced_at.is_some() {
            let limit = balance.left().saturating_add(balance.spent);
            let more = more(org.id.as_str(), Period::Total);
            turns.push(turn(org.name.clone(), None, limit, balance.spent, more));
        }
        turns.retain(BudgetTurn::turns);
        Ok(turns)
    }
}

/// Writes the corrections, and answers what they came to in each organisation concerned, by slug. Done again, it changes
/// nothing and answers an empty list.
///
/// # Errors
/// `NotFound` for who is no operator; otherwise when the database cannot be read or written. What was written before then
/// stays, with its events.
pub async fn rerate(desk: &Desk, by: &OperatorActor<'_>, of: &Rerating) -> Result<Vec<RatedOrg>, OpError> {
    by.must_operate()?;
    let mut rated = Vec::new();
    for listed in every(desk).await? {
        let mut done = Totals::default();
        let mut last: Option<ChargedRequest> = None;
        while let Some(newest) = rerate_some(desk, by, &listed.slug, of, last.as_ref(), &mut done).await? {
            last = Some(newest);
        }
        if done.requests > 0 {
            rated.push(RatedOrg { slug: listed.slug, totals: done, turns: Vec::new() });
        }
    }
    Ok(rated)
}

/// One transaction. Answers the last request that it looked at; `None` when there is none any more.
async fn rerate_some(
    desk: &Desk,
    by: &OperatorActor<'_>,
    slug: &str,
    of: &Rerating,
    after: Option<&ChargedRequest>,
    done: &mut Totals,
) -> Result<Option<ChargedRequest>, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let org = find(&mut tx, slug).await?;
    let permit = by.permit(&org.id, Action::RerateSpend)?;
    let requests = rerating::lock_next(&mut tx, &permit, of, after, MAX_REQUESTS).await?;
    let Some(newest) = requests.last().cloned() else { return Ok(None) };
    let corrections: Vec<Correction> =
        requests.into_iter().filter_map(|request| request.corrected(&of.price)).collect();
    if corrections.is_empty() {
        return Ok(Some(newest));
    }
    rerating::correct(&mut tx, &permit, of, &corrections, &org.zone, now).await?;
    let mut totals = Totals::default();
    corrections.iter().for_each(|correction| totals.add(correction));
    tx.save(&permit, event(&org, of, &totals), now).await?;
    corrections.iter().for_each(|correction| done.add(correction));
    Ok(Some(newest))
}

fn event(org: &Org, of: &Rerating, totals: &Totals) -> Event {
    let utc = Zone::utc();
    Event::new(EventKind::SpendRerated, org.id.as_str(), &org.name).with([
        Change::added("model", of.model.as_str()),
        Change::added("started_from", of.from.exact(&utc)),
        Change::added("started_before", of.to.exact(&utc)),
        Change::added("requests", ChangeValue::Count(totals.requests)),
        Change::replaced("cost", totals.before, totals.after),
        Change::added("paid_price", of.price.id.as_str()),
    ])
}
