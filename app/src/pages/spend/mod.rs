//! What was spent: the page with its filters, chart and table, and the card on the pages of keys, teams and members. The
//! whole question is in the address, so each choice is a link or a plain form, and the files say what the page says.

mod card;
mod chart;
mod filters;
mod table;

pub use card::spend_part;

use keydesk_core::domain::day_or_hour::DayOrHour;
use keydesk_core::domain::ids::{PersonId, TeamId};
use keydesk_core::domain::limits::short_count;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::report::{Dimension, Filters, Grain, ReportQuery, change};
use keydesk_core::domain::request_filter::LogFilter;
use keydesk_core::domain::tags::OTHER_TAGS;
use keydesk_core::ops::report::{self, Report, ReportView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param, queries};
use crate::layout::{Page, Width};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::facts::fact;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address};

/// The address of a report.
pub fn href(slug: &str, query: &ReportQuery) -> String {
    address(LocalPath::spend(slug), query)
}

fn address(path: LocalPath, query: &ReportQuery) -> String {
    path.with_query(&serde_urlencoded::to_string(query.pairs()).unwrap_or_default()).into()
}

/// The log of the requests behind a sum of what `filters` are about, from the first of `ends` to the last; `None` where the
/// log cannot ask for that.
fn requests_href(slug: &str, (from, to): (DayOrHour, DayOrHour), filters: &Filters) -> Option<String> {
    let mut log = LogFilter { from: Some(from), to: Some(to), ..LogFilter::default() };
    for (dimension, value) in filters.set() {
        match dimension {
            // It has no filter for what has none, such as no team.
            _ if value.is_empty() => return None,
            Dimension::Key => log.key = value.to_owned(),
            Dimension::Team => log.team = Some(TeamId::parse(value)?),
            Dimension::Owner => log.owner = Some(PersonId::parse(value)?),
            Dimension::Model => log.model = value.to_owned(),
            Dimension::Provider => return None,
            // The log knows each tag by its own name.
            Dimension::Tag if value == OTHER_TAGS => return None,
            Dimension::Tag => log.tag = value.to_owned(),
        }
    }
    Some(Address::new(LocalPath::requests(slug).as_str(), log.pairs()).href())
}

/// The ends of the report's days.
fn ends(report: &Report) -> (DayOrHour, DayOrHour) {
    (report.span.first.into(), report.span.last.into())
}

/// How many requests, as a link to them where the log can show them.
fn requests(count: i64, to: Option<String>) -> AnyView {
    let count = grouped(count);
    match to {
        Some(to) => {
            view! { <a href=to title="Show these requests">{count}<span class="sr">" requests"</span></a> }
                .into_any()
        }
        None => count.into_any(),
    }
}

#[component]
pub fn SpendPage() -> impl IntoView {
    let slug = param("org");
    let query = ReportQuery::read(&queries());
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = report::show(&desk, &caller, &slug, &query).await?;
        let under = view! { <p class="muted">{under(&view)}</p> };
        let body = view! {
            {filters::presets(&view)}
            {filters::form(&view)}
            {filters::splits(&view)}
            {filters::in_use(&view)}
            {body(&view)}
        };
        Ok(Page::new("Spend", Width::Wide).under(under).actions(files(&view)).in_org(
            &view.context,
            &caller,
            body,
        ))
    })
}

fn under(view: &ReportView) -> String {
    let zone = view.context.org.zone.name();
    match view.report.part {
        true => format!("Your keys, your teams, and what was spent while you owned a key. Days in {zone}."),
        false => format!("Days in {zone}. Each request counts for the team and owner that its key had then."),
    }
}

fn files(view: &ReportView) -> AnyView {
    let (slug, query) = (&view.context.org.slug, &view.report.query);
    if view.report.total.is_nothing() {
        return ().into_any();
    }
    let csv = address(LocalPath::spend_csv(slug), query);
    let by_tag = query.filters.get(Dimension::Tag).is_some();
    let focus = (!by_tag).then(|| {
        let href = address(LocalPath::spend_focus_csv(slug), query);
        view! { <a class="btn" href=href download title="For tools that read FOCUS 1.0: each day’s spend of each key and model">"FOCUS CSV"</a> }
    });
    view! { <div class="actions"><a class="btn" href=csv download>"CSV"</a> {focus}</div> }.into_any()
}

fn body(view: &ReportView) -> AnyView {
    let (slug, report) = (&view.context.org.slug, &view.report);
    if !report.kept {
        let all =
            report.query.without(Dimension::Tag).without(Dimension::Provider).grouped(Some(Dimension::Model));
        return list::none_found(
            "Providers are not kept by tag".into(),
            "Choose one of the two, in the filters or to split by.",
            &href(slug, &all),
            "Show spend by model",
        );
    }
    if report.total.is_nothing() && report.total_before.is_nothing() {
        let heading = format!("Nothing was spent on {}", report.span.words());
        if !report.query.filters.is_empty() {
            let words = "No request in these days matches all of the filters.";
            let plain = ReportQuery { filters: Default::default(), ..report.query.clone() };
            return list::none_found(heading, words, &href(slug, &plain), "Clear filters");
        }
        let words = "Once a key is used, its requests, tokens and costs are here within a second.";
        let keys = view! { <a class="btn" href=LocalPath::keys(slug)>"Go to Keys"</a> };
        return list::empty(Icon::Chart, heading, words, keys);
    }
    view! {
        <div class="stack roomy">
            <section class="card">
                <header>
                    <h2>{heading(report)}</h2>
                    <p>{report.span.words()}</p>
                </header>
                {tiles(slug, report)}
                <div class="part">{hours_line(report)} {chart::report_chart(slug, report)}</div>
            </section>
            {table::groups(view)}
        </div>
    }
    .into_any()
}

fn heading(report: &Report) -> String {
    match report.query.group {
        None => "Spend".into(),
        Some(dimension) => format!("Spend by {}", dimension.label().to_lowercase()),
    }
}

fn tiles(slug: &str, report: &Report) -> impl IntoView + use<> {
    let (total, before) = (&report.total, &report.total_before);
    let compared = view! {
        {before.cost.to_string()} " "
        <span class="muted">{report.before.words()}</span>
    };
    let more = change(total.cost, before.cost);
    let more = if more.is_empty() { "–".to_owned() } else { more };
    let tokens = total.input_tokens.saturating_add(total.output_tokens);
    let count = requests(total.requests, requests_href(slug, ends(report), &report.query.filters));
    view! {
        <dl class="tiles">
            {fact("Spent", total.cost.to_string())} {fact("Before", compared)} {fact("Change", more)}
            {fact("Requests", count)} {fact("Tokens", short_count(tokens))}
        </dl>
    }
}

/// Why the hours that were asked for are not shown.
fn hours_line(report: &Report) -> Option<impl IntoView + use<>> {
    let asked = report.query.grain == Some(Grain::Hour) && report.grain != Grain::Hour;
    let words = match (report.hours, Grain::Hour.fits(report.span)) {
        _ if !asked => return None,
        (false, _) => "Hours are not kept for this combination, so these are days.",
        (true, false) => "By hour, a report has up to 14 days.",
        (true, true) => return None,
    };
    Some(view! { <p class="help">{words}</p> })
}
