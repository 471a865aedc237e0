//! The list of teams.

use keydesk_core::domain::key_filter::MAX_SEARCH;
use keydesk_core::domain::list_filter::TeamFilter;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::team::WholeTeam;
use keydesk_core::ops::teams::{self, MAX_LIST, TeamsView};
use leptos::prelude::*;

use super::{keys_href, state_badge};
use crate::ask::{self, caller, desk, param, query};
use crate::layout::{Width, framed};
use crate::pages::meters::{budget_cell, share};
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::Icon;
use crate::ui::list::{self, Address, Column, count_words};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;

fn address(slug: &str, filter: &TeamFilter) -> Address {
    let state = if filter.archived { "archived" } else { "" };
    let pairs = [("q", filter.search.clone()), ("state", state.to_owned())];
    Address::new(LocalPath::teams(slug).as_str(), pairs)
}

#[component]
pub fn TeamsPage() -> impl IntoView {
    let slug = param("org");
    let filter =
        TeamFilter { search: ask::search(), archived: query("state").as_deref() == Some("archived") };
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::list(&desk, &caller, &slug, &filter).await?;
        let new = format!("/{slug}/teams/new");
        let create = view.context.may(Action::CreateTeam, On::Org).then(|| list::create(&new, "Create team"));
        let some = !view.none_at_all;
        let count = some.then(|| count_words(view.count as i64, false, "team", "teams"));
        let (actions, create) = if some { (create, None) } else { (None, create) };
        let body = view! {
            {title("Teams")}
            {notice_line()}
            {page_head(vec![], list::heading("Teams", count), ().into_any(), actions.into_any())}
            {if some { listed(&view, &filter) } else { empty(create) }}
        };
        Ok(framed(&view.context, &caller, LocalPath::teams(&slug).as_str(), Width::Wide, body.into_any()))
    })
}

fn empty(create: Option<AnyView>) -> AnyView {
    let words = match create {
        Some(_) => {
            "A team manages its own keys within the models, budgets and limits that you set for it. Teams are listed here with what they spend."
        }
        None => {
            "Teams that you are in are listed here with what they spend. An owner or an admin creates them."
        }
    };
    list::empty(Icon::Team, "No teams yet".into(), words, create)
}

fn listed(view: &TeamsView, filter: &TeamFilter) -> AnyView {
    let slug = &view.context.org.slug;
    let chip = |words: &'static str, archived: bool| {
        (words, address(slug, &TeamFilter { archived, ..filter.clone() }), archived == filter.archived)
    };
    let search =
        SearchBox { name: "q", placeholder: "Part of a name", label: "Search teams", max: Some(MAX_SEARCH) };
    view! {
        {list::toolbar(&address(slug, filter), search, &filter.search)}
        {list::chips("State", [chip("In use", false), chip("Archived", true)])}
        {if view.teams.is_empty() { none_found(slug, filter) } else { table(view) }}
    }
    .into_any()
}

fn none_found(slug: &str, filter: &TeamFilter) -> AnyView {
    let (what, words) = if filter.archived {
        ("No archived team", "Archived teams are listed here and can be restored.")
    } else {
        ("No team", "The search looks at names. Archived teams are under their own filter.")
    };
    let heading = match filter.search.as_str() {
        "" => what.to_owned(),
        search => format!("{what} matches “{search}”"),
    };
    list::none_found(heading, words, LocalPath::teams(slug).as_str(), "Clear search and filters")
}

fn table(view: &TeamsView) -> AnyView {
    let org = &view.context.org;
    let total: Money = view.teams.iter().map(|team| team.month_spent).sum();
    let before: Money = view.last_month.iter().copied().sum();
    let rows = view
        .teams
        .iter()
        .zip(&view.last_month)
        .map(|(team, last_month)| row(team, (*last_month, total), &org.slug, (view.now, &org.zone)));
    let rows = rows.collect_view();
    let all = (1 < view.count && view.count <= MAX_LIST).then(|| {
        view! {
            <tr class="total">
                <th scope="row">"Total"</th>
                <td class="drop-2"></td>
                <td></td>
                <td></td>
                <td data-label="Spent this month" class="num">{total.to_string()}</td>
                <td></td>
                <td data-label="Last month" class="num drop-3">{before.to_string()}</td>
                <td></td>
                <td class="drop-1"></td>
            </tr>
        }
    });
    let more = (view.count > MAX_LIST).then(|| {
        let words = format!("The first {MAX_LIST} by name. Search to find the others.");
        view! { <p class="muted">{words}</p> }
    });
    let columns = vec![
        Column::new("Name"),
        Column::new("Team admins").class("drop-2"),
        Column::new("People").num(),
        Column::new("Live keys").num(),
        Column::new("Spent this month").num(),
        Column::new("Share").num(),
        Column::new("Last month").class("num drop-3"),
        Column::new("Budget"),
        Column::new("Limits").class("drop-1"),
    ];
    view! {
        {list::table(true, "Teams, sorted by name".into(), columns, view! { {rows} {all} })}
        {more}
    }
    .into_any()
}

/// `last_month` is what the team spent then, `total` what all of the list spent this month.
fn row(
    team: &WholeTeam,
    (last_month, total): (Money, Money),
    slug: &str,
    (now, zone): (Moment, &Zone),
) -> impl IntoView + use<> {
    const NAMED: usize = 2;
    let names: Vec<&str> = team.admins.iter().map(|person| person.name.as_str()).collect();
    let (all, shown) = (names.join(", "), names[..names.len().min(NAMED)].join(", "));
    let admins = match names.len() {
        0 => view! { <span class="muted">"None"</span> }.into_any(),
        1..=NAMED => view! { <span>{shown}</span> }.into_any(),
        many => view! { <span title=all>{format!("{shown} and {} more", many - NAMED)}</span> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <a
                    class="row-link"
                    href=LocalPath::team(slug, &team.id).as_str().to_owned()
                    title=team.spec.name.clone()
                >
                    {team.spec.name.clone()}
                </a>
                {state_badge(team, now, zone)}
            </th>
            <td data-label="Team admins" class="drop-2">{admins}</td>
            <td data-label="People" class="num">
                {grouped(team.people)}
            </td>
            <td data-label="Live keys" class="num">
                <a href=keys_href(slug, team) title="Show its keys">
                    {team.live_keys_words()}
                </a>
            </td>
            <td data-label="Spent this month" class="num">
                {team.month_spent.to_string()}
            </td>
            <td data-label="Share" class="num">{share(team.month_spent, total)}</td>
            <td data-label="Last month" class="num drop-3">{last_month.to_string()}</td>
            <td data-label="Budget">{budget_cell(&team.budgets)}</td>
            <td data-label="Limits" class="full drop-1 tight">
                {team.spec.bounds.limits.summary()}
            </td>
        </tr>
    }
}
