//! Set-up, sign-in in one step or two, sign-out, a forgotten password, the theme.

use http::{HeaderValue, header};
use keydesk_core::Desk;
use keydesk_core::domain::ids::PersonId;
use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::moment::Moment;
use keydesk_core::ops::OpError;
use keydesk_core::ops::codes::Used;
use keydesk_core::ops::lane::SignInSource;
use keydesk_core::ops::second_factor::{self, CodeForm};
use keydesk_core::ops::setup::{self, SetupForm};
use keydesk_core::ops::sign_in::{self, ResetForm, SignInForm, VerifiedPassword};
use keydesk_core::security_log;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use serde::{Deserialize, Serialize};
use tower_sessions::{Session, session, session_store};

use crate::ask::{act, base_url, caller, desk, parts, request};
use crate::devices;
use crate::error::AppError;
use crate::mail::{Letter, mailer};
use crate::path::LocalPath;
use crate::sealed::{self, FLASH, Flash, PENDING_SIGN_IN, PendingSignIn, Tone};

/// What the session's data hold; the server's session store reads them into columns.
pub const PERSON: &str = "person";
/// The moment that stands for the password that was right.
pub const PASSWORD_SET_AT: &str = "password_set_at";
pub const ADDRESS: &str = "address";
pub const USER_AGENT: &str = "user_agent";
/// What the session store answers when that password is not the person's any more.
pub const REFUSED: &str = "the password that was verified is not the person's any more";

fn session() -> Result<Session, AppError> {
    parts().and_then(|parts| parts.extensions.get::<Session>().cloned()).ok_or(AppError::Internal)
}

/// A new session under a new id, whatever the browser had before. For a person who has proved who they are, wholly.
pub(super) async fn begin(person: &PersonId, password_set_at: Moment) -> Result<(), AppError> {
    let agent = parts()
        .and_then(|parts| parts.headers.get(header::USER_AGENT)?.to_str().ok().map(str::to_owned))
        .unwrap_or_default();
    // It is stored and shown.
    let shown = if has_secret(&agent) { "" } else { agent.as_str() };
    let agent: String = shown.chars().take(300).collect();
    let session = session()?;
    if session.id().is_some() {
        session.flush().await.map_err(not_kept)?;
    }
    session.insert(PERSON, person.as_str()).await.map_err(not_kept)?;
    session.insert(PASSWORD_SET_AT, password_set_at.ms()).await.map_err(not_kept)?;
    session.insert(ADDRESS, request().address).await.map_err(not_kept)?;
    session.insert(USER_AGENT, agent).await.map_err(not_kept)?;
    if let Err(error) = session.save().await {
        // Nothing of it may be saved later.
        session.clear().await;
        return Err(not_kept(error));
    }
    devices::remember(person)
}

fn not_kept(error: session::Error) -> AppError {
    match error {
        session::Error::Store(session_store::Error::Backend(why)) if why == REFUSED => AppError::Conflict {
            sentence: "Your password was changed at the same moment, so you were not signed in. Sign in with the new one."
                .into(),
        },
        session::Error::Store(_) => AppError::Unavailable,
        _ => AppError::Internal,
    }
}

/// The session of a person whose first password was set with this request.
pub(super) async fn begin_first(person: &PersonId) -> Result<(), AppError> {
    begin(person, sign_in::password_set_at(&desk()?, person).await?).await
}

/// After a right password: a session, or the page that asks for the code.
pub(super) async fn go_on(verified: &VerifiedPassword, next: &LocalPath) -> Result<LocalPath, AppError> {
    if verified.second_factor {
        let desk = desk()?;
        let half = PendingSignIn {
            person: verified.person.clone(),
            password_set_at: verified.password_set_at.ms(),
            attempt: second_factor::begin_attempt(&desk, verified).await?,
            next: next.as_str().into(),
        };
        sealed::send(PENDING_SIGN_IN, "/", half, desk.now());
        return Ok(LocalPath::code());
    }
    begin(&verified.person, verified.password_set_at).await?;
    Ok(next.clone())
}

#[server(endpoint = "session/setup")]
pub async fn set_up(form: SetupForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let (person, org) = setup::set_up(&desk, &form).await?;
        begin_first(&person).await?;
        Ok(LocalPath::overview(&org.slug))
    })
    .await
}

#[server(endpoint = "session/sign-in")]
pub async fn sign_in(form: SignInForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let (asked, devices) = (request(), devices::known());
        let from = SignInSource { address: &asked.address, request_id: &asked.id, devices: &devices };
        let verified = sign_in::sign_in(&desk, &form, &from).await?;
        go_on(&verified, &LocalPath::parse(&form.next).unwrap_or_else(LocalPath::home)).await
    })
    .await
}

