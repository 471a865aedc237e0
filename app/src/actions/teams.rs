//! Create, edit, archive and restore a team; add, change and remove its people.

use keydesk_core::forms::team::{CreateForm, EditForm, TeamForm, TeamRef};
use keydesk_core::forms::team_people::{AddForm, RemoveForm, RoleForm};
use keydesk_core::ops::edit::Outcome;
use keydesk_core::ops::reauthentication::reauthenticate;
use keydesk_core::ops::teams::{self, TeamPersonRef};
use leptos::prelude::*;

use super::{edit_conflict, tell};
use crate::ask::{act, caller, desk};
use crate::error::AppError;
use crate::path::LocalPath;
use crate::sealed::Tone;

#[server(endpoint = "teams/create")]
pub async fn create_team(form: CreateForm) -> Result<(), AppError> {
    act(async {
        let id = teams::create(&desk()?, &caller()?, &form.org, &form.team.parse()?).await?;
        let sentence = format!("Team {} created. Add its people next.", form.team.name.trim());
        tell(Tone::Good, sentence)?;
        Ok(LocalPath::team(&form.org, &id))
    })
    .await
}

#[server(endpoint = "teams/edit")]
pub async fn edit_team(form: EditForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        match teams::edit(&desk, &caller, &form.parse()?).await? {
            Outcome::Saved(id) => {
                tell(Tone::Good, format!("Team {} saved.", form.team.name.trim()))?;
                Ok(LocalPath::team(&form.org, &id))
            }
            Outcome::Unchanged(id) => {
                tell(Tone::Good, "No changes to save.")?;
                Ok(LocalPath::team(&form.org, &id))
            }
            Outcome::Conflict(conflict) => {
                let models = teams::edit_form(&desk, &caller, &form.org, &form.id).await?.models;
                Err(edit_conflict(*conflict, |merged| TeamForm::of(&merged, &models)))
            }
        }
    })
    .await
}

#[server(endpoint = "teams/archive")]
pub async fn archive_team(form: TeamRef) -> Result<(), AppError> {
    act(async {
        let name = teams::archive(&desk()?, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, format!("Team {name} archived. Requests with its keys fail from now on."))?;
        Ok(LocalPath::teams(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "teams/restore")]
pub async fn restore_team(form: TeamRef) -> Result<(), AppError> {
    act(async {
        let name = teams::restore(&desk()?, &caller()?, &form.org, &form.id).await?;
        tell(Tone::Good, format!("Team {name} restored. Its keys work again."))?;
        Ok(LocalPath::teams(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "teams/add")]
pub async fn add_team_person(form: AddForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        let caller = reauthenticate(&desk, &caller, &form.reauth).await?;
        let new = form.parse()?;
        let name = teams::add(&desk, &caller, &form.org, &form.id, &new).await?;
        tell(Tone::Good, format!("{name} added to the team."))?;
        Ok(LocalPath::teams(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "teams/role")]
pub async fn change_team_role(form: RoleForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        let caller = reauthenticate(&desk, &caller, &form.reauth).await?;
        let role = form.parse()?;
        let on = TeamPersonRef { org: &form.org, team: &form.id, person: &form.person };
        let name = teams::set_role(&desk, &caller, on, role).await?;
        tell(Tone::Good, format!("{name}’s role changed. Takes effect immediately."))?;
        Ok(LocalPath::teams(&form.org).with_id(&form.id))
    })
    .await
}

#[server(endpoint = "teams/remove")]
pub async fn remove_team_person(form: RemoveForm) -> Result<(), AppError> {
    act(async {
        let (desk, caller) = (desk()?, caller()?);
        let on = TeamPersonRef { org: &form.org, team: &form.id, person: &form.person };
        let name = teams::remove(&desk, &caller, on).await?;
        tell(Tone::Good, format!("{name} removed from the team. Their keys stay in it."))?;
        let teams = LocalPath::teams(&form.org);
        // A person who removed themselves may no longer see the team.
        let left = caller.person.id.as_str() == form.person;
        Ok(if left { teams } else { teams.with_id(&form.id) })
    })
    .await
}
