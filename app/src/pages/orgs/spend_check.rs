//! Whether an organisation's spend adds up: what the last checks found, a check now, and a repair when something differs.

use keydesk_core::domain::moment::Zone;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::spend_check::SpendCheck;
use keydesk_core::ops::spend_check::{self, SpendCheckView};
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, post_form};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::facts::fact;
use crate::ui::icon::{Icon, icon};
use crate::ui::when;

#[component]
pub fn SpendCheckPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = spend_check::view(&desk, &caller, &slug).await?;
        let org = &view.context.org;
        let body = view! { <div class="stack">{newest(&view)} {compared(&view)} {checks(&view)}</div> };
        let under = view! {
            <p class="muted">
                "Every night, and when you ask, totals and the counters of budgets are compared with the single requests."
            </p>
        };
        Ok(Page::new("Check of spend", Width::Mid)
            .crumb(LocalPath::settings(&org.slug), "Settings")
            .under(Some(under))
            .path(LocalPath::spend_check(&org.slug))
            .in_org(&view.context, &caller, body))
    })
}

fn newest(view: &SpendCheckView) -> impl IntoView + use<> {
    let org = &view.context.org;
    let org_field = || vec![("org", org.slug.clone())];
    let found = view.checks.first().map(|check| {
        view! {
            <p class=if check.adds_up() { "amount" } else { "amount bad" }>{difference(check)}</p>
            <dl class="tiles part">
                {fact("Checked", when::ago(check.at, view.now, &org.zone))}
                {fact("Requests", grouped(check.requests))}
                {fact("They cost", check.spent.to_string())}
            </dl>
        }
    });
    let none = view.checks.is_empty().then(|| view! { <p class="muted">"Not checked yet."</p> });
    let differing = view.checks.first().filter(|check| !check.adds_up());
    let may_repair = view.context.may(Action::RepairSpend, On::Org);
    let repair = differing.filter(|_| may_repair).map(|check| {
        let names = check.details.iter().map(|name| view! { <li>{name.clone()}</li> }).collect_view();
        let button = view! {
            <div class="actions">
                <button class="btn">"Repair"</button>
            </div>
        };
        view! {
            <p class="warn-line">
                {icon(Icon::Warn)} <span>{differing_words(check.differing)}</span>
            </p>
            <details class="more">
                <summary>{icon(Icon::Right)} "What differs"</summary>
                <ul>{names}</ul>
            </details>
            <p class="help">"A repair brings these totals to what the requests come to. Requests go on meanwhile. It is recorded in the audit."</p>
            {post_form("/api/spend/repair", org_field(), button)}
        }
    });
    let check = view! {
        <div class="actions">
            <button class="btn primary">"Check now"</button>
        </div>
    };
    view! {
        <section class="card stack">
            <header>
                <h2>"Last check"</h2>
            </header>
            {found}
            {none}
            {repair}
            {post_form("/api/spend/check", org_field(), check)}
        </section>
    }
}

/// Exactly what a check compares, and what it leaves out.
fn compared(view: &SpendCheckView) -> impl IntoView + use<> {
    let org = &view.context.org;
    let kept = org.raw_from.map(|day| {
        let words = format!(
            "Requests before {} are no longer kept. Their totals are, and are compared with each other.",
            day.start(&org.zone).date(&org.zone)
        );
        view! { <p class="help">{words}</p> }
    });
    let words = view.windows.words(&org.zone, view.zone_since);
    let left_out = words.map(|words| view! { <p class="help">{words}</p> });
    let compared = [
        "Each day, hour and tag, with the single requests.",
        "Days and months of keys, owners, teams and the organisation, with these days.",
        "Counters of all time, and of the day, week and month that are open now, with these days. Budgets and the balance \
        are decided on these counters.",
        "Counters of days, weeks and months that are over are not compared. No budget is decided on them any more.",
    ];
    view! {
        <section class="card">
            <header>
                <h2>"What is compared"</h2>
            </header>
            <ul class="bullets">{compared.map(|line| view! { <li>{line}</li> }).collect_view()}</ul>
            {left_out}
            {kept}
        </section>
    }
}

/// Of nothing it is $0.00, and otherwise every decimal.
fn difference(check: &SpendCheck) -> String {
    if check.adds_up() {
        "Difference $0.00".to_owned()
    } else {
        format!("Difference {}", check.difference.exact())
    }
}

fn differing_words(count: i64) -> String {
    match count {
        1 => "One total differs from its requests.".to_owned(),
        count => format!("{} totals differ from their requests.", grouped(count)),
    }
}

fn checks(view: &SpendCheckView) -> Option<impl IntoView + use<>> {
    let zone = &view.context.org.zone;
    let rows = view.checks.iter().map(|check| row(check, zone)).collect_view();
    (!view.checks.is_empty()).then(|| {
        view! {
            <section class="card">
                <header>
                    <h2>"Checks"</h2>
                </header>
                <table class="table">
                    <caption class="sr">"Checks, the newest first"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Date"</th>
                            <th scope="col">"Found"</th>
                            <th scope="col" class="num">
                                "Difference"
                            </th>
                            <th scope="col" class="num">
                                "Requests"
                            </th>
                            <th scope="col">"By"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </section>
        }
    })
}

fn row(check: &SpendCheck, zone: &Zone) -> impl IntoView + use<> {
    let (tone, words) =
        if check.adds_up() { (BadgeTone::Good, "Adds up") } else { (BadgeTone::Bad, "Differs") };
    let difference = if check.adds_up() { "$0.00".to_owned() } else { check.difference.exact().to_string() };
    view! {
        <tr>
            <th scope="row">
                <time datetime=check.at.rfc3339() title=check.at.exact(zone)>
                    {check.at.date_time(zone)}
                </time>
            </th>
            <td data-label="Found">{badge(tone, words.into(), differing_words(check.differing))}</td>
            <td class="num" data-label="Difference">
                {difference}
            </td>
            <td class="num" data-label="Requests">
                {grouped(check.requests)}
            </td>
            <td data-label="By" class="tight">{check.actor_name.clone()}</td>
        </tr>
    }
}
