//! The heads of responses: what of the provider's a client gets, and what the gateway adds.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keydesk_core::admission::Target;
use keydesk_core::domain::money::Money;

use super::Relay;
use crate::gateway::protocol::header_name;
use crate::gateway::rate_limit_headers;
use crate::gateway::silence::Framing;
use crate::gateway::upstream::UpstreamResponse;

impl Relay {
    /// The response's head: its status and those of the provider's headers that a client gets.
    pub(super) fn head(&self, upstream: &UpstreamResponse, spent: Option<Money>, body: Body) -> Response {
        let mut response = self.own_head(upstream.content_type.clone(), spent, body);
        *response.status_mut() = upstream.status;
        let headers = response.headers_mut();
        if upstream.status == StatusCode::GATEWAY_TIMEOUT {
            // It may have cost its input, and would again.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        headers.extend(upstream.headers.clone());
        if let Target::Provider(provider) = &self.target
            && (upstream.status.is_client_error() || upstream.status.is_server_error())
            && let Ok(name) = HeaderValue::try_from(header_name(&provider.spec.name))
        {
            headers.insert("x-keydesk-upstream", name);
        }
        if let Some(value) = &upstream.request_id {
            headers.insert("x-upstream-request-id", value.clone());
        }
        response
    }

    /// The head of a stream whose provider has not answered yet.
    pub fn early_head(&self, framing: Framing, body: Body) -> Response {
        self.own_head(Some(framing.content_type()), None, body)
    }

    /// What does not come from the provider.
    fn own_head(&self, content_type: Option<HeaderValue>, spent: Option<Money>, body: Body) -> Response {
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, value);
        }
        if spent.is_none() {
            // A proxy must not buffer a stream.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        }
        rate_limit_headers::add(headers, &self.limits, spent, self.desk.now());
        self.client.name_request(headers);
        response
    }
}
