//! The page before a model is taken out of the catalogue.

use keydesk_core::ops::models;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk};
use crate::layout::{Width, framed_apart};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::field::on_page;
use crate::ui::page_head::page_head;

#[component]
pub fn RetireModelPage() -> impl IntoView {
    let id = crate::ask::query("id").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::show(&desk, &caller, &id).await?;
        let heading = format!("Retire {id}");
        let path = LocalPath::model("retire", &id).as_str().to_owned();
        let served = view.known.and_then(|known| known.served_by);
        let served = match served {
            Some(name) => format!(
                "{name} serves it. Requests for it are refused from now on; those already under way are finished."
            ),
            None => "Nobody serves it. Keys can no longer be scoped to it by its box.".to_owned(),
        };
        let body = view! {
            {title(heading.clone())}
            {notice_line()}
            {page_head(crumbs(Some(&id)), heading.into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                <ul class="bullets">
                    <li>{served}</li>
                    <li>"Keys and teams keep it in their scopes; what was spent on it stays written."</li>
                    <li>"Added or imported again, it is there as before, but served by nobody until it is routed."</li>
                </ul>
                <form class="form" method="post" action="/api/models/retire" data-enhance>
                    {on_page(path.clone())}
                    <input type="hidden" name="form[id]" value=id.clone() />
                    <div class="actions end">
                        <a class="btn quiet" href=LocalPath::model("edit", &id).as_str().to_owned()>"Cancel"</a>
                        <button class="btn danger">"Retire model"</button>
                    </div>
                </form>
            </div>
        };
        Ok(framed_apart(&view.own, &caller, &path, Width::Narrow, body.into_any()))
    })
}
