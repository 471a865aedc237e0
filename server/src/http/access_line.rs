//! One line in the log for each request, once its answer has ended or its client has left, and the same for monitoring. The line
//! has the route and not the path, no query, no header and no body: a secret could be in any of them, and one-time tokens stand
//! in paths, however they are written.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tracing::Span;

use crate::metrics::{Metrics, RouteClass};
use crate::trace_context::trace_id;

/// As other programs say it of a client that left before it was answered.
const CLIENT_LEFT: u16 = 499;

/// A request, until its answer has ended. The line is written when it is dropped.
pub struct AccessLine {
    metrics: Metrics,
    /// Around what makes the answer, also while it is sent.
    span: Span,
    began: Instant,
    id: String,
    trace_id: Option<String>,
    method: Method,
    route: Option<MatchedPath>,
    /// The client's, and that of the connection.
    address: Option<IpAddr>,
    peer: Option<IpAddr>,
    status: u16,
    bytes: u64,
}

impl AccessLine {
    pub fn begin(
        metrics: Metrics,
        span: Span,
        request: &Request,
        id: String,
        address: Option<IpAddr>,
        peer: Option<IpAddr>,
    ) -> Self {
        Self {
            metrics,
            span,
            began: Instant::now(),
            id,
            trace_id: trace_id(request.headers()).map(str::to_owned),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            address,
            peer,
            status: CLIENT_LEFT,
            bytes: 0,
        }
    }

    /// The answer, which takes the line with it.
    pub fn with(mut self, response: Response) -> Response {
        self.status = response.status().as_u16();
        response.map(|body| Body::new(Counted { body, line: Some(self) }))
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let (took, route) = (self.began.elapsed(), self.route.as_ref().map(MatchedPath::as_str));
        self.metrics.answered(RouteClass::of(&self.method, route), self.status, took);
        tracing::info!(
            parent: None,
            request.id = %self.id,
            trace_id = self.trace_id.as_deref(),
            method = method_word(&self.method),
            route = route.unwrap_or("none"),
            status = self.status,
            duration_ms = took.as_millis() as u64,
            bytes = self.bytes,
            address = self.address.map(tracing::field::display),
            peer = self.peer.map(tracing::field::display),
            "answered"
        );
    }
}

/// A client may invent a method, and write anything as one.
fn method_word(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "CONNECT" | "TRACE") => {
            known
        }
        _ => "other",
    }
}

/// The body of an answer, whose bytes are counted.
struct Counted {
    body: Body,
    line: Option<AccessLine>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let span = self.line.as_ref().map(|line| line.span.clone());
        let polled =
            span.unwrap_or_else(Span::none).in_scope(|| Pin::new(&mut self.body).poll_frame(context));
        if let Poll::Ready(frame) = &polled {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
            if let (Some(data), Some(line)) = (data, &mut self.line) {
                line.bytes += data.len() as u64;
            }
            // Before the client has the last of it: who has an answer finds its line in the log.
            if frame.is_none() || self.body.is_end_stream() {
                self.line = None;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
