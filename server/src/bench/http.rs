//! A load generator that costs little beside what it measures: prebuilt requests over connections that stay open, written
//! and read by one thread of its own. It reads just enough of an answer to know its status and where it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::measure::percentile;

/// A server that answers nothing stops a run after so much more than its time.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A request and where it goes.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub request: Arc<[u8]>,
}

impl Target {
    pub fn get(address: SocketAddr, path: &str, secret: &str, more: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\nuser-agent: bench\r\n{more}\r\n"
        );
        Self { address, request: request.into_bytes().into() }
    }

    pub fn post(address: SocketAddr, path: &str, secret: &str, body: &str) -> Self {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\nuser-agent: bench\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { address, request: request.into_bytes().into() }
    }
}

/// A connection that stays open.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(say)?;
        stream.set_nodelay(true).map_err(say)?;
        Ok(Self { stream, answer: Vec::with_capacity(4_096) })
    }

    /// Sends a request, reads its whole answer and gives the status.
    pub async fn ask(&mut self, request: &[u8]) -> Result<u16, String> {
        self.stream.write_all(request).await.map_err(say)?;
        self.answer.clear();
        let mut head = None;
        loop {
            if self.stream.read_buf(&mut self.answer).await.map_err(say)? == 0 {
                return Err("The server closed a connection in the middle of an answer.".into());
            }
            if head.is_none() {
                head = Head::read(&self.answer);
            }
            if let Some(head) = head.as_ref().filter(|head| head.is_whole(&self.answer)) {
                return Ok(head.status);
            }
        }
    }

    /// The same, where every other status than 200 ends the measurement.
    pub async fn pass(&mut self, request: &[u8]) -> Result<(), String> {
        match self.ask(request).await? {
            200 => Ok(()),
            _ => Err(format!("A request was not let in: {}", String::from_utf8_lossy(&self.answer))),
        }
    }
}

enum Body {
    Length(usize),
    Chunked,
}

struct Head {
    status: u16,
    body_at: usize,
    body: Body,
}

impl Head {
    /// `None` until it has arrived. Hyper writes names in lower case.
    fn read(answer: &[u8]) -> Option<Self> {
        let body_at = find(answer, b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&answer[..body_at]).ok()?;
        let status = head.get(9..12)?.parse().ok()?;
        let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let body = match length {
            Some(length) => Body::Length(length.parse().ok()?),
            None if head.contains("\r\ntransfer-encoding: chunked\r\n") => Body::Chunked,
            None => Body::Length(0),
        };
        Some(Self { status, body_at, body })
    }

    fn is_whole(&self, answer: &[u8]) -> bool {
        match self.body {
            Body::Length(length) => answer.len() >= self.body_at + length,
            // From the end of the head on, as an empty body is its last chunk alone.
            Body::Chunked => answer[self.body_at - 2..].ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// What a while of load came to.
pub struct Loaded {
    pub times: Vec<Duration>,
    pub per_second: f64,
}

/// Sends one request after the other over each of some connections, spread over the targets, for a while.
pub async fn load(targets: &[Target], connections: usize, span: Duration) -> Result<Loaded, String> {
    let targets = targets.to_vec();
    apart(span + PATIENCE, async move {
        let mut opened = Vec::new();
        for target in targets.iter().cycle().take(connections) {
            let mut connection = Connection::open(target.address).await?;
            connection.pass(&target.request).await?;
            opened.push((connection, target.request.clone()));
        }
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for (mut connection, request) in opened {
            tasks.spawn(async move {
                let mut times = Vec::new();
                let mut begun = Instant::now();
                while begun.duration_since(started) < span {
                    connection.pass(&request).await?;
                    let ended = Instant::now();
                    times.push(ended - begun);
                    begun = ended;
                }
                Ok::<_, String>(times)
            });
        }
        let mut times = Vec::new();
        for done in tasks.join_all().await {
            times.extend(done?);
        }
        let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
        Ok(Loaded { times, per_second })
    })
    .await
}

/// Runs what sends requests on a thread and a runtime of its own, within a time.
pub async fn apart<T: Send + 'static>(
    within: Duration,
    what: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(say)?;
        let ended = runtime.block_on(async { timeout(within, what).await });
        ended.unwrap_or_else(|_| Err(format!("No end of requests within {} s.", within.as_secs())))
    };
    tokio::task::spawn_blocking(run).await.map_err(say)?
}

/// How long each kind of load lasts.
#[derive(Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    pub slice: Duration,
}

/// A target's rounds.
#[derive(Default)]
pub struct Measured {
    rates: Vec<f64>,
    times: Vec<Duration>,
}

impl Measured {
    /// The median of the rounds, which one that was disturbed does not move.
    pub fn per_second(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    pub fn ms(&mut self, hundredths: usize) -> f64 {
        percentile(&mut self.times, hundredths)
    }
}

/// Each target in turn, round by round, so that a busy moment of the machine meets all of them.
pub async fn in_turns(targets: &[Target], connections: usize, pace: Pace) -> Result<Vec<Measured>, String> {
    let mut measured: Vec<Measured> = targets.iter().map(|_| Measured::default()).collect();
    for _ in 0..pace.rounds {
        for (target, measured) in targets.iter().zip(&mut measured) {
            let loaded = load(std::slice::from_ref(target), connections, pace.slice).await?;
            measured.rates.push(loaded.per_second);
            measured.times.extend(loaded.times);
        }
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(answer: &str) -> Option<u16> {
        let head = Head::read(answer.as_bytes())?;
        head.is_whole(answer.as_bytes()).then_some(head.status)
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let with_length = "HTTP/1.1 200 OK\r\nx-more: a\r\ncontent-length: 5\r\n\r\nhello";
        let chunked = "HTTP/1.1 503 Away\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let empty = "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n";
        let empty_chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        for (answer, status) in [(with_length, 200), (chunked, 503), (empty, 401), (empty_chunked, 200)] {
            assert_eq!(whole(answer), Some(status), "{answer}");
            for end in 0..answer.len() {
                assert_eq!(whole(&answer[..end]), None, "{}", &answer[..end]);
            }
        }
    }
}
