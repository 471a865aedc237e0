//! Copy buttons: `data-copy` holds the id of the element whose text is copied.

use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Event, HtmlElement};

use super::page::{by_id, find, nearest, on, window};

pub fn listen() {
    on("click", |event: Event| {
        let Some(button) = nearest(&event, "[data-copy]") else { return };
        let from = button.get_attribute("data-copy").unwrap_or_default();
        let Some(source) = by_id::<HtmlElement>(&from) else { return };
        let text = source.text_content().unwrap_or_default();
        spawn_local(async move {
            let done = JsFuture::from(window().navigator().clipboard().write_text(&text)).await.is_ok();
            let Some(words) = find::<HtmlElement>(&button, "span") else { return };
            words.set_text_content(Some(if done { "Copied" } else { "Select and copy it by hand" }));
            if !done && let Ok(Some(selection)) = window().get_selection() {
                let _ = selection.select_all_children(&source);
            }
        });
    });
}
