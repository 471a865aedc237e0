//! `GET /v1/key`: what a key shows about itself, also when requests with it are rejected, so that its user finds out why and
//! who can help.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::{AdmissionError, KeyStatusView, LiveKeyStatus, key_status};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::limit_use::{LimitUse, Limited};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use serde_json::{Value, json};

use super::credentials::{described, note_rejection, presented};
use super::protocol::{ApiError, ClientContext, json_response};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

pub async fn show(
    State(state): State<AppState>,
    client: ClientContext,
    parts: Parts,
) -> Result<Response, ApiError> {
    let address = parts.extensions.get::<RequestFacts>().and_then(|facts| facts.address);
    match key_status(&state.desk, &presented(&parts), address).await {
        Ok(status) => Ok(json_response(&shape(&status, &client.base_url))),
        Err(AdmissionError::Rejected(rejection, key)) => {
            if let Some(key) = key {
                note_rejection(&state, &key, &rejection, &described(&parts, ""));
            }
            Err(client.rejected(&rejection))
        }
        Err(AdmissionError::Unavailable(error)) => Err(client.unavailable(&error)),
    }
}

fn shape(status: &KeyStatusView, base_url: &str) -> Value {
    let mut shown = json!({
        "object": "key",
        "status": status.stopped.as_ref().map_or("active", |rejection| rejection.reason().unwrap_or("rejected")),
        "since": status.stopped.as_ref().and_then(since).map(Moment::rfc3339),
        "message": status.stopped.as_ref().map(|rejection| rejection.sentence(base_url)),
        "contacts": status.contacts,
    });
    if let (Some(live), Value::Object(shown)) = (&status.live, &mut shown) {
        shown.insert("name".into(), json!(status.name));
        shown.insert("hint".into(), json!(format!("sk-…{}", status.last_four)));
        shown.insert("organisation".into(), json!(status.org));
        shown.insert("team".into(), json!(status.team));
        if status.secret_replaced {
            shown.insert("warning".into(), json!(warning(status)));
            shown.insert("secret_expires_at".into(), json!(status.secret_expires_at.map(Moment::rfc3339)));
        }
        shown.insert("expires_at".into(), json!(status.expires_at.map(Moment::rfc3339)));
        shown.insert("time_zone".into(), json!(status.zone.name()));
        shown.insert("limits".into(), live.limits.iter().map(limit).collect());
        shown.insert("models".into(), json!(live.models));
        shown.insert("spent".into(), spent(live));
    }
    shown
}

/// For a program whose secret a rotation replaced.
fn warning(status: &KeyStatusView) -> String {
    let ends = match status.secret_expires_at {
        Some(at) => format!("It stops working on {}.", at.exact(&status.zone)),
        None => "It stops working after the new secret is used.".to_owned(),
    };
    format!("A rotation replaced this secret. {ends} Change to the new one.")
}

fn since(rejection: &Rejection) -> Option<Moment> {
    match rejection {
        Rejection::Retired { since, .. }
        | Rejection::Revoked { since, .. }
        | Rejection::Disabled { since, .. }
        | Rejection::Expired { since, .. } => Some(*since),
        _ => None,
    }
}

fn spent(live: &LiveKeyStatus) -> Value {
    json!({
        "total_nanos": live.spent.nanos(),
        "total_dollars": live.spent.input(),
        "month_nanos": live.month_spent.nanos(),
        "month_dollars": live.month_spent.input(),
        "requests": live.requests,
        "requests_not_priced": live.not_priced,
        "tokens": live.tokens,
    })
}

/// One limit as JSON: money in nano-dollars and in dollars, counts as they are.
pub fn limit(limit: &LimitUse) -> Value {
    let kind = match limit.what {
        Limited::Budget(_) => "budget",
        Limited::Balance => "balance",
        Limited::Requests => "requests_per_minute",
        Limited::Tokens => "tokens_per_minute",
        Limited::Concurrent => "concurrent_requests",
    };
    let mut shown = json!({
        "kind": kind,
        "holder": limit.holder.as_str(),
        "holder_name": limit.holder_name,
        "limit": limit.max,
        "used": limit.used,
        "reserved": limit.reserved,
        "remaining": limit.remaining(),
        "resets_at": limit.resets_at.map(Moment::rfc3339),
    });
    if let Limited::Budget(period) = limit.what {
        shown["period"] = json!(period.as_str());
    }
    if limit.what.is_money() {
        for (name, nanos) in [
            ("limit_dollars", limit.max),
            ("used_dollars", limit.used),
            ("remaining_dollars", limit.remaining()),
        ] {
            shown[name] = json!(Money::from_nanos(nanos).input());
        }
    }
    shown
}
