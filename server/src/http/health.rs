//! For load balancers: is the program up, and can it work? And where browsers report what the policy stopped.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keydesk_core::store::SchemaState;

use crate::state::AppState;

/// The program runs.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The database answers and has this program's schema.
pub async fn readyz(State(state): State<AppState>) -> impl IntoResponse {
    match state.desk.db.schema().await {
        // While a newer release takes over, this one goes on.
        Ok(SchemaState::Current | SchemaState::Newer { .. }) => (StatusCode::OK, "ready\n"),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database waits for migrations\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
    }
}

/// Logs that a page was stopped from loading something. What it was is not kept: a report may contain addresses.
pub async fn csp_report() -> StatusCode {
    tracing::warn!("csp: a browser reports that a page's policy stopped something");
    StatusCode::NO_CONTENT
}
