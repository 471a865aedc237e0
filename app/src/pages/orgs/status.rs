//! The pages before an organisation is suspended and before it is resumed: what will happen, and why it is done.

use keydesk_core::domain::policy::Action;
use keydesk_core::forms::org::OrgStatusForm;
use keydesk_core::ops::orgs;
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::{Page, Width, cancel_or_act, post_form};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::ui::field::TextField;

/// What the two pages differ in.
struct Words {
    action: Action,
    post: &'static str,
    verb: &'static str,
    button: &'static str,
    class: &'static str,
    reason: &'static str,
    says: &'static [&'static str],
}

const SUSPEND: Words = Words {
    action: Action::SuspendOrg,
    post: "/api/orgs/suspend",
    verb: "Suspend",
    button: "Suspend organisation",
    class: "btn danger",
    reason: "Its owners and admins see it in their audit log.",
    says: &[
        "New requests with its keys fail immediately. Requests in progress finish.",
        "Its members can still sign in, disable and revoke keys, and leave. They can't change anything else.",
        "Nothing is deleted. You can resume it at any time.",
    ],
};

const RESUME: Words = Words {
    action: Action::ResumeOrg,
    post: "/api/orgs/resume",
    verb: "Resume",
    button: "Resume organisation",
    class: "btn primary",
    reason: "Its owners and admins see it in their audit log.",
    says: &[
        "Its keys work again immediately, except those that expired or were revoked in the meantime.",
        "Its members can make changes again.",
    ],
};

#[component]
pub fn SuspendOrgPage() -> impl IntoView {
    set_status(&SUSPEND)
}

#[component]
pub fn ResumeOrgPage() -> impl IntoView {
    set_status(&RESUME)
}

fn set_status(words: &'static Words) -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = orgs::status_form(&desk, &caller, &slug, words.action).await?;
        let field_errors = field_errors();
        let sent = typed::<OrgStatusForm>().unwrap_or_default();
        let reason = TextField::new("reason", "form[reason]", "Reason").help(words.reason);
        let reason = if words.action == Action::ResumeOrg { reason.optional() } else { reason };
        let inside = view! {
            {reason.draw(sent.reason, &field_errors)}
            {cancel_or_act(LocalPath::operator(), words.class, words.button)}
        };
        let body = view! {
            <div class="stack roomy">
                <ul class="bullets">{words.says.iter().map(|line| view! { <li>{*line}</li> }).collect_view()}</ul>
                {post_form(words.post, vec![("org", view.org.slug.clone())], inside)}
            </div>
        };
        Ok(Page::new(format!("{} {}", words.verb, view.org.name), Width::Narrow)
            .crumb(LocalPath::operator(), "Organisations")
            .apart(&view.own, &caller, body))
    })
}
