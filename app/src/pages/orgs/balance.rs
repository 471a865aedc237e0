//! An organisation's balance: what is left, its parts, and the ledger. Operators add entries and decide whether it is
//! enforced; the organisation's owners and admins read.

use keydesk_core::domain::ledger::{Balance, Entry, EntryKind};
use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::page::Page as Rows;
use keydesk_core::forms::ledger::{EnterForm, EntryForm};
use keydesk_core::ops::orgs::{self, BalanceView, OperatorActor};
use leptos::prelude::*;

use crate::ask::{self, caller, desk, param};
use crate::layout::{Page, Width, post_form};
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::facts::fact;
use crate::ui::field::{FieldErrors, TextField, described, field_error};
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Address};
use crate::ui::when;

#[component]
pub fn OperatorBalancePage() -> impl IntoView {
    let slug = param("org");
    let at = ask::cursor();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = orgs::balance(&desk, OperatorActor::Operator(&caller), &slug, at.as_ref()).await?;
        let (org, balance) = (&view.org, &view.balance);
        let path = LocalPath::operator_balance(&org.slug);
        let title = format!("Balance of {}", org.name);
        let heading = view! { <span class="words">{title.clone()}</span> {state(balance, &org.zone)} };
        let body = view! {
            <div class="columns">
                <div class="stack">
                    {balance_card(balance, &org.zone)}
                    {entry_card(&view)}
                    {ledger_card(&view.page, path.as_str(), balance.last_seq, &org.zone)}
                </div>
                {enforce_card(&view)}
            </div>
        };
        Ok(Page::new(title, Width::Wide)
            .crumb(LocalPath::operator(), "Organisations")
            .heading(heading)
            .path(path)
            .apart(&view.own, &caller, body))
    })
}

#[component]
pub fn BalancePage() -> impl IntoView {
    let slug = param("org");
    let at = ask::cursor();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = orgs::own_balance(&desk, &caller, &slug, at.as_ref()).await?;
        let (org, balance) = (&view.context.org, &view.balance);
        let path = LocalPath::balance(&org.slug);
        let state = balance.is_kept().then(|| state(balance, &org.zone));
        let heading = view! { "Balance " {state} };
        let inside = if balance.is_kept() {
            view! {
                <div class="stack">
                    {balance_card(balance, &org.zone)}
                    {ledger_card(&view.page, path.as_str(), balance.last_seq, &org.zone)}
                </div>
            }
            .into_any()
        } else {
            view! {
                <section class="empty">
                    {icon(Icon::List)} <h2>"No prepaid balance"</h2>
                    <p>"This organisation has no prepaid balance. Your budgets are under Settings."</p>
                    <div class="actions">
                        <a class="btn" href=LocalPath::settings(&org.slug)>"Go to Settings"</a>
                    </div>
                </section>
            }
            .into_any()
        };
        let under = balance.is_kept().then(|| view! { <p class="muted">{own_words(balance)}</p> });
        Ok(Page::new("Balance", Width::Mid)
            .crumb(LocalPath::settings(&org.slug), "Settings")
            .heading(heading)
            .under(under)
            .path(path)
            .in_org(&view.context, &caller, inside))
    })
}

/// What the balance does, for owners and admins, who cannot change it.
fn own_words(balance: &Balance) -> &'static str {
    if balance.refuses() {
        "The balance is used up. Requests with your keys fail until your administrator adds credit."
    } else if balance.enforced_at.is_some() {
        "When it is used up, requests with your keys fail until your administrator adds credit."
    } else {
        "The balance is not enforced: no request fails because of it. Your administrator adds credit and decides."
    }
}

fn state(balance: &Balance, zone: &Zone) -> AnyView {
    let since =
        balance.enforced_at.map(|at| format!("Enforced since {}.", at.exact(zone))).unwrap_or_default();
    match (balance.enforced_at.is_some(), balance.refuses()) {
        (false, _) => {
            badge(BadgeTone::Idle, "Not enforced".into(), "No request fails because of it.".into()).into_any()
        }
        (true, true) => badge(BadgeTone::Bad, "Out of balance".into(), since).into_any(),
        (true, false) => badge(BadgeTone::Good, "Enforced".into(), since).into_any(),
    }
}

