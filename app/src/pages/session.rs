//! Set-up, sign-in in one step or two, a new password: one card each.

use keydesk_core::domain::link::{LinkKind, OneTimeLink};
use keydesk_core::ops::links;
use keydesk_core::ops::setup::{self, SetupForm};
use keydesk_core::ops::sign_in::SignInForm;
use leptos::prelude::*;

use super::{field_errors, here, notice_line, page, returned, title, typed};
use crate::ask::{base_url, desk, param, query, request};
use crate::error::AppError;
use crate::layout::solo;
use crate::path::LocalPath;
use crate::sealed::{self, PENDING_SIGN_IN, PendingSignIn};
use crate::ui::field::{TextField, on_page};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn SignInPage() -> impl IntoView {
    let next = query("next").unwrap_or_default();
    page(async move {
        let field_errors = field_errors();
        let form: SignInForm = typed().unwrap_or_default();
        let next = if form.next.is_empty() { next } else { form.next };
        let next = LocalPath::parse(&next).unwrap_or_else(LocalPath::home).as_str().to_owned();
        let elsewhere = request().elsewhere.then(|| elsewhere(&next));
        // Whatever the database answers, the form is shown.
        let unset = setup::is_due(&desk()?).await.unwrap_or(false).then(not_set_up);
        let email = TextField::new("email", "form[email]", "Email").email().autocomplete("username");
        let password = TextField::new("password", "form[password]", "Password").password("current-password");
        let body = view! {
            {title("Sign in")}
            <h1>"Sign in"</h1>
            {elsewhere} {unset}
            {field_errors.0.is_empty().then(notice_line)}
            <form class="form" method="post" action="/api/session/sign-in" data-enhance data-brief>
                {on_page(here())}
                <input type="hidden" name="form[next]" value=next />
                {email.draw(form.email, &field_errors)}
                {password.draw(String::new(), &field_errors)}
                <button class="btn primary wide">"Sign in"</button>
            </form>
        };
        let foot = "Forgot your password? Ask your administrator for a reset link.";
        Ok(solo(body.into_any(), Some(foot)))
    })
}

/// The first page that the first operator opens may be this one, with nothing to sign in with.
fn not_set_up() -> AnyView {
    view! {
        <div class="notice warn">
            {icon(Icon::Warn)} <div>
                <p>
                    "Keydesk is not set up yet. Open the link that it printed when it started. "
                    <code>"keydesk setup-link"</code> " prints a new one."
                </p>
            </div>
        </div>
    }
    .into_any()
}

/// Before a password is typed where its session would not last.
fn elsewhere(next: &str) -> AnyView {
    let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
    let base = base_url();
    let right = format!("{base}{}", LocalPath::sign_in().with_query(&query).as_str());
    view! {
        <div class="notice warn" role="alert">
            {icon(Icon::Warn)} <div>
                <p>
                    "Signing in may not work here, because this is not the desk’s own address: go to "
                    <a href=right>{base}</a> "."
                </p>
            </div>
        </div>
    }
    .into_any()
}

/// The second step of a sign-in, for people with two-factor authentication.
#[component]
pub fn CodePage() -> impl IntoView {
    page(async move {
        // A form that came back was posted with the first step's cookie.
        if returned().is_none()
            && sealed::peek::<PendingSignIn>(PENDING_SIGN_IN, "/", desk()?.now()).is_none()
        {
            leptos_axum::redirect(LocalPath::sign_in().as_str());
            return Ok(().into_any());
        }
        let field_errors = field_errors();
        let code = TextField::new("code", "form[code]", "Code from your device")
            .help("Six digits. Each code works once.")
            .autocomplete("one-time-code")
            .inputmode("numeric")
            .autofocus();
        let recovery = TextField::new("recovery", "form[recovery]", "Recovery code")
            .help("One of the ten codes that you stored when you turned on 2FA.");
        let beside_field = field_errors.of("code").or(field_errors.of("recovery")).is_some();
        let body = view! {
            {title("Code")}
            <h1>"Enter your code"</h1>
            {(!beside_field).then(notice_line)}
            <form class="form" method="post" action="/api/session/code" data-enhance data-brief>
                {on_page(here())}
                {code.draw(String::new(), &field_errors)}
                <button class="btn primary wide">"Sign in"</button>
            </form>
            <details class="more" open=field_errors.of("recovery").is_some()>
                <summary>{icon(Icon::Right)} "Use a recovery code"</summary>
                <form class="form" method="post" action="/api/session/code" data-enhance data-brief>
                    {on_page(here())}
                    {recovery.draw(String::new(), &field_errors)}
                    <button class="btn wide">"Sign in with recovery code"</button>
                </form>
            </details>
            <p>
                <a href="/sign-in">"Sign in again with your password"</a>
            </p>
        };
        let foot = "Lost your device and recovery codes? Ask your administrator to turn off 2FA.";
        Ok(solo(body.into_any(), Some(foot)))
    })
}

