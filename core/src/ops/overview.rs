//! The first page of an organisation: what was spent, what needs a look, and the first steps while there is nothing to show.
//! Reads sums only.

use super::OpError;
use super::access::{Caller, OrgContext, open_org};
use super::support::{SupportAccess, record_support_access};
use crate::Desk;
use crate::domain::key_filter::{KeyFilter, StateFilter};
use crate::domain::limits::BudgetUse;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::overview::{self, By, Grown, MonthSoFar};
use crate::domain::policy::{Action, On, Scope};
use crate::domain::window::{Period, WindowStarts};
pub use crate::store::key_list::Counts;
pub use crate::store::overview::Begun;
use crate::store::{key_list, ledger, models, overview as store};

/// How many keys are told of that grew.
const MAX_GROWN: usize = 3;

/// One part of the chart's bars.
pub struct ChartPart {
    /// The id of a team or key, or a model's; empty is no team.
    pub id: String,
    /// Its name; empty for no team.
    pub name: String,
    /// What it spent on each day of the chart.
    pub days: Vec<Money>,
}

/// What the overview is drawn from.
pub struct OverviewView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// Only keys and spend of the caller's own and of teams that they administer.
    pub narrowed: bool,
    /// This month beside the last one.
    pub month: MonthSoFar,
    /// The organisation's budget for a month, for who may see all its keys.
    pub budget: Option<BudgetUse>,
    /// What is left of the organisation's balance where that is enforced, for the same.
    pub balance: Option<Money>,
    /// How many keys need a look.
    pub counts: Counts,
    /// The days of the chart, oldest first.
    pub days: Vec<Day>,
    /// What was spent on each of them.
    pub totals: Vec<Money>,
    /// The parts that spent most, the largest first.
    pub parts: Vec<ChartPart>,
    /// Keys that grew fastest, the fastest first, against the same day of the weeks before.
    pub grown: Vec<Grown>,
    /// Yesterday.
    pub yesterday: Day,
    /// The first steps, until there was a request.
    pub begun: Option<Begun>,
    /// Whether a provider that has answered serves a model.
    pub served: bool,
    /// When it was read.
    pub now: Moment,
}

/// The overview of an organisation, narrowed to what the caller may see; its chart's bars made of `by`.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn of_org(desk: &Desk, caller: &Caller, slug: &str, by: By) -> Result<OverviewView, OpError> {
    let now = desk.now();
    // The days and their parts are read one after the other.
    let mut read = desk.db.read_one_moment().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let permit = context.permit(Action::ListKeys, On::Org)?;
    let org = &context.org;
    let starts = WindowStarts::at(now, &org.zone);
    let today = Day::of(now, &org.zone);
    let left = ledger::left(&mut read, &org.id, starts).await?;
    let at = key_list::At {
        now,
        starts,
        rotate_days: org.rules.rotate_days,
        org_stopped: left.is_stopped(),
        org_near: left.is_near(),
    };
    let counts = key_list::counts(&mut read, &permit, &KeyFilter::in_state(StateFilter::Live), at).await?;
    let used = store::days(&mut read, &permit, overview::first_day(today)).await?;
    let days = overview::chart_days(today);
    let spent = |day: &Day| used.iter().find(|one| one.day == *day).map_or(Money::ZERO, |one| one.spent);
    let totals = days.iter().map(spent).collect();
    let (mut parts, mut grown, mut begun) = (Vec::new(), Vec::new(), None);
    let yesterday = today.back(1);
    let served = models::any_served(&mut read).await?;
    if used.is_empty() {
        begun = Some(store::begun(&mut read, &org.id).await?);
    } else {
        let first = days.first().copied().unwrap_or(today);
        let last_month = overview::first_of_month(overview::first_of_month(today).back(1));
        let months = [starts.month, last_month.start(&org.zone)];
        let part = |part: store::Part| ChartPart {
            days: days.iter().map(|day| part.days.get(day).copied().unwrap_or_default()).collect(),
            id: part.id,
            name: part.name,
        };
        parts = store::parts(&mut read, &permit, by, first, months)
            .await?
            .into_iter()
            .take(5)
            .map(part)
            .collect();
        let windows = overview::yesterday_starts(today, &org.zone);
        grown = Grown::fastest(store::grown(&mut read, &permit, windows).await?, MAX_GROWN);
    }
    drop(read);
    let narrowed = !matches!(permit.scope(), Scope::Org);
    let of_month = |used: &BudgetUse| used.budget.period == Period::Month;
    let budget = left.budgets.into_iter().find(of_month).filter(|_| !narrowed);
    let balance = left.balance.filter(|_| !narrowed);
    record_support_access(desk, &context, SupportAccess::List { of: "overview", search: "" }).await?;
    let month = MonthSoFar::of(&used, today);
    Ok(OverviewView {
        context,
        narrowed,
        month,
        budget,
        balance,
        counts,
        days,
        totals,
        parts,
        grown,
        yesterday,
        begun,
        served,
        now,
    })
}

/// The first steps, for the page of keys.
///
/// # Errors
/// `NotFound` where the caller does not belong.
pub async fn begun(desk: &Desk, caller: &Caller, slug: &str) -> Result<Begun, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::ListKeys, On::Org)?;
    Ok(store::begun(&mut read, &context.org.id).await?)
}
