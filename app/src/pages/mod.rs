//! The pages, one file or folder per feature. A page calls one operation and draws its result, or the error with
//! its status.

pub mod account;
pub mod alerts;
pub mod asks;
pub mod audit;
mod bounds;
pub mod doctor;
mod first_steps;
pub mod installation;
pub mod keys;
mod limits;
pub mod live_test;
pub mod members;
mod meters;
mod model_picker;
pub mod models;
pub mod orgs;
pub mod overview;
pub mod providers;
pub mod requests;
pub mod session;
pub mod spend;
pub mod support;
pub mod teams;
pub mod ticket;

use std::future::Future;

use keydesk_core::ops::access::{Caller, OrgContext, read_org};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use crate::ask::{caller, desk, here, note_refused, param, parts, request};
use crate::error::AppError;
use crate::layout::{Width, framed, notice_line, solo, title};
use crate::path::LocalPath;
use crate::returned::{answered, field_errors, returned, typed};

/// Draws the page, or the error in its place.
fn page(work: impl Future<Output = Result<AnyView, AppError>> + Send + 'static) -> impl IntoView {
    let org = param("org");
    // An action that failed as a whole is shown in the place of the page that it was sent from.
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
                    Err(error) => {
                        let path = here();
                        // Elsewhere a path may hold a one-time token.
                        let is_plain = !org.is_empty() || path.starts_with("/operator");
                        note_refused(&error, if is_plain { &path } else { "page" });
                        failed(error, &org).await
                    }
                }
            })}
        </Suspense>
    }
}

/// The heading says what could not be done; the sentence says what is safe and what to do.
async fn failed(error: AppError, slug: &str) -> AnyView {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(error.status());
    }
    let heading = match &error {
        AppError::NotFound => "Page not found",
        AppError::Forbidden | AppError::ReauthRequired => "You don't have permission",
        AppError::SecondFactor { .. } => "Two-factor authentication required",
        AppError::Unauthenticated => "You are signed out",
        AppError::Conflict { .. } | AppError::EditConflict { .. } => "This can't be done now",
        AppError::TooMany { .. } => "Too many attempts",
        AppError::Invalid { .. } | AppError::MalformedForm => "The form could not be read",
        AppError::Unavailable | AppError::Internal => "This page could not be shown",
    };
    let org = org_context(slug).await;
    let back = match (&org, &error) {
        (_, AppError::Unauthenticated) => ("/sign-in".to_owned(), "Sign in"),
        (_, AppError::SecondFactor { .. }) => (LocalPath::second_factor().as_str().to_owned(), "Set up 2FA"),
        (_, AppError::Unavailable | AppError::Internal) => (here(), "Try again"),
        (Some((context, _)), _) => (LocalPath::keys(&context.org.slug).as_str().to_owned(), "Go to Keys"),
        (None, _) => ("/".to_owned(), "Go to the home page"),
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
    match org {
        Some((context, caller)) => framed(&context, &caller, &here(), Width::Wide, body),
        None => solo(body, None),
    }
}

/// The organisation of the address, when the caller may see it.
async fn org_context(slug: &str) -> Option<(OrgContext, Caller)> {
    let (desk, caller) = (desk().ok()?, caller().ok()?);
    Some((read_org(&desk, &caller, slug).await.ok()?, caller))
}

/// An address that no page has.
#[component]
pub fn NoPage() -> impl IntoView {
    let slug = here().split('/').nth(1).unwrap_or_default().to_owned();
    view! { <Suspense>{Suspend::new(async move { failed(AppError::NotFound, &slug).await })}</Suspense> }
}
