//! Spend as files, at addresses that ask what the page asks: the table that is on the page as CSV, and charges as FOCUS has
//! them, sent while they are read. Both are read with GET and change nothing, so they are links.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use keydesk_app::error::AppError;
use keydesk_core::domain::csv::csv_lines;
use keydesk_core::domain::focus;
use keydesk_core::domain::report::{ReportQuery, Sums, change, share};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::report::{self, Charges, Report};

use super::export::{CSV, download};
use crate::state::AppState;

pub const TABLE: &str = "/{org}/spend.csv";
pub const FOCUS: &str = "/{org}/spend-focus.csv";

type Asked = Query<Vec<(String, String)>>;

pub async fn table(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
    Path(slug): Path<String>,
    Query(pairs): Asked,
) -> Response {
    let Some(Extension(caller)) = caller else { return failed(&AppError::Unauthenticated) };
    let view = match report::show(&state.desk, &caller, &slug, &ReportQuery::read(&pairs)).await {
        Ok(view) => view,
        Err(error) => return failed(&AppError::from(error)),
    };
    let Report { span, .. } = view.report;
    let name = format!("spend-{}-{}-{}.csv", view.context.org.slug, span.first, span.last);
    let lines = csv_lines(&rows(&view.report));
    download(CSV, &name, lines, stream::empty())
}

fn failed(error: &AppError) -> Response {
    (error.status(), format!("{}\n", error.sentence())).into_response()
}

const COLUMNS: [&str; 13] = [
    "from",
    "to",
    "split_by",
    "id",
    "name",
    "spent_usd",
    "share",
    "before_usd",
    "change",
    "requests",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
];

/// What the page's table has, its last rows among them: the groups of this page, all others, and the total.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let by = report.query.group.map_or("none", |dimension| dimension.as_str());
    let row = |id: &str, name: &str, sums: &Sums, before: &Sums| {
        vec![
            report.span.first.to_string(),
            report.span.last.to_string(),
            by.to_owned(),
            id.to_owned(),
            name.to_owned(),
            focus::dollars(sums.cost),
            share(sums.cost, report.total.cost),
            focus::dollars(before.cost),
            change(sums.cost, before.cost),
            sums.requests.to_string(),
            sums.input_tokens.to_string(),
            sums.output_tokens.to_string(),
            sums.cached_tokens.to_string(),
        ]
    };
    let mut lines = vec![COLUMNS.map(str::to_owned).to_vec()];
    lines.extend(report.rows.iter().map(|group| row(&group.id, &group.name, &group.sums, &group.before)));
    lines.extend(report.other.map(|(sums, before)| row("", report.other_name(), &sums, &before)));
    lines.push(row("", "Total", &report.total, &report.total_before));
    lines
}

pub async fn focus(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
    Path(slug): Path<String>,
    Query(pairs): Asked,
) -> Response {
    let Some(Extension(caller)) = caller else { return failed(&AppError::Unauthenticated) };
    let charges = match report::charges(&state.desk, &caller, &slug, &ReportQuery::read(&pairs)).await {
        Ok(charges) => charges,
        Err(error) => return failed(&AppError::from(error)),
    };
    let name = format!("focus-{}-{}-{}.csv", charges.slug, charges.span.first, charges.span.last);
    let head = csv_lines(&[focus::COLUMNS.map(str::to_owned)]);
    let chunks = stream::try_unfold((state, charges), |(state, mut charges)| async move {
        let (found, names) = charges.next(&state.desk).await?;
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|charge| {
                let Charges { org, name, zone, .. } = &charges;
                let (key, team, owner) = (names.key(charge), names.team(charge), names.owner(charge));
                let names = focus::Names { key: &key, team: &team, owner: &owner };
                focus::cells(charge, focus::Account { id: org, name, zone }, names)
            })
            .collect();
        Ok((!rows.is_empty()).then(|| (csv_lines(&rows), (state, charges))))
    });
    download(CSV, &name, head, chunks)
}
