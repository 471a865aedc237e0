//! Files: the audit as CSV or JSON Lines, a key's requests and the log of requests as CSV, sent while they are read, a chunk at
//! a time. They are a form's answer like an action's, so the layers around actions stand around them too; their errors are what an action would
//! answer.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, header};
use keydesk_app::error::AppError;
use keydesk_core::domain::audit::{Change, ChangeValue, PastEvent};
use keydesk_core::domain::audit_words;
use keydesk_core::domain::csv::csv_lines;
use keydesk_core::domain::meter::{Dimension, Meter};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::names::Names;
use keydesk_core::domain::request_log::RequestEntry;
use keydesk_core::ops::OpError;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::audit::{Export, ExportForm, Format, export};
use keydesk_core::ops::requests::{self, LogExportForm, RequestsExportForm};
use serde::Deserialize;
use serde_json::json;

use crate::state::AppState;

pub const AUDIT: &str = "/api/audit/export";
pub const REQUESTS: &str = "/api/requests/export";
pub const REQUEST_LOG: &str = "/api/requests/export-log";

/// The form's fields under the names that a browser sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    #[serde(rename = "form[org]", default)]
    org: String,
    #[serde(rename = "form[format]", default)]
    format: String,
    #[serde(rename = "form[person]", default)]
    person: String,
    #[serde(rename = "form[key]", default)]
    key: String,
    #[serde(rename = "form[team]", default)]
    team: String,
    #[serde(rename = "form[kind]", default)]
    kind: String,
    #[serde(rename = "form[from]", default)]
    from: String,
    #[serde(rename = "form[to]", default)]
    to: String,
}

pub async fn audit(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
    sent: Result<Form<Sent>, FormRejection>,
) -> Response {
    let Some(Extension(caller)) = caller else { return refused(&AppError::Unauthenticated) };
    let Ok(Form(sent)) = sent else { return refused(&AppError::MalformedForm) };
    let Sent { org, format, person, key, team, kind, from, to } = sent;
    let form = ExportForm { org, format, person, key, team, kind, from, to };
    match export(&state.desk, &caller, &form).await {
        Ok(export) => file(state, export),
        Err(error) => refused(&AppError::from(error)),
    }
}

fn refused(error: &AppError) -> Response {
    (error.status(), axum::Json(error)).into_response()
}

fn file(state: AppState, export: Export) -> Response {
    let (kind, ending) = match export.format {
        Format::Csv => (CSV, "csv"),
        Format::JsonLines => ("application/x-ndjson", "jsonl"),
    };
    let day = export.at.rfc3339();
    let day = day.split('T').next().unwrap_or_default();
    let name = format!("audit-{}-{day}.{ending}", export.slug);
    let head = match export.format {
        Format::Csv => csv_lines(&[COLUMNS.map(str::to_owned)]),
        Format::JsonLines => vec![],
    };
    let chunks = stream::try_unfold((state, export), |(state, mut export)| async move {
        let events = export.next(&state.desk).await?;
        let lines = match export.format {
            _ if events.is_empty() => return Ok(None),
            Format::Csv => {
                csv_lines(&events.iter().map(|event| cells(event, &export.zone)).collect::<Vec<_>>())
            }
            Format::JsonLines => events.iter().flat_map(|event| json_line(event, &export.zone)).collect(),
        };
        Ok(Some((lines, (state, export))))
    });
    download(kind, &name, head, chunks)
}

