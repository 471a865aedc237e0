//! Forms marked `data-enhance` are posted in the background: each error appears beside its field and nothing that was
//! typed is lost. Forms marked `data-at-once` are sent when a choice changes. Without script the same forms work by themselves.

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Element, Event, FormData, HtmlButtonElement, HtmlElement, HtmlFormElement, Response, SubmitEvent,
    UrlSearchParams,
};

use super::page::{document, find, from_template, nearest, on, post, text, window};

pub fn listen() {
    // Filters marked `data-at-once` act as soon as one is chosen; without script they have a button.
    on("change", |event: Event| {
        let form = nearest(&event, "form[data-at-once]");
        if let Some(form) = form.and_then(|form| form.dyn_into::<HtmlFormElement>().ok()) {
            let _ = form.submit();
        }
    });
    on("submit", |event: SubmitEvent| {
        let Some(form) = nearest(&event, "form[data-enhance]").and_then(|form| form.dyn_into().ok()) else {
            return;
        };
        event.prevent_default();
        spawn_local(send(form, event.submitter().and_then(|button| button.dyn_into().ok())));
    });
}

async fn send(form: HtmlFormElement, button: Option<HtmlButtonElement>) {
    if form.has_attribute("aria-busy") {
        return;
    }
    let _ = form.set_attribute("aria-busy", "true");
    let words = button.as_ref().map(|button| {
        let words = button.text_content();
        if let Some(busy) = button.get_attribute("data-busy") {
            button.set_text_content(Some(&busy));
        }
        button.set_disabled(true);
        words
    });
    clear(&form);
    let answer = match fields(&form, button.as_ref()) {
        Ok(fields) => post(&form.action(), &fields).await,
        Err(error) => Err(error),
    };
    let leaving = match answer {
        Ok(response) => read(&form, response).await,
        Err(_) => {
            trouble(&form, "The server could not be reached. Your input is still here. Try again.");
            false
        }
    };
    // On the way to the next page the button stays as it is, so that nothing is sent twice.
    if !leaving {
        let _ = form.remove_attribute("aria-busy");
        if let Some(button) = &button {
            if button.has_attribute("data-busy") {
                button.set_text_content(words.flatten().as_deref());
            }
            button.set_disabled(false);
        }
    }
}

fn fields(form: &HtmlFormElement, button: Option<&HtmlButtonElement>) -> Result<UrlSearchParams, JsValue> {
    let data = FormData::new_with_form(form)?;
    let fields = UrlSearchParams::new_with_str_sequence_sequence(&data)?;
    if let Some(button) = button.filter(|button| !button.name().is_empty()) {
        fields.append(&button.name(), &button.value());
    }
    Ok(fields)
}

/// Whether the browser is on its way to another page.
async fn read(form: &HtmlFormElement, response: Response) -> bool {
    if response.ok() {
        let next = response.headers().get("location").ok().flatten().unwrap_or_else(|| "/".into());
        return window().location().assign(&next).is_ok();
    }
    let body = match response.json() {
        Ok(promise) => JsFuture::from(promise).await.unwrap_or(JsValue::UNDEFINED),
        Err(_) => JsValue::UNDEFINED,
    };
    let code = text(&body, "code");
    if ["edit_conflict", "reauth_required"].contains(&code.as_str()) {
        // Sent again as a plain form, which is answered with the form as it now has to be.
        let _ = form.submit();
        return true;
    }
    if code == "unauthenticated" {
        // With the way to sign in elsewhere: what was typed here stays.
        return show(form, from_template(&code));
    }
    let sentence = text(&body, "sentence");
    let problems = js_sys::Reflect::get(&body, &"fields".into()).unwrap_or(JsValue::UNDEFINED);
    let (mut unplaced, mut placed) = (Vec::new(), Vec::new());
    let mut first: Option<HtmlElement> = None;
    // Only mistakes in fields have a list of them.
    let problems = if js_sys::Array::is_array(&problems) {
        js_sys::Array::from(&problems)
    } else {
        js_sys::Array::new()
    };
    for problem in problems.iter() {
        let (field, says) = (text(&problem, "field"), text(&problem, "problem"));
        match beside(form, &field, &says) {
            Some(input) => {
                first = first.or(Some(input));
                placed.push((field, says));
            }
            None => unplaced.push(says),
        }
    }
    let words = if unplaced.is_empty() { sentence } else { unplaced.join(" ") };
    let words = if words.is_empty() { "The server could not do this. Try again.".to_owned() } else { words };
    // In a short form the sentence beside the field says it all.
    if first.is_none() || !form.has_attribute("data-brief") {
        trouble(form, &words);
        link_to(form, &placed);
    }
    if let Some(input) = first {
        let _ = input.focus();
    }
    false
}

