//! Who is in the organisation, who is invited, and whose keys wait for a decision. Search and page are in the address.

use keydesk_core::domain::invitation::Invitation;
use keydesk_core::domain::member::{Member, MemberSummary};
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On, OrgRole};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::members::{self, MembersView};
use keydesk_core::store::members::Cursor;
use leptos::prelude::*;

use super::{role_word, state_badge, teams_line};
use crate::ask::{caller, desk, param, query};
use crate::layout::{Width, framed};
use crate::pages::{here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::badge::{BadgeTone, badge};
use crate::ui::field::on_page;
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;
use crate::ui::pager::pager;
use crate::ui::search::SearchBox;
use crate::ui::when;

const MAX_SEARCH: usize = 100;

#[component]
pub fn MembersPage() -> impl IntoView {
    let slug = param("org");
    let search: String = query("q").unwrap_or_default().trim().chars().take(MAX_SEARCH).collect();
    let search = search.replace('\0', "");
    let cursor = cursor("after", false).or_else(|| cursor("before", true));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = members::list(&desk, &caller, &slug, &search, cursor.as_ref()).await?;
        let org = view.context.org.clone();
        let invite = view.context.may(Action::Invite, On::Org).then(|| {
            view! {
                <a class="btn primary" href=LocalPath::invite(&org.slug).as_str().to_owned()>
                    {icon(Icon::Plus)}
                    "Invite somebody"
                </a>
            }
        });
        let whose = match view.context.principal.runs_org() || view.context.principal.is_support() {
            true => format!("Everybody in {}.", org.name),
            false => "The people of the teams that you look after.".to_owned(),
        };
        let people = match view.page.members.is_empty() {
            true => none_found(&org.slug, &search),
            false => table(&view, &search),
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
            {toolbar(&org.slug, &search)}
            {people}
            {invitations(&view, &caller)}
        };
        Ok(framed(
            &view.context,
            &caller,
            LocalPath::members(&org.slug).as_str(),
            Width::Wide,
            body.into_any(),
        ))
    })
}

/// As `href` writes it: the id, and the name that the list goes by.
fn cursor(name: &str, backwards: bool) -> Option<Cursor> {
    let text = query(name)?;
    let (id, name) = text.split_once('~')?;
    let fine = !text.contains('\0') && text.len() <= 1_000 && !id.is_empty();
    fine.then(|| Cursor { backwards, name: name.to_owned(), id: id.to_owned() })
}

fn href(org: &str, search: &str, cursor: &Cursor) -> String {
    let mut pairs = vec![];
    if !search.is_empty() {
        pairs.push(("q", search.to_owned()));
    }
    let name = if cursor.backwards { "before" } else { "after" };
    pairs.push((name, format!("{}~{}", cursor.id, cursor.name)));
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    LocalPath::members(org).with_query(&query).as_str().to_owned()
}

/// Keys of people who left stay here until somebody decides.
fn waiting(view: &MembersView) -> Option<impl IntoView + use<>> {
    let all: i64 = view.undecided.iter().map(|left| left.keys).sum();
    let slug = view.context.org.slug.clone();
    let lines = view
        .undecided
        .iter()
        .map(|left| {
            let words = format!("{}: {}", left.person.name, count(left.keys, "key", "keys"));
            view! { <li><a href=LocalPath::offboarding(&slug, &left.person.id).as_str().to_owned()>{words}</a></li> }
        })
        .collect_view();
    (all > 0).then(|| {
        view! {
            <section class="notice warn" aria-label="Keys to decide about">
                {icon(Icon::Warn)} <div>
                    <p>
                        <b>
                            {format!("{} of people who left: decide.", count(all, "key", "keys"))}
                        </b>
                        " They work as before until each is given to somebody, runs until a day, or is revoked."
                    </p>
                    <ul>{lines}</ul>
                </div>
            </section>
        }
    })
}

