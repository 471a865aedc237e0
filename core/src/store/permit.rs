//! Comparing a permit with what is about to be written.

use super::StoreError;
use crate::domain::policy::{Action, Authorized};

/// For what a permitted change brings with it, such as invitations withdrawn when a role changes: the same permit must
/// allow it, and the change's own event is the one that is due.
///
/// # Errors
/// `WrongPermit` when the permit is for another action, or for another object than `object`.
pub(super) fn compare(
    permit: &impl Authorized,
    actions: &[Action],
    object: Option<&str>,
) -> Result<(), StoreError> {
    let authority = permit.authority();
    if actions.contains(&authority.action()) && object.is_none_or(|object| object == authority.object()) {
        return Ok(());
    }
    Err(StoreError::WrongPermit(format!(
        "a permit for {:?} of {} was used for {actions:?} of {}",
        authority.action(),
        authority.object(),
        object.unwrap_or("its organisation")
    )))
}
