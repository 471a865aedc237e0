//! Inviting somebody, and the one page that shows the link. The link comes in a sealed cookie that the page clears, so a
//! reload, the Back button and anybody else see only that it was made.

use http::{HeaderValue, header};
use keydesk_core::ops::invitations::{self, DAYS, InviteForm};
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
use crate::ui::field::{TextField, on_page, select_field};
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
        let org = view.context.org.clone();
        let runs = view.context.principal.runs_org();
        let form: InviteForm = typed().unwrap_or_else(|| {
            let known = view.teams.iter().find(|known| known.id.as_str() == team);
            // Whoever looks after teams invites into one of them; let the first be chosen.
            let first = view.teams.first().filter(|_| !runs);
            InviteForm {
                role: "member".into(),
                team: known.or(first).map(|team| team.id.to_string()).unwrap_or_default(),
                team_role: "member".into(),
                ..Default::default()
            }
        });
        let email = TextField {
            field: "email",
            name: "form[email]",
            label: "Email",
            help: "They sign in with it.",
            kind: "email",
            max: Some(254),
            autofocus: true,
            ..Default::default()
        };
        let mut teams: Vec<(String, String)> =
            view.teams.iter().map(|team| (team.id.to_string(), team.name.clone())).collect();
        if runs {
            teams.insert(0, (String::new(), "No team".into()));
        }
        let members = LocalPath::members(&org.slug).as_str().to_owned();
        let how = match mailer() {
            Some(_) => {
                format!("They get a mail with a link that works once, for {DAYS} days. You see the link too.")
            }
            None => format!("You get a link to hand over. It works once, for {DAYS} days."),
        };
        let role = match view.roles.as_slice() {
            [_] => view! { <input type="hidden" name="form[role]" value="member" /> }.into_any(),
            roles => {
                select_field("role", "form[role]", "Role", "", role_options(roles), &form.role, &field_errors)
            }
        };
        let places = vec![
            ("member".to_owned(), "Member of the team".to_owned()),
            ("admin".to_owned(), "Team admin: looks after its keys and people".to_owned()),
        ];
        let place = (!view.teams.is_empty()).then(|| {
            view! {
                {select_field("team", "form[team]", "Team", "", teams, &form.team, &field_errors)}
                {select_field("team_role", "form[team_role]", "In the team", "Counts only with a team.", places, &form.team_role, &field_errors)}
            }
        });
        // Members are invited without a proof; for owners and admins it is asked when the form comes back for it.
        let reauth = (form.role != "member").then(|| reauth_fields(&caller, view.now, &field_errors));
        let body = view! {
            {title("Invite somebody")}
            {notice_line()}
            {page_head(
                vec![crumbs(&org.slug)],
                "Invite somebody".into_any(),
                view! { <p class="muted">{how}</p> }.into_any(),
                ().into_any(),
            )}
            <form class="form" method="post" action="/api/invitations/invite" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=org.slug.clone() />
                {email.draw(form.email.clone(), &field_errors)}
                {role}
                {place}
                {reauth}
                <div class="actions">
                    <button class="btn primary">"Invite"</button>
                    <a class="btn quiet" href=members>"Cancel"</a>
                </div>
            </form>
        };
        let path = LocalPath::invite(&org.slug).as_str().to_owned();
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}

#[component]
pub fn InvitationPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let (context, invitation) = invitations::show(&desk, &caller, &slug, &id).await?;
        let org = context.org.clone();
        let now = desk.now();
        let path = LocalPath::invitation(&org.slug, &invitation.id);
        let issued: Option<IssuedLink> = sealed::take(ISSUED, path.as_str(), now);
        if let Some(response) = use_context::<ResponseOptions>() {
            // Neither kept nor repacked on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let issued = issued.filter(|issued| issued.invitation_id == invitation.id.as_str());
        let members = LocalPath::members(&org.slug).as_str().to_owned();
        let email = invitation.email.as_str().to_owned();
        let field_errors = field_errors();
        let body = match issued {
            Some(issued) => {
                let mail = match issued.mail {
                    Mailed::Sent => Some(notice(Tone::Good, format!("Mail sent to {email}."))),
                    Mailed::Failed => Some(notice(
                        Tone::Bad,
                        format!("The mail to {email} could not be sent. The invitation stands: hand the link over yourself."),
                    )),
                    Mailed::Never => None,
                };
                view! {
                    {title("Invitation made")}
                    {mail}
                    {page_head(
                        vec![crumbs(&org.slug)],
                        format!("{email} is invited").into_any(),
                        ().into_any(),
                        ().into_any(),
                    )}
                    <div class="stack roomy" data-once>
                        <section class="stack">
                            <h2 class="sr">"The link"</h2>
                            <div class="secret">
                                <code id="secret">{issued.link}</code>
                                {copy_button("Copy link", "primary", "secret".into())}
                            </div>
                            <p class="warn-line">
                                {icon(Icon::Warn)} <span>
                                    <b>"This is the only time it is shown."</b>
                                    {format!(" Whoever opens it joins {} as {email}. It works once, until {}.", org.name, invitation.expires_at.exact(&org.zone))}
                                </span>
                            </p>
                        </section>
                        <div class="actions">
                            <a class="btn" href=members>"Go to Members"</a>
                        </div>
                    </div>
                }
                .into_any()
            }
            None => {
                view! {
                    {title("Invitation")}
                    {notice_line()}
                    {page_head(
                        vec![crumbs(&org.slug)],
                        format!("{email} is invited").into_any(),
                        ().into_any(),
                        ().into_any(),
                    )}
                    <div class="stack roomy">
                        <p>
                            "The link was shown once, when it was made, and is not kept anywhere. Resending makes a new link; the old one stops working."
                        </p>
                        <form class="form" method="post" action="/api/invitations/resend" data-enhance>
                            {on_page(here())}
                            <input type="hidden" name="form[org]" value=org.slug.clone() />
                            <input type="hidden" name="form[id]" value=invitation.id.to_string() />
                            {reauth_fields(&caller, now, &field_errors)}
                            <div class="actions">
                                <button class="btn primary">"Resend invitation"</button>
                                <a class="btn quiet" href=members>"Go to Members"</a>
                            </div>
                        </form>
                    </div>
                }
                .into_any()
            }
        };
        Ok(framed(&context, &caller, LocalPath::members(&org.slug).as_str(), Width::Mid, body))
    })
}
