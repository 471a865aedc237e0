//! The search box over a list: an icon, the text, and the key that leads to it.

use leptos::prelude::*;

use super::icon::{Icon, icon};

pub struct SearchBox {
    /// The name that is sent.
    pub name: &'static str,
    pub placeholder: &'static str,
    pub label: &'static str,
    pub max: Option<usize>,
}

impl SearchBox {
    pub fn draw(self, value: String) -> impl IntoView {
        view! {
            <div class="affix">
                {icon(Icon::Search)}
                <input
                    class="input"
                    type="search"
                    name=self.name
                    value=value
                    placeholder=self.placeholder
                    aria-label=self.label
                    aria-keyshortcuts="/"
                    data-shortcut="/"
                    maxlength=self.max.map(|max| max.to_string())
                    autocomplete="off"
                    spellcheck="false"
                />
                <kbd aria-hidden="true">"/"</kbd>
            </div>
        }
    }
}
