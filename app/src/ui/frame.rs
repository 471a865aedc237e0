//! What stands around a page: the rail with the organisation, its places and the person's menu; or, for those who are
//! not signed in, a single card.

use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::ops::access::{Caller, OrgContext};
use leptos::prelude::*;

use super::icon::{Icon, icon, mark};
use super::notice::notice;
use crate::ask::note_org;
use crate::path::LocalPath;
use crate::sealed::Tone;

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

/// A page of an organisation.
pub fn framed(context: &OrgContext, caller: &Caller, path: &str, width: Width, body: AnyView) -> AnyView {
    let org = &context.org;
    note_org(&org.slug);
    let suspended = org.suspended.then(|| {
        notice(
            Tone::Warn,
            format!("{} is suspended: its keys are refused, and nothing can be changed but to take keys out of use.", org.name),
        )
    });
    let body = view! { {suspended} {body} };
    let data = Some(org.slug.clone());
    let palette = palette(context);
    let rail = Rail {
        name: org.name.clone(),
        home: LocalPath::keys(&org.slug).as_str().to_owned(),
        places: places(context),
        orgs: &context.orgs,
        current: Some(&org.slug),
    };
    view! { {frame(rail, caller, path, width, data, body.into_any())} {palette} }.into_any()
}

/// A page of no organisation: the account, the installation.
pub fn framed_apart(
    orgs: &[(String, String)],
    caller: &Caller,
    path: &str,
    width: Width,
    body: AnyView,
) -> AnyView {
    let mut places = vec![Place { href: "/account".into(), sign: Icon::Person, words: "Account" }];
    if caller.person.platform == PlatformRole::Operator {
        places.push(Place { href: "/operator".into(), sign: Icon::Team, words: "Organisations" });
        places.push(Place { href: "/operator/models".into(), sign: Icon::Model, words: "Models" });
        places.push(Place { href: "/operator/providers".into(), sign: Icon::Provider, words: "Providers" });
    }
    if caller.person.platform == PlatformRole::Support {
        places.insert(0, Place { href: "/support".into(), sign: Icon::Search, words: "Support" });
    }
    let rail = Rail { name: "Keydesk".into(), home: "/".into(), places, orgs, current: None };
    frame(rail, caller, path, width, None, body)
}

/// One line of the rail.
struct Place {
    href: String,
    sign: Icon,
    words: &'static str,
}

/// The places of an organisation that the visitor may see.
fn places(context: &OrgContext) -> Vec<Place> {
    let all = [
        (Action::ListKeys, "keys", Icon::Key, "Keys"),
        (Action::ListTeams, "teams", Icon::Team, "Teams"),
        (Action::ListMembers, "members", Icon::People, "Members"),
        (Action::SeeAudit, "audit", Icon::List, "Audit"),
        (Action::SeeSettings, "settings", Icon::Gear, "Settings"),
    ];
    all.into_iter()
        .filter(|(action, ..)| context.may(*action, On::Org))
        .map(|(_, place, sign, words)| Place { href: format!("/{}/{place}", context.org.slug), sign, words })
        .collect()
}

struct Rail<'a> {
    name: String,
    home: String,
    places: Vec<Place>,
    /// Slug and name.
    orgs: &'a [(String, String)],
    current: Option<&'a str>,
}