fn balance_card(balance: &Balance, zone: &Zone) -> impl IntoView + use<> {
    let counts = match balance.opening {
        Some(Money::ZERO) => None,
        Some(opening) => Some(format!(
            "{opening} was spent before the balance was first enforced. It is in the ledger as the opening and doesn't count."
        )),
        None => Some(format!(
            "Spend counts from the day the balance is first enforced. {} was spent so far.",
            balance.spent
        )),
    };
    let (since, spent) = match balance.opened_at {
        Some(at) => (format!("Spent since {}", at.date(zone)), balance.spent_since().to_string()),
        None => ("Spent".to_owned(), "Not counted yet".to_owned()),
    };
    let enforced = balance.enforced_at.map(|at| format!("Enforced since {}", at.date(zone)));
    let class = if balance.refuses() { "amount bad" } else { "amount" };
    view! {
        <section class="card">
            <header>
                <h2>"Left to spend"</h2>
                {enforced.map(|words| view! { <p>{words}</p> })}
            </header>
            <p class=class>{balance.left().to_string()}</p>
            <dl class="tiles part">
                {fact("Paid in", balance.paid_in.to_string())}
                {fact("Taken out", balance.taken_out.to_string())}
                {fact(since, spent)}
            </dl>
            {counts.map(|words| view! { <p class="help after">{words}</p> })}
        </section>
    }
}

fn entry_card(view: &BalanceView) -> impl IntoView + use<> {
    let mut form = EnterForm {
        org: view.org.slug.clone(),
        seq: view.balance.last_seq + 1,
        entry: EntryForm { kind: EntryKind::Credit.as_str().into(), ..EntryForm::default() },
    };
    // After an edit conflict the number is a new one; after a mistake it is the one that the form was drawn with.
    let merged = returned().and_then(|form| form.merged);
    if let Some(entry) = merged.and_then(|json| serde_json::from_str::<EntryForm>(&json).ok()) {
        form.entry = entry;
    } else if let Some(sent) = typed::<EnterForm>() {
        (form.entry, form.seq) = (sent.entry, sent.seq);
    }
    let field_errors = field_errors();
    let debit = form.entry.kind == EntryKind::Debit.as_str();
    let note = TextField {
        field: "note",
        name: "form[entry][note]",
        label: "Note",
        help: "Such as the invoice number. The organisation’s owners and admins see it too.",
        ..Default::default()
    };
    let hidden = vec![("org", form.org), ("seq", form.seq.to_string())];
    let inside = view! {
        <fieldset data-field="kind">
            <legend class="sr">"Kind"</legend>
            <div class="segmented">
                <label>
                    <input type="radio" name="form[entry][kind]" value="credit" checked=!debit />
                    "Add credit"
                </label>
                <label>
                    <input type="radio" name="form[entry][kind]" value="debit" checked=debit />
                    "Take out"
                </label>
            </div>
            {field_error("kind", field_errors.of("kind"))}
        </fieldset>
        {amount_field(form.entry.amount, &field_errors)}
        {note.draw(form.entry.note, &field_errors)}
        <div class="actions">
            <button class="btn primary">"Add entry"</button>
        </div>
    };
    view! {
        <section class="card">
            <header>
                <h2>"New entry"</h2>
                <p>"Entries can't be changed or removed. Correct a mistake with another entry."</p>
            </header>
            {post_form("/api/orgs/enter-balance", hidden, inside)}
        </section>
    }
}

fn amount_field(value: String, field_errors: &FieldErrors) -> impl IntoView + use<> {
    let wrong = field_errors.of("amount");
    view! {
        <div class="field" data-field="amount">
            <label class="label" for="amount">
                "Amount"
            </label>
            <span class="affix limited">
                <span>"$"</span>
                <input
                    class="input"
                    id="amount"
                    name="form[entry][amount]"
                    value=value
                    inputmode="decimal"
                    autocomplete="off"
                    required
                    aria-describedby=described("amount", false, wrong.is_some())
                    aria-invalid=wrong.is_some().then_some("true")
                />
            </span>
            {field_error("amount", wrong)}
        </div>
    }
}

