//! Actions are asked in one way, whoever asks. Where a browser posts a plain form, without script, this layer turns the
//! action's answer into what such a browser needs: a redirect to the next page, or back to the form with its mistakes
//! and what was typed, or an error page with its true status.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keydesk_app::error::AppError;
use keydesk_app::path::LocalPath;
use keydesk_app::sealed::{FLASH, Flash, Seal, Tone};

use crate::state::AppState;

/// Far above the longest form.
pub const BODY_MOST: usize = 64 * 1024;

pub async fn answer(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let wants_page = accepts_html(&parts.headers);
    let Ok(bytes) = to_bytes(body, BODY_MOST).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "The form is too large. Nothing was saved.\n")
            .into_response();
    };
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().collect();
    // Every action takes one struct called `form`, which refuses fields that it does not know.
    if pairs.iter().any(|(name, _)| !name.starts_with("form[")) {
        return refused(&AppError::Malformed);
    }
    // The action itself always answers as to a script.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let referer = parts.headers.get(header::REFERER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if response.status().is_success() {
        if wants_page && response.headers().contains_key(header::LOCATION) {
            *response.status_mut() = StatusCode::SEE_OTHER;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, BODY_MOST).await.unwrap_or_default();
    let error: AppError = serde_json::from_slice(&bytes).unwrap_or(AppError::Internal);
    let mut told = match wants_page {
        false => refused(&error),
        true => match back_to(referer.as_deref()) {
            Some(form) => returned(&state, &form, error, pairs),
            None => (error.status(), format!("{}\n", says(&error))).into_response(),
        },
    };
    for cookie in parts.headers.get_all(header::SET_COOKIE) {
        told.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    if let Some(retry) = parts.headers.get(header::RETRY_AFTER) {
        told.headers_mut().insert(header::RETRY_AFTER, retry.clone());
    }
    told
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("text/html"))
}

/// For a script: the error, and its sentence in words.
fn refused(error: &AppError) -> Response {
    let mut body = serde_json::to_value(error).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert("sentence".into(), error.sentence().into());
    }
    (error.status(), axum::Json(body)).into_response()
}

/// The page that the form was on: only a path of this host is followed.
fn back_to(referer: Option<&str>) -> Option<LocalPath> {
    let (_, rest) = referer?.split_once("://")?;
    let at = rest.find('/')?;
    LocalPath::parse(&rest[at..])
}

/// Back to the form, with the mistakes beside the fields and what was typed in them.
fn returned(state: &AppState, form: &LocalPath, error: AppError, pairs: Vec<(String, String)>) -> Response {
    let seal = Seal { key: state.cookie_key.clone(), secure: state.config.secure() };
    let sentence = error.sentence();
    let errors = match error {
        AppError::Invalid { fields } => fields,
        // These are about the whole act: their page says so, with the true status.
        AppError::Forbidden | AppError::NotFound | AppError::Unauthenticated | AppError::Malformed => {
            return plain_page(&error);
        }
        AppError::Conflict { .. } | AppError::TooMany { .. } | AppError::Unavailable | AppError::Internal => {
            vec![]
        }
    };
    // Never a password, a token, or a search that may be a secret.
    let values = pairs
        .into_iter()
        .filter(|(name, _)| {
            !["form[password]", "form[token]", "form[q]", "form[was]"].contains(&name.as_str())
        })
        .collect();
    let flash = Flash { notice: Some((Tone::Bad, sentence)), errors, values }.fit();
    let mut response =
        (StatusCode::SEE_OTHER, [(header::LOCATION, form.as_str().to_owned())]).into_response();
    if let Some(cookie) = seal.close(FLASH, "/", flash, state.desk.now()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn says(error: &AppError) -> String {
    match error {
        AppError::Invalid { fields } => {
            fields.iter().map(|field| field.problem.to_string()).collect::<Vec<_>>().join("\n")
        }
        other => other.sentence(),
    }
}

/// A small page of its own, because the act had no page to go back to.
fn plain_page(error: &AppError) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status} · Keydesk</title><h1>{status}</h1><p>{sentence}</p><p><a href=\"/\">Go to the start</a></p></html>",
        status = error.status().as_u16(),
        sentence = error.sentence()
    );
    (error.status(), axum::response::Html(page)).into_response()
}
