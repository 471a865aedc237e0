//! What was spent, by what, over which days: the page, its card on the pages of keys, teams and members, and its files.
//! Everyone sees the part that is theirs: owners, admins and support all of it, others their teams' and their own.
//! Reads roll-ups only, never the requests themselves.

mod charges;
mod show;

pub use charges::{ChargeNames, Charges, charges};
pub use show::{Choices, ReportView, SpendCard, card, show};

use std::collections::HashMap;

use super::OpError;
use super::access::OrgContext;
use crate::domain::ids::{KeyId, TeamId};
use crate::domain::moment::Day;
use crate::domain::money::Money;
use crate::domain::policy::{Action, On, PlatformRole};
use crate::domain::report::{CHART_SERIES, Dimension, Filters, Grain, PAGE_GROUPS, ReportQuery, Span, Sums};
use crate::store::report::{self, Asked, Part, Shape};
use crate::store::{StoreError, Via, keys};

/// One group of a report.
#[derive(Clone, Debug)]
pub struct ReportRow {
    /// The group's value; empty for what has none.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What was spent.
    pub sums: Sums,
    /// What was spent before.
    pub before: Sums,
}

/// One part of each bar of the chart.
#[derive(Clone, Debug)]
pub struct ReportSeries {
    /// The group's name.
    pub name: String,
    /// What was spent in each bucket.
    pub values: Vec<Money>,
}

/// What a report says.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub query: ReportQuery,
    /// Which days.
    pub span: Span,
    /// Which days it is compared with.
    pub before: Span,
    /// What the days are cut into: as asked, as far as there is that.
    pub grain: Grain,
    /// Whether what was asked for is kept at all.
    pub kept: bool,
    /// Whether it is kept by hour.
    pub hours: bool,
    /// Only a part of the organisation's spend is the caller's to see.
    pub part: bool,
    /// The groups of this page, the most expensive first; empty where nothing is split.
    pub rows: Vec<ReportRow>,
    /// There are groups after these.
    pub more: bool,
    /// What the groups that are not on this page spent, and before.
    pub other: Option<(Sums, Sums)>,
    /// All of it.
    pub total: Sums,
    /// All of it before.
    pub total_before: Sums,
    /// The names of the chart's buckets, the oldest first.
    pub buckets: Vec<String>,
    /// The most expensive groups, up to five.
    pub series: Vec<ReportSeries>,
    /// The others together, where there are any.
    pub rest: Option<Vec<Money>>,
    /// The name of each filter's value, in the order of pages.
    pub filters: Vec<(Dimension, String, String)>,
}

impl Report {
    /// What [`Report::other`] is called: on the only page, others spent before and not now.
    pub fn other_name(&self) -> &'static str {
        if self.query.skip > 0 || self.more { "All others" } else { "No longer used" }
    }
}

/// What the caller may see of these filters: `None` is all.
async fn part_of(
    via: &mut impl Via,
    context: &OrgContext,
    filters: &Filters,
) -> Result<Option<Part>, OpError> {
    context.permit(Action::SeeSpend, On::Org)?;
    let principal = &context.principal;
    let teams = principal.admin_of();
    let all = principal.runs_org()
        || principal.platform() == PlatformRole::Support
        || filters.get(Dimension::Owner) == Some(principal.person().as_str())
        || filters.get(Dimension::Team).is_some_and(|id| teams.iter().any(|team| team.as_str() == id));
    if all {
        return Ok(None);
    }
    // Who sees a key sees what it spent, also before it was theirs.
    if let Some(id) = filters.get(Dimension::Key).and_then(KeyId::parse) {
        let key = keys::find(via, &context.org.id, &id).await?;
        if key.is_some_and(|key| context.permit(Action::SeeKey, On::Key(key.facts())).is_ok()) {
            return Ok(None);
        }
    }
    Ok(Some(Part { person: principal.person().clone(), teams: teams.to_vec() }))
}

fn name_of(dimension: Dimension, id: &str, names: &HashMap<String, String>) -> String {
    match (names.get(id), id) {
        (Some(name), _) => name.clone(),
        (None, "") => dimension.nothing().to_owned(),
        (None, id) => id.to_owned(),
    }
}

/// The report that `query` asks for, on this day of the organisation's calendar.
async fn report(
    via: &mut impl Via,
    context: &OrgContext,
    query: &ReportQuery,
    today: Day,
) -> Result<Report, OpError> {
    let span = query.preset.span(today, query.from, query.to);
    let before = query.preset.before(span);
    let part = part_of(via, context, &query.filters).await?;
    let org = context.org.id.clone();
    let asked = Asked { org, span, filters: query.filters.clone(), part };
    let then = Asked { span: before, ..asked.clone() };
    let (group, hours) = (query.group, report::has_hours(&asked, query.group));
    let grain = match query.grain.filter(|grain| grain.fits(span)) {
        Some(Grain::Hour) if !hours => Grain::usual(span, false),
        Some(grain) => grain,
        None => Grain::usual(span, hours),
    };
    let kept = report::is_kept(&asked, group);
    // What has several tags counts once in the whole.
    let total = report::total(via, &asked, None).await?;
    let total_before = report::total(via, &then, None).await?;
    let mut found = Report {
        query: query.clone(),
        span,
        before,
        grain,
        kept,
        hours,
        part: asked.part.is_some(),
        rows: vec![],
        more: false,
        other: None,
        total,
        total_before,
        buckets: grain.buckets(span),
        series: vec![],
        rest: None,
        filters: vec![],
    };
    match group {
        Some(dimension) if kept => split(via, &asked, &then, dimension, &mut found).await?,
        Some(_) => {}
        None => {
            let values = over_time(via, &asked, None, &found).await?;
            found.series = vec![ReportSeries { name: "Spend".into(), values }];
        }
    }
    for (dimension, value) in query.filters.set() {
        // The name of what is not theirs is not for them, also beside what is.
        let is_hidden = found.total.is_nothing()
            && found.total_before.is_nothing()
            && part_of(via, context, &Filters::of(dimension, value)).await?.is_some();
        let ids = if is_hidden { vec![] } else { vec![value.to_owned()] };
        let names = report::names(via, &context.org.id, dimension, &ids).await?;
        found.filters.push((dimension, value.to_owned(), name_of(dimension, value, &names)));
    }
    Ok(found)
}

