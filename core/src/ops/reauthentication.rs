//! Proving again who one is. What would hurt most asks for it when the last proof is older than ten minutes: a key for
//! another person, a change of role, of a password or a second factor, an act on many things. The form that asks carries the
//! proof itself, so that nothing typed is lost.

use super::access::Caller;
use super::codes::CodeLane;
use super::lane::{KnownDevice, SignInSource};
use super::self_service::SelfActor;
use super::sign_in::{self, SignInForm, VerifiedPassword};
use super::{OpError, codes};
use crate::Desk;
use crate::domain::reauth::Reauth;
use crate::store::Unaudited;
use crate::store::sessions;

/// The caller, fresh if the proof is right. Without a proof they are as fresh as they were: whether that is enough,
/// `Caller::require_recent_auth` says where it matters.
///
/// # Errors
/// `Invalid` on the field `reauth` or `reauth_code` when it is wrong; `TooMany` after many wrong ones.
pub async fn reauthenticate(desk: &Desk, caller: &Caller, reauth: &Reauth) -> Result<Caller, OpError> {
    if reauth.password.as_str().is_empty() {
        return Ok(caller.clone());
    }
    let (caller, _) = reauthenticate_always(desk, caller, reauth, ("reauth", "reauth_code")).await?;
    Ok(caller)
}

/// For what is proved each time, however young the last proof is. `fields` are what the form calls password and code.
///
/// # Errors
/// As `reauthenticate`, also for an empty password.
pub(super) async fn reauthenticate_always(
    desk: &Desk,
    caller: &Caller,
    reauth: &Reauth,
    fields: (&'static str, &'static str),
) -> Result<(Caller, VerifiedPassword), OpError> {
    let form = SignInForm {
        email: caller.person.email.clone(),
        password: reauth.password.clone(),
        next: String::new(),
    };
    // Counted by session: what others try keeps no one from proving it again.
    let devices = [KnownDevice { person: caller.person.id.clone(), id: caller.session.clone() }];
    let from = SignInSource { address: &caller.address, request_id: &caller.request_id, devices: &devices };
    let verified = sign_in::check_password(desk, &form, &from, "re-authentication").await;
    let verified = verified.map_err(|error| match error {
        OpError::Invalid(_) => OpError::say(fields.0, "This is not your password."),
        other => other,
    })?;
    if verified.person != caller.person.id {
        return Err(OpError::NotFound);
    }
    if verified.second_factor {
        let by =
            SelfActor { person: &caller.person, address: &caller.address, request_id: &caller.request_id };
        let lane = CodeLane::Known(caller.session.as_str());
        codes::use_code(desk, by, reauth.code.as_str(), fields.1, lane).await?;
    }
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    sessions::mark_reauthenticated(&mut tx, &caller.session, now).await?;
    tx.save_unaudited(Unaudited::Reauthenticated).await?;
    Ok((Caller { reauthenticated_at: now, ..caller.clone() }, verified))
}
