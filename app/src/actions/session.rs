//! Set-up, sign-in, sign-out, a forgotten password, the theme.

use http::{HeaderValue, header};
use keydesk_core::domain::ids::PersonId;
use keydesk_core::ops::setup::{self, SetupForm};
use keydesk_core::ops::sign_in::{self, ResetForm, SignInForm};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::ask::{answer, caller, desk, parts, request};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, FLASH, Flash, Tone};

/// What the session's data hold; the server's session store reads them into columns.
pub const PERSON: &str = "person";
pub const ADDRESS: &str = "address";
pub const USER_AGENT: &str = "user_agent";

fn session() -> Result<Session, AppError> {
    parts().and_then(|parts| parts.extensions.get::<Session>().cloned()).ok_or(AppError::Internal)
}

/// A new session under a new id, whatever the browser had before.
pub(super) async fn begin(person: &PersonId) -> Result<(), AppError> {
    let agent = parts()
        .and_then(|parts| parts.headers.get(header::USER_AGENT)?.to_str().ok().map(str::to_owned))
        .unwrap_or_default();
    let agent: String = agent.chars().take(300).collect();
    let session = session()?;
    let failed = |_| AppError::Internal;
    if session.id().is_some() {
        session.flush().await.map_err(failed)?;
    }
    session.insert(PERSON, person.as_str()).await.map_err(failed)?;
    session.insert(ADDRESS, request().address).await.map_err(failed)?;
    session.insert(USER_AGENT, agent).await.map_err(failed)?;
    session.save().await.map_err(failed)
}

#[server(endpoint = "session/setup")]
pub async fn set_up(form: SetupForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let (person, org) = setup::set_up(&desk, &form).await?;
            begin(&person).await?;
            Ok(LocalPath::keys(&org.slug))
        }
        .await,
    )
}

#[server(endpoint = "session/sign-in")]
pub async fn sign_in(form: SignInForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            let person = sign_in::sign_in(&desk, &form, &request().address).await?;
            begin(&person).await?;
            Ok(LocalPath::parse(&form.next).unwrap_or_else(LocalPath::home))
        }
        .await,
    )
}

/// Nothing is asked of a sign-out but that it happens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignOutForm {
    pub confirm: String,
}

#[server(endpoint = "session/sign-out")]
pub async fn sign_out(form: SignOutForm) -> Result<(), AppError> {
    let _ = form;
    answer(
        async {
            caller()?;
            session()?.flush().await.map_err(|_| AppError::Internal)?;
            if let Some(response) = use_context::<ResponseOptions>() {
                let clear = HeaderValue::from_static("\"cache\", \"storage\"");
                response.insert_header(header::HeaderName::from_static("clear-site-data"), clear);
            }
            sealed::send(
                FLASH,
                "/",
                Flash { tone: Tone::Good, sentence: "You are signed out.".into() },
                desk()?.now(),
            );
            Ok(LocalPath::sign_in())
        }
        .await,
    )
}

#[server(endpoint = "session/reset")]
pub async fn reset_password(form: ResetForm) -> Result<(), AppError> {
    answer(
        async {
            let desk = desk()?;
            sign_in::reset_password(&desk, &form).await?;
            let sentence = "The new password is set, and every session is ended. Sign in with it.".into();
            sealed::send(FLASH, "/", Flash { tone: Tone::Good, sentence }, desk.now());
            Ok(LocalPath::sign_in())
        }
        .await,
    )
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThemeForm {
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// The page to go back to.
    pub page: String,
}

#[server(endpoint = "session/theme")]
pub async fn set_theme(form: ThemeForm) -> Result<(), AppError> {
    answer(
        async {
            let (desk, caller) = (desk()?, caller()?);
            sign_in::set_theme(&desk, &caller, &form.theme).await?;
            Ok(LocalPath::parse(&form.page).unwrap_or_else(LocalPath::home))
        }
        .await,
    )
}
