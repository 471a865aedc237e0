//! The list of members, with the open invitations and the keys of people who left.

use keydesk_core::domain::invitation::Invitation;
use keydesk_core::domain::key_filter::MAX_SEARCH;
use keydesk_core::domain::list_filter::MemberFilter;
use keydesk_core::domain::member::{Member, MemberSummary};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::money::Money;
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On, OrgRole};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::members::{self, MembersView};
use leptos::prelude::*;

use super::{role_word, state_badge, teams_line};
use crate::ask::{self, caller, desk, param, query};
use crate::layout::{Width, framed};
use crate::pages::{here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::field::on_page;
use crate::ui::icon::{Icon, icon};
use crate::ui::list::{self, Address, Column, count_words};
use crate::ui::page_head::page_head;
use crate::ui::search::SearchBox;
use crate::ui::when;

fn address(org: &str, filter: &MemberFilter) -> Address {
    let state = if filter.left { "left" } else { "" };
    Address::new(
        LocalPath::members(org).as_str(),
        [("q", filter.search.clone()), ("state", state.to_owned())],
    )
}

#[component]
pub fn MembersPage() -> impl IntoView {
    let slug = param("org");
    let left = query("state").as_deref() == Some("left");
    let filter = MemberFilter { search: ask::search(), left, page: ask::cursor() };
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = members::list(&desk, &caller, &slug, &filter).await?;
        let org = &view.context.org;
        let invite = view
            .context
            .may(Action::Invite, On::Org)
            .then(|| list::create(LocalPath::invite(&org.slug).as_str(), "Invite member"));
        let whose = match view.context.principal.runs_org() || view.context.principal.is_support() {
            true => format!("Every member of {}.", org.name),
            false => "The members of the teams that you manage.".to_owned(),
        };
        // Who left is in no team, so that a team admin would find no one.
        let all = view.context.principal.runs_org() || view.context.principal.is_support();
        let states = all.then(|| {
            let state = |words, left| {
                let to = MemberFilter { left, page: None, ..filter.clone() };
                (words, address(&org.slug, &to), left == filter.left)
            };
            list::chips("State", [state("Members", false), state("Left", true)])
        });
        let search = SearchBox {
            name: "q",
            placeholder: "Name or email",
            label: "Search members",
            max: Some(MAX_SEARCH),
        };
        let body = view! {
            {title("Members")}
            {notice_line()}
            {page_head(
                vec![],
                "Members".into_any(),
                view! { <p class="muted">{whose}</p> }.into_any(),
                invite.into_any(),
            )}
            {waiting(&view)}
            {list::toolbar(&address(&org.slug, &filter), search, &filter.search)}
            {states}
            {if view.page.rows.is_empty() { none_found(&org.slug, &filter) } else { table(&view, &filter) }}
            {invitations(&view, &caller)}
        };
        let path = LocalPath::members(&org.slug);
        Ok(framed(&view.context, &caller, path.as_str(), Width::Wide, body.into_any()))
    })
}

/// Keys of people who left stay here until a person decides.
fn waiting(view: &MembersView) -> Option<impl IntoView + use<>> {
    let all: i64 = view.undecided.iter().map(|left| left.keys).sum();
    let slug = view.context.org.slug.clone();
    let lines = view
        .undecided
        .iter()
        .map(|left| {
            let words = format!("{}: {}", left.person.name, count_words(left.keys, false, "key", "keys"));
            view! { <li><a href=LocalPath::offboarding(&slug, &left.person.id).as_str().to_owned()>{words}</a></li> }
        })
        .collect_view();
    (all > 0).then(|| {
        view! {
            <section class="notice warn" aria-label="Keys to decide about">
                {icon(Icon::Warn)} <div>
                    <p>
                        <b>
                            {format!("{} people who left.", count_words(all, false, "key belongs to", "keys belong to"))}
                        </b>
                        " They still work. Reassign, expire or revoke them."
                    </p>
                    <ul>{lines}</ul>
                </div>
            </section>
        }
    })
}

fn none_found(slug: &str, filter: &MemberFilter) -> AnyView {
    let heading = match (filter.search.as_str(), filter.left) {
        ("", false) => "No members here".to_owned(),
        ("", true) => "No one has left the organisation".to_owned(),
        (search, false) => format!("No member matches “{search}”"),
        (search, true) => format!("No one who left matches “{search}”"),
    };
    let words = match filter.left {
        true => "The search looks at names and email addresses of people who left or were removed.",
        false => "The search looks at names and email addresses. People who left are under their own filter.",
    };
    list::none_found(heading, words, LocalPath::members(slug).as_str(), "Clear search")
}

fn table(view: &MembersView, filter: &MemberFilter) -> AnyView {
    let org = &view.context.org;
    // Who was last seen when, and how they sign in, is for owners and admins.
    let runs = view.context.principal.runs_org();
    let mut columns = vec![
        Column::new("Name"),
        Column::new("Role"),
        Column::new("Teams").class("drop-2"),
        Column::new("State"),
        Column::new("Live keys").num(),
        Column::new("Spent this month").num(),
        Column::new("Last month").class("num drop-3"),
    ];
    if runs {
        columns.extend([Column::new("2FA").class("drop-2"), Column::new("Last seen").class("drop-1")]);
    }
    // Of one page alone a total would be wrong.
    let all = view.page.only().filter(|count| *count > 1).map(|_| {
        let month: Money = view.member_summary.iter().map(|summary| summary.month_spent).sum();
        let before: Money = view.member_summary.iter().map(|summary| summary.last_month_spent).sum();
        let keys: i64 = view.member_summary.iter().map(|summary| summary.live_keys).sum();
        let others = runs.then(|| view! { <td class="drop-2"></td> <td class="drop-1"></td> });
        view! {
            <tr class="total">
                <th scope="row">"Total"</th>
                <td></td>
                <td class="drop-2"></td>
                <td></td>
                <td data-label="Live keys" class="num">{grouped(keys)}</td>
                <td data-label="Spent this month" class="num">{month.to_string()}</td>
                <td data-label="Last month" class="num drop-3">{before.to_string()}</td>
                {others}
            </tr>
        }
    });
    let rows = view
        .page
        .rows
        .iter()
        .zip(&view.member_summary)
        .map(|(member, summary)| row(member, summary, &org.slug, runs, view.now, &org.zone))
        .collect_view();
    view! {
        {list::table(true, "Members, by name".into(), columns, view! { {rows} {all} })}
        {list::pages(&view.page, &address(&org.slug, filter), None)}
    }
    .into_any()
}

