//! Connections, from their acceptance to their end. None is kept for a silent client, and no address has all.
//!
//! `places` bounds how many there are, and `activity` knows when one is given up: the first request and each head have to
//! arrive in time, and a client has to read its response.

mod activity;
mod places;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use activity::{Activity, Tracked, UnderWay, Watched};
use places::{Place, Places};

/// What one connection buffers, and so the longest head.
const BUFFER: usize = 64 << 10;
/// A client that has gone away answers no ping.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// How often a connection is looked at, at least.
const TURN: Duration = Duration::from_secs(2);
/// A connection that is given up has this long to say so.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// After an error that is not the client's, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// The same trouble is logged once in this time.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Open files that are no connections.
const OTHER_FILES: u64 = 64;

/// As many open files as the system lets this process have; the number of connections that they are enough for. A request
/// may need one of its client and one to its provider.
pub fn raise_open_files() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let files = if setrlimit(Resource::Nofile, raised).is_ok() { limits.maximum } else { limits.current };
    let connections = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES) / 2);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// The connections of this process, on all its ports.
#[derive(Clone)]
pub struct Connections {
    places: Arc<Places>,
    idle: Duration,
    builder: Arc<Builder<TokioExecutor>>,
    crowded: Arc<Rarely>,
    failed: Arc<Rarely>,
}

impl Connections {
    /// So many at most; see the options of the same names.
    pub fn new(max: usize, idle: Duration, trusted_proxies: Vec<IpNet>) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().max_buf_size(BUFFER);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PONG_WITHIN);
        let places = Arc::new(Places::new(max, trusted_proxies));
        Self { places, idle, builder: Arc::new(builder), crowded: Arc::default(), failed: Arc::default() }
    }

    /// Serves until `stop`, and then until nothing is under way any more, for at most so long.
    pub async fn serve<S>(self, listener: TcpListener, service: S, stop: CancellationToken, within: Duration)
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let (open, cut) = (TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(times) = self.failed.times() {
                        tracing::error!(%error, times, "connections cannot be accepted");
                    }
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let place = self.places.take(peer.ip());
            if place.as_ref().map_or(true, |place| place.is_crowded)
                && let Some(times) = self.crowded.times()
            {
                let address = peer.ip();
                tracing::warn!(%address, times, "too many connections: silent ones are closed, then new ones refused");
            }
            let Ok(place) = place else { continue };
            let served = self.clone().connection(stream, peer, place, service.clone(), stop.clone());
            let cut = cut.clone();
            open.spawn(async move { cut.run_until_cancelled(served).await });
        }
        drop(listener);
        open.close();
        if timeout(within, open.wait()).await.is_err() {
            cut.cancel();
            open.wait().await;
        }
    }

    async fn connection<S>(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        service: S,
        stop: CancellationToken,
    ) where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        // Parts of a stream are sent as they come.
        let _ = stream.set_nodelay(true);
        let evicted = place.evicted();
        let activity = Arc::new(Activity::new(self.idle, place));
        let watched = TokioIo::new(Watched::new(stream, activity.clone()));
        let shared = activity.clone();
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            let under_way = UnderWay::new(&shared, request.version());
            request.extensions_mut().insert(ConnectInfo(peer));
            let response = service.clone().oneshot(request.map(Body::new));
            async move { response.await.map(|response| response.map(|body| Tracked::new(body, under_way))) }
        });
        let mut served = pin!(self.builder.serve_connection(watched, service));
        let mut is_stopping = false;
        loop {
            let left = activity.until().map_or(TURN, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            tokio::select! {
                biased;
                () = evicted.cancelled() => return,
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    served.as_mut().graceful_shutdown();
                }
                // The client's mistakes are its own.
                _ = served.as_mut() => return,
                () = sleep(left.min(TURN)) => {}
            }
        }
        served.as_mut().graceful_shutdown();
        let _ = timeout(CLOSE_WITHIN, served).await;
    }
}

/// Counts what is logged only now and then.
#[derive(Default)]
struct Rarely(Mutex<(u64, Option<Instant>)>);

impl Rarely {
    /// How often it happened since it was logged, when it is time to log it again.
    fn times(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, logged) = &mut *state;
        *count += 1;
        if logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return None;
        }
        *logged = Some(Instant::now());
        Some(std::mem::take(count))
    }
}
