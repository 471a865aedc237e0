//! Gates 7 and 8, and what follows: a request holds the most it may use before it is sent on, and its true use takes the
//! place of that when it is done. Whatever becomes of a gateway, what it held ends by itself after `LEASE_MS`.

use super::{AdmissionError, AuthContext};
use crate::Desk;
use crate::domain::gate::Rejection;
use crate::domain::ids::{KeyId, OrgId, RequestId, SecretId, TeamId};
use crate::domain::limit_use::{HolderKind, LimitUse, Limited};
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::domain::usage::Tokens;
use crate::domain::window::WindowStarts;
use crate::store::meter::{self, Hold, Met};
use crate::store::spend::Usage;
use crate::store::{StoreError, admission as stored, spend};

/// How long a request holds without a word from its gateway. Gateways say that it is under way every `RENEW_MS`.
pub const LEASE_MS: i64 = 120_000;
pub const RENEW_MS: i64 = 30_000;

/// The most that a request may use.
#[derive(Clone, Debug)]
pub struct Ask {
    pub request: RequestId,
    pub model: String,
    pub amount: Money,
    pub tokens: i64,
}

/// The proof that a request passed gates 7 and 8. It holds its part until it is settled or released.
#[derive(Clone, Debug)]
pub struct Reserved {
    request: RequestId,
    org: OrgId,
    key: KeyId,
    secret: SecretId,
    team: Option<TeamId>,
    zone: Zone,
    started_at: Moment,
    /// Every limit that it met, as it stood before it.
    pub limits: Vec<LimitUse>,
}

impl Reserved {
    pub fn request(&self) -> &RequestId {
        &self.request
    }
    pub fn started_at(&self) -> Moment {
        self.started_at
    }
}

/// What a request came to.
#[derive(Clone, Debug)]
pub struct Used {
    pub model: String,
    pub route: String,
    /// As the caller saw it; 499 when they hung up.
    pub status: i64,
    pub tokens: Tokens,
    pub cost: Money,
    pub estimated: bool,
    pub latency_ms: i64,
    pub first_byte_ms: Option<i64>,
    pub address: String,
    pub user_agent: String,
}

/// # Errors
/// `Refused` with the first limit that does not let it pass; then it holds nothing.
pub async fn reserve(desk: &Desk, context: &AuthContext, ask: &Ask) -> Result<Reserved, AdmissionError> {
    let turn = desk.queues.turn(&desk.db, &context.org).await?;
    let now = desk.now();
    let starts = WindowStarts::at(now, &context.zone);
    let met = meter::reserve(&desk.db, hold(context, ask, now), starts).await?;
    drop(turn);
    if let Some(stopped) = met.iter().find(|met| !met.fits) {
        let limit = limit_use(stopped, context, now);
        let rejection = Rejection::Limit {
            last_four: context.last_four.clone(),
            retry_after: retry_after(&limit, now),
            limit: Box::new(limit),
            zone: context.zone.clone(),
        };
        return Err(AdmissionError::Refused(rejection, Some(context.known())));
    }
    Ok(Reserved {
        request: ask.request.clone(),
        org: context.org.clone(),
        key: context.key.clone(),
        secret: context.secret.clone(),
        team: context.team.as_ref().map(|(id, _)| id.clone()),
        zone: context.zone.clone(),
        started_at: now,
        limits: met.iter().map(|met| limit_use(met, context, now)).collect(),
    })
}

/// Every limit that a request of this key would meet now.
pub async fn limits(desk: &Desk, context: &AuthContext) -> Result<Vec<LimitUse>, StoreError> {
    let now = desk.now();
    let nothing = Ask {
        request: RequestId::new(now, desk.id_entropy()),
        model: String::new(),
        amount: Money::ZERO,
        tokens: 0,
    };
    let starts = WindowStarts::at(now, &context.zone);
    let met = meter::limits(&mut desk.db.read().await?, &hold(context, &nothing, now), starts).await?;
    Ok(met.iter().map(|met| limit_use(met, context, now)).collect())
}

