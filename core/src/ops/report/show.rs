//! The report as a page shows it, and the card of one key, team or member.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::audit::{KeysMeant, keys_meant};
use super::super::support::{SupportAccess, record_support_access};
use super::{Report, own_teams, part_of, report};
use crate::Desk;
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::person::distinct_names;
use crate::domain::report::{Dimension, Filters, Preset, ReportQuery};
use crate::store::report::{self as store, Asked, Shape};
use crate::store::{Via, audit_list, teams};

/// Models to choose from, and providers; one with less spend is chosen by a click in the table.
const MAX_OFFERED: usize = 100;

/// What a filter's box offers: each value with its name.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Teams, those without a name among them where all are seen.
    pub teams: Vec<(String, String)>,
    /// People who own or owned keys; empty for who does not see all.
    pub owners: Vec<(String, String)>,
    /// Models with spend in these days, the most expensive first.
    pub models: Vec<(String, String)>,
    /// Providers with spend in these days, the most expensive first.
    pub providers: Vec<(String, String)>,
}

/// What the page is drawn from.
pub struct ReportView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The report.
    pub report: Report,
    /// What the filters offer.
    pub choices: Choices,
    /// What the text in the key box means.
    pub keys: KeysMeant,
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
    // The total, the groups and the bars are read one after the other.
    let mut read = desk.db.read_one_moment().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let (query, keys) = with_key(&mut read, &context, query).await?;
    let report = report(&mut read, &context, &query, Day::of(now, &context.org.zone)).await?;
    let choices = choices(&mut read, &context, &report).await?;
    drop(read);
    record_support_access(desk, &context, SupportAccess::List { of: "spend", search: "" }).await?;
    Ok(ReportView { context, report, choices, keys, now })
}

/// In a filter a key's name stands for its id where one key alone has it. Only who sees every key names them so.
async fn with_key(
    via: &mut impl Via,
    context: &OrgContext,
    query: &ReportQuery,
) -> Result<(ReportQuery, KeysMeant), OpError> {
    let mut query = query.clone();
    if own_teams(context).is_some() {
        return Ok((query, KeysMeant::Any));
    }
    let text = query.filters.get(Dimension::Key).unwrap_or_default();
    let keys = keys_meant(via, &context.org.id, text).await?;
    match &keys {
        KeysMeant::These(found) => {
            if let [(id, _)] = found.as_slice() {
                query.filters = query.filters.with(Dimension::Key, id.as_str());
            }
        }
        // It goes nowhere else.
        KeysMeant::Secret => query.filters = query.filters.without(Dimension::Key),
        KeysMeant::Any | KeysMeant::Unknown => {}
    }
    Ok((query, keys))
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
        None => distinct_names(audit_list::people(via, org).await?),
        Some(_) => vec![],
    };
    let part = part_of(via, context, &Filters::default()).await?;
    let asked = Asked { org: org.clone(), span: report.span, filters: Filters::default(), part };
    let mut choices = Choices { teams, owners, ..Choices::default() };
    let offered = [(Dimension::Model, &mut choices.models), (Dimension::Provider, &mut choices.providers)];
    for (dimension, list) in offered {
        let shape = Shape { group: Some(dimension), top: Some((MAX_OFFERED, 0)), ..Shape::default() };
        // They are their own names.
        let name = |id: &str| if id.is_empty() { dimension.nothing().to_owned() } else { id.to_owned() };
        let found = store::summed(via, &asked, &shape).await?;
        list.extend(found.into_iter().map(|row| (row.group.clone(), name(&row.group))));
    }
    // What is chosen is offered, also where it is no longer there.
    for (dimension, value, name) in &report.filters {
        let list = match dimension {
            Dimension::Team => &mut choices.teams,
            Dimension::Owner if !choices.owners.is_empty() => &mut choices.owners,
            Dimension::Model => &mut choices.models,
            Dimension::Provider => &mut choices.providers,
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
