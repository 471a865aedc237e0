//! The one page that shows a secret. It comes in a sealed cookie that this page clears, so after a reload or from the
//! Back button only the last four characters are left.

use http::{HeaderValue, header};
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::model::DEMO_ECHO;
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::domain::scope::no_match_words;
use keydesk_core::ops::keys::{self, FirstModels};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::snippets::snippets;
use crate::ask::{caller, desk, gateway_url_here, param};
use crate::layout::{Page, Width};
use crate::lot::Lot;
use crate::pages::first_steps::nothing_served;
use crate::pages::page;
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, Issued, Tone};
use crate::ui::code::{shown_once, tabs};
use crate::ui::notice::notice;

#[component]
pub fn IssuedPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::show(&desk, &caller, &slug, &id).await?;
        let (org, key) = (&view.context.org, &view.key);
        let path = LocalPath::issued(&org.slug, &key.id);
        let issued: Option<Issued> = sealed::take(ISSUED, path.as_str(), view.now);
        if let Some(response) = use_context::<ResponseOptions>() {
            // Neither stored nor transformed on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let secret = issued.filter(|issued| issued.key_id == key.id.as_str()).map(|issued| issued.secret);
        let key_page = LocalPath::key(&org.slug, &key.id);
        let rotated = view.secrets.current.created_at > key.created_at;
        let rotating =
            view.secrets.previous.is_some() && view.context.may(Action::RotateKey, On::Key(key.facts()));
        let next = if rotating { LocalPath::rotate(&org.slug, key.id.as_str()) } else { key_page.clone() };
        let lot = Lot::of_address();
        let place = lot.as_ref().map(|lot| lot.place(&key.id)).unwrap_or_default();
        let next_key = lot.and_then(|lot| lot.next(&org.slug, &key.id));
        let (stored, again) = match (&next_key, rotating) {
            (Some(_), _) => ("I have stored it: next key", "Next key"),
            (None, true) => ("I have stored it", "Go to the rotation"),
            (None, false) => ("I have stored it", "Go to the key"),
        };
        let next = next_key.unwrap_or(next);
        let (heading, body) = match secret {
            Some(secret) => {
                let models = keys::first_models(&desk, key).await?;
                let operates = caller.person.platform == PlatformRole::Operator;
                let none = no_match_words(&keys::without_a_model(&desk, &key.models).await?);
                let advice = " Store it where the app reads its secrets. If it is lost, rotate the key.";
                let body = view! {
                    <div class="stack roomy" data-once>
                        {shown_once("The key", "Copy key", secret.clone(), advice.into())}
                        {none.map(|words| notice(Tone::Warn, words))}
                        <section class="stack">
                            <h2>"Use it"</h2>
                            <p class="muted">{about(&models)}</p>
                            {nothing_served(models.any() != Some(DEMO_ECHO), operates)}
                            {tabs(snippets(&gateway_url_here(), &secret, &models))}
                        </section>
                        <div class="actions">
                            <a class="btn" href=next>{stored}</a>
                            <span class="muted">{place}</span>
                        </div>
                    </div>
                };
                (
                    if rotated {
                        format!("New secret of {}", key.name)
                    } else {
                        format!("{} is ready", key.name)
                    },
                    body.into_any(),
                )
            }
            None => {
                let body = view! {
                    <div class="stack roomy">
                        <div class="secret">
                            <code>{hint(&key.last_four)}</code>
                        </div>
                        <p>
                            "The secret was shown once, when it was made, and is not stored. If you did not copy it, rotate the key."
                        </p>
                        <div class="actions">
                            <a class="btn" href=next>{again}</a>
                        </div>
                    </div>
                };
                (key.name.clone(), body.into_any())
            }
        };
        Ok(Page::new(if rotated { "Key rotated" } else { "Key created" }, Width::Mid)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .heading(heading)
            .path(key_page)
            .in_org(&view.context, &caller, body))
    })
}

/// What the snippets do when they are run.
fn about(models: &FirstModels) -> &'static str {
    match models.any() {
        Some(DEMO_ECHO) => {
            "Each sends one request to demo/echo, which answers until a provider does. It costs a fraction of a cent, which the key’s page shows immediately."
        }
        Some(_) => "Each sends one small request. The key’s page shows immediately what it cost.",
        None => "No model that this key can use is served yet, so each lists the models, which is free.",
    }
}
