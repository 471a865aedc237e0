//! Limits and what stops requests next, as JSON: for the holder of a key (`GET /v1/key/limits`), and for people who are
//! signed in (`http::limits`).

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::{AdmissionError, key_status};
use keydesk_core::domain::limit_use::{HolderKind, LimitUse};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::next_stop::{Cause, NextStop};
use serde_json::{Value, json};

use super::credentials::{described, note_rejection, presented};
use super::key_view::limit;
use super::protocol::{ApiError, ClientContext, json_response};
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// The limits of one holder.
pub struct Shown<'a> {
    pub holder: HolderKind,
    pub name: &'a str,
    pub zone: &'a Zone,
    pub limits: &'a [LimitUse],
    /// What can stop requests, the first in time first.
    pub stops: &'a [NextStop],
    pub now: Moment,
}

/// Of the key in the request. A revoked key and a retired secret get what `GET /v1/key` rejects them with.
pub async fn show(
    State(state): State<AppState>,
    client: ClientContext,
    parts: Parts,
) -> Result<Response, ApiError> {
    let address = parts.extensions.get::<RequestFacts>().and_then(|facts| facts.address);
    let rejected = match key_status(&state.desk, &presented(&parts), address).await {
        Ok(status) => match (&status.live, status.stopped) {
            (Some(live), _) => {
                let shown = Shown {
                    holder: HolderKind::Key,
                    name: &status.name,
                    zone: &status.zone,
                    limits: &live.limits,
                    stops: &live.stops,
                    now: state.desk.now(),
                };
                return Ok(json_response(&shape(&shown)));
            }
            (None, Some(rejection)) => rejection,
            // A key that is not stopped has limits.
            (None, None) => return Err(client.not_found("This key has no limits.")),
        },
        Err(AdmissionError::Rejected(rejection, key)) => {
            if let Some(key) = key {
                note_rejection(&state, &key, &rejection, &described(&parts, ""));
            }
            rejection
        }
        Err(AdmissionError::Unavailable(error)) => return Err(client.unavailable(&error)),
    };
    Err(client.rejected(&rejected))
}

pub fn shape(shown: &Shown<'_>) -> Value {
    json!({
        "object": "limits",
        "holder": shown.holder.as_str(),
        "holder_name": shown.name,
        "time_zone": shown.zone.name(),
        "limits": shown.limits.iter().map(limit).collect::<Value>(),
        "next_stop": shown.stops.first().map(|stop| next_stop(stop, shown)),
    })
}

/// A limit with its numbers, or a moment with its kind; both with when it comes.
fn next_stop(stop: &NextStop, shown: &Shown<'_>) -> Value {
    let mut value = match &stop.cause {
        Cause::Limit(reached) => limit(reached),
        Cause::Expiry => json!({"kind": "expiry"}),
        Cause::Rotation => json!({"kind": "rotation"}),
        Cause::SecretEnd => json!({"kind": "secret_end"}),
    };
    value["at"] = json!(stop.at.map(Moment::rfc3339));
    value["estimated"] = json!(stop.is_estimate);
    value["stops_requests"] = json!(stop.stops_requests());
    value["message"] = json!(stop.sentence(shown.holder, shown.now, shown.zone));
    value
}
