//! The models that a key may use: each protocol's list and single model, in that protocol's shape. Whoever sets up a
//! client tries its key with these first.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::{AuthContext, models_in_scope};
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::model::{DEMO_ECHO, Model, demo_echo};
use keydesk_core::store::{StoreError, providers};
use serde_json::{Value, json};

use super::credentials::{Authenticated, note_rejection};
use super::protocol::{Asker, Fault, Protocol, answer};
use crate::state::AppState;

pub async fn list(
    State(state): State<AppState>,
    asker: Asker,
    Authenticated(context): Authenticated,
) -> Result<Response, Fault> {
    let models = usable(&state, &context).await.map_err(|error| asker.unavailable(&error))?;
    let shown: Vec<Value> = models.iter().map(|model| shape(asker.protocol, model)).collect();
    Ok(answer(&match asker.protocol {
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

/// The scope is asked before the catalogue: what a key may not use, it does not learn about either.
pub async fn find(
    State(state): State<AppState>,
    asker: Asker,
    Authenticated(context): Authenticated,
    id: Result<Path<String>, PathRejection>,
    parts: Parts,
) -> Result<Response, Fault> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let id = id.trim_end_matches('/');
    // An id is repeated in the answer; a key that was pasted in its place must not be.
    if id.is_empty() || looks_like_secret(id) {
        return Err(asker.model_not_found("There is no model of this name."));
    }
    if let Err(rejection) = context.model(id) {
        note_rejection(&parts, &state, &context.known(), &rejection);
        return Err(asker.refused(&rejection));
    }
    let models = usable(&state, &context).await.map_err(|error| asker.unavailable(&error))?;
    match models.iter().find(|model| model.id == id) {
        Some(model) => Ok(answer(&shape(asker.protocol, model))),
        None => {
            let shown: String = id.chars().filter(|c| !c.is_control()).take(100).collect();
            let base = &asker.base_url;
            Err(asker.model_not_found(&format!(
                "The model {shown} is not in this installation's catalogue. GET {base}/v1/models lists those this key may use."
            )))
        }
    }
}

/// The models of a key that somebody serves. While this installation has no provider, that is the demonstration, and behind
/// it stands what could be served.
async fn usable(state: &AppState, context: &AuthContext) -> Result<Vec<Model>, StoreError> {
    let mut found = models_in_scope(&state.desk, context).await?;
    if providers::any(&mut state.desk.db.read().await?).await? {
        found.retain(|model| model.route.is_some());
    } else if context.model(DEMO_ECHO).is_ok() {
        found.retain(|model| model.id != DEMO_ECHO);
        found.insert(0, demo_echo());
    }
    Ok(found)
}

/// The catalogue keeps no release dates. Clients demand one, so it is 1970, which Anthropic documents for an unknown date.
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
            // Nor versions: an id names one.
            "version": "",
            "displayName": model.id,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
    }
}
