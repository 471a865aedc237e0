//! What stands around a page: the rail with the organisation, its pages and the person's menu; or, for those who are
//! not signed in, a single card.

use keydesk_core::domain::org::OrgName;
use keydesk_core::ops::access::{Caller, OrgContext};
use leptos::prelude::*;

use super::navigation::{NavItem, count_of, installation_items, nav, org_items, switcher};
use super::palette::{palette, rail_search};
use super::person_menu::person_menu;
use crate::ask::note_org;
use crate::path::LocalPath;
use crate::sealed::Tone;
use crate::ui::icon::{Icon, icon, mark};
use crate::ui::notice::notice;

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
        let sentence = format!(
            "{} is suspended. Requests with its keys fail, and you can only disable or revoke keys.",
            org.name
        );
        notice(Tone::Warn, sentence)
    });
    let rail = Rail {
        name: org.name.clone(),
        home: LocalPath::overview(&org.slug).into(),
        items: org_items(context),
        orgs: &context.orgs,
        current: Some(&org.slug),
        unread: context.unread,
    };
    let body = view! { {suspended} {body} };
    view! { {frame(rail, caller, path, width, body)} {palette(Some(context), caller, &context.orgs)} }
        .into_any()
}

/// A page of no organisation: the account, the installation.
pub fn framed_apart(orgs: &[OrgName], caller: &Caller, path: &str, width: Width, body: AnyView) -> AnyView {
    let items = installation_items(caller);
    let rail = Rail { name: "Keydesk".into(), home: "/".into(), items, orgs, current: None, unread: 0 };
    view! { {frame(rail, caller, path, width, body)} {palette(None, caller, orgs)} }.into_any()
}

struct Rail<'a> {
    name: String,
    home: String,
    items: Vec<NavItem>,
    /// Slug and name of each organisation of the caller.
    orgs: &'a [OrgName],
    /// The slug of the page's organisation.
    current: Option<&'a str>,
    /// Unread alerts in it.
    unread: i64,
}

fn frame(rail: Rail<'_>, caller: &Caller, path: &str, width: Width, body: impl IntoView) -> impl IntoView {
    let class = match width {
        Width::Wide => "page",
        Width::Mid => "page mid",
        Width::Narrow => "page narrow",
    };
    // On narrow screens the rail is closed; what is new has to be seen all the same.
    let bell = rail.current.filter(|_| rail.unread > 0).map(|org| {
        let label = format!("Inbox, {} unread", count_of(rail.unread));
        view! {
            <a class="btn quiet square" href=LocalPath::inbox(org) aria-label=label>
                {icon(Icon::Bell)}
            </a>
        }
    });
    let words = caller.person.name.split_whitespace();
    let initials: String = words.filter_map(|word| word.chars().next()).take(2).collect();
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="frame">
            <header class="topbar">
                <button class="btn quiet square" type="button" popovertarget="rail" aria-label="Open menu">
                    {icon(Icon::Menu)}
                </button>
                <a class="brand" href=rail.home.clone()>
                    <span>{rail.name.clone()}</span>
                </a>
                {bell}
            </header>
            <aside class="rail" id="rail" popover aria-label="Main">
                {switcher(rail.name, rail.home, rail.orgs, rail.current)}
                {rail_search(caller, rail.current)}
                {nav(rail.items, path)}
                <button class="item" type="button" popovertarget="user-menu">
                    <span class="avatar" aria-hidden="true">{initials.to_uppercase()}</span>
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
