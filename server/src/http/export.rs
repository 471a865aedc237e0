//! The audit as a file: CSV or JSON Lines, sent while it is read, a chunk at a time. It is a form's answer like an
//! action's, so the layers around actions stand around it too; its errors are what an action would answer.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use keydesk_app::error::AppError;
use keydesk_core::domain::audit::{Change, ChangeValue, PastEvent};
use keydesk_core::domain::audit_words;
use keydesk_core::domain::csv::csv_lines;
use keydesk_core::domain::moment::Zone;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::audit::{Export, ExportForm, Format, export};
use serde::Deserialize;
use serde_json::json;

use crate::state::AppState;

pub const AUDIT: &str = "/api/audit/export";

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
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Format::JsonLines => ("application/x-ndjson", "jsonl"),
    };
    let day = export.at.rfc3339();
    let day = day.split('T').next().unwrap_or_default();
    let name = format!("attachment; filename=\"audit-{}-{day}.{ending}\"", export.slug);
    let head = match export.format {
        Format::Csv => csv_lines(&[COLUMNS.map(str::to_owned)]),
        Format::JsonLines => vec![],
    };
    let chunks = stream::unfold((state, export, Some(head)), |(state, mut export, head)| async move {
        if let Some(head) = head.filter(|head| !head.is_empty()) {
            return Some((Ok(Bytes::from(head)), (state, export, None)));
        }
        match export.next(&state.desk).await {
            Ok(events) if events.is_empty() => None,
            Ok(events) => {
                let lines = match export.format {
                    Format::Csv => {
                        csv_lines(&events.iter().map(|event| cells(event, &export.zone)).collect::<Vec<_>>())
                    }
                    Format::JsonLines => {
                        events.iter().flat_map(|event| json_line(event, &export.zone)).collect()
                    }
                };
                Some((Ok(Bytes::from(lines)), (state, export, None)))
            }
            Err(error) => {
                // The file ends in the middle, and the browser says so: its length was never promised.
                tracing::error!(%error, "an export broke off");
                Some((Err(std::io::Error::other("the database is away")), (state, export, None)))
            }
        }
    });
    // Fused: compression asks once more after the end.
    let mut response = Body::from_stream(chunks.fuse()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // A slug has letters, digits and hyphens only.
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

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
