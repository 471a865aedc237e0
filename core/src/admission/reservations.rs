//! Gates 7 and 8, and what follows them: a request reserves what it may use before it is forwarded, likely and at most,
//! and its settlement replaces the reservation when it is done. The reservation of a crashed gateway expires after
//! `LEASE_MS`.

use std::sync::Arc;

use super::quotas::{self, Admitted, LEASE_MS};
use super::{AdmissionError, AuthContext};
use crate::Desk;
use crate::domain::bill::Bill;
use crate::domain::expected_use::{AskedUse, ExpectedUse};
use crate::domain::failover::Attempt;
use crate::domain::gate::Rejection;
use crate::domain::ids::{KeyId, RequestId, SecretId, TeamId};
use crate::domain::key::Key;
use crate::domain::limit_use::{HolderKind, LimitUse, Limited};
use crate::domain::model::Model;
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::domain::org::Org;
use crate::domain::quota::Need;
use crate::domain::window::WindowStarts;
use crate::store::meter::{self, LimitRow, NewReservation};
use crate::store::settlement;
use crate::store::spend::Usage;
use crate::store::{StoreError, admission as stored, spend};

/// How often gateways renew, in milliseconds.
pub const RENEW_MS: i64 = 30_000;

/// What a request may use.
#[derive(Clone, Debug)]
pub struct ReservationRequest {
    /// The request's id, under which it is settled or released.
    pub request: RequestId,
    /// The model's id in the catalogue.
    pub model: String,
    /// Its likely cost; below zero counts as zero.
    pub amount: Money,
    /// The upper bound of its cost; less than `amount` counts as that.
    pub worst: Money,
    /// Likely tokens, input and output together.
    pub tokens: i64,
    /// What of `amount` and `tokens` is only presumed.
    pub presumed: Presumed,
    /// Whether the model has a price for what the request may use. Without one no budget can count it.
    pub is_priced: bool,
}

/// The part of a likely use that follows from nothing in the request: output beyond what is likely of any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presumed {
    /// Its cost.
    pub amount: Money,
    /// Its tokens.
    pub tokens: i64,
}

impl ReservationRequest {
    /// What a request reserves.
    pub fn new(request: RequestId, model: &Model, expected: &ExpectedUse) -> Self {
        let least = expected.with_least_output();
        let (amount, tokens) = (expected.likely_cost(model), expected.tokens());
        Self {
            request,
            model: model.id.clone(),
            amount,
            worst: expected.worst_cost(model),
            tokens,
            presumed: Presumed {
                amount: amount.saturating_sub(least.likely_cost(model)),
                tokens: tokens - least.tokens(),
            },
            is_priced: model.prices(expected.max_input, expected.max_output),
        }
    }

    /// The same with less presumed, where that alone does not fit: half of what these limits leave for it. So what a key
    /// used lately never locks it out.
    fn presuming_less(&self, rows: &[LimitRow]) -> Option<Self> {
        let least_of = |numbers: &mut dyn Iterator<Item = i64>| numbers.min().unwrap_or(i64::MAX);
        let money = rows.iter().filter(|row| row.what.is_money());
        let money = least_of(&mut money.map(|row| row.max.saturating_sub(row.used)));
        let tokens = rows.iter().filter(|row| row.what == Limited::Tokens);
        let tokens = least_of(&mut tokens.map(|row| row.max));
        let need = Need {
            likely: self.amount.nanos(),
            worst: self.worst.nanos(),
            tokens: self.tokens,
            presumed_cost: self.presumed.amount.nanos(),
            presumed_tokens: self.presumed.tokens,
        };
        let less = need.presuming_less(money, tokens)?;
        let (amount, tokens) = (Money::from_nanos(less.likely), less.tokens);
        Some(Self { amount, tokens, presumed: Presumed::default(), ..self.clone() })
    }
}

/// The proof that a request passed gates 7 and 8. It counts against its limits until it is settled or released.
#[derive(Clone, Debug)]
pub struct Reservation {
    stored: Arc<meter::Reservation>,
    zone: Zone,
    /// Every limit that applies, as it was before this request.
    pub limits: Vec<LimitUse>,
    place: Place,
}

/// Where a request counts while it is under way.
#[derive(Clone, Debug)]
enum Place {
    /// In this process.
    Memory(Arc<Admitted>),
    /// In the database alone.
    Database,
    /// In no limit.
    Nowhere,
}

