//! Authentication: collects every credential of a request, wherever it is, for admission to check. A handler gets its
//! `AuthContext` from here.
//!
//! It decides nothing itself and stores no credential.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use keydesk_core::admission::{self, AdmissionError, AuthContext, KnownKey, Presented, RejectedRequest};
use keydesk_core::domain::api_error::Stop;
use keydesk_core::domain::gate::Rejection;
use keydesk_core::domain::request_log::RequestFailure;

use super::protocol::{ApiError, ClientContext};
use super::replaced_secret;
use crate::request_facts::RequestFacts;
use crate::state::AppState;

/// A request whose key has passed gates 1 to 5.
pub struct Authenticated(pub AuthContext);

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let address = parts.extensions.get::<RequestFacts>().and_then(|facts| facts.address);
        match admission::authenticate(&state.desk, &presented(parts), address).await {
            Ok(context) => {
                state.last_used.note(context.key(), context.secret(), state.desk.now());
                replaced_secret::note(parts, &context);
                Ok(Self(context))
            }
            Err(AdmissionError::Rejected(rejection, key)) => {
                if let Some(key) = key {
                    note_rejection(state, &key, &rejection, &described(parts, ""));
                }
                Err(ClientContext::of(parts, state).rejected(&rejection))
            }
            Err(AdmissionError::Unavailable(error)) => {
                Err(ClientContext::of(parts, state).unavailable(&error))
            }
        }
    }
}

/// What is stored of a request that was rejected or failed before it was sent. `model` is empty where it is not known.
pub fn described<'a>(parts: &'a Parts, model: &'a str) -> RejectedRequest<'a> {
    let facts = parts.extensions.get::<RequestFacts>();
    described_at(parts, model, parts.uri.path(), facts.and_then(|facts| facts.address))
}

/// Like `described`, for a request that another gateway or a proxy describes.
pub fn described_at<'a>(
    parts: &Parts,
    model: &'a str,
    route: &'a str,
    address: Option<IpAddr>,
) -> RejectedRequest<'a> {
    let request_id = parts.extensions.get::<RequestFacts>().map(|facts| facts.id.clone()).unwrap_or_default();
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    RejectedRequest { route, model, address, request_id }
}

/// Counts a rejection of a known key, for its list of requests.
pub fn note_rejection(
    state: &AppState,
    key: &KnownKey,
    rejection: &Rejection,
    request: &RejectedRequest<'_>,
) {
    state.rejections.note(key, rejection, request, state.desk.now());
}

/// Counts a request that stopped before a provider saw it.
pub fn note_stop(state: &AppState, context: &AuthContext, stop: &Stop, request: &RejectedRequest<'_>) {
    match stop {
        Stop::Gate(rejection) => note_rejection(state, &context.known(), rejection, request),
        Stop::NoTarget(why) => note_failure(state, context, (*why).into(), request),
    }
}

/// Counts a failure after the key was known and before anything was sent.
pub fn note_failure(
    state: &AppState,
    context: &AuthContext,
    failure: RequestFailure,
    request: &RejectedRequest<'_>,
) {
    state.rejections.note_failure(&context.known(), failure, request, state.desk.now());
}

/// Reads every place in every route, also repeated ones, because a second key is rejected.
pub fn presented(parts: &Parts) -> Presented {
    let mut presented = Presented::default();
    for (name, value) in &parts.headers {
        presented.header(name.as_str(), value.as_bytes());
    }
    from_query(&mut presented, parts.uri.query().unwrap_or_default());
    presented
}

/// Reads the key from a query. What is not UTF-8 becomes a character that no key contains.
pub fn from_query(presented: &mut Presented, query: &str) {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "key")
        .for_each(|(_, value)| presented.bare(value.as_bytes()));
}
