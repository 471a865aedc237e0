//! The providers in use.

use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::provider::ListedProvider;
use keydesk_core::ops::providers::{self, ProvidersView};
use leptos::prelude::*;

use super::health;
use super::status::{credential_badge, credential_words, state_badge};
use crate::ask::{caller, desk};
use crate::layout::{Width, framed_apart};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Column};
use crate::ui::page_head::page_head;

#[component]
pub fn ProvidersPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = providers::list(&desk, &caller).await?;
        let none = view.providers.is_empty();
        let create = (!none).then(connect);
        let under = (!none).then(|| {
            view! { <p class="muted">"Requests for models are forwarded to these. Their API keys are never shown."</p> }
        });
        let body = view! {
            {title("Providers")}
            {notice_line()}
            {page_head(vec![], "Providers".into_any(), under.into_any(), create.into_any())}
            {if none { empty() } else { table(&view) }}
        };
        let path = LocalPath::providers();
        Ok(framed_apart(&view.own, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}

fn connect() -> AnyView {
    list::create("/operator/providers/new", "Connect provider")
}

fn empty() -> AnyView {
    let words = view! {
        "Until one serves a model, the built-in " <code>"demo/echo"</code>
        " model repeats what it is sent. Connect a provider with its URL and its API key, then choose the models that it serves."
    };
    list::empty(Icon::Provider, "No providers yet".into(), words, connect())
}

fn table(view: &ProvidersView) -> AnyView {
    let providers = &view.providers;
    let columns = vec![
        Column::new("Name"),
        Column::new("State"),
        Column::new("Health"),
        Column::new("Protocol"),
        Column::new("Base URL"),
        Column::new("API key"),
        Column::new("Models").num(),
    ];
    list::table(
        true,
        "Providers, by name".into(),
        columns,
        providers.iter().map(|one| row(view, one)).collect_view(),
    )
}

fn row(view: &ProvidersView, listed: &ListedProvider) -> impl IntoView + use<> {
    let provider = &listed.provider;
    let credential = match provider.spec.has_credential() {
        false => view! { <span class="muted tight">"None"</span> }.into_any(),
        true => {
            let words = credential_words(provider);
            view! { <span class="pairs"><code class="clip wide" title=words.clone()>{words.clone()}</code> {credential_badge(provider)}</span> }.into_any()
        }
    };
    let url = provider.spec.address().typed();
    let health = view.health.get(&provider.id).copied().unwrap_or_default();
    let models = match listed.models {
        0 => view! { <span class="muted">"None"</span> }.into_any(),
        count => grouped(count).into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=LocalPath::provider(&provider.id).as_str().to_owned() title=provider.spec.name.clone()>
                    {provider.spec.name.clone()}
                </a>
            </th>
            <td data-label="State">{state_badge(listed)}</td>
            <td data-label="Health">{health::words(&health, view.now)}</td>
            <td data-label="Protocol">{provider.spec.kind.label()}</td>
            <td data-label="Base URL" class="full">
                <code class="clip wide" title=url.clone()>{url.clone()}</code>
            </td>
            <td data-label="API key">{credential}</td>
            <td data-label="Models" class="num">{models}</td>
        </tr>
    }
}
