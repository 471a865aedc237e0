//! What pages and actions of providers need around them; the server provides it.

use std::sync::Arc;

use keydesk_core::domain::provider::Provider;
use keydesk_core::domain::provider_test::CallProvider;
use leptos::prelude::use_context;

use crate::error::AppError;

/// In the context of pages and actions: makes calls to providers.
#[derive(Clone)]
pub struct ProviderCalls(pub Arc<dyn CallProvider>);

/// # Errors
/// When the server provided none.
pub fn provider_calls() -> Result<Arc<dyn CallProvider>, AppError> {
    use_context::<ProviderCalls>().map(|calls| calls.0).ok_or(AppError::Internal)
}

/// The proxy on the way to a URL; `None` for none.
pub fn proxy_to(url: &str) -> Option<String> {
    provider_calls().ok()?.proxy(url)
}

/// Whether this process can open the stored key of a provider; `None` where it has none.
pub fn opens(provider: &Provider) -> Option<bool> {
    provider_calls().ok()?.opens(provider)
}
