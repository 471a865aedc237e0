//! What one answer hands to the next page: a notice, a new secret, a sign-in that is half done. It travels in a cookie that is
//! encrypted, HttpOnly, short-lived, bound to the session that it was made in and cleared by the page that reads it, so it
//! works with and without script and leaves no trace in an address, a log or the database.

use axum::response::IntoResponse;
use axum_extra::extract::cookie::{Cookie, Key, PrivateCookieJar, SameSite};
use http::{HeaderMap, HeaderValue, header};
use keydesk_core::domain::field_error::FieldError;
use keydesk_core::domain::ids::{PersonId, SessionId};
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::second_factor::Attempt;
use leptos::prelude::{expect_context, use_context};
use leptos_axum::ResponseOptions;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ask::caller;

/// So many cookies of one name are tried.
const MAX_OF_A_NAME: usize = 8;

/// How cookies are made here.
#[derive(Clone)]
pub struct Seal {
    /// The first one seals; each opens what it sealed, while the key is rotated. Never empty.
    pub keys: Vec<Key>,
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

/// The signing secret of a webhook on its way to the one page that shows it.
#[derive(Serialize, Deserialize)]
pub struct WebhookSecret {
    pub name: String,
    pub secret: String,
}

/// The link of a new organisation's owner on its way to the one page that shows it.
#[derive(Serialize, Deserialize)]
pub struct OwnerLink {
    pub slug: String,
    pub email: String,
    pub link: String,
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
    pub attempt: Attempt,
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
/// The accounts that signed in on this device.
pub const DEVICE: &str = "keydesk-device";

/// How long what a cookie carries can be opened, in milliseconds.
fn lives_ms(name: &str) -> i64 {
    match name {
        // Long enough to look for a device.
        PENDING_SIGN_IN => 10 * 60_000,
        DEVICE => 365 * 86_400_000,
        _ => 2 * 60_000,
    }
}

/// Who holds a cookie: the person and the session of the request, where there are any.
pub type Holder = (Option<PersonId>, Option<SessionId>);

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    until: i64,
    holder: Holder,
    body: T,
}

impl<T> Sealed<T> {
    /// A notice is its person's, also in a new session and after signing out; what comes before a session is the browser's;
    /// everything else belongs to the one session that it was made in.
    fn is_for(&self, name: &str, (person, session): &Holder) -> bool {
        match name {
            PENDING_SIGN_IN | DEVICE => true,
            FLASH => self.holder.0.is_none() || person.is_none() || self.holder.0 == *person,
            _ => self.holder.0 == *person && self.holder.1 == *session,
        }
    }
}

impl Seal {
    /// Each page has a cookie of its own, by name and not by path: only a cookie for the whole host can have the prefix that
    /// keeps other hosts of the domain from setting it.
    pub fn name(&self, name: &str, path: &str) -> String {
        let host = if self.secure { "__Host-" } else { "" };
        format!("{host}{name}{}", path.trim_end_matches('/').replace('/', "."))
    }

    fn cookie(&self, name: &str, path: &str, value: String) -> Cookie<'static> {
        Cookie::build((self.name(name, path), value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .build()
    }

    /// The `Set-Cookie` header that carries `body` to the page at `path`, for this holder.
    pub fn close<T: Serialize>(
        &self,
        name: &str,
        path: &str,
        (body, holder): (T, Holder),
        now: Moment,
    ) -> Option<HeaderValue> {
        let lives = lives_ms(name);
        let sealed = Sealed { until: now.plus_ms(lives).ms(), holder, body };
        let text = serde_json::to_string(&sealed).ok()?;
        let jar = PrivateCookieJar::new(self.keys.first()?.clone()).add(self.cookie(name, path, text));
        let response = (jar, ()).into_response();
        let cookie = response.headers().get(header::SET_COOKIE)?.to_str().ok()?;
        HeaderValue::from_str(&format!("{cookie}; Max-Age={}", lives / 1_000)).ok()
    }

    /// What the request's cookie carries, if it is ours, for this holder and not late. Of several of its name, which another
    /// host of the domain can set where there is no https, the one that opens counts.
    pub fn open<T: DeserializeOwned>(
        &self,
        (name, path): (&str, &str),
        headers: &HeaderMap,
        holder: &Holder,
        now: Moment,
    ) -> Option<T> {
        let full = self.name(name, path);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).map(str::trim);
        let named = pairs.filter(|pair| pair.split_once('=').is_some_and(|(found, _)| found == full));
        named.take(MAX_OF_A_NAME).find_map(|pair| {
            let alone = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).ok()?)]);
            let open = |key: &Key| PrivateCookieJar::from_headers(&alone, key.clone()).get(&full);
            let cookie = self.keys.iter().find_map(open)?;
            let sealed: Sealed<T> = serde_json::from_str(cookie.value()).ok()?;
            let left = sealed.until - now.ms();
            // Also by a clock that ran ahead when it was sealed.
            let in_time = left > 0 && left <= 2 * lives_ms(name);
            (in_time && sealed.is_for(name, holder)).then_some(sealed.body)
        })
    }

    /// The `Set-Cookie` header that takes it away.
    pub fn clear(&self, name: &str, path: &str) -> Option<HeaderValue> {
        let mut cookie = self.cookie(name, path, String::new());
        cookie.make_removal();
        HeaderValue::from_str(&cookie.to_string()).ok()
    }
}

fn holder() -> Holder {
    caller().map_or((None, None), |caller| (Some(caller.person.id), Some(caller.session)))
}

/// Puts a sealed cookie on the answer that is being made.
pub fn send<T: Serialize>(name: &'static str, path: &str, body: T, now: Moment) {
    let seal = expect_context::<Seal>();
    if let (Some(response), Some(cookie)) =
        (use_context::<ResponseOptions>(), seal.close(name, path, (body, holder()), now))
    {
        response.append_header(header::SET_COOKIE, cookie);
    }
}

/// Opens a sealed cookie of this request and clears it on the answer. One that does not open stays: it may be another's.
pub fn take<T: DeserializeOwned>(name: &'static str, path: &str, now: Moment) -> Option<T> {
    let body = peek(name, path, now)?;
    clear(name, path);
    Some(body)
}

/// Opens a sealed cookie of this request and leaves it there.
pub fn peek<T: DeserializeOwned>(name: &'static str, path: &str, now: Moment) -> Option<T> {
    let parts = use_context::<http::request::Parts>()?;
    expect_context::<Seal>().open((name, path), &parts.headers, &holder(), now)
}

/// Clears a sealed cookie on the answer that is being made.
pub fn clear(name: &'static str, path: &str) {
    let seal = expect_context::<Seal>();
    if let (Some(response), Some(cookie)) = (use_context::<ResponseOptions>(), seal.clear(name, path)) {
        response.append_header(header::SET_COOKIE, cookie);
    }
}
