//! The way from `/` to where somebody belongs, and the installation's organisations: the operator's list, and the one in
//! which support looks an organisation up. Search, state and page are in the address.

use keydesk_core::domain::key_format::looks_like_secret;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::ops::access::own_orgs;
use keydesk_core::ops::orgs::{self, OrgsView};
use keydesk_core::store::orgs::{ListedOrg, MAX_COUNT, OrgCursor, OrgFilter};
use leptos::prelude::*;

use crate::ask::{caller, desk, last_org};
use crate::error::AppError;
use crate::layout::{Width, framed_apart, solo};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::pager::pager;
use crate::ui::search::SearchBox;
use crate::ui::when;

/// Characters; the longest name has half as many.
const MAX_SEARCH: usize = 200;

/// The address's parameters, as far as they make sense.
fn read(get: impl Fn(&str) -> Option<String>) -> OrgFilter {
    let search = get("q").filter(|text| !looks_like_secret(text)).unwrap_or_default();
    let cursor = |name: &str, backwards| {
        let text = get(name)?;
        let (id, name_folded) = text.split_once('~')?;
        let fine = !text.contains('\0');
        fine.then(|| OrgCursor { backwards, name_folded: name_folded.to_owned(), id: id.to_owned() })
    };
    OrgFilter {
        search: search.chars().take(MAX_SEARCH).collect(),
        suspended: get("state").as_deref() == Some("suspended"),
        page: cursor("after", false).or_else(|| cursor("before", true)),
    }
}

fn href(base: &str, filter: &OrgFilter) -> String {
    let mut pairs = Vec::new();
    if !filter.search.is_empty() {
        pairs.push(("q", filter.search.clone()));
    }
    if filter.suspended {
        pairs.push(("state", "suspended".to_owned()));
    }
    if let Some(page) = &filter.page {
        let name = if page.backwards { "before" } else { "after" };
        pairs.push((name, format!("{}~{}", page.id, page.name_folded)));
    }
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// Goes to the organisation somebody was in last, else to their first. Support, who belongs to none, looks one up; an
/// operator finds them all.
#[component]
pub fn HomePage() -> impl IntoView {
    let filter = read(crate::ask::query);
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let own = own_orgs(&desk, &caller).await?;
        let last = last_org().filter(|slug| own.iter().any(|own| own.slug == *slug));
        if let Some(slug) = last.as_ref().or(own.first().map(|own| &own.slug)) {
            leptos_axum::redirect(LocalPath::keys(slug).as_str());
            return Ok(().into_any());
        }
        match caller.person.platform {
            PlatformRole::None => Ok(nowhere(&caller.person.email)),
            PlatformRole::Operator => {
                leptos_axum::redirect(LocalPath::operator().as_str());
                Ok(().into_any())
            }
            PlatformRole::Support => {
                let view = orgs::list(&desk, &caller, &filter).await?;
                let under = view! { <p class="muted">"You may look into every one, and change nothing. What you look at is in its audit."</p> };
                let body = view! {
                    {title("Organisations")}
                    {notice_line()}
                    {page_head(vec![], "Organisations".into_any(), under.into_any(), ().into_any())}
                    {listed(&view, &filter, "/", false)}
                };
                Ok(framed_apart(&view.own, &caller, "/", Width::Wide, body.into_any()))
            }
        }
    })
}

fn nowhere(email: &str) -> AnyView {
    let body = view! {
        {title("No organisation")}
        {notice_line()}
        <h1>"You belong to no organisation"</h1>
        <p class="muted">
            "You are signed in as " <b>{email.to_owned()}</b>
            ". An owner or an admin can invite this address; their link takes you in."
        </p>
        <form method="post" action="/api/session/sign-out">
            <div class="actions">
                <a class="btn" href="/account">"Go to your account"</a>
                <button class="btn quiet" name="form[confirm]" value="yes">"Sign out"</button>
            </div>
        </form>
    };
    solo(body.into_any(), None)
}

