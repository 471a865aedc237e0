//! One team: its spend and limits, its people, the keys that exceed its limits, and actions.

use keydesk_core::domain::limit_use::HolderKind;
use keydesk_core::domain::member::TeamPerson;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, KeyFacts, MemberFacts, On, OrgRole};
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::domain::team::{TeamRole, WholeTeam};
use keydesk_core::ops::limits::{self, LimitsView};
use keydesk_core::ops::teams::{self, TeamView};
use leptos::prelude::*;

use super::{crumbs, keys_href, state_badge};
use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed};
use crate::pages::limits::{next_stop_line, shadow_card};
use crate::pages::meters::{meters as budget_meters, meters_or_month};
use crate::pages::spend::spend_part;
use crate::pages::{here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::facts::code_list;
use crate::ui::field::on_page;
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::when;

/// How many keys above the limits are named; the others are counted.
const ABOVE_NAMED: usize = 20;

#[component]
pub fn TeamPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::show(&desk, &caller, &slug, &id).await?;
        let stops = limits::of_team(&desk, &caller, &slug, &id).await?;
        let shadows = limits::shadows_of_team(&desk, &caller, &slug, &id).await?;
        let (team, zone) = (&view.team, &view.context.org.zone);
        let heading = view! {
            <span class="words">{team.spec.name.clone()}</span>
            {state_badge(team, view.now, zone)}
        };
        let body = view! {
            {title(team.spec.name.clone())}
            {notice_line()}
            {page_head(crumbs(&slug, None), heading.into_any(), under(&view, &stops).into_any(), actions(&view))}
            <div class="columns">
                <div class="stack">{spend_card(&view)} {limits_card(team)}
                    {shadow_card(&shadows, &slug, (HolderKind::Team, team.id.as_str()), zone)} {above_card(&view)} {people_card(&view)}</div>
                {about_card(&view)}
            </div>
        };
        let path = LocalPath::team(&slug, &team.id).as_str().to_owned();
        Ok(framed(&view.context, &caller, &path, Width::Wide, body.into_any()))
    })
}

fn under(view: &TeamView, stops: &LimitsView) -> impl IntoView + use<> {
    let team = &view.team;
    let people = match team.people {
        1 => "1 person".to_owned(),
        many => format!("{} people", grouped(many)),
    };
    let keys = match team.live_keys {
        1 => "1 live key".to_owned(),
        _ => format!("{} live keys", team.live_keys_words()),
    };
    let archived = team.archived_at.map(|at| {
        let words = format!("Archived {}. Its keys don’t work.", at.date(&view.context.org.zone));
        view! { <span>{words}</span> }
    });
    view! {
        <p class="facts-line muted">
            <span>{people}</span>
            <a href=keys_href(&view.context.org.slug, team)>{keys}</a>
            {archived}
            {team.archived_at.is_none().then(|| next_stop_line(stops))}
        </p>
    }
}

fn actions(view: &TeamView) -> AnyView {
    let (slug, team) = (&view.context.org.slug, &view.team);
    let may = |action| view.context.may(action, On::Team(&team.id));
    let base = LocalPath::team(slug, &team.id).as_str().to_owned();
    let in_use = team.archived_at.is_none();
    let facts = KeyFacts { id: None, team: Some(&team.id), owner: view.context.principal.person() };
    let key = (in_use && view.context.may(Action::CreateKey, On::Key(facts))).then(|| {
        view! {
            <a class="btn" href=format!("/{slug}/keys/new?team={}", team.id)>
                {icon(Icon::Plus)}
                "Create key"
            </a>
        }
    });
    let edit = (in_use && may(Action::EditTeam)).then(|| {
        view! {
            <a class="btn" href=format!("{base}/edit")>
                {icon(Icon::Pen)}
                "Edit"
            </a>
        }
    });
    let archive = (in_use && may(Action::ArchiveTeam)).then(|| {
        view! {
            <a class="btn danger-quiet" href=format!("{base}/archive")>
                {icon(Icon::Ban)}
                "Archive"
            </a>
        }
    });
    let restore = (!in_use && may(Action::ArchiveTeam)).then(|| {
        view! {
            <form method="post" action="/api/teams/restore" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[id]" value=team.id.to_string() />
                <button class="btn">{icon(Icon::Play)} "Restore"</button>
            </form>
        }
    });
    view! { <div class="actions">{key} {edit} {archive} {restore}</div> }.into_any()
}

