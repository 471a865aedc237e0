//! A report's groups, the most expensive first. Each leads to a report of it alone.

use keydesk_core::domain::limits::short_count;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::report::{Dimension, PAGE_GROUPS, ReportQuery, Sums, change, share};
use keydesk_core::ops::report::{Report, ReportView};
use leptos::prelude::*;

use super::{ends, href, requests, requests_href};
use crate::ui::list::{self, Column};

pub fn groups(view: &ReportView) -> Option<impl IntoView + use<>> {
    let (slug, report) = (&view.context.org.slug, &view.report);
    let dimension = report.query.group?;
    let columns = vec![
        Column::new(dimension.label()),
        Column::new("Spent").num(),
        Column::new("Share").num(),
        Column::new("Before").num().class("num drop-2"),
        Column::new("Change").num(),
        Column::new("Requests").num(),
        Column::new("Tokens").num().class("num drop-1"),
    ];
    let whole = report.total.cost;
    let rows = report.rows.iter().map(|row| {
        let to = href(slug, &report.query.into_group(dimension, &row.id));
        let name = view! {
            <a class="row-link" href=to title=row.name.clone()>
                {row.name.clone()}
            </a>
        };
        let filters = report.query.filters.clone().with(dimension, row.id.as_str());
        let log = requests_href(slug, ends(report), &filters);
        line("", name.into_any(), (&row.sums, &row.before), whole, log)
    });
    let other = report
        .other
        .map(|(sums, before)| line("", report.other_name().into_any(), (&sums, &before), whole, None));
    let log = requests_href(slug, ends(report), &report.query.filters);
    let total = line("total", "Total".into_any(), (&report.total, &report.total_before), whole, log);
    let rows = view! {
        {rows.collect_view()}
        {other}
        {total}
    };
    let caption = format!("Spend by {}, {}", dimension.label().to_lowercase(), report.span.words());
    let several = (dimension == Dimension::Tag)
        .then(|| view! { <p class="help">"A request with several tags counts for each of them, and once in the total."</p> });
    Some(view! {
        <section class="stack report" aria-label="Table">
            {list::table(false, caption, columns, rows)}
            {several}
            {pages(slug, report)}
        </section>
    })
}

/// `log` leads to the requests behind it.
fn line(
    class: &'static str,
    name: AnyView,
    sums: (&Sums, &Sums),
    whole: Money,
    log: Option<String>,
) -> impl IntoView + use<> {
    let (now, before) = sums;
    let tokens = now.input_tokens.saturating_add(now.output_tokens);
    view! {
        <tr class=class>
            <th scope="row">{name}</th>
            <td data-label="Spent" class="num">{now.cost.to_string()}</td>
            <td data-label="Share" class="num">{share(now.cost, whole)}</td>
            <td data-label="Before" class="num drop-2">{before.cost.to_string()}</td>
            <td data-label="Change" class="num">{change(now.cost, before.cost)}</td>
            <td data-label="Requests" class="num">{requests(now.requests, log)}</td>
            <td data-label="Tokens" class="num drop-1">{short_count(tokens)}</td>
        </tr>
    }
}

/// To the groups before and after these.
fn pages(slug: &str, report: &Report) -> Option<impl IntoView + use<>> {
    let skip = report.query.skip;
    if skip == 0 && !report.more {
        return None;
    }
    let at = |skip: usize| href(slug, &ReportQuery { skip, ..report.query.clone() });
    let back = (skip > 0).then(|| {
        view! { <a class="btn" href=at(skip.saturating_sub(PAGE_GROUPS)) rel="prev">"Show the 50 before"</a> }
    });
    let next = report
        .more
        .then(|| view! { <a class="btn" href=at(skip + PAGE_GROUPS) rel="next">"Show the next 50"</a> });
    let shown = format!("{}–{}", skip + 1, skip + report.rows.len());
    Some(view! {
        <nav class="pager" aria-label="Pages">
            <p>{shown}</p>
            <div class="actions">{back} {next}</div>
        </nav>
    })
}
