//! What a person changes about themselves.

use keydesk_core::ops::account::{self, NameForm, PasswordForm, SessionForm};
use keydesk_core::ops::reauthentication::reauthenticate;
use keydesk_core::ops::second_factor::{self, RenewForm, StartForm, TurnOffForm, TurnOnForm};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::session::begin;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::{self, CODES, FLASH, Flash, NewCodes, Tone};

fn tell(sentence: impl Into<String>) -> Result<(), AppError> {
    sealed::send(FLASH, "/", Flash { tone: Tone::Good, sentence: sentence.into() }, desk()?.now());
    Ok(())
}

#[server(endpoint = "account/rename")]
pub async fn rename(form: NameForm) -> Result<(), AppError> {
    act(async {
        account::rename(&desk()?, &caller()?, &form).await?;
        tell("Your name is saved.")?;
        Ok(LocalPath::account())
    })
    .await
}

#[server(endpoint = "account/password")]
pub async fn change_password(form: PasswordForm) -> Result<(), AppError> {
    act(async {
        let verified = account::change_password(&desk()?, &caller()?, &form).await?;
        begin(&verified.person, verified.password_set_at).await?;
        tell("Your password is changed, and your other sessions are ended.")?;
        Ok(LocalPath::account())
    })
    .await
}

#[server(endpoint = "account/end-session")]
pub async fn end_session(form: SessionForm) -> Result<(), AppError> {
    act(async {
        let device = account::end_session(&desk()?, &caller()?, &form).await?;
        tell(format!("The session of {device} is ended."))?;
        Ok(LocalPath::sessions())
    })
    .await
}

/// Nothing is asked but that it happens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndOthersForm {
    pub confirm: String,
}

#[server(endpoint = "account/end-other-sessions")]
pub async fn end_other_sessions(form: EndOthersForm) -> Result<(), AppError> {
    let _ = form;
    act(async {
        match account::end_other_sessions(&desk()?, &caller()?).await? {
            0 => tell("There was no other session.")?,
            1 => tell("Your other session is ended.")?,
            ended => tell(format!("Your {ended} other sessions are ended."))?,
        }
        Ok(LocalPath::sessions())
    })
    .await
}

#[server(endpoint = "second-factor/start")]
pub async fn start_second_factor(form: StartForm) -> Result<(), AppError> {
    act(async {
        second_factor::start(&desk()?, &caller()?, &form).await?;
        Ok(LocalPath::second_factor())
    })
    .await
}

#[server(endpoint = "second-factor/turn-on")]
pub async fn turn_on_second_factor(form: TurnOnForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let codes = second_factor::turn_on(&desk, &caller, &form).await?;
        tell("Two-factor authentication is on. Signing in now takes a code too.")?;
        show_codes(codes)
    })
    .await
}

#[server(endpoint = "second-factor/turn-off")]
pub async fn turn_off_second_factor(form: TurnOffForm) -> Result<(), AppError> {
    act(async {
        second_factor::turn_off(&desk()?, &caller()?, &form).await?;
        tell("Two-factor authentication is off. Signing in takes the password alone.")?;
        Ok(LocalPath::account())
    })
    .await
}

#[server(endpoint = "second-factor/renew-codes")]
pub async fn renew_recovery_codes(form: RenewForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let codes = second_factor::renew_codes(&desk, &caller).await?;
        tell("You have new recovery codes. The earlier ones no longer work.")?;
        show_codes(codes)
    })
    .await
}

/// To the one page that shows them, as a new key's secret goes to its page.
fn show_codes(codes: Vec<String>) -> Result<LocalPath, AppError> {
    let path = LocalPath::recovery_codes();
    let body = NewCodes { person: caller()?.person.id, codes };
    sealed::send(CODES, path.as_str(), body, desk()?.now());
    Ok(path)
}