/// The second step of a sign-in. Without the first one's cookie there is nothing to finish.
#[server(endpoint = "session/code")]
pub async fn sign_in_with_code(form: CodeForm) -> Result<(), AppError> {
    act(async {
        let (desk, asked, devices) = (desk()?, request(), devices::known());
        let half: PendingSignIn =
            sealed::peek(PENDING_SIGN_IN, "/", desk.now()).ok_or(AppError::Unauthenticated)?;
        let verified = VerifiedPassword {
            person: half.person,
            password_set_at: Moment::from_ms(half.password_set_at),
            second_factor: true,
        };
        let from = SignInSource { address: &asked.address, request_id: &asked.id, devices: &devices };
        let used = second_factor::finish_sign_in(&desk, &verified, &half.attempt, &form, &from).await;
        if let Err(OpError::Invalid(_)) = &used {
            tell_owner(&desk, &verified.person).await?;
        }
        let used = used.map_err(|error| match error {
            OpError::NotFound => AppError::Unauthenticated,
            other => other.into(),
        })?;
        begin(&verified.person, verified.password_set_at).await?;
        sealed::clear(PENDING_SIGN_IN, "/");
        if let Some(sentence) = after_sign_in(used, half.attempt.wrong_codes) {
            sealed::send(FLASH, "/", Flash { tone: Tone::Warn, sentence }, desk.now());
        }
        Ok(LocalPath::parse(&half.next).unwrap_or_else(LocalPath::home))
    })
    .await
}

/// What a person has to know who signed in with a code, or with wrong ones before this attempt.
fn after_sign_in(used: Used, wrong_codes: i64) -> Option<String> {
    let used = match used {
        Used::Code => None,
        Used::RecoveryCode { left: 0 } => {
            Some("You signed in with your last recovery code. Make new ones in your account.".to_owned())
        }
        Used::RecoveryCode { left: 1 } => {
            Some("You signed in with a recovery code. One is left: make new ones in your account.".to_owned())
        }
        Used::RecoveryCode { left } => Some(format!("You signed in with a recovery code. {left} are left.")),
    };
    let codes = match wrong_codes {
        ..1 => return used,
        1 => "One wrong code was".to_owned(),
        many => format!("{many} wrong codes were"),
    };
    let wrong = format!(
        "{codes} typed after your right password since you last signed in. If that was not you, your password is known to another person: change it now."
    );
    Some(used.into_iter().chain([wrong]).collect::<Vec<_>>().join(" "))
}

/// Mails the owner, once until they sign in, when wrong codes pile up behind the right password.
async fn tell_owner(desk: &Desk, person: &PersonId) -> Result<(), AppError> {
    let Some(mailer) = mailer() else { return Ok(()) };
    if let Some(owner) = second_factor::owner_to_tell(desk, person).await? {
        let text = format!(
            "Your right password was typed at {base}, and then wrong two-factor codes.\n\n\
             Two-factor authentication kept them out. If it was not you, change your password now:\n\n\
             {base}{path}\n\nIf you cannot sign in with a code, use one of your recovery codes.\n",
            base = base_url(),
            path = LocalPath::password().as_str(),
        );
        let subject = "Wrong two-factor codes after your right password".to_owned();
        mailer.send(Letter { to: owner.email, subject, text }).await;
    }
    Ok(())
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
    act(async {
        let caller = caller()?;
        let from = (caller.address.as_str(), caller.request_id.as_str());
        security_log::done("sign-out", caller.person.id.as_str(), from);
        session()?.flush().await.map_err(not_kept)?;
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
    })
    .await
}

#[server(endpoint = "session/reset")]
pub async fn reset_password(form: ResetForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let (person, asked) = (sign_in::reset_password(&desk, &form).await?, request());
        security_log::done("password.reset", person.as_str(), (&asked.address, &asked.id));
        // Their link proved who they are: from here they get in, whatever others try.
        devices::remember(&person)?;
        let sentence = "The new password is set, and every session is ended. Sign in with it.".into();
        sealed::send(FLASH, "/", Flash { tone: Tone::Good, sentence }, desk.now());
        Ok(LocalPath::sign_in())
    })
    .await
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
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        sign_in::set_theme(&desk, &caller, &form.theme).await?;
        Ok(LocalPath::parse(&form.page).unwrap_or_else(LocalPath::home))
    })
    .await
}
