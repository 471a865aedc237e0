//! Whether a gateway's request may pass. The gates are checked in order and the first that fails rejects the request.
//! What the gates read is kept in memory (`key_cache`), and a change is answered when every process that serves has dropped
//! what it concerns (`node`): a revocation applies to every request that starts after it was answered.
//!
//! `AuthContext` proves that a request passed gates 1 to 5, `Reservation` that it passed 7 and 8. They have no public
//! constructor and no default, so a route that needs one cannot be reached without it.

mod diagnosis;
mod key_cache;
mod key_status;
mod last_used;
mod lately;
mod models;
mod node;
mod presented;
mod provider_watch;
mod quotas;
mod rejections;
mod reservations;

use std::net::IpAddr;
use std::sync::Arc;

/// The rule by which requests are admitted from memory.
pub use crate::domain::quota;
pub use diagnosis::{Diagnosis, Subject, diagnose};
pub use key_cache::KeyCache;
pub use key_status::{KeyStatusView, LiveKeyStatus, key_status};
pub use last_used::LastUsed;
pub use lately::Lately;
pub use models::{
    ModelLookup, Target, callable_models, further_providers, look_up_model, models_in_scope, note_answer,
    priced_model, usable_models,
};
pub use node::{LOOK_EVERY, Node};
pub use presented::Presented;
pub use provider_watch::{MetWith, ProviderWatch};
pub use quotas::{LEASE_MS, Quotas, sweep_quotas};
pub use rejections::{RejectedRequest, Rejections};
pub use reservations::{
    LimitedHolder, Presumed, RENEW_MS, Reservation, ReservationRequest, Settlement, count_tokens, end,
    expected_use, find_reservation, limits, limits_of_holder, limits_of_key, release, renew, reserve,
    reserve_for_other, settle, settled_cost,
};

use crate::Desk;
use crate::domain::api_error::{NoTarget, Stop};
use crate::domain::gate::Rejection;
use crate::domain::ids::{KeyId, OrgId, SecretId, TeamId};
use crate::domain::key::Status;
use crate::domain::key_format::{self, looks_like_secret};
use crate::domain::limit_use::HolderKind;
use crate::domain::model::catalogue_name;
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::Unpriced;
use crate::store::StoreError;
use crate::store::admission::{self as stored, PresentedKey};

/// Why a request may not pass.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// By a gate; with the key, where it is known.
    #[error("rejected at gate {}", .0.gate().number())]
    Rejected(Rejection, Option<KnownKey>),
    /// The database is not available, so no request may pass.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The key of a rejected request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key's id.
    pub key: KeyId,
    /// The organisation's id.
    pub org: OrgId,
}

impl From<Rejection> for AdmissionError {
    fn from(rejection: Rejection) -> Self {
        AdmissionError::Rejected(rejection, None)
    }
}

/// A request whose key is known, alive and used from where it may be.
pub struct AuthContext {
    found: Arc<PresentedKey>,
}

impl AuthContext {
    fn new(found: Arc<PresentedKey>) -> Self {
        Self { found }
    }

    /// The key's id.
    pub fn key(&self) -> &KeyId {
        &self.found.key
    }
    /// The key's name.
    pub fn key_name(&self) -> &str {
        &self.found.key_name
    }
    /// The secret that the request presented; a rotated key has two.
    pub fn secret(&self) -> &SecretId {
        &self.found.secret
    }
    /// Whether a rotation replaced the presented secret, so that its user should change to the new one.
    pub fn secret_replaced(&self) -> bool {
        self.found.secret_replaced
    }
    /// When the presented secret ends, where a rotation has set that.
    pub fn secret_expires_at(&self) -> Option<Moment> {
        self.found.secret_expires_at
    }
    /// The organisation of the key.
    pub fn org(&self) -> &OrgId {
        &self.found.org
    }
    /// The team of the key.
    pub fn team(&self) -> Option<&TeamId> {
        self.found.team.as_ref().map(|(id, _)| id)
    }
    /// The organisation's time zone, in which budgets reset.
    pub fn zone(&self) -> &Zone {
        &self.found.zone
    }
    /// What the organisation says of requests without a price.
    pub fn unpriced(&self) -> Unpriced {
        self.found.unpriced
    }
    /// The key, for counting a rejection.
    pub fn known(&self) -> KnownKey {
        KnownKey { key: self.found.key.clone(), org: self.found.org.clone() }
    }

