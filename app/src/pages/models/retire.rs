//! The page before a model is taken out of the catalogue.

use keydesk_core::ops::models;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, query};
use crate::layout::{Page, Width, cancel_or_act, post_form_on};
use crate::pages::page;
use crate::path::LocalPath;

#[component]
pub fn RetireModelPage() -> impl IntoView {
    let id = query("id").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::show(&desk, &caller, &id).await?;
        let path: String = LocalPath::model("retire", &id).into();
        let served = match view.known.and_then(|known| known.served_by) {
            Some(name) => {
                format!(
                    "{name} serves it. New requests for it fail immediately. Requests in progress finish."
                )
            }
            None => "No provider serves it, and it no longer appears in the model list.".to_owned(),
        };
        let act = cancel_or_act(LocalPath::model("show", &id), "btn danger", "Retire model");
        let body = view! {
            <div class="stack roomy">
                <ul class="bullets">
                    <li>{served}</li>
                    <li>"Keys and teams that allow it don't change, and its spend stays in the records."</li>
                    <li>"You can add or import it again later. Route it to a provider then, because it won't be served."</li>
                </ul>
                {post_form_on(path.clone(), "/api/models/retire", vec![("id", id.clone())], act)}
            </div>
        };
        Ok(Page::new(format!("Retire {id}"), Width::Narrow)
            .crumbs(crumbs(Some(&id)))
            .path(path)
            .apart(&view.own, &caller, body))
    })
}
