//! Add, change and retire a model of the catalogue. For the installation's operator.

use keydesk_core::forms::model::{AddForm, RetireForm, SaveForm};
use keydesk_core::ops::models::{self, Saved};
use keydesk_core::ops::orgs::By;
use leptos::prelude::*;

use super::tell;
use crate::ask::{answer, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "models/add")]
pub async fn add_model(form: AddForm) -> Result<(), AppError> {
    answer(
        async {
            let id = models::add(&desk()?, By::Operator(&caller()?), &form).await?;
            tell(Tone::Good, format!("{id} is in the catalogue. Keys can now be allowed to use it."))?;
            Ok(LocalPath::models())
        }
        .await,
    )
}

#[server(endpoint = "models/save")]
pub async fn save_model(form: SaveForm) -> Result<(), AppError> {
    answer(
        async {
            match models::save(&desk()?, By::Operator(&caller()?), &form).await? {
                Saved::Saved(id) => {
                    tell(
                        Tone::Good,
                        format!("{id} is saved. The change applies to requests that start from now on."),
                    )?;
                    Ok(LocalPath::models())
                }
                Saved::Nothing(_) => {
                    tell(Tone::Good, "No changes to save.")?;
                    Ok(LocalPath::models())
                }
                Saved::EditConflict(conflict) => Err(AppError::EditConflict {
                    sentence: conflict.sentence,
                    fields: conflict.errors,
                    merged: serde_json::to_string(&conflict.form).unwrap_or_default(),
                }),
            }
        }
        .await,
    )
}

#[server(endpoint = "models/retire")]
pub async fn retire_model(form: RetireForm) -> Result<(), AppError> {
    answer(
        async {
            let id = models::retire(&desk()?, By::Operator(&caller()?), &form).await?;
            tell(Tone::Good, format!("{id} is retired. Requests for it fail immediately."))?;
            Ok(LocalPath::models())
        }
        .await,
    )
}
