//! The palette on Ctrl-K, for keys and pages. The browser's script fills and opens it.

use keydesk_core::domain::policy::{Action, On};
use keydesk_core::ops::access::OrgContext;
use leptos::prelude::*;

use super::navigation::org_items;
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};

pub fn palette(context: &OrgContext) -> impl IntoView + use<> {
    let keys: String = LocalPath::keys(&context.org.slug).into();
    let page = |href: String, sign: Icon, words: &'static str| {
        view! {
            <a class="hit" role="option" href=href aria-selected="false">
                {icon(sign)} <span class="words">{words}</span>
            </a>
        }
    };
    let create = context
        .may(Action::CreateKey, On::Org)
        .then(|| page(format!("{keys}/new"), Icon::Plus, "Create key"));
    let others = org_items(context).into_iter().filter(|item| item.href != keys);
    let others = others.map(|item| page(item.href, item.icon, item.label)).collect_view();
    view! {
        <dialog class="palette" id="palette" aria-label="Find a key or a page">
            <div class="find">
                {icon(Icon::Search)}
                <input
                    type="text"
                    role="combobox"
                    aria-expanded="true"
                    aria-controls="hits"
                    aria-label="Find a key or a page"
                    placeholder="Find a key or a page"
                    autocomplete="off"
                    spellcheck="false"
                /> <kbd>"Esc"</kbd>
            </div>
            <div class="hits" id="hits" role="listbox" aria-label="Hits">
                <div
                    role="group"
                    aria-labelledby="hits-keys"
                    id="hits-of-keys"
                    data-find="/api/keys/find"
                    data-find-with=format!("form[org]={}", context.org.slug)
                    hidden
                >
                    <p class="head" id="hits-keys">"Keys"</p>
                </div>
                <div role="group" aria-labelledby="hits-pages" id="hits-of-pages">
                    <p class="head" id="hits-pages">"Pages"</p>
                    {page(keys.clone(), Icon::Key, "Keys")}
                    {create}
                    {page(format!("{keys}?state=expiring"), Icon::Key, "Keys that expire soon")}
                    {page(format!("{keys}?state=revoked"), Icon::Key, "Revoked keys")}
                    {page(LocalPath::doctor(&context.org.slug).into(), Icon::Search, "Key doctor")}
                    {others}
                </div>
                <p class="none" hidden>"No key or page matches."</p>
            </div>
            <p class="keys">
                <span>
                    <kbd>"↑"</kbd>
                    <kbd>"↓"</kbd>
                    "move"
                </span>
                <span>
                    <kbd>"↵"</kbd>
                    "open"
                </span>
            </p>
        </dialog>
        <template id="hit">
            {page(String::new(), Icon::Key, "")}
        </template>
    }
}
