//! What stops next, as JSON for people who are signed in: of a key, a team and the organisation. The pages of the same
//! things show the same.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use keydesk_app::error::AppError;
use keydesk_core::ops::OpError;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::limits::{self, LimitsView};

use crate::gateway::limits_view::{Shown, shape};
use crate::state::AppState;

pub fn routes(state: &AppState) -> Router {
    Router::new()
        .route("/{org}/keys/{id}/limits.json", get(of_key))
        .route("/{org}/teams/{id}/limits.json", get(of_team))
        .route("/{org}/limits.json", get(of_org))
        .with_state(state.clone())
}

type SignedIn = Option<Extension<Caller>>;

async fn of_key(
    State(state): State<AppState>,
    caller: SignedIn,
    Path((org, id)): Path<(String, String)>,
) -> Response {
    let Some(Extension(caller)) = caller else { return refused(&AppError::Unauthenticated) };
    answer(limits::of_key(&state.desk, &caller, &org, &id).await)
}

async fn of_team(
    State(state): State<AppState>,
    caller: SignedIn,
    Path((org, id)): Path<(String, String)>,
) -> Response {
    let Some(Extension(caller)) = caller else { return refused(&AppError::Unauthenticated) };
    answer(limits::of_team(&state.desk, &caller, &org, &id).await)
}

async fn of_org(State(state): State<AppState>, caller: SignedIn, Path(org): Path<String>) -> Response {
    let Some(Extension(caller)) = caller else { return refused(&AppError::Unauthenticated) };
    answer(limits::of_org(&state.desk, &caller, &org).await)
}

fn answer(view: Result<LimitsView, OpError>) -> Response {
    let view = match view {
        Ok(view) => view,
        Err(error) => return refused(&AppError::from(error)),
    };
    let shown = Shown {
        holder: view.holder,
        name: &view.name,
        zone: &view.context.org.zone,
        limits: &view.limits,
        stops: &view.stops,
        now: view.now,
    };
    let headers = [(CONTENT_TYPE, "application/json; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, shape(&shown).to_string()).into_response()
}

fn refused(error: &AppError) -> Response {
    (error.status(), axum::Json(error)).into_response()
}
