//! The palette on Ctrl-K, for keys, people, teams and pages, and the rail's search that leads to it. The browser's script
//! fills and opens it; without script the rail's search is a form.

use keydesk_core::domain::org::OrgName;
use keydesk_core::domain::policy::{Action, On, PlatformRole};
use keydesk_core::ops::access::{Caller, OrgContext};
use leptos::prelude::*;

use super::navigation::{installation_items, org_items};
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};

const LABEL: &str = "Find a key, a person, a team or a page";

/// The search in the rail. It posts, so that a pasted secret never stands in an address: to the keys of the organisation,
/// or for support outside of one to its own search.
pub fn rail_search(caller: &Caller, org: Option<&str>) -> Option<impl IntoView + use<>> {
    let support = org.is_none() && caller.person.platform == PlatformRole::Support;
    if org.is_none() && !support {
        return None;
    }
    let action = if support { "/api/support/look-up" } else { "/api/keys/search" };
    let org = org.map(|org| view! { <input type="hidden" name="form[org]" value=org.to_owned() /> });
    Some(view! {
        <form class="rail-search" method="post" action=action>
            {org}
            <span class="affix">
                {icon(Icon::Search)}
                <input
                    class="input"
                    type="search"
                    name="form[q]"
                    placeholder="Search"
                    aria-label="Search everything"
                    aria-keyshortcuts="Control+K"
                    data-palette
                    autocomplete="off"
                    spellcheck="false"
                /> <kbd aria-hidden="true">"Ctrl K"</kbd>
            </span>
        </form>
    })
}

/// `context` is the page's organisation, if it has one.
pub fn palette(context: Option<&OrgContext>, caller: &Caller, orgs: &[OrgName]) -> impl IntoView + use<> {
    let page = |href: String, sign: Icon, words: String| {
        view! {
            <a class="hit" role="option" href=href aria-selected="false">
                {icon(sign)} <span class="words">{words}</span>
            </a>
        }
        .into_any()
    };
    let found = ["Keys", "People", "Teams"].map(|label| {
        let kind = label.to_lowercase();
        let id = format!("hits-{kind}");
        let head = id.clone();
        view! {
            <div role="group" aria-labelledby=head data-kind=kind hidden>
                <p class="head" id=id>{label}</p>
            </div>
        }
    });
    let pages = |label: &'static str, pages: Vec<AnyView>| {
        let id = format!("hits-{}", label.to_lowercase());
        let head = id.clone();
        (!pages.is_empty()).then(|| {
            view! {
                <div role="group" aria-labelledby=head data-pages>
                    <p class="head" id=id>{label}</p>
                    {pages}
                </div>
            }
        })
    };
    let of_org = context.map(|context| {
        let keys: String = LocalPath::keys(&context.org.slug).into();
        let mut all = vec![page(keys.clone(), Icon::Key, "Keys".into())];
        if context.may(Action::CreateKey, On::Org) {
            all.push(page(format!("{keys}/new"), Icon::Plus, "Create key".into()));
        }
        all.push(page(format!("{keys}?state=expiring"), Icon::Key, "Keys that expire soon".into()));
        all.push(page(format!("{keys}?state=revoked"), Icon::Key, "Revoked keys".into()));
        all.push(page(LocalPath::doctor(&context.org.slug).into(), Icon::Search, "Key doctor".into()));
        let others = org_items(context).into_iter().filter(|item| item.href != keys);
        all.extend(others.map(|item| page(item.href, item.icon, item.label.into())));
        all
    });
    let account = [
        (LocalPath::password(), Icon::Shield, "Password"),
        (LocalPath::second_factor(), Icon::Shield, "Two-factor authentication (2FA)"),
        (LocalPath::sessions(), Icon::List, "Sessions"),
    ];
    let mut own = vec![page(LocalPath::account().into(), Icon::Person, "Account".into())];
    own.extend(account.map(|(path, sign, words)| page(path.into(), sign, words.into())));
    let installation = installation_items(caller)
        .into_iter()
        .filter(|item| item.href != LocalPath::account().as_str())
        .map(|item| {
            let words = if item.label == "Audit" { "Audit of the installation" } else { item.label };
            page(item.href, item.icon, words.into())
        })
        .collect();
    let here = context.map(|context| context.org.slug.as_str());
    let elsewhere = orgs
        .iter()
        .filter(|org| Some(org.slug.as_str()) != here)
        .map(|org| page(LocalPath::overview(&org.slug).into(), Icon::Right, format!("Go to {}", org.name)))
        .collect();
    view! {
        <dialog class="palette" id="palette" aria-label=LABEL>
            <div class="find">
                {icon(Icon::Search)}
                <input
                    type="text"
                    role="combobox"
                    aria-expanded="true"
                    aria-controls="hits"
                    aria-label=LABEL
                    placeholder=LABEL
                    autocomplete="off"
                    spellcheck="false"
                /> <kbd>"Esc"</kbd>
            </div>
            <div
                class="hits"
                id="hits"
                role="listbox"
                aria-label="Hits"
                data-find=here.map(|_| "/api/keys/find")
                data-find-with=here.map(|slug| format!("form[org]={slug}"))
            >
                {here.map(|_| found.collect_view())}
                {pages("Pages", of_org.unwrap_or_default())}
                {pages("Account", own)}
                {pages("Installation", installation)}
                {pages("Organisations", elsewhere)}
                <p class="none" hidden>"Nothing matches."</p>
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
            {page(String::new(), Icon::Right, String::new())}
        </template>
    }
}
