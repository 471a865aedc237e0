//! Actions have one kind of response. Where a browser posts a plain form, without script, this layer turns the
//! action's answer into what such a browser needs: a redirect to the next page, or the form's own page drawn again with
//! the mistakes and what was typed, with its true status, or with what the action answered.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use keydesk_app::ask;
use keydesk_app::error::AppError;
use keydesk_app::path::LocalPath;
use keydesk_app::sealed::{Answered, Flash, Returned, Tone};
use keydesk_core::domain::field_error::FieldError;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::kept_forms::{self, KeptForm};
use tower::ServiceExt;

use super::{again, session_store};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// Far above the longest form.
pub const MAX_BODY: usize = 64 * 1024;
/// Fields of a form; the largest has a box for each model of the catalogue.
const MAX_FIELDS: usize = 2_000;
/// The database may have failed for what the form's page needs too: it is drawn in this time or not at all.
const DRAWN_WITHIN: Duration = Duration::from_secs(1);
/// A form that takes longer to arrive is given up.
const BODY_WITHIN: Duration = Duration::from_secs(15);
/// Names a form that was kept, at the end of its page's address.
const KEPT: &str = "kept";
/// What was typed here is never shown again, nor kept.
const NEVER_BACK: [&str; 10] = [
    "form[password]",
    "form[token]",
    "form[q]",
    "form[secret]",
    "form[raw]",
    "form[current]",
    "form[code]",
    "form[recovery]",
    "form[reauth][password]",
    "form[reauth][code]",
];

/// Waits for the whole form before anyone asks who sends it: a session that ends while a form arrives slowly is not
/// good for that form any more.
pub async fn gather(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => {
            let (path, headers) = (parts.uri.path().to_owned(), parts.headers.clone());
            let response = next.run(Request::from_parts(parts, Body::from(bytes.clone()))).await;
            // Also where it was not even found who asks.
            let lost = response.status() == StatusCode::SERVICE_UNAVAILABLE
                && response.extensions().get::<Drawn>().is_none();
            if lost && is_form(&headers) { unavailable(&path, &headers, &bytes) } else { response }
        }
        Ok(Err(_)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "The form is too large. Nothing was saved.\n").into_response()
        }
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The form took too long to arrive.\n").into_response(),
    }
}

/// On an answer in which the form's page is drawn with what was typed.
#[derive(Clone)]
struct Drawn;

/// The database is not available, and no page could be drawn.
fn unavailable(path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    if !accepts_html(headers) {
        return refused(&AppError::Unavailable);
    }
    let mut values: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let page = back_to(headers).filter(|_| values.iter().all(|(name, _)| name != "page"));
    values.extend(page.map(|page| ("page".to_owned(), page.into())));
    again::page(path, &values, &NEVER_BACK)
}

