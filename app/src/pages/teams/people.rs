//! Adding a person to a team, changing their role in it, and removing them.

use keydesk_core::domain::numbers::grouped;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::team::TeamRole;
use keydesk_core::forms::team_people::{AddForm, RoleForm};
use keydesk_core::ops::teams;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, param};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, field_error, on_page, select_field};
use crate::ui::page_head::page_head;

#[component]
pub fn AddPersonPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::add_form(&desk, &caller, &slug, &id).await?;
        let sent = typed::<AddForm>().unwrap_or_default();
        let field_errors = field_errors();
        let team_page = LocalPath::team(&slug, &view.team.id).as_str().to_owned();
        let role = TeamRole::parse(&sent.role).unwrap_or_default();
        // Only making a team admin requires a recent sign-in.
        let reauth = (role == TeamRole::Admin).then(|| reauth_fields(&caller, view.now, &field_errors));
        let who = match &view.people {
            Some(people) => {
                let mut options = vec![(String::new(), "Choose a member".to_owned())];
                options.extend(people.iter().map(|person| (person.id.to_string(), person.name.clone())));
                let words = "Active members of the organisation who aren’t in the team.";
                select_field(
                    "person",
                    "form[person]",
                    "Member",
                    words,
                    options,
                    sent.person.as_deref().unwrap_or_default(),
                    &field_errors,
                )
            }
            None => TextField {
                field: "email",
                name: "form[email]",
                label: "Email",
                help: "Of a member of the organisation.",
                kind: "email",
                ..Default::default()
            }
            .draw(sent.email.clone(), &field_errors),
        };
        let invite = view.context.may(Action::Invite, On::Org).then(|| {
            let href = format!("/{slug}/members/invite?team={}", view.team.id);
            view! { <p class="help">"Not in the organisation yet? " <a href=href>"Invite them"</a> " to this team."</p> }
        });
        let heading = format!("Add member to {}", view.team.spec.name);
        let body = view! {
            {title(heading.clone())}
            {notice_line()}
            {page_head(crumbs(&slug, Some(&view.team)), heading.into_any(), ().into_any(), ().into_any())}
            <form class="form" method="post" action="/api/teams/add" data-enhance>
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[id]" value=id.clone() />
                {who}
                {invite}
                {role_field(role, &field_errors)}
                {reauth}
                <div class="actions">
                    <button class="btn primary">"Add to team"</button>
                    <a class="btn quiet" href=team_page.clone()>
                        "Cancel"
                    </a>
                </div>
            </form>
        };
        Ok(framed(&view.context, &caller, &format!("{team_page}/add"), Width::Narrow, body.into_any()))
    })
}

fn role_field(chosen: TeamRole, field_errors: &FieldErrors) -> AnyView {
    let choice = |role: TeamRole, words: &'static str| {
        view! {
            <label class="choice">
                <input type="radio" name="form[role]" value=role.as_str() checked=role == chosen />
                <span>{role.words()} <span class="help">{words}</span></span>
            </label>
        }
    };
    view! {
        <fieldset class="field" data-field="role">
            <legend class="label">"Role in the team"</legend>
            {choice(TeamRole::Member, "Sees the team and their own keys.")}
            {choice(TeamRole::Admin, "Manages the team’s keys and people, within the team’s limits.")}
            {field_error("role", field_errors.of("role"))}
        </fieldset>
    }
    .into_any()
}

#[component]
pub fn TeamPersonPage() -> impl IntoView {
    let (slug, id, person) = (param("org"), param("id"), param("person"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = teams::person_form(&desk, &caller, &slug, &id, &person).await?;
        let field_errors = field_errors();
        let team_page = LocalPath::team(&slug, &view.team.id).as_str().to_owned();
        let sent = typed::<RoleForm>().and_then(|form| TeamRole::parse(&form.role));
        let role = sent.unwrap_or(view.person.role);
        let (name, team) = (view.person.name.clone(), view.team.spec.name.clone());
        let own = view.person.id == caller.person.id;
        let keys = match view.person.live_keys {
            0 => format!("{name} owns no live keys in {team}."),
            1 => format!(
                "{name} owns 1 live key in {team}. It stays in the team and they still own it. Move it first if needed."
            ),
            many => format!(
                "{name} owns {} live keys in {team}. The keys stay in the team and {name} still owns them. Move them first if needed.",
                grouped(many)
            ),
        };
        let away = if own {
            "You lose access to the team. An owner or an admin can add you again."
        } else {
            "They stay in the organisation but lose access to the team."
        };
        let hidden = || {
            view! {
                {on_page(here())}
                <input type="hidden" name="form[org]" value=slug.clone() />
                <input type="hidden" name="form[id]" value=id.clone() />
                <input type="hidden" name="form[person]" value=person.clone() />
            }
        };
        let heading = format!("{name} in {team}");
        let body = view! {
            {title(heading.clone())}
            {notice_line()}
            {page_head(crumbs(&slug, Some(&view.team)), heading.into_any(), ().into_any(), ().into_any())}
            <div class="stack">
                <section class="card">
                    <header>
                        <h2>"Role"</h2>
                    </header>
                    <form class="form" method="post" action="/api/teams/role" data-enhance>
                        {hidden()}
                        {role_field(role, &field_errors)}
                        {reauth_fields(&caller, view.now, &field_errors)}
                        <div class="actions">
                            <button class="btn primary">"Change role"</button>
                            <a class="btn quiet" href=team_page.clone()>
                                "Cancel"
                            </a>
                        </div>
                    </form>
                </section>
                <section class="card">
                    <header>
                        <h2>"Remove from team"</h2>
                    </header>
                    <form class="form" method="post" action="/api/teams/remove" data-enhance>
                        {hidden()}
                        <ul class="bullets">
                            <li>{keys}</li>
                            <li>{away}</li>
                        </ul>
                        <div class="actions">
                            <button class="btn danger">"Remove from team"</button>
                        </div>
                    </form>
                </section>
            </div>
        };
        let path = format!("{team_page}/people/{person}");
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}
