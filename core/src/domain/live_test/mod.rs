//! The live test of a secret: what a person typed becomes a base URL that may be called, and what came back becomes a
//! verdict and a text that holds no secret. The network itself is the server's.

mod answer;
mod base;
mod judge;
mod public;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

pub use answer::{first_model, shown_answer};
pub use base::{AllowedHost, TestBase, read_base};
pub use judge::{ErrorSource, TestCall, judge};
pub use public::is_public;

use super::hidden::Hidden;
use super::ids::PersonId;

/// One call over the network.
pub struct ProbeRequest {
    /// Posts this JSON; `None` is a GET.
    pub body: Option<String>,
    /// Made of a `TestBase`.
    pub url: String,
    /// Names and values; the secret is in one of them.
    pub headers: Vec<(&'static str, Hidden)>,
    /// To this installation's own gateway, whose address may be a private one.
    pub own: bool,
    /// Milliseconds until it is given up.
    pub within_ms: i64,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct ProbeAnswer {
    /// HTTP status.
    pub status: u16,
    /// The header `content-type`, or empty.
    pub content_type: String,
    /// The header `x-keydesk-rejected-by`, or empty.
    pub rejected_by: String,
    /// Milliseconds until the response began.
    pub first_byte_ms: i64,
    /// Milliseconds until it was read.
    pub latency_ms: i64,
    /// The body, or its beginning.
    pub body: String,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The name leads to an address that is not public.
    Private,
    /// The name leads nowhere.
    UnknownHost,
    /// No connection could be made.
    Unreachable,
    /// Not in time.
    TimedOut,
    /// The connection ended before the response did.
    Broken,
}

/// The answer to a call, or why there is none.
pub type Probed = Result<ProbeAnswer, NoAnswer>;

/// Makes calls. It follows no redirect, uses no proxy, and calls no address that is not public, except for `own`.
pub trait Probe: Send + Sync {
    /// Answers within the request's time.
    fn send(&self, request: ProbeRequest) -> Pin<Box<dyn Future<Output = Probed> + Send + '_>>;
}

/// The result of one call, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// Method and path, such as `GET /v1/models`.
    pub call: String,
    /// HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// Milliseconds until the response began.
    pub first_byte_ms: Option<i64>,
    /// Milliseconds until it was read.
    pub latency_ms: Option<i64>,
    /// Whose error it is.
    pub source: ErrorSource,
    /// What it means and what to do.
    pub sentence: String,
    /// The beginning of the answer, without what looks like a secret.
    pub answer: String,
}

/// The result of a live test. It holds no secret, and is small enough for a cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTestReport {
    /// Whose test it was.
    pub person: PersonId,
    /// The protocol's word, as the form sent it.
    pub protocol: String,
    /// The base URL that was called.
    pub base: String,
    /// What was made of the typed URL, when that is not the same.
    pub read_as: String,
    /// The list of models, then the one-token request if it was sent.
    pub results: Vec<TestResult>,
}
