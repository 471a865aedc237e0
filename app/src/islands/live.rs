//! A part of a page that stays up to date: an element with `data-live` and an id is drawn again every few seconds, as the
//! server draws it. Without script the page shows how things were when it was loaded.

use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlTemplateElement, Response};

use super::page::{by_id, document, pause, window};

const EVERY_MS: i32 = 4_000;
/// A quarter of an hour: a page that is left open must not keep its session from expiring.
const MAX_ROUNDS: i32 = 225;

pub fn keep() {
    let id = document().query_selector("[data-live]").ok().flatten().map(|element| element.id());
    let Some(id) = id.filter(|id| !id.is_empty()) else { return };
    spawn_local(async move {
        for _ in 0..MAX_ROUNDS {
            pause(EVERY_MS).await;
            // A page that no one looks at asks nothing.
            if !document().hidden() && !refresh(&id).await {
                return;
            }
        }
    });
}

/// Draws the element again; says whether to go on. A failed request is tried again, and an answer without the element ends
/// it: the page has changed, or its reader is signed out.
async fn refresh(id: &str) -> bool {
    let Ok(address) = window().location().href() else { return false };
    let Ok(response) = JsFuture::from(window().fetch_with_str(&address)).await else { return true };
    let response: Response = response.into();
    let Ok(text) = response.text() else { return true };
    let Ok(text) = JsFuture::from(text).await else { return true };
    let Ok(template) = document().create_element("template") else { return false };
    template.set_inner_html(&text.as_string().unwrap_or_default());
    let template: HtmlTemplateElement = wasm_bindgen::JsCast::unchecked_into(template);
    let fresh = template.content().query_selector(&format!("#{id}")).ok().flatten();
    let (Some(fresh), Some(shown)) = (fresh, by_id::<web_sys::Element>(id)) else { return false };
    // Only when something is new, and not under the hands of a person who types or is about to press a button in it.
    let in_use = document().active_element().is_some_and(|active| shown.contains(Some(&active)));
    if !in_use && shown.inner_html() != fresh.inner_html() {
        shown.set_inner_html(&fresh.inner_html());
    }
    true
}
