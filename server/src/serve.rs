//! Serving: open, check, listen, and stop without breaking off what is under way.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum_extra::extract::cookie::Key;
use keydesk_app::mail::Mailer;
use keydesk_core::admission::{LastUsed, Rejections};
use keydesk_core::ops::{connection, links};
use keydesk_core::{Desk, Random};
use leptos::config::LeptosOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;

use crate::clock::SystemRandom;
use crate::config::ServeConfig;
use crate::cookie_keys::{self, CookieKeys};
use crate::gateway::reservation_guard::InFlight;
use crate::gateway::runtime::Gateway;
use crate::gateway::upstream::Upstreams;
use crate::http::{assets, router};
use crate::live_test::Prober;
use crate::log::{self, say};
use crate::lookup::system_lookup;
use crate::metrics::Metrics;
use crate::net::{Connections, raise_open_files};
use crate::open::{ServingLock, lock_to_serve, op_error, open_current, open_migrated};
use crate::state::AppState;
use crate::{files, gateway, jobs, provider_keys};

/// What is under way at a stop has this long to finish.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// After that, what is broken off has this long to be settled.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);

/// The desk and the gateway, together or on a port each.
pub async fn serve(config: ServeConfig) -> Result<(), String> {
    config.check()?;
    let _log = log::start(config.log_json, &config.log)?;
    files::check(&config)?;
    let lock = lock_to_serve(&config.data)?;
    let desk = open_migrated(&config.data).await?;
    let cookie_key = cookie_key(&config)?;
    let desk = with_provider_key(desk, &config, true).await?;
    let (listener, listen) = bind(config.listen, "--listen").await?;
    let apart = bind_apart(config.gateway_listen, "--gateway-listen").await?;
    let metrics = bind_apart(config.metrics_listen, "--metrics-listen").await?;
    let gateway_listen = apart.as_ref().map(|(_, address)| *address);
    let config = ServeConfig { listen, gateway_listen, ..config };
    let setup = links::new_setup(&desk).await.map_err(op_error)?;
    let desk = desk.with_vault(cookie_keys::vault_of(&config.cookie_key_path()));
    let cookie_keys = CookieKeys::of(&config.cookie_key_path(), cookie_key);
    let state = state(desk, config, cookie_keys);
    let base_url = state.config.base_url();

    let signals = StopSignals::listen()?;
    say(format_args!("Keydesk listens on {base_url}"));
    if apart.is_some() {
        say(format_args!("Its gateway listens on {}", state.config.gateway_url()));
    }
    say_metrics(metrics.as_ref());
    if let Some(token) = setup {
        say(
            "There are no people yet. Open this link to set up the first organisation; it works once, within a day:",
        );
        say(format_args!("  {base_url}/setup/{token}"));
    }

    let (every_second, nightly) = (jobs::run(state.clone()), jobs::nightly(state.clone()));
    let jobs = tokio::spawn(async move { tokio::join!(every_second, nightly).0 });
    let mut served = vec![(listener, router::router(state.clone()))];
    if let Some((listener, _)) = apart {
        served.push((listener, router::gateway_router(state.clone())));
    }
    if let Some((listener, _)) = metrics {
        served.push((listener, router::metrics_router(state.clone())));
    }
    run(state, served, jobs, signals, lock).await
}

/// The gateway alone: it has no pages, and makes no change of the database's form.
pub async fn gateway(config: ServeConfig) -> Result<(), String> {
    config.check()?;
    let _log = log::start(config.log_json, &config.log)?;
    files::check(&config)?;
    let desk = open_current(&config.data).await?;
    let lock = lock_to_serve(&config.data)?;
    let (listener, listen) = bind(config.gateway_listen.unwrap_or(config.listen), "--listen").await?;
    let metrics = bind_apart(config.metrics_listen, "--metrics-listen").await?;
    // Nothing is sealed here: there are no cookies.
    let cookie_key = Key::from(&desk.bytes::<64>());
    let desk = with_provider_key(desk, &config, false).await?;
    let state =
        state(desk, ServeConfig { listen, gateway_listen: None, ..config }, CookieKeys::fixed(cookie_key));
    let signals = StopSignals::listen()?;
    say(format_args!("Keydesk's gateway listens on {}", state.config.gateway_url()));
    say_metrics(metrics.as_ref());
    let jobs = tokio::spawn(jobs::run_gateway(state.clone()));
    let mut served = vec![(listener, router::gateway_router(state.clone()))];
    if let Some((listener, _)) = metrics {
        served.push((listener, router::metrics_router(state.clone())));
    }
    run(state, served, jobs, signals, lock).await
}

