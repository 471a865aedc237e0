//! A new team, and changing what people decide about one. Only what a person changed is written, and only if no one
//! changed it first. Keys that are above a lowered bound stay as they are; the team's page lists them.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::super::edit::{Outcome, conflict, last_editor, lost_race};
use super::super::windows::{PresentWindows, windows_of};
use super::{find_seen, must_be_in_use, name_taken};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::edit::Editable;
use crate::domain::ids::TeamId;
use crate::domain::limit_use::HolderKind;
use crate::domain::model::Model;
use crate::domain::policy::{Action, On};
use crate::domain::team::{EditTeam, TeamSpec, WholeTeam};
use crate::domain::window::WindowStarts;
use crate::store::teams::{self, NewTeam};
use crate::store::{budget_marks, models};

/// What the form of a team is drawn from.
pub struct FormView {
    /// The organisation, as the caller sees it.
    pub context: OrgContext,
    /// The models to choose from: the catalogue, and the demonstration model while there is no provider.
    pub models: Vec<Model>,
    /// What is spent in the windows of the budgets, and when the next ones begin.
    pub windows: PresentWindows,
    /// The team as it stands, when it is edited.
    pub team: Option<WholeTeam>,
}

/// # Errors
/// `Forbidden` when the caller may not create teams here.
pub async fn blank(desk: &Desk, caller: &Caller, slug: &str) -> Result<FormView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    context.permit(Action::CreateTeam, On::Org)?;
    let models = models::offered(&mut read, desk.now()).await?;
    let windows = windows_of(&mut read, (&context.org.id, &context.org.zone), None, desk.now()).await?;
    Ok(FormView { context, models, windows, team: None })
}

/// Creates a team in the organisation with this slug.
///
/// # Errors
/// `Invalid` when the name is taken.
pub async fn create(desk: &Desk, caller: &Caller, org: &str, spec: &TeamSpec) -> Result<TeamId, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let permit = context.permit(Action::CreateTeam, On::Org)?;
    let id = TeamId::new(now, desk.id_entropy());
    let new = NewTeam { id: &id, spec, now };
    teams::insert(&mut tx, &permit, &new).await.map_err(|error| name_taken(error, &spec.name))?;
    let changes = spec.changes_since(&TeamSpec::default(), &());
    let event = Event::new(EventKind::TeamCreated, id.as_str(), &spec.name).with_new(changes);
    tx.save(&permit, event, now).await?;
    Ok(id)
}

/// # Errors
/// `Conflict` when the team is archived.
pub async fn edit_form(desk: &Desk, caller: &Caller, slug: &str, id: &str) -> Result<FormView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let team = find_seen(&mut read, &context, id, desk.now()).await?;
    context.permit(Action::EditTeam, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let models = models::offered(&mut read, desk.now()).await?;
    let holder = Some((HolderKind::Team, team.id.as_str()));
    let windows = windows_of(&mut read, (&context.org.id, &context.org.zone), holder, desk.now()).await?;
    Ok(FormView { context, models, windows, team: Some(team) })
}

/// Writes the fields that the person changed, and only those, if the team is still as they saw it.
///
/// # Errors
/// `Invalid` when the name is taken; `Conflict` when the team is archived.
pub async fn edit(
    desk: &Desk,
    caller: &Caller,
    edit: &EditTeam,
) -> Result<Outcome<TeamId, TeamSpec>, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &edit.org).await?;
    let team = find_seen(&mut tx, &context, &edit.id, now).await?;
    let permit = context.permit(Action::EditTeam, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    let (mine, current) = (&edit.mine, &team.spec);
    let base = edit.base.as_ref().unwrap_or(current);
    if edit.version != team.version {
        let start = last_editor(&mut tx, caller, (&context.org.id, team.id.as_str()), "this team").await?;
        return Ok(Outcome::Conflict(Box::new(conflict(
            &start,
            (base, mine, current),
            &(),
            &context.org.zone,
        ))));
    }
    let spec = current.merged(base, mine);
    if spec == *current {
        return Ok(Outcome::Unchanged(team.id));
    }
    let saved = teams::update(&mut tx, &permit, &team.id, team.version, &spec)
        .await
        .map_err(|error| name_taken(error, &spec.name))?;
    if !saved {
        return Err(lost_race("this team"));
    }
    let starts = WindowStarts::at(now, &context.org.zone);
    budget_marks::renew(&mut tx, &context.org.id, HolderKind::Team, &[team.id.as_str()], starts).await?;
    let event = Event::new(EventKind::TeamEdited, team.id.as_str(), &spec.name);
    tx.save(&permit, event.with(spec.changes_since(current, &())), now).await?;
    Ok(Outcome::Saved(team.id))
}
