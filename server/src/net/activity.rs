//! What happens on a connection, and until when that is enough to keep it.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::Version;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::places::Place;

/// The first request's head has this long from the beginning of its connection, and each later one from its first byte.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// One connection's.
pub struct Activity {
    place: Place,
    state: Mutex<State>,
}

struct State {
    idle: Duration,
    /// Of the requests so far.
    version: Option<Version>,
    under_way: usize,
    next: u64,
    /// Since when no request is under way.
    since: Instant,
    /// When a byte arrived after that.
    head: Option<Instant>,
    /// Since when the connection takes no byte.
    blocked: Option<Instant>,
    /// Since when nothing more of a response is asked for, for each of them.
    unasked: HashMap<u64, Instant>,
}

impl State {
    fn new(idle: Duration, since: Instant) -> Self {
        let (head, blocked, unasked) = (None, None, HashMap::new());
        Self { idle, version: None, under_way: 0, next: 0, since, head, blocked, unasked }
    }

    fn until(&self) -> Option<Instant> {
        let unread = self.unasked.values().chain(&self.blocked).min().map(|since| *since + self.idle);
        let head = match (self.version, self.head) {
            _ if self.under_way > 0 => None,
            (None, _) => Some(self.since + HEAD_WITHIN),
            // With HTTP/2 other things arrive, too.
            (Some(version), Some(head)) if version < Version::HTTP_2 => Some(head + HEAD_WITHIN),
            _ => Some(self.since + self.idle),
        };
        unread.into_iter().chain(head).min()
    }

    fn received(&mut self, now: Instant) {
        if self.under_way == 0 {
            self.head.get_or_insert(now);
        }
    }

    fn sent(&mut self, is_blocked: bool, now: Instant) {
        if is_blocked {
            self.blocked.get_or_insert(now);
        } else if self.blocked.take().is_some() {
            // The end of a response that is read slowly.
            self.since = now;
        }
    }

    /// The number of a request that has arrived.
    fn begin(&mut self, version: Version) -> u64 {
        self.version = Some(version);
        self.under_way += 1;
        self.next += 1;
        self.next
    }

    fn asked(&mut self, request: u64) {
        self.unasked.remove(&request);
    }

    fn given(&mut self, request: u64, now: Instant) {
        self.unasked.insert(request, now);
    }

    fn end(&mut self, request: u64, now: Instant) {
        self.unasked.remove(&request);
        self.under_way -= 1;
        self.since = now;
        self.head = None;
    }
}

impl Activity {
    pub fn new(idle: Duration, place: Place) -> Self {
        Self { place, state: Mutex::new(State::new(idle, Instant::now())) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the connection is given up, if nothing happens before. `None` while that is not its client's turn.
    pub fn until(&self) -> Option<Instant> {
        self.state().until()
    }
}

/// A request, until its response is handed over.
pub struct UnderWay {
    activity: Arc<Activity>,
    number: u64,
}

impl UnderWay {
    /// A request that has arrived.
    pub fn new(activity: &Arc<Activity>, version: Version) -> Self {
        let number = activity.state().begin(version);
        if number == 1 {
            activity.place.keep();
        }
        Self { activity: activity.clone(), number }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.activity.state().end(self.number, Instant::now());
    }
}

/// The body of a response.
pub struct Tracked {
    body: Body,
    under_way: UnderWay,
}

impl Tracked {
    pub fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, under_way }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.under_way.activity.state().asked(self.under_way.number);
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.under_way.activity.state().given(self.under_way.number, Instant::now());
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

/// A connection that notes what it takes and gives.
pub struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    pub fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.state().sent(written.is_pending(), Instant::now());
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.state().received(Instant::now());
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection's state, and a clock from its beginning in seconds.
    fn opened() -> (State, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        (State::new(Duration::from_secs(75), began), move |seconds| began + Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_head_has_to_come_and_later_ones_to_end() {
        let (mut state, at) = opened();
        // Half a preface of HTTP/2 changes nothing.
        state.received(at(5));
        assert_eq!(state.until(), Some(at(15)));
        let first = state.begin(Version::HTTP_11);
        state.received(at(600));
        assert_eq!(state.until(), None);
        state.end(first, at(700));
        assert_eq!(state.until(), Some(at(775)));
        state.received(at(761));
        state.received(at(765));
        assert_eq!(state.until(), Some(at(776)));
        let second = state.begin(Version::HTTP_11);
        state.end(second, at(800));
        assert_eq!(state.until(), Some(at(875)));
    }

    #[test]
    fn with_http_2_only_requests_keep_a_connection() {
        let (mut state, at) = opened();
        let (one, two) = (state.begin(Version::HTTP_2), state.begin(Version::HTTP_2));
        state.end(one, at(10));
        assert_eq!(state.until(), None);
        state.end(two, at(20));
        state.received(at(50));
        state.sent(false, at(50));
        assert_eq!(state.until(), Some(at(95)));
    }

    #[test]
    fn a_response_has_to_be_read() {
        let (mut state, at) = opened();
        let request = state.begin(Version::HTTP_11);
        state.sent(true, at(10));
        state.sent(true, at(15));
        assert_eq!(state.until(), Some(at(85)));
        state.sent(false, at(20));
        assert_eq!(state.until(), None);
        // Something of it is handed over, and no more is asked for.
        state.given(request, at(30));
        assert_eq!(state.until(), Some(at(105)));
        state.asked(request);
        assert_eq!(state.until(), None);
        state.sent(true, at(40));
        state.end(request, at(50));
        assert_eq!(state.until(), Some(at(115)));
        state.sent(false, at(110));
        assert_eq!(state.until(), Some(at(185)));
    }
}
