//! The page before a provider is retired: what will happen to the models that it serves.

use keydesk_core::ops::providers;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, cancel_or_act, post_form};
use crate::pages::page;
use crate::path::LocalPath;

#[component]
pub fn RetireProviderPage() -> impl IntoView {
    let id = param("id");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = providers::show(&desk, &caller, &id).await?;
        let provider = &view.listed.provider;
        let (alone, shared): (Vec<_>, Vec<_>) =
            view.served.iter().map(|known| &known.model).partition(|model| model.further.is_empty());
        let served: Vec<_> = alone.into_iter().map(|model| model.id.clone()).collect();
        let (count, shared) = (served.len(), shared.len() + view.further.len());
        let served = match count {
            0 if shared > 0 => ().into_any(),
            0 => view! { <li>"It serves no models."</li> }.into_any(),
            1 => {
                view! { <li><code>{served[0].clone()}</code> " is no longer served, and requests for it fail."</li> }
                    .into_any()
            }
            _ => {
                let after = |at| if at + 1 < count { ", " } else { "" };
                let names = served.into_iter().enumerate();
                let names = names.map(|(at, id)| view! { <code>{id}</code> {after(at)} }).collect_view();
                view! {
                    <li>
                        {format!("These {count} models are no longer served, and requests for them fail: ")}
                        {names}
                    </li>
                }
                .into_any()
            }
        };
        let shared = match shared {
            0 => ().into_any(),
            1 => view! { <li>"1 model is still served by its other providers."</li> }.into_any(),
            count => {
                view! { <li>{format!("{count} models are still served by their other providers.")}</li> }
                    .into_any()
            }
        };
        let key = provider.spec.stored_key.then(|| view! { <li>"Its stored API key is deleted."</li> });
        let back = LocalPath::provider(&provider.id);
        let act = cancel_or_act(back, "btn danger", "Retire provider");
        let body = view! {
            <div class="stack roomy">
                <ul class="bullets">
                    {served} {shared} {key}
                    <li>"Requests in progress finish."</li>
                    <li>"The models stay in the catalogue, and keys that allow them don't change. You can route them to another provider before or after."</li>
                    <li>"This can't be undone. You can connect the same URL again as a new provider."</li>
                </ul>
                {post_form("/api/providers/retire", vec![("id", provider.id.to_string())], act)}
            </div>
        };
        Ok(Page::new(format!("Retire {}", provider.spec.name), Width::Narrow)
            .crumbs(crumbs(Some(provider)))
            .apart(&view.own, &caller, body))
    })
}
