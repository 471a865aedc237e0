//! The calls by which a node gets, gives back and has the database decide. Each is a task of its own: who asked may leave, and what
//! the database answers is taken up all the same.

use std::time::Duration;

use tokio::time::timeout;

use super::state::{LEASE_MS, NodeName, Quotas};
use super::{Asking, at_moment};
use crate::Desk;
use crate::domain::ids::OrgId;
use crate::domain::limit_use::HolderKind;
use crate::domain::money::Money;
use crate::domain::quota::{Holder, LimitNumbers, Next, Reserving};
use crate::store::StoreError;
use crate::store::meter::{LimitRow, NewReservation};
use crate::store::quotas::{self as stored, Call};

/// After this an answer is taken for lost.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

async fn answered<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(ANSWERED_WITHIN, call).await.unwrap_or(Err(StoreError::Lost))
}

/// Runs to its end, also when the one who waits has left.
async fn whatever_comes<T: Send + 'static>(
    what: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(what).await.unwrap_or(Err(StoreError::Lost))
}

fn call(row: &NodeName, number: i64) -> Call<'_> {
    Call { node: &row.id, token: &row.token, number }
}

/// Asks for what this request lacks. `false` when the database does not know this node.
pub(super) async fn take(desk: &Desk, asking: &Asking) -> Result<bool, StoreError> {
    let (desk, asking) = (desk.clone(), asking.clone());
    let lost = desk.quotas.state().lost;
    whatever_comes(async move {
        let quotas = &desk.quotas;
        let _outside = quotas.outside.write().await;
        let _turn = quotas.calls.lock().await;
        let org = asking.of.org.as_str();
        let (asked, row, number) = {
            let mut state = quotas.state();
            let lease = desk.lease();
            state.check_lost(lost)?;
            if !lease.is_valid() {
                return Ok(false);
            }
            state.drop_changed_of(org, &lease);
            // When its turn comes, another request may have asked already.
            let Some(asked) = state.quota.take(&asking.demand()) else { return Ok(true) };
            state.note(org, asked.holders.iter().map(|of| of.holder.clone()), &lease);
            let Some((row, number)) = state.next_call() else {
                state.quota.take_lost(&asked);
                return Ok(false);
            };
            (asked, row, number)
        };
        let answer = answered(stored::take(&desk.db, &call(&row, number), &asked, &asking.starts)).await;
        let mut state = quotas.state();
        let is_same = state.row.as_ref() == Some(&row);
        match answer {
            Ok(Some(taken)) if is_same => {
                state.quota.taken(&asked, taken);
                Ok(true)
            }
            answer => {
                state.quota.take_lost(&asked);
                state.lost += u64::from(answer.is_err());
                answer.map(|_| false)
            }
        }
    })
    .await
}

/// Tells the database all that is due. `false` when it does not know this node.
pub(super) async fn give_back(desk: &Desk) -> Result<bool, StoreError> {
    let desk = desk.clone();
    let lost = desk.quotas.state().lost;
    whatever_comes(async move {
        let quotas = &desk.quotas;
        let _turn = quotas.calls.lock().await;
        let (message, of, row, number) = {
            let mut state = quotas.state();
            state.check_lost(lost)?;
            if !state.quota.is_due() {
                return Ok(true);
            }
            let Some((row, number)) = state.next_call() else { return Ok(false) };
            let Some(message) = state.quota.give_back() else { return Ok(true) };
            let of = message.reservations.iter().filter_map(|one| state.requests.get(&one.id).cloned());
            let of: Vec<_> = of.collect();
            (message, of, row, number)
        };
        let until = desk.now().plus_ms(LEASE_MS);
        let answer = answered(stored::give_back(&desk.db, &call(&row, number), &message, &of, until)).await;
        let mut state = quotas.state();
        match answer {
            Ok(true) => state.quota.given_back(&message),
            _ => {
                state.quota.give_back_lost(message);
                state.lost += u64::from(answer.is_err());
            }
        }
        answer
    })
    .await
}

/// Has the database reserve the request: the limits that it has met, and what follows. `lines` are those that this node has
/// judged.
pub(super) async fn reserve(
    desk: &Desk,
    asking: &Asking,
    new: &NewReservation,
    asked: Reserving,
    lines: &[LimitNumbers],
) -> Result<(Vec<LimitRow>, Next), StoreError> {
    debug_assert!(lines.iter().all(|line| asked.judged.iter().any(|of| of.kind == line.holder)));
    let (desk, asking, mut new) = (desk.clone(), asking.clone(), at_moment(new, asking));
    new.amount = Money::from_nanos(asked.need.likely);
    new.tokens = asked.need.tokens;
    new.presumed_amount = Money::from_nanos(asked.need.presumed_cost);
    new.presumed_tokens = asked.need.presumed_tokens;
    whatever_comes(async move {
        let row = desk.quotas.state().row.clone();
        let answer = match &row {
            Some(row) => {
                answered(stored::reserve(&desk.db, &row.id, &asked.judged, new, asking.starts)).await
            }
            None => Err(StoreError::Lost),
        };
        let mut guard = desk.quotas.state();
        let state = &mut *guard;
        match answer {
            Ok(there) => {
                let next = state.quota.reserved(&asked, &asking.demand(), there.answer, state.live);
                if !matches!(next, Next::Admitted) {
                    state.requests.remove(&asked.id);
                }
                Ok((there.rows, next))
            }
            Err(error) => {
                state.quota.reserve_lost(&asked);
                state.requests.remove(&asked.id);
                Err(error)
            }
        }
    })
    .await
}

/// Runs what changes limits or counters of these holders at the database. This node has given back by then what it has of them,
/// and is granted nothing until it is done.
///
/// # Errors
/// What it answers, or when the database does not know yet what is in use.
pub(in crate::admission) async fn outside<T>(
    desk: &Desk,
    holders: &[Holder],
    what: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let _outside = desk.quotas.outside.read().await;
    for _ in 0..MAX_GIVEN_BACK {
        if !desk.quotas.recall_for_others(holders) {
            return what.await;
        }
        if !give_back(desk).await? {
            tokio::time::sleep(super::RETRY).await;
        }
    }
    Err(StoreError::Lost)
}

/// How often it is tried to give back for others. Each time but the first, something was lost.
const MAX_GIVEN_BACK: usize = 20;

impl Quotas {
    /// `false` when the database knows all that is in use of these holders, and decides about them.
    fn recall_for_others(&self, holders: &[Holder]) -> bool {
        let mut state = self.state();
        if state.row.is_none() {
            return false;
        }
        let mut is_due = false;
        for holder in holders.iter().filter(|holder| state.quota.is_untold(holder)).collect::<Vec<_>>() {
            if !state.quota.is_at_database(holder) {
                state.quota.recall(holder, true);
            }
            is_due = true;
        }
        is_due
    }
}

/// Key, team and organisation of a request, in this order.
pub(in crate::admission) fn holders_of(key: &str, team: Option<&str>, org: &OrgId) -> Vec<Holder> {
    let team = team.map(|team| (HolderKind::Team, team));
    let all = [Some((HolderKind::Key, key)), team, Some((HolderKind::Org, org.as_str()))];
    all.into_iter().flatten().map(|(kind, id)| Holder { kind, id: id.into() }).collect()
}