fn hold(context: &AuthContext, ask: &Ask, now: Moment) -> Hold {
    Hold {
        request: ask.request.clone(),
        org: context.org.clone(),
        key: context.key.clone(),
        secret: context.secret.clone(),
        team: context.team().cloned(),
        model: ask.model.clone(),
        amount: ask.amount.max(Money::ZERO),
        tokens: ask.tokens.max(0),
        at: now,
        expires_at: now.plus_ms(LEASE_MS),
    }
}

fn limit_use(met: &Met, context: &AuthContext, now: Moment) -> LimitUse {
    let holder_name = match met.holder {
        HolderKind::Key => context.key_name.clone(),
        HolderKind::Team => context.team.as_ref().map(|(_, name)| name.clone()).unwrap_or_default(),
        HolderKind::Org => context.org_name.clone(),
    };
    let resets_at = match met.what {
        Limited::Budget(period) => period.window(now, &context.zone).end,
        Limited::Balance | Limited::Requests | Limited::Tokens | Limited::Concurrent => met.frees_at,
    };
    LimitUse {
        holder: met.holder,
        holder_name,
        what: met.what,
        max: met.max,
        used: met.used,
        reserved: met.reserved,
        requested: met.requested,
        resets_at,
    }
}

/// Seconds after which it may pass: when the oldest second falls out of the last minute, or soon, when others that are
/// under way are in its way. `None` where waiting does not help.
fn retry_after(limit: &LimitUse, now: Moment) -> Option<i64> {
    if !limit.fits_alone() {
        return None;
    }
    match limit.what {
        Limited::Requests | Limited::Tokens => {
            let wait = limit.resets_at.map_or(1_000, |at| at.ms().saturating_sub(now.ms()));
            Some((wait.max(1) + 999) / 1_000)
        }
        Limited::Budget(_) | Limited::Balance | Limited::Concurrent => Some(1),
    }
}

/// Writes what the request came to, with its counters and its day, and lets go of what it held: once per request id;
/// `false` when it was there already.
pub async fn settle(desk: &Desk, reserved: &Reserved, used: &Used) -> Result<bool, StoreError> {
    let usage = Usage {
        request: reserved.request.clone(),
        org: reserved.org.clone(),
        key: reserved.key.clone(),
        secret: reserved.secret.clone(),
        team: reserved.team.clone(),
        model: used.model.clone(),
        route: used.route.clone(),
        status: used.status,
        tokens: used.tokens,
        cost: used.cost,
        estimated: used.estimated,
        started_at: reserved.started_at,
        latency_ms: used.latency_ms,
        first_byte_ms: used.first_byte_ms,
        address: used.address.clone(),
        user_agent: used.user_agent.clone(),
    };
    meter::settle(&desk.db, usage, reserved.zone.clone()).await
}

/// A request that another program asked for and has not settled yet; `None` when there is none, or not any more.
pub async fn reserved(desk: &Desk, request: &RequestId) -> Result<Option<(Reserved, String)>, StoreError> {
    let mut read = desk.db.read().await?;
    let Some(held) = meter::held(&mut read, request).await? else { return Ok(None) };
    let zone = stored::zone_of_secret(&mut read, &held.secret).await?;
    let zone = zone.ok_or(StoreError::Unreadable { column: "orgs.zone" })?;
    let reserved = Reserved {
        request: request.clone(),
        org: held.org,
        key: held.key,
        secret: held.secret,
        team: held.team,
        zone,
        started_at: held.at,
        limits: Vec::new(),
    };
    Ok(Some((reserved, held.model)))
}

/// What a request cost that is settled already.
pub async fn settled(desk: &Desk, request: &RequestId) -> Result<Option<Money>, StoreError> {
    spend::cost_of(&mut desk.db.read().await?, request).await
}

/// Lets go of what a request held that was never sent on.
pub async fn release(desk: &Desk, request: &RequestId) -> Result<bool, StoreError> {
    meter::release(&desk.db, request).await
}

/// Says that these requests are still under way.
pub async fn renew(desk: &Desk, requests: &[RequestId]) -> Result<(), StoreError> {
    if requests.is_empty() {
        return Ok(());
    }
    meter::renew(&desk.db, requests, desk.now().plus_ms(LEASE_MS)).await
}