async fn bind(address: SocketAddr, option: &str) -> Result<(TcpListener, SocketAddr), String> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!("Nothing can listen on {address}: {error}. Choose another address with {option}.")
    })?;
    let address = listener.local_addr().unwrap_or(address);
    Ok((listener, address))
}

/// A port of its own, where one is wanted.
async fn bind_apart(
    address: Option<SocketAddr>,
    option: &str,
) -> Result<Option<(TcpListener, SocketAddr)>, String> {
    match address {
        Some(address) => bind(address, option).await.map(Some),
        None => Ok(None),
    }
}

fn say_metrics(apart: Option<&(TcpListener, SocketAddr)>) {
    if let Some((_, address)) = apart {
        say(format_args!("Its metrics are at http://{address}/metrics"));
    }
}

/// Serves until it is told to stop, and then until nothing is under way any more, within bounds.
async fn run(
    state: AppState,
    served: Vec<(TcpListener, Router)>,
    turns: JoinHandle<()>,
    signals: StopSignals,
    lock: Option<ServingLock>,
) -> Result<(), String> {
    if let Some(Err(error)) = lock.as_ref().map(ServingLock::serving) {
        tracing::warn!(%error, "it cannot be written that this process serves, so a copy of the folder would not be known");
    }
    let leave = CancellationToken::new();
    // From memory, requests would still be admitted while a full or locked database takes no settlement, and what they cost would be
    // lost if this process is killed.
    state.desk.quotas.leave_to_database();
    let node = tokio::spawn(jobs::keep_node(state.clone(), lock.is_some(), leave.clone()));
    let leases = tokio::spawn(jobs::keep_leases(state.clone()));
    let quotas = tokio::spawn(jobs::keep_quotas(state.clone()));
    let config = &state.config;
    let max = raise_open_files().min(config.max_connections as usize);
    let idle = Duration::from_secs(config.idle_seconds.into());
    let connections = Connections::new(max, idle, config.trusted_proxies.clone());
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    for (listener, router) in served {
        // Paths are put right before routes are chosen.
        let service = MapRequest::new(router, gateway::collapse_leading_slashes::<Body>);
        servers.spawn(connections.clone().serve(listener, service, stop.clone(), STOP_WITHIN));
    }
    tokio::select! {
        () = signals.received() => tracing::info!("stopping: what is under way is finished"),
        _ = servers.join_next() => tracing::error!("a server has ended: stopping"),
    }
    let stopping = Instant::now();
    stop.cancel();
    while servers.join_next().await.is_some() {}
    turns.abort();
    finish(&state, stopping + STOP_WITHIN).await;
    leases.abort();
    quotas.abort();
    leave.cancel();
    let _ = timeout(SETTLE_WITHIN, node).await;
    state.desk.db.close().await;
    if let Some(Err(error)) = lock.map(|lock| lock.stopped()) {
        tracing::warn!(%error, "it cannot be written that this process has stopped");
    }
    Ok(())
}

