//! What a gateway asks: may this request pass? The gates are tried in order and the first that fails answers. There is
//! no cache: a revocation that has been answered holds for every request that starts afterwards.
//!
//! `AuthContext` is the proof that gates 1 to 5 were passed, `Reserved` that 7 and 8 were. They have no public constructor
//! and no default, so a route that needs one cannot be reached without.

mod key_status;
mod last_used;
mod meter;
mod presented;
mod queues;
mod rejections;

use std::net::IpAddr;

pub use key_status::{KeyStatusView, LiveKeyStatus, key_status};
pub use last_used::LastUsed;
pub use meter::{
    Ask, LEASE_MS, RENEW_MS, Reserved, Used, limits, release, renew, reserve, reserved, settle, settled,
};
pub use presented::Presented;
pub use queues::Queues;
pub use rejections::{RejectedRequest, Rejections};

use crate::Desk;
use crate::domain::gate::Rejection;
use crate::domain::ids::{KeyId, OrgId, SecretId, TeamId};
use crate::domain::key::Status;
use crate::domain::key_format;
use crate::domain::model::Model;
use crate::domain::moment::{Moment, Zone};
use crate::domain::scope::ModelScope;
use crate::store::admission::{self as stored, Admitted};
use crate::store::{StoreError, models};

/// Why a request is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// With the key, where it is known which it was.
    #[error("refused at gate {}", .0.gate().number())]
    Refused(Rejection, Option<KnownKey>),
    /// The database is away: nobody is let in.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The key that a refused request came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    pub key: KeyId,
    pub org: OrgId,
}

impl From<Rejection> for AdmissionError {
    fn from(rejection: Rejection) -> Self {
        AdmissionError::Refused(rejection, None)
    }
}

/// A request whose key is known, alive and used from where it may be.
pub struct AuthContext {
    key: KeyId,
    key_name: String,
    secret: SecretId,
    org: OrgId,
    org_name: String,
    team: Option<(TeamId, String)>,
    zone: Zone,
    last_four: String,
    scopes: Vec<ModelScope>,
}

impl AuthContext {
    fn new(found: Admitted) -> Self {
        Self {
            key: found.key,
            key_name: found.key_name,
            secret: found.secret,
            org: found.org,
            org_name: found.org_name,
            team: found.team,
            zone: found.zone,
            last_four: found.last_four,
            scopes: found.scopes,
        }
    }

    pub fn key(&self) -> &KeyId {
        &self.key
    }
    pub fn key_name(&self) -> &str {
        &self.key_name
    }
    pub fn secret(&self) -> &SecretId {
        &self.secret
    }
    pub fn org(&self) -> &OrgId {
        &self.org
    }
    pub fn team(&self) -> Option<&TeamId> {
        self.team.as_ref().map(|(id, _)| id)
    }
    /// The organisation's: its windows turn there.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
    /// For counting what is refused later.
    pub fn known(&self) -> KnownKey {
        KnownKey { key: self.key.clone(), org: self.org.clone() }
    }

    /// Gate 6 for one model: in the scope of the key, of its team and of its organisation.
    pub fn model(&self, model: &str) -> Result<(), Rejection> {
        if self.scopes.iter().all(|scope| scope.allows(model)) {
            return Ok(());
        }
        // What a caller made up is cut before it is sent back.
        let model = model.chars().filter(|c| !c.is_control()).take(100).collect();
        Err(Rejection::Model { last_four: self.last_four.clone(), model })
    }
}

/// Gates 1 to 5. `AuthContext::model` is gate 6; `reserve` is 7 and 8, once the request's model and size are known.
pub async fn authenticate(
    desk: &Desk,
    presented: &Presented,
    address: Option<IpAddr>,
) -> Result<AuthContext, AdmissionError> {
    let credential = presented.single()?;
    let secret = key_format::read(credential).map_err(Rejection::MalformedKey)?;
    let mut read = desk.db.read().await?;
    let found = stored::find(&mut read, &secret.hash()).await?.ok_or(Rejection::Unknown)?;
    let passed = live(&found, desk.now()).and_then(|()| from_here(&found, address));
    if let Err(rejection) = passed {
        return Err(AdmissionError::Refused(rejection, Some(KnownKey { key: found.key, org: found.org })));
    }
    Ok(AuthContext::new(found))
}

/// Gates 3 (the retired half) and 4, in order.
fn live(found: &Admitted, now: Moment) -> Result<(), Rejection> {
    let last_four = || found.last_four.clone();
    if let Some(since) = found.secret_ends.filter(|ends| *ends <= now) {
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
fn from_here(found: &Admitted, address: Option<IpAddr>) -> Result<(), Rejection> {
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

/// The catalogue's models that this request's key may use.
pub async fn models_in_scope(desk: &Desk, context: &AuthContext) -> Result<Vec<Model>, StoreError> {
    let mut list = models::offered(&mut desk.db.read().await?).await?;
    list.retain(|model| context.model(&model.id).is_ok());
    Ok(list)
}
