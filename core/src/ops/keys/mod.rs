//! Keys: listed, looked up, created, edited, extended, switched off and on, revoked, one by one and several at once.

mod bulk;
mod create;
mod edit;
mod extend;
mod first;
mod leaked;
mod list;
mod place;
mod rotate;
mod rotate_itself;
mod show;
mod status;

pub use bulk::{BulkRow, BulkView, apply, offered, preview};
pub use create::{FormView, IssuedKey, blank, create, issue, settings_of};
pub(super) use edit::write_limits;
pub use edit::{edit, edit_form};
pub use extend::{ExtendView, extend, extend_form};
pub use first::{FirstModels, first_models, without_a_model};
pub use leaked::{HandledLeak, SecretView, report_leak, secret};
pub use list::{Counts, Found, KeysView, LINE_DAYS, MAX_OFFERED, MAX_SUGGESTED, list, search, suggest};
pub use place::{TeamBounds, bounds_for};
pub use rotate::{RotationView, end_previous, rotate, rotation, set_previous_end, undo_rotation};
pub use rotate_itself::{SelfRotation, SelfRotationRejected, rotate_itself};
pub use show::{KeyView, show};
pub use status::{DisableView, RevokeView, disable, disable_form, enable, revoke, revoke_form};

use super::OpError;
use super::access::OrgContext;
use crate::domain::ids::KeyId;
use crate::domain::key::{Key, State};
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, On};
use crate::domain::window::WindowStarts;
use crate::store::{Via, keys, spend};

/// The key with its budgets and spend, if the caller may see it.
pub(in crate::ops) async fn find_seen(
    via: &mut impl Via,
    context: &OrgContext,
    id: &str,
    now: Moment,
) -> Result<Key, OpError> {
    let id = KeyId::parse(id).ok_or(OpError::NotFound)?;
    let key = keys::find(via, &context.org.id, &id).await?.ok_or(OpError::NotFound)?;
    context.permit(Action::SeeKey, On::Key(key.facts()))?;
    let mut key = [key];
    spend::fill(via, &context.org.id, &mut key, WindowStarts::at(now, &context.org.zone)).await?;
    let [key] = key;
    Ok(key)
}

/// Neither revoked nor expired.
pub(super) fn must_live(key: &Key, now: Moment) -> Result<(), OpError> {
    match key.state(now) {
        State::Revoked => {
            Err(OpError::Conflict(format!("The key {} is revoked, which can't be undone.", key.name)))
        }
        State::Expired { .. } => {
            let advice = match key.extendable_until(now) {
                Some(_) => "Extend it first, or create a new key.",
                None => "Create a new key to replace it.",
            };
            Err(OpError::Conflict(format!("The key {} has expired. {advice}", key.name)))
        }
        State::Active
        | State::ExpiresSoon { .. }
        | State::OverBudget { .. }
        | State::TeamOverBudget { .. }
        | State::OrgOverBudget { .. }
        | State::OutOfBalance
        | State::TeamArchived
        | State::OrgSuspended
        | State::Disabled => Ok(()),
    }
}
