//! The report as a page shows it, and the card of one key, team or member.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::support::{SupportAccess, record_support_access};
use super::{Report, own_teams, part_of, report};
use crate::Desk;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::report::{Dimension, Filters, Preset, ReportQuery};
use crate::store::report::{self as store, Asked, Shape};
use crate::store::{Via, audit_list, teams};

/// Models to choose from; a model with less spend is chosen by a click in the table.
const MAX_MODELS: usize = 100;

/// What a filter's box offers: each value with its name.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Teams, those without a name among them where all are seen.
    pub teams: Vec<(String, String)>,
    /// People who own or owned keys; empty for who does not see all.
    pub owners: Vec<(String, String)>,
    /// Models with spend in these days, the most expensive first.
    pub models: Vec<(String, String)>,
}

/// What the page is drawn from.
pub struct ReportView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The report.
    pub report: Report,
    /// What the filters offer.
    pub choices: Choices,
    /// When it was read.
    pub now: Moment,
}

/// A report of the organisation, or of the caller's part of it.
///
/// # Errors
/// `NotFound` when the caller may not see the organisation.
pub async fn show(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    query: &ReportQuery,
) -> Result<ReportView, OpError> {
    let now = desk.now();
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let report = report(&mut read, &context, query, Day::of(now, &context.org.zone)).await?;
    let choices = choices(&mut read, &context, &report).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::List { of: "spend", search: "" }).await?;
    Ok(ReportView { context, report, choices, now })
}

async fn choices(via: &mut impl Via, context: &OrgContext, report: &Report) -> Result<Choices, OpError> {
    let org = &context.org.id;
    let own = own_teams(context);
    let mut teams: Vec<(String, String)> = teams::in_use(via, org)
        .await?
        .into_iter()
        .filter(|team| own.is_none_or(|own| own.contains(&team.id)))
        .map(|team| (team.id.to_string(), team.name))
        .collect();
    if own.is_none() {
        teams.push((String::new(), Dimension::Team.nothing().into()));
    }
    let owners = match own {
        None => audit_list::people(via, org).await?.into_iter().map(|(id, name, _)| (id, name)).collect(),
        Some(_) => vec![],
    };
    let part = part_of(via, context, &Filters::default()).await?;
    let asked = Asked { org: org.clone(), span: report.span, filters: Filters::default(), part };
    let shape = Shape { group: Some(Dimension::Model), top: Some((MAX_MODELS, 0)), ..Shape::default() };
    let found = store::summed(via, &asked, &shape).await?;
    let name = |id: &str| if id.is_empty() { Dimension::Model.nothing().to_owned() } else { id.to_owned() };
    let models = found.into_iter().map(|row| (row.group.clone(), name(&row.group))).collect();
    let mut choices = Choices { teams, owners, models };
    // What is chosen is offered, also where it is no longer there.
    for (dimension, value, name) in &report.filters {
        let list = match dimension {
            Dimension::Team => &mut choices.teams,
            Dimension::Owner if !choices.owners.is_empty() => &mut choices.owners,
            Dimension::Model => &mut choices.models,
            _ => continue,
        };
        if !list.iter().any(|(offered, _)| offered == value) {
            list.push((value.clone(), name.clone()));
        }
    }
    Ok(choices)
}

/// What one key, team or member spent, as their page shows it.
pub struct SpendCard {
    /// The last thirty days by model.
    pub report: Report,
    /// Spent this month.
    pub month: Money,
    /// Spent in the month before.
    pub last_month: Money,
}

/// The card of what `filters` are about.
///
/// # Errors
/// `NotFound` when the caller may see no spend here.
pub async fn card(
    via: &mut impl Via,
    context: &OrgContext,
    filters: Filters,
    now: Moment,
) -> Result<SpendCard, OpError> {
    let today = Day::of(now, &context.org.zone);
    let query = ReportQuery { preset: Preset::ThirtyDays, filters, ..ReportQuery::default() };
    let report = report(via, context, &query, today).await?;
    let part = part_of(via, context, &query.filters).await?;
    let mut asked = Asked { org: context.org.id.clone(), span: report.span, filters: query.filters, part };
    let mut spent = [Money::ZERO; 2];
    for (preset, spent) in [Preset::ThisMonth, Preset::LastMonth].into_iter().zip(&mut spent) {
        asked.span = preset.span(today, None, None);
        *spent = store::total(via, &asked, None).await?.cost;
    }
    let [month, last_month] = spent;
    Ok(SpendCard { report, month, last_month })
}
