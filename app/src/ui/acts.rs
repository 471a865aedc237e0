//! What can be done with a thing beside its first action: a button with three dots, which opens the list of it. It works
//! without script.

use leptos::prelude::*;

use super::icon::{Icon, icon};

/// An act that leads to a page: where, its icon and words.
pub fn link(href: impl Into<String>, sign: Icon, words: &'static str) -> AnyView {
    view! {
        <a class="item" href=href.into()>
            {icon(sign)}
            {words}
        </a>
    }
    .into_any()
}

/// The button and its list; nothing where there is nothing to do. `id` is unique on the page, `label` says of what the
/// acts are, such as "More actions for ci-prod".
pub fn acts(id: String, label: String, items: Vec<AnyView>) -> Option<AnyView> {
    if items.is_empty() {
        return None;
    }
    let items = items.into_iter().map(|item| view! { <li>{item}</li> }).collect_view();
    Some(
        view! {
            <button
                class="btn quiet square"
                type="button"
                popovertarget=id.clone()
                aria-label=label.clone()
                title="More actions"
            >
                {icon(Icon::Dots)}
            </button>
            <div class="menu acts" id=id popover aria-label=label>
                <ul>{items}</ul>
            </div>
        }
        .into_any(),
    )
}
