//! For load balancers: is the program up, and can it work? And where browsers report what the policy stopped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use http::StatusCode;
use keydesk_core::Desk;
use keydesk_core::store::{SchemaState, readiness};
use tokio::time::timeout;

use crate::state::AppState;

/// The program runs.
pub async fn healthz() -> &'static str {
    "ok\n"
}

type Answer = (StatusCode, &'static str);

const NOT_ANSWERED: Answer = (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n");
const NOT_WRITTEN: Answer = (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be written\n");
/// A look at the database may take so long.
const WITHIN: Duration = Duration::from_secs(2);
/// An answer is good for so long.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The last answer and when it was found. Who has the lock looks, and the others wait for what is found.
#[derive(Clone, Default)]
pub struct Readiness(Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>);

/// The database has this program's schema and can be written.
pub async fn readyz(State(state): State<AppState>, Extension(readiness): Extension<Readiness>) -> Answer {
    let Ok(mut last) = timeout(WITHIN, readiness.0.lock()).await else { return NOT_WRITTEN };
    if let Some((found, answer)) = *last
        && found.elapsed() < GOOD_FOR
    {
        return answer;
    }
    let answer = timeout(WITHIN, look(&state.desk)).await.unwrap_or(NOT_WRITTEN);
    *last = Some((Instant::now(), answer));
    answer
}

async fn look(desk: &Desk) -> Answer {
    match desk.db.schema().await {
        // While a newer release takes over, this one goes on.
        Ok(SchemaState::Current | SchemaState::Newer { .. }) => {}
        Ok(_) => return (StatusCode::SERVICE_UNAVAILABLE, "the database waits for migrations\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            return NOT_ANSWERED;
        }
    }
    match readiness::probe(&desk.db, desk.now()).await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            NOT_WRITTEN
        }
    }
}

/// When a report was last logged, and how many came since.
static REPORTS: Mutex<(Option<Instant>, u64)> = Mutex::new((None, 0));

/// Logs that a page was stopped from loading something. What it was is not kept: a report may contain addresses. Anyone can
/// send one, so a line is written once a second and says how many there were.
pub async fn csp_report() -> StatusCode {
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    reports.1 += 1;
    if reports.0.is_none_or(|logged| logged.elapsed() >= GOOD_FOR) {
        tracing::warn!(reports = reports.1, "csp: a browser reports that a page's policy stopped something");
        *reports = (Some(Instant::now()), 0);
    }
    StatusCode::NO_CONTENT
}
