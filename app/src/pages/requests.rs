//! A key's requests, rejections and failures in one list: on the key's page, and in the answer to a support ticket.

use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::page::Cursor;
use keydesk_core::domain::request_log::{Outcome, RequestEntry};
use keydesk_core::ops::requests::RequestsView;
use leptos::prelude::*;

use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::Address;

/// The card of the key's page, with the way to older and newer ones.
pub fn requests_card(view: &RequestsView) -> impl IntoView + use<> {
    let org = &view.context.org;
    let (page, path) = (&view.page, LocalPath::key(&org.slug, &view.key));
    let href =
        |at: &Cursor| format!("{}#requests", Address::new(path.as_str(), [("page", at.to_string())]).href());
    let link = |at: &Option<Cursor>, rel: &'static str, words: &'static str| {
        at.as_ref().map(|at| view! { <a class="btn" href=href(at) rel=rel>{words}</a> })
    };
    let (newer, older) = (link(&page.previous, "prev", "Newer"), link(&page.next, "next", "Older"));
    let pager = (newer.is_some() || older.is_some()).then(|| {
        view! { <nav class="actions" aria-label="Pages of requests">{newer} {older}</nav> }
    });
    let doctor = LocalPath::doctor(&org.slug).with_query(&format!("key={}", view.key));
    let body = if page.rows.is_empty() {
        view! { <p class="muted">"No requests yet. A request with this key appears here when it is finished."</p> }
            .into_any()
    } else {
        let marked = view.marked.as_ref().map(|id| id.as_str()).unwrap_or_default();
        request_list(&page.rows, marked, &org.zone)
    };
    view! {
        <section class="card" id="requests">
            <header>
                <h2>"Requests"</h2>
                <a href=doctor>"Explain a failing request"</a>
            </header>
            {body}
            {pager}
        </section>
    }
}

/// `marked` is the id of the request that was searched for; empty is none.
pub fn request_list(entries: &[RequestEntry], marked: &str, zone: &Zone) -> AnyView {
    let rows = entries
        .iter()
        .map(|entry| row(entry, !marked.is_empty() && entry.request_id == marked, zone))
        .collect_view();
    view! { <ol class="history">{rows}</ol> }.into_any()
}

fn row(entry: &RequestEntry, marked: bool, zone: &Zone) -> impl IntoView + use<> {
    let sign = match entry.outcome {
        Outcome::Served => Icon::Check,
        Outcome::Rejected(_) => Icon::Ban,
        Outcome::Failed(_) => Icon::Bad,
    };
    let status = if entry.status == 0 { "Rejected".to_owned() } else { entry.status.to_string() };
    let words = entry.words().map(|words| view! { <p class="sub words">{words}</p> });
    // The list stays a list of times of day under its days: relative ones could not be compared with a log.
    let time = view! {
        <time datetime=entry.at.rfc3339() title=entry.at.exact(zone)>{entry.at.date_time(zone)}</time>
    };
    let model = if entry.model.is_empty() { "No model".to_owned() } else { entry.model.clone() };
    let id = (!entry.request_id.is_empty()).then(|| {
        let label = if entry.times > 1 { "Newest request " } else { "Request " };
        view! {
            <p class="sub">
                {label} <code>{entry.request_id.clone()}</code>
            </p>
        }
    });
    view! {
        <li aria-current=marked.then_some("true")>
            {icon(sign)}
            <p class="words">
                <b>{status}</b>
                " "
                {model}
            </p>
            {time}
            {words}
            <p class="sub words">{facts(entry, zone).join(" · ")}</p>
            {id}
        </li>
    }
}

/// What is known besides the status and the reason. Of requests that are counted together, route and address are the newest
/// one's.
fn facts(entry: &RequestEntry, zone: &Zone) -> Vec<String> {
    let mut facts = Vec::new();
    if entry.times > 1 {
        let (times, first, last) = (grouped(entry.times), entry.first_at.clock(zone), entry.at.clock(zone));
        facts.push(match first == last {
            true => format!("{times} times at {first}"),
            false => format!("{times} times between {first} and {last}"),
        });
    }
    let newest = if entry.times > 1 { "last " } else { "" };
    if !entry.route.is_empty() {
        facts.push(format!("{newest}{}", entry.route));
    }
    if let Some(used) = entry.used {
        let about = if used.estimated { "about " } else { "" };
        let (input, output) = (grouped(used.counts.input()), grouped(used.counts.output()));
        facts.push(format!("{about}{input} input, {output} output tokens"));
        facts.push(format!("{about}{}", used.cost));
        facts.push(format!("{} ms", grouped(used.latency_ms)));
    }
    if !entry.address.is_empty() {
        facts.push(format!("{newest}from {}", entry.address));
    }
    facts
}
