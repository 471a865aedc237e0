//! Two-factor authentication: setting it up, its recovery codes, turning it off.

use http::{HeaderValue, header};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::second_factor::{self, View};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::{crumbs, framed};
use crate::ask::{caller, desk};
use crate::layout::reauth::{reauth_fields, reauth_password};
use crate::pages::{field_errors, here, notice_line, page, title};
use crate::path::LocalPath;
use crate::sealed::{self, CODES, NewCodes};
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::code::copy_button;
use crate::ui::field::{FieldErrors, TextField, on_page};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::qr::qr;

#[component]
pub fn SecondFactorPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = second_factor::show(&desk, &caller).await?;
        let (field_errors, now) = (field_errors(), desk.now());
        let state = match &view {
            View::On { since, .. } => {
                badge(BadgeTone::Good, "On".into(), format!("Since {}.", since.exact(&Zone::utc())))
                    .into_any()
            }
            View::Off | View::SettingUp { .. } => {
                badge(BadgeTone::Idle, "Off".into(), "Signing in needs only the password.".into()).into_any()
            }
        };
        let heading = view! { "Two-factor authentication " {state} };
        let part = match view {
            View::Off => off(&field_errors),
            View::SettingUp { secret, url } => {
                no_store();
                setting_up(&secret, &url, &caller, now, &field_errors)
            }
            View::On { codes_left, asked_by, .. } => on(codes_left, asked_by, &caller, now, &field_errors),
        };
        let body = view! {
            {title("Two-factor authentication")}
            {page_head(crumbs(), heading.into_any(), ().into_any(), ().into_any())}
            {field_errors.0.is_empty().then(notice_line)}
            {part}
        };
        framed(&caller, LocalPath::second_factor(), body.into_any()).await
    })
}

/// A page with a secret is neither stored nor transformed on the way.
fn no_store() {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    }
}

fn code_field(label: &'static str, help: &'static str) -> TextField {
    TextField::new("code", "form[code]", label).autocomplete("one-time-code").help(help)
}

fn off(field_errors: &FieldErrors) -> AnyView {
    view! {
        <div class="stack roomy">
            <p>
                "With two-factor authentication (2FA), signing in needs a code from an app on your device after the password. A stolen password alone is then not enough."
            </p>
            <form class="form" method="post" action="/api/second-factor/start" data-enhance data-brief>
                {on_page(here())}
                {reauth_password("You then have ten minutes to set up your device.", field_errors)}
                <div class="actions">
                    <button class="btn primary">"Set up 2FA"</button>
                    <a class="btn quiet" href=LocalPath::account()>"Cancel"</a>
                </div>
            </form>
        </div>
    }
    .into_any()
}

fn setting_up(secret: &str, url: &str, caller: &Caller, now: Moment, field_errors: &FieldErrors) -> AnyView {
    let groups: Vec<String> =
        secret.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let code = TextField { inputmode: "numeric", ..code_field("Code from the app", "Six digits.") };
    view! {
        <div class="stack roomy">
            <section class="stack" aria-labelledby="scan">
                <h2 id="scan">"1. Add Keydesk to your authenticator app"</h2>
                <p>"Scan this QR code with the app, or type the secret below it."</p>
                {qr(url, "QR code of the secret")}
                <div class="secret">
                    <code id="secret">{groups.join(" ")}</code>
                    {copy_button("Copy secret", "", "secret".into())}
                </div>
            </section>
            <section class="stack" aria-labelledby="prove">
                <h2 id="prove">"2. Enter the code from the app"</h2>
                <form class="form" method="post" action="/api/second-factor/turn-on" data-enhance data-brief>
                    {on_page(here())}
                    {code.draw(String::new(), field_errors)}
                    {reauth_fields(caller, now, field_errors)}
                    <p class="muted">"This ends your other sessions."</p>
                    <div class="actions">
                        <button class="btn primary">"Turn on 2FA"</button>
                        <a class="btn quiet" href=LocalPath::account()>"Cancel"</a>
                    </div>
                </form>
            </section>
        </div>
    }
    .into_any()
}

