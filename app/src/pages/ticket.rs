//! A support ticket: the form with the fields that tickets have, and its answer below.

use keydesk_core::domain::hidden::Hidden;
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::limit_use::{HolderKind, LimitUse, Limited};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::window::Period;
use keydesk_core::forms::ticket::TicketForm;
use keydesk_core::ops::access::own_orgs;
use keydesk_core::ops::doctor::Urls;
use keydesk_core::ops::support::{self, SupportHit, TicketAnswer, TicketView};
use leptos::prelude::*;

use super::keys::contacts;
use super::requests::request_list;
use super::{notice_line, page, title};
use crate::ask::{base_url, caller, desk, gateway_url, query};
use crate::key_status::{status_badge, status_reason};
use crate::layout::{Width, framed_apart, post_form};
use crate::path::LocalPath;
use crate::ui::code::copy_button;
use crate::ui::facts::fact;
use crate::ui::field::{FieldErrors, TextField, select_field};
use crate::ui::page_head::page_head;

#[component]
pub fn TicketPage() -> impl IntoView {
    let form = TicketForm::default().map(|name, _| query(name).unwrap_or_default()).shown();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let (ticket, errors) = match form.parse() {
            Ok(ticket) => (Some(ticket), vec![]),
            Err(_) if form.is_empty() => (None, vec![]),
            Err(errors) => (None, errors),
        };
        let (gateway, own) = (gateway_url(), base_url());
        let urls = Urls { gateway: &gateway, desk: &own };
        let view = support::ticket(&desk, &caller, ticket.as_ref(), urls).await?;
        let orgs = own_orgs(&desk, &caller).await?;
        let under = view! {
            <p class="muted">
                "Fill in what the ticket says: a request ID or a key, and whatever else is known. Every view is recorded in the organisation’s audit."
            </p>
        };
        let crumbs = vec![(LocalPath::support().into(), "Support".to_owned())];
        let body = view! {
            {title("Ticket")}
            {notice_line()}
            {page_head(crumbs, "Ticket".into_any(), under.into_any(), ().into_any())}
            <div class="stack roomy">{form_card(&form, &FieldErrors(errors))} {found(&view, &form)}</div>
        };
        Ok(framed_apart(&orgs, &caller, "/support", Width::Mid, body.into_any()))
    })
}

fn form_card(form: &TicketForm, errors: &FieldErrors) -> impl IntoView + use<> {
    let text =
        |field: &'static str, name: &'static str, label: &'static str, help: &'static str, value: &Hidden| {
            TextField::new(field, name, label).optional().help(help).draw(value.as_str().to_owned(), errors)
        };
    let works = [("", "Not known"), ("yes", "Yes"), ("no", "No")];
    let works = works.map(|(value, label)| (value.to_owned(), label.to_owned())).to_vec();
    let inside = view! {
        <div class="trio">
            {text("request", "form[request]", "Request ID", "As in the error or the header x-request-id.", &form.request)}
            {text("key", "form[key]", "Key", "Its name, last four characters or ID.", &form.key)}
            {text("model", "form[model]", "Model", "", &form.model)}
            {text("time", "form[time]", "Time", "2026-11-26 15:00, or 15:00.", &form.time)}
            {text("zone", "form[zone]", "Time zone", "Such as Europe/Zurich. Empty is the organisation’s.", &form.zone)}
            {text("endpoint", "form[endpoint]", "Endpoint", "", &form.endpoint)}
            {text("base_url", "form[base_url]", "Base URL", "", &form.base_url)}
            {text("client", "form[client]", "Client", "", &form.client)}
            {select_field(
                "models_work",
                "form[models_work]",
                "Does GET /v1/models work?",
                "",
                works,
                form.models_work.as_str(),
                errors,
            )}
        </div>
        <div class="actions">
            <button class="btn primary">"Find the reason"</button>
            <a class="btn quiet" href="/support/ticket">
                "Clear"
            </a>
        </div>
    };
    view! { <section class="card" aria-label="What the ticket says">{post_form("/api/support/ticket", vec![], inside)}</section> }
}

fn found(view: &TicketView, form: &TicketForm) -> AnyView {
    if let Some(answer) = &view.answer {
        return answered(answer, form, view).into_any();
    }
    if let Some(nothing) = &view.nothing {
        return view! {
            <section class="card">
                <h2>"Nothing found"</h2>
                <p>{nothing.clone()}</p>
            </section>
        }
        .into_any();
    }
    if view.candidates.is_empty() {
        return ().into_any();
    }
    let rows = view.candidates.iter().map(|hit| candidate(hit, form, view)).collect_view();
    let more =
        view.more.then(|| view! { <p class="muted">"There are more keys. Enter more of the name."</p> });
    view! {
        <section class="card">
            <header>
                <h2>"Which key is it?"</h2>
            </header>
            <ol class="rows">{rows}</ol>
            {more}
        </section>
    }
    .into_any()
}

