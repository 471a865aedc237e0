//! Support's page: one box across all organisations, and what it finds.

use keydesk_core::domain::key_format::{hint, looks_like_secret, valid_last_four};
use keydesk_core::ops::access::own_orgs;
use keydesk_core::ops::support::{self, SupportView};
use leptos::prelude::*;

use super::{notice_line, page, title};
use crate::ask::{caller, desk, query};
use crate::layout::{Width, framed_apart};
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;

const MAX_WORDS: usize = 200;

#[component]
pub fn SupportPage() -> impl IntoView {
    let typed: String = query("q").unwrap_or_default().trim().chars().take(MAX_WORDS).collect();
    // A secret that a person put into the address by hand is neither looked up nor shown again.
    let text = if looks_like_secret(&typed) { String::new() } else { typed };
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
                    {SearchBox { name: "form[q]", placeholder: "Key id, whole secret, last four, or an organisation", label: "Look up", max: None }.draw(text.clone())}
                </form>
            </div>
            {found(&view, &text)}
        };
        Ok(framed_apart(&orgs, &caller, "/support", Width::Mid, body.into_any()))
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
                    "{} “{text}”. Search by key id, whole secret or last four characters. To search by name, open the organisation’s keys.",
                    if valid_last_four(text) {
                        "No key or organisation matches"
                    } else {
                        "No organisation matches"
                    },
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
    let keys = view
        .keys
        .iter()
        .map(|hit| {
            let href = LocalPath::key(&hit.key.slug, &hit.key.id).as_str().to_owned();
            let replaced = hit.key.secret_ends.is_some().then_some(", a secret with an end");
            view! {
                <li>
                    {icon(Icon::Key)} <p class="words">
                        <a href=href>{hit.key.name.clone()}</a>
                        {format!(" of {}", hit.org)}
                        {replaced}
                    </p> <span class="hint">{hint(&hit.key.last_four)}</span>
                </li>
            }
        })
        .collect_view();
    let keys = (!view.keys.is_empty()).then(|| {
        view! {
            <section class="card">
                <header>
                    <h2>"Keys"</h2>
                </header>
                <ol class="history">{keys}</ol>
            </section>
        }
    });
    let orgs = view
        .orgs
        .iter()
        .map(|org| {
            let suspended = org.suspended.then(|| view! { <span class="muted">"Suspended"</span> });
            view! {
                <li>
                    {icon(Icon::Gear)} <p class="words">
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
    view! { <div class="stack">{keys} {orgs}</div> }.into_any()
}
