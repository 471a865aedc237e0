//! The tick box in a table's head ticks every row, and shows whether all, some or none are ticked.

use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

use super::page::{find, nearest, on};

pub fn listen() {
    on("change", |event: Event| {
        let Some(table) = nearest(&event, "table") else { return };
        let Some(all) = find::<HtmlInputElement>(&table, "[data-all]") else { return };
        let Ok(boxes) = table.query_selector_all("tbody [type=checkbox]") else { return };
        let rows = (0..boxes.length())
            .filter_map(|at| boxes.item(at).and_then(|node| node.dyn_into::<HtmlInputElement>().ok()));
        if nearest(&event, "[data-all]").is_some() {
            rows.for_each(|row| row.set_checked(all.checked()));
            return;
        }
        let (on, off): (Vec<_>, Vec<_>) = rows.partition(HtmlInputElement::checked);
        all.set_checked(off.is_empty());
        all.set_indeterminate(!on.is_empty() && !off.is_empty());
    });
}