    /// Gate 6, for a model's name as the client sent it.
    ///
    /// # Errors
    /// When the name looks like a secret, which is not repeated, or is out of scope.
    pub fn admit_model(&self, model: &str) -> Result<(), Stop> {
        if looks_like_secret(model) {
            return Err(Stop::NoTarget(NoTarget::SecretAsModel));
        }
        self.model(model).map_err(Stop::Gate)
    }

    /// Whose scope does not allow the model; `None` when all do.
    pub fn scope_without(&self, model: &str) -> Option<HolderKind> {
        let model = catalogue_name(model);
        self.found.scopes.iter().find(|(_, scope)| !scope.allows(model)).map(|(holder, _)| *holder)
    }

    /// Gate 6: the model must be in the scope of the key, of its team and of its organisation.
    fn model(&self, model: &str) -> Result<(), Rejection> {
        if self.scope_without(model).is_none() {
            return Ok(());
        }
        // The client chose this text, so it is shortened before it is sent back.
        let model = model.chars().filter(|c| !c.is_control()).take(100).collect();
        Err(Rejection::Model { last_four: self.found.last_four.clone(), model })
    }
}

/// Gates 1 to 5. `AuthContext::admit_model` is gate 6; `reserve` is 7 and 8, once the request's model and size are known.
///
/// # Errors
/// `Rejected` by the first gate that fails, `Unavailable` when the database cannot be read.
pub async fn authenticate(
    desk: &Desk,
    presented: &Presented,
    address: Option<IpAddr>,
) -> Result<AuthContext, AdmissionError> {
    let found = find_presented(desk, presented).await?;
    let context = AuthContext::new(found);
    match check_found(&context.found, address, desk.now()) {
        Ok(()) => Ok(context),
        Err(rejection) => Err(AdmissionError::Rejected(rejection, Some(context.known()))),
    }
}

/// Gates 1 and 2, and of gate 3 whether the secret is known.
async fn find_presented(desk: &Desk, presented: &Presented) -> Result<Arc<PresentedKey>, AdmissionError> {
    let hash = key_format::read(presented.single()?).map_err(Rejection::MalformedKey)?.hash();
    let (lease, kept) = (desk.lease(), &desk.key_cache.keys);
    if let Some(found) = kept.get(&lease, hash.as_bytes(), None) {
        return Ok(found);
    }
    let seen = lease.seen();
    let found = stored::find(&mut desk.db.read().await?, &hash).await?.ok_or(Rejection::Unknown)?;
    Ok(kept.put(&lease, *hash.as_bytes(), found, seen))
}

/// The rest of gate 3, and gates 4 and 5.
fn check_found(found: &PresentedKey, address: Option<IpAddr>, now: Moment) -> Result<(), Rejection> {
    check_live(found, now).and_then(|()| check_address(found, address))
}

/// Gates 3 (the retired half) and 4, in order.
fn check_live(found: &PresentedKey, now: Moment) -> Result<(), Rejection> {
    let last_four = || found.last_four.clone();
    if let Some(since) = found.secret_expires_at.filter(|at| *at <= now) {
        return Err(Rejection::Retired { last_four: last_four(), since });
    }
    match found.status {
        Status::Revoked => return Err(Rejection::Revoked { last_four: last_four(), since: found.status_at }),
        Status::Expired => return Err(Rejection::Expired { last_four: last_four(), since: found.status_at }),
        Status::Active | Status::Disabled => {}
    }
    if let Some(since) = found.expires_at.filter(|at| *at <= now) {
        return Err(Rejection::Expired { last_four: last_four(), since });
    }
    if found.status == Status::Disabled {
        return Err(Rejection::Disabled { last_four: last_four(), since: found.status_at });
    }
    if found.org_suspended {
        return Err(Rejection::OrgSuspended);
    }
    if let Some((_, team)) = found.team.as_ref().filter(|_| found.team_archived) {
        return Err(Rejection::TeamArchived { team: team.clone() });
    }
    Ok(())
}

/// Gate 5.
fn check_address(found: &PresentedKey, address: Option<IpAddr>) -> Result<(), Rejection> {
    let allowed = match address {
        Some(address) => found.addresses.allows(address),
        None => found.addresses.is_any(),
    };
    if !allowed {
        let address = address.map_or("unknown".into(), |address| address.to_canonical().to_string());
        return Err(Rejection::Address { last_four: found.last_four.clone(), address });
    }
    Ok(())
}
