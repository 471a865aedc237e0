//! The page before a provider is retired: what will happen to the models that it serves.

use keydesk_core::ops::providers;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed_apart};
use crate::pages::{here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::field::on_page;
use crate::ui::page_head::page_head;

#[component]
pub fn RetireProviderPage() -> impl IntoView {
    let id = param("id");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = providers::show(&desk, &caller, &id).await?;
        let provider = &view.listed.provider;
        let back = LocalPath::provider(&provider.id).as_str().to_owned();
        let heading = format!("Retire {}", provider.name);
        let served: Vec<_> = view.served.iter().map(|known| known.model.id.clone()).collect();
        let served = match served.len() {
            0 => view! { <li>"It serves no model."</li> }.into_any(),
            1 => view! { <li>"Nobody serves " <code>{served[0].clone()}</code> " from now on, and requests for it are refused."</li> }.into_any(),
            count => {
                let after = |at| if at + 1 < count { ", " } else { "" };
                let names = served
                    .into_iter()
                    .enumerate()
                    .map(|(at, id)| view! { <code>{id}</code> {after(at)} })
                    .collect_view();
                view! {
                    <li>
                        {format!("Nobody serves these {count} models from now on, and requests for them are refused: ")}
                        {names}
                    </li>
                }
                .into_any()
            }
        };
        let body = view! {
            {title(heading.clone())}
            {notice_line()}
            {page_head(crumbs(Some(provider)), heading.into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                <ul class="bullets">
                    {served}
                    <li>"Requests already under way are finished."</li>
                    <li>"The models stay in the catalogue and in the scopes of keys. They can be routed to another provider before or after."</li>
                    <li>"It cannot be taken back; the same address can be connected anew."</li>
                </ul>
                <form class="form" method="post" action="/api/providers/retire" data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[id]" value=provider.id.to_string() />
                    <div class="actions end">
                        <a class="btn quiet" href=back>"Cancel"</a>
                        <button class="btn danger">"Retire provider"</button>
                    </div>
                </form>
            </div>
        };
        Ok(framed_apart(&view.own, &caller, &here(), Width::Narrow, body.into_any()))
    })
}
