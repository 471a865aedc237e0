//! The program's gateways, each a process on a port of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keydesk_core::store::DatabaseUrl;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;

use super::http::{Connection, Target, say};

/// Is called with each line of a log.
pub type LineReader = Arc<dyn Fn(&str) + Send + Sync>;

/// A process that is told to stop gives back what it has; one that does not end is killed.
const STOP_WITHIN: Duration = Duration::from_secs(5);
const START_WITHIN: Duration = Duration::from_secs(20);

/// Ended when dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::TERM);
        }
        let stopping = Instant::now();
        while stopping.elapsed() < STOP_WITHIN {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway that answers.
pub struct Gateway {
    pub address: SocketAddr,
    process: Running,
}

impl Gateway {
    pub async fn start(place: &DatabaseUrl) -> Result<Self, String> {
        Self::start_with(place, "error", None).await
    }

    /// Each line of its log goes to `reader`, on a thread of its own; what has a level and a target in `log`.
    pub async fn start_logging(place: &DatabaseUrl, log: &str, reader: LineReader) -> Result<Self, String> {
        Self::start_with(place, log, Some(reader)).await
    }

    async fn start_with(place: &DatabaseUrl, log: &str, reader: Option<LineReader>) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(say)?.with_file_name("keydesk");
        if !program.exists() {
            return Err(format!("{} is not there: build it first, as make bench does.", program.display()));
        }
        // A port cannot be reserved for another process; this one was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").await.map_err(say)?.local_addr().map_err(say)?;
        let mut command = Command::new(program);
        command.args(["gateway", "--listen", &address.to_string()]).env("KEYDESK_LOG", log);
        match place {
            DatabaseUrl::Sqlite(file) => command.arg("--data").arg(file.parent().unwrap_or(Path::new("."))),
            DatabaseUrl::Postgres(url) => command.env("KEYDESK_DATABASE_URL", url),
        };
        if reader.is_some() {
            command.env("KEYDESK_LOG_JSON", "true").stderr(Stdio::piped());
        }
        let mut process = Running(command.stdout(Stdio::null()).spawn().map_err(say)?);
        if let (Some(read), Some(log)) = (reader, process.0.stderr.take()) {
            std::thread::spawn(move || {
                BufReader::new(log).lines().map_while(Result::ok).for_each(|line| read(&line));
            });
        }
        let mut gateway = Self { address, process };
        gateway.wait().await?;
        Ok(gateway)
    }

    async fn wait(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let request = Target::get(self.address, "/healthz", "", "").request;
        while started.elapsed() < START_WITHIN {
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.ask(&request).await == Ok(200)
            {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.0.try_wait() {
                return Err(format!("A gateway ended when it started, with {status}."));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("A gateway did not start within {} s.", START_WITHIN.as_secs()))
    }

    /// Its memory in use, in bytes; `None` where the system does not tell.
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
    }
}
