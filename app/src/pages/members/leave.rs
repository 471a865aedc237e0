//! The confirmation pages for leaving an organisation and for removing a member.

use keydesk_core::ops::members;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk, param};
use crate::layout::reauth::reauth_fields;
use crate::layout::{Width, framed};
use crate::pages::{field_errors, here, notice_line, page, title};
use crate::path::LocalPath;
use crate::ui::field::on_page;
use crate::ui::page_head::page_head;

#[component]
pub fn LeavePage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = members::leave_form(&desk, &caller, &slug).await?;
        let org = &view.context.org;
        let keys = match view.live_keys {
            0 => "You own no live keys here.".to_owned(),
            1 => "Your live key keeps working. An owner or an admin decides who gets it.".to_owned(),
            many => {
                format!("Your {many} live keys keep working. An owner or an admin decides who gets them.")
            }
        };
        let back = LocalPath::member(&org.slug, &caller.person.id).as_str().to_owned();
        let body = view! {
            {title(format!("Leave {}", org.name))}
            {notice_line()}
            {page_head(vec![], format!("Leave {}", org.name).into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                <ul class="bullets">
                    <li>{format!("You lose access to {} at once and are removed from its teams.", org.name)}</li>
                    <li>{keys}</li>
                    <li>"You need a new invitation to come back."</li>
                </ul>
                <form class="form" method="post" action="/api/members/leave" data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[org]" value=org.slug.clone() />
                    <div class="actions">
                        <button class="btn danger">{format!("Leave {}", org.name)}</button>
                        <a class="btn quiet" href=back>"Cancel"</a>
                    </div>
                </form>
            </div>
        };
        let path = format!("/{}/leave", org.slug);
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}

#[component]
pub fn RemoveMemberPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = members::remove_form(&desk, &caller, &slug, &id).await?;
        let field_errors = field_errors();
        let (org, member) = (&view.context.org, &view.member);
        let member_page = LocalPath::member(&org.slug, &member.id).as_str().to_owned();
        let above = vec![crumbs(&org.slug), (member_page.clone(), member.name.clone())];
        let keys = match view.member_summary.live_keys {
            0 => "They own no live keys here.".to_owned(),
            1 => "Their live key keeps working until you decide about it on the next page.".to_owned(),
            many => {
                format!("Their {many} live keys keep working until you decide about them on the next page.")
            }
        };
        let body = view! {
            {title(format!("Remove {}", member.name))}
            {notice_line()}
            {page_head(above, format!("Remove {}", member.name).into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                <ul class="bullets">
                    <li>"They are signed out everywhere at once and removed from all teams."</li>
                    <li>{keys}</li>
                    <li>"Open invitations that they sent are withdrawn."</li>
                    <li>"To block access only for a while, " <a href=member_page.clone()>"disable them"</a> " instead."</li>
                </ul>
                <form class="form" method="post" action="/api/members/remove" data-enhance>
                    {on_page(here())}
                    <input type="hidden" name="form[org]" value=org.slug.clone() />
                    <input type="hidden" name="form[id]" value=member.id.to_string() />
                    {reauth_fields(&caller, view.now, &field_errors)}
                    <div class="actions">
                        <button class="btn danger">{format!("Remove {}", member.name)}</button>
                        <a class="btn quiet" href=member_page>"Cancel"</a>
                    </div>
                </form>
            </div>
        };
        let path = format!("/{}/members/{}/remove", org.slug, member.id);
        Ok(framed(&view.context, &caller, &path, Width::Narrow, body.into_any()))
    })
}
