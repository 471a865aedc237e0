//! The inbox: alerts about what the person may see, the newest first.

use keydesk_core::domain::alert::AlertKind;
use keydesk_core::domain::policy::PlatformRole;
use keydesk_core::ops::alerts::{self, InboxFilter, InboxView};
use leptos::prelude::*;

use crate::ask::{self, caller, desk, param, query};
use crate::layout::{Page, Width};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address};
use crate::ui::when;

#[component]
pub fn InboxPage() -> impl IntoView {
    let slug = param("org");
    let at = ask::cursor();
    let filter = InboxFilter {
        unread: query("show").as_deref() == Some("unread"),
        kind: query("kind").and_then(|kind| AlertKind::parse(&kind)),
    };
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = alerts::inbox(&desk, &caller, &slug, filter, at.as_ref()).await?;
        let slug = &view.context.org.slug;
        let path = LocalPath::inbox(slug);
        let address = address(&path, filter);
        let inside = if view.page.rows.is_empty() {
            nothing(&path, filter)
        } else {
            let rows = view.page.rows.iter().map(|entry| row(&view, entry)).collect_view();
            view! {
                <section class="card" aria-label="Alerts">
                    <ul class="rows">{rows}</ul>
                </section>
                {list::pages(&view.page, &address, None)}
            }
            .into_any()
        };
        let all_read = (view.context.unread > 0).then(|| {
            view! {
                <form method="post" action="/api/alerts/read" data-enhance>
                    <input type="hidden" name="form[org]" value=slug.clone() />
                    <button class="btn" name="form[id]" value="">
                        "Mark all as read"
                    </button>
                </form>
            }
        });
        let actions = view! {
            <a class="btn quiet" href=LocalPath::alert_choices(slug)>
                "What you get"
            </a>
            {all_read}
        };
        let sees_providers = caller.person.platform == PlatformRole::Operator;
        let body = view! { <div class="stack">{filters(&path, filter, sees_providers)} {inside}</div> };
        Ok(Page::new("Inbox", Width::Mid).actions(actions).in_org(&view.context, &caller, body))
    })
}

fn address(path: &LocalPath, filter: InboxFilter) -> Address {
    let show = if filter.unread { "unread" } else { "" };
    let kind = filter.kind.map_or("", AlertKind::as_str);
    Address::new(path.as_str(), [("show", show.to_owned()), ("kind", kind.to_owned())])
}

fn filters(path: &LocalPath, filter: InboxFilter, sees_providers: bool) -> AnyView {
    let read = [("All", false), ("Unread", true)].map(|(words, unread)| {
        (words, address(path, InboxFilter { unread, ..filter }), filter.unread == unread)
    });
    let every = ("Every kind", address(path, InboxFilter { kind: None, ..filter }), filter.kind.is_none());
    let kinds = AlertKind::ALL.into_iter().filter(|kind| kind.is_of_org() || sees_providers).map(|kind| {
        let to = address(path, InboxFilter { kind: Some(kind), ..filter });
        (kind.label(), to, filter.kind == Some(kind))
    });
    view! {
        {list::chips("Read or unread", read)}
        {list::chips("Kinds", std::iter::once(every).chain(kinds))}
    }
    .into_any()
}

fn nothing(path: &LocalPath, filter: InboxFilter) -> AnyView {
    if filter != InboxFilter::default() {
        let words = "No alert matches the filters.";
        return list::none_found("No alerts found".into(), words, path.as_str(), "Show all alerts");
    }
    let words = "You get an alert when a budget is nearly used up, a key expires soon, requests are rejected again and again, or spend is unusual.";
    list::empty(Icon::Bell, "No alerts".into(), words, ())
}

fn row(view: &InboxView, entry: &alerts::InboxEntry) -> impl IntoView + use<> {
    let org = &view.context.org;
    let alert = &entry.alert;
    let heading = alert.heading(&org.zone);
    let read = entry.read_at.is_none().then(|| {
        let label = format!("Mark as read: {heading}");
        view! {
            <form method="post" action="/api/alerts/read" data-enhance>
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                <input type="hidden" name="form[id]" value=entry.id.to_string() />
                <button class="btn quiet" aria-label=label>
                    "Mark as read"
                </button>
            </form>
        }
    });
    let new = entry
        .read_at
        .is_none()
        .then(|| badge(BadgeTone::Info, "New".into(), "You have not marked it as read.".into()));
    view! {
        <li>
            <div>
                <h2 class="h3">
                    <a href=LocalPath::of_alert(&org.slug, alert)>{heading}</a>
                    " "
                    {new}
                </h2>
                <p class="help">{when::ago(alert.at, view.now, &org.zone)} " · " {alert.details(&org.zone)}</p>
            </div>
            {read}
        </li>
    }
}
