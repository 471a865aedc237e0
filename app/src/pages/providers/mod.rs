//! Providers: the list, the form, one provider with its models, and the confirmation before it is retired. Only
//! operators can see these pages.

mod address;
mod form;
mod health;
mod list;
mod retire;
mod show;
mod status;

pub use form::NewProviderPage;
pub use list::ProvidersPage;
pub use retire::RetireProviderPage;
pub use show::ProviderPage;

use keydesk_core::domain::provider::Provider;

use crate::path::LocalPath;

fn crumbs(provider: Option<&Provider>) -> Vec<(String, String)> {
    let list = (LocalPath::providers().into(), "Providers".to_owned());
    let own = provider.map(|one| (LocalPath::provider(&one.id).into(), one.spec.name.clone()));
    [Some(list), own].into_iter().flatten().collect()
}
