//! What happens by itself while the program serves: last uses are written, keys expire, what nobody needs is forgotten.

use std::time::Duration;

use keydesk_core::store::{StoreError, keys, meter, refusals, sessions, throttle};
use tokio::time::{MissedTickBehavior, interval};

use crate::state::AppState;

const DAY_MS: i64 = 86_400_000;

/// Runs until it is dropped.
pub async fn run(state: AppState) {
    let mut every_second = interval(Duration::from_secs(1));
    every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for second in 0_u64.. {
        every_second.tick().await;
        log("last uses", state.last_used.flush(&state.desk.db).await);
        log("refusals", state.refusals.flush(&state.desk.db).await);
        if second.is_multiple_of(15) {
            log("expiry", expire(&state).await);
        }
        if second.is_multiple_of(60) {
            log("what was held", forget_held(&state).await);
        }
        if second.is_multiple_of(3_600) {
            log("sweep", sweep(&state).await);
        }
    }
}

fn log(what: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::error!(%error, "{what}: tried again at the next turn");
    }
}

async fn expire(state: &AppState) -> Result<(), StoreError> {
    let mut tx = state.desk.db.write().await?;
    let count = keys::expire_due(&mut tx, state.desk.now()).await?;
    tx.save_unaudited("expiry was decided when it was set").await?;
    if count > 0 {
        tracing::info!(count, "keys expired");
    }
    Ok(())
}

async fn forget_held(state: &AppState) -> Result<(), StoreError> {
    let mut tx = state.desk.db.write().await?;
    meter::sweep(&mut tx, state.desk.now()).await?;
    tx.save_unaudited("it counts no more").await
}

async fn sweep(state: &AppState) -> Result<(), StoreError> {
    let now = state.desk.now();
    let whole = state.config.session_hours * 3_600_000;
    let mut tx = state.desk.db.write().await?;
    // A month longer than they can live, so that an ended one can still be looked at.
    sessions::sweep(&mut tx, now.plus_ms(-(whole + 30 * DAY_MS))).await?;
    refusals::sweep(&mut tx, now.plus_ms(-30 * DAY_MS)).await?;
    throttle::sweep(&mut tx, now.plus_ms(-DAY_MS)).await?;
    tx.save_unaudited("nothing of this was anybody's").await
}