/// The same ticket about one of several keys.
fn candidate(hit: &SupportHit, form: &TicketForm, view: &TicketView) -> impl IntoView + use<> {
    let chosen = TicketForm { key: Hidden::new(hit.key.id.to_string()), ..form.clone() };
    let words = format!("{} · {} · {}", hint(&hit.key.last_four), hit.org, hit.key.owner.name);
    view! {
        <li>
            <p class="words">
                <a href=LocalPath::ticket(&chosen)>{hit.key.name.clone()}</a>
                <span class="sub">{words}</span>
            </p>
            {status_badge(&hit.key, view.now, &hit.zone)}
        </li>
    }
}

fn answered(answer: &TicketAnswer, form: &TicketForm, view: &TicketView) -> impl IntoView + use<> {
    let (key, org, zone, now) = (&answer.key, &answer.context.org, &answer.zone, view.now);
    let limits =
        answer.limits.iter().map(|limit| fact(limit_label(limit), limit_words(limit))).collect_view();
    let limits = if answer.limits.is_empty() {
        view! { <p class="muted">"No limit applies."</p> }.into_any()
    } else {
        view! { <dl class="facts">{limits}</dl> }.into_any()
    };
    let heading = match (answer.around, answer.is_near) {
        (Some(at), true) => format!("Within 15 minutes of {}", at.exact(zone)),
        (Some(at), false) => format!("None within 15 minutes of {}. The nearest ones:", at.exact(zone)),
        (None, _) => "The newest ones".to_owned(),
    };
    let requests = if answer.entries.is_empty() {
        view! { <p class="muted">"No requests with this key are stored."</p> }.into_any()
    } else {
        request_list(&answer.context.org.slug, &answer.entries, form.request.as_str(), &[], zone)
    };
    let verdict = answer.verdict.clone().map(|verdict| view! { <p>{verdict}</p> });
    view! {
        <section class="card">
            <header>
                <h2>
                    <a href=LocalPath::key(&org.slug, &key.id)>{key.name.clone()}</a>
                </h2>
                {status_badge(key, now, zone)}
            </header>
            <p>
                <b>{answer.reason.clone()}</b>
            </p>
            {verdict}
            <dl class="facts">
                {fact("Key", view! { <span class="hint">{hint(&key.last_four)}</span> })}
                {fact("Organisation", org.name.clone())} {fact("State", status_reason(key, now, zone))}
                {fact("Who to ask", contacts(&answer.contacts))}
            </dl>
        </section>
        <section class="card">
            <header>
                <h2>"Limits now"</h2>
            </header>
            {limits}
        </section>
        <section class="card">
            <header>
                <h2>"Requests"</h2>
                <p>{heading}</p>
            </header>
            {requests}
        </section>
        <section class="card">
            <header>
                <h2>"Reply"</h2>
            </header>
            <div class="code">
                <pre tabindex="0" role="region" aria-label="Reply">
                    <code id="reply">{answer.reply.clone()}</code>
                </pre>
                {copy_button("Copy reply", "copy", "reply".into())}
            </div>
        </section>
    }
}

fn limit_label(limit: &LimitUse) -> String {
    let whose = match limit.holder {
        HolderKind::Key => "key",
        HolderKind::Team => "team",
        HolderKind::Org => "organisation",
    };
    let what = match limit.what {
        Limited::Budget(Period::Total) => "Total budget",
        Limited::Budget(Period::Month) => "Monthly budget",
        Limited::Budget(Period::Week) => "Weekly budget",
        Limited::Budget(Period::Day) => "Daily budget",
        Limited::Balance => "Balance",
        Limited::Requests => "Requests per minute",
        Limited::Tokens => "Tokens per minute",
        Limited::Concurrent => "Concurrent requests",
    };
    format!("{what}, {whose}")
}

/// Used of the limit, with what requests in progress have reserved.
fn limit_words(limit: &LimitUse) -> String {
    let amount = |number: i64| {
        if limit.what.is_money() { Money::from_nanos(number).to_string() } else { grouped(number) }
    };
    let reserved =
        if limit.reserved > 0 { format!(", {} reserved", amount(limit.reserved)) } else { String::new() };
    format!("{} of {}{reserved}", amount(limit.used), amount(limit.max))
}
