//! Teams: listed, shown, created, edited, archived and restored; their people added, changed and removed.

mod archive;
mod list;
mod people;
mod show;
mod write;

pub use archive::{ArchiveView, archive, archive_form, restore};
pub use list::{MAX_LIST, TeamsView, list};
pub use people::{AddView, PersonView, TeamPersonRef, add, add_form, person_form, remove, set_role};
pub use show::{TeamView, show};
pub use write::{FormView, blank, create, edit, edit_form};

use super::OpError;
use super::access::OrgContext;
use crate::domain::ids::TeamId;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, On};
use crate::domain::team::WholeTeam;
use crate::domain::window::WindowStarts;
use crate::store::{ConstraintViolation, StoreError, Via, teams};

/// The team in any state, if the caller may see it.
pub(super) async fn find_seen(
    via: &mut impl Via,
    context: &OrgContext,
    id: &str,
    now: Moment,
) -> Result<WholeTeam, OpError> {
    let id = TeamId::parse(id).ok_or(OpError::NotFound)?;
    let starts = WindowStarts::at(now, &context.org.zone);
    let team = teams::find(via, &context.org.id, &id, starts).await?.ok_or(OpError::NotFound)?;
    context.permit(Action::SeeTeam, On::Team(&team.id))?;
    Ok(team)
}

/// An archived team is as it is until it is restored.
pub(super) fn must_be_in_use(team: &WholeTeam) -> Result<(), OpError> {
    match team.archived_at {
        None => Ok(()),
        Some(_) => Err(OpError::Conflict(format!(
            "The team {} is archived. Restore it first; nothing was changed.",
            team.spec.name
        ))),
    }
}

fn name_taken(error: StoreError, name: &str) -> OpError {
    if !matches!(error, StoreError::ConstraintViolation(ConstraintViolation::TeamName)) {
        return error.into();
    }
    OpError::say("name", format!("A team is already named {name}. Choose another name."))
}
