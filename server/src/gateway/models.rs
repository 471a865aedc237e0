//! The models that a key may use: each protocol's list and single model, in that protocol's shape. People try a new key
//! with these first.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::usable_models;
use keydesk_core::domain::api_error::NoTarget;
use keydesk_core::domain::model::Model;
use serde_json::{Value, json};

use super::credentials::{Authenticated, described, note_stop};
use super::protocol::{ApiError, ClientContext, Protocol, json_response};
use crate::state::AppState;

pub async fn list(
    State(state): State<AppState>,
    client: ClientContext,
    Authenticated(context): Authenticated,
) -> Result<Response, ApiError> {
    let models = usable_models(&state.desk, &context).await.map_err(|error| client.unavailable(&error))?;
    let shown: Vec<Value> = models.iter().map(|model| shape(client.protocol, model)).collect();
    Ok(json_response(&match client.protocol {
        Protocol::OpenAi => json!({"object": "list", "data": shown}),
        Protocol::Anthropic => json!({
            "data": shown,
            "has_more": false,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        }),
        Protocol::Gemini => json!({"models": shown}),
    }))
}

/// The scope is checked before the catalogue, so that a key cannot find out which models exist.
pub async fn find(
    State(state): State<AppState>,
    client: ClientContext,
    Authenticated(context): Authenticated,
    id: Result<Path<String>, PathRejection>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let id = id.trim_end_matches('/');
    // The answer repeats the id, and must not repeat a key that was pasted in its place.
    if id.is_empty() {
        return Err(client.no_target(NoTarget::SecretAsModel, id));
    }
    if let Err(stop) = context.admit_model(id) {
        note_stop(&state, &context, &stop, &described(&parts, ""));
        return Err(client.stopped(&stop, id));
    }
    let models = usable_models(&state.desk, &context).await.map_err(|error| client.unavailable(&error))?;
    match models.iter().find(|model| model.id == id) {
        Some(model) => Ok(json_response(&shape(client.protocol, model))),
        None => Err(client.no_target(NoTarget::UnknownModel, id)),
    }
}

/// The catalogue has no release dates. Clients require one, so it is 1970, which Anthropic documents as unknown.
fn shape(protocol: Protocol, model: &Model) -> Value {
    match protocol {
        Protocol::OpenAi => {
            json!({"id": model.id, "object": "model", "created": 0, "owned_by": model.provider})
        }
        Protocol::Anthropic => json!({
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": "1970-01-01T00:00:00Z",
        }),
        Protocol::Gemini => json!({
            "name": format!("models/{}", model.id),
            // The catalogue has no versions either.
            "version": "",
            "displayName": model.id,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
    }
}
