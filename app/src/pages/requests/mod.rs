//! A key's requests, rejections and failures in one list: on the key's page, and in the answer to a support ticket. The log
//! of all requests is in `log`, and a request's own page in `one`.

mod log;
mod one;

pub use log::RequestsPage;
pub use one::RequestPage;

use keydesk_core::domain::meter::{Counts, Dimension};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::page::Cursor;
use keydesk_core::domain::price::Price;
use keydesk_core::domain::request_log::{Outcome, RequestEntry, RequestUse};
use keydesk_core::ops::requests::RequestsView;
use leptos::prelude::*;

use crate::ask::here;
use crate::path::LocalPath;
use crate::ui::facts::fact;
use crate::ui::field::on_page;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{Address, count_words};

/// The card of the key's page, with the way to older and newer ones.
pub fn requests_card(view: &RequestsView) -> impl IntoView + use<> {
    let org = &view.context.org;
    let (page, path) = (&view.page, LocalPath::key(&org.slug, &view.key));
    let priced = if view.only_not_priced { "no" } else { "" };
    let href = |at: &Cursor| {
        let pairs = [("priced", priced.to_owned()), ("page", at.to_string())];
        format!("{}#requests", Address::new(path.as_str(), pairs).href())
    };
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
        request_list(&org.slug, &page.rows, marked, &view.prices, &org.zone)
    };
    let only = view.only_not_priced.then(|| {
        view! {
            <p class="help">
                "Only requests that were not priced. " <a href=format!("{}#requests", path.as_str())>"Show all"</a>
            </p>
        }
    });
    let kept = org.raw_from.map(|day| {
        let words = format!("Requests before {} are no longer kept.", day.start(&org.zone).date(&org.zone));
        view! { <p class="help">{words}</p> }
    });
    let file = export(view);
    let under =
        (pager.is_some() || file.is_some()).then(|| view! { <div class="pager">{pager} {file}</div> });
    view! {
        <section class="card" id="requests">
            <header>
                <h2>"Requests"</h2>
                <a href=LocalPath::requests_of(&org.slug, &view.key)>"In the log"</a>
                <a href=doctor>"Explain a failing request"</a>
            </header>
            {only}
            {body}
            {under}
            {kept}
        </section>
    }
}

/// The settled ones as a file.
fn export(view: &RequestsView) -> Option<impl IntoView + use<>> {
    let settled = view.page.rows.iter().any(|entry| entry.used.is_some());
    let (org, key) = (view.context.org.slug.clone(), view.key.to_string());
    settled.then(|| {
        view! {
            <form class="actions" method="post" action="/api/requests/export">
                {on_page(here())} <input type="hidden" name="form[org]" value=org />
                <input type="hidden" name="form[key]" value=key /> <button class="btn">"Export CSV"</button>
            </form>
        }
    })
}

/// How many of a key's requests were not priced, and the way to them; nothing when all were.
pub fn not_priced_line(view: &RequestsView) -> Option<impl IntoView + use<>> {
    const COUNTED: i64 = 10_000;
    let count = view.not_priced;
    let words = count_words(count, count > COUNTED, "request was not priced", "requests were not priced");
    let path = LocalPath::key(&view.context.org.slug, &view.key);
    (count > 0).then(|| {
        view! {
            <p class="help">
                {words} ", so the spend may be too low. "
                <a href=format!("{}?priced=no#requests", path.as_str())>"Show them"</a>
            </p>
        }
    })
}

/// `marked` is the id of the request that was searched for; empty is none. `prices` are those that are named in full.
pub fn request_list(
    slug: &str,
    entries: &[RequestEntry],
    marked: &str,
    prices: &[Price],
    zone: &Zone,
) -> AnyView {
    let rows = entries
        .iter()
        .map(|entry| row(slug, entry, !marked.is_empty() && entry.request_id == marked, prices, zone))
        .collect_view();
    view! { <ol class="history">{rows}</ol> }.into_any()
}

fn row(
    slug: &str,
    entry: &RequestEntry,
    marked: bool,
    prices: &[Price],
    zone: &Zone,
) -> impl IntoView + use<> {
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
                {label}
                <a href=LocalPath::one_request(slug, &entry.request_id)>
                    <code>{entry.request_id.clone()}</code>
                </a>
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
            {entry.used.as_ref().and_then(|used| details(entry, used, prices, zone))}
        </li>
    }
}

/// Every meter, how the request was served, and the price; nothing for a request that used nothing.
fn details(
    entry: &RequestEntry,
    used: &RequestUse,
    prices: &[Price],
    zone: &Zone,
) -> Option<impl IntoView + use<>> {
    if used.metered.counts == Counts::NONE {
        return None;
    }
    let meters =
        used.metered.counts.used().map(|(meter, count)| fact(meter.label(), grouped(count))).collect_view();
    let served = Dimension::ALL.into_iter().filter_map(|dimension| {
        let word = used.metered.served_as.word(dimension);
        (!word.is_empty()).then(|| fact(dimension.label(), word.to_owned()))
    });
    let first = used.first_cost.map(|first| fact("First charged", first.to_string()));
    let estimated =
        used.estimated.then(|| fact("Estimated", "The provider did not report all that was used."));
    let not_priced = (!used.is_priced)
        .then(|| fact("Not priced", "Something that was used has no price, so the cost may be too low."));
    Some(view! {
        <details class="more">
            <summary>
                {icon(Icon::Right)} "Details" <span class="sr">{format!(" of request {}", entry.request_id)}</span>
            </summary>
            <dl class="facts">
                {meters} {served.collect_view()} {fact("Cost", used.cost.to_string())} {first} {fact("Price", price_words(used, prices, zone))} {estimated}
                {not_priced}
            </dl>
        </details>
    })
}

/// "From a catalogue, since 1 Nov 2026 00:00 (openai.com/pricing)"
fn price_words(used: &RequestUse, prices: &[Price], zone: &Zone) -> String {
    let Some(id) = &used.price else {
        return if used.is_priced { "Not recorded" } else { "The model had none" }.into();
    };
    let Some(price) = prices.iter().find(|price| price.id == *id) else { return id.to_string() };
    let source = if price.source.is_empty() { String::new() } else { format!("; source: {}", price.source) };
    format!("{}, since {}{source}", price.origin.label(), price.starts_at.date_time(zone))
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
    if let Some(used) = &entry.used {
        let about = if used.estimated { "about " } else { "" };
        let counts = &used.metered.counts;
        let (input, output) = (grouped(counts.input()), grouped(counts.output()));
        facts.push(format!("{about}{input} input, {output} output tokens"));
        facts.push(format!("{about}{}", used.cost));
        if !used.is_priced {
            facts.push("not priced".into());
        }
        facts.push(format!("{} ms", grouped(used.latency_ms)));
    }
    if !entry.address.is_empty() {
        facts.push(format!("{newest}from {}", entry.address));
    }
    facts
}
