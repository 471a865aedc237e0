//! What one answer hands to the next page: a notice, a new secret, a sign-in that is half done. It travels in a cookie that is encrypted, HttpOnly,
//! short-lived and cleared by the page that reads it, so it works with and without script and leaves no trace in an
//! address, a log or the database.

use axum::response::IntoResponse;
use axum_extra::extract::cookie::{Cookie, Key, PrivateCookieJar, SameSite};
use http::{HeaderMap, HeaderValue, header};
use keydesk_core::domain::field_error::FieldError;
use keydesk_core::domain::ids::PersonId;
use keydesk_core::domain::moment::Moment;
use leptos::prelude::{expect_context, use_context};
use leptos_axum::ResponseOptions;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const LIVES_MS: i64 = 2 * 60_000;

/// How cookies are made here.
#[derive(Clone)]
pub struct Seal {
    pub key: Key,
    /// The installation is reached over https.
    pub secure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Good,
    Warn,
    Bad,
}

/// One line for the next page that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    pub tone: Tone,
    pub sentence: String,
}

/// A form that came back, drawn again in the answer to its own post: with its mistakes, and what was typed. In the
/// request's extensions, put there by the server's layer for plain forms.
#[derive(Clone, Debug)]
pub struct Returned {
    pub notice: Flash,
    pub errors: Vec<FieldError>,
    /// Names and values as they were sent, without passwords, tokens and searches.
    pub values: Vec<(String, String)>,
    /// After an edit conflict: the form to show instead, as JSON.
    pub merged: Option<String>,
}

/// What an action answered, as JSON, where its form's page shows it. Like `Returned`, in the request's extensions.
#[derive(Clone, Debug)]
pub struct Answered(pub String);

/// A secret on its way to the one page that shows it.
#[derive(Serialize, Deserialize)]
pub struct Issued {
    pub key_id: String,
    pub secret: String,
}

/// An invitation's link on its way to the one page that shows it.
#[derive(Serialize, Deserialize)]
pub struct IssuedLink {
    pub invitation_id: String,
    pub link: String,
    pub mail: Mailed,
}

/// What became of the mail with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mailed {
    Sent,
    Failed,
    /// This installation sends none.
    Never,
}

/// The link of a new organisation's owner on its way to the one page that shows it.
#[derive(Serialize, Deserialize)]
pub struct OwnerLink {
    pub slug: String,
    pub email: String,
    pub link: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    until: i64,
    body: T,
}

/// Recovery codes on their way to the one page that shows them.
#[derive(Serialize, Deserialize)]
pub struct NewCodes {
    pub person: PersonId,
    pub codes: Vec<String>,
}

/// A sign-in whose password was right and whose code is still to come. It is no session: it opens only the page that asks
/// for the code, and counts only while that password is the person's.
#[derive(Clone, Serialize, Deserialize)]
pub struct PendingSignIn {
    pub person: PersonId,
    pub password_set_at: i64,
    pub next: String,
}

pub const FLASH: &str = "keydesk-flash";
pub const ISSUED: &str = "keydesk-issued";
/// What the key doctor was asked, on its way to the page that answers.
pub const DOCTOR: &str = "keydesk-doctor";
/// The result of a live test on its way to its page.
pub const LIVE_TEST: &str = "keydesk-live-test";
pub const CODES: &str = "keydesk-codes";
pub const PENDING_SIGN_IN: &str = "keydesk-half-in";
/// Long enough to look for a device.
const PENDING_SIGN_IN_MS: i64 = 10 * 60_000;

impl Seal {
    fn cookie(&self, name: &'static str, path: &str, value: String) -> Cookie<'static> {
        Cookie::build((name, value))
            .path(path.to_owned())
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .build()
    }

    /// The `Set-Cookie` header that carries `body` to pages under `path`.
    pub fn close<T: Serialize>(
        &self,
        name: &'static str,
        path: &str,
        body: T,
        now: Moment,
    ) -> Option<HeaderValue> {
        let lives = if name == PENDING_SIGN_IN { PENDING_SIGN_IN_MS } else { LIVES_MS };
        let text = serde_json::to_string(&Sealed { until: now.plus_ms(lives).ms(), body }).ok()?;
        let jar = PrivateCookieJar::new(self.key.clone()).add(self.cookie(name, path, text));
        set_cookie(jar)
    }

    /// What the request's cookie carries, if it is ours and not late.
    pub fn open<T: DeserializeOwned>(&self, name: &str, headers: &HeaderMap, now: Moment) -> Option<T> {
        let cookie = PrivateCookieJar::from_headers(headers, self.key.clone()).get(name)?;
        let sealed: Sealed<T> = serde_json::from_str(cookie.value()).ok()?;
        (sealed.until > now.ms()).then_some(sealed.body)
    }

    /// The `Set-Cookie` header that takes it away.
    pub fn clear(&self, name: &'static str, path: &str) -> Option<HeaderValue> {
        let mut cookie = self.cookie(name, path, String::new());
        cookie.make_removal();
        HeaderValue::from_str(&cookie.to_string()).ok()
    }
}

fn set_cookie(jar: PrivateCookieJar) -> Option<HeaderValue> {
    (jar, ()).into_response().headers().get(header::SET_COOKIE).cloned()
}

/// Puts a sealed cookie on the answer that is being made.
pub fn send<T: Serialize>(name: &'static str, path: &str, body: T, now: Moment) {
    let seal = expect_context::<Seal>();
    if let (Some(response), Some(cookie)) =
        (use_context::<ResponseOptions>(), seal.close(name, path, body, now))
    {
        response.append_header(header::SET_COOKIE, cookie);
    }
}

/// Opens a sealed cookie of this request and clears it on the answer.
pub fn take<T: DeserializeOwned>(name: &'static str, path: &str, now: Moment) -> Option<T> {
    let parts = use_context::<http::request::Parts>()?;
    let sent = parts.headers.get_all(header::COOKIE).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.split(';').any(|pair| pair.trim_start().starts_with(name)))
    });
    if !sent {
        return None;
    }
    clear(name, path);
    peek(name, now)
}

/// Opens a sealed cookie of this request and leaves it there.
pub fn peek<T: DeserializeOwned>(name: &'static str, now: Moment) -> Option<T> {
    let parts = use_context::<http::request::Parts>()?;
    expect_context::<Seal>().open(name, &parts.headers, now)
}

/// Clears a sealed cookie on the answer that is being made.
pub fn clear(name: &'static str, path: &str) {
    let seal = expect_context::<Seal>();
    if let (Some(response), Some(cookie)) = (use_context::<ResponseOptions>(), seal.clear(name, path)) {
        response.append_header(header::SET_COOKIE, cookie);
    }
}
