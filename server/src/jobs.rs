//! What happens by itself while the program serves: last uses are written, reservations are renewed and settled, keys
//! expire, alerts are found and sent, and old rows are removed.

use std::time::Duration;

use keydesk_core::admission::{LOOK_EVERY, Node, RENEW_MS, sweep_quotas};
use keydesk_core::ops::{OpError, orgs, retention, spend_check, upkeep};
use keydesk_core::store::StoreError;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::alerts;
use crate::state::AppState;

const RENEW_EVERY: Duration = Duration::from_millis(RENEW_MS as u64);
/// How often it is looked whether an organisation's night has come.
const NIGHT_EVERY: Duration = Duration::from_secs(600);
/// Between two transactions that delete.
const DELETE_PAUSE: Duration = Duration::from_millis(100);
/// After a failure; leases last for four turns.
const RENEW_AGAIN: Duration = Duration::from_secs(5);
/// How long an answer to a look at the configuration's version is waited for, and when the next one follows on a failure.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(400);

/// Keeps the leases of requests under way, behind nothing else: what takes long elsewhere must not end them. Runs until it
/// is dropped.
pub async fn keep_leases(state: AppState) {
    loop {
        let renewed = state.gateway.in_flight.renew(&state.desk).await;
        let wait = if renewed.is_ok() { RENEW_EVERY } else { RENEW_AGAIN };
        note(&state, "leases", renewed);
        tokio::time::sleep(wait).await;
    }
}

/// Keeps this process's lease on what it has in memory, until it has to leave; `is_alone` where no other process can serve
/// the database.
pub async fn keep_node(state: AppState, is_alone: bool, leave: CancellationToken) {
    let desk = &state.desk;
    let mut node = Node::new(desk);
    if is_alone {
        note(&state, "nodes", node.remove_others(desk).await);
    }
    let mut was_well = true;
    loop {
        // A connection that is cut must not keep the next look from being sent on another one.
        let looked = timeout(LOOK_WITHIN, node.look(desk)).await.unwrap_or(Err(StoreError::Lost));
        let is_well = looked.is_ok();
        state.metrics.ran("configuration version", is_well, desk.now());
        if was_well {
            log("configuration version", looked);
        }
        was_well = is_well;
        let wait = if is_well { LOOK_EVERY } else { LOOK_AGAIN };
        tokio::select! {
            () = leave.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    note(&state, "node", node.leave(desk).await);
}

/// Each second, behind nothing else: who reads the database finds what this process has admitted from memory. Runs until it is
/// dropped.
pub async fn keep_quotas(state: AppState) {
    let mut every_second = every_second();
    loop {
        every_second.tick().await;
        log("quotas", sweep_quotas(&state.desk).await);
    }
}

/// Runs until it is dropped.
pub async fn run(state: AppState) {
    // Alerts are beside the rest: a mail server that hangs must delay nothing.
    tokio::join!(alerts::run(state.clone()), turns(state));
}

async fn turns(state: AppState) {
    let mut every_second = every_second();
    // Grants that ended while no program ran.
    let mut grants_since = state.desk.now().plus_days(-31);
    for second in 0_u64.. {
        every_second.tick().await;
        gateway_turn(&state).await;
        if second.is_multiple_of(15) {
            state.cookie_keys.reload();
            state.desk.vault.reload();
            note(&state, "expiry", expire(&state).await);
            let renewed = upkeep::renew_after_grants(&state.desk, grants_since).await;
            note(&state, "grants", renewed.map(|now| grants_since = now));
        }
        if second.is_multiple_of(60) {
            check_clock(&state).await;
            note(&state, "reservations", upkeep::sweep_reservations(&state.desk).await);
        }
        if second.is_multiple_of(3_600) {
            let session_ms = state.config.session_hours * 3_600_000;
            note(&state, "sweep", upkeep::sweep_old(&state.desk, session_ms).await);
            note(&state, "sweep of alerts", keydesk_core::ops::alerts::sweep(&state.desk).await);
        }
    }
}

/// What reads everything, apart from all else: spend is checked against the requests once a night over all nodes, and
/// requests that are no longer kept are deleted. Runs until it is dropped.
pub async fn nightly(state: AppState) {
    loop {
        tokio::time::sleep(NIGHT_EVERY).await;
        // What is compared with the requests comes before they are deleted.
        let checked = spend_check::nightly(&state.desk).await;
        state.metrics.ran("check of spend", checked.is_ok(), state.desk.now());
        if let Err(error) = checked {
            tracing::error!(%error, "check of spend: tried again tomorrow");
            continue;
        }
        let deleted = delete_old_requests(&state).await;
        state.metrics.ran("deletion", deleted.is_ok(), state.desk.now());
        if let Err(error) = deleted {
            tracing::error!(%error, "requests that are no longer kept: tried again at the next turn");
        }
    }
}

/// A few at a time, with a pause that lets others write.
async fn delete_old_requests(state: &AppState) -> Result<(), OpError> {
    for org in orgs::keeping_requests_for_days(&state.desk).await? {
        while retention::delete_some(&state.desk, &org).await? {
            tokio::time::sleep(DELETE_PAUSE).await;
        }
    }
    Ok(())
}

/// Of it, what a process that serves the gateway alone has to do. Runs until it is dropped.
pub async fn run_gateway(state: AppState) {
    let mut every_second = every_second();
    for second in 0_u64.. {
        every_second.tick().await;
        gateway_turn(&state).await;
        if second.is_multiple_of(60) {
            check_clock(&state).await;
        }
    }
}

fn every_second() -> Interval {
    let mut every_second = interval(Duration::from_secs(1));
    every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every_second
}

async fn gateway_turn(state: &AppState) {
    let (desk, in_flight) = (&state.desk, &state.gateway.in_flight);
    note(state, "last uses", state.last_used.flush(&desk.db).await);
    note(state, "rejections", state.rejections.flush(&desk.db).await);
    note(state, "providers", state.gateway.watch.flush(&desk.db).await);
    note(state, "settlements", in_flight.settle_pending(desk).await);
}

/// Rates and waits of several nodes agree only as far as their clocks do.
async fn check_clock(state: &AppState) {
    let problem = upkeep::clock_problem(&state.desk.db, state.desk.clock.as_ref()).await;
    if let Ok(Some(sentence)) = &problem {
        tracing::warn!("{sentence}");
    }
    note(state, "clock", problem.map(|_| ()));
}

/// Counts it, and logs a failure.
fn note(state: &AppState, job: &str, done: Result<(), StoreError>) {
    state.metrics.ran(job, done.is_ok(), state.desk.now());
    log(job, done);
}

fn log(what: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::error!(%error, "{what}: tried again at the next turn");
    }
}

async fn expire(state: &AppState) -> Result<(), StoreError> {
    let count = upkeep::expire_keys(&state.desk).await?;
    if count > 0 {
        tracing::info!(count, "keys expired");
    }
    Ok(())
}
