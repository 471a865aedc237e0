//! The account: a person's own name, password, two-factor authentication and sessions, and their organisations.

mod password;
mod second_factor;
mod sessions;

pub use password::PasswordPage;
pub use second_factor::{RecoveryCodesPage, SecondFactorPage};
pub use sessions::SessionsPage;

use keydesk_core::domain::member::Membership;
use keydesk_core::domain::moment::Zone;
use keydesk_core::ops::access::{Caller, own_orgs};
use keydesk_core::ops::account::{self, Account, NameForm, SessionLife};
use leptos::prelude::*;

use super::members::role_word;
use super::{field_errors, here, notice_line, page, title, typed};
use crate::ask::{caller, desk};
use crate::error::AppError;
use crate::layout::{Width, framed_apart};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::field::{TextField, on_page};
use crate::ui::page_head::page_head;

fn life() -> Result<SessionLife, AppError> {
    use_context().ok_or(AppError::Internal)
}

/// A page of the account, in the frame of no organisation.
async fn framed(caller: &Caller, path: LocalPath, body: AnyView) -> Result<AnyView, AppError> {
    let orgs = own_orgs(&desk()?, caller).await?;
    Ok(framed_apart(&orgs, caller, path.as_str(), Width::Narrow, body))
}

fn crumbs() -> Vec<(String, String)> {
    vec![(LocalPath::account().as_str().to_owned(), "Account".to_owned())]
}

#[component]
pub fn AccountPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = account::show(&desk, &caller, life()?).await?;
        let body = view! {
            {title("Account")}
            {page_head(vec![], "Account".into_any(), ().into_any(), ().into_any())}
            {notice_line()}
            <div class="stack roomy">
                {about(&caller)}
                {signing_in(&view)}
                {places(&view.places)}
            </div>
        };
        framed(&caller, LocalPath::account(), body.into_any()).await
    })
}

fn about(caller: &Caller) -> impl IntoView + use<> {
    let field_errors = field_errors();
    let form = typed().unwrap_or_else(|| NameForm { name: caller.person.name.clone() });
    let name = TextField::new("name", "form[name]", "Name")
        .autocomplete("name")
        .help("Shown in every organisation you belong to.");
    let theme = |value: &'static str, label: &'static str| {
        let pressed = if caller.person.theme == value { "true" } else { "false" };
        view! { <button name="form[theme]" value=value aria-pressed=pressed>{label}</button> }
    };
    view! {
        <section class="card" aria-labelledby="about">
            <header>
                <h2 id="about">"You"</h2>
            </header>
            <form class="form" method="post" action="/api/account/rename" data-enhance data-brief>
                {on_page(here())}
                {name.draw(form.name, &field_errors)}
                <div class="actions">
                    <button class="btn">"Save name"</button>
                </div>
            </form>
            <ul class="rows part">
                <li>
                    <div>
                        <h3>"Email"</h3>
                        <p class="help">"You sign in with it."</p>
                    </div>
                    <span class="value">{caller.person.email.clone()}</span>
                </li>
                <li>
                    <h3 id="theme-of-account">"Theme"</h3>
                    <form method="post" action="/api/session/theme">
                        <input type="hidden" name="form[page]" value=here() />
                        <div class="segmented" role="group" aria-labelledby="theme-of-account">
                            {theme("system", "System")} {theme("light", "Light")} {theme("dark", "Dark")}
                        </div>
                    </form>
                </li>
            </ul>
        </section>
    }
}

fn signing_in(view: &Account) -> impl IntoView + use<> {
    let zone = Zone::utc();
    let asked =
        view.places.iter().find(|place| place.requires_second_factor()).map(|place| place.name.clone());
    let (state, words, action) = match view.second_factor_since {
        Some(since) => {
            let left = match view.codes_left {
                0 => "No recovery codes left.".to_owned(),
                1 => "1 recovery code left.".to_owned(),
                left => format!("{left} recovery codes left."),
            };
            (
                badge(BadgeTone::Good, "On".into(), format!("Since {}.", since.exact(&zone))),
                left,
                "Manage 2FA",
            )
        }
        None => {
            let words = match asked {
                Some(org) => format!("{org} requires it for owners and admins."),
                None => "Signing in then needs a code from your device.".to_owned(),
            };
            (
                badge(BadgeTone::Idle, "Off".into(), "Signing in needs only the password.".into()),
                words,
                "Set up 2FA",
            )
        }
    };
    let sessions = match view.sessions {
        0 | 1 => "Only this session.".to_owned(),
        count => format!("{count} devices are signed in."),
    };
    view! {
        <section class="card" aria-labelledby="signing-in">
            <header>
                <h2 id="signing-in">"Signing in"</h2>
            </header>
            <ul class="rows">
                <li>
                    <div>
                        <h3>"Password"</h3>
                        <p class="help">"A new password ends your other sessions."</p>
                    </div>
                    <a class="btn" href=LocalPath::password()>"Change password"</a>
                </li>
                <li>
                    <div>
                        <h3>"Two-factor authentication (2FA) " {state}</h3>
                        <p class="help">{words}</p>
                    </div>
                    <a class="btn" href=LocalPath::second_factor()>{action}</a>
                </li>
                <li>
                    <div>
                        <h3>"Sessions"</h3>
                        <p class="help">{sessions}</p>
                    </div>
                    <a class="btn" href=LocalPath::sessions()>"View sessions"</a>
                </li>
            </ul>
        </section>
    }
}

fn places(places: &[Membership]) -> impl IntoView + use<> {
    let rows = places
        .iter()
        .map(|place| {
            let label = format!("Leave {}", place.name);
            view! {
                <li>
                    <div>
                        <h3>
                            <a href=LocalPath::keys(&place.slug)>{place.name.clone()}</a>
                        </h3>
                        <p class="help">{role_word(place.role)}</p>
                    </div>
                    <a class="btn quiet" href=LocalPath::leave(&place.slug) aria-label=label>
                        "Leave"
                    </a>
                </li>
            }
        })
        .collect_view();
    let none = places.is_empty().then(|| {
        view! {
            <p class="muted">
                "You don't belong to an organisation. Ask an owner or admin to invite you."
            </p>
        }
    });
    view! {
        <section class="card" aria-labelledby="organisations">
            <header>
                <h2 id="organisations">"Organisations"</h2>
            </header>
            {none}
            <ul class="rows">{rows}</ul>
        </section>
    }
}
