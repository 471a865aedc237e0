//! `POST /api/leaks`: a service that scans public code reports leaked secrets, in the format of GitHub's secret scanning
//! partner program: a JSON array of `token`, `type`, `url` and `source`, signed over the whole body with ECDSA P-256.
//!
//! Without configured keys the route does not exist. The answer repeats no secret: it names each by its hash.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use keydesk_app::mail::leaks::{LeakNotice, notify};
use keydesk_app::path::LocalPath;
use keydesk_core::domain::key_format;
use keydesk_core::domain::leak::{LeakResponse, plain_place};
use keydesk_core::ops::OpError;
use keydesk_core::ops::leaks::{KnownSecret, respond, scan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::gateway::body::{BodyError, read};
use crate::gateway::room::Holder;
use crate::state::AppState;

pub const PATH: &str = "/api/leaks";
/// Secrets in one report.
const MAX_TOKENS: usize = 100;
const MAX_BODY: usize = 2 << 20;
const BODY_WITHIN: Duration = Duration::from_secs(15);
/// Who reports, in the audit.
const BY: &str = "secret scanning";

/// One leaked secret of a report.
#[derive(Deserialize)]
struct Reported {
    token: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    url: String,
}

/// What became of one, as GitHub reads it.
#[derive(Serialize)]
struct Feedback {
    token_hash: String,
    token_type: String,
    label: &'static str,
}

pub async fn report(State(state): State<AppState>, headers: HeaderMap, body: Body) -> Response {
    let Some(keys) = &state.leak_keys else { return StatusCode::NOT_FOUND.into_response() };
    let mut room = state.gateway.bodies.share(Holder::named("leaks"));
    let body = match read(&headers, body, MAX_BODY, BODY_WITHIN, &mut room).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "A report has 2 MiB at most.\n").into_response();
        }
        Err(BodyError::NoRoom) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(_) => return (StatusCode::BAD_REQUEST, "The report did not arrive.\n").into_response(),
    };
    if !keys.signed(&headers, &body) {
        return (StatusCode::UNAUTHORIZED, "The signature does not belong to a configured key.\n")
            .into_response();
    }
    let reported: Vec<Reported> = match serde_json::from_slice(&body) {
        Ok(reported) => reported,
        Err(_) => {
            return (StatusCode::BAD_REQUEST, "The body is not a JSON array of reports.\n").into_response();
        }
    };
    if reported.len() > MAX_TOKENS {
        return (StatusCode::BAD_REQUEST, "A report has 100 secrets at most.\n").into_response();
    }
    let mut feedback = Vec::new();
    for one in reported {
        match handle(&state, &one).await {
            Ok(known) => feedback.push(Feedback {
                token_hash: STANDARD.encode(Sha256::digest(one.token.as_bytes())),
                token_type: one.kind,
                label: if known { "true_positive" } else { "false_positive" },
            }),
            Err(error) => {
                tracing::error!(%error, "a reported secret could not be handled");
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
        }
    }
    axum::Json(feedback).into_response()
}

/// Whether the secret is one of this installation.
async fn handle(state: &AppState, reported: &Reported) -> Result<bool, OpError> {
    let Ok(secret) = key_format::read(&reported.token) else { return Ok(false) };
    let Some(known) = scan(&state.desk, &[secret]).await?.into_iter().find_map(|scanned| scanned.known)
    else {
        return Ok(false);
    };
    let response = LeakResponse::from(state.config.leak_response);
    let changed = respond(&state.desk, &known.place, response, &reported.url, BY).await?;
    if let Some(mailer) = state.mailer.clone() {
        let (url, base) = (reported.url.clone(), state.config.base_url());
        // The service waits for no mail server.
        tokio::spawn(async move {
            let notice = notice("Secret scanning", &known, (response, changed), &url, &base);
            notify(&*mailer, &notice, &known.people).await;
        });
    }
    Ok(true)
}

/// The letter about a leak. `by` reported it, and `changed` is what `respond` answered.
pub fn notice<'a>(
    by: &'a str,
    known: &'a KnownSecret,
    (response, changed): (LeakResponse, bool),
    found_at: &str,
    base: &str,
) -> LeakNotice<'a> {
    let stopped = match response {
        _ if !known.works => "The secret no longer worked, so nothing was changed.",
        LeakResponse::Disable if changed => {
            "The key is disabled. Rotate it, give its apps the new secret, and enable it again."
        }
        LeakResponse::Revoke if changed => "The key is revoked. Create a new one if it is still needed.",
        LeakResponse::Notify | LeakResponse::Disable | LeakResponse::Revoke => {
            "The secret still works. Rotate or revoke the key now."
        }
    };
    let path = LocalPath::key(&known.place.slug, &known.place.key);
    LeakNotice {
        by,
        key: &known.key.name,
        org: &known.place.org_name,
        hint: known.secret.hint(),
        found_at: plain_place(found_at),
        stopped,
        url: format!("{base}{}", path.as_str()),
    }
}
