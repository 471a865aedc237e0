//! The way to the other pages: an organisation's, the installation's, and from one organisation to the next.

use keydesk_core::domain::org::OrgName;
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::ops::access::{Caller, OrgContext};
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon, mark};

/// One line of the rail.
pub struct NavItem {
    pub href: String,
    pub icon: Icon,
    pub label: &'static str,
    /// What waits there, and the words for it; 0 shows nothing.
    pub count: (i64, &'static str),
    /// It is the current one on its own page only, as every page lies below it.
    pub alone: bool,
}

impl NavItem {
    fn new(href: impl Into<String>, icon: Icon, label: &'static str) -> Self {
        Self { href: href.into(), icon, label, count: (0, ""), alone: false }
    }
}

/// The pages of an organisation that the caller may see.
pub fn org_items(context: &OrgContext) -> Vec<NavItem> {
    let slug = &context.org.slug;
    let all = [
        (Action::ListKeys, LocalPath::overview(slug), Icon::Home, "Overview"),
        (Action::ListKeys, LocalPath::keys(slug), Icon::Key, "Keys"),
        (Action::SeeSpend, LocalPath::spend(slug), Icon::Chart, "Spend"),
        (Action::ListKeys, LocalPath::requests(slug), Icon::Clock, "Requests"),
        (Action::TestSecret, LocalPath::live_test(slug), Icon::Play, "Test a key"),
        (Action::ListAsks, LocalPath::asks(slug), Icon::Inbox, "Asks"),
        (Action::ListTeams, LocalPath::teams(slug), Icon::Team, "Teams"),
        (Action::ListMembers, LocalPath::members(slug), Icon::People, "Members"),
        (Action::SeeAudit, LocalPath::audit(slug), Icon::List, "Audit"),
        (Action::SeeSettings, LocalPath::settings(slug), Icon::Gear, "Settings"),
    ];
    let seen = all.into_iter().filter(|(action, ..)| context.may(*action, On::Org));
    let home = LocalPath::overview(slug);
    let item = |(action, path, icon, label): (Action, LocalPath, Icon, &'static str)| NavItem {
        alone: path == home,
        count: (if action == Action::ListAsks { context.open_asks } else { 0 }, "open"),
        ..NavItem::new(path, icon, label)
    };
    let mut items: Vec<NavItem> = seen.map(item).collect();
    if context.principal.role().is_some() {
        let inbox = NavItem::new(LocalPath::inbox(slug), Icon::Bell, "Inbox");
        items.insert(1, NavItem { count: (context.unread, "unread"), ..inbox });
    }
    items
}

/// The account, and the pages of the installation that the caller's platform role may see.
pub fn installation_items(caller: &Caller) -> Vec<NavItem> {
    let account = NavItem::new(LocalPath::account(), Icon::Person, "Account");
    match caller.person.platform {
        PlatformRole::Operator => vec![
            account,
            NavItem::new(LocalPath::operator_overview(), Icon::Home, "Overview"),
            NavItem::new(LocalPath::operator(), Icon::Team, "Organisations"),
            NavItem::new(LocalPath::models(), Icon::Model, "Models"),
            NavItem::new(LocalPath::providers(), Icon::Provider, "Providers"),
            NavItem::new(LocalPath::installation_audit(), Icon::List, "Audit"),
        ],
        PlatformRole::Support => vec![NavItem::new(LocalPath::support(), Icon::Search, "Support"), account],
        PlatformRole::None => vec![account],
    }
}

/// The rail's list. The item of the page, or the nearest above it, is marked as the current one.
pub fn nav(items: Vec<NavItem>, path: &str) -> impl IntoView + use<> {
    let above =
        |item: &&NavItem| path == item.href || (!item.alone && path.starts_with(&format!("{}/", item.href)));
    let nearest = items.iter().filter(above).map(|item| &item.href).max_by_key(|href| href.len());
    let nearest = nearest.cloned().unwrap_or_default();
    let items =
        items.into_iter().map(|NavItem { href, icon: sign, label, count: (count, words), .. }| {
            let current = (href == nearest).then_some("page");
            let count = (count > 0).then(|| {
                view! {
                    <small class="count">
                        {count_of(count)} <span class="sr">{format!(" {words}")}</span>
                    </small>
                }
            });
            view! {
                <li>
                    <a class="item" href=href aria-current=current>
                        {icon(sign)}
                        {label}
                        {count}
                    </a>
                </li>
            }
        });
    view! {
        <nav aria-label="Main">
            <ul>{items.collect_view()}</ul>
        </nav>
    }
}

/// Counts stop at a hundred.
pub fn count_of(count: i64) -> String {
    if count >= 100 { "99+".into() } else { count.to_string() }
}

/// The organisation's name; with others to go to, a menu of them.
pub fn switcher(name: String, home: String, orgs: &[OrgName], current: Option<&str>) -> AnyView {
    if !orgs.iter().any(|org| Some(org.slug.as_str()) != current) {
        return view! {
            <a class="brand" href=home>
                {mark()} <span>{name}</span>
            </a>
        }
        .into_any();
    }
    let items = orgs
        .iter()
        .map(|OrgName { slug, name }| {
            let here = (Some(slug.as_str()) == current).then_some("true");
            view! {
                <li>
                    <a class="item" href=LocalPath::overview(slug).as_str().to_owned() aria-current=here>
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
