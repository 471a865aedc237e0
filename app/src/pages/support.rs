//! Support's page: one box across all organisations, and what it finds.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::key_filter::MAX_SEARCH;
use keydesk_core::domain::key_format::{hint, looks_like_secret, unmask};
use keydesk_core::domain::moment::Moment;
use keydesk_core::forms::ticket::TicketForm;
use keydesk_core::ops::access::own_orgs;
use keydesk_core::ops::support::{self, SupportHit, SupportView};
use leptos::prelude::*;

use super::{notice_line, page, title};
use crate::ask::{caller, desk, query};
use crate::key_status::status_badge;
use crate::layout::{Width, framed_apart};
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Column};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;
use crate::ui::when;

#[component]
pub fn SupportPage() -> impl IntoView {
    let typed: String = query("q").unwrap_or_default().trim().chars().take(MAX_SEARCH).collect();
    // A secret that a person put into the address by hand is neither looked up nor shown again.
    let text = if looks_like_secret(unmask(&typed)) { String::new() } else { typed };
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = support::search(&desk, &caller, &text).await?;
        let orgs = own_orgs(&desk, &caller).await?;
        let under = view! {
            <p class="muted">"Find a key in any organisation. Every view is recorded in the organisation’s audit."</p>
        };
        let body = view! {
            {title("Support")}
            {notice_line()}
            {page_head(vec![], "Support".into_any(), under.into_any(), ().into_any())}
            <div class="toolbar">
                <form class="search" role="search" method="post" action="/api/support/look-up">
                    {SearchBox { name: "form[q]", placeholder: "Name, email, team, last four, id, whole secret, or an organisation", label: "Look up", max: None }.draw(text.clone())}
                </form>
                <a class="btn" href="/support/ticket">
                    "Answer a ticket"
                </a>
            </div>
            {found(&view, &text)}
        };
        Ok(framed_apart(&orgs, &caller, "/support", Width::Wide, body.into_any()))
    })
}

fn found(view: &SupportView, text: &str) -> AnyView {
    if view.orgs.is_empty() && view.keys.is_empty() {
        let (heading, words) = if text.is_empty() {
            ("No organisation yet", "Once an operator creates one, you can find its keys here.".to_owned())
        } else {
            (
                "Nothing found",
                format!(
                    "No key and no organisation matches “{text}”. Search by words of a key’s name, note, owner, email address or team, by its id, last four characters or whole secret, or by an organisation’s name."
                ),
            )
        };
        return view! {
            <section class="empty">
                {icon(Icon::Search)} <h2>{heading}</h2> <p>{words}</p>
            </section>
        }
        .into_any();
    }
    let keys = (!view.keys.is_empty()).then(|| {
        let mut columns = Vec::from(
            ["Key", "Organisation", "Owner, team", "State", "Last used", "Expires"].map(Column::new),
        );
        columns.push(Column::actions("Ticket"));
        let rows = view.keys.iter().map(|hit| row(hit, view.now)).collect_view();
        let more = view.more.then(|| view! { <p class="muted">"There are more keys. Add another word."</p> });
        view! {
            {list::table(true, "Keys that were found".into(), columns, rows)}
            {more}
        }
    });
    let orgs = view
        .orgs
        .iter()
        .map(|org| {
            let suspended = org.suspended.then(|| view! { <span class="muted">"Suspended"</span> });
            view! {
                <li>
                    {icon(Icon::Team)} <p class="words">
                        <a href=LocalPath::keys(&org.slug).as_str().to_owned()>{org.name.clone()}</a>
                    </p> {suspended}
                </li>
            }
        })
        .collect_view();
    let orgs = (!view.orgs.is_empty()).then(|| {
        view! {
            <section class="card">
                <header>
                    <h2>"Organisations"</h2>
                </header>
                <ol class="history">{orgs}</ol>
            </section>
        }
    });
    view! { <div class="stack roomy">{keys} {orgs}</div> }.into_any()
}

fn row(hit: &SupportHit, now: Moment) -> impl IntoView + use<> {
    let (key, zone) = (&hit.key, &hit.zone);
    let hint = match &hit.previous {
        Some(last_four) => {
            format!("{}, found by its earlier secret {}", hint(&key.last_four), hint(last_four))
        }
        None => hint(&key.last_four),
    };
    let team = key.team.as_ref().map_or_else(|| "No team".to_owned(), |team| team.name.clone());
    let never = || view! { <span class="muted">"Never"</span> }.into_any();
    let used = key.last_used_at.map_or_else(never, |at| when::ago(at, now, zone).into_any());
    let expires = key.expires_at.map_or_else(never, |at| when::date(at, zone).into_any());
    let ticket = TicketForm { key: Hidden::new(key.id.to_string()), ..TicketForm::default() };
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=LocalPath::key(&hit.slug, &key.id) title=key.name.clone()>
                    {key.name.clone()}
                </a>
                <span class="sub">{hint}</span>
            </th>
            <td data-label="Organisation">{hit.org.clone()}</td>
            <td data-label="Owner, team">
                <span class="clip">{key.owner.name.clone()}</span>
                <span class="sub clip">{team}</span>
            </td>
            <td data-label="State">{status_badge(key, now, zone)}</td>
            <td data-label="Last used" class="tight">{used}</td>
            <td data-label="Expires" class="tight">{expires}</td>
            <td class="act">
                <a class="btn quiet" href=LocalPath::ticket(&ticket) aria-label=format!("Ticket about {}", key.name)>
                    "Ticket"
                </a>
            </td>
        </tr>
    }
}
