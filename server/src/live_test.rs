//! The network of the live test. A person chooses the host, so a name is looked up, its addresses are checked, and the
//! check is made again by the resolver of the connection itself: the address that is connected to is one that was checked.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use keydesk_core::domain::live_test::{NoAnswer, Probe, ProbeAnswer, ProbeRequest, Probed, is_public};
use reqwest::{Client, Url};
use tokio::time::{Instant, timeout};

use crate::gateway::upstream::{http_client, milliseconds};
use crate::lookup::{CheckedNames, Lookup, no_answer};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a response that are read.
const MAX_BODY: usize = 64 * 1024;

/// Calls this installation's own gateway, and public addresses.
pub struct Prober {
    own: Option<Client>,
    foreign: Option<Client>,
    lookup: Lookup,
}

impl Prober {
    pub fn new(lookup: Lookup) -> Self {
        // No connection is kept: each call looks the name up, and is timed as a client's first one is.
        let build = |resolver: Option<CheckedNames>| {
            let client = http_client()?.connect_timeout(CONNECT_WITHIN).pool_max_idle_per_host(0);
            let client = match resolver {
                Some(resolver) => client.dns_resolver(Arc::new(resolver)),
                None => client,
            };
            client.build().map_err(|error| error.to_string())
        };
        let client = |resolver| {
            build(resolver)
                .inspect_err(|cause| tracing::error!(cause, "cannot create an HTTP client for live tests"))
                .ok()
        };
        Self { own: client(None), foreign: client(Some(CheckedNames::public(lookup.clone()))), lookup }
    }

    async fn call(&self, request: ProbeRequest) -> Probed {
        let url = Url::parse(&request.url).map_err(|_| NoAnswer::UnknownHost)?;
        if !request.own {
            self.check(&url).await?;
        }
        let client = if request.own { &self.own } else { &self.foreign };
        let client = client.as_ref().ok_or(NoAnswer::Unreachable)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value.as_str()).map_err(|_| NoAnswer::Unreachable)?;
            value.set_sensitive(true);
            headers.insert(*name, value);
        }
        let call = match request.body {
            Some(body) => client.post(url).header(CONTENT_TYPE, "application/json").body(body),
            None => client.get(url),
        };
        let started = Instant::now();
        let mut response = call.headers(headers).send().await.map_err(|error| no_answer(&error))?;
        let first_byte_ms = elapsed_ms(started);
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let mut answer = ProbeAnswer {
            status: response.status().as_u16(),
            content_type: header("content-type"),
            rejected_by: header("x-keydesk-rejected-by"),
            first_byte_ms,
            ..Default::default()
        };
        let mut body = Vec::new();
        while body.len() < MAX_BODY {
            match response.chunk().await.map_err(|_| NoAnswer::Broken)? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        body.truncate(MAX_BODY);
        answer.latency_ms = elapsed_ms(started);
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// The first look; the connection takes the second one.
    async fn check(&self, url: &Url) -> Result<(), NoAnswer> {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let addresses = match literal {
            Ok(address) => vec![address],
            Err(_) => (self.lookup)(host.to_owned()).await.map_err(|_| NoAnswer::UnknownHost)?,
        };
        match addresses.as_slice() {
            [] => Err(NoAnswer::UnknownHost),
            all if all.iter().all(|address| is_public(*address)) => Ok(()),
            _ => Err(NoAnswer::Private),
        }
    }
}

impl Probe for Prober {
    fn send(&self, request: ProbeRequest) -> Pin<Box<dyn Future<Output = Probed> + Send + '_>> {
        let within = milliseconds(request.within_ms);
        Box::pin(async move { timeout(within, self.call(request)).await.unwrap_or(Err(NoAnswer::TimedOut)) })
    }
}

fn elapsed_ms(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}
