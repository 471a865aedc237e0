//! Calls to a provider that no client makes: the test of its connection. They take the same way as requests of clients, with
//! the provider's credential, headers, proxy and certificate checks, so that what the test finds is true of them.

use std::future::Future;
use std::pin::Pin;

use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use keydesk_core::domain::live_test::{NoAnswer, ProbeAnswer};
use keydesk_core::domain::provider::{Provider, ProviderKind};
use keydesk_core::domain::provider_test::{CallProvider, NoProviderAnswer, ProviderAnswer, ProviderCall};
use keydesk_core::domain::route::Route;
use percent_encoding::utf8_percent_encode;
use tokio::time::{Instant, timeout};

use super::upstream::{PATH, UpstreamError, Upstreams, milliseconds};
use crate::lookup::no_answer;

/// A list of models is longer than any answer of one token.
const MAX_BODY: usize = 4 << 20;
const MASK: &str = "•••";
/// More than any list has on one page.
const WHOLE_LIST: &str = "1000";

impl CallProvider for Upstreams {
    fn call<'a>(
        &'a self,
        provider: &'a Provider,
        call: ProviderCall,
    ) -> Pin<Box<dyn Future<Output = ProviderAnswer> + Send + 'a>> {
        let within = milliseconds(call.within_ms);
        Box::pin(async move {
            let timed_out = Err(NoProviderAnswer::Network(NoAnswer::TimedOut));
            timeout(within, self.answer(provider, call)).await.unwrap_or(timed_out)
        })
    }

    fn proxy(&self, url: &str) -> Option<String> {
        self.proxies().name_for(url)
    }

    fn opens(&self, provider: &Provider) -> Option<bool> {
        provider.sealed_key.as_ref().filter(|_| provider.spec.stored_key)?;
        Some(self.credential(provider).is_ok())
    }
}

impl Upstreams {
    async fn answer(&self, provider: &Provider, call: ProviderCall) -> ProviderAnswer {
        let credential = self.credential(provider).map_err(|_| no_credential(provider))?;
        let unreachable = || NoProviderAnswer::Network(NoAnswer::Unreachable);
        let client = self.client(provider.spec.connect_ms).map_err(|_| unreachable())?;
        let (request, url) = match call.body {
            None => {
                let mut url = provider.spec.address().models_url();
                let size = match provider.spec.kind {
                    ProviderKind::OpenAi => None,
                    ProviderKind::Anthropic => Some("limit"),
                    ProviderKind::Gemini => Some("pageSize"),
                };
                if let Some(size) = size {
                    url.push(if url.contains('?') { '&' } else { '?' });
                    url.push_str(&format!("{size}={WHOLE_LIST}"));
                }
                (client.get(&url), url)
            }
            Some(body) => {
                let model = utf8_percent_encode(&call.model, PATH).to_string();
                let url = provider.spec.address().url(&Route::usual(provider.spec.kind).call(&model), &model);
                (client.post(&url).header(CONTENT_TYPE, "application/json").body(body), url)
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("application/json"));
        if provider.spec.kind == ProviderKind::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        let request = self.dressed(provider, request, headers).map_err(|error| match error {
            UpstreamError::NoCredential => no_credential(provider),
            _ => unreachable(),
        })?;
        let started = Instant::now();
        let sent = request.send().await;
        let mut response = sent.map_err(|error| match self.proxies().name_for(&url) {
            Some(proxy) if error.is_connect() => NoProviderAnswer::Proxy(proxy),
            _ => NoProviderAnswer::Network(no_answer(&error)),
        })?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mut answer = ProbeAnswer {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            first_byte_ms: elapsed_ms(started),
            ..ProbeAnswer::default()
        };
        let mut body = Vec::new();
        while body.len() < MAX_BODY {
            match response.chunk().await.map_err(|_| NoProviderAnswer::Network(NoAnswer::Broken))? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        body.truncate(MAX_BODY);
        answer.latency_ms = elapsed_ms(started);
        answer.body = String::from_utf8_lossy(&body).into_owned();
        if let Some(credential) = credential {
            answer.body = answer.body.replace(credential.as_str(), MASK);
        }
        Ok(answer)
    }
}

/// What to do, for an operator.
fn no_credential(provider: &Provider) -> NoProviderAnswer {
    NoProviderAnswer::NoCredential(match (&provider.sealed_key, provider.spec.stored_key) {
        (None, true) => "No API key is stored for this provider. Paste it under Connection.".into(),
        (Some(_), true) => "The stored API key cannot be opened: it was sealed with another key than this process has. Give this process that key's file, or paste the API key again.".into(),
        (_, false) => format!(
            "{} is not set in Keydesk's environment, or cannot be sent as an API key. Set it and restart Keydesk, or paste the API key here.",
            provider.spec.credential_env
        ),
    })
}

fn elapsed_ms(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}
