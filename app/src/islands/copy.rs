//! Copy buttons: `data-copy` is the id of the element whose text is copied.

use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Event, HtmlElement};

use super::page::{by_id, find, nearest, on, pause, window};

const COPIED: &str = "Copied";
/// How long the button says so.
const COPIED_MS: i32 = 2_000;

pub fn listen() {
    on("click", |event: Event| {
        let Some(button) = nearest(&event, "[data-copy]") else { return };
        let from = button.get_attribute("data-copy").unwrap_or_default();
        let Some(source) = by_id::<HtmlElement>(&from) else { return };
        let text = source.text_content().unwrap_or_default();
        spawn_local(async move {
            let navigator = window().navigator();
            // Over plain http browsers have no clipboard.
            let has_clipboard = js_sys::Reflect::has(&navigator, &"clipboard".into()).unwrap_or(false);
            let done = has_clipboard && JsFuture::from(navigator.clipboard().write_text(&text)).await.is_ok();
            let Some(words) = find::<HtmlElement>(&button, "span") else { return };
            let before = words.text_content().unwrap_or_default();
            words.set_text_content(Some(if done { COPIED } else { "Press Ctrl+C to copy" }));
            if done && before != COPIED {
                pause(COPIED_MS).await;
                words.set_text_content(Some(&before));
            }
            if !done && let Ok(Some(selection)) = window().get_selection() {
                let _ = selection.select_all_children(&source);
            }
        });
    });
}
