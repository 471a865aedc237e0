//! Copy buttons: `data-copy` is the id of the element whose text is copied.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Clipboard, Event, HtmlElement};

use super::page::{by_id, document, find, nearest, on, pause, window};

const COPIED: &str = "Copied";
const BY_HAND: &str = "Selected: press Ctrl+C or ⌘C to copy";
/// How long the button says so.
const COPIED_MS: i32 = 2_000;

pub fn listen() {
    on("click", |event: Event| {
        let Some(button) = nearest(&event, "[data-copy]") else { return };
        let from = button.get_attribute("data-copy").unwrap_or_default();
        let Some(source) = by_id::<HtmlElement>(&from) else { return };
        let text = source.text_content().unwrap_or_default();
        let clipboard = clipboard();
        // Before anything is waited for: browsers allow it only while they handle the click.
        let copied = clipboard.is_none() && copy_selected(&source);
        spawn_local(async move {
            let done = match clipboard {
                Some(clipboard) => JsFuture::from(clipboard.write_text(&text)).await.is_ok(),
                None => copied,
            };
            let Some(words) = find::<HtmlElement>(&button, "span") else { return };
            let before = words.text_content().unwrap_or_default();
            words.set_text_content(Some(if done { COPIED } else { BY_HAND }));
            if done && before != COPIED {
                pause(COPIED_MS).await;
                words.set_text_content(Some(&before));
            }
            if !done {
                select(&source);
            }
        });
    });
}

/// Over plain http browsers have none, except on the machine itself.
fn clipboard() -> Option<Clipboard> {
    let navigator = window().navigator();
    let found = js_sys::Reflect::get(&navigator, &"clipboard".into()).ok()?;
    found.dyn_into().ok()
}

/// `false` where there is no selection, which ends with the page.
fn select(source: &HtmlElement) -> bool {
    let Ok(Some(selection)) = window().get_selection() else { return false };
    selection.select_all_children(source).is_ok()
}

/// The way of before there was a clipboard. `false` where the browser does not do it.
fn copy_selected(source: &HtmlElement) -> bool {
    if !select(source) {
        return false;
    }
    let document = document();
    let copied = js_sys::Reflect::get(&document, &"execCommand".into()).ok().and_then(|command| {
        command.dyn_ref::<js_sys::Function>()?.call1(&document, &"copy".into()).ok()?.as_bool()
    });
    if copied == Some(true)
        && let Ok(Some(selection)) = window().get_selection()
    {
        let _ = selection.remove_all_ranges();
    }
    copied == Some(true)
}
