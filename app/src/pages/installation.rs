//! The operators' overview: what organisations spent and will spend, how many of their keys need a look, and which grew.
//! An operator goes into an organisation only where they belong, so other lines lead to its balance.

use keydesk_core::domain::key_filter::StateFilter;
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::{grouped, grouped_to};
use keydesk_core::ops::installation::{self, InstallationView, ListedMonth, MAX_ORGS};
use keydesk_core::ops::keys::MAX_OFFERED;
use leptos::prelude::*;

use crate::ask::{caller, desk};
use crate::layout::{Page, Width};
use crate::pages::overview::{days_chart, grown_card, grown_line, look_tiles};
use crate::pages::page;
use crate::path::LocalPath;
use crate::ui::list::{self, Column};
use crate::ui::tiles::{Tile, tiles};

#[component]
pub fn OperatorOverviewPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = installation::overview(&desk, &caller).await?;
        let under = view! {
            <p class="muted">"Each organisation’s days and months are those of its own time zone."</p>
        };
        let body = view! {
            {money(&view)}
            <h2 class="over">"Keys"</h2>
            {look_tiles(|state| view.looks.of(state), |_| "#keys".to_owned())}
            {chart(&view)}
            {grown(&view)}
            <h2 class="over" id="organisations">"Organisations"</h2>
            {months(&view)}
            <h2 class="over" id="keys">"Keys that need a look"</h2>
            {looks(&view)}
            {more(&view)}
        }
        .into_any();
        Ok(Page::new("Overview", Width::Wide)
            .under(under)
            .path(LocalPath::operator_overview().as_str().to_owned())
            .apart(&view.own, &caller, body))
    })
}

fn money(view: &InstallationView) -> AnyView {
    let (all, month) = (&view.all, &view.month);
    let of_last = Some(format!("of {}", all.before));
    let (orgs, days) = (|| "#organisations".to_owned(), || "#by-day".to_owned());
    tiles(
        "All organisations",
        vec![
            Tile::new("Spent this month", month.spent.to_string(), orgs()),
            Tile::new("Last month to the same day", month.before.to_string(), orgs()).beside(of_last),
            Tile::new("Forecast to the end of the month", month.forecast.to_string(), days()),
            Tile::new("Requests this month", grouped(month.requests), orgs()),
            Tile::new("Organisations", grouped(all.count), LocalPath::operator().into()),
        ],
    )
}

fn chart(view: &InstallationView) -> AnyView {
    let parts = view.parts.iter().map(|part| (part.name.clone(), part.days.as_slice()));
    view! {
        <section class="card" aria-labelledby="by-day">
            <header>
                <h2 id="by-day">"Spend in the last 30 days"</h2>
                <p>{view.totals.iter().sum::<Money>().to_string()}</p>
            </header>
            {days_chart("Spend per day by organisation", (&view.days, &view.totals), parts, "Other")}
        </section>
    }
    .into_any()
}

fn grown(view: &InstallationView) -> Option<AnyView> {
    let line = |one: &installation::GrownOrg| {
        grown_line(place(view, &one.grown.id.slug), &one.grown, &one.yesterday.weekday())
    };
    (!view.grown.is_empty()).then(|| grown_card(view.grown.iter().map(line).collect()))
}

/// Where an organisation's name leads.
fn place(view: &InstallationView, slug: &str) -> LocalPath {
    if view.opens(slug) { LocalPath::overview(slug) } else { LocalPath::operator_balance(slug) }
}

fn name(view: &InstallationView, listed: &ListedMonth) -> AnyView {
    let org = &listed.org.org;
    view! {
        <th scope="row">
            <a class="row-link" href=place(view, &org.slug).as_str().to_owned()>{org.name.clone()}</a>
            <span class="sub">{format!("/{}", org.slug)}</span>
        </th>
    }
    .into_any()
}

fn months(view: &InstallationView) -> AnyView {
    let columns = vec![
        Column::new("Organisation"),
        Column::new("Spent this month").num(),
        Column::new("Last month").num(),
        Column::new("Requests").num(),
        Column::new("Budgets used up").num(),
        Column::new("Nearly used up").class("num drop-2"),
    ];
    let row = |listed: &ListedMonth| {
        let org = &listed.org;
        view! {
            <tr>
                {name(view, listed)}
                <td class="num" data-label="Spent this month">{org.month.spent.to_string()}</td>
                <td class="num" data-label="Last month">{org.before.to_string()}</td>
                <td class="num" data-label="Requests">{grouped(org.month.requests)}</td>
                <td class="num" data-label="Budgets used up">{grouped(listed.used_up)}</td>
                <td class="num drop-2" data-label="Nearly used up">{grouped(listed.near)}</td>
            </tr>
        }
    };
    let rows = view.orgs.iter().map(row).collect_view();
    list::table(true, "Organisations, those that spent most first".into(), columns, rows)
}

/// Of each organisation with such keys; the numbers lead to them where the caller sees every key.
fn looks(view: &InstallationView) -> AnyView {
    let label = |state: StateFilter| state.label();
    let columns = std::iter::once(Column::new("Organisation"))
        .chain(StateFilter::LOOKS.map(|state| Column::new(label(state)).num()));
    let row = |listed: &ListedMonth| {
        let slug = &listed.org.org.slug;
        let opens = view.opens_every_key(slug);
        let cell = |state: StateFilter| {
            let count = listed.looks.of(state);
            let words = grouped_to(count, MAX_OFFERED);
            let words = if count > 0 && opens {
                let to = LocalPath::keys(slug).with_query(&format!("state={}", state.as_str()));
                view! { <a href=to>{words}</a> }.into_any()
            } else {
                words.into_any()
            };
            view! { <td class="num" data-label=label(state)>{words}</td> }
        };
        view! { <tr>{name(view, listed)} {StateFilter::LOOKS.map(cell).collect_view()}</tr> }
    };
    let some: Vec<&ListedMonth> = view.orgs.iter().filter(|listed| listed.looks.any()).collect();
    if some.is_empty() {
        return view! { <p class="muted">"No key of these organisations needs a look."</p> }.into_any();
    }
    let rows = some.into_iter().map(row).collect_view();
    view! {
        <p class="muted">"The numbers lead to the keys of organisations that you are an owner or admin of."</p>
        {list::table(true, "Keys that need a look, by organisation".into(), columns.collect(), rows)}
    }
    .into_any()
}

fn more(view: &InstallationView) -> Option<AnyView> {
    (view.orgs.len() == MAX_ORGS).then(|| {
        view! {
            <p class="muted">
                "Both tables have the 50 organisations that spent most this month. "
                <a href=LocalPath::operator()>"All organisations"</a>
            </p>
        }
        .into_any()
    })
}