/// `pages` draws a form's page again.
pub async fn answer(
    State((state, pages)): State<(AppState, Router)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        // The route itself says which method it takes.
        return next.run(request).await;
    }
    if !is_form(request.headers()) {
        let words = "An action takes a form, and this is none. Nothing was done.\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, words).into_response();
    }
    let (mut parts, body) = request.into_parts();
    let wants_page = accepts_html(&parts.headers);
    // `gather` has it all.
    let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let mut values: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().collect();
    // A form says which page it is on; one drawn in the answer to its own post has another address.
    let said = values.iter().position(|(name, _)| name == "page").map(|at| values.remove(at).1);
    let path = said.as_deref().and_then(LocalPath::parse).or_else(|| back_to(&parts.headers));
    let session = session_store::hash_of_cookie(&parts.headers, &state);
    let form_page = path.and_then(|path| form_request(&parts, &path));
    // Every action takes one struct called `form`, which refuses fields that it does not know.
    if values.len() > MAX_FIELDS || values.iter().any(|(name, _)| !name.starts_with("form[")) {
        return match wants_page {
            true => error_page(&pages, form_page, AppError::MalformedForm).await,
            false => refused(&AppError::MalformedForm),
        };
    }
    // A zero character is in no text that a database takes.
    if let Some((name, _)) = values.iter().find(|(_, value)| value.contains('\0')) {
        let words = "This contains an invisible character. Type it instead of pasting it.";
        let error = AppError::from(vec![FieldError::say(field_of(name), words)]);
        return if wants_page { page(&pages, form_page, error, values).await } else { refused(&error) };
    }
    // The action itself always answers as to a script.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&values).finish();
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    // What was fetched ahead may show how things were before.
    let stale = HeaderName::from_static("clear-site-data");
    response.headers_mut().entry(stale).or_insert(HeaderValue::from_static("\"prefetchCache\""));
    if response.status().is_success() {
        if wants_page && response.headers().contains_key(header::LOCATION) {
            *response.status_mut() = StatusCode::SEE_OTHER;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        } else if wants_page && is_json(response.headers()) {
            return answered(&pages, form_page, response).await;
        }
        return response;
    }
    let (answered, body) = response.into_parts();
    let bytes = to_bytes(body, 16 * MAX_BODY).await.unwrap_or_default();
    let error: AppError = serde_json::from_slice(&bytes).unwrap_or(AppError::Internal);
    let mut answer = match (wants_page, error) {
        (true, AppError::Unauthenticated) => sign_in(&state, form_page, session, values).await,
        (true, error) => page(&pages, form_page, error, values).await,
        (false, error) => refused(&error),
    };
    for name in [header::SET_COOKIE, header::RETRY_AFTER] {
        for value in answered.headers.get_all(&name) {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    answer
}

/// The field that a mistake is told beside: `rpm` of `form[key][limits][rpm][value]`.
fn field_of(name: &str) -> &str {
    let mut parts = name.split('[').map(|part| part.trim_end_matches(']'));
    parts.rfind(|part| !matches!(*part, "" | "value" | "mode")).unwrap_or_default()
}

/// The one kind of body that browsers send for the forms here.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("text/html"))
}

/// For a script: the error, and its sentence in words.
pub fn refused(error: &AppError) -> Response {
    let mut body = serde_json::to_value(error).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert("sentence".into(), error.sentence().into());
    }
    (error.status(), axum::Json(body)).into_response()
}

/// The page that the form was on: only a path of this host is followed.
fn back_to(headers: &HeaderMap) -> Option<LocalPath> {
    let referer = headers.get(header::REFERER)?.to_str().ok()?;
    let (_, rest) = referer.split_once("://")?;
    LocalPath::parse(&rest[rest.find('/')?..])
}

/// Asks for the form's page as the same caller.
fn form_request(parts: &Parts, path: &LocalPath) -> Option<Request> {
    let mut request = Request::builder().method(Method::GET).uri(path.as_str()).body(Body::empty()).ok()?;
    if let Some(agent) = parts.headers.get(header::USER_AGENT) {
        request.headers_mut().insert(header::USER_AGENT, agent.clone());
    }
    let (from, to) = (&parts.extensions, request.extensions_mut());
    from.get::<Caller>().cloned().map(|caller| to.insert(caller));
    from.get::<ask::Request>().cloned().map(|facts| to.insert(facts));
    from.get::<RequestFacts>().cloned().map(|facts| to.insert(facts));
    Some(request)
}

/// For a browser without script.
async fn page(
    pages: &Router,
    form_page: Option<Request>,
    error: AppError,
    mut values: Vec<(String, String)>,
) -> Response {
    let (status, sentence) = (error.status(), error.sentence());
    let (errors, merged) = match error {
        // It is not drawn on its page.
        AppError::Unauthenticated => return (status, format!("{sentence}\n")).into_response(),
        // About the whole act, not about what was typed.
        AppError::Forbidden
        | AppError::NotFound
        | AppError::MalformedForm
        | AppError::SecondFactor { .. } => {
            return error_page(pages, form_page, error).await;
        }
        AppError::Invalid { fields } => (fields, None),
        AppError::EditConflict { fields, merged, .. } => (fields, Some(merged)),
        AppError::Conflict { .. }
        | AppError::ReauthRequired
        | AppError::TooMany { .. }
        | AppError::Unavailable
        | AppError::Internal => (vec![], None),
    };
    let Some(mut request) = form_page else {
        let lines: Vec<String> = errors.iter().map(|error| error.problem.to_string()).collect();
        return (status, format!("{sentence}\n{}\n", lines.join("\n"))).into_response();
    };
    without_secrets(&mut values);
    let tone = if merged.is_some() { Tone::Warn } else { Tone::Bad };
    request.extensions_mut().insert(Returned { notice: Flash { tone, sentence }, errors, values, merged });
    let drawing = pages.clone().oneshot(request);
    let drawn = match status {
        StatusCode::SERVICE_UNAVAILABLE => tokio::time::timeout(DRAWN_WITHIN, drawing).await,
        _ => Ok(drawing.await),
    };
    let Ok(Ok(mut drawn)) = drawn else { return status.into_response() };
    // A form whose page is gone meanwhile says so itself.
    if drawn.status().is_success() {
        *drawn.status_mut() = status;
        drawn.extensions_mut().insert(Drawn);
    }
    drawn
}

