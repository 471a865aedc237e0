//! Keys: the list, an act on several, the forms, the page that shows a secret once, one key, its rotation, the questions
//! before it is disabled, extended or revoked.

mod bulk;
mod disable;
mod expiry_field;
mod extend;
mod form;
mod issued;
mod list;
mod list_address;
mod revoke;
mod rotate;
mod rows;
mod secret;
mod show;
mod snippets;
mod summary;

pub use bulk::BulkPage;
pub use disable::DisableKeyPage;
pub use extend::ExtendKeyPage;
pub use form::{EditKeyPage, NewKeyPage};
pub use issued::IssuedPage;
pub use list::KeysPage;
pub use revoke::RevokeKeyPage;
pub use rotate::RotateKeyPage;
pub use secret::SecretPage;
pub use show::KeyPage;

use keydesk_core::domain::key::Key;
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::person::Contact;
use leptos::prelude::*;

use crate::ui::badge::{BadgeTone, badge};
use crate::ui::when;

/// The part of the secret that stays visible; the tooltip has its prefix.
pub(super) fn key_hint(key: &Key) -> impl IntoView + use<> {
    let title = format!("{}…{}", key.prefix, key.last_four);
    view! { <span class="hint" title=title>{hint(&key.last_four)}</span> }
}

/// When the key was last used, and whether something still depends on it.
pub(super) fn last_used(key: &Key, now: Moment, zone: &Zone) -> AnyView {
    match key.last_used_at {
        Some(at) if key.in_use(now) => view! {
            {badge(BadgeTone::Warn, "In use".into(), at.exact(zone))}
            " "
            {when::ago(at, now, zone)}
        }
        .into_any(),
        Some(at) => when::ago(at, now, zone).into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    }
}

/// "Lena Fischer (lena@northwind.example) or Ana Ruiz (…)", with their addresses as links.
pub(in crate::pages) fn contacts(list: &[Contact]) -> AnyView {
    if list.is_empty() {
        return "your administrator".into_any();
    }
    let person = |(at, contact): (usize, &Contact)| {
        let before = if at == 0 { "" } else { " or " };
        let href = format!("mailto:{}", contact.email);
        view! {
            {before}
            {contact.name.clone()}
            " ("
            <a href=href>{contact.email.clone()}</a>
            ")"
        }
    };
    list.iter().take(3).enumerate().map(person).collect_view().into_any()
}