impl Reservation {
    /// The id under which it is settled.
    pub fn request(&self) -> &RequestId {
        &self.stored.request
    }
    /// The model's id in the catalogue.
    pub fn model(&self) -> &str {
        &self.stored.model
    }
    /// When it was made.
    pub fn started_at(&self) -> Moment {
        self.stored.reserved_at
    }
}

/// What a request really used.
#[derive(Clone, Debug, Default)]
pub struct Settlement {
    /// The request's path; empty when it might contain a secret.
    pub route: String,
    /// HTTP status as the client saw it; 499 when the client disconnected.
    pub status: i64,
    /// What it used and is charged.
    pub bill: Bill,
    /// From the reservation to the end of the answer, in milliseconds.
    pub latency_ms: i64,
    /// From the reservation to the first byte of the answer, in milliseconds; `None` without one.
    pub first_byte_ms: Option<i64>,
    /// The client's IP address; empty when it is unknown.
    pub address: String,
    /// The client's user agent; empty when it sent none.
    pub user_agent: String,
    /// What the client said about it for reports, as `read_tags` reads them.
    pub tags: Vec<String>,
    /// What the provider, or the gateway about it, said, as `plain_error` makes it; empty without an error.
    pub error: String,
    /// To whom it was sent, where its model has several providers; only the last attempt's use is charged.
    pub attempts: Vec<Attempt>,
}

/// What a request of this key may use of a model.
pub fn expected_use(desk: &Desk, context: &AuthContext, model: &Model, asked: &AskedUse) -> ExpectedUse {
    ExpectedUse::new(model, asked, desk.lately.used(&context.found.key, &model.id, desk.now()))
}

/// Admits a request for the number of tokens: it costs nothing, and counts in no limit but its own.
///
/// # Errors
/// `Rejected` when the key asked too often in the last minute.
pub fn count_tokens(
    desk: &Desk,
    context: &AuthContext,
    request: RequestId,
    model: &Model,
) -> Result<Reservation, AdmissionError> {
    let now = desk.now();
    desk.lately.count(&context.found.key, now).map_err(|retry_after| {
        let rejection = Rejection::Counts { last_four: context.found.last_four.clone(), retry_after };
        AdmissionError::Rejected(rejection, Some(context.known()))
    })?;
    let model = model.id.clone();
    let nothing = ReservationRequest {
        request,
        model,
        amount: Money::ZERO,
        worst: Money::ZERO,
        tokens: 0,
        presumed: Presumed::default(),
        is_priced: true,
    };
    let stored = new_reservation(context, &nothing, now).reservation;
    let (stored, zone) = (Arc::new(stored), context.found.zone.clone());
    Ok(Reservation { stored, zone, limits: Vec::new(), place: Place::Nowhere })
}

/// Reserves what the request may use.
///
/// # Errors
/// `Rejected` with the first limit that does not fit; then nothing is reserved.
pub async fn reserve(
    desk: &Desk,
    context: &AuthContext,
    wanted: &ReservationRequest,
) -> Result<Reservation, AdmissionError> {
    let rejected = |rejection| AdmissionError::Rejected(rejection, Some(context.known()));
    if !desk.quotas.are_used() {
        return reserve_for_other(desk, context, wanted).await;
    }
    check_price(desk, context, wanted).await?.map_err(rejected)?;
    let outcome = quotas::admit(desk, context, &new_reservation(context, wanted, desk.now())).await?;
    let limits = check_limits(&outcome.rows, context, outcome.at).map_err(rejected)?;
    let (admitted, stored) = outcome.admitted.ok_or(StoreError::Lost)?;
    Ok(Reservation { stored, zone: context.found.zone.clone(), limits, place: Place::Memory(admitted) })
}

/// The same in the database alone, where another program finds, renews, settles or releases it by its request's id.
///
/// # Errors
/// As `reserve`.
pub async fn reserve_for_other(
    desk: &Desk,
    context: &AuthContext,
    wanted: &ReservationRequest,
) -> Result<Reservation, AdmissionError> {
    let rejected = |rejection| AdmissionError::Rejected(rejection, Some(context.known()));
    check_price(desk, context, wanted).await?.map_err(rejected)?;
    let holders =
        quotas::holders_of(context.key().as_str(), context.team().map(TeamId::as_str), context.org());
    let (stored, rows, now) =
        quotas::outside(desk, &holders, reserve_in_database(desk, context, wanted)).await?;
    let limits = check_limits(&rows, context, now).map_err(rejected)?;
    let stored = Arc::new(stored);
    Ok(Reservation { stored, zone: context.found.zone.clone(), limits, place: Place::Database })
}