fn row(
    member: &Member,
    summary: &MemberSummary,
    slug: &str,
    runs: bool,
    now: Moment,
    zone: &Zone,
) -> impl IntoView + use<> {
    let teams = match summary.teams.is_empty() {
        true => view! { <span class="muted">"No team"</span> }.into_any(),
        false => {
            let line = teams_line(&summary.teams);
            view! { <span class="clip wide" title=line.clone()>{line.clone()}</span> }.into_any()
        }
    };
    let more = runs.then(|| {
        let seen = match member.seen_at {
            Some(at) => when::ago(at, now, zone).into_any(),
            None => view! { <span class="muted">"Never"</span> }.into_any(),
        };
        let factor = match member.second_factor {
            true => badge(BadgeTone::Good, "On".into(), "Signing in takes a code too.".into()).into_any(),
            false => view! { <span class="muted">"Off"</span> }.into_any(),
        };
        view! {
            <td data-label="2FA" class="drop-2">{factor}</td>
            <td data-label="Last seen" class="tight drop-1">{seen}</td>
        }
    });
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=LocalPath::member(slug, &member.id).as_str().to_owned()>
                    {member.name.clone()}
                </a>
                <span class="sub" title=member.email.clone()>{member.email.clone()}</span>
            </th>
            <td data-label="Role">{role_word(member.role)}</td>
            <td data-label="Teams" class="drop-2">{teams}</td>
            <td data-label="State">{state_badge(member, zone)}</td>
            <td data-label="Live keys" class="num">{grouped(summary.live_keys)}</td>
            <td data-label="Spent this month" class="num">{summary.month_spent.to_string()}</td>
            <td data-label="Last month" class="num drop-3">{summary.last_month_spent.to_string()}</td>
            {more}
        </tr>
    }
}

fn invitations(view: &MembersView, caller: &Caller) -> Option<impl IntoView + use<>> {
    if view.invitations.is_empty() {
        return None;
    }
    let org = &view.context.org;
    let rows = view
        .invitations
        .iter()
        .map(|invitation| invitation_row(invitation, &org.slug, caller, view.now, &org.zone))
        .collect_view();
    let columns = vec![
        Column::new("Email"),
        Column::new("Role"),
        Column::new("Sent"),
        Column::new("Expires"),
        Column::actions("Actions"),
    ];
    Some(view! {
        <section class="stack after">
            <h2>"Open invitations"</h2>
            {list::table(false, "Open invitations, by address".into(), columns, rows)}
        </section>
    })
}

fn invitation_row(
    invitation: &Invitation,
    slug: &str,
    caller: &Caller,
    now: Moment,
    zone: &Zone,
) -> impl IntoView + use<> {
    let (email, id) = (invitation.email.as_str().to_owned(), invitation.id.to_string());
    let place = teams_line(&invitation.team);
    let by = invitation.invited_by.clone().unwrap_or_else(|| "command line".into());
    let how = match invitation.mailed_at {
        Some(at) => view! { "by " {by} ", mailed " {when::ago(at, now, zone)} }.into_any(),
        None => view! { "by " {by} ", link copied" }.into_any(),
    };
    let expires = match invitation.expires_at <= now {
        true => badge(BadgeTone::Ended, "Expired".into(), invitation.expires_at.exact(zone)).into_any(),
        false => when::date(invitation.expires_at, zone).into_any(),
    };
    let post = |action: &'static str, words: &'static str, label: String| {
        view! {
            <form method="post" action=format!("/api/invitations/{action}")>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.to_owned() />
                <input type="hidden" name="form[id]" value=id.clone() />
                <button class="btn" aria-label=label>{words}</button>
            </form>
        }
    };
    // To owners and admins nothing is sent without a fresh proof: the page behind the link asks for it.
    let resend = match invitation.role == OrgRole::Member || caller.recently_authenticated(now) {
        true => post("resend", "Resend", format!("Resend the invitation of {email}")).into_any(),
        false => {
            let label = format!("Resend the invitation of {email}");
            let href = LocalPath::invitation(slug, &invitation.id).as_str().to_owned();
            view! { <a class="btn" href=href aria-label=label>"Resend"</a> }.into_any()
        }
    };
    let withdraw = post("withdraw", "Withdraw", format!("Withdraw the invitation of {email}"));
    view! {
        <tr>
            <th scope="row">{email.clone()}</th>
            <td data-label="Role">
                {role_word(invitation.role)}
                {(!place.is_empty()).then(|| view! { <span class="sub">{place.clone()}</span> })}
            </td>
            <td data-label="Sent">
                {when::ago(invitation.created_at, now, zone)} <span class="sub">{how}</span>
            </td>
            <td data-label="Expires" class="tight">{expires}</td>
            <td class="full">
                <div class="actions end">{resend} {withdraw}</div>
            </td>
        </tr>
    }
}
