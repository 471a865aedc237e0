//! Connect, change and retire a provider, and route models to it. For the installation's operator.

use keydesk_core::forms::provider::{AddForm, RetireForm, RouteForm, SaveForm};
use keydesk_core::ops::orgs::By;
use keydesk_core::ops::providers::{self, Retired, Routed, Saved};
use leptos::prelude::*;

use super::tell;
use crate::ask::{answer, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "providers/add")]
pub async fn add_provider(form: AddForm) -> Result<(), AppError> {
    answer(
        async {
            let provider = providers::add(&desk()?, By::Operator(&caller()?), &form).await?;
            let sentence = format!(
                "{} is connected at {}. Choose the models that it serves next.",
                provider.name, provider.base_url
            );
            tell(Tone::Good, sentence)?;
            Ok(LocalPath::provider(&provider.id))
        }
        .await,
    )
}

#[server(endpoint = "providers/save")]
pub async fn save_provider(form: SaveForm) -> Result<(), AppError> {
    answer(
        async {
            match providers::save(&desk()?, By::Operator(&caller()?), &form).await? {
                Saved::Saved(spec) => {
                    let sentence = format!(
                        "{} is saved. Requests that start from now on go to {}.",
                        spec.name, spec.base_url
                    );
                    tell(Tone::Good, sentence)?;
                    Ok(LocalPath::providers().with_id(&form.id))
                }
                Saved::Nothing => {
                    tell(Tone::Good, "Nothing was changed.")?;
                    Ok(LocalPath::providers().with_id(&form.id))
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

#[server(endpoint = "providers/route")]
pub async fn route_models(form: RouteForm) -> Result<(), AppError> {
    answer(
        async {
            let routed = providers::route(&desk()?, By::Operator(&caller()?), &form).await?;
            tell(Tone::Good, routed_words(&routed))?;
            Ok(LocalPath::providers().with_id(&form.id))
        }
        .await,
    )
}

#[server(endpoint = "providers/retire")]
pub async fn retire_provider(form: RetireForm) -> Result<(), AppError> {
    answer(
        async {
            let Retired { name, unrouted } =
                providers::retire(&desk()?, By::Operator(&caller()?), &form).await?;
            let sentence = match unrouted.len() {
                0 => format!("{name} is retired. It served no model."),
                1 => format!("{name} is retired. Nobody serves {} now.", unrouted[0]),
                count => format!("{name} is retired. Nobody serves its {count} models now."),
            };
            tell(Tone::Good, sentence)?;
            Ok(LocalPath::providers())
        }
        .await,
    )
}

fn routed_words(routed: &Routed) -> String {
    let count = |count: usize| match count {
        1 => "1 model".to_owned(),
        count => format!("{count} models"),
    };
    match (routed.added, routed.removed) {
        (0, 0) => "Nothing was changed.".into(),
        (added, 0) => format!("{} more served by {} from now on.", count(added), routed.name),
        (0, removed) => {
            format!("{} no longer served by {}. Nobody serves them now.", count(removed), routed.name)
        }
        (added, removed) => {
            format!(
                "{} more served by {} from now on, and {} no longer.",
                count(added),
                routed.name,
                count(removed)
            )
        }
    }
}