async fn reserve_in_database(
    desk: &Desk,
    context: &AuthContext,
    wanted: &ReservationRequest,
) -> Result<(meter::Reservation, Vec<LimitRow>, Moment), StoreError> {
    let turn = desk.queues.turn(&desk.db, &context.found.org).await?;
    let now = desk.now();
    let starts = WindowStarts::at(now, &context.found.zone);
    let new = new_reservation(context, wanted, now);
    let stored = new.reservation.clone();
    let mut rows = meter::reserve(&desk.db, new, starts).await?;
    if let Some(less) = wanted.presuming_less(&rows) {
        rows = meter::reserve(&desk.db, new_reservation(context, &less, now), starts).await?;
    }
    drop(turn);
    Ok((stored, rows, now))
}

/// What `reserve` would answer, without reserving anything: the limits that apply, or the rejection.
///
/// # Errors
/// When the database cannot be read.
pub(super) async fn try_reserve(
    desk: &Desk,
    context: &AuthContext,
    wanted: &ReservationRequest,
) -> Result<Result<Vec<LimitUse>, Rejection>, StoreError> {
    if let Err(rejection) = check_price(desk, context, wanted).await? {
        return Ok(Err(rejection));
    }
    let now = desk.now();
    let starts = WindowStarts::at(now, &context.found.zone);
    let mut read = desk.db.read().await?;
    let mut rows = meter::limits(&mut read, &new_reservation(context, wanted, now), starts).await?;
    if let Some(less) = wanted.presuming_less(&rows) {
        rows = meter::limits(&mut read, &new_reservation(context, &less, now), starts).await?;
    }
    Ok(check_limits(&rows, context, now))
}

/// Gate 7, for a model without a price: it may not be used where a budget or an enforced balance counts what it costs.
async fn check_price(
    desk: &Desk,
    context: &AuthContext,
    wanted: &ReservationRequest,
) -> Result<Result<(), Rejection>, StoreError> {
    if wanted.is_priced {
        return Ok(Ok(()));
    }
    let counted = limits(desk, context).await?.into_iter().find(|limit| limit.what.is_money());
    Ok(match counted {
        None => Ok(()),
        Some(limit) => Err(Rejection::NoPrice {
            last_four: context.found.last_four.clone(),
            model: wanted.model.clone(),
            limit: Box::new(limit),
        }),
    })
}

/// Gates 7 and 8: the first limit that does not fit rejects the request.
fn check_limits(rows: &[LimitRow], context: &AuthContext, now: Moment) -> Result<Vec<LimitUse>, Rejection> {
    let Some(row) = rows.iter().find(|row| !row.fits) else {
        return Ok(rows.iter().map(|row| limit_use(row, &context.into(), now)).collect());
    };
    let limit = limit_use(row, &context.into(), now);
    Err(Rejection::Limit {
        last_four: context.found.last_four.clone(),
        retry_after: retry_after(&limit, now),
        limit: Box::new(limit),
        zone: context.found.zone.clone(),
    })
}

/// Every limit that applies to a request of this key, as it is now.
///
/// # Errors
/// When the database cannot be read.
pub async fn limits(desk: &Desk, context: &AuthContext) -> Result<Vec<LimitUse>, StoreError> {
    let now = desk.now();
    let nothing = ReservationRequest {
        request: RequestId::new(now, desk.id_entropy()),
        model: String::new(),
        amount: Money::ZERO,
        worst: Money::ZERO,
        tokens: 0,
        presumed: Presumed::default(),
        is_priced: true,
    };
    let new = new_reservation(context, &nothing, now);
    let rows =
        meter::limits(&mut desk.db.read().await?, &new, WindowStarts::at(now, &context.found.zone)).await?;
    Ok(rows.iter().map(|row| limit_use(row, &context.into(), now)).collect())
}

/// Every limit that applies to requests of a key, as it is now; for people who look at it.
///
/// # Errors
/// When the database cannot be read.
pub async fn limits_of_key(desk: &Desk, org: &Org, key: &Key) -> Result<Vec<LimitUse>, StoreError> {
    let team = key.team.as_ref().map(|team| (&team.id, team.name.as_str()));
    limits_of_holder(desk, org, &LimitedHolder { key: Some((&key.id, &key.name)), team }).await
}

