//! The list of asks: open ones first, and those that are answered.

use keydesk_core::domain::ask::{Ask, AskState, BudgetHolder, Wanted};
use keydesk_core::domain::window::Period;
use keydesk_core::ops::asks::{self, AsksView};
use leptos::prelude::*;

use super::{state_badge, title_of};
use crate::ask::{caller, cursor, desk, param, query};
use crate::layout::{Page, Width};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Address, Column};
use crate::ui::when;

fn address(slug: &str, open: bool) -> Address {
    let state = if open { "" } else { "answered" };
    Address::new(LocalPath::asks(slug).as_str(), [("state", state.to_owned())])
}

#[component]
pub fn AsksPage() -> impl IntoView {
    let slug = param("org");
    let open = query("state").as_deref() != Some("answered");
    let at = cursor();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = asks::list(&desk, &caller, &slug, open, at.as_ref()).await?;
        let new = view.may_ask_for_key.then(|| {
            view! {
                <a class="btn" href=LocalPath::ask_for_key(&slug)>
                    {icon(Icon::Plus)}
                    "Ask for a key"
                </a>
            }
        });
        let chips = [("Open", address(&slug, true), open), ("Answered", address(&slug, false), !open)];
        let body = view! {
            {list::chips("State", chips)}
            {if view.page.rows.is_empty() { empty(open) } else { table(&view, open) }}
        };
        Ok(Page::new("Asks", Width::Wide)
            .under(view! { <p class="muted">"Requests for more of a budget, and for new keys."</p> })
            .actions(new)
            .in_org(&view.context, &caller, body))
    })
}

fn empty(open: bool) -> AnyView {
    let (heading, words) = if open {
        (
            "No open asks",
            "When a key needs more of a budget, its owner can ask for it on the key’s page. Open asks are listed here until they are answered.",
        )
    } else {
        ("No answered asks", "Asks that were granted, refused or withdrawn are listed here.")
    };
    list::empty(Icon::Inbox, heading.into(), words, ())
}

fn table(view: &AsksView, open: bool) -> AnyView {
    let rows = view.page.rows.iter().map(|ask| row(ask, view)).collect_view();
    let columns = vec![
        Column::new("Ask"),
        Column::new("From"),
        Column::new("Amount").num(),
        Column::new("Until"),
        Column::new("Reason").class("drop-2"),
        Column::new(if open { "Asked" } else { "Answered" }),
    ];
    let slug = &view.context.org.slug;
    view! {
        {list::table(true, "Asks, the newest first".into(), columns, rows)}
        {list::pages(&view.page, &address(slug, open), None)}
    }
    .into_any()
}

fn row(ask: &Ask, view: &AsksView) -> impl IntoView + use<> {
    let (slug, zone) = (&view.context.org.slug, &view.context.org.zone);
    let (amount, until) = match &ask.wanted {
        Wanted::Budget { amount, period, until, .. } => {
            let until = ask.grant.map_or(*until, |grant| grant.until);
            let amount = ask.grant.map_or(*amount, |grant| grant.amount);
            (format!("{amount}{}", per(*period)), until.last_day(zone))
        }
        Wanted::Key { month, .. } => {
            let amount = month.map(|amount| format!("{amount}{}", per(Period::Month)));
            (amount.unwrap_or_else(|| "–".into()), "–".to_owned())
        }
    };
    let own = ask.person.id == *view.context.principal.person();
    let from = if own { "You".to_owned() } else { ask.person.name.clone() };
    let at = ask.answered_at.unwrap_or(ask.asked_at);
    // Most ask for more of their key’s own budget; of another one it is said.
    let of = match &ask.wanted {
        Wanted::Budget { holder: BudgetHolder::Team(_) | BudgetHolder::Org, holder_name, .. } => {
            Some(view! { <span class="sub">{format!("Of {holder_name}’s budget")}</span> })
        }
        Wanted::Budget { .. } | Wanted::Key { .. } => None,
    };
    let badge = (ask.state != AskState::Open).then(|| state_badge(ask, zone));
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=LocalPath::ask(slug, &ask.id)>
                    {title_of(ask)}
                </a>
                {of}
                {badge}
            </th>
            <td data-label="From" class="tight">
                {from}
            </td>
            <td data-label="Amount" class="num">
                {amount}
            </td>
            <td data-label="Until" class="tight">
                {until}
            </td>
            <td data-label="Reason" class="full drop-2">
                {ask.reason.clone()}
            </td>
            <td data-label="When">{when::ago(at, view.now, zone)}</td>
        </tr>
    }
}

fn per(period: Period) -> &'static str {
    match period {
        Period::Total => " total",
        Period::Month => "/month",
        Period::Week => "/week",
        Period::Day => "/day",
    }
}
