//! `GET /metrics`: what is measured, in Prometheus' text format. On a port of its own, or with a token where the program listens.

use std::path::Path;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use prometheus::TEXT_FORMAT;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use crate::metrics::{Figures, Pool, SqliteFile};
use crate::state::AppState;

const PATH: &str = "/metrics";
/// The database may take so long to answer.
const WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Token(Option<SecretString>);

/// On a port of its own, with a token or without.
pub fn apart(state: &AppState) -> Router<AppState> {
    // Whether it can be read was checked at the start.
    let token = Token(state.config.metrics_token().ok().flatten());
    Router::new().route(PATH, get(show)).layer(Extension(token))
}

/// Among the others, where a token and no port is set.
pub fn among_others(state: &AppState) -> Router<AppState> {
    let has_token = state.config.metrics_token().is_ok_and(|token| token.is_some());
    if has_token && state.config.metrics_listen.is_none() { apart(state) } else { Router::new() }
}

async fn show(
    State(state): State<AppState>,
    Extension(Token(token)): Extension<Token>,
    headers: HeaderMap,
) -> Response {
    if token.is_some_and(|token| !is_sent(&token, &headers)) {
        let words = "Send the metrics token of this installation: Authorization: Bearer TOKEN.\n";
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], words).into_response();
    }
    match state.metrics.text(&figures(&state).await) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "The metrics cannot be written. The log says why.\n")
                .into_response()
        }
    }
}

fn is_sent(token: &SecretString, headers: &HeaderMap) -> bool {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Hashes have equal lengths, so the comparison takes constant time.
    Sha256::digest(sent.unwrap_or_default()).ct_eq(&Sha256::digest(token.expose_secret().as_bytes())).into()
}

async fn figures(state: &AppState) -> Figures {
    let db = &state.desk.db;
    // Before it is asked, which takes a connection.
    let pools = db.pools();
    let unsettled = state.gateway.in_flight.unsettled();
    Figures {
        database: db.name().to_lowercase(),
        answers: timeout(WITHIN, db.ping()).await.is_ok_and(|answer| answer.is_ok()),
        pools: pools
            .into_iter()
            .map(|pool| Pool { name: pool.name, in_use: pool.in_use, idle: pool.idle, max: pool.max })
            .collect(),
        files: sqlite_files(state),
        reserved: unsettled.reserved,
        unsettled: unsettled.ended,
        lag: unsettled.lag,
        queued: unsettled.queued,
        kept_keys: state.desk.key_cache.keys(),
    }
}

fn sqlite_files(state: &AppState) -> Vec<SqliteFile> {
    let Some((database, log)) = state.config.data.sqlite_files() else { return Vec::new() };
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    vec![
        SqliteFile { name: "database", bytes: size(&database) },
        SqliteFile { name: "wal", bytes: size(&log) },
    ]
}