fn frame(
    rail: Rail<'_>,
    caller: &Caller,
    path: &str,
    width: Width,
    org: Option<String>,
    body: AnyView,
) -> AnyView {
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
    let under = |href: &str| path == href || path.starts_with(&format!("{href}/"));
    // Of two places around a page, the nearer one.
    let nearest = rail
        .places
        .iter()
        .map(|place| place.href.as_str())
        .filter(|href| under(href))
        .max_by_key(|href| href.len());
    let nearest = nearest.unwrap_or_default().to_owned();
    let places = rail
        .places
        .into_iter()
        .map(|place| {
            let current = (place.href == nearest).then_some("page");
            view! {
                <li>
                    <a class="item" href=place.href aria-current=current>
                        {icon(place.sign)}
                        {place.words}
                    </a>
                </li>
            }
        })
        .collect_view();
    let name = rail.name.clone();
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="frame" data-org=org>
            <header class="topbar">
                <button class="btn quiet square" type="button" popovertarget="rail" aria-label="Open menu">
                    {icon(Icon::Menu)}
                </button>
                <a class="brand" href=rail.home.clone()>
                    <span>{name}</span>
                </a>
            </header>
            <aside class="rail" id="rail" popover aria-label="Main">
                {switcher(rail.name, rail.home, rail.orgs, rail.current)}
                <nav aria-label="Main">
                    <ul>{places}</ul>
                </nav>
                <button class="item" type="button" popovertarget="person">
                    <span class="avatar" aria-hidden="true">{initials}</span>
                    <span class="who">
                        <b>{caller.person.name.clone()}</b>
                        <small>{caller.person.email.clone()}</small>
                    </span>
                    {icon(Icon::UpDown)}
                </button>
                {person_menu(caller, path, rail.current)}
            </aside>
            <main class=class id="main" tabindex="-1">
                {body}
            </main>
        </div>
    }
    .into_any()
}

/// The organisation's name; with others to go to, a menu of them.
fn switcher(name: String, home: String, orgs: &[(String, String)], current: Option<&str>) -> AnyView {
    if !orgs.iter().any(|(slug, _)| Some(slug.as_str()) != current) {
        return view! {
            <a class="brand" href=home>
                {mark()} <span>{name}</span>
            </a>
        }
        .into_any();
    }
    let items = orgs
        .iter()
        .map(|(slug, name)| {
            let here = (Some(slug.as_str()) == current).then_some("true");
            view! {
                <li>
                    <a class="item" href=LocalPath::keys(slug).as_str().to_owned() aria-current=here>
                        <span class="words">{name.clone()}</span>
                    </a>
                </li>
            }
        })
        .collect_view();
    let label = format!("{name}, change organisation");
    view! {
        <button class="brand" type="button" popovertarget="orgs" aria-label=label>
            {mark()} <span>{name}</span> {icon(Icon::UpDown)}
        </button>
        <div class="menu orgs" id="orgs" popover aria-label="Organisations">
            <ul>{items}</ul>
        </div>
    }
    .into_any()
}

fn person_menu(caller: &Caller, path: &str, org: Option<&str>) -> impl IntoView + use<> {
    let theme = |value: &'static str, label: &'static str| {
        let pressed = if caller.person.theme == value { "true" } else { "false" };
        view! { <button name="form[theme]" value=value aria-pressed=pressed>{label}</button> }
    };
    let own = org.map(|org| {
        view! {
            <a class="item" href=LocalPath::member(org, &caller.person.id).as_str().to_owned()>
                {icon(Icon::People)}
                "Your membership"
            </a>
        }
    });
    let support = (caller.person.platform == PlatformRole::Support).then(|| {
        view! {
            <a class="item" href="/support">
                {icon(Icon::Search)}
                "Support"
            </a>
        }
    });
    let operator = (caller.person.platform == PlatformRole::Operator).then(|| {
        view! {
            <a class="item" href="/operator">
                {icon(Icon::Gear)}
                "Organisations"
            </a>
        }
    });
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
            <a class="item" href="/account">
                {icon(Icon::Person)}
                "Account"
            </a>
            {own}
            {support}
            {operator}
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
fn palette(context: &OrgContext) -> impl IntoView + use<> {
    let keys = LocalPath::keys(&context.org.slug).as_str().to_owned();
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
    let others = places(context)
        .into_iter()
        .filter(|place| place.href != keys)
        .map(|place| page(place.href, place.sign, place.words))
        .collect_view();
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
                    {create}
                    {page(format!("{keys}?state=expiring"), Icon::Key, "Keys that expire soon")}
                    {page(format!("{keys}?state=revoked"), Icon::Key, "Revoked keys")}
                    {others}
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
