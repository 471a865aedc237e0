//! Keys of the keyboard: an element with `data-shortcut` is focused when it takes text, else followed.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, HtmlInputElement, KeyboardEvent};

use super::page::{document, find, nearest, on};

pub fn listen() {
    on("keydown", |event: KeyboardEvent| {
        let typing = nearest(&event, "input, textarea, select, [contenteditable], dialog").is_some();
        if typing || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let pressed = event.key();
        if pressed.len() != 1 || pressed == "\"" || pressed == "\\" {
            return;
        }
        let Some(root) = document().document_element() else { return };
        let Some(target) = find::<Element>(&root, &format!("[data-shortcut=\"{pressed}\"]")) else { return };
        event.prevent_default();
        match target.dyn_ref::<HtmlInputElement>() {
            Some(input) => {
                let _ = input.focus();
                input.select();
            }
            None => {
                if let Some(link) = target.dyn_ref::<HtmlElement>() {
                    link.click();
                }
            }
        }
    });
}
