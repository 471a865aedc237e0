//! Create, edit, archive and restore a team; add, change and remove its people.

use keydesk_core::forms::team::{CreateForm, EditForm, TeamRef};
use keydesk_core::ops::reauthentication::reauthenticate;
use keydesk_core::ops::teams::{self, AddForm, Edited, PersonForm, RemoveForm};
use leptos::prelude::*;

use super::tell;
use crate::ask::{answer, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "teams/create")]
pub async fn create_team(form: CreateForm) -> Result<(), AppError> {
    answer(
        async {
            let id = teams::create(&desk()?, &caller()?, &form).await?;
            let sentence = format!("Team {} created. Add its people next.", form.team.name.trim());
            tell(Tone::Good, sentence)?;
            Ok(LocalPath::team(&form.org, &id))
        }
        .await,
    )
}

#[server(endpoint = "teams/edit")]
pub async fn edit_team(form: EditForm) -> Result<(), AppError> {
    answer(
        async {
            match teams::edit(&desk()?, &caller()?, &form).await? {
                Edited::Saved(id) => {
                    tell(Tone::Good, format!("Team {} saved.", form.team.name.trim()))?;
                    Ok(LocalPath::team(&form.org, &id))
                }
                Edited::Nothing(id) => {
                    tell(Tone::Good, "No changes to save.")?;
                    Ok(LocalPath::team(&form.org, &id))
                }
                Edited::EditConflict(conflict) => Err(AppError::EditConflict {
                    sentence: conflict.sentence,
                    fields: conflict.errors,
                    merged: serde_json::to_string(&conflict.form).unwrap_or_default(),
                }),
            }
        }
        .await,
    )
}

#[server(endpoint = "teams/archive")]
pub async fn archive_team(form: TeamRef) -> Result<(), AppError> {
    answer(
        async {
            let name = teams::archive(&desk()?, &caller()?, &form).await?;
            tell(
                Tone::Good,
                format!("Team {name} archived. Requests with its keys are refused from now on."),
            )?;
            Ok(LocalPath::teams(&form.org).with_id(&form.id))
        }
        .await,
    )
}

#[server(endpoint = "teams/restore")]
pub async fn restore_team(form: TeamRef) -> Result<(), AppError> {
    answer(
        async {
            let name = teams::restore(&desk()?, &caller()?, &form).await?;
            tell(Tone::Good, format!("Team {name} restored. Its keys are let in again."))?;
            Ok(LocalPath::teams(&form.org).with_id(&form.id))
        }
        .await,
    )
}

#[server(endpoint = "teams/add")]
pub async fn add_team_person(form: AddForm) -> Result<(), AppError> {
    answer(
        async {
            let (desk, caller) = (desk()?, caller()?);
            let caller = reauthenticate(&desk, &caller, &form.reauth).await?;
            let name = teams::add(&desk, &caller, &form).await?;
            tell(Tone::Good, format!("{name} added to the team."))?;
            Ok(LocalPath::teams(&form.org).with_id(&form.id))
        }
        .await,
    )
}

#[server(endpoint = "teams/role")]
pub async fn change_team_role(form: PersonForm) -> Result<(), AppError> {
    answer(
        async {
            let (desk, caller) = (desk()?, caller()?);
            let caller = reauthenticate(&desk, &caller, &form.reauth).await?;
            let name = teams::set_role(&desk, &caller, &form).await?;
            tell(Tone::Good, format!("{name}’s role changed. It holds from their next request on."))?;
            Ok(LocalPath::teams(&form.org).with_id(&form.id))
        }
        .await,
    )
}

#[server(endpoint = "teams/remove")]
pub async fn remove_team_person(form: RemoveForm) -> Result<(), AppError> {
    answer(
        async {
            let (desk, caller) = (desk()?, caller()?);
            let name = teams::remove(&desk, &caller, &form).await?;
            tell(Tone::Good, format!("{name} removed from the team. Their keys stay in it."))?;
            let teams = LocalPath::teams(&form.org);
            // Who removed themselves may not see the team any more.
            let left = caller.person.id.as_str() == form.person;
            Ok(if left { teams } else { teams.with_id(&form.id) })
        }
        .await,
    )
}
