//! What one key, team or member spent: this month and the one before, thirty days by model, and the way to the report.

use keydesk_core::domain::report::{Dimension, ReportQuery, share};
use keydesk_core::ops::report::SpendCard;
use leptos::prelude::*;

use super::chart::report_chart;
use super::href;
use crate::ui::facts::fact;

/// Models that are named; the others are in the report.
const MODELS_NAMED: usize = 5;

/// Stands in a card about spend, below its heading.
pub fn spend_part(slug: &str, card: &SpendCard) -> impl IntoView + use<> {
    let report = &card.report;
    let all = href(slug, &ReportQuery { filters: report.query.filters.clone(), ..ReportQuery::default() });
    let part = report.part.then(|| {
        view! { <p class="help">"Only what is yours to see: your keys, your teams, and what was spent while you owned a key."</p> }
    });
    let rows = report
        .rows
        .iter()
        .take(MODELS_NAMED)
        .map(|row| {
            let to = href(slug, &report.query.into_group(Dimension::Model, &row.id));
            view! {
                <tr>
                    <th scope="row">
                        <a href=to>{row.name.clone()}</a>
                    </th>
                    <td class="num">{row.sums.cost.to_string()}</td>
                    <td class="num">{share(row.sums.cost, report.total.cost)}</td>
                </tr>
            }
        })
        .collect_view();
    let models = (!report.rows.is_empty()).then(|| {
        view! {
            <table class="table plain">
                <caption class="sr">"Models of the last 30 days"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Model"</th>
                        <th scope="col" class="num">"Spent"</th>
                        <th scope="col" class="num">"Share"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
    });
    let chart = match report.total.is_nothing() {
        true => view! { <p class="muted">"No requests in the last 30 days."</p> }.into_any(),
        false => report_chart(slug, report).into_any(),
    };
    view! {
        <div class="part spend-part">
            <dl class="tiles">
                {fact("This month", card.month.to_string())} {fact("Last month", card.last_month.to_string())}
            </dl>
            <header class="part-head">
                <h3>"Last 30 days"</h3>
                <p>{report.total.cost.to_string()}</p>
            </header>
            {part}
            {chart}
            {models}
            <p>
                <a href=all>"All spend"</a>
            </p>
        </div>
    }
}
