//! Proving again who one is. What would hurt most asks for it when the last proof is older than ten minutes: a key for
//! somebody else, a change of role, of a password or a second factor, an act on many things. The form that asks carries the
//! proof itself, so that nothing typed is lost.

use serde::{Deserialize, Serialize};

use super::OpError;
use super::access::Caller;
use super::sign_in::{self, SignInForm};
use crate::Desk;
use crate::domain::hidden::Hidden;
use crate::store::sessions;

/// As a browser sends it, in a form that may have to be proved: empty while it need not be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proof {
    pub password: Hidden,
    pub code: Hidden,
}

/// The caller, fresh if the proof is right. Without a proof they are as fresh as they were: whether that is enough,
/// `Caller::must_be_fresh` says where it matters.
///
/// # Errors
/// `Invalid` on the field `proof` when it is wrong; `TooMany` after many wrong ones.
pub async fn prove(desk: &Desk, caller: &Caller, proof: &Proof) -> Result<Caller, OpError> {
    if proof.password.as_str().is_empty() {
        return Ok(caller.clone());
    }
    let form = SignInForm {
        email: caller.person.email.clone(),
        password: proof.password.clone(),
        next: String::new(),
    };
    let person = sign_in::sign_in(desk, &form, &caller.address).await.map_err(|error| match error {
        OpError::Invalid(_) => OpError::say("proof", "This is not your password."),
        other => other,
    })?;
    if person != caller.person.id {
        return Err(OpError::NotFound);
    }
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    sessions::freshen(&mut tx, &caller.session, now).await?;
    tx.save_unaudited("a proof changes nothing by itself").await?;
    Ok(Caller { fresh_at: now, ..caller.clone() })
}
