//! Helpers of the island's other parts: the document, events, requests to the server.

use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Document, Element, Event, HtmlElement, HtmlInputElement, RequestInit, Response, UrlSearchParams, Window,
};

/// There is one in every browser; without it nothing here runs.
pub fn window() -> Window {
    web_sys::window().expect("a browser has a window")
}

pub fn document() -> Document {
    window().document().expect("a page has a document")
}

/// Calls back on every such event of the document, for as long as the page lives.
pub fn on<E: JsCast + 'static>(name: &str, call: impl FnMut(E) + 'static) {
    let mut call = call;
    let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
        if let Ok(event) = event.dyn_into::<E>() {
            call(event);
        }
    });
    let _ = document().add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// The element that an event began at, or the nearest around it that matches.
pub fn nearest(event: &Event, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok().flatten()
}

pub fn find<T: JsCast>(within: &Element, selector: &str) -> Option<T> {
    within.query_selector(selector).ok().flatten()?.dyn_into().ok()
}

/// All that match, in the order of the page.
pub fn elements<T: JsCast>(within: &Element, selector: &str) -> Vec<T> {
    let Ok(list) = within.query_selector_all(selector) else { return vec![] };
    (0..list.length()).filter_map(|at| list.get(at)?.dyn_into().ok()).collect()
}

/// Hides the items whose words do not have all of those that were typed, and groups that are left without one.
pub fn narrow(within: &Element, groups: &str, items: &str, typed: &str) {
    let wanted = typed.to_lowercase();
    for group in elements::<HtmlElement>(within, groups) {
        let mut any = false;
        for item in elements::<HtmlElement>(&group, items) {
            let words = item.text_content().unwrap_or_default().to_lowercase();
            let matches = wanted.split_whitespace().all(|word| words.contains(word));
            item.set_hidden(!matches);
            any |= matches;
        }
        group.set_hidden(!any);
    }
}

pub fn by_id<T: JsCast>(id: &str) -> Option<T> {
    document().get_element_by_id(id)?.dyn_into().ok()
}

/// A copy of the first element of a template of the page.
pub fn from_template(id: &str) -> Option<HtmlElement> {
    let template = document().get_element_by_id(id)?;
    let content =
        js_sys::Reflect::get(&template, &"content".into()).ok()?.dyn_into::<web_sys::Node>().ok()?;
    content.clone_node_with_deep(true).ok()?.first_child().and_then(|node| {
        // The first child may be the white space before the element.
        let mut node = Some(node);
        while let Some(current) = node {
            if let Some(element) = current.dyn_ref::<HtmlElement>() {
                return Some(element.clone());
            }
            node = current.next_sibling();
        }
        None
    })
}

pub fn text(value: &JsValue, name: &str) -> String {
    js_sys::Reflect::get(value, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// Posts a form's fields and wants JSON back.
pub async fn post(address: &str, fields: &UrlSearchParams) -> Result<Response, JsValue> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(fields);
    let headers = web_sys::Headers::new()?;
    headers.set("Accept", "application/json")?;
    init.set_headers(&headers);
    JsFuture::from(window().fetch_with_str_and_init(address, &init)).await?.dyn_into()
}

/// Waits.
pub async fn pause(ms: i32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms);
    });
    let _ = JsFuture::from(promise).await;
}

/// Done once for a page: fills in the browser's time zone, and reloads a page that showed a secret instead of showing the
/// browser's copy of it.
pub fn prepare() {
    // For styles and for tests: from now on the page's script answers.
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-listens", "");
    }
    if let Some(zone) =
        find::<HtmlInputElement>(&document().document_element().expect("a root"), "[data-zone]")
    {
        let options = js_sys::Intl::DateTimeFormat::new(&js_sys::Array::new(), &js_sys::Object::new())
            .resolved_options();
        zone.set_value(&text(&options, "timeZone"));
    }
    let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
        let kept = js_sys::Reflect::get(&event, &"persisted".into()).is_ok_and(|kept| kept.is_truthy());
        if kept && document().query_selector("[data-once]").ok().flatten().is_some() {
            let _ = window().location().reload();
        }
    });
    let _ = window().add_event_listener_with_callback("pageshow", closure.as_ref().unchecked_ref());
    closure.forget();
}
