//! Keeps a form's summary sentence up to date: each element with `data-says` shows the value of the field that it names.
//! All words come from the page, as attributes of that element or of the chosen input.

use web_sys::{Element, Event, HtmlInputElement, HtmlTextAreaElement};

use super::page::{by_id, document, elements, find, nearest, on};

pub fn listen() {
    for name in ["input", "change"] {
        on(name, |event: Event| {
            if let Some(form) = nearest(&event, "form") {
                update(&form);
            }
        });
    }
    // A browser may have restored what was typed before.
    if let Ok(Some(summary)) = document().query_selector("form .summary")
        && let Ok(Some(form)) = summary.closest("form")
    {
        update(&form);
    }
}

fn update(form: &Element) {
    for word in elements::<Element>(form, "[data-says]") {
        let named = find(form, &format!("[data-field=\"{}\"]", attribute(&word, "data-says")));
        if let Some(text) = named.and_then(|field| words_of(&field, &word)) {
            word.set_text_content(Some(&text));
        }
    }
}

fn attribute(element: &Element, name: &str) -> String {
    element.get_attribute(name).unwrap_or_default()
}

fn words_of(field: &Element, word: &Element) -> Option<String> {
    if field.class_list().contains("limit") {
        return limit(field, word);
    }
    if let Some(every) = find::<HtmlInputElement>(field, "input[value=every]") {
        return if every.checked() { word.get_attribute("data-every") } else { selected(field, word) };
    }
    if let Some(option) = find::<Element>(field, "option:checked") {
        return option.text_content();
    }
    let chosen: Element = find(field, "input[type=radio]:checked")?;
    let words = chosen.get_attribute("data-words")?;
    let Some(other) = chosen.get_attribute("data-words-from") else { return Some(words) };
    Some(format!("{words} {}", or_dots(day(&by_id::<HtmlInputElement>(&other)?.value()))))
}

/// A limit's value with its unit, or the words for none.
fn limit(field: &Element, word: &Element) -> Option<String> {
    if find::<HtmlInputElement>(field, "input[value=none]")?.checked() {
        return word.get_attribute("data-none");
    }
    let value = find::<HtmlInputElement>(field, ".affix input")?.value();
    Some(if value.is_empty() { or_dots(value) } else { attribute(word, "data-unit") + &value })
}

/// How many boxes are ticked, and whether more is typed below them.
fn selected(field: &Element, word: &Element) -> Option<String> {
    let count = field.query_selector_all(".checks input:checked").ok()?.length();
    let noun = attribute(word, if count == 1 { "data-one" } else { "data-many" });
    let typed =
        find::<HtmlTextAreaElement>(field, "textarea").is_some_and(|area| !area.value().trim().is_empty());
    let more = if typed { format!(" {}", attribute(word, "data-more")) } else { String::new() };
    Some(format!("{count} {noun}{more}"))
}

/// `24 Feb 2027` of `2027-02-24`; empty when it is not a day yet.
fn day(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    // "Wed, 24 Feb 2027 00:00:00 GMT"
    js_sys::Date::new(&value.into()).to_utc_string().slice(5, 16).into()
}

fn or_dots(value: String) -> String {
    if value.is_empty() { "…".to_owned() } else { value }
}