/// Puts the sentence under its field and gives back what to focus.
fn beside(form: &HtmlFormElement, field: &str, sentence: &str) -> Option<HtmlElement> {
    let place: Element = find(form, &format!("[data-field=\"{field}\"]"))?;
    let line = from_template("mistake")?;
    line.set_id(&format!("{field}-error"));
    find::<HtmlElement>(&line, "span")?.set_text_content(Some(sentence));
    place.append_child(&line).ok()?;
    let mut fold = place.closest("details").ok().flatten();
    while let Some(details) = fold {
        let _ = details.set_attribute("open", "");
        fold = details.parent_element().and_then(|around| around.closest("details").ok().flatten());
    }
    let input = find::<HtmlElement>(&place, ".input").or_else(|| find(&place, "input"))?;
    let _ = input.set_attribute("aria-invalid", "true");
    let described = input.get_attribute("aria-describedby").unwrap_or_default();
    let _ = input.set_attribute("aria-describedby", format!("{described} {field}-error").trim());
    Some(input)
}

/// A notice at the form's top.
fn trouble(form: &HtmlFormElement, sentence: &str) {
    let notice = from_template("trouble");
    if let Some(line) = notice.as_ref().and_then(|notice| find::<HtmlElement>(notice, "p")) {
        line.set_text_content(Some(sentence));
    }
    show(form, notice);
}

/// Lists the mistakes in the notice, each a link to the sentence beside its field.
fn link_to(form: &HtmlFormElement, mistakes: &[(String, String)]) {
    if mistakes.is_empty() {
        return;
    }
    let Some(notice) = find::<Element>(form, ".notice > div") else { return };
    let add = |to: &Element, name: &str| {
        let new = document().create_element(name).ok()?;
        to.append_child(&new).ok().map(|_| new)
    };
    let Some(list) = add(&notice, "ul") else { return };
    for (field, says) in mistakes {
        let Some(link) = add(&list, "li").and_then(|line| add(&line, "a")) else { return };
        let _ = link.set_attribute("href", &format!("#{field}-error"));
        link.set_text_content(Some(says));
    }
}

fn show(form: &HtmlFormElement, notice: Option<HtmlElement>) -> bool {
    if let Some(notice) = notice {
        let _ = form.insert_before(&notice, form.first_child().as_ref());
        let _ = notice.focus();
    }
    false
}

fn clear(form: &HtmlFormElement) {
    for selector in ["p.error", ".now", ".notice"] {
        while let Some(old) = find::<Element>(form, selector) {
            old.remove();
        }
    }
    while let Some(input) = find::<Element>(form, "[aria-invalid]") {
        let _ = input.remove_attribute("aria-invalid");
        let described = input.get_attribute("aria-describedby").unwrap_or_default();
        let left: Vec<&str> = described.split(' ').filter(|id| !id.ends_with("-error")).collect();
        let _ = match left.join(" ").as_str() {
            "" => input.remove_attribute("aria-describedby"),
            ids => input.set_attribute("aria-describedby", ids),
        };
    }
}
