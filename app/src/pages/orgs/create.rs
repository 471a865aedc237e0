//! A new organisation, and the one page that shows its owner's invitation link.

use http::{HeaderValue, header};
use keydesk_core::domain::org::MAX_ORG_NAME;
use keydesk_core::domain::person::MAX_SLUG;
use keydesk_core::forms::org::NewOrgForm;
use keydesk_core::ops::access::own_orgs;
use keydesk_core::ops::orgs::{self, By};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::zones;
use crate::ask::{caller, desk, param};
use crate::layout::{Width, framed_apart};
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, OwnerLink};
use crate::ui::code::copy_button;
use crate::ui::field::{TextField, on_page};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;

fn crumbs() -> Vec<(String, String)> {
    vec![(LocalPath::operator().as_str().to_owned(), "Organisations".to_owned())]
}

#[component]
pub fn NewOrgPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        orgs::may_create(&desk, &By::Operator(&caller))?;
        let own = own_orgs(&desk, &caller).await?;
        let field_errors = field_errors();
        let form = typed().unwrap_or_else(|| NewOrgForm { zone: "UTC".into(), ..Default::default() });
        let name = TextField {
            field: "name",
            name: "form[name]",
            label: "Name",
            max: Some(MAX_ORG_NAME),
            autofocus: true,
            ..Default::default()
        };
        let address = TextField {
            field: "slug",
            name: "form[slug]",
            label: "Address",
            help: "The first part of its pages' addresses. Left empty, it is made from the name: Acme Corp is at /acme-corp.",
            max: Some(MAX_SLUG),
            optional: true,
            ..Default::default()
        };
        let zone = TextField {
            field: "zone",
            name: "form[zone]",
            label: "Time zone",
            help: "Budgets begin anew at midnight there. Its owner can change it.",
            list: "zones",
            ..Default::default()
        };
        let email = TextField {
            field: "email",
            name: "form[email]",
            label: "Owner's e-mail",
            help: "Whoever signs in with this address becomes the owner at once. If nobody does, the next page shows a link for them.",
            kind: "email",
            max: Some(254),
            ..Default::default()
        };
        let body = view! {
            {title("Create organisation")}
            {notice_line()}
            {page_head(crumbs(), "Create organisation".into_any(), ().into_any(), ().into_any())}
            <form class="form" method="post" action="/api/orgs/create" data-enhance>
                {on_page(here())} {name.draw(form.name, &field_errors)} {address.draw(form.slug, &field_errors)}
                {zone.draw(form.zone, &field_errors)} {zones()} {email.draw(form.email, &field_errors)}
                <div class="actions">
                    <button class="btn primary">"Create organisation"</button>
                    <a class="btn quiet" href=LocalPath::operator().as_str().to_owned()>"Cancel"</a>
                </div>
            </form>
        };
        Ok(framed_apart(&own, &caller, "/operator/new", Width::Narrow, body.into_any()))
    })
}

#[component]
pub fn OrgCreatedPage() -> impl IntoView {
    let slug = param("org");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = orgs::created(&desk, &caller, &slug).await?;
        let path = LocalPath::org_created(&view.org.slug);
        let issued: Option<OwnerLink> = sealed::take(ISSUED, path.as_str(), desk.now());
        if let Some(response) = use_context::<ResponseOptions>() {
            // Neither kept nor repacked on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let inside = match issued.filter(|issued| issued.slug == view.org.slug) {
            Some(OwnerLink { link, email, .. }) => view! {
                <section class="stack" data-once>
                    <h2 class="sr">"The owner's link"</h2>
                    <div class="secret">
                        <code id="secret">{link}</code>
                        {copy_button("Copy link", "primary", "secret".into())}
                    </div>
                    <p class="warn-line">
                        {icon(Icon::Warn)} <span>
                            <b>"This is the only time it is shown."</b>
                            {format!(" Hand it to {email}. Whoever opens it becomes the owner of {}; it works once, for seven days.", view.org.name)}
                        </span>
                    </p>
                </section>
            }
            .into_any(),
            None => view! { <p>"The owner's link was shown once, when the organisation was created, and is not kept anywhere."</p> }
                .into_any(),
        };
        let body = view! {
            {title("Organisation created")}
            {page_head(crumbs(), format!("{} is created", view.org.name).into_any(), ().into_any(), ().into_any())}
            <div class="stack roomy">
                {inside}
                <div class="actions">
                    <a class="btn" href=LocalPath::operator().as_str().to_owned()>"Go to Organisations"</a>
                </div>
            </div>
        };
        Ok(framed_apart(&view.own, &caller, "/operator", Width::Mid, body.into_any()))
    })
}
