//! The list of teams. Its state is in the address: search and filter can be linked and work without script.

use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::team::WholeTeam;
use keydesk_core::domain::window::Period;
use keydesk_core::ops::teams::{self, MAX_LIST, TeamFilter, TeamsView};
use leptos::prelude::*;

use super::{keys_href, state_badge};
use crate::ask::{caller, desk, param, query};
use crate::layout::{Width, framed};
use crate::pages::meters::thin_meter;
use crate::pages::{notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;

/// Characters; the longest name has fewer.
const MAX_SEARCH: usize = 100;

#[component]
pub fn TeamsPage() -> impl IntoView {
    let slug = param("org");
    let filter = TeamFilter {
        search: query("q").unwrap_or_default().chars().take(MAX_SEARCH).collect(),
        archived: query("state").as_deref() == Some("archived"),
    };
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::list(&desk, &caller, &slug, &filter).await?;
        let may_create = view.context.may(Action::CreateTeam, On::Org);
        let create = || {
            let href = format!("/{slug}/teams/new");
            may_create.then(|| {
                view! {
                    <a class="btn primary" href=href aria-keyshortcuts="n" data-shortcut="n">
                        {icon(Icon::Plus)}
                        "Create team"
                        <kbd aria-hidden="true">"n"</kbd>
                    </a>
                }
            })
        };
        let count = match view.count {
            1 => "1 team".to_owned(),
            count => format!("{} teams", grouped(count as i64)),
        };
        let heading = view! {
            "Teams "
            {(!view.none_at_all).then(|| view! { <small class="count muted">{count}</small> })}
        };
        let actions = (!view.none_at_all).then(create);
        let content =
            if view.none_at_all { empty(create().into_any(), may_create) } else { listed(&view, &filter) };
        let body = view! {
            {title("Teams")}
            {notice_line()}
            {page_head(vec![], heading.into_any(), ().into_any(), actions.into_any())}
            {content}
        };
        Ok(framed(&view.context, &caller, &format!("/{slug}/teams"), Width::Wide, body.into_any()))
    })
}

fn empty(create: AnyView, may_create: bool) -> AnyView {
    let words = if may_create {
        "A team looks after its own keys within the models, budgets and limits that you set for it. Teams are listed here with what they spend."
    } else {
        "Teams that you are in are listed here with what they spend. An owner or an admin creates them."
    };
    view! {
        <section class="empty">
            {icon(Icon::Team)} <h2>"No teams yet"</h2> <p>{words}</p>
            {may_create.then(|| view! { <div class="actions">{create}</div> })}
        </section>
    }
    .into_any()
}

fn href(slug: &str, filter: &TeamFilter) -> String {
    let search = (!filter.search.is_empty()).then_some(("q", filter.search.as_str()));
    let archived = filter.archived.then_some(("state", "archived"));
    let pairs: Vec<_> = search.into_iter().chain(archived).collect();
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    LocalPath::teams(slug).with_query(&query).as_str().to_owned()
}

fn listed(view: &TeamsView, filter: &TeamFilter) -> AnyView {
    let slug = &view.context.org.slug;
    let state = |archived: bool, label: &'static str| {
        let href = href(slug, &TeamFilter { archived, ..filter.clone() });
        let current = (archived == filter.archived).then_some("true");
        view! { <a href=href aria-current=current>{label}</a> }
    };
    let kept = filter.archived.then(|| view! { <input type="hidden" name="state" value="archived" /> });
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="get" action=LocalPath::teams(slug).as_str().to_owned()>
                {kept}
                {SearchBox { name: "q", placeholder: "Part of a name", label: "Search teams", max: Some(MAX_SEARCH) }.draw(filter.search.clone())}
            </form>
        </div>
        <nav class="chips" aria-label="State">{state(false, "In use")} {state(true, "Archived")}</nav>
        {if view.teams.is_empty() { none_found(slug, filter) } else { table(view) }}
    }
    .into_any()
}

fn none_found(slug: &str, filter: &TeamFilter) -> AnyView {
    let (what, words) = if filter.archived {
        ("No archived team", "Teams that are taken out of use are listed here and can be restored.")
    } else {
        ("No team", "The search looks at names. Archived teams are under their own filter.")
    };
    let heading = match filter.search.as_str() {
        "" => what.to_owned(),
        search => format!("{what} matches “{search}”"),
    };
    view! {
        <section class="empty">
            {icon(Icon::Search)} <h2>{heading}</h2> <p>{words}</p> <div class="actions">
                <a class="btn" href=LocalPath::teams(slug).as_str().to_owned()>
                    "Clear search and filters"
                </a>
            </div>
        </section>
    }
    .into_any()
}

fn table(view: &TeamsView) -> AnyView {
    let org = &view.context.org;
    let rows = view.teams.iter().map(|team| row(team, &org.slug, view.now, &org.zone)).collect_view();
    let more = (view.count > MAX_LIST).then(|| {
        let words = format!("The first {MAX_LIST} by name. Search to find the others.");
        view! { <p class="muted">{words}</p> }
    });
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr">"Teams, sorted by name"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Team admins"</th>
                        <th scope="col" class="num">
                            "People"
                        </th>
                        <th scope="col" class="num">
                            "Live keys"
                        </th>
                        <th scope="col">"Spent this month"</th>
                        <th scope="col" class="drop-2">
                            "Limits"
                        </th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {more}
    }
    .into_any()
}

fn row(team: &WholeTeam, slug: &str, now: Moment, zone: &Zone) -> impl IntoView + use<> {
    const NAMED: usize = 2;
    let names: Vec<&str> = team.admins.iter().map(|person| person.name.as_str()).collect();
    let (all, shown) = (names.join(", "), names[..names.len().min(NAMED)].join(", "));
    let admins = match names.len() {
        0 => view! { <span class="muted">"Nobody"</span> }.into_any(),
        1..=NAMED => view! { <span>{shown}</span> }.into_any(),
        many => view! { <span title=all>{format!("{shown} and {} more", many - NAMED)}</span> }.into_any(),
    };
    let month = team.budgets.iter().find(|used| used.budget.period == Period::Month);
    let spend = match month {
        Some(used) => thin_meter(used.spent, used.budget.amount),
        None => view! {
            <div class="meter thin">
                <p>
                    <span>
                        <b>{team.month_spent.to_string()}</b>
                    </span>
                    <span class="muted">"No limit"</span>
                </p>
            </div>
        }
        .into_any(),
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
            <td data-label="Team admins">{admins}</td>
            <td data-label="People" class="num">
                {grouped(team.people)}
            </td>
            <td data-label="Live keys" class="num">
                <a href=keys_href(slug, team) title="Show its keys">
                    {team.live_keys_words()}
                </a>
            </td>
            <td data-label="Spent this month" class="full">
                {spend}
            </td>
            <td data-label="Limits" class="full drop-2 tight">
                {team.spec.bounds.limits.summary()}
            </td>
        </tr>
    }
}
