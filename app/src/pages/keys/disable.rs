//! The question before a key is disabled by a person who cannot enable it again.

use keydesk_core::ops::keys;
use leptos::prelude::*;

use super::contacts;
use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, cancel_or_act, post_form};
use crate::pages::page;
use crate::path::LocalPath;

#[component]
pub fn DisableKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::disable_form(&desk, &caller, &slug, &id).await?;
        let (org, key) = (&view.context.org, &view.key);
        let key_page = LocalPath::key(&org.slug, &key.id);
        let hidden = vec![("org", org.slug.clone()), ("id", key.id.to_string())];
        let body = view! {
            <div class="stack roomy">
                <ul class="bullets">
                    <li>"New requests with this key fail immediately. Requests in progress finish."</li>
                    <li>"You can’t enable it again yourself. Ask " {contacts(&view.contacts)} "."</li>
                </ul>
                {post_form("/api/keys/disable", hidden, cancel_or_act(key_page.clone(), "btn danger", "Disable key"))}
            </div>
        };
        Ok(Page::new(format!("Disable {}", key.name), Width::Narrow)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(key_page, key.name.clone())
            .in_org(&view.context, &caller, body))
    })
}
