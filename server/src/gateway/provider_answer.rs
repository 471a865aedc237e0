//! A provider's answer, looked at before anything of it is relayed: whether it is a failure of the provider or of this
//! installation's account there, what it says about that, and whether it reports use. Only the beginning of an error is
//! read, and it is still relayed whole.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use keydesk_core::domain::provider_failure::{MetFailure, ProviderFailure};
use keydesk_core::domain::request_log::plain_error;
use keydesk_core::domain::route::Route;
use tokio::time::{Instant, timeout_at};

use super::provider_error;
use super::upstream::{NoResponse, UpstreamError, UpstreamResponse};
use super::usage::{Bounds, MeasuredTokens, Shape, measure_failure};

/// So much of an error is looked at; longer ones are no provider's.
const BEGINNING: usize = 64 << 10;
/// And so long.
const WITHIN: Duration = Duration::from_secs(5);

/// An answer that is relayed, or given up for another provider's.
pub struct Judged {
    pub response: UpstreamResponse,
    /// What is wrong; `None` for an answer, and for an error that is the client's.
    pub failure: Option<MetFailure>,
    /// It is whole, and reports no use, so another attempt is not paid twice.
    pub is_free: bool,
}

/// # Errors
/// When it rejects this installation: nothing of it is relayed.
pub async fn judge(
    mut response: UpstreamResponse,
    route: Route,
    bounds: Bounds,
) -> Result<Judged, NoResponse> {
    let status = response.status;
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(Judged { response, failure: None, is_free: false });
    }
    let (start, is_whole) = begin(&mut response).await;
    let retry_after = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let of_account = provider_error::of_account(status, retry_after, &start);
    let words = plain_error(&provider_error::text_of(&start));
    let code = i64::from(status.as_u16());
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        let error = of_account.unwrap_or(UpstreamError::CredentialRejected);
        return Err(NoResponse { error, status: code, words });
    }
    let failure = match (of_account, status.as_u16()) {
        (Some(error), _) => Some(error.failure()),
        (None, 429) => Some(ProviderFailure::Limited),
        (None, 503 | 529) => Some(ProviderFailure::Overloaded),
        (None, 500..) => Some(ProviderFailure::Failed),
        (None, _) => None,
    };
    let retry_after_ms = match of_account {
        Some(UpstreamError::AccountLimited { retry_after }) => Some(retry_after.saturating_mul(1_000)),
        _ => retry_after_of(&response.headers),
    };
    let reports_none = measure_failure(Shape::of(route), &start, bounds) == MeasuredTokens::NOTHING;
    let failure = failure.map(|failure| MetFailure { failure, status: code, words, retry_after_ms });
    let rest = std::mem::replace(&mut response.chunks, Box::pin(stream::empty()));
    response.chunks = Box::pin(stream::iter([Ok(start)]).chain(rest));
    Ok(Judged { response, failure, is_free: is_whole && reports_none })
}

/// The beginning of the body, and whether that is all of it. What ends it early is still in the stream.
async fn begin(response: &mut UpstreamResponse) -> (Bytes, bool) {
    let mut start = BytesMut::new();
    let until = Instant::now() + WITHIN;
    while start.len() <= BEGINNING {
        match timeout_at(until, response.chunks.next()).await {
            Ok(Some(Ok(bytes))) => start.extend_from_slice(&bytes),
            Ok(None) => {
                response.chunks = Box::pin(stream::empty());
                return (start.freeze(), true);
            }
            Ok(Some(Err(error))) => {
                response.chunks = Box::pin(stream::iter([Err(error)]));
                break;
            }
            Err(_) => break,
        }
    }
    (start.freeze(), false)
}

fn retry_after_of(headers: &HeaderMap) -> Option<i64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let ms = number("retry-after-ms").or_else(|| Some(number("retry-after")? * 1_000.0))?;
    // A number that is no number becomes zero.
    Some(ms as i64)
}
