//! A provider on a loopback port, which answers as a test tells it to and remembers what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

/// A request as it arrived there.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Arrived {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub struct Upstream {
    pub base_url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub async fn answering<F>(answer: F) -> Self
    where
        F: Fn() -> Response + Clone + Send + Sync + 'static,
    {
        Self::answering_after(Duration::ZERO, answer).await
    }

    /// The head comes after a while.
    pub async fn answering_after<F>(wait: Duration, answer: F) -> Self
    where
        F: Fn() -> Response + Clone + Send + Sync + 'static,
    {
        let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let noted = arrived.clone();
        let service = Router::new().fallback(move |request: Request| {
            let (noted, answer) = (noted.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let target = parts.uri.to_string();
                noted.lock().unwrap().push(Arrived { target, headers: parts.headers, body });
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                answer()
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { base_url, arrived, task }
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// The only one.
    pub fn one(&self) -> Arrived {
        let arrived = self.arrived();
        assert_eq!(arrived.len(), 1);
        arrived.into_iter().next().unwrap()
    }
}

pub fn whole(status: u16, content_type: &str, body: &str) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-request-id", "up_1")
        .header("set-cookie", "provider=1")
        .header("openai-organization", "ours")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// These parts, so far apart; `then` is what happens after the last.
pub fn parts(content_type: &str, parts: &[&str], apart_ms: u64, then: Then) -> Response {
    let mut parts: Vec<Result<Bytes, std::io::Error>> =
        parts.iter().map(|part| Ok(Bytes::from((*part).to_owned()))).collect();
    if then == Then::BreaksOff {
        parts.push(Err(std::io::Error::other("broken")));
    }
    let stream =
        futures_util::stream::unfold((parts.into_iter(), then), move |(mut parts, then)| async move {
            let Some(part) = parts.next() else {
                if then == Then::Hangs {
                    std::future::pending::<()>().await;
                }
                return None;
            };
            tokio::time::sleep(std::time::Duration::from_millis(apart_ms)).await;
            Some((part, (parts, then)))
        });
    Response::builder().header("content-type", content_type).body(Body::from_stream(stream)).unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Ends,
    BreaksOff,
    Hangs,
}
