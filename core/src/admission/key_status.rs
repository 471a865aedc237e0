//! What a key shows about itself, also when requests with it are rejected.

use std::net::IpAddr;

use super::{
    AdmissionError, AuthContext, Presented, check_address, check_live, find_presented, limits,
    models_in_scope,
};
use crate::Desk;
use crate::domain::gate::Rejection;
use crate::domain::limit_use::LimitUse;
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::domain::next_stop::{Ends, NextStop, stops};
use crate::domain::window::WindowStarts;
use crate::store::{admission as stored, grants, present_spend, requests, spend};

/// A key as its own holder sees it.
#[derive(Clone, Debug)]
pub struct KeyStatusView {
    /// The key's name.
    pub name: String,
    /// The last four characters of the presented secret.
    pub last_four: String,
    /// The organisation's name.
    pub org: String,
    /// The team's name; `None` for a key without a team.
    pub team: Option<String>,
    /// Why gates 3 and 4 reject requests with it; `None` while it is active.
    pub stopped: Option<Rejection>,
    /// When the key expires; `None` for a key that never expires.
    pub expires_at: Option<Moment>,
    /// Whether a rotation replaced the presented secret.
    pub secret_replaced: bool,
    /// When the presented secret ends, where a rotation has set that.
    pub secret_expires_at: Option<Moment>,
    /// Names of people who can help with it.
    pub contacts: Vec<String>,
    /// The organisation's time zone, in which budgets reset.
    pub zone: Zone,
    /// `None` for a revoked key and for a rotated secret, which may be in the wrong hands.
    pub live: Option<LiveKeyStatus>,
}

/// Limits, models and spend of a key.
#[derive(Clone, Debug)]
pub struct LiveKeyStatus {
    /// Every limit that applies to the key, as it is now.
    pub limits: Vec<LimitUse>,
    /// What can stop its requests, the first in time first.
    pub stops: Vec<NextStop>,
    /// Ids of the models in its scope.
    pub models: Vec<String>,
    /// Over all time.
    pub spent: Money,
    /// In this calendar month.
    pub month_spent: Money,
    /// Settled requests, over all time.
    pub requests: i64,
    /// Of these, how many used something without a price, counted to 10,001. What they cost is not all in `spent`.
    pub not_priced: i64,
    /// Input and output tokens of these requests.
    pub tokens: i64,
}

/// Checks gates 1 to 3 and 5, and describes the key.
///
/// # Errors
/// `Rejected` by one of these gates, `Unavailable` when the database cannot be read.
pub async fn key_status(
    desk: &Desk,
    presented: &Presented,
    address: Option<IpAddr>,
) -> Result<KeyStatusView, AdmissionError> {
    let found = find_presented(desk, presented).await?;
    if let Err(rejection) = check_address(&found, address) {
        return Err(AdmissionError::Rejected(rejection, Some(AuthContext::new(found).known())));
    }
    let mut read = desk.db.read().await?;
    let stopped = check_live(&found, desk.now()).err();
    let contacts = stored::contacts(&mut read, &found.key).await?;
    let context = AuthContext::new(found.clone());
    let not_priced = requests::count_not_priced(&mut read, &found.org, &found.key).await?;
    let (spent, requests, tokens) = spend::total_of_key(&mut read, &found.org, &found.key).await?;
    let starts = WindowStarts::at(desk.now(), &found.zone);
    let month_spent = spend::month_of_key(&mut read, &found.org, &found.key, starts).await?;
    let (key, team) = (Some(&found.key), context.team());
    let paces = present_spend::paces(&mut read, &found.org, key, team, starts).await?;
    let grants = grants::ends(&mut read, &found.org, key, team, starts.at).await?;
    drop(read);
    let live = match &stopped {
        Some(Rejection::Revoked { .. } | Rejection::Retired { .. }) => None,
        _ => {
            let limits = limits(desk, &context).await?;
            let ends = Ends {
                expires_at: found.expires_at,
                rotation_due: None,
                secret_ends: found.secret_expires_at,
            };
            Some(LiveKeyStatus {
                stops: stops(&limits, paces, ends, &grants, starts.at, &found.zone),
                limits,
                models: models_in_scope(desk, &context).await?.into_iter().map(|model| model.id).collect(),
                spent,
                month_spent,
                requests,
                not_priced,
                tokens,
            })
        }
    };
    Ok(KeyStatusView {
        secret_replaced: found.secret_replaced,
        secret_expires_at: found.secret_expires_at,
        name: found.key_name.clone(),
        last_four: found.last_four.clone(),
        org: found.org_name.clone(),
        team: found.team.as_ref().map(|(_, name)| name.clone()),
        stopped,
        expires_at: found.expires_at,
        contacts,
        zone: found.zone.clone(),
        live,
    })
}
