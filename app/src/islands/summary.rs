//! Keeps a form's summary sentence true: each `data-says` names the field whose value stands there.

use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlInputElement};

use super::page::{document, find, nearest, on};

pub fn listen() {
    for name in ["input", "change"] {
        on(name, |event: Event| {
            if let Some(form) = nearest(&event, "form") {
                update(&form);
            }
        });
    }
    // A browser may have brought back what was typed before.
    if let Ok(Some(summary)) = document().query_selector("form .summary")
        && let Ok(Some(form)) = summary.closest("form")
    {
        update(&form);
    }
}

fn update(form: &Element) {
    let Ok(said) = form.query_selector_all("[data-says]") else { return };
    for at in 0..said.length() {
        let Some(word) = said.get(at).and_then(|word| word.dyn_into::<Element>().ok()) else { continue };
        let field = word.get_attribute("data-says").unwrap_or_default();
        if let Some(words) = words_of(form, &field, &word) {
            word.set_text_content(Some(&words));
        }
    }
}

fn words_of(form: &Element, field: &str, word: &Element) -> Option<String> {
    let place: Element = find(form, &format!("[data-field=\"{field}\"]"))?;
    if place.class_list().contains("limit") {
        let none: HtmlInputElement = find(&place, "input[value=none]")?;
        if none.checked() {
            return word.get_attribute("data-none");
        }
        let value = find::<HtmlInputElement>(&place, ".affix input")?.value();
        let unit = word.get_attribute("data-unit").unwrap_or_default();
        return Some(if value.is_empty() { "…".to_owned() } else { format!("{unit}{value}") });
    }
    if let Some(every) = find::<HtmlInputElement>(&place, "input[value=every]") {
        if every.checked() {
            return Some("every model".into());
        }
        let count = place.query_selector_all(".checks input:checked").ok()?.length();
        let patterns = find::<web_sys::HtmlTextAreaElement>(&place, "textarea").map(|area| area.value());
        let more =
            if patterns.is_some_and(|text| !text.trim().is_empty()) { " and some patterns" } else { "" };
        return Some(format!("{count} {}{more}", if count == 1 { "model" } else { "models" }));
    }
    if let Some(option) = find::<Element>(&place, "option:checked") {
        return option.text_content();
    }
    let chosen: Element = find(&place, "input[type=radio]:checked")?;
    Some(chosen.closest("label").ok().flatten()?.text_content()?.trim().to_lowercase())
}
