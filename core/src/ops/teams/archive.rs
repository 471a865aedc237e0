//! Taking a team out of use and back. An archived team's keys are refused at once and stay as they are; restored, they
//! work again as far as they would.

use super::super::OpError;
use super::super::access::{Caller, OrgContext, open_org};
use super::{find_seen, must_be_in_use, name_taken};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::policy::{Action, On};
use crate::domain::team::WholeTeam;
use crate::forms::team::TeamRef;
use crate::store::{invitations, teams};

/// What the confirmation page says.
pub struct ArchiveView {
    pub context: OrgContext,
    pub team: WholeTeam,
}

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

/// When this has answered, no request with a key of the team that starts later is let in. Answers the team's name.
pub async fn archive(desk: &Desk, caller: &Caller, form: &TeamRef) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let team = find_seen(&mut tx, &context, &form.id, now).await?;
    let permit = context.permit(Action::ArchiveTeam, On::Team(&team.id))?;
    let name = team.spec.name;
    if !teams::archive(&mut tx, &permit, &team.id, now).await? {
        return Err(OpError::Conflict(format!("The team {name} is archived already.")));
    }
    invitations::withdraw_into(&mut tx, &permit, &team.id, None, now).await?;
    tx.save(&permit, Event::new(EventKind::TeamArchived, team.id.as_str(), &name), now).await?;
    Ok(name)
}

/// Answers the team's name.
///
/// # Errors
/// `Conflict` when it is in use, or when another team has its name by now.
pub async fn restore(desk: &Desk, caller: &Caller, form: &TeamRef) -> Result<String, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    let context = open_org(&mut tx, caller, &form.org).await?;
    let team = find_seen(&mut tx, &context, &form.id, now).await?;
    let permit = context.permit(Action::ArchiveTeam, On::Team(&team.id))?;
    let name = team.spec.name;
    let restored = teams::restore(&mut tx, &permit, &team.id).await;
    let restored = restored.map_err(|error| match name_taken(error, &name) {
        OpError::Invalid(_) => OpError::Conflict(format!(
            "Another team is named {name} by now. Rename that one first; this one is still archived."
        )),
        other => other,
    })?;
    if !restored {
        return Err(OpError::Conflict(format!("The team {name} is in use already.")));
    }
    tx.save(&permit, Event::new(EventKind::TeamRestored, team.id.as_str(), &name), now).await?;
    Ok(name)
}
