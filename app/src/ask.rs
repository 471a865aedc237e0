//! What a page or an action reads of the request that it serves: the caller, the desk, the address; and how an action
//! answers. The server provides these; where it did not, the answer is an error, never a guess.

use http::request::Parts;
use http::{HeaderValue, header};
use keydesk_core::Desk;
use keydesk_core::domain::key_filter::MAX_SEARCH;
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::page::Cursor;
use keydesk_core::ops::access::Caller;
use keydesk_core::security_log;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use crate::error::AppError;
use crate::path::LocalPath;

/// The installation's own address, without a slash at its end.
#[derive(Clone)]
pub struct BaseUrl(pub String);

#[derive(Clone)]
pub struct GatewayUrl(pub String);

/// What the installation does with the key doctor.
#[derive(Clone, Copy, Default)]
pub struct DoctorSettings {
    /// People without an account may ask about their own secret.
    pub public: bool,
    /// Rejections lead to it, because the desk's base URL is set.
    pub linked: bool,
}

/// The request's number and where it came from.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub id: String,
    pub address: String,
    /// The browser is at another address than the installation's own, where signing in may not work.
    pub elsewhere: bool,
    /// Where the person's programs reach the gateway, by the address of this request.
    pub gateway: String,
}

pub fn desk() -> Result<Desk, AppError> {
    use_context().ok_or(AppError::Internal)
}

/// # Errors
/// `Unauthenticated` when the request has no session.
pub fn caller() -> Result<Caller, AppError> {
    parts().and_then(|parts| parts.extensions.get::<Caller>().cloned()).ok_or(AppError::Unauthenticated)
}

pub fn parts() -> Option<Parts> {
    use_context::<Parts>()
}

pub fn request() -> Request {
    parts().and_then(|parts| parts.extensions.get::<Request>().cloned()).unwrap_or_default()
}

/// Where clients send requests: the desk's own address, unless the gateway has another.
pub fn gateway_url() -> String {
    use_context::<GatewayUrl>().map(|url| url.0).unwrap_or_default()
}

/// The same as this person's programs reach it: at the host that the browser is at, where no address is configured.
pub fn gateway_url_here() -> String {
    Some(request().gateway).filter(|url| !url.is_empty()).unwrap_or_else(gateway_url)
}

pub fn base_url() -> String {
    use_context::<BaseUrl>().map(|url| url.0).unwrap_or_default()
}

pub fn doctor_settings() -> DoctorSettings {
    use_context().unwrap_or_default()
}

/// The path of this page, to come back to.
pub fn here() -> String {
    parts().and_then(|parts| LocalPath::parse(parts.uri.path())).unwrap_or_else(LocalPath::home).into()
}

/// One part of the request's path, by its name in the route.
pub fn param(name: &'static str) -> String {
    leptos_router::hooks::use_params_map().read_untracked().get(name).unwrap_or_default()
}

/// One parameter of the request's query, decoded once.
pub fn query(name: &str) -> Option<String> {
    queries().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// Every parameter of the request's query, decoded once.
pub fn queries() -> Vec<(String, String)> {
    let parts = parts();
    let query = parts.as_ref().and_then(|parts| parts.uri.query()).unwrap_or_default();
    serde_urlencoded::from_str(query).unwrap_or_default()
}

/// What a list is searched for. Never a whole secret: a person would have to put it into the address by hand, and it must
/// not go anywhere else.
pub fn search() -> String {
    let text = query("q").filter(|text| !looks_like_secret(text)).unwrap_or_default();
    text.trim().chars().filter(|one| *one != '\0').take(MAX_SEARCH).collect()
}

/// Where the page of a list begins; `None` is the first page.
pub fn cursor() -> Option<Cursor> {
    query("page").and_then(|text| Cursor::parse(&text))
}

/// Where to go from `/`: the organisation whose pages this browser showed last. The page checks that the caller belongs there.
pub fn last_org() -> Option<String> {
    let parts = parts()?;
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|text| text.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(last_org_cookie())?.strip_prefix('=').map(str::to_owned))
}

/// Over https with the prefix that keeps other hosts of the domain from setting it.
fn last_org_cookie() -> &'static str {
    if base_url().starts_with("https:") { "__Host-keydesk-org" } else { "keydesk-org" }
}

/// Remembers the organisation of the page that is drawn, unless the browser only fetches it ahead.
pub fn note_org(slug: &str) {
    let ahead = parts().is_some_and(|parts| parts.headers.contains_key("sec-purpose"));
    if ahead || last_org().as_deref() == Some(slug) {
        return;
    }
    let secure = if base_url().starts_with("https:") { "; Secure" } else { "" };
    let name = last_org_cookie();
    let cookie = format!("{name}={slug}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
    if let (Some(response), Ok(cookie)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(&cookie)) {
        response.append_header(header::SET_COOKIE, cookie);
    }
}

/// Runs an action and ends it.
pub async fn act(action: impl Future<Output = Result<LocalPath, AppError>>) -> Result<(), AppError> {
    answer(action.await)
}

/// Ends an action: the next page, or an error with its true status. It is the same for a browser's form and for a
/// script; the server's layer for plain forms turns the answer into a redirect or a page.
pub fn answer(result: Result<LocalPath, AppError>) -> Result<(), AppError> {
    match result {
        Ok(path) => {
            leptos_axum::redirect(path.as_str());
            Ok(())
        }
        Err(error) => {
            note_refused(
                &error,
                parts().map(|parts| parts.uri.path().to_owned()).unwrap_or_default().as_str(),
            );
            if let Some(response) = use_context::<ResponseOptions>() {
                response.set_status(error.status());
                if let AppError::TooMany { retry_after_s } = &error {
                    response.insert_header(header::RETRY_AFTER, (*retry_after_s).into());
                }
            }
            Err(error)
        }
    }
}

/// Notes in the security log that something was refused to a person who is signed in. `what` is a path without secrets.
pub fn note_refused(error: &AppError, what: &str) {
    let why = match error {
        AppError::Forbidden => "forbidden",
        AppError::NotFound => "not theirs to see",
        AppError::ReauthRequired => "re-authentication required",
        AppError::SecondFactor { .. } => "two-factor authentication required",
        _ => return,
    };
    if let Ok(caller) = caller() {
        let from = (caller.address.as_str(), caller.request_id.as_str());
        security_log::refused(what, why, caller.person.id.as_str(), from);
    }
}