/// Whose limits, each with its name: a key's with those of its team, a team's, or without both the organisation's alone.
#[derive(Clone, Copy, Debug)]
pub struct LimitedHolder<'a> {
    /// The key.
    pub key: Option<(&'a KeyId, &'a str)>,
    /// The key's team, or the team itself.
    pub team: Option<(&'a TeamId, &'a str)>,
}

/// Every limit that applies to a key, a team or an organisation, as it is now; for people who look at it.
///
/// # Errors
/// When the database cannot be read.
pub async fn limits_of_holder(
    desk: &Desk,
    org: &Org,
    holder: &LimitedHolder<'_>,
) -> Result<Vec<LimitUse>, StoreError> {
    let now = desk.now();
    // An id that no key has, so that no key's limits are among them.
    let key = holder.key.map_or_else(|| KeyId::new(now, desk.id_entropy()), |(key, _)| key.clone());
    let new = NewReservation {
        reservation: meter::Reservation {
            request: RequestId::new(now, desk.id_entropy()),
            org: org.id.clone(),
            key,
            secret: SecretId::new(now, desk.id_entropy()),
            team: holder.team.map(|(team, _)| team.clone()),
            model: String::new(),
            reserved_at: now,
        },
        amount: Money::ZERO,
        worst: Money::ZERO,
        tokens: 0,
        presumed_amount: Money::ZERO,
        presumed_tokens: 0,
        expires_at: now,
    };
    let rows = meter::limits(&mut desk.db.read().await?, &new, WindowStarts::at(now, &org.zone)).await?;
    let key = holder.key.map(|(_, name)| name).unwrap_or_default();
    let team = holder.team.map(|(_, name)| name).unwrap_or_default();
    let holders = Holders { key, team, org: &org.name, zone: &org.zone };
    Ok(rows.iter().map(|row| limit_use(row, &holders, now)).collect())
}

fn new_reservation(context: &AuthContext, wanted: &ReservationRequest, now: Moment) -> NewReservation {
    NewReservation {
        reservation: meter::Reservation {
            request: wanted.request.clone(),
            org: context.found.org.clone(),
            key: context.found.key.clone(),
            secret: context.found.secret.clone(),
            team: context.team().cloned(),
            model: wanted.model.clone(),
            reserved_at: now,
        },
        amount: wanted.amount.max(Money::ZERO),
        worst: wanted.worst.max(wanted.amount).max(Money::ZERO),
        tokens: wanted.tokens.max(0),
        presumed_amount: wanted.presumed.amount,
        presumed_tokens: wanted.presumed.tokens,
        expires_at: now.plus_ms(LEASE_MS),
    }
}

/// The names of those whose limits apply.
struct Holders<'a> {
    key: &'a str,
    /// Empty without a team.
    team: &'a str,
    org: &'a str,
    zone: &'a Zone,
}

impl<'a> From<&'a AuthContext> for Holders<'a> {
    fn from(context: &'a AuthContext) -> Self {
        let team = context.found.team.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default();
        Self { key: &context.found.key_name, team, org: &context.found.org_name, zone: &context.found.zone }
    }
}

fn limit_use(row: &LimitRow, holders: &Holders<'_>, now: Moment) -> LimitUse {
    let holder_name = match row.holder {
        HolderKind::Key => holders.key,
        HolderKind::Team => holders.team,
        HolderKind::Org => holders.org,
    };
    let holder_name = holder_name.to_owned();
    let resets_at = match row.what {
        Limited::Budget(period) => period.window(now, holders.zone).end,
        Limited::Balance | Limited::Requests | Limited::Tokens | Limited::Concurrent => row.frees_at,
    };
    LimitUse {
        holder: row.holder,
        holder_name,
        what: row.what,
        max: row.max,
        used: row.used,
        reserved: row.reserved,
        requested: row.requested,
        worst_remaining: row.worst_remaining,
        resets_at,
    }
}

/// Seconds after which the request may pass: when the oldest second leaves the last minute, or soon, when only other
/// requests in flight block it. `None` where waiting does not help.
fn retry_after(limit: &LimitUse, now: Moment) -> Option<i64> {
    if !limit.fits_alone() {
        return None;
    }
    match limit.what {
        Limited::Requests | Limited::Tokens => {
            let wait = limit.resets_at.map_or(1_000, |at| at.ms().saturating_sub(now.ms()));
            Some((wait.max(1) + 999) / 1_000)
        }
        // A longer one, as clients that try three times should get past a request of some seconds.
        Limited::Budget(_) | Limited::Balance => Some(5),
        Limited::Concurrent => Some(1),
    }
}

