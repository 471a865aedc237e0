//! Tells the owner of a program that a rotation replaced its secret: responses to requests with the previous secret say
//! when it ends.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use keydesk_core::admission::AuthContext;
use keydesk_core::domain::moment::Moment;

const EXPIRES: HeaderName = HeaderName::from_static("x-keydesk-secret-expires");

/// Set by authentication while a request is answered.
#[derive(Clone, Default)]
struct SecretExpires(Arc<OnceLock<Moment>>);

/// Adds the header to the response once authentication has noted the secret.
pub async fn announce(mut request: Request, next: Next) -> Response {
    let expires = SecretExpires::default();
    request.extensions_mut().insert(expires.clone());
    let mut response = next.run(request).await;
    if let Some(value) = expires.0.get().and_then(|at| HeaderValue::try_from(at.rfc3339()).ok()) {
        response.headers_mut().insert(EXPIRES, value);
    }
    response
}

/// Notes the end of the presented secret, where a rotation has set one.
pub fn note(parts: &Parts, context: &AuthContext) {
    if let (Some(expires), Some(at)) = (parts.extensions.get::<SecretExpires>(), context.secret_expires_at())
    {
        let _ = expires.0.set(at);
    }
}
