//! Providers: the list, the form, one provider with its models, and the confirmation before it is retired. Only
//! operators can see these pages.

mod form;
mod list;
mod retire;
mod show;

pub use form::NewProviderPage;
pub use list::ProvidersPage;
pub use retire::RetireProviderPage;
pub use show::ProviderPage;

use keydesk_core::domain::provider::Provider;
use leptos::prelude::*;

use crate::credentials;
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};

fn crumbs(provider: Option<&Provider>) -> Vec<(String, String)> {
    let list = (LocalPath::providers().into(), "Providers".to_owned());
    let own = provider.map(|one| (LocalPath::provider(&one.id).into(), one.name.clone()));
    [Some(list), own].into_iter().flatten().collect()
}

/// Whether the variable with its credential is set in this process.
fn credential_badge(variable: &str) -> AnyView {
    if credentials::is_set(variable) {
        let why = format!("{variable} is set. Its value is never shown.");
        badge(BadgeTone::Good, "Set".into(), why).into_any()
    } else {
        let why = format!("{variable} is not set. Set it and restart Keydesk.");
        badge(BadgeTone::Warn, "Not set".into(), why).into_any()
    }
}
