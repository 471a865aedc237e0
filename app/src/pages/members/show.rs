//! One member: role, teams, keys, history and actions.

use std::collections::BTreeSet;

use keydesk_core::domain::member::TeamMembership;
use keydesk_core::domain::policy::{Action, On, OrgRole};
use keydesk_core::forms::member::RoleForm;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::invitations::roles_to_grant;
use keydesk_core::ops::members::{self, MemberView};
use leptos::prelude::*;

use super::{crumbs, role_options, role_word, state_badge};
use crate::ask::{caller, desk, param};
use crate::key_status::status_badge as key_badge;
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::pages::audit::{Links, event_row};
use crate::pages::keys::key_hint;
use crate::pages::spend::spend_part;
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{on_page, select_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::when;

/// Keys on the page; the others are in the list of keys.
const KEYS_SHOWN: usize = 20;

#[component]
pub fn MemberPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = members::show(&desk, &caller, &slug, &id).await?;
        let (org, member) = (&view.context.org, &view.member);
        let path = LocalPath::member(&org.slug, &member.id).as_str().to_owned();
        let listed = view.context.may(Action::ListMembers, On::Org);
        let above = if listed { vec![crumbs(&org.slug)] } else { vec![] };
        let heading = view! {
            <span class="words">{member.name.clone()}</span>
            {state_badge(member, &org.zone)}
        };
        let under = view! { <p class="muted">{member.email.clone()}</p> };
        let body = view! {
            {title(member.name.clone())}
            {notice_line()}
            {page_head(above, heading.into_any(), under.into_any(), actions(&view, &caller))}
            <div class="columns">
                <div class="stack">{spend_card(&view)} {role_card(&view, &caller)} {keys_card(&view)} {history_card(&view)}</div>
                {about_card(&view, &caller)}
            </div>
        };
        Ok(framed(&view.context, &caller, &path, Width::Wide, body.into_any()))
    })
}

fn actions(view: &MemberView, caller: &Caller) -> AnyView {
    let (org, member) = (&view.context.org, &view.member);
    let may = |action| view.context.may(action, On::Member(view.facts()));
    let base = LocalPath::member(&org.slug, &member.id).as_str().to_owned();
    let post = |action: &'static str, sign: Icon, words: &'static str| {
        view! {
            <form method="post" action=format!("/api/members/{action}") data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                <input type="hidden" name="form[id]" value=member.id.to_string() />
                <button class="btn">{icon(sign)} {words}</button>
            </form>
        }
    };
    let left = member.removed_at.is_some();
    let keys = (!member.active() && view.context.may(Action::RevokeKey, On::Org)).then(|| {
        let href = LocalPath::offboarding(&org.slug, &member.id).as_str().to_owned();
        view! { <a class="btn" href=href>{icon(Icon::Key)} "Decide about keys"</a> }
    });
    let disable =
        (member.active() && may(Action::DisableMember)).then(|| post("disable", Icon::Pause, "Disable"));
    // Enabling an owner or an admin requires a recent sign-in, which the card below asks for.
    let at_once = member.role == OrgRole::Member || caller.recently_authenticated(view.now);
    let enable = (!member.active() && !left && at_once && may(Action::EnableMember))
        .then(|| post("enable", Icon::Play, "Enable"));
    let remove = (!left && may(Action::RemoveMember)).then(|| {
        view! { <a class="btn danger-quiet" href=format!("{base}/remove")>{icon(Icon::Ban)} "Remove"</a> }
    });
    let leave = (member.id == caller.person.id && view.context.may(Action::Leave, On::Org)).then(|| {
        let words = format!("Leave {}", org.name);
        view! { <a class="btn danger-quiet" href=format!("/{}/leave", org.slug)>{icon(Icon::Out)} {words}</a> }
    });
    view! { <div class="actions">{keys} {enable} {disable} {remove} {leave}</div> }.into_any()
}

fn role_card(view: &MemberView, caller: &Caller) -> Option<impl IntoView + use<>> {
    let (org, member) = (&view.context.org, &view.member);
    let may = |action| view.context.may(action, On::Member(view.facts()));
    if member.removed_at.is_some() || !may(Action::ChangeRole) {
        return None;
    }
    let field_errors = field_errors();
    let sent: Option<RoleForm> = typed();
    let chosen = sent.map_or(member.role.as_str().to_owned(), |sent| sent.role);
    let enable = (!member.active() && !caller.recently_authenticated(view.now) && may(Action::EnableMember))
        .then(|| {
            view! {
                <form class="form part" method="post" action="/api/members/enable" data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[org]" value=org.slug.clone() />
                    <input type="hidden" name="form[id]" value=member.id.to_string() />
                    <p>{format!("{} gets access again, with the same role and teams.", member.name)}</p>
                    {(member.role != OrgRole::Member).then(|| reauth_fields(caller, view.now, &field_errors))}
                    <div class="actions">
                        <button class="btn">{icon(Icon::Play)} "Enable"</button>
                    </div>
                </form>
            }
        });
    // One password field on a page is enough.
    let enable = enable.filter(|_| member.role != OrgRole::Member);
    let change = enable.is_none().then(|| {
        view! {
            <form class="form" method="post" action="/api/members/role" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                <input type="hidden" name="form[id]" value=member.id.to_string() />
                {select_field(
                    "role",
                    "form[role]",
                    "Role",
                    "Takes effect immediately. If the new role can’t invite, their open invitations are withdrawn.",
                    role_options(&roles_to_grant(&view.context.principal)),
                    &chosen,
                    &field_errors,
                )}
                {reauth_fields(caller, view.now, &field_errors)}
                <div class="actions">
                    <button class="btn">"Change role"</button>
                </div>
            </form>
        }
    });
    Some(view! {
        <section class="card">
            <header>
                <h2>{if member.active() { "Change role" } else { "Role" }}</h2>
            </header>
            {change}
            {enable}
        </section>
    })
}

