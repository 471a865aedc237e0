//! A tick box with `data-all` ticks every other one of its table or `data-group` that is shown, and shows whether all, some
//! or none of them are ticked. A search with `data-narrow` hides what does not have its words.

use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlInputElement};

use super::page::{document, elements, narrow, nearest, on};

const GROUP: &str = "table, [data-group]";

pub fn listen() {
    on("change", |event: Event| {
        let Some(group) = nearest(&event, GROUP) else { return };
        if let Some(all) =
            nearest(&event, "[data-all]").and_then(|all| all.dyn_into::<HtmlInputElement>().ok())
        {
            for row in boxes(&group) {
                row.set_checked(all.checked());
            }
        }
        show(&group);
    });
    on("input", |event: Event| {
        let Some(search) =
            nearest(&event, "[data-narrow]").and_then(|search| search.dyn_into::<HtmlInputElement>().ok())
        else {
            return;
        };
        let Ok(Some(picker)) = search.closest(".picker") else { return };
        narrow(&picker, "[data-group]", "[data-item]", &search.value());
        if !search.value().is_empty() {
            for fold in elements::<Element>(&picker, "details") {
                let _ = fold.set_attribute("open", "");
            }
        }
        show_all(&picker);
    });
    if let Some(root) = document().document_element() {
        show_all(&root);
    }
}

fn show_all(within: &Element) {
    elements(within, "[data-group]").iter().for_each(show);
}

fn boxes(group: &Element) -> Vec<HtmlInputElement> {
    elements(group, "tbody [type=checkbox], [data-item]:not([hidden]) [type=checkbox]")
}

/// Sets the box for all by the others.
fn show(group: &Element) {
    let (on, off): (Vec<_>, Vec<_>) = boxes(group).into_iter().partition(HtmlInputElement::checked);
    for all in elements::<HtmlInputElement>(group, "[data-all]") {
        all.set_checked(off.is_empty());
        all.set_indeterminate(!on.is_empty() && !off.is_empty());
    }
}
