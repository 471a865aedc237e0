//! The headers that tell a client its limits, on a response.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keydesk_core::domain::limit_use::LimitUse;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::rate_limit_headers;

/// `spent` is what the request cost; while that is unknown, its reservation counts.
pub fn add(headers: &mut HeaderMap, limits: &[LimitUse], spent: Option<Money>, now: Moment) {
    for (name, value) in rate_limit_headers::of(limits, spent, now) {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