fn without_secrets(values: &mut Vec<(String, String)>) {
    values.retain(|(name, _)| !NEVER_BACK.contains(&name.as_str()));
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// An action that leads nowhere and answers with data: its form's page is drawn with them.
async fn answered(pages: &Router, form_page: Option<Request>, response: Response) -> Response {
    let Some(mut request) = form_page else { return response };
    let (answered, body) = response.into_parts();
    let bytes = to_bytes(body, 16 * MAX_BODY).await.unwrap_or_default();
    request.extensions_mut().insert(Answered(String::from_utf8_lossy(&bytes).into_owned()));
    let Ok(mut drawn) = pages.clone().oneshot(request).await;
    for name in [header::SET_COOKIE, HeaderName::from_static("clear-site-data")] {
        for value in answered.headers.get_all(&name) {
            drawn.headers_mut().append(name.clone(), value.clone());
        }
    }
    drawn
}

/// The session ended while the form was open. What was typed is kept for its person, and leads back to the form.
async fn sign_in(
    state: &AppState,
    form_page: Option<Request>,
    session: Option<Vec<u8>>,
    mut values: Vec<(String, String)>,
) -> Response {
    let page = form_page.and_then(|request| Some(request.uri().path_and_query()?.as_str().to_owned()));
    // The steps of a sign-in are no place to go back to.
    let page = page.filter(|path| !path.starts_with("/sign-in"));
    without_secrets(&mut values);
    let kept = match (&page, session) {
        (Some(page), Some(session)) => {
            let form = KeptForm { page: page.clone(), values };
            let kept = kept_forms::keep(&state.desk, &session, form).await;
            kept.inspect_err(|error| tracing::error!(%error, "a form was not kept")).ok().flatten()
        }
        _ => None,
    };
    let mut next = page.unwrap_or_else(|| "/".into());
    if let Some(id) = kept {
        next.push(if next.contains('?') { '&' } else { '?' });
        next.push_str(&format!("{KEPT}={id}"));
    }
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}

/// Where a page's address names a form that was kept, the page is drawn with it: for the same person, on the same page.
pub async fn show_kept(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if let Some(form) = kept(&state, kept_at(&request)).await {
        let sentence = "You had been signed out, so nothing was saved. What you typed is here again, without passwords and secrets. Check it and send it.";
        let notice = Flash { tone: Tone::Warn, sentence: sentence.into() };
        request.extensions_mut().insert(Returned {
            notice,
            errors: vec![],
            values: form.values,
            merged: None,
        });
    }
    next.run(request).await
}

/// Who asks for which kept form, and the page's address without it.
fn kept_at(request: &Request) -> Option<(Caller, RequestId, String)> {
    let (address, named) = request.uri().path_and_query()?.as_str().rsplit_once(['?', '&'])?;
    let id = RequestId::parse(named.strip_prefix(KEPT)?.strip_prefix('=')?)?;
    let caller = request.extensions().get::<Caller>().filter(|_| request.method() == Method::GET)?;
    Some((caller.clone(), id, address.to_owned()))
}

async fn kept(state: &AppState, asked: Option<(Caller, RequestId, String)>) -> Option<KeptForm> {
    let (caller, id, address) = asked?;
    let found = kept_forms::find(&state.desk, &caller, &id).await;
    let form = found.inspect_err(|error| tracing::error!(%error, "a kept form was not read")).ok()??;
    (form.page == address).then_some(form)
}

/// The act failed as a whole: the error's page, drawn in the place of the form's.
async fn error_page(pages: &Router, form_page: Option<Request>, error: AppError) -> Response {
    let Some(mut request) = form_page else {
        return (error.status(), format!("{}\n", error.sentence())).into_response();
    };
    request.extensions_mut().insert(error);
    let Ok(drawn) = pages.clone().oneshot(request).await;
    drawn
}
