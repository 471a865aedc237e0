//! A later expiry for a key that has expired.

use keydesk_core::domain::expiry::default_days;
use keydesk_core::forms::key::ExtendKeyForm;
use keydesk_core::ops::keys;
use leptos::prelude::*;

use super::expiry_field::ExpiryField;
use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::ui::field::TextField;

#[component]
pub fn ExtendKeyPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::extend_form(&desk, &caller, &slug, &id).await?;
        let (org, key, field_errors) = (&view.context.org, &view.key, field_errors());
        let key_page = LocalPath::key(&org.slug, &key.id);
        let sent = typed().unwrap_or_else(|| ExtendKeyForm {
            name: key.name.clone(),
            expiry: default_days(&org.rules, &org.defaults).map_or("never".into(), |days| days.to_string()),
            ..ExtendKeyForm::default()
        });
        let name = TextField::new("name", "form[name]", "Name")
            .help("Change it only where a live key has taken the name since.");
        let expiry = ExpiryField {
            name: "form[expiry]",
            date_name: "form[expires_on]",
            keep: None,
            days: true,
            never: false,
        };
        let hidden =
            vec![("org", org.slug.clone()), ("id", key.id.to_string()), ("version", key.version.to_string())];
        let inside = view! {
            <fieldset class="group">
                <legend>"Expiration"</legend>
                {expiry.draw((org, view.now), (&sent.expiry, &sent.expires_on), &field_errors)}
            </fieldset>
            {name.draw(sent.name.clone(), &field_errors)}
            {save_or_cancel("Extend key", key_page.clone())}
        };
        let body = view! {
            <div class="stack roomy">
                <p>
                    {format!(
                        "The key works again immediately, with its secret, limits and history, also if it was disabled before it expired. You can extend it until {}.",
                        view.until.exact(&org.zone),
                    )}
                </p>
                {post_form("/api/keys/extend", hidden, inside)}
            </div>
        };
        Ok(Page::new(format!("Extend {}", key.name), Width::Narrow)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .crumb(key_page, key.name.clone())
            .in_org(&view.context, &caller, body))
    })
}
