//! Authentication: collects every credential of a request, wherever it is, for admission to check. A handler gets its
//! `AuthContext` from here.
//!
//! It decides nothing itself and stores no credential.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use keydesk_core::admission::{self, AdmissionError, AuthContext, KnownKey, Presented, RejectedRequest};
use keydesk_core::domain::gate::Rejection;

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
                    note_rejection(parts, state, &key, &rejection);
                }
                Err(ClientContext::of(parts, state).rejected(&rejection))
            }
            Err(AdmissionError::Unavailable(error)) => {
                Err(ClientContext::of(parts, state).unavailable(&error))
            }
        }
    }
}

/// Counts a rejection of a known key, for the key's page.
pub fn note_rejection(parts: &Parts, state: &AppState, key: &KnownKey, rejection: &Rejection) {
    let facts = parts.extensions.get::<RequestFacts>();
    note_rejection_at(parts, state, key, rejection, parts.uri.path(), facts.and_then(|facts| facts.address));
}

/// Like `note_rejection`, for a request that another gateway or a proxy describes.
pub fn note_rejection_at(
    parts: &Parts,
    state: &AppState,
    key: &KnownKey,
    rejection: &Rejection,
    route: &str,
    address: Option<IpAddr>,
) {
    let request_id = parts.extensions.get::<RequestFacts>().map(|facts| facts.id.clone()).unwrap_or_default();
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    state.rejections.note(key, rejection, &RejectedRequest { route, address, request_id }, state.desk.now());
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
