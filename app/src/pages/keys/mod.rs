//! Keys: the list, the forms, the page that shows a secret once, one key, its rotation, the confirmation before a revocation.

mod form;
mod issued;
mod list;
mod revoke;
mod rotate;
mod show;

pub use form::{EditKeyPage, NewKeyPage};
pub use issued::IssuedPage;
pub use list::KeysPage;
pub use revoke::RevokeKeyPage;
pub use rotate::RotateKeyPage;
pub use show::KeyPage;

use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_format::hint;
use leptos::prelude::*;

/// The part of the secret that stays visible; the tooltip has its prefix.
pub(super) fn key_hint(key: &Key) -> impl IntoView + use<> {
    let title = format!("{}…{}", key.prefix, key.last_four);
    view! { <span class="hint" title=title>{hint(&key.last_four)}</span> }
}