fn on(
    codes_left: i64,
    asked_by: Option<String>,
    caller: &Caller,
    now: Moment,
    field_errors: &FieldErrors,
) -> AnyView {
    let left = match codes_left {
        0 => "None left. Create new ones now, or you are locked out if you lose your device.".to_owned(),
        1 => "1 left. Create new ones before you use it.".to_owned(),
        left => format!("{left} left."),
    };
    let off = match asked_by {
        Some(org) => view! {
            <p class="muted">{format!("{org} requires 2FA for owners and admins, so you can't turn it off.")}</p>
        }
        .into_any(),
        None => {
            let password = TextField::new("current", "form[current]", "Your password").password("current-password");
            let code = code_field("Code from your device", "Or a recovery code.");
            view! {
                <form class="form" method="post" action="/api/second-factor/turn-off" data-enhance data-brief>
                    {on_page(here())}
                    {password.draw(String::new(), field_errors)}
                    {code.draw(String::new(), field_errors)}
                    <div class="actions">
                        <button class="btn danger">"Turn off 2FA"</button>
                    </div>
                </form>
            }
            .into_any()
        }
    };
    view! {
        <div class="stack roomy">
            <p>"Signing in needs your password and a code from your device."</p>
            <section class="card" aria-labelledby="codes">
                <header>
                    <h2 id="codes">"Recovery codes"</h2>
                </header>
                <p>"Each code signs you in once without your device. " {left}</p>
                <form class="form" method="post" action="/api/second-factor/renew-codes" data-enhance data-brief>
                    {on_page(here())}
                    {reauth_fields(caller, now, field_errors)}
                    <div class="actions">
                        <button class="btn" name="form[confirm]" value="yes">"Create new recovery codes"</button>
                    </div>
                </form>
            </section>
            <section class="card" aria-labelledby="off">
                <header>
                    <h2 id="off">"Turn off"</h2>
                </header>
                {off}
            </section>
        </div>
    }
    .into_any()
}

/// Shows new codes once: they come in a sealed cookie that this page clears.
#[component]
pub fn RecoveryCodesPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let path = LocalPath::recovery_codes();
        let sent: Option<NewCodes> = sealed::take(CODES, path.as_str(), desk.now());
        let codes = sent.filter(|sent| sent.person == caller.person.id).map(|sent| sent.codes);
        no_store();
        let crumbs = [
            crumbs(),
            vec![(LocalPath::second_factor().as_str().to_owned(), "Two-factor authentication".to_owned())],
        ];
        let back = LocalPath::second_factor().as_str().to_owned();
        let part = match codes {
            Some(codes) => view! {
                <div class="stack roomy" data-once>
                    <p>"Each code signs you in once, instead of a code from your device."</p>
                    <div class="code">
                        <pre tabindex="0" role="region" aria-label="Recovery codes">
                            <code id="codes">{codes.join("\n")}</code>
                        </pre>
                        {copy_button("Copy codes", "copy", "codes".into())}
                    </div>
                    <p class="warn-line">
                        {icon(Icon::Warn)}
                        <span>
                            <b>"This is the only time they are shown."</b>
                            " Store them where you can find them without your device, such as in a password manager or on paper."
                        </span>
                    </p>
                    <div class="actions">
                        <a class="btn" href=back>"I have stored them"</a>
                    </div>
                </div>
            }
            .into_any(),
            None => view! {
                <div class="stack roomy">
                    <p>
                        "Recovery codes are shown once, when they are created, and can't be shown again. If you did not store them, create new ones."
                    </p>
                    <div class="actions">
                        <a class="btn" href=back>"Go to two-factor authentication"</a>
                    </div>
                </div>
            }
            .into_any(),
        };
        let body = view! {
            {title("Recovery codes")}
            {page_head(crumbs.concat(), "Recovery codes".into_any(), ().into_any(), ().into_any())}
            {notice_line()}
            {part}
        };
        framed(&caller, path, body.into_any()).await
    })
}