/// Writes the request's usage with its counters and its day, and ends its reservation: once per request id. `false` when
/// it was settled before.
///
/// # Errors
/// When the database cannot be written; the same call may be made again.
pub async fn settle(
    desk: &Desk,
    reservation: &Reservation,
    settlement: &Settlement,
) -> Result<bool, StoreError> {
    let (stored, bill) = (&reservation.stored, &settlement.bill);
    let counted = settle_once(desk, reservation, settlement).await?;
    // An estimate says little about the next request.
    if counted && !bill.is_estimated {
        desk.lately.note_use(&stored.key, &stored.model, &bill.metered.counts, desk.now());
    }
    Ok(counted)
}

async fn settle_once(
    desk: &Desk,
    reservation: &Reservation,
    settlement: &Settlement,
) -> Result<bool, StoreError> {
    end(reservation, settlement);
    let (stored, settlement) = (meter::Reservation::clone(&reservation.stored), settlement.clone());
    let usage = Usage {
        request: stored.request,
        org: stored.org,
        key: stored.key,
        secret: stored.secret,
        team: stored.team,
        model: stored.model,
        started_at: stored.reserved_at,
        route: settlement.route,
        status: settlement.status,
        bill: settlement.bill,
        latency_ms: settlement.latency_ms,
        first_byte_ms: settlement.first_byte_ms,
        address: settlement.address,
        user_agent: settlement.user_agent,
        error: settlement.error,
        tags: settlement.tags,
    };
    let (db, attempts, zone) = (&desk.db, &settlement.attempts, &reservation.zone);
    match &reservation.place {
        Place::Memory(admitted) => {
            desk.settlements.settle_of_node(db, &usage, attempts, zone, admitted.id()).await
        }
        Place::Database => {
            let team = usage.team.as_ref().map(TeamId::as_str);
            let holders = quotas::holders_of(usage.key.as_str(), team, &usage.org);
            quotas::outside(desk, &holders, desk.settlements.settle(db, &usage, attempts, zone)).await
        }
        Place::Nowhere => desk.settlements.settle(db, &usage, attempts, zone).await,
    }
}

/// The request is over, and no longer in the way of others. `true` when its answer may leave before it is settled: it cost
/// nothing, and nothing waits for what it frees. It has to be settled all the same.
pub fn end(reservation: &Reservation, settlement: &Settlement) -> bool {
    let Place::Memory(admitted) = &reservation.place else { return false };
    let (cost, counts) = (settlement.bill.cost.nanos(), &settlement.bill.metered.counts);
    let waits = admitted.end(cost, counts.input() + counts.output());
    !waits && cost == 0
}

/// The reservation that another program made and has not settled yet; `None` when there is none any more.
///
/// # Errors
/// When the database cannot be read.
pub async fn find_reservation(desk: &Desk, request: &RequestId) -> Result<Option<Reservation>, StoreError> {
    let mut read = desk.db.read().await?;
    let Some(stored) = meter::find(&mut read, request).await? else { return Ok(None) };
    let zone = stored::zone_of_secret(&mut read, &stored.secret).await?;
    let zone = zone.ok_or(StoreError::Unreadable { column: "orgs.zone" })?;
    Ok(Some(Reservation { stored: Arc::new(stored), zone, limits: Vec::new(), place: Place::Database }))
}

/// The cost of a request that is settled already.
///
/// # Errors
/// When the database cannot be read.
pub async fn settled_cost(desk: &Desk, request: &RequestId) -> Result<Option<Money>, StoreError> {
    spend::cost_of(&mut desk.db.read().await?, request).await
}

/// Ends the reservation of a request that was never forwarded; `false` when there is none any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn release(desk: &Desk, request: &RequestId) -> Result<bool, StoreError> {
    if desk.quotas.release_request(request) {
        return Ok(true);
    }
    quotas::outside(desk, &[], settlement::release(&desk.db, request)).await
}

/// Extends the reservations of requests that are in flight.
///
/// # Errors
/// When the database cannot be written.
pub async fn renew(desk: &Desk, requests: &[RequestId]) -> Result<(), StoreError> {
    if requests.is_empty() {
        return Ok(());
    }
    meter::renew(&desk.db, requests, desk.now().plus_ms(LEASE_MS)).await
}
