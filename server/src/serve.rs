//! Serving: open, check, listen, and stop without breaking off what is under way.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use axum::ServiceExt;
use axum_extra::extract::cookie::Key;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use keydesk_app::mail::Mailer;
use keydesk_core::admission::{LastUsed, Refusals};
use keydesk_core::ops::links;
use keydesk_core::{Random, Vault};
use leptos::config::LeptosOptions;
use tower::Layer;
use tower::util::MapRequestLayer;
use tracing_subscriber::EnvFilter;

use crate::cli::{open, told};
use crate::clock::SystemRandom;
use crate::config::ServeConfig;
use crate::http::{assets, router};
use crate::state::AppState;
use crate::{gateway, jobs};

/// What is under way at a stop has this long to finish.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// A request's head has this long to arrive.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

pub async fn serve(config: ServeConfig) -> Result<(), String> {
    config.check()?;
    start_log(config.log_json);
    let desk = open(&config.data).await?;
    let cookie_key = cookie_key(&config)?;
    let listener = std::net::TcpListener::bind(config.listen).map_err(|error| {
        format!("Nothing can listen on {}: {error}. Choose another address with --listen.", config.listen)
    })?;
    listener.set_nonblocking(true).map_err(|error| format!("The listener cannot be used: {error}."))?;
    let listen = listener.local_addr().unwrap_or(config.listen);
    let config = ServeConfig { listen, ..config };
    let setup = links::new_setup(&desk).await.map_err(told)?;
    let state = state(desk, config, cookie_key);
    let base_url = state.config.base_url();

    println!("Keydesk listens on {base_url}");
    if let Some(token) = setup {
        println!(
            "Nobody can sign in yet. Open this link to set up the first organisation; it works once, for a day:"
        );
        println!("  {base_url}/setup/{token}");
    }

    let jobs = tokio::spawn(jobs::run(state.clone()));
    // Paths are put right before routes are chosen.
    let service = MapRequestLayer::new(gateway::collapse_leading_slashes::<Incoming>)
        .layer(router::router(state.clone()));
    let service = ServiceExt::<Request<Incoming>>::into_make_service_with_connect_info::<SocketAddr>(service);
    let handle = axum_server::Handle::new();
    tokio::spawn({
        let handle = handle.clone();
        async move {
            signal().await;
            tracing::info!("stopping: what is under way is finished");
            handle.graceful_shutdown(Some(STOP_WITHIN));
        }
    });
    let mut server =
        axum_server::from_tcp(listener).map_err(|error| format!("Nothing can be served: {error}."))?;
    // A client that sends its head one byte a minute is not waited for.
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let ended =
        server.handle(handle).serve(service).await.map_err(|error| format!("The server stopped: {error}."));
    jobs.abort();
    if let Err(error) = state.refusals.flush(&state.desk.db).await {
        tracing::error!(%error, "the last refusals are not written");
    }
    if let Err(error) = state.last_used.flush(&state.desk.db).await {
        tracing::error!(%error, "last uses were not written");
    }
    state.desk.db.close().await;
    ended
}

pub fn state(desk: keydesk_core::Desk, config: ServeConfig, cookie_key: Key) -> AppState {
    let leptos = LeptosOptions::builder()
        .output_name("keydesk")
        .site_root("target/site")
        .site_pkg_dir(assets::folder())
        .build();
    // Whether it makes sense was checked at the start.
    let mailer = config.mail().ok().flatten().map(|smtp| Arc::new(smtp) as Arc<dyn Mailer>);
    let desk = desk.with_vault(Vault::derive(cookie_key.master()));
    AppState {
        desk,
        config: Arc::new(config),
        last_used: LastUsed::default(),
        refusals: Refusals::default(),
        gateway: gateway::Gateway::default(),
        cookie_key,
        mailer,
        leptos,
    }
}

fn start_log(json: bool) {
    let filter = EnvFilter::try_from_env("KEYDESK_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = if json { log.json().try_init() } else { log.try_init() };
}

async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
    // A second signal does not wait.
    tokio::spawn(async {
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(1);
    });
}

/// # Errors
/// When the file is too short to be a key, or cannot be read or made.
fn cookie_key(config: &ServeConfig) -> Result<Key, String> {
    let path: PathBuf = config.cookie_key_file.clone().unwrap_or_else(|| config.data.data.join("cookie.key"));
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

fn make_key(path: &Path) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut bytes = [0; 64];
    SystemRandom.fill(&mut bytes);
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&bytes)
}
