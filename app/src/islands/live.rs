//! A part of a page that stays up to date: an element with `data-live` and an id is drawn again every few seconds, as the
//! server draws it. Without script the page shows how things were when it was loaded.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, HtmlInputElement, HtmlTemplateElement, Response};

use super::page::{by_id, document, find, pause, window};

const EVERY_MS: i32 = 4_000;
/// A quarter of an hour: a page that is left open must not keep its session from expiring.
const MAX_ROUNDS: i32 = 225;

pub fn keep() {
    let id = document().query_selector("[data-live]").ok().flatten().map(|element| element.id());
    let Some(id) = id.filter(|id| !id.is_empty()) else { return };
    spawn_local(async move {
        let mut rounds = 0;
        while rounds < MAX_ROUNDS {
            pause(EVERY_MS).await;
            // A page that no one looks at asks nothing.
            if !document().hidden() {
                rounds += 1;
                if !refresh(&id).await {
                    return;
                }
            }
        }
    });
}

/// Draws the element again; says whether to go on. A failed request is tried again; an answer without the element means
/// that the page is another one now, which is loaded.
async fn refresh(id: &str) -> bool {
    let Ok(address) = window().location().href() else { return false };
    let Ok(response) = JsFuture::from(window().fetch_with_str(&address)).await else { return true };
    let response: Response = response.unchecked_into();
    if response.status() >= 500 {
        return true;
    }
    let Ok(text) = response.text() else { return true };
    let Ok(text) = JsFuture::from(text).await else { return true };
    let (Ok(template), Some(shown)) = (document().create_element("template"), by_id::<Element>(id)) else {
        return false;
    };
    template.set_inner_html(&text.as_string().unwrap_or_default());
    let content = template.unchecked_into::<HtmlTemplateElement>().content();
    let Some(fresh) = content.query_selector(&format!("#{id}")).ok().flatten() else {
        let _ = window().location().reload();
        return false;
    };
    // Only when something is new, and not under the hands of a person who types or is about to press a button in it.
    let has_focus = document().active_element().is_some_and(|active| shown.contains(Some(&active)));
    let typed = find::<HtmlInputElement>(&shown, "input[type=password]")
        .is_some_and(|input| !input.value().is_empty());
    if !has_focus && !typed && shown.inner_html() != fresh.inner_html() {
        shown.set_inner_html(&fresh.inner_html());
    }
    true
}