#[component]
pub fn OperatorPage() -> impl IntoView {
    let filter = read(crate::ask::query);
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        if caller.person.platform != PlatformRole::Operator {
            return Err(AppError::NotFound);
        }
        let view = orgs::list(&desk, &caller, &filter).await?;
        let under =
            view! { <p class="muted">"Their keys and people are yours to see only where you belong."</p> };
        let create = view! {
            <a class="btn primary" href="/operator/new" aria-keyshortcuts="n" data-shortcut="n">
                {icon(Icon::Plus)}
                "Create organisation"
                <kbd aria-hidden="true">"n"</kbd>
            </a>
        };
        let body = view! {
            {title("Organisations")}
            {notice_line()}
            {page_head(vec![], "Organisations".into_any(), under.into_any(), create.into_any())}
            {listed(&view, &filter, "/operator", true)}
        };
        let path = LocalPath::operator();
        Ok(framed_apart(&view.own, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}

fn listed(view: &OrgsView, filter: &OrgFilter, base: &'static str, operates: bool) -> AnyView {
    let chip = |words: &'static str, suspended: bool| {
        let to = href(base, &OrgFilter { suspended, page: None, ..filter.clone() });
        let current = (filter.suspended == suspended).then_some("true");
        view! { <a href=to aria-current=current>{words}</a> }
    };
    let state = filter.suspended.then(|| view! { <input type="hidden" name="state" value="suspended" /> });
    let rows = view.page.orgs.iter().map(|org| row(org, view, operates)).collect_view();
    let table = if view.page.orgs.is_empty() {
        none_found(filter, base)
    } else {
        let shown = view.page.orgs.len();
        let range =
            if shown == 1 { "1 organisation".into() } else { format!("{shown} organisations on this page") };
        let to = |cursor: &OrgCursor| href(base, &OrgFilter { page: Some(cursor.clone()), ..filter.clone() });
        let act = operates.then(|| view! { <th scope="col"><span class="sr">"Act"</span></th> });
        view! {
            <div class="table-wrap">
                <table class="table">
                    <caption class="sr">"Organisations by name"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th> <th scope="col">"State"</th>
                            <th scope="col" class="num">"Live keys"</th> <th scope="col" class="num">"People"</th>
                            <th scope="col">"Created"</th> {act}
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {pager(range, view.page.previous.as_ref().map(to), view.page.next.as_ref().map(to))}
        }
        .into_any()
    };
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="get" action=base>
                {state}
                {SearchBox { name: "q", placeholder: "Name or address", label: "Search organisations", max: None }.draw(filter.search.clone())}
            </form>
        </div>
        <nav class="chips" aria-label="State">{chip("All", false)} {chip("Suspended", true)}</nav>
        {table}
    }
    .into_any()
}

fn none_found(filter: &OrgFilter, base: &'static str) -> AnyView {
    let heading = match (filter.search.is_empty(), filter.suspended) {
        (true, true) => "No organisation is suspended".to_owned(),
        (true, false) => "No organisations here".to_owned(),
        (false, true) => format!("No suspended organisation matches “{}”", filter.search),
        (false, false) => format!("No organisation matches “{}”", filter.search),
    };
    view! {
        <section class="empty">
            {icon(Icon::Search)} <h2>{heading}</h2>
            <p>"The search looks at names and at addresses."</p> <div class="actions">
                <a class="btn" href=base>"Show all organisations"</a>
            </div>
        </section>
    }
    .into_any()
}

fn row(org: &ListedOrg, view: &OrgsView, operates: bool) -> impl IntoView + use<> {
    let own = view.own.iter().any(|own| own.slug == org.slug);
    // An operator goes in only where they belong; support goes in everywhere.
    let name = if own || !operates {
        let to = LocalPath::keys(&org.slug).as_str().to_owned();
        view! { <a class="row-link" href=to>{org.name.clone()}</a> }.into_any()
    } else {
        view! { <span class="clip">{org.name.clone()}</span> }.into_any()
    };
    let state = match org.suspended_at {
        None => badge(BadgeTone::Good, "Active".into(), String::new()).into_any(),
        Some(at) => {
            badge(BadgeTone::Idle, "Suspended".into(), format!("Suspended {}.", at.exact(&Zone::utc())))
                .into_any()
        }
    };
    let keys = match org.live_keys {
        count if count > MAX_COUNT => format!("{}+", grouped(MAX_COUNT)),
        count => grouped(count),
    };
    let act = operates.then(|| {
        let (verb, words) =
            if org.suspended_at.is_some() { ("resume", "Resume") } else { ("suspend", "Suspend") };
        let label = format!("{words} {}", org.name);
        let balance = balance_link(org);
        view! {
            <td class="act">
                <div class="actions">
                    {balance}
                    <a class="btn quiet" href=format!("/operator/{}/{verb}", org.slug) aria-label=label>
                        {words}
                    </a>
                </div>
            </td>
        }
    });
    view! {
        <tr>
            <th scope="row">{name} <span class="sub">{format!("/{}", org.slug)}</span></th>
            <td data-label="State">{state}</td>
            <td class="num" data-label="Live keys">{keys}</td>
            <td class="num" data-label="People">{grouped(org.people)}</td>
            <td class="tight" data-label="Created">{when::date(org.created_at, &Zone::utc())}</td>
            {act}
        </tr>
    }
}

fn balance_link(org: &ListedOrg) -> impl IntoView + use<> {
    let label = format!("Balance of {}", org.name);
    view! { <a class="btn quiet" href=LocalPath::operator_balance(&org.slug).as_str().to_owned() aria-label=label>"Balance"</a> }
}
