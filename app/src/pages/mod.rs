//! The pages, one file or folder per feature. A page asks one operation and draws what it answers; what could not be
//! done is drawn too, with its true status.

pub mod account;
pub mod audit;
mod bounds;
pub mod keys;
pub mod members;
mod meters;
pub mod models;
pub mod orgs;
pub mod providers;
pub mod session;
pub mod support;
pub mod teams;

use std::future::Future;

use keydesk_core::ops::access::{Caller, OrgContext, read_org};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::Title;

use crate::ask::{caller, desk, param, parts, request};
use crate::error::AppError;
use crate::layout::{Width, framed, solo};
use crate::path::LocalPath;
use crate::sealed::{self, FLASH, Flash, Returned};
use crate::ui::field::FieldErrors;
use crate::ui::notice::notice;

/// Draws what the work comes to, or why it came to nothing.
fn page(work: impl Future<Output = Result<AnyView, AppError>> + Send + 'static) -> impl IntoView {
    let org = param("org");
    // An act that failed as a whole is told in the place of the page it was asked from.
    let forced = parts().and_then(|parts| parts.extensions.get::<AppError>().cloned());
    view! {
        <Suspense>
            {Suspend::new(async move {
                let drawn = match forced {
                    Some(error) => Err(error),
                    None => work.await,
                };
                match drawn {
                    Ok(view) => view,
                    Err(error) => failed(error, &org).await,
                }
            })}
        </Suspense>
    }
}

/// The form that came back to this page, if one did.
fn returned() -> Option<Returned> {
    parts()?.extensions.get::<Returned>().cloned()
}

/// The line that the act before this page left for it, or what is wrong with the form that came back.
fn notice_line() -> Option<AnyView> {
    let left = desk().ok().and_then(|desk| sealed::take::<Flash>(FLASH, "/", desk.now()));
    let flash = returned().map(|form| form.notice).or(left)?;
    Some(notice(flash.tone, flash.sentence))
}

fn field_errors() -> FieldErrors {
    FieldErrors(returned().map(|form| form.errors).unwrap_or_default())
}

/// The form that came back, as it was typed.
fn typed<T: serde::de::DeserializeOwned>() -> Option<T> {
    #[derive(serde::Deserialize)]
    struct Sent<T> {
        form: T,
    }
    let text = serde_urlencoded::to_string(returned()?.values).ok()?;
    serde_qs::Config::new(5, false).deserialize_str::<Sent<T>>(&text).ok().map(|sent| sent.form)
}

/// The path of this page, to come back to.
fn here() -> String {
    let path = parts().and_then(|parts| LocalPath::parse(parts.uri.path()));
    path.unwrap_or_else(LocalPath::home).as_str().to_owned()
}

fn title(words: impl Into<String>) -> impl IntoView {
    // leptos_meta puts a title into the page as it is, so it is escaped here: a key's name may hold markup.
    let words = words.into().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    view! { <Title text=format!("{words} · Keydesk") /> }
}

/// The heading says what could not be done; the sentence says what is safe and what to do.
async fn failed(error: AppError, slug: &str) -> AnyView {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(error.status());
    }
    let heading = match &error {
        AppError::NotFound => "There is no page here",
        AppError::Forbidden | AppError::ReauthRequired => "You may not do this",
        AppError::SecondFactor { .. } => "A second factor is needed",
        AppError::Unauthenticated => "You are signed out",
        AppError::Conflict { .. } | AppError::EditConflict { .. } => "This can't be done any more",
        AppError::TooMany { .. } => "Too many attempts",
        AppError::Invalid { .. } | AppError::MalformedKey => "This could not be read",
        AppError::Unavailable | AppError::Internal => "This page could not be shown",
    };
    let place = place(slug).await;
    let back = match (&place, &error) {
        (_, AppError::Unauthenticated) => ("/sign-in".to_owned(), "Sign in"),
        (_, AppError::SecondFactor { .. }) => {
            (LocalPath::second_factor().as_str().to_owned(), "Set up a second factor")
        }
        (_, AppError::Unavailable | AppError::Internal) => (here(), "Try again"),
        (Some((context, _)), _) => (LocalPath::keys(&context.org.slug).as_str().to_owned(), "Go to Keys"),
        (None, _) => ("/".to_owned(), "Go to the start"),
    };
    let body = view! {
        {title(heading)}
        <section class="failed">
            <p class="code-no">{error.status().as_u16()}</p>
            <h1>{heading}</h1>
            <p class="muted">{error.sentence()}</p>
            <div class="actions">
                <a class="btn" href=back.0>{back.1}</a>
            </div>
            <p class="request">"Request " <code>{request().id}</code></p>
        </section>
    }
    .into_any();
    match place {
        Some((context, caller)) => framed(&context, &caller, &here(), Width::Wide, body),
        None => solo(body, None),
    }
}

/// The organisation of the address, when the caller has a place in it.
async fn place(slug: &str) -> Option<(OrgContext, Caller)> {
    let (desk, caller) = (desk().ok()?, caller().ok()?);
    Some((read_org(&desk, &caller, slug).await.ok()?, caller))
}

/// An address that no page has.
#[component]
pub fn NoPage() -> impl IntoView {
    let slug = here().split('/').nth(1).unwrap_or_default().to_owned();
    view! { <Suspense>{Suspend::new(async move { failed(AppError::NotFound, &slug).await })}</Suspense> }
}
