//! What a gateway of another make asks: may this request pass, and what did it come to? It proves itself with a token and
//! sends its client's key as it came.
//!
//! A request's lease ends after two minutes without `renew`; then what it held counts no more.

use std::net::IpAddr;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use keydesk_core::admission::{self, AdmissionError, AuthContext, LEASE_MS, Reserved, Used};
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::ids::RequestId;
use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::model::{DEMO_ECHO, Model, demo_echo};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::usage::Tokens;
use keydesk_core::store::{StoreError, models};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use super::credentials::{note_rejection_at, presented};
use super::estimate::{self, MAX_TOKENS};
use super::key_view::limit;
use super::pass::{Found, find, max};
use super::protocol::{Asker, Fault, Protocol, answer};
use super::told;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

const TOKEN: &str = "x-keydesk-gateway";
const MAX_BODY: usize = 32 << 20;
const MAX_REQUESTS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizeAsk {
    model: String,
    input_tokens: Option<i64>,
    /// The client's own body, or any text, to estimate the input tokens from.
    estimate: Option<Box<RawValue>>,
    max_output_tokens: Option<i64>,
    /// The client's, for keys that are bound to addresses.
    address: Option<IpAddr>,
    #[serde(default)]
    route: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleAsk {
    request_id: RequestId,
    status: i64,
    #[serde(default)]
    input_tokens: i64,
    #[serde(default)]
    output_tokens: i64,
    #[serde(default)]
    cached_tokens: i64,
    #[serde(default)]
    estimated: bool,
    #[serde(default)]
    latency_ms: i64,
    first_byte_ms: Option<i64>,
    #[serde(default)]
    route: String,
    address: Option<IpAddr>,
    #[serde(default)]
    user_agent: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseAsk {
    request_id: RequestId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenewAsk {
    request_ids: Vec<RequestId>,
}

/// Gates 1 to 8, for a request that its gateway passes on itself.
pub async fn authorize(
    State(state): State<AppState>,
    mut asker: Asker,
    request: Request,
) -> Result<Response, Fault> {
    let (parts, asked): (Parts, AuthorizeAsk) = read(&state, &asker, request).await?;
    if !asked.route.is_empty() {
        asker.protocol = Protocol::of(&asked.route, &HeaderMap::new());
    }
    let stopped = |stopped: AdmissionError| match stopped {
        AdmissionError::Refused(rejection, key) => {
            if let Some(key) = key {
                note_rejection_at(&parts, &state, &key, &rejection, &asked.route, asked.address);
            }
            asker.refused(&rejection)
        }
        AdmissionError::Unavailable(error) => asker.unavailable(&error),
    };
    let desk = &state.desk;
    let context = admission::authenticate(desk, &presented(&parts), asked.address).await.map_err(stopped)?;
    state.last_used.note(context.key(), desk.now());
    if looks_like_secret(&asked.model) {
        return Err(asker.model_not_found("There is no model of this name."));
    }
    let refused = |rejection: Rejection| stopped(AdmissionError::Refused(rejection, Some(context.known())));
    context.model(&asked.model).map_err(refused)?;
    let model = match find(&state, &asked.model).await.map_err(|error| asker.unavailable(&error))? {
        // Whether anybody serves it is the other gateway's business.
        Found::Unrouted(model) | Found::Served(model, _) => *model,
        Found::Nothing => {
            return Err(asker.model_not_found("The model is not in this installation's catalogue."));
        }
    };
    let input = match (asked.input_tokens, &asked.estimate) {
        (Some(tokens), _) => tokens.clamp(0, MAX_TOKENS),
        (None, Some(body)) => estimate::of_request(body.get().as_bytes()).unwrap_or(MAX_TOKENS),
        (None, None) => 0,
    };
    let output = asked.max_output_tokens.unwrap_or(model.default_output_tokens).clamp(0, MAX_TOKENS);
    let id = request_id(&parts).unwrap_or_else(|| RequestId::new(desk.now(), desk.id_entropy()));
    let max = max(id, &model, input, output);
    let (amount, tokens) = (max.amount, max.tokens);
    let reserved = hold(&state, context, max).await.map_err(|_| asker.broken())?;
    let (context, reserved) = (reserved.0, reserved.1.map_err(stopped)?);
    let mut response = answer(&json!({
        "request_id": reserved.request(),
        "key": {"id": context.key(), "name": context.key_name()},
        "organisation": context.org(),
        "team": context.team(),
        "model": model.id,
        "upstream_name": model.name_upstream(),
        "held": {"nanos": amount.nanos(), "dollars": amount.input(), "tokens": tokens},
        "lease_seconds": LEASE_MS / 1_000,
        "limits": reserved.limits.iter().map(limit).collect::<Vec<_>>(),
    }));
    told::add(response.headers_mut(), &reserved.limits, None, desk.now());
    Ok(response)
}

type Held = (AuthContext, Result<Reserved, AdmissionError>);

/// In a task of its own: nobody would ever settle what is held for a gateway that has gone.
async fn hold(
    state: &AppState,
    context: AuthContext,
    max: admission::Ask,
) -> Result<Held, oneshot::error::RecvError> {
    let (tell, told) = oneshot::channel();
    let desk = state.desk.clone();
    state.gateway.under_way.tasks.spawn(async move {
        let reserved = admission::reserve(&desk, &context, &max).await;
        let Err((_, Ok(reserved))) = tell.send((context, reserved)) else { return };
        if let Err(error) = admission::release(&desk, reserved.request()).await {
            tracing::error!(%error, "what was held for a gateway that has gone ends with its lease");
        }
    });
    told.await
}

/// Writes what it came to, once.
pub async fn settle(
    State(state): State<AppState>,
    asker: Asker,
    request: Request,
) -> Result<Response, Fault> {
    let (_, asked): (_, SettleAsk) = read(&state, &asker, request).await?;
    let unavailable = |error: StoreError| asker.unavailable(&error);
    let desk = &state.desk;
    let counted_before = admission::settled(desk, &asked.request_id).await.map_err(unavailable)?;
    if let Some(cost) = counted_before {
        return Ok(settled(cost, false));
    }
    let Some((reserved, model)) = admission::reserved(desk, &asked.request_id).await.map_err(unavailable)?
    else {
        return Err(asker.not_found(
            "There is no such request under way. It was released, or its lease ended more than two minutes ago.",
        ));
    };
    let model = priced(&state, &model).await.map_err(unavailable)?;
    let count = |tokens: i64| tokens.clamp(0, MAX_TOKENS);
    let input = count(asked.input_tokens);
    let tokens =
        Tokens { input, output: count(asked.output_tokens), cached: count(asked.cached_tokens).min(input) };
    let cost = tokens.cost(&model);
    let plain = |text: &str| -> String {
        let shown = if looks_like_secret(text) { "" } else { text };
        shown.chars().filter(|c| !c.is_control()).take(200).collect()
    };
    let used = Used {
        model: model.id,
        route: plain(&asked.route),
        status: asked.status.clamp(100, 999),
        tokens,
        cost,
        estimated: asked.estimated,
        latency_ms: asked.latency_ms.max(0),
        first_byte_ms: asked.first_byte_ms.map(|ms| ms.max(0)),
        address: asked.address.map(|address| address.to_string()).unwrap_or_default(),
        user_agent: plain(&asked.user_agent),
    };
    let counted = admission::settle(desk, &reserved, &used).await.map_err(unavailable)?;
    Ok(settled(cost, counted))
}

fn settled(cost: Money, counted: bool) -> Response {
    answer(&json!({"cost": {"nanos": cost.nanos(), "dollars": cost.input()}, "counted": counted}))
}

/// Only the demonstration's model and the one of a proxy's question are in no catalogue.
async fn priced(state: &AppState, id: &str) -> Result<Model, StoreError> {
    let known = models::priced(&mut state.desk.db.read().await?, id).await?;
    Ok(known.unwrap_or_else(|| if id == DEMO_ECHO { demo_echo() } else { Model::unrouted(id, "") }))
}

/// Lets go of what it held: it was never passed on.
pub async fn release(
    State(state): State<AppState>,
    asker: Asker,
    request: Request,
) -> Result<Response, Fault> {
    let (_, asked): (_, ReleaseAsk) = read(&state, &asker, request).await?;
    let released = admission::release(&state.desk, &asked.request_id).await;
    Ok(answer(&json!({"released": released.map_err(|error| asker.unavailable(&error))?})))
}

/// Says that these are still under way.
pub async fn renew(State(state): State<AppState>, asker: Asker, request: Request) -> Result<Response, Fault> {
    let (_, asked): (_, RenewAsk) = read(&state, &asker, request).await?;
    if asked.request_ids.len() > MAX_REQUESTS {
        return Err(asker.bad_request("These are more than 10,000 requests. Send them in parts."));
    }
    let renewed = admission::renew(&state.desk, &asked.request_ids).await;
    renewed.map_err(|error| asker.unavailable(&error))?;
    Ok(answer(&json!({"lease_seconds": LEASE_MS / 1_000})))
}

pub fn request_id(parts: &Parts) -> Option<RequestId> {
    RequestId::parse(&parts.extensions.get::<RequestFacts>()?.id)
}

/// Nothing of a body is read before the token is right.
async fn read<T: DeserializeOwned>(
    state: &AppState,
    asker: &Asker,
    request: Request,
) -> Result<(Parts, T), Fault> {
    let Some(token) = &state.gateway.token else {
        return Err(asker.not_found(
            "This installation lets no other gateway ask. Its operator sets KEYDESK_GATEWAY_TOKEN to allow it.",
        ));
    };
    let (parts, body) = request.into_parts();
    let sent = parts.headers.get(TOKEN).map(|value| value.as_bytes()).unwrap_or_default();
    // Of equal length and unpredictable, so the time that it takes tells nothing.
    let same = Sha256::digest(sent).ct_eq(&Sha256::digest(token.expose_secret().as_bytes()));
    if !bool::from(same) {
        return Err(asker.not_proven());
    }
    let within = std::time::Duration::from_secs(30);
    let body: Bytes = match tokio::time::timeout(within, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(asker.too_large()),
        Err(_) => return Err(asker.too_slow()),
    };
    let asked = serde_json::from_slice(&body).map_err(|_| {
        asker.bad_request(
            "The body is not the JSON object that this route reads. GATEWAY.md lists its members.",
        )
    })?;
    Ok((parts, asked))
}
