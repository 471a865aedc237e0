//! Archiving and restoring a team. Keys of an archived team are rejected at once and otherwise stay as they are.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{find_seen, must_be_in_use, name_taken};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::policy::{Action, On};
use crate::domain::team::WholeTeam;
use crate::store::{invitations, teams};

/// What the confirmation page says.
pub struct ArchiveView {
    /// The team's organisation.
    pub context: OrgContext,
    /// The team to archive.
    pub team: WholeTeam,
}

/// What the confirmation page says.
///
/// # Errors
/// `Conflict` when the team is archived already.
pub async fn archive_form(
    desk: &Desk,
    caller: &Caller,
    slug: &str,
    id: &str,
) -> Result<ArchiveView, OpError> {
    let mut read = desk.db.read().await?;
    let context = open_org(&mut read, caller, slug).await?;
    let team = find_seen(&mut read, &context, id, desk.now()).await?;
    context.permit(Action::ArchiveTeam, On::Team(&team.id))?;
    must_be_in_use(&team)?;
    Ok(ArchiveView { context, team })
}

/// Archives the team with this id: no later request with one of its keys is admitted. Returns the team's name.
///
/// # Errors
/// `Conflict` when it is archived already.
pub async fn archive(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let team = find_seen(&mut tx, &context, id, now).await?;
    let permit = context.permit(Action::ArchiveTeam, On::Team(&team.id))?;
    let name = team.spec.name;
    if !teams::archive(&mut tx, &permit, &team.id, now).await? {
        return Err(OpError::Conflict(format!("The team {name} is already archived.")));
    }
    invitations::withdraw_into(&mut tx, &permit, &team.id, None, now).await?;
    tx.save(&permit, Event::new(EventKind::TeamArchived, team.id.as_str(), &name), now).await?;
    Ok(name)
}

/// Puts an archived team back in use. Returns the team's name.
///
/// # Errors
/// `Conflict` when it is in use, or when another team has taken its name.
pub async fn restore(desk: &Desk, caller: &Caller, org: &str, id: &str) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, org).await?;
    let team = find_seen(&mut tx, &context, id, now).await?;
    let permit = context.permit(Action::ArchiveTeam, On::Team(&team.id))?;
    let name = team.spec.name;
    let restored = teams::restore(&mut tx, &permit, &team.id).await;
    let restored = restored.map_err(|error| match name_taken(error, &name) {
        OpError::Invalid(_) => OpError::Conflict(format!(
            "Another team is named {name} now. Rename it first. This team is still archived."
        )),
        other => other,
    })?;
    if !restored {
        return Err(OpError::Conflict(format!("The team {name} is not archived.")));
    }
    tx.save(&permit, Event::new(EventKind::TeamRestored, team.id.as_str(), &name), now).await?;
    Ok(name)
}
