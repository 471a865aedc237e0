//! The models that a key may use: each protocol's list and single model, in that protocol's shape. People try a new key
//! with these first.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::{AuthContext, callable_models, look_up_model, usable_models};
use keydesk_core::domain::api_error::NoTarget;
use keydesk_core::domain::model::{Model, catalogue_name};
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::route::Route;
use serde_json::{Value, json};

use super::credentials::{Authenticated, described, note_stop};
use super::protocol::{ApiError, ClientContext, Protocol, json_response};
use crate::state::AppState;

pub async fn list(
    State(state): State<AppState>,
    client: ClientContext,
    Authenticated(context): Authenticated,
) -> Result<Response, ApiError> {
    let models = listed(&state, &client, &context).await?;
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
    let models = listed(&state, &client, &context).await?;
    let name = catalogue_name(id);
    match models.iter().find(|model| model.id == name) {
        Some(model) => Ok(json_response(&shape(client.protocol, model))),
        None => Err(client.no_target(why_not(&state, &client, name).await?, id)),
    }
}

/// OpenAI's clients see every model, the others what they can call.
async fn listed(
    state: &AppState,
    client: &ClientContext,
    context: &AuthContext,
) -> Result<Vec<Model>, ApiError> {
    let found = match client.protocol.kind() {
        ProviderKind::OpenAi => usable_models(&state.desk, context).await,
        kind => callable_models(&state.desk, context, kind).await,
    };
    found.map_err(|error| client.unavailable(&error))
}

async fn why_not(state: &AppState, client: &ClientContext, id: &str) -> Result<NoTarget, ApiError> {
    let found = look_up_model(&state.desk, id).await.map_err(|error| client.unavailable(&error))?;
    let usual = Route::usual(client.protocol.kind());
    Ok(match found.for_route(usual) {
        Err(other @ NoTarget::OtherProtocol(_)) => other,
        _ => NoTarget::UnknownModel,
    })
}

/// The catalogue has no release dates. Clients require one, so it is 1970, which Anthropic documents as unknown.
fn shape(protocol: Protocol, model: &Model) -> Value {
    match protocol {
        Protocol::OpenAi => {
            json!({"id": model.id, "object": "model", "created": 0, "owned_by": model.provider})
        }
        Protocol::Anthropic => sized(
            json!({
                "type": "model",
                "id": model.id,
                "display_name": model.id,
                "created_at": "1970-01-01T00:00:00Z",
            }),
            [("max_input_tokens", model.context_tokens), ("max_tokens", model.max_output_tokens)],
        ),
        Protocol::Gemini => sized(
            json!({
                "supportedGenerationMethods": match model.gives_output() {
                    true => ["generateContent", "countTokens"],
                    false => ["embedContent", "batchEmbedContents"],
                },
                "name": format!("models/{}", model.id),
                // The catalogue has no versions either.
                "version": "",
                "displayName": model.id,
            }),
            [("inputTokenLimit", model.context_tokens), ("outputTokenLimit", model.max_output_tokens)],
        ),
    }
}

/// With the sizes that are known.
fn sized(mut shown: Value, sizes: [(&str, Option<i64>); 2]) -> Value {
    for (field, tokens) in sizes {
        if let Some(tokens) = tokens {
            shown[field] = tokens.into();
        }
    }
    shown
}
