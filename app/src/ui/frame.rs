//! What stands around a page: the rail with the organisation, its places and the person's menu; or, for those who are
//! not signed in, a single card.

use keydesk_core::domain::org::Org;
use keydesk_core::ops::access::Caller;
use leptos::prelude::*;

use super::icon::{Icon, icon, mark};
use crate::path::LocalPath;

/// A page's width.
#[derive(Clone, Copy)]
pub enum Width {
    /// Tables and columns.
    Wide,
    /// Text and code.
    Mid,
    /// Forms.
    Narrow,
}

pub fn framed(org: &Org, caller: &Caller, path: &str, width: Width, body: AnyView) -> AnyView {
    let home = LocalPath::keys(&org.slug).as_str().to_owned();
    let class = match width {
        Width::Wide => "page",
        Width::Mid => "page mid",
        Width::Narrow => "page narrow",
    };
    let initials: String = caller
        .person
        .name
        .split_whitespace()
        .filter_map(|word| word.chars().next())
        .take(2)
        .collect::<String>()
        .to_uppercase();
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="frame" data-org=org.slug.clone()>
            <header class="topbar">
                <button class="btn quiet square" type="button" popovertarget="rail" aria-label="Open menu">
                    {icon(Icon::Menu)}
                </button>
                <a class="brand" href=home.clone()>
                    <span>{org.name.clone()}</span>
                </a>
            </header>
            <aside class="rail" id="rail" popover aria-label="Main">
                <a class="brand" href=home.clone()>
                    {mark()} <span>{org.name.clone()}</span>
                </a>
                <nav aria-label="Main">
                    <ul>
                        <li>
                            <a class="item" href=home.clone() aria-current="page">
                                {icon(Icon::Key)}
                                "Keys"
                            </a>
                        </li>
                    </ul>
                </nav>
                <button class="item" type="button" popovertarget="person">
                    <span class="avatar" aria-hidden="true">{initials}</span>
                    <span class="who">
                        <b>{caller.person.name.clone()}</b>
                        <small>{caller.person.email.clone()}</small>
                    </span>
                    {icon(Icon::UpDown)}
                </button>
                {person_menu(caller, path)}
            </aside>
            <main class=class id="main" tabindex="-1">
                {body}
            </main>
        </div>
        {palette(&org.slug)}
    }
    .into_any()
}

fn person_menu(caller: &Caller, path: &str) -> impl IntoView + use<> {
    let theme = |value: &'static str, label: &'static str| {
        let pressed = if caller.person.theme == value { "true" } else { "false" };
        view! { <button name="form[theme]" value=value aria-pressed=pressed>{label}</button> }
    };
    view! {
        <div class="menu person" id="person" popover aria-label=caller.person.name.clone()>
            <form class="part" method="post" action="/api/session/theme">
                <input type="hidden" name="form[page]" value=path.to_owned() />
                <p class="label" id="theme-label">"Theme"</p>
                <div class="segmented" role="group" aria-labelledby="theme-label">
                    {theme("system", "System")} {theme("light", "Light")} {theme("dark", "Dark")}
                </div>
            </form>
            <hr />
            <form method="post" action="/api/session/sign-out">
                <button class="item" name="form[confirm]" value="yes">
                    {icon(Icon::Out)}
                    "Sign out"
                </button>
            </form>
        </div>
    }
}

/// Filled and opened by the browser's script.
fn palette(org: &str) -> impl IntoView + use<> {
    let keys = LocalPath::keys(org).as_str().to_owned();
    let page = |href: String, sign: Icon, words: &'static str| {
        view! {
            <a class="hit" role="option" href=href aria-selected="false">
                {icon(sign)} <span class="words">{words}</span>
            </a>
        }
    };
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
                <div role="group" aria-labelledby="hits-keys" id="hits-of-keys" hidden>
                    <p class="head" id="hits-keys">"Keys"</p>
                </div>
                <div role="group" aria-labelledby="hits-pages" id="hits-of-pages">
                    <p class="head" id="hits-pages">"Pages"</p>
                    {page(keys.clone(), Icon::Key, "Keys")}
                    {page(format!("{keys}/new"), Icon::Plus, "Create key")}
                    {page(format!("{keys}?state=expiring"), Icon::Key, "Keys that expire soon")}
                    {page(format!("{keys}?state=revoked"), Icon::Key, "Revoked keys")}
                </div>
                <p class="none" hidden>"Nothing here has that name."</p>
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

/// A page that is one card.
pub fn solo(body: AnyView, foot: Option<&'static str>) -> AnyView {
    view! {
        <main class="solo" id="main">
            <p class="brand">
                {mark()} <span>"Keydesk"</span>
            </p>
            <section class="card">{body}</section>
            {foot.map(|foot| view! { <p class="foot muted">{foot}</p> })}
        </main>
    }
    .into_any()
}

/// Title, a sentence or count under it, and what can be done at the right.
pub fn page_head(crumbs: Vec<(String, String)>, title: AnyView, under: AnyView, actions: AnyView) -> AnyView {
    let crumbs = (!crumbs.is_empty()).then(|| {
        let items = crumbs
            .into_iter()
            .map(|(href, label)| view! { <li><a href=href>{label}</a></li> })
            .collect_view();
        view! {
            <nav class="crumbs" aria-label="Breadcrumb">
                <ol>{items}</ol>
            </nav>
        }
    });
    view! {
        <div class="page-head">
            <div>
                {crumbs} <h1>{title}</h1> {under}
            </div>
            {actions}
        </div>
    }
    .into_any()
}
