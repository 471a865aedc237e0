//! The way from `/` to where a person belongs, and the installation's organisations: the operator's list, and the one in
//! which support looks an organisation up.

use keydesk_core::domain::list_filter::OrgFilter;
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::{grouped, grouped_to};
use keydesk_core::domain::org::{ListedOrg, MAX_KEYS_COUNTED};
use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::ops::access::first_org;
use keydesk_core::ops::orgs::{self, OrgsView};
use leptos::prelude::*;

use crate::ask::{self, caller, desk, last_org, query};
use crate::error::AppError;
use crate::layout::{Width, framed_apart, solo};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::acts;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address, Column};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;
use crate::ui::when;

fn read() -> OrgFilter {
    OrgFilter {
        search: ask::search(),
        suspended: query("state").as_deref() == Some("suspended"),
        page: ask::cursor(),
    }
}

fn address(base: &str, filter: &OrgFilter) -> Address {
    let state = if filter.suspended { "suspended" } else { "" };
    Address::new(base, [("q", filter.search.clone()), ("state", state.to_owned())])
}

/// Goes to the organisation a person was in last, else to one that they own, else to their first. Support, who belongs to none, looks one up; an
/// operator finds them all.
#[component]
pub fn HomePage() -> impl IntoView {
    let filter = read();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        if let Some(slug) = first_org(&desk, &caller, last_org().as_deref()).await? {
            leptos_axum::redirect(LocalPath::overview(&slug).as_str());
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
                let under = view! { <p class="muted">"Read-only. Every look is recorded in the organisation’s audit."</p> };
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
    let filter = read();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        if caller.person.platform != PlatformRole::Operator {
            return Err(AppError::NotFound);
        }
        let view = orgs::list(&desk, &caller, &filter).await?;
        let under = view! { <p class="muted">"You can see keys and members only in organisations you belong to."</p> };
        let create = list::create("/operator/new", "Create organisation");
        let body = view! {
            {title("Organisations")}
            {notice_line()}
            {page_head(vec![], "Organisations".into_any(), under.into_any(), create)}
            {listed(&view, &filter, "/operator", true)}
        };
        let path = LocalPath::operator();
        Ok(framed_apart(&view.own, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}

fn listed(view: &OrgsView, filter: &OrgFilter, base: &'static str, operates: bool) -> AnyView {
    let chip = |words: &'static str, suspended: bool| {
        (words, address(base, &OrgFilter { suspended, ..filter.clone() }), filter.suspended == suspended)
    };
    let search =
        SearchBox { name: "q", placeholder: "Name or address", label: "Search organisations", max: None };
    view! {
        {list::toolbar(&address(base, filter), search, &filter.search)}
        {list::chips("State", [chip("All", false), chip("Suspended", true)])}
        {if view.page.rows.is_empty() { none_found(filter, base) } else { table(view, filter, base, operates) }}
    }
    .into_any()
}

fn table(view: &OrgsView, filter: &OrgFilter, base: &str, operates: bool) -> AnyView {
    let mut columns = vec![
        Column::new("Name"),
        Column::new("State"),
        Column::new("Live keys").num(),
        Column::new("People").num(),
        Column::new("Spent this month").num(),
        Column::new("Created").class("drop-3"),
    ];
    if operates {
        columns.push(Column::actions("Actions"));
    }
    let rows = view.page.rows.iter().zip(&view.month_spent);
    let rows = rows.map(|(org, spent)| row(org, *spent, view, operates)).collect_view();
    view! {
        {list::table(false, "Organisations, by name".into(), columns, rows)}
        {list::pages(&view.page, &address(base, filter), None)}
    }
    .into_any()
}

fn none_found(filter: &OrgFilter, base: &str) -> AnyView {
    let heading = match (filter.search.is_empty(), filter.suspended) {
        (true, true) => "No organisation is suspended".to_owned(),
        (true, false) => "No organisations here".to_owned(),
        (false, true) => format!("No suspended organisation matches “{}”", filter.search),
        (false, false) => format!("No organisation matches “{}”", filter.search),
    };
    list::none_found(heading, "The search looks at names and at addresses.", base, "Show all organisations")
}

fn row(org: &ListedOrg, spent: Money, view: &OrgsView, operates: bool) -> impl IntoView + use<> {
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
    let keys = grouped_to(org.live_keys, MAX_KEYS_COUNTED);
    let act = operates.then(|| {
        let (verb, sign, words) = match org.suspended_at {
            Some(_) => ("resume", Icon::Play, "Resume"),
            None => ("suspend", Icon::Pause, "Suspend"),
        };
        let items = vec![
            acts::link(LocalPath::operator_balance(&org.slug), Icon::Provider, "Balance"),
            acts::link(format!("/operator/{}/{verb}", org.slug), sign, words),
        ];
        let menu = acts::acts(format!("acts-{}", org.id), format!("More actions for {}", org.name), items);
        view! { <td class="act">{menu}</td> }
    });
    view! {
        <tr>
            <th scope="row">{name} <span class="sub">{format!("/{}", org.slug)}</span></th>
            <td data-label="State">{state}</td>
            <td class="num" data-label="Live keys">{keys}</td>
            <td class="num" data-label="People">{grouped(org.people)}</td>
            <td class="num" data-label="Spent this month">{spent.to_string()}</td>
            <td class="tight drop-3" data-label="Created">{when::date(org.created_at, &Zone::utc())}</td>
            {act}
        </tr>
    }
}
