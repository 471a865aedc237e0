//! Set-up, sign-in in one step or two, a new password: one card each. And an organisation's first page.

use keydesk_core::ops::access::read_org;
use keydesk_core::ops::links::{self, LinkKind};
use keydesk_core::ops::setup::SetupForm;
use keydesk_core::ops::sign_in::SignInForm;
use leptos::prelude::*;

use super::{field_errors, here, notice_line, page, returned, title, typed};
use crate::ask::{caller, desk, param, query};
use crate::error::AppError;
use crate::layout::solo;
use crate::path::LocalPath;
use crate::sealed::{self, PENDING_SIGN_IN, PendingSignIn};
use crate::ui::field::{TextField, on_page};
use crate::ui::icon::{Icon, icon};

/// An organisation's first page is its keys.
#[component]
pub fn OrgPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let context = read_org(&desk, &caller, &slug).await?;
        leptos_axum::redirect(LocalPath::keys(&context.org.slug).as_str());
        Ok(().into_any())
    })
}

#[component]
pub fn SignInPage() -> impl IntoView {
    let next = query("next").unwrap_or_default();
    page(async move {
        let field_errors = field_errors();
        let form: SignInForm = typed().unwrap_or_default();
        let next = if form.next.is_empty() { next } else { form.next };
        let next = LocalPath::parse(&next).unwrap_or_else(LocalPath::home).as_str().to_owned();
        let email = TextField {
            field: "email",
            name: "form[email]",
            label: "E-mail",
            kind: "email",
            autocomplete: "username",
            ..Default::default()
        };
        let password = TextField {
            field: "password",
            name: "form[password]",
            label: "Password",
            kind: "password",
            autocomplete: "current-password",
            ..Default::default()
        };
        let body = view! {
            {title("Sign in")}
            <h1>"Sign in"</h1>
            {field_errors.0.is_empty().then(notice_line)}
            <form class="form" method="post" action="/api/session/sign-in" data-enhance data-brief>
                {on_page(here())}
                <input type="hidden" name="form[next]" value=next />
                {email.draw(form.email, &field_errors)}
                {password.draw(String::new(), &field_errors)}
                <button class="btn primary wide">"Sign in"</button>
            </form>
        };
        let foot = "Forgotten your password? Whoever runs this installation can make a one-time link.";
        Ok(solo(body.into_any(), Some(foot)))
    })
}

/// The second step of a sign-in, for who has a second factor.
#[component]
pub fn CodePage() -> impl IntoView {
    page(async move {
        // A form that came back was posted with the first step's cookie.
        if returned().is_none() && sealed::peek::<PendingSignIn>(PENDING_SIGN_IN, desk()?.now()).is_none() {
            leptos_axum::redirect(LocalPath::sign_in().as_str());
            return Ok(().into_any());
        }
        let field_errors = field_errors();
        let code = TextField {
            field: "code",
            name: "form[code]",
            label: "Code from your device",
            help: "Six digits. Each works once.",
            autocomplete: "one-time-code",
            inputmode: "numeric",
            autofocus: true,
            ..Default::default()
        };
        let recovery = TextField {
            field: "recovery",
            name: "form[recovery]",
            label: "Recovery code",
            help: "One of the ten that you stored when you turned the second factor on.",
            ..Default::default()
        };
        let told = field_errors.of("code").or(field_errors.of("recovery")).is_some();
        let body = view! {
            {title("Code")}
            <h1>"One more step"</h1>
            {(!told).then(notice_line)}
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
                    <button class="btn wide">"Sign in with the recovery code"</button>
                </form>
            </details>
        };
        let foot =
            "Device and recovery codes lost? Whoever runs this installation can turn the second factor off.";
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
                "A set-up link works once, for a day. This one was used, has run out, or Keydesk is set up already.",
            ));
        }
        let field_errors = field_errors();
        let form: SetupForm = typed().unwrap_or_default();
        let text = |field, name, label, help, autocomplete| TextField {
            field,
            name,
            label,
            help,
            autocomplete,
            max: Some(100),
            ..Default::default()
        };
        let name = text("name", "form[name]", "Name", "", "name");
        let email = TextField {
            kind: "email",
            max: Some(254),
            ..text("email", "form[email]", "E-mail", "You sign in with it.", "username")
        };
        let password = TextField {
            kind: "password",
            max: Some(256),
            ..text(
                "password",
                "form[password]",
                "Password",
                "15 characters or more. Four unusual words do well.",
                "new-password",
            )
        };
        let org = text("org", "form[org]", "Organisation", "Shown at the top of every page.", "organization");
        let body = view! {
            {title("Set up")}
            <h1>"Set up Keydesk"</h1>
            <p class="muted">"You become the owner. This page works once."</p>
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
        if !matches!(links::find(&desk, &token, LinkKind::Reset).await?, Some(Some(_))) {
            return Ok(dead_link(
                "A link to set a new password works once, for an hour. This one was used, or has run out.",
            ));
        }
        let field_errors = field_errors();
        let password = TextField {
            field: "password",
            name: "form[password]",
            label: "New password",
            help: "15 characters or more. Four unusual words do well.",
            kind: "password",
            autocomplete: "new-password",
            max: Some(256),
            ..Default::default()
        };
        let body = view! {
            {title("New password")}
            <h1>"Set a new password"</h1>
            <p class="muted">"Every session of yours ends with it."</p>
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
