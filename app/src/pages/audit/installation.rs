//! The installation's own audit, for operators.

use std::collections::BTreeSet;

use keydesk_core::domain::moment::Zone;
use keydesk_core::ops::audit;
use leptos::prelude::*;

use super::{Links, by_day};
use crate::ask::{self, caller, desk};
use crate::layout::{Width, framed_apart};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address};
use crate::ui::page_head::page_head;

#[component]
pub fn InstallationAuditPage() -> impl IntoView {
    let at = ask::cursor();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = audit::list_installation(&desk, &caller, at.as_ref()).await?;
        let path = LocalPath::installation_audit();
        let count = list::count_words(view.total, false, "event", "events");
        let under = view! {
            <p class="muted">
                "Providers, models, balances, organisations, and the accounts of operators and support. Times are UTC. No event can be edited or removed."
            </p>
        };
        let there = BTreeSet::new();
        let links = Links { slug: "", there: &there };
        let events = if view.page.rows.is_empty() {
            let words = "Changes of providers, models, balances and accounts are listed here.";
            list::empty(Icon::List, "No events yet".into(), words, ())
        } else {
            view! {
                <div class="stack roomy">{by_day(&view.page.rows, &links, &Zone::utc())}</div>
                {list::pages(&view.page, &Address::new(path.as_str(), []), Some((view.total, false)))}
            }
            .into_any()
        };
        let body = view! {
            {title("Installation audit")}
            {notice_line()}
            {page_head(vec![], list::heading("Installation audit", Some(count)), under.into_any(), ().into_any())}
            {events}
        };
        Ok(framed_apart(&view.own, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}
