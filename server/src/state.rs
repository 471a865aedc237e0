//! What every route can reach. Made once in `serve`; cheap to clone.

use std::sync::Arc;

use axum::extract::FromRef;
use keydesk_app::mail::Mailer;
use keydesk_core::Desk;
use keydesk_core::admission::{LastUsed, Rejections};
use keydesk_core::domain::live_test::Probe;
use leptos::config::LeptosOptions;

use crate::config::ServeConfig;
use crate::cookie_keys::CookieKeys;
use crate::gateway::runtime::Gateway;
use crate::leak_keys::LeakKeys;
use crate::metrics::Metrics;

#[derive(Clone)]
pub struct AppState {
    pub desk: Desk,
    pub config: Arc<ServeConfig>,
    pub last_used: LastUsed,
    pub rejections: Rejections,
    pub gateway: Gateway,
    /// What is counted for monitoring.
    pub metrics: Metrics,
    /// Seal the cookies that carry a notice or a new secret to the next page.
    pub cookie_keys: CookieKeys,
    /// When this installation sends mail.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// When a service reports leaked secrets here.
    pub leak_keys: Option<Arc<LeakKeys>>,
    /// Makes the calls of live tests.
    pub probe: Arc<dyn Probe>,
    pub leptos: LeptosOptions,
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}
