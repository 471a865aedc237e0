//! Inviting a member, and the one page that shows the link. The link comes in a sealed cookie that the page clears, so a
//! reload or the Back button shows only that it was made.

use http::{HeaderValue, header};
use keydesk_core::domain::invitation::Invitation;
use keydesk_core::domain::moment::Moment;
use keydesk_core::domain::org::Org;
use keydesk_core::forms::invitation::InviteForm;
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::invitations::{self, DAYS, InviteView};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::{crumbs, role_options};
use crate::ask::{caller, desk, param, query};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::mail::mailer;
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, IssuedLink, Mailed, Tone};
use crate::ui::code::copy_button;
use crate::ui::field::{FieldErrors, TextField, on_page, select_field};
use crate::ui::icon::{Icon, icon};
use crate::ui::notice::notice;
use crate::ui::page_head::page_head;

#[component]
pub fn InvitePage() -> impl IntoView {
    let slug = param("org");
    let team = query("team").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = invitations::blank(&desk, &caller, &slug).await?;
        let field_errors = field_errors();
        let form: InviteForm = typed().unwrap_or_else(|| suggested(&view, &team));
        let how = match mailer() {
            Some(_) => {
                format!("We send them a link that works once, for {DAYS} days. You can see the link too.")
            }
            None => format!("You get a link to send them. It works once, for {DAYS} days."),
        };
        let members = LocalPath::members(&slug).as_str().to_owned();
        // A plain membership needs no recent sign-in; for more, the form comes back and asks.
        let privileged = form.role != "member" || form.team_role == "admin";
        let reauth = privileged.then(|| reauth_fields(&caller, view.now, &field_errors));
        let body = view! {
            {title("Invite member")}
            {notice_line()}
            {page_head(
                vec![crumbs(&slug)],
                "Invite member".into_any(),
                view! { <p class="muted">{how}</p> }.into_any(),
                ().into_any(),
            )}
            <form class="form" method="post" action="/api/invitations/invite" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.clone() />
                {fields(&view, &form, &field_errors)}
                {reauth}
                <div class="actions">
                    <button class="btn primary">"Invite"</button>
                    <a class="btn quiet" href=members>"Cancel"</a>
                </div>
            </form>
        };
        let path = LocalPath::invite(&slug).as_str().to_owned();
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}

/// The form before anything is typed: the team of the link, or a team admin's first one.
fn suggested(view: &InviteView, team: &str) -> InviteForm {
    let known = view.teams.iter().find(|known| known.id.as_str() == team);
    let first = view.teams.first().filter(|_| !view.context.principal.runs_org());
    InviteForm {
        role: "member".into(),
        team: known.or(first).map(|team| team.id.to_string()).unwrap_or_default(),
        team_role: "member".into(),
        ..Default::default()
    }
}

fn fields(view: &InviteView, form: &InviteForm, field_errors: &FieldErrors) -> AnyView {
    let email = TextField {
        field: "email",
        name: "form[email]",
        label: "Email",
        help: "They sign in with it.",
        kind: "email",
        autofocus: true,
        ..Default::default()
    };
    let role = match view.roles.as_slice() {
        [_] => view! { <input type="hidden" name="form[role]" value="member" /> }.into_any(),
        roles => {
            select_field("role", "form[role]", "Role", "", role_options(roles), &form.role, field_errors)
        }
    };
    let mut teams: Vec<(String, String)> =
        view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())).collect();
    if view.context.principal.runs_org() {
        teams.insert(0, (String::new(), "No team".into()));
    }
    let team_roles = vec![
        ("member".to_owned(), "Member of the team".to_owned()),
        ("admin".to_owned(), "Team admin: manages its keys and people".to_owned()),
    ];
    let team = (!view.teams.is_empty()).then(|| {
        view! {
            {select_field("team", "form[team]", "Team", "", teams, &form.team, field_errors)}
            {select_field("team_role", "form[team_role]", "Role in the team", "Applies only if you choose a team.", team_roles, &form.team_role, field_errors)}
        }
    });
    view! {
        {email.draw(form.email.clone(), field_errors)}
        {role}
        {team}
    }
    .into_any()
}

#[component]
pub fn InvitationPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let (context, invitation) = invitations::show(&desk, &caller, &slug, &id).await?;
        let (org, now) = (&context.org, desk.now());
        let path = LocalPath::invitation(&org.slug, &invitation.id);
        let issued: Option<IssuedLink> = sealed::take(ISSUED, path.as_str(), now);
        if let Some(response) = use_context::<ResponseOptions>() {
            // Neither stored nor compressed on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let body = match issued.filter(|issued| issued.invitation_id == invitation.id.as_str()) {
            Some(issued) => link_shown(org, &invitation, issued),
            None => link_gone(org, &invitation, &caller, now),
        };
        Ok(framed(&context, &caller, LocalPath::members(&org.slug).as_str(), Width::Mid, body))
    })
}

fn invitation_head(org: &Org, invitation: &Invitation) -> AnyView {
    let heading = format!("{} is invited", invitation.email.as_str());
    page_head(vec![crumbs(&org.slug)], heading.into_any(), ().into_any(), ().into_any())
}

fn link_shown(org: &Org, invitation: &Invitation, issued: IssuedLink) -> AnyView {
    let email = invitation.email.as_str();
    let mail = match issued.mail {
        Mailed::Sent => Some(notice(Tone::Good, format!("We sent the link to {email}."))),
        Mailed::Failed => Some(notice(
            Tone::Bad,
            format!("The mail to {email} could not be sent. The link works: send it yourself."),
        )),
        Mailed::Never => None,
    };
    let warning = format!(
        " Anyone with the link can join {} as {email}. It works once, until {}.",
        org.name,
        invitation.expires_at.exact(&org.zone)
    );
    let members = LocalPath::members(&org.slug).as_str().to_owned();
    view! {
        {title("Invitation created")}
        {mail}
        {invitation_head(org, invitation)}
        <div class="stack roomy" data-once>
            <section class="stack">
                <h2 class="sr">"The link"</h2>
                <div class="secret">
                    <code id="secret">{issued.link}</code>
                    {copy_button("Copy link", "primary", "secret".into())}
                </div>
                <p class="warn-line">
                    {icon(Icon::Warn)} <span><b>"This is the only time it is shown."</b> {warning}</span>
                </p>
            </section>
            <div class="actions">
                <a class="btn" href=members>"Go to Members"</a>
            </div>
        </div>
    }
    .into_any()
}

fn link_gone(org: &Org, invitation: &Invitation, caller: &Caller, now: Moment) -> AnyView {
    let field_errors = field_errors();
    let members = LocalPath::members(&org.slug).as_str().to_owned();
    view! {
        {title("Invitation")}
        {notice_line()}
        {invitation_head(org, invitation)}
        <div class="stack roomy">
            <p>"The link was shown once and is not stored. Resending creates a new link; the old one stops working."</p>
            <form class="form" method="post" action="/api/invitations/resend" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                <input type="hidden" name="form[id]" value=invitation.id.to_string() />
                {reauth_fields(caller, now, &field_errors)}
                <div class="actions">
                    <button class="btn primary">"Resend invitation"</button>
                    <a class="btn quiet" href=members>"Go to Members"</a>
                </div>
            </form>
        </div>
    }
    .into_any()
}
