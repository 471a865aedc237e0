//! Serving: open, check, listen, and stop without breaking off what is under way.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt;
use axum_extra::extract::cookie::Key;
use keydesk_core::Random;
use keydesk_core::admission::LastUsed;
use keydesk_core::ops::links;
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

pub async fn serve(config: ServeConfig) -> Result<(), String> {
    config.check()?;
    start_log(config.log_json);
    let desk = open(&config.data).await?;
    let cookie_key = cookie_key(&config)?;
    let listener = tokio::net::TcpListener::bind(config.listen).await.map_err(|error| {
        format!("Nothing can listen on {}: {error}. Choose another address with --listen.", config.listen)
    })?;
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
    let service =
        MapRequestLayer::new(gateway::collapse_leading_slashes).layer(router::router(state.clone()));
    let service =
        ServiceExt::<axum::extract::Request>::into_make_service_with_connect_info::<SocketAddr>(service);
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        signal().await;
        tracing::info!("stopping: what is under way is finished");
        let _ = stop.send(true);
    });
    let server = tokio::spawn(async move { server.await });
    let ended = finished(server, stopping).await;
    jobs.abort();
    if let Err(error) = state.last_used.flush(&state.desk.db).await {
        tracing::error!(%error, "last uses were not written");
    }
    state.desk.db.close().await;
    ended
}

/// The server's own end, or the end of its patience with connections that stay open.
async fn finished(
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    mut stopping: tokio::sync::watch::Receiver<bool>,
) -> Result<(), String> {
    let abort = server.abort_handle();
    tokio::select! {
        ended = server => match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("The server stopped: {error}.")),
            Err(_) => Ok(()),
        },
        () = async {
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(STOP_WITHIN).await;
        } => {
            abort.abort();
            Ok(())
        }
    }
}

pub fn state(desk: keydesk_core::Desk, config: ServeConfig, cookie_key: Key) -> AppState {
    let leptos = LeptosOptions::builder()
        .output_name("keydesk")
        .site_root("target/site")
        .site_pkg_dir(assets::folder())
        .build();
    AppState { desk, config: Arc::new(config), last_used: LastUsed::default(), cookie_key, leptos }
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
