//! What requests are compared with, served by a process of its own as the gateway is: an empty route, a look-up in a map
//! in memory, the SELECT of a key by its hash, and a provider that answers at once.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use keydesk_core::domain::key_format::{self, SecretHash};
use keydesk_core::store::{DatabaseUrl, Db, bench_baseline};
use tokio::net::TcpListener;

use super::http::say;
use super::processes::Running;

/// Names the database to the process, as other users of the machine can see options.
pub const DATABASE: &str = "KEYDESK_BENCH_BARE";
const ANSWERED: &str = r#"{"id":"c","object":"chat.completion","created":0,"model":"bench/echo","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;

/// The process; ended when dropped.
pub struct Bare {
    pub address: SocketAddr,
    _process: Running,
}

impl Bare {
    /// Its map has the keys that there are now.
    pub async fn start(place: &DatabaseUrl) -> Result<Self, String> {
        let database = match place {
            DatabaseUrl::Sqlite(file) => file.display().to_string(),
            DatabaseUrl::Postgres(url) => url.clone(),
        };
        let mut command = Command::new(std::env::current_exe().map_err(say)?);
        command.arg("--bare").env(DATABASE, database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running(command.spawn().map_err(say)?);
        let output = process.0.stdout.take().ok_or("The bare routes have no output.")?;
        let first_line = move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        };
        let line = tokio::task::spawn_blocking(first_line).await.map_err(say)?.map_err(say)?;
        let address = line.trim().parse().map_err(|_| "The bare routes did not start.".to_owned())?;
        Ok(Self { address, _process: process })
    }
}

#[derive(Clone)]
struct Served {
    db: Db,
    keys: Arc<HashMap<[u8; 32], String>>,
}

/// Serves until standard input ends, which is when the bench does.
pub async fn serve() -> Result<(), String> {
    let database = std::env::var(DATABASE).map_err(|_| format!("{DATABASE} names no database."))?;
    let place = match database.starts_with("postgres") {
        true => DatabaseUrl::Postgres(database),
        false => DatabaseUrl::Sqlite(PathBuf::from(database)),
    };
    let db = Db::open(&place).await.map_err(say)?;
    let keys = bench_baseline::hashes(&mut db.read().await.map_err(say)?).await.map_err(say)?;
    let router = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/map", get(from_map))
        .route("/select", get(from_database))
        .route("/v1/chat/completions", post(async || ([("content-type", "application/json")], ANSWERED)))
        .with_state(Served { db, keys: Arc::new(keys.into_iter().collect()) });
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(say)?;
    println!("{}", listener.local_addr().map_err(say)?);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    axum::serve(listener, router).await.map_err(say)
}

/// As the gateway reads it.
fn hash(headers: &HeaderMap) -> Result<SecretHash, StatusCode> {
    let text = headers.get("authorization").and_then(|value| value.to_str().ok());
    let secret = text.and_then(|text| text.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(key_format::read(secret).map_err(|_| StatusCode::UNAUTHORIZED)?.hash())
}

async fn from_map(State(served): State<Served>, headers: HeaderMap) -> Result<String, StatusCode> {
    served.keys.get(hash(&headers)?.as_bytes()).cloned().ok_or(StatusCode::UNAUTHORIZED)
}

async fn from_database(State(served): State<Served>, headers: HeaderMap) -> Result<String, StatusCode> {
    let mut read = served.db.read().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    match bench_baseline::by_hash(&mut read, &hash(&headers)?).await {
        Ok(1) => Ok("found".into()),
        Ok(_) => Err(StatusCode::UNAUTHORIZED),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
