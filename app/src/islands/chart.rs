//! Charts: a line below says what the bar under the pointer, or with the focus, is made of. The Tab key stops once at a
//! chart, and the arrow keys go from bar to bar. Without script each bar is a stop and has its words as a title.

use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, KeyboardEvent};

use super::page::{document, elements, find, nearest, on};

const CHART: &str = ".chart";
const BAR: &str = ".bar";

pub fn listen() {
    for name in ["pointerover", "focusin"] {
        on(name, |event: Event| {
            if let Some(bar) = nearest(&event, BAR) {
                say(&bar);
            }
        });
    }
    on("keydown", |event: KeyboardEvent| {
        // With another key held down they belong to the browser.
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let Some(bar) = nearest(&event, BAR) else { return };
        let Ok(Some(chart)) = bar.closest(CHART) else { return };
        let bars = elements::<Element>(&chart, BAR);
        let at = bars.iter().position(|other| *other == bar).unwrap_or_default();
        let to = match event.key().as_str() {
            "ArrowLeft" => at.saturating_sub(1),
            "ArrowRight" => at + 1,
            "Home" => 0,
            "End" => bars.len() - 1,
            _ => return,
        };
        let Some(next) = bars.get(to) else { return };
        event.prevent_default();
        only_stop(&bars, next);
        // A group of a drawing takes the focus as an element of HTML does.
        let _ = next.unchecked_ref::<HtmlElement>().focus();
    });
    let Some(root) = document().document_element() else { return };
    for chart in elements::<Element>(&root, CHART) {
        let bars = elements::<Element>(&chart, BAR);
        if let Some(newest) = bars.last() {
            only_stop(&bars, newest);
        }
    }
}

fn say(bar: &Element) {
    let Ok(Some(chart)) = bar.closest(CHART) else { return };
    if let Some(line) = find::<Element>(&chart, ".said") {
        line.set_text_content(bar.get_attribute("aria-label").as_deref());
    }
}

/// The Tab key stops at this bar alone.
fn only_stop(bars: &[Element], stop: &Element) {
    for bar in bars {
        let _ = bar.set_attribute("tabindex", if bar == stop { "0" } else { "-1" });
    }
}