#[component]
pub fn SetUpPage() -> impl IntoView {
    let token = param("token");
    page(async move {
        let desk = desk()?;
        if links::find(&desk, &token, LinkKind::Setup).await?.is_none() {
            return Ok(dead_link(
                "A set-up link works once, for a day. This one was used, has expired, or Keydesk is already set up.",
            ));
        }
        let field_errors = field_errors();
        let form: SetupForm = typed().unwrap_or_default();
        let name = TextField::new("name", "form[name]", "Name").autocomplete("name");
        let email = TextField::new("email", "form[email]", "Email")
            .email()
            .autocomplete("username")
            .help("You sign in with it.");
        let password = TextField::new("password", "form[password]", "Password")
            .password("new-password")
            .help("At least 15 characters, such as four unusual words.");
        let org = TextField::new("org", "form[org]", "Organisation")
            .autocomplete("organization")
            .help("Shown at the top of every page.");
        let body = view! {
            {title("Set up")}
            <h1>"Set up Keydesk"</h1>
            <p class="muted">"You become the owner. This page works only once."</p>
            {notice_line()}
            <form class="form" method="post" action="/api/session/setup" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[token]" value=token />
                <input type="hidden" name="form[zone]" value="" data-zone />
                {name.draw(form.name, &field_errors)} {email.draw(form.email, &field_errors)}
                {password.draw(String::new(), &field_errors)} {org.draw(form.org, &field_errors)}
                <button class="btn primary wide">"Create organisation"</button>
            </form>
        };
        Ok(solo(body.into_any(), None))
    })
}

#[component]
pub fn ResetPage() -> impl IntoView {
    let token = param("token");
    page(async move {
        let desk = desk()?;
        if !matches!(
            links::find(&desk, &token, LinkKind::Reset).await?,
            Some(OneTimeLink { person: Some(_) })
        ) {
            return Ok(dead_link(
                "A reset link works once, for an hour. This one was used or has expired. Ask your administrator for another.",
            ));
        }
        let field_errors = field_errors();
        let password = TextField::new("password", "form[password]", "New password")
            .password("new-password")
            .help("At least 15 characters, such as four unusual words.");
        let body = view! {
            {title("New password")}
            <h1>"Set a new password"</h1>
            <p class="muted">"This ends all your sessions."</p>
            {field_errors.0.is_empty().then(notice_line)}
            <form class="form" method="post" action="/api/session/reset" data-enhance data-brief>
                {on_page(here())}
                <input type="hidden" name="form[token]" value=token />
                {password.draw(String::new(), &field_errors)}
                <button class="btn primary wide">"Set password"</button>
            </form>
        };
        Ok(solo(body.into_any(), None))
    })
}

pub(super) fn dead_link(why: &'static str) -> AnyView {
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(AppError::NotFound.status());
    }
    let body = view! {
        {title("Link no longer works")}
        <h1>"This link no longer works"</h1>
        <p class="muted">{why}</p>
        <div class="actions">
            <a class="btn wide" href="/sign-in">"Go to sign in"</a>
        </div>
    };
    solo(body.into_any(), None)
}