/// A file that begins with `head`. The name has letters, digits, hyphens, underscores and full stops only.
pub(super) fn download(
    kind: &'static str,
    name: &str,
    head: Vec<u8>,
    chunks: impl Stream<Item = Result<Vec<u8>, OpError>> + Send + 'static,
) -> Response {
    let head = stream::iter((!head.is_empty()).then_some(Ok(head)));
    let chunks = head.chain(chunks).map(|chunk| {
        chunk.map(Bytes::from).map_err(|error| {
            // The file ends in the middle, and the browser says so: its length was never promised.
            tracing::error!(%error, "an export broke off");
            std::io::Error::other("the database is away")
        })
    });
    // Fused: compression asks once more after the end.
    let mut response = Body::from_stream(chunks.fuse()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) const CSV: &str = "text/csv; charset=utf-8; header=present";

const COLUMNS: [&str; 12] = [
    "number",
    "time",
    "person",
    "person_id",
    "kind",
    "sentence",
    "subject",
    "subject_id",
    "before",
    "after",
    "address",
    "request",
];

fn cells(event: &PastEvent, zone: &Zone) -> [String; 12] {
    let side = |of: fn(&Change) -> &Option<ChangeValue>| {
        let line = |change: &Change| {
            let value = of(change).as_ref()?;
            Some(format!("{}: {}", change.field, audit_words::value(value, zone)))
        };
        event.changes.iter().filter_map(line).collect::<Vec<_>>().join("\n")
    };
    [
        event.seq.to_string(),
        event.at.rfc3339(),
        event.actor_name.clone(),
        event.actor_id.clone(),
        event.kind.as_str().to_owned(),
        audit_words::sentence(event, zone),
        event.subject_name.clone(),
        event.subject_id.clone(),
        side(|change| &change.before),
        side(|change| &change.after),
        event.address.clone(),
        event.request_id.clone(),
    ]
}

fn json_line(event: &PastEvent, zone: &Zone) -> Vec<u8> {
    let line = json!({
        "number": event.seq,
        "time": event.at.rfc3339(),
        "time_ms": event.at.ms(),
        "person": event.actor_name,
        "person_id": event.actor_id,
        "kind": event.kind.as_str(),
        "sentence": audit_words::sentence(event, zone),
        "subject": event.subject_name,
        "subject_id": event.subject_id,
        "changes": event.changes,
        "address": event.address,
        "request": event.request_id,
    });
    format!("{line}\n").into_bytes()
}

/// The form's fields under the names that a browser sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentRequests {
    #[serde(rename = "form[org]", default)]
    org: String,
    #[serde(rename = "form[key]", default)]
    key: String,
}

pub async fn requests(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
    sent: Result<Form<SentRequests>, FormRejection>,
) -> Response {
    let Some(Extension(caller)) = caller else { return refused(&AppError::Unauthenticated) };
    let Ok(Form(SentRequests { org, key })) = sent else { return refused(&AppError::MalformedForm) };
    let export = match requests::export(&state.desk, &caller, &RequestsExportForm { org, key }).await {
        Ok(export) => export,
        Err(error) => return refused(&AppError::from(error)),
    };
    let name = format!("requests-{}.csv", export.key);
    let chunks = stream::try_unfold((state, export), |(state, mut export)| async move {
        let entries = export.next(&state.desk).await?;
        let rows: Vec<_> = entries.iter().filter_map(request_cells).collect();
        Ok((!rows.is_empty()).then(|| (csv_lines(&rows), (state, export))))
    });
    download(CSV, &name, csv_lines(&[request_columns()]), chunks)
}

/// Every request counts as one, so that meter has no column.
fn meters() -> impl Iterator<Item = Meter> {
    Meter::ALL.into_iter().filter(|meter| *meter != Meter::Requests)
}

fn request_columns() -> Vec<String> {
    let meters = meters().map(Meter::name);
    let served = Dimension::ALL.into_iter().map(Dimension::name);
    let before = ["time", "request", "model", "route", "status"];
    let after = ["cost", "first_cost", "priced", "estimated", "price", "latency_ms", "address"];
    before.into_iter().chain(meters).chain(served).chain(after).map(str::to_owned).collect()
}

/// The log of requests. The form has the parameters of the log's address.
pub async fn request_log(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
    sent: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let Some(Extension(caller)) = caller else { return refused(&AppError::Unauthenticated) };
    let Ok(Form(sent)) = sent else { return refused(&AppError::MalformedForm) };
    let mut form = LogExportForm::default();
    for (name, value) in sent {
        match name.strip_prefix("form[").and_then(|name| name.strip_suffix(']')) {
            Some("org") => form.org = value,
            Some(name) => form.filter.push((name.to_owned(), value)),
            None => return refused(&AppError::MalformedForm),
        }
    }
    let export = match requests::export_log(&state.desk, &caller, &form).await {
        Ok(export) => export,
        Err(error) => return refused(&AppError::from(error)),
    };
    let day = export.at.rfc3339();
    let name = format!("requests-{}-{}.csv", export.slug, day.split('T').next().unwrap_or_default());
    let chunks = stream::try_unfold((state, export), |(state, mut export)| async move {
        let (entries, names) = export.next(&state.desk).await?;
        let rows: Vec<_> = entries.iter().map(|entry| log_cells(entry, &names)).collect();
        Ok((!rows.is_empty()).then(|| (csv_lines(&rows), (state, export))))
    });
    download(CSV, &name, csv_lines(&[log_columns()]), chunks)
}

