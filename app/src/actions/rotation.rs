//! Rotate a key; end, extend or take back its previous secret.

use keydesk_core::forms::rotation::{ExtendForm, RotateForm, SecretRef};
use keydesk_core::ops::keys;
use keydesk_core::ops::reauthentication::reauthenticate;
use leptos::prelude::*;

use super::keys::show_once;
use super::tell;
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::lot::Lot;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "keys/rotate")]
pub async fn rotate_key(form: RotateForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let key = (form.org.as_str(), form.id.as_str());
        let issued = keys::rotate(&desk, &caller, key, &form.from, form.grace.parse()?).await?;
        let page = show_once(&form.org, &issued, desk.now());
        Ok(match Lot::of_form(&form) {
            Some(lot) => page.with_query(&lot.query()),
            None => page,
        })
    })
    .await
}

#[server(endpoint = "keys/end-secret")]
pub async fn end_secret(form: SecretRef) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let key = (form.org.as_str(), form.id.as_str());
        let name = keys::end_previous(&desk, &caller, key, &form.secret).await?;
        tell(
            Tone::Good,
            format!("The previous secret of {name} is ended. Requests with it fail immediately."),
        )?;
        Ok(LocalPath::keys(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "keys/extend-secret")]
pub async fn extend_secret(form: ExtendForm) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let key = (form.org.as_str(), form.id.as_str());
        let name = keys::set_previous_end(&desk, &caller, key, &form.secret, form.grace.parse()?).await?;
        tell(Tone::Good, format!("The end of the previous secret of {name} is changed."))?;
        Ok(LocalPath::rotate(&form.org, &form.id))
    })
    .await
}

#[server(endpoint = "keys/undo-rotation")]
pub async fn undo_rotation(form: SecretRef) -> Result<(), AppError> {
    act(async {
        let desk = desk()?;
        let caller = reauthenticate(&desk, &caller()?, &form.reauth).await?;
        let key = (form.org.as_str(), form.id.as_str());
        let name = keys::undo_rotation(&desk, &caller, key, &form.secret).await?;
        tell(
            Tone::Good,
            format!("The rotation of {name} is undone. Its previous secret is the current one again."),
        )?;
        Ok(LocalPath::keys(&form.org).with_id(&form.id))
    })
    .await
}