fn spend_card(view: &MemberView) -> impl IntoView + use<> {
    view! {
        <section class="card">
            <header>
                <h2>"Spend"</h2>
                <p>"While they owned the keys"</p>
            </header>
            {spend_part(&view.context.org.slug, &view.card)}
        </section>
    }
}

fn keys_card(view: &MemberView) -> impl IntoView + use<> {
    let (org, now) = (&view.context.org, view.now);
    let rows = view
        .keys
        .iter()
        .take(KEYS_SHOWN)
        .map(|key| {
            let used = match key.last_used_at {
                Some(at) => when::ago(at, now, &org.zone).into_any(),
                None => view! { <span class="muted">"Never"</span> }.into_any(),
            };
            view! {
                <tr>
                    <th scope="row">
                        <a class="row-link" href=LocalPath::key(&org.slug, &key.id).as_str().to_owned()>
                            {key.name.clone()}
                        </a>
                    </th>
                    <td data-label="Key">{key_hint(key)}</td>
                    <td data-label="State">{key_badge(key, now, &org.zone)}</td>
                    <td data-label="Spent this month" class="num">{key.month_spent.to_string()}</td>
                    <td data-label="Last used" class="tight">{used}</td>
                </tr>
            }
        })
        .collect_view();
    let (all, shown) = (view.member_summary.live_keys, view.keys.len().min(KEYS_SHOWN) as i64);
    let under = match all {
        0 => "None.".to_owned(),
        all if all > shown => format!("The newest {shown} of {all}."),
        1 => "1 key.".to_owned(),
        all => format!("{all} keys."),
    };
    let table = (shown > 0).then(|| {
        view! {
            <div class="table-wrap">
                <table class="table">
                    <caption class="sr">"Live keys"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Key"</th>
                            <th scope="col">"State"</th>
                            <th scope="col" class="num">"Spent this month"</th>
                            <th scope="col">"Last used"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
    });
    view! {
        <section class="stack">
            <header class="part-head">
                <h2>"Live keys"</h2>
                <p class="muted">{under}</p>
            </header>
            {table}
        </section>
    }
}

fn history_card(view: &MemberView) -> Option<impl IntoView + use<>> {
    let (now, org) = (view.now, &view.context.org);
    let links = Links { slug: &org.slug, there: &BTreeSet::new() };
    let events = view
        .history
        .iter()
        .map(|event| event_row(event, &links, when::ago(event.at, now, &org.zone).into_any(), &org.zone))
        .collect_view();
    (!view.history.is_empty()).then(|| {
        view! {
            <section class="card">
                <header>
                    <h2>"History"</h2>
                </header>
                <ol class="history">{events}</ol>
            </section>
        }
    })
}

fn about_card(view: &MemberView, caller: &Caller) -> impl IntoView + use<> {
    let (org, member, now) = (&view.context.org, &view.member, view.now);
    let zone = &org.zone;
    let fact = |label: &'static str, value: AnyView| {
        view! {
            <div>
                <dt>{label}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let team = |membership: &TeamMembership| {
        let id = &membership.team.id;
        let words = membership.words();
        match view.context.may(Action::SeeTeam, On::Team(id)) {
            true => view! { <li><a href=LocalPath::team(&org.slug, id)>{words}</a></li> }.into_any(),
            false => view! { <li>{words}</li> }.into_any(),
        }
    };
    let teams = match view.member_summary.teams.is_empty() {
        true => "No team".into_any(),
        false => {
            let teams = view.member_summary.teams.iter().map(team).collect_view();
            view! { <ul>{teams}</ul> }.into_any()
        }
    };
    let own = member.id == caller.person.id;
    let more = (view.context.principal.runs_org() || own).then(|| {
        let seen = match member.seen_at {
            Some(at) => when::ago(at, now, zone).into_any(),
            None => "Never".into_any(),
        };
        let factor = if member.second_factor { "On" } else { "Off" };
        view! { {fact("Last seen", seen)} {fact("2FA", factor.into_any())} }
    });
    let out = member.removed_at.or(member.disabled_at).map(|at| {
        let label = if member.removed_at.is_some() { "Left" } else { "Disabled" };
        fact(label, when::date(at, zone).into_any())
    });
    view! {
        <aside class="card" aria-label="About this member">
            <header>
                <h2>"About"</h2>
            </header>
            <dl class="facts">
                {fact("Role", role_word(member.role).into_any())} {fact("Teams", teams)}
                {fact("Spent", format!("{} this month", view.member_summary.month_spent).into_any())}
                {fact("Joined", when::date(member.since, zone).into_any())} {out} {more}
                {fact("ID", view! { <code>{member.id.to_string()}</code> }.into_any())}
            </dl>
        </aside>
    }
}
