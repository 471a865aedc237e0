//! Whether this process has a provider's credential, as far as pages may know: yes or no, never what it is. The server
//! looks into the environment; nothing here does.

use std::sync::Arc;

use leptos::prelude::use_context;

/// In the context of pages: whether the variable of this name is set.
#[derive(Clone)]
pub struct Credentials(pub Arc<dyn Fn(&str) -> bool + Send + Sync>);

pub fn is_set(variable: &str) -> bool {
    use_context::<Credentials>().is_some_and(|credentials| (credentials.0)(variable))
}