fn log_columns() -> Vec<String> {
    let meters = meters().map(Meter::name);
    let served = Dimension::ALL.into_iter().map(Dimension::name);
    let before = [
        "time",
        "first_time",
        "times",
        "request",
        "key",
        "key_id",
        "team",
        "team_id",
        "owner",
        "owner_id",
        "model",
        "provider",
        "route",
        "status",
        "outcome",
        "gate",
        "reason",
    ];
    let after = [
        "cost",
        "first_cost",
        "priced",
        "estimated",
        "price",
        "latency_ms",
        "first_byte_ms",
        "address",
        "user_agent",
        "tags",
    ];
    before.into_iter().chain(meters).chain(served).chain(after).map(str::to_owned).collect()
}

/// In the order of `log_columns`. What a rejection does not have is empty; amounts are dollars, exact to the nano-dollar.
fn log_cells(entry: &RequestEntry, names: &Names) -> Vec<String> {
    let used = entry.used.as_ref();
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let meters = meters().map(|meter| used.map(|used| used.metered.counts.get(meter).to_string()));
    let served = Dimension::ALL
        .into_iter()
        .map(|dimension| used.map(|used| used.metered.served_as.word(dimension).to_owned()));
    let id = |id: Option<&str>| id.unwrap_or_default().to_owned();
    let name = |id: Option<&str>| id.map(|id| names.name(id).to_owned()).unwrap_or_default();
    let (team, owner) =
        (entry.team.as_ref().map(|team| team.as_str()), entry.owner.as_ref().map(|owner| owner.as_str()));
    let before = [
        entry.at.rfc3339(),
        entry.first_at.rfc3339(),
        entry.times.to_string(),
        entry.request_id.clone(),
        name(Some(entry.key.as_str())),
        entry.key.to_string(),
        name(team),
        id(team),
        name(owner),
        id(owner),
        entry.model.clone(),
        used.map(|used| used.provider.clone()).unwrap_or_default(),
        entry.route.clone(),
        entry.status.to_string(),
        entry.outcome.word().to_lowercase(),
        entry.gate.map(|gate| gate.as_str().to_owned()).unwrap_or_default(),
        entry.words().unwrap_or_default(),
    ];
    let after = [
        used.map(|used| used.cost.input()),
        used.and_then(|used| used.first_cost).map(Money::input),
        used.map(|used| yes(used.is_priced)),
        used.map(|used| yes(used.estimated)),
        used.and_then(|used| used.price.as_ref()).map(ToString::to_string),
        used.map(|used| used.latency_ms.to_string()),
        used.and_then(|used| used.first_byte_ms).map(|ms| ms.to_string()),
        Some(entry.address.clone()),
        used.map(|used| used.user_agent.clone()),
        used.map(|used| used.tags.join("\n")),
    ];
    let rest = meters.chain(served).chain(after).map(Option::unwrap_or_default);
    before.into_iter().chain(rest).collect()
}

/// In the order of `request_columns`. Amounts are dollars, exact to the nano-dollar.
fn request_cells(entry: &RequestEntry) -> Option<Vec<String>> {
    let used = entry.used.as_ref()?;
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let meters = meters().map(|meter| used.metered.counts.get(meter).to_string());
    let served =
        Dimension::ALL.into_iter().map(|dimension| used.metered.served_as.word(dimension).to_owned());
    let before = [
        entry.at.rfc3339(),
        entry.request_id.clone(),
        entry.model.clone(),
        entry.route.clone(),
        entry.status.to_string(),
    ];
    let after = [
        used.cost.input(),
        used.first_cost.map(Money::input).unwrap_or_default(),
        yes(used.is_priced),
        yes(used.estimated),
        used.price.as_ref().map(ToString::to_string).unwrap_or_default(),
        used.latency_ms.to_string(),
        entry.address.clone(),
    ];
    Some(before.into_iter().chain(meters).chain(served).chain(after).collect())
}