fn enforce_card(view: &BalanceView) -> impl IntoView + use<> {
    let (org, balance) = (&view.org, &view.balance);
    let on = balance.enforced_at.is_some();
    let lines = match (on, balance.opening) {
        (true, _) => [
            "When the balance is used up, requests with its keys fail until you add credit.".to_owned(),
            "If you stop enforcing it, no request fails because of it. Spend is still counted.".to_owned(),
        ],
        (false, opening) => [
            "Not enforced: no request fails because of it. Once enforced, requests with its keys fail when nothing is left.".to_owned(),
            match opening {
                None => format!(
                    "Earlier spend, {} so far, is entered as the opening, so the balance starts at what was paid in.",
                    balance.spent
                ),
                Some(_) => "Spend was still counted in the meantime.".to_owned(),
            },
        ],
    };
    let nothing_left = !on && balance.left() <= Money::ZERO;
    let warning = nothing_left.then(|| {
        view! {
            <p class="warn-line">
                {icon(Icon::Warn)}
                <span>
                    <b>"Nothing is left."</b>
                    " Every request would fail immediately. Add credit first."
                </span>
            </p>
        }
    });
    let (value, words) = if on { ("off", "Stop enforcing") } else { ("on", "Enforce balance") };
    let inside = view! {
        <div class="stack">
            {lines.map(|line| view! { <p>{line}</p> })}
            {warning}
        </div>
        <div class="actions">
            <button class="btn" name="form[enforce]" value=value disabled=nothing_left>{words}</button>
        </div>
    };
    view! {
        <section class="card" aria-label="Enforcement">
            <header>
                <h2>"Enforcement"</h2>
            </header>
            {post_form("/api/orgs/enforce-balance", vec![("org", org.slug.clone())], inside)}
        </section>
    }
}

/// `total` is how many entries the ledger has.
fn ledger_card(page: &Rows<Entry>, base: &str, total: i64, zone: &Zone) -> impl IntoView + use<> {
    let rows = page.rows.iter().map(|entry| row(entry, zone)).collect_view();
    let body = match (page.rows.is_empty(), total) {
        (true, 0) => view! { <p class="muted">"No entries yet."</p> }.into_any(),
        (true, _) => {
            view! { <p class="muted">"No entries on this page. " <a href=base.to_owned()>"Show the newest"</a></p> }
                .into_any()
        }
        (false, _) => view! {
            <table class="table">
                <caption class="sr">"Entries, the newest first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Note"</th>
                        <th scope="col">"Kind"</th>
                        <th scope="col" class="num">
                            "Amount"
                        </th>
                        <th scope="col">"By"</th>
                        <th scope="col">"Date"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any(),
    };
    let address = Address::new(base, []);
    let pages = page.only().is_none().then(|| list::pages(page, &address, Some((total, false))));
    view! {
        <section class="card">
            <header>
                <h2>"Ledger"</h2>
            </header>
            {body}
            {pages}
        </section>
    }
}

fn row(entry: &Entry, zone: &Zone) -> impl IntoView + use<> {
    let note = match entry.kind {
        EntryKind::Opening => "Spent before the balance was first enforced".to_owned(),
        EntryKind::Credit | EntryKind::Debit => entry.note.clone(),
    };
    let amount = match entry.kind {
        EntryKind::Credit => format!("+{}", entry.amount),
        EntryKind::Opening | EntryKind::Debit => entry.amount.to_string(),
    };
    view! {
        <tr>
            <th scope="row">{note}</th>
            <td data-label="Kind">{entry.kind.words()}</td>
            <td class="num" data-label="Amount">
                {amount}
            </td>
            <td data-label="By">
                <span class="clip wide" title=entry.who()>
                    {entry.who()}
                </span>
            </td>
            <td class="tight" data-label="Date">
                {when::date(entry.at, zone)}
            </td>
        </tr>
    }
}
