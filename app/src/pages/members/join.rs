//! The page behind an invitation's link: who invites to what, and the way to join.

use keydesk_core::domain::policy::OrgRole;
use keydesk_core::domain::team::TeamRole;
use keydesk_core::forms::invitation::AcceptForm;
use keydesk_core::ops::invitations::{self, Offer};
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::solo;
use crate::pages::session::dead_link;
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::ui::field::{FieldErrors, TextField, on_page};

#[component]
pub fn JoinPage() -> impl IntoView {
    let token = param("token");
    page(async move {
        let desk = desk()?;
        let Some(offer) = invitations::find(&desk, &token).await? else {
            return Ok(dead_link(
                "An invitation link works once, for seven days. This one was used, withdrawn, replaced by a newer one, or has expired. Ask for a new invitation.",
            ));
        };
        let invitation = &offer.invitation;
        let caller = caller().ok();
        let field_errors = field_errors();
        let next = match (&caller, offer.known) {
            (Some(caller), _) if caller.person.email == invitation.email.as_str() => join(&offer, token),
            (Some(caller), _) => sign_out(&offer, &caller.person.email),
            (None, true) => sign_in(&offer, &token),
            (None, false) => new_person(token, &field_errors),
        };
        let role = match invitation.role {
            OrgRole::Owner => "an owner",
            OrgRole::Admin => "an admin",
            OrgRole::Member => "a member",
        };
        let team = invitation.team.as_ref().map(|place| match place.role {
            TeamRole::Admin => format!(" and a team admin of {}", place.team.name),
            TeamRole::Member => format!(" in the team {}", place.team.name),
        });
        let words = format!(
            "{} invites you to join as {role}{}. You sign in as {}.",
            invitation.invited_by.as_deref().unwrap_or("Your administrator"),
            team.unwrap_or_default(),
            invitation.email.as_str()
        );
        let body = view! {
            {title(format!("Join {}", invitation.org_name))}
            <h1>{format!("Join {}", invitation.org_name)}</h1>
            <p class="muted">{words}</p>
            {notice_line()}
            {next}
        };
        Ok(solo(body.into_any(), None))
    })
}

fn new_person(token: String, field_errors: &FieldErrors) -> AnyView {
    let form: AcceptForm = typed().unwrap_or_default();
    let name = TextField {
        field: "name",
        name: "form[name]",
        label: "Name",
        autocomplete: "name",
        ..Default::default()
    };
    let password = TextField {
        field: "password",
        name: "form[password]",
        label: "Password",
        help: "15 characters or more, such as four unusual words.",
        kind: "password",
        autocomplete: "new-password",
        ..Default::default()
    };
    view! {
        <form class="form" method="post" action="/api/invitations/accept" data-enhance>
            {on_page(here())}
            <input type="hidden" name="form[token]" value=token />
            {name.draw(form.name, field_errors)}
            {password.draw(String::new(), field_errors)}
            <button class="btn primary wide">"Join"</button>
        </form>
    }
    .into_any()
}

fn join(offer: &Offer, token: String) -> AnyView {
    view! {
        <form class="form" method="post" action="/api/invitations/join" data-enhance>
            {on_page(here())}
            <input type="hidden" name="form[token]" value=token />
            <button class="btn primary wide">{format!("Join {}", offer.invitation.org_name)}</button>
        </form>
    }
    .into_any()
}

fn sign_in(offer: &Offer, token: &str) -> AnyView {
    let query = serde_urlencoded::to_string([("next", format!("/invite/{token}"))]).unwrap_or_default();
    let words = format!("Sign in as {} to join", offer.invitation.email.as_str());
    view! {
        <div class="actions">
            <a class="btn primary wide" href=format!("/sign-in?{query}")>{words}</a>
        </div>
    }
    .into_any()
}

fn sign_out(offer: &Offer, me: &str) -> AnyView {
    let words = format!(
        "You are signed in as {me}, but the invitation is for {}. Sign out, then open the link again.",
        offer.invitation.email.as_str()
    );
    view! {
        <p>{words}</p>
        <form method="post" action="/api/session/sign-out">
            <div class="actions">
                <button class="btn wide" name="form[confirm]" value="yes">"Sign out"</button>
            </div>
        </form>
    }
    .into_any()
}
