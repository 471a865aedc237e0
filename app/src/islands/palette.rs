//! The palette on Ctrl-K or a click on the rail's search: keys, people and teams as one types, and pages.

use std::cell::Cell;

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Element, Event, HtmlDialogElement, HtmlElement, HtmlInputElement, KeyboardEvent, UrlSearchParams,
};

use super::page::{by_id, document, elements, find, from_template, narrow, nearest, on, pause, post, text};

/// A pause in typing after which the server is asked for hits.
const TYPING_MS: i32 = 120;

thread_local! {
    /// Counts what was typed, so that a slow answer does not replace a newer one.
    static TYPED: Cell<u32> = const { Cell::new(0) };
}

fn dialog() -> Option<HtmlDialogElement> {
    by_id("palette")
}

pub fn listen() {
    on("keydown", |event: KeyboardEvent| {
        let Some(dialog) = dialog() else { return };
        let opens = event.key().eq_ignore_ascii_case("k") && (event.ctrl_key() || event.meta_key());
        if opens {
            event.prevent_default();
            if dialog.open() {
                dialog.close();
            } else {
                open(&dialog);
            }
        } else if dialog.open() {
            keyboard(&event, &dialog);
        }
    });
    on("input", |event: Event| {
        if nearest(&event, "#palette").is_some() {
            look_up();
        }
    });
    // A click on the rail's search opens, one on the backdrop closes.
    on("click", |event: Event| {
        if let (Some(dialog), Some(_)) = (dialog(), nearest(&event, "[data-palette]")) {
            open(&dialog);
        } else if let (Some(dialog), Some(target)) = (dialog(), event.target())
            && target.dyn_ref::<HtmlDialogElement>() == Some(&dialog)
        {
            dialog.close();
        }
    });
}

fn open(dialog: &HtmlDialogElement) {
    if let Some(input) = find::<HtmlInputElement>(dialog, "input") {
        input.set_value("");
    }
    let _ = dialog.show_modal();
    look_up();
}

fn hits(dialog: &Element) -> Vec<HtmlElement> {
    elements(dialog, "[role=option]").into_iter().filter(|hit: &HtmlElement| !hit.hidden()).collect()
}

fn keyboard(event: &KeyboardEvent, dialog: &HtmlDialogElement) {
    let hits = hits(dialog);
    let at = hits.iter().position(|hit| hit.get_attribute("aria-selected").as_deref() == Some("true"));
    let count = hits.len();
    let next = match (event.key().as_str(), at) {
        ("ArrowDown", Some(at)) => (at + 1) % count,
        ("ArrowUp", Some(at)) => (at + count - 1) % count,
        ("Enter", Some(at)) => {
            event.prevent_default();
            hits[at].click();
            return;
        }
        _ => return,
    };
    event.prevent_default();
    select(dialog, &hits, next);
}

fn select(dialog: &Element, hits: &[HtmlElement], chosen: usize) {
    for (at, hit) in hits.iter().enumerate() {
        let _ = hit.set_attribute("aria-selected", if at == chosen { "true" } else { "false" });
        hit.set_id(&format!("hit-{at}"));
    }
    if let (Some(input), Some(hit)) = (find::<Element>(dialog, "input"), hits.get(chosen)) {
        let _ = input.set_attribute("aria-activedescendant", &hit.id());
        hit.scroll_into_view_with_bool(false);
    }
}

/// Shows what the server finds beside the pages that match: `data-find` names the action, `data-find-with` its other fields.
fn look_up() {
    let Some(dialog) = dialog() else { return };
    let typed = find::<HtmlInputElement>(&dialog, "input").map(|input| input.value()).unwrap_or_default();
    let turn = TYPED.get().wrapping_add(1);
    TYPED.set(turn);
    filter_pages(&dialog, &typed);
    let Some(list) = find::<Element>(&dialog, "[data-find]") else { return };
    let action = list.get_attribute("data-find").unwrap_or_default();
    let others = list.get_attribute("data-find-with").unwrap_or_default();
    spawn_local(async move {
        pause(TYPING_MS).await;
        if TYPED.get() != turn {
            return;
        }
        let Ok(fields) = UrlSearchParams::new_with_str(&others) else { return };
        fields.append("form[q]", &typed);
        let Ok(response) = post(&action, &fields).await else { return };
        if !response.ok() || TYPED.get() != turn {
            return;
        }
        let Ok(promise) = response.json() else { return };
        let Ok(found) = JsFuture::from(promise).await else { return };
        if TYPED.get() == turn && js_sys::Array::is_array(&found) {
            show(&dialog, &js_sys::Array::from(&found));
        }
    });
}

fn filter_pages(dialog: &Element, typed: &str) {
    narrow(dialog, "[data-pages]", "[role=option]", typed);
    settle(dialog);
}

/// Puts each hit into the group that its kind names.
fn show(dialog: &Element, found: &js_sys::Array) {
    for group in elements::<HtmlElement>(dialog, "[data-kind]") {
        group.set_hidden(true);
        for old in elements::<Element>(&group, "[role=option]") {
            old.remove();
        }
    }
    for item in found.iter() {
        let group = find::<HtmlElement>(dialog, &format!("[data-kind={}]", text(&item, "kind")));
        let (Some(group), Some(hit)) = (group, from_template("hit")) else { return };
        let _ = hit.set_attribute("href", &text(&item, "href"));
        if let Some(words) = find::<HtmlElement>(&hit, ".words") {
            words.set_text_content(Some(&text(&item, "name")));
        }
        for (class, field) in [("hint", "hint"), ("muted", "state")] {
            if let Ok(part) = document().create_element("span") {
                part.set_class_name(class);
                part.set_text_content(Some(&text(&item, field)));
                let _ = hit.append_child(&part);
            }
        }
        let _ = group.append_child(&hit);
        group.set_hidden(false);
    }
    settle(dialog);
}

/// Selects the first hit, or says that there is none.
fn settle(dialog: &Element) {
    let hits = hits(dialog);
    if let Some(none) = find::<HtmlElement>(dialog, ".none") {
        none.set_hidden(!hits.is_empty());
    }
    select(dialog, &hits, 0);
}