/// Requests to providers go on until they are settled; those that take too long are broken off and settled as they stand.
async fn finish(state: &AppState, until: Instant) {
    let in_flight = &state.gateway.in_flight;
    in_flight.tasks.close();
    if timeout_at(until, in_flight.tasks.wait()).await.is_err() {
        in_flight.stop.cancel();
        let _ = timeout(SETTLE_WITHIN, in_flight.tasks.wait()).await;
    }
    if let Err(error) = in_flight.settle_pending(&state.desk).await {
        tracing::error!(%error, requests = in_flight.pending(), "requests are not settled");
    }
    if let Err(error) = state.rejections.flush(&state.desk.db).await {
        tracing::error!(%error, "the last rejections are not written");
    }
    if let Err(error) = state.last_used.flush(&state.desk.db).await {
        tracing::error!(%error, "last uses were not written");
    }
    if let Err(error) = state.gateway.watch.flush(&state.desk.db).await {
        tracing::error!(%error, "how the last requests to providers went is not written");
    }
}

pub fn state(desk: Desk, config: ServeConfig, cookie_keys: CookieKeys) -> AppState {
    let leptos = LeptosOptions::builder()
        .output_name("keydesk")
        .site_root("target/site")
        .site_pkg_dir(assets::folder())
        .build();
    // Whether it makes sense was checked at the start.
    let mailer = config.mail().ok().flatten().map(|smtp| Arc::new(smtp) as Arc<dyn Mailer>);
    let token = config.token().ok().flatten();
    let leak_keys = config.leak_keys().ok().flatten().map(Arc::new);
    let upstreams = Upstreams::default()
        .with_vault(desk.provider_vault.clone())
        .with_proxies(ServeConfig::proxies().unwrap_or_default());
    let metrics = Metrics::default();
    AppState {
        desk,
        config: Arc::new(config),
        last_used: LastUsed::default(),
        rejections: Rejections::default(),
        gateway: Gateway {
            in_flight: InFlight::measured(metrics.clone()),
            token,
            upstreams,
            ..Default::default()
        },
        metrics,
        cookie_keys,
        mailer,
        leak_keys,
        probe: Arc::new(Prober::new(system_lookup())),
        leptos,
    }
}

/// What asks the program to stop. Made before the address is printed: a signal that comes before that ends
/// the program at once, with whatever is under way.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// # Errors
    /// When the system gives no signals.
    fn listen() -> Result<Self, String> {
        let listen =
            |kind| signal(kind).map_err(|error| format!("Signals to stop cannot be received: {error}."));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn received(mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
        // A second Ctrl-C does not wait.
        tokio::spawn(async move {
            self.interrupt.recv().await;
            std::process::exit(1);
        });
    }
}

/// # Errors
/// When the file is too short to be a key, or cannot be read or made.
fn cookie_key(config: &ServeConfig) -> Result<Key, String> {
    let path = config.cookie_key_path();
    if !path.exists() && config.cookie_key_file.is_none() {
        make_key(&path)
            .map_err(|error| format!("The cookie key {} cannot be made: {error}.", path.display()))?;
    }
    let bytes = std::fs::read(&path)
        .map_err(|error| format!("The cookie key {} cannot be read: {error}.", path.display()))?;
    if bytes.len() < 64 {
        return Err(format!(
            "The cookie key {} holds {} bytes and needs at least 64 random ones. Make it with: head -c 64 /dev/urandom",
            path.display(),
            bytes.len()
        ));
    }
    Ok(Key::from(&bytes))
}

/// The desk with the key for providers' API keys, which is made where there is none, unless only the gateway is served. What
/// it does not open is warned of: requests to those providers fail on this node.
async fn with_provider_key(desk: Desk, config: &ServeConfig, may_make: bool) -> Result<Desk, String> {
    let path = config.provider_key_path();
    if may_make && !path.exists() {
        provider_keys::make(&path)?;
    }
    let desk = desk.with_provider_vault(provider_keys::vault(&path));
    for name in connection::unopened(&desk).await.map_err(op_error)? {
        tracing::warn!(
            provider = %name,
            file = %path.display(),
            "the stored API key of a provider cannot be opened with this node's key"
        );
    }
    Ok(desk)
}

/// Makes a new key in a file that is not there yet.
///
/// # Errors
/// When it cannot be made.
pub fn make_key(path: &Path) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut bytes = [0; 64];
    SystemRandom.fill(&mut bytes);
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&bytes)
}