fn spend_card(view: &TeamView) -> impl IntoView + use<> {
    let (team, zone, now) = (&view.team, &view.context.org.zone, view.now);
    let meters = meters_or_month(&team.budgets, team.month_spent, now, zone);
    let org = (!view.left.budgets.is_empty()).then(|| {
        view! {
            <div class="part">
                <header class="part-head">
                    <h3>"The organisation"</h3>
                    <p>"All keys of " {view.context.org.name.clone()}</p>
                </header>
                <div class="meters">{budget_meters(&view.left.budgets, now, zone)}</div>
            </div>
        }
    });
    view! {
        <section class="card">
            <header>
                <h2>"Spend"</h2>
                <p>"All keys of the team"</p>
            </header>
            <div class="meters">{meters}</div>
            {org}
            {spend_part(&view.context.org.slug, &view.card)}
        </section>
    }
}

fn limits_card(team: &WholeTeam) -> impl IntoView + use<> {
    let tile = |label: &'static str, limit: Option<i64>| {
        let value = limit.map_or("No limit".to_owned(), grouped);
        view! {
            <div>
                <dt>{label}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let limits = team.spec.bounds.limits;
    view! {
        <section class="card">
            <header>
                <h2>"Limits"</h2>
                <p>"Shared by all keys of the team, and the maximum for each"</p>
            </header>
            <dl class="tiles">
                {tile("Requests per minute", limits.rpm)} {tile("Tokens per minute", limits.tpm)}
                {tile("Concurrent requests", limits.concurrent)}
            </dl>
        </section>
    }
}

/// `None` while every key is within the limits.
fn above_card(view: &TeamView) -> Option<impl IntoView + use<>> {
    let (slug, bounds) = (&view.context.org.slug, &view.team.spec.bounds);
    let count = view.above.len();
    if count == 0 {
        return None;
    }
    let rows = view
        .above
        .iter()
        .take(ABOVE_NAMED)
        .map(|key| {
            let hit: Vec<String> = bounds
                .check(&view.team.spec.name, &key.spec().bounds(), None)
                .into_iter()
                .map(|error| bound_word(&error.field).to_owned())
                .collect();
            view! {
                <li>
                    {icon(Icon::Key)} <a href=LocalPath::key(slug, &key.id).as_str().to_owned()>{key.name.clone()}</a>
                    <span class="muted">{hit.join(", ")}</span>
                </li>
            }
        })
        .collect_view();
    let words = match count {
        1 => "1 key is above the team’s current limits".to_owned(),
        many => format!("{} keys are above the team’s current limits", grouped(many as i64)),
    };
    let some = if view.compared_some { " (of the newest 1,000)" } else { "" };
    let more = (count > ABOVE_NAMED)
        .then(|| view! { <p class="muted">{format!("And {} more.", count - ABOVE_NAMED)}</p> });
    view! {
        <section class="card">
            <header>
                <h2>"Above the limits"</h2>
                <p>{format!("{words}{some}")}</p>
            </header>
            <ul class="history">{rows}</ul>
            {more}
        </section>
    }
    .into()
}

fn bound_word(field: &str) -> &str {
    match field {
        "models" => "models",
        "month" => "monthly budget",
        "week" => "weekly budget",
        "day" => "daily budget",
        "total" => "total budget",
        "rpm" => "requests per minute",
        "tpm" => "tokens per minute",
        "concurrent" => "concurrent requests",
        other => other,
    }
}

fn people_card(view: &TeamView) -> impl IntoView + use<> {
    let (slug, team) = (&view.context.org.slug, &view.team);
    let manages =
        team.archived_at.is_none() && view.context.may(Action::ManageTeamPeople, On::Team(&team.id));
    let add = manages.then(|| {
        let href = format!("{}/add", LocalPath::team(slug, &team.id).as_str());
        view! {
            <a class="btn" href=href>
                {icon(Icon::Plus)}
                "Add member"
            </a>
        }
    });
    let rows = view.people.iter().map(|person| person_row(view, person, manages)).collect_view();
    let people: AnyView = if view.people.is_empty() {
        let words = if manages {
            "This team has no people yet. Add a team admin first: they manage its keys and people."
        } else {
            "This team has no people yet."
        };
        view! { <p class="muted">{words}</p> }.into_any()
    } else {
        view! {
            <table class="table">
                <caption class="sr">"People of the team, by name"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col" class="num">
                            "Live keys"
                        </th>
                        {manages.then(|| view! { <th scope="col"><span class="sr">"Actions"</span></th> })}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    view! {
        <section class="card">
            <header>
                <h2>"People"</h2>
                {add}
            </header>
            {people}
        </section>
    }
}

fn person_row(view: &TeamView, person: &TeamPerson, manages: bool) -> impl IntoView + use<> {
    let (slug, team) = (&view.context.org.slug, &view.team);
    let teams = [team.id.clone()];
    let facts = MemberFacts { person: &person.id, role: person.org_role, becomes: None, teams: &teams };
    let acts = manages && view.context.may(Action::ManageTeamPeople, On::TeamMember(&team.id, facts));
    let href = format!("{}/people/{}", LocalPath::team(slug, &team.id).as_str(), person.id);
    let org_role = match person.org_role {
        OrgRole::Owner => Some("Owner of the organisation"),
        OrgRole::Admin => Some("Admin of the organisation"),
        OrgRole::Member => None,
    };
    let also = if person.disabled { Some("Disabled") } else { org_role };
    let also = also.map(|words| view! { <span class="sub">{words}</span> });
    let email = manages.then(|| view! { <span class="sub">{person.email.clone()}</span> });
    let action = manages.then(|| {
        let label = format!("Change {}’s role in the team", person.name);
        view! {
            <td class="num">
                {acts.then(|| view! { <a class="btn quiet" href=href aria-label=label>"Change"</a> })}
            </td>
        }
    });
    let role = match person.role {
        TeamRole::Admin => view! { <b>{TeamRole::Admin.words()}</b> }.into_any(),
        TeamRole::Member => TeamRole::Member.words().into_any(),
    };
    let name = person.name.clone();
    let name = match view.context.may(Action::SeeMember, On::Member(facts)) {
        true => view! { <a href=LocalPath::member(slug, &person.id)>{name}</a> }.into_any(),
        false => name.into_any(),
    };
    view! {
        <tr>
            <th scope="row">{name} {email}</th>
            <td data-label="Role" class="tight">
                {role} {also}
            </td>
            <td data-label="Live keys" class="num">
                {grouped(person.live_keys)}
            </td>
            {action}
        </tr>
    }
}

fn about_card(view: &TeamView) -> impl IntoView + use<> {
    let (team, zone) = (&view.team, &view.context.org.zone);
    let fact = |label: &'static str, value: AnyView| {
        view! {
            <div>
                <dt>{label}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let models = match &team.spec.bounds.models {
        ModelScope::Listed(patterns) if !patterns.is_empty() => {
            code_list(patterns.iter().map(|pattern| pattern.as_str().to_owned()), "models")
        }
        ModelScope::Every | ModelScope::Listed(_) => "All models".into_any(),
    };
    let state = match team.archived_at {
        Some(at) => format!("Archived {}. Its keys don’t work until it is restored.", at.exact(zone)),
        None => "In use".to_owned(),
    };
    view! {
        <aside class="card" aria-label="About this team">
            <header>
                <h2>"About"</h2>
            </header>
            <dl class="facts">
                {fact("State", state.into_any())}
                {fact("ID", view! { <code>{team.id.to_string()}</code> }.into_any())}
                {fact("Created", when::date(team.created_at, zone).into_any())} {fact("Models", models)}
            </dl>
        </aside>
    }
}