fn count(many: i64, one: &str, more: &str) -> String {
    if many == 1 { format!("1 {one}") } else { format!("{} {more}", grouped(many)) }
}

fn toolbar(slug: &str, search: &str) -> impl IntoView + use<> {
    view! {
        <div class="toolbar">
            <form class="search" role="search" method="get" action=LocalPath::members(slug).as_str().to_owned()>
                {SearchBox { name: "q", placeholder: "Name or email", label: "Search people", max: Some(MAX_SEARCH) }.draw(search.to_owned())}
            </form>
        </div>
    }
}

fn none_found(slug: &str, search: &str) -> AnyView {
    let heading = match search {
        "" => "Nobody is here".to_owned(),
        search => format!("Nobody matches “{search}”"),
    };
    view! {
        <section class="empty">
            {icon(Icon::Search)} <h2>{heading}</h2>
            <p>"The search looks at names and email addresses. People who left are not listed."</p>
            <div class="actions">
                <a class="btn" href=LocalPath::members(slug).as_str().to_owned()>
                    "Clear search"
                </a>
            </div>
        </section>
    }
    .into_any()
}

fn table(view: &MembersView, search: &str) -> AnyView {
    let org = &view.context.org;
    // When somebody was last seen, and how they sign in, is for those who run the organisation.
    let runs = view.context.principal.runs_org();
    let rows = view
        .page
        .members
        .iter()
        .zip(&view.member_summary)
        .map(|(member, held)| row(member, held, &org.slug, runs, view.now, &org.zone))
        .collect_view();
    let more = runs.then(|| {
        view! {
            <th scope="col" class="drop-2">"Second factor"</th>
            <th scope="col">"Last seen"</th>
        }
    });
    let shown = view.page.members.len() as i64;
    let link = |cursor: &Option<Cursor>| cursor.as_ref().map(|cursor| href(&org.slug, search, cursor));
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr">"People, by name"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Teams"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="num">"Live keys"</th>
                        <th scope="col" class="num">"Spent this month"</th>
                        {more}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {pager(count(shown, "person", "people"), link(&view.page.previous), link(&view.page.next))}
    }
    .into_any()
}

fn row(
    member: &Member,
    held: &MemberSummary,
    slug: &str,
    runs: bool,
    now: Moment,
    zone: &Zone,
) -> impl IntoView + use<> {
    let teams = match held.teams.is_empty() {
        true => view! { <span class="muted">"No team"</span> }.into_any(),
        false => {
            let line = teams_line(&held.teams);
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
            <td data-label="Second factor" class="drop-2">{factor}</td>
            <td data-label="Last seen" class="tight">{seen}</td>
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
            <td data-label="Teams">{teams}</td>
            <td data-label="State">{state_badge(member, zone)}</td>
            <td data-label="Live keys" class="num">{grouped(held.live_keys)}</td>
            <td data-label="Spent this month" class="num">{held.month_spent.to_string()}</td>
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
    Some(view! {
        <section class="stack after">
            <h2>"Open invitations"</h2>
            <div class="table-wrap">
                <table class="table">
                    <caption class="sr">"Open invitations, by address"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Email"</th>
                            <th scope="col">"To be"</th>
                            <th scope="col">"Sent"</th>
                            <th scope="col">"Ends"</th>
                            <th scope="col">
                                <span class="sr">"Actions"</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
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
    let ends = match invitation.expires_at <= now {
        true => badge(BadgeTone::Ended, "Ended".into(), invitation.expires_at.exact(zone)).into_any(),
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
            <td data-label="To be">
                {role_word(invitation.role)}
                {(!place.is_empty()).then(|| view! { <span class="sub">{place.clone()}</span> })}
            </td>
            <td data-label="Sent">
                {when::ago(invitation.created_at, now, zone)} <span class="sub">{how}</span>
            </td>
            <td data-label="Ends" class="tight">{ends}</td>
            <td class="full">
                <div class="actions end">{resend} {withdraw}</div>
            </td>
        </tr>
    }
}