/// Groups, what they spent before, and the chart's series.
async fn split(
    via: &mut impl Via,
    asked: &Asked,
    then: &Asked,
    dimension: Dimension,
    found: &mut Report,
) -> Result<(), StoreError> {
    let group = Some(dimension);
    let skip = found.query.skip;
    let shape = Shape { group, top: Some((PAGE_GROUPS + 1, skip)), ..Shape::default() };
    let mut top = report::summed(via, asked, &shape).await?;
    found.more = top.len() > PAGE_GROUPS;
    top.truncate(PAGE_GROUPS);
    let ids: Vec<String> = top.iter().map(|row| row.group.clone()).collect();
    let only = Shape { group, only: Some(&ids), ..Shape::default() };
    let earlier: HashMap<String, Sums> =
        report::summed(via, then, &only).await?.into_iter().map(|row| (row.group, row.sums)).collect();
    // The chart is of the most expensive ones, whichever page it stands on.
    let charted: Vec<String> = match skip {
        0 => ids.iter().take(CHART_SERIES).cloned().collect(),
        _ => {
            let shape = Shape { group, top: Some((CHART_SERIES, 0)), ..Shape::default() };
            report::summed(via, asked, &shape).await?.into_iter().map(|row| row.group).collect()
        }
    };
    let named: Vec<String> = ids.iter().chain(&charted).filter(|id| !id.is_empty()).cloned().collect();
    let names = report::names(via, &asked.org, dimension, &named).await?;
    let row = |row: report::Summed| ReportRow {
        name: name_of(dimension, &row.group, &names),
        before: earlier.get(&row.group).copied().unwrap_or_default(),
        sums: row.sums,
        id: row.group,
    };
    found.rows = top.into_iter().map(row).collect();

    // Tags add up to more than the whole, as a request may have several.
    let (all, all_before) = match dimension {
        Dimension::Tag => (report::total(via, asked, group).await?, report::total(via, then, group).await?),
        _ => (found.total, found.total_before),
    };
    let other = all - found.rows.iter().map(|row| row.sums).sum();
    let other_before = all_before - found.rows.iter().map(|row| row.before).sum();
    found.other = Some((other, other_before)).filter(|_| !other.is_nothing() || !other_before.is_nothing());

    let shape = Shape { grain: Some(found.grain), group, only: Some(&charted), ..Shape::default() };
    let parts = report::summed(via, asked, &shape).await?;
    let places: HashMap<&str, usize> = found.buckets.iter().map(String::as_str).zip(0..).collect();
    for id in &charted {
        let mut values = vec![Money::ZERO; found.buckets.len()];
        for part in parts.iter().filter(|part| part.group == *id) {
            if let Some(value) = places.get(part.bucket.as_str()).and_then(|place| values.get_mut(*place)) {
                *value = part.sums.cost;
            }
        }
        found.series.push(ReportSeries { name: name_of(dimension, id, &names), values });
    }
    let mut rest = over_time(via, asked, group, found).await?;
    for series in &found.series {
        for (left, value) in rest.iter_mut().zip(&series.values) {
            *left = left.saturating_sub(*value);
        }
    }
    found.rest = Some(rest).filter(|rest| rest.iter().any(|left| *left != Money::ZERO));
    Ok(())
}

/// What was spent in each bucket.
async fn over_time(
    via: &mut impl Via,
    asked: &Asked,
    whole_of: Option<Dimension>,
    found: &Report,
) -> Result<Vec<Money>, StoreError> {
    let shape = Shape { grain: Some(found.grain), whole_of, ..Shape::default() };
    let rows = report::summed(via, asked, &shape).await?;
    let spent: HashMap<&str, Money> = rows.iter().map(|row| (row.bucket.as_str(), row.sums.cost)).collect();
    Ok(found.buckets.iter().map(|name| spent.get(name.as_str()).copied().unwrap_or_default()).collect())
}

/// Teams whose spend the caller sees whole, for the filter; `None` is all teams.
fn own_teams(context: &OrgContext) -> Option<&[TeamId]> {
    let principal = &context.principal;
    let all = principal.runs_org() || principal.platform() == PlatformRole::Support;
    (!all).then(|| principal.admin_of())
}
