//! The headers that tell a client its limits: requests and tokens of the last minute under the names that client libraries
//! know, and the tightest budget under Keydesk's own names.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keydesk_core::domain::limit_use::{LimitUse, Limited};
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::money::Money;

const REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const TOKENS: [&str; 3] =
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// `spent` is what the request cost; while that is unknown, its reservation counts.
pub fn add(headers: &mut HeaderMap, limits: &[LimitUse], spent: Option<Money>, now: Moment) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    for (names, what) in [(REQUESTS, Limited::Requests), (TOKENS, Limited::Tokens)] {
        let of_these = limits.iter().filter(|limit| limit.what == what);
        if let Some(limit) = of_these.min_by_key(|limit| limit.remaining()) {
            let [max, remaining, reset] = names;
            put(max, limit.max.to_string());
            put(remaining, limit.remaining().saturating_sub(limit.requested).max(0).to_string());
            let wait = limit.resets_at.map_or(60_000, |at| at.ms().saturating_sub(now.ms()).clamp(0, 60_000));
            put(reset, format!("{}s", (wait + 999) / 1_000));
        }
    }
    if let Some(limit) =
        limits.iter().filter(|limit| limit.what.is_money()).min_by_key(|limit| limit.remaining())
    {
        let after = limit.remaining().saturating_sub(spent.map_or(limit.requested, Money::nanos)).max(0);
        put("x-keydesk-budget-limit", Money::from_nanos(limit.max.max(0)).input());
        put("x-keydesk-budget-remaining", Money::from_nanos(after).input());
        put("x-keydesk-budget-scope", limit.holder.as_str().to_owned());
        if let Some(at) = limit.resets_at.filter(|_| limit.what != Limited::Balance) {
            put("x-keydesk-budget-reset", at.rfc3339());
        }
    }
}
