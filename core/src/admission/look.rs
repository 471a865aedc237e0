//! What the holder of a key may see with the key alone, also when nothing else works with it any more.

use std::net::IpAddr;

use super::{AuthContext, KnownKey, NotAdmitted, Presented, from_here, limits, live, models_in_scope};
use crate::Desk;
use crate::domain::gate::Refusal;
use crate::domain::key_format;
use crate::domain::limit_use::LimitUse;
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::store::{admission as stored, spend};

#[derive(Clone, Debug)]
pub struct KeyLook {
    pub name: String,
    pub last_four: String,
    pub org: String,
    pub team: Option<String>,
    /// Why requests with it are refused at gates 3 and 4; `None` while it lives.
    pub stopped: Option<Refusal>,
    pub expires_at: Option<Moment>,
    /// Names of whom to ask about it.
    pub asks: Vec<String>,
    /// The organisation's: its windows turn there.
    pub zone: Zone,
    /// `None` for a key that is revoked and for a secret that was rotated away: whoever holds those holds nothing.
    pub live: Option<LiveLook>,
}

#[derive(Clone, Debug)]
pub struct LiveLook {
    pub limits: Vec<LimitUse>,
    /// Ids of the catalogue's models that it may use.
    pub models: Vec<String>,
    pub spent: Money,
    pub requests: i64,
    pub tokens: i64,
}

/// Gates 1 to 3 and 5.
pub async fn look(
    desk: &Desk,
    presented: &Presented,
    address: Option<IpAddr>,
) -> Result<KeyLook, NotAdmitted> {
    let secret = key_format::read(presented.single()?).map_err(Refusal::Malformed)?;
    let mut read = desk.db.read().await?;
    let found = stored::find(&mut read, &secret.hash()).await?.ok_or(Refusal::Unknown)?;
    if let Err(refusal) = from_here(&found, address) {
        return Err(NotAdmitted::Refused(refusal, Some(KnownKey { key: found.key, org: found.org })));
    }
    let stopped = live(&found, desk.now()).err();
    let asks = stored::asks(&mut read, &found.key).await?;
    let (expires_at, zone) = (found.expires_at, found.zone.clone());
    let context = AuthContext::new(found);
    let (spent, requests, tokens) = spend::total_of_key(&mut read, &context.org, &context.key).await?;
    drop(read);
    let live = match &stopped {
        Some(Refusal::Revoked { .. } | Refusal::Retired { .. }) => None,
        _ => Some(LiveLook {
            limits: limits(desk, &context).await?,
            models: models_in_scope(desk, &context).await?.into_iter().map(|model| model.id).collect(),
            spent,
            requests,
            tokens,
        }),
    };
    Ok(KeyLook {
        name: context.key_name,
        last_four: context.last_four,
        org: context.org_name,
        team: context.team.map(|(_, name)| name),
        stopped,
        expires_at,
        asks,
        zone,
        live,
    })
}
