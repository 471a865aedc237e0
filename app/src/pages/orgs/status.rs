//! The pages before an organisation is suspended and before it is resumed: what will happen, and why it is done.

use keydesk_core::domain::policy::Action;
use keydesk_core::forms::org::OrgStatusForm;
use keydesk_core::ops::orgs::{self, MAX_REASON};
use leptos::prelude::*;

use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed_apart};
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{TextField, on_page};
use crate::ui::page_head::page_head;

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
    reason: "Its owners and admins read it in their audit.",
    says: &[
        "Requests with its keys are refused from now on. Those already under way are finished.",
        "Its people can sign in and look; they can take keys out of use and leave, and change nothing else.",
        "Nothing is deleted. It can be resumed at any time.",
    ],
};

const RESUME: Words = Words {
    action: Action::ResumeOrg,
    post: "/api/orgs/resume",
    verb: "Resume",
    button: "Resume organisation",
    class: "btn primary",
    reason: "Its owners and admins read it in their audit.",
    says: &[
        "Its keys work again from now on, those that expired or were revoked meanwhile excepted.",
        "Its people can change things again.",
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
        let list = LocalPath::operator().as_str().to_owned();
        let heading = format!("{} {}", words.verb, view.org.name);
        let reason = TextField {
            field: "reason",
            name: "form[reason]",
            label: "Reason",
            help: words.reason,
            max: Some(MAX_REASON),
            optional: words.action == Action::ResumeOrg,
            ..Default::default()
        };
        let body = view! {
            {title(heading.clone())}
            {notice_line()}
            {page_head(
                vec![(list.clone(), "Organisations".into())],
                heading.into_any(),
                ().into_any(),
                ().into_any(),
            )}
            <div class="stack roomy">
                <ul class="bullets">{words.says.iter().map(|line| view! { <li>{*line}</li> }).collect_view()}</ul>
                <form class="form" method="post" action=words.post data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[org]" value=view.org.slug.clone() />
                    {reason.draw(sent.reason, &field_errors)}
                    <div class="actions end">
                        <a class="btn quiet" href=list>"Cancel"</a>
                        <button class=words.class>{words.button}</button>
                    </div>
                </form>
            </div>
        };
        let path = here();
        Ok(framed_apart(&view.own, &caller, &path, Width::Narrow, body.into_any()))
    })
}
