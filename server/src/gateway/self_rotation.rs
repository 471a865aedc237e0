//! `POST /v1/key/rotate`: a program with a key's secret gets a new one, where the key or its organisation allows that.
//! Gates 1 to 5 apply; it costs nothing and needs no model.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::policy::Origin;
use keydesk_core::domain::rotation::{GracePeriod, HOUR_MS, SecretEnd};
use keydesk_core::ops::keys::{self, SelfRotationRejected};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{self, BodyError};
use super::credentials::Authenticated;
use super::protocol::{ApiError, ClientContext, json_response};
use super::room::Holder;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

const MAX_BODY: usize = 4 << 10;
/// The longest `Idempotency-Key`, in characters.
const MAX_REPEAT: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default = "a_day")]
    grace: String,
}

fn a_day() -> String {
    "24h".into()
}

pub async fn rotate(
    State(state): State<AppState>,
    client: ClientContext,
    Authenticated(context): Authenticated,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let repeat = repeat(&parts.headers).map_err(|sentence| client.bad_request(&sentence))?;
    let mut room = state.gateway.bodies.share(Holder::of(&context));
    let body = body::read(&parts.headers, body, MAX_BODY, state.gateway.body_timeout, &mut room).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge | BodyError::CutOff => {
            client.bad_request("The request's body is larger than 4 KiB, or broke off.")
        }
        error => error.answer(&client),
    })?;
    let grace = grace(&body).map_err(|sentence| client.bad_request(&sentence))?;
    let facts = parts.extensions.get::<RequestFacts>();
    let address = facts.and_then(|facts| facts.address).map(|address| address.to_string());
    let request_id = facts.map(|facts| facts.id.clone()).unwrap_or_default();
    let origin = Origin { address: address.unwrap_or_default(), request_id };
    let rotated = async {
        // A secret that was used a moment ago is not one that no one saw.
        state.last_used.flush(&state.desk.db).await?;
        keys::rotate_itself(&state.desk, &context, origin, &repeat, grace).await
    };
    let rotation = rotated.await.map_err(|error| rejected(&client, error))?;
    let (ends_at, hours) = match rotation.previous_end {
        SecretEnd::At(at) => (Some(at), None),
        SecretEnd::AfterFirstUse(ms) => (None, Some(ms / HOUR_MS)),
    };
    let mut shown: Value = json!({
        "object": "key.rotation",
        "secret": rotation.secret.reveal(),
        "hint": hint(rotation.secret.last_four()),
        "previous_expires_at": ends_at.map(Moment::rfc3339),
    });
    if let Some(hours) = hours {
        shown["previous_expires_hours_after_first_use"] = json!(hours);
    }
    Ok(json_response(&shown))
}

fn repeat(headers: &HeaderMap) -> Result<String, String> {
    let mut sent = headers.get_all("idempotency-key").iter();
    let Some(value) = sent.next() else { return Ok(String::new()) };
    let value = value.to_str().map(str::trim).unwrap_or_default();
    if sent.next().is_some() || value.is_empty() || value.len() > MAX_REPEAT {
        return Err(format!(
            "The header Idempotency-Key has to be one text of 1 to {MAX_REPEAT} ASCII characters."
        ));
    }
    Ok(value.to_owned())
}

fn grace(body: &[u8]) -> Result<GracePeriod, String> {
    let text = if body.trim_ascii().is_empty() { b"{}" } else { body.trim_ascii() };
    let asked: Asked = serde_json::from_slice(text)
        .map_err(|_| r#"The body has to be empty, or JSON such as {"grace": "24h"}."#.to_owned())?;
    GracePeriod::parse(&asked.grace).map_err(|error| error.to_string())
}

fn rejected(client: &ClientContext, error: SelfRotationRejected) -> ApiError {
    match error {
        SelfRotationRejected::NotAllowed { contacts } => {
            let whom = if contacts.is_empty() { "your administrator".into() } else { contacts.join(" or ") };
            client.forbidden(format!(
                "This key may not rotate itself. Ask {whom} to allow it in the key's settings, or to rotate the key."
            ))
        }
        SelfRotationRejected::Conflict(sentence) => client.conflict(sentence),
        SelfRotationRejected::TooSoon { retry_after_s } => client.too_soon(
            format!("This key rotated itself a moment ago. Retry in {retry_after_s} seconds."),
            retry_after_s,
        ),
        SelfRotationRejected::Unavailable(error) if error.is_denied() => client.not_here(
            "This gateway's database login may not write secrets. Rotate the key at the desk, or at a gateway that the desk serves.",
        ),
        SelfRotationRejected::Unavailable(error) => client.unavailable(&error),
    }
}
