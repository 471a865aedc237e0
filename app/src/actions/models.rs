//! Add, change and retire a model of the catalogue. For the installation's operator.

use keydesk_core::forms::model::{AddForm, ModelForm, RetireForm, SaveForm};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::models;
use keydesk_core::ops::orgs::OperatorActor;
use leptos::prelude::*;

use super::{edit_conflict, tell};
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "models/add")]
pub async fn add_model(form: AddForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        let id = models::add(&desk()?, OperatorActor::Operator(&caller), &form.model.parse()?).await?;
        tell(Tone::Good, format!("{id} is in the catalogue. Keys can now be allowed to use it."))?;
        Ok(LocalPath::models())
    })
    .await
}

#[server(endpoint = "models/save")]
pub async fn save_model(form: SaveForm) -> Result<(), AppError> {
    act(async {
        let caller = caller()?;
        OperatorActor::Operator(&caller).must_operate()?;
        match models::save(&desk()?, OperatorActor::Operator(&caller), &form.parse()?).await? {
            Outcome::Saved(id) => {
                tell(
                    Tone::Good,
                    format!("{id} is saved. The change applies to requests that start from now on."),
                )?;
                Ok(LocalPath::models())
            }
            Outcome::Unchanged(_) => {
                tell(Tone::Good, "No changes to save.")?;
                Ok(LocalPath::models())
            }
            Outcome::Conflict(conflict) => Err(edit_conflict(*conflict, |merged| ModelForm::of(&merged))),
        }
    })
    .await
}

#[server(endpoint = "models/retire")]
pub async fn retire_model(form: RetireForm) -> Result<(), AppError> {
    act(async {
        let id = models::retire(&desk()?, OperatorActor::Operator(&caller()?), &form.id).await?;
        tell(Tone::Good, format!("{id} is retired. Requests for it fail immediately."))?;
        Ok(LocalPath::models())
    })
    .await
}
