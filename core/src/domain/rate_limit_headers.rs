//! The headers that tell a client its limits: requests and tokens of the last minute under the names that client libraries
//! know, and the tightest budget under Keydesk's own names.

use super::limit_use::{LimitUse, Limited};
use super::moment::Moment;
use super::money::Money;

const REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const TOKENS: [&str; 3] =
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// Names and values. `spent` is what the request cost; while that is unknown, its reservation counts.
pub fn of(limits: &[LimitUse], spent: Option<Money>, now: Moment) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    for (names, what) in [(REQUESTS, Limited::Requests), (TOKENS, Limited::Tokens)] {
        let of_these = limits.iter().filter(|limit| limit.what == what);
        if let Some(limit) = of_these.min_by_key(|limit| limit.remaining()) {
            let [max, remaining, reset] = names;
            headers.push((max, limit.max.to_string()));
            headers.push((remaining, limit.remaining().saturating_sub(limit.requested).max(0).to_string()));
            let wait = limit.resets_at.map_or(60_000, |at| at.ms().saturating_sub(now.ms()).clamp(0, 60_000));
            headers.push((reset, format!("{}s", (wait + 999) / 1_000)));
        }
    }
    if let Some(limit) =
        limits.iter().filter(|limit| limit.what.is_money()).min_by_key(|limit| limit.remaining())
    {
        let after = limit.remaining().saturating_sub(spent.map_or(limit.requested, Money::nanos)).max(0);
        headers.push(("x-keydesk-budget-limit", Money::from_nanos(limit.max.max(0)).input()));
        headers.push(("x-keydesk-budget-remaining", Money::from_nanos(after).input()));
        headers.push(("x-keydesk-budget-scope", limit.holder.as_str().to_owned()));
        if let Some(at) = limit.resets_at.filter(|_| limit.what != Limited::Balance) {
            headers.push(("x-keydesk-budget-reset", at.rfc3339()));
        }
    }
    headers
}
